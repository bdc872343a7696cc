//! Keys: one pair of its own for each burst, and a machine's host key, believed only when its provider vouches for it.
//!
//! A fresh machine's host key is unknown to everybody; whoever accepts it unseen talks to whoever answers first, which on
//! an address that was used before is somebody else's machine. Scaleway's images publish their fingerprints through the
//! API (facts: cloud §1.6), so it costs one call to know.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::error::{Context, Error, Result};
use crate::exit;

/// A burst's own key pair.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The private key's file, mode 0600.
    pub private: PathBuf,
    /// The public key, as a line of authorized_keys.
    pub public: String,
}

/// The key pair in `dir`, made when it is not there. It lies only on this machine and goes with the burst's folder.
///
/// # Errors
/// ssh-keygen is missing or fails.
pub async fn pair(dir: &Path, burst: &str) -> Result<KeyPair> {
    let private = dir.join("id_ed25519");
    let public = dir.join("id_ed25519.pub");
    if !public.is_file() {
        // Half a pair of a run that was killed is of no use.
        let _ = std::fs::remove_file(&private);
        let fresh = dir.join("id_new");
        for left in [&fresh, &dir.join("id_new.pub")] {
            let _ = std::fs::remove_file(left);
        }
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C"])
            .arg(format!("plexburst-{burst}"))
            .arg("-f")
            .arg(&fresh)
            .stdin(Stdio::null())
            .output()
            .await;
        check(made, "make a key")?;
        std::fs::rename(&fresh, &private)
            .and_then(|()| std::fs::rename(dir.join("id_new.pub"), &public))
            .context(|| format!("cannot keep the key in {}", dir.display()))?;
    }
    let text = std::fs::read_to_string(&public).context(|| format!("cannot read {}", public.display()))?;
    Ok(KeyPair {
        private,
        public: text.trim().to_owned(),
    })
}

/// Asks `host` for its keys, believes those whose fingerprints `vouched` has, and writes them to `known_hosts`.
///
/// # Errors
/// [`exit::REFUSED`] when none of them is vouched for; nobody answers.
pub async fn prove(host: &str, port: u16, vouched: &[String], known_hosts: &Path) -> Result<()> {
    let scanned = Command::new("ssh-keyscan")
        .args(["-T", "10", "-p", &port.to_string(), "--", host])
        .stdin(Stdio::null())
        .output()
        .await;
    let scanned = check(scanned, "ask for host keys")?;
    let lines: Vec<&str> = scanned.lines().filter(|line| !line.starts_with('#')).collect();
    if lines.is_empty() {
        return Err(Error::failed(format!(
            "{host} port {port} does not answer with a host key yet"
        )));
    }
    let mut believed = Vec::new();
    let mut seen = Vec::new();
    for line in lines {
        let print = fingerprint(line).await?;
        if vouched.contains(&print) {
            believed.push(line);
        }
        seen.push(print);
    }
    if believed.is_empty() {
        return Err(Error::new(
            exit::REFUSED,
            format!(
                "the machine at {host} is not the one that was rented: its host keys are {}, the provider vouches for {}",
                seen.join(", "),
                vouched.join(", ")
            ),
        )
        .hint("somebody else may have that address; `plexburst cancel` ends the rented machine, nothing was sent to this one"));
    }
    let text = believed.join("\n") + "\n";
    plex_library::publish::file(known_hosts, text.as_bytes())
        .context(|| format!("cannot write {}", known_hosts.display()))
}

/// `SHA256:…` of a line of known_hosts.
async fn fingerprint(line: &str) -> Result<String> {
    use tokio::io::AsyncWriteExt;
    let mut child = Command::new("ssh-keygen")
        .args(["-l", "-E", "sha256", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(line.as_bytes())
            .await
            .context(|| "cannot look at a host key".to_owned())?;
        stdin
            .write_all(b"\n")
            .await
            .context(|| "cannot look at a host key".to_owned())?;
    }
    let text = check(child.wait_with_output().await, "look at a host key")?;
    let print = text.split_whitespace().find(|word| word.starts_with("SHA256:"));
    print
        .map(str::to_owned)
        .ok_or_else(|| Error::unexpected("ssh-keygen does not tell a key's fingerprint"))
}

fn check(output: std::io::Result<std::process::Output>, doing: &str) -> Result<String> {
    let output = output.map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() || !text.is_empty() {
        return Ok(text);
    }
    Err(Error::failed(format!("cannot {doing}")).because(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn missing(error: std::io::Error) -> Error {
    Error::usage("OpenSSH's client programs cannot be run")
        .hint("install openssh-client")
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pair_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let first = pair(dir.path(), "B").await.unwrap();
        let again = pair(dir.path(), "B").await.unwrap();
        assert_eq!(first.public, again.public);
        assert!(first.public.starts_with("ssh-ed25519 "));
        let mode = std::fs::metadata(&first.private).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
