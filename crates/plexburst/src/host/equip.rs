//! What a machine needs to be a worker: the program itself, and the programs that it calls. Each is checked after it was
//! brought: a tool that is silently missing once made every counter zero.

use std::path::{Path, PathBuf};

use super::Host;
use super::user_data::PACKAGES;
use crate::error::{Context, Error, Result};

/// (program that is called, Debian's package, what it is for).
const TOOLS: &[(&str, &str, &str)] = &[
    ("rclone", "rclone", "mounting the media"),
    ("fusermount3", "fuse3", "mounting the media"),
    ("bwrap", "bubblewrap", "giving Plex home's paths"),
];

/// What a machine was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equipped {
    /// The program there.
    pub program: String,
    /// "x86_64" or "aarch64".
    pub arch: String,
    /// vCPUs.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
}

/// Brings everything into `dir` (an absolute path there) and checks it.
///
/// # Errors
/// An architecture that there is no program for, a tool that is missing and cannot be installed, no /dev/fuse.
pub async fn equip(host: &Host, dir: &str, own: &Path, needs_mount: bool) -> Result<Equipped> {
    let facts = host
        .script(
            "looking at the machine",
            "uname -m; nproc; awk '/^MemTotal/ {print $2}' /proc/meminfo; id -u; test -e /dev/fuse && echo fuse || echo none\n",
        )
        .await?;
    let mut lines = facts.lines();
    let mut next = || lines.next().unwrap_or_default().trim().to_owned();
    let (arch, cpus, kib, uid, fuse) = (next(), next(), next(), next(), next());
    if needs_mount && fuse != "fuse" {
        return Err(Error::refused(format!(
            "{} has no /dev/fuse, so the media cannot be mounted there",
            host.name()
        ))
        .hint("load the fuse module there, or give the container that it is --device /dev/fuse"));
    }
    let program = bring_program(host, dir, own, &arch).await?;
    bring_tools(host, uid == "0", needs_mount).await?;
    Ok(Equipped {
        program,
        arch,
        cpus: cpus.parse().unwrap_or(1),
        memory: kib.parse::<u64>().unwrap_or(0) * 1024,
    })
}

/// Sees that Docker runs there and has the image, before anything that expires is asked for. `program` is plexburst there.
///
/// # Errors
/// Docker is missing and cannot be installed, or the image cannot be had.
pub async fn docker(host: &Host, program: &str, image: &str, socket: Option<&Path>) -> Result<()> {
    let socket = socket.map_or_else(|| "/var/run/docker.sock".to_owned(), |path| path.display().to_string());
    // What fails here is told by the next step, which needs the engine.
    let script = format!(
        "[ -S '{socket}' ] && exit 0\n[ \"$(id -u)\" = 0 ] || exit 0\ncommand -v apt-get >/dev/null || exit 0\n\
         export DEBIAN_FRONTEND=noninteractive\n\
         (apt-get update -qq && apt-get install -y -qq --no-install-recommends docker.io) >/dev/null 2>&1 || true\n\
         (systemctl start docker || service docker start) >/dev/null 2>&1 || true\n"
    );
    host.script("looking for Docker", &script).await?;
    host.run(program, &["image", "--socket", &socket, image])
        .await
        .map_err(|e| {
            Error::refused(format!("{} cannot run the image {image}", host.name()))
                .hint(
                    "install Docker there and let this user belong to the group docker; a version of Plex without an \
                     image needs `worker.image`, or `worker.runtime = \"native\"`",
                )
                .because(e)
        })
        .map(drop)
}

/// The programs that may run on a machine of this architecture: this very file, and one shipped beside it, which is the
/// static one.
fn programs_for(own: &Path, arch: &str) -> Result<Vec<PathBuf>> {
    let beside = own.with_file_name(format!("plexburst-{arch}"));
    let fits: Vec<PathBuf> = [
        (arch == std::env::consts::ARCH).then(|| own.to_owned()),
        beside.is_file().then(|| beside.clone()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !fits.is_empty() {
        return Ok(fits);
    }
    Err(Error::refused(format!(
        "the machine is {arch}, and this plexburst is for {}",
        std::env::consts::ARCH
    ))
    .hint(format!(
        "put a plexburst built for {arch} at {}, or take a machine of another type",
        beside.display()
    )))
}

/// Brings the program for the architecture `arch` into `dir` there, unless the very same one is there already, and sees
/// that it runs.
///
/// # Errors
/// There is none for that architecture; it does not arrive whole; none that fits runs there.
pub async fn bring_program(host: &Host, dir: &str, own: &Path, arch: &str) -> Result<String> {
    let program = format!("{dir}/plexburst");
    host.run("mkdir", &["-p", "-m", "700", "--", dir]).await?;
    let mut refused = None;
    for from in programs_for(own, arch)? {
        bring(host, &program, &from).await?;
        // A program that is linked against another C library is copied whole and still does not run.
        match host.run(&program, &["--version"]).await {
            Ok(_) => return Ok(program),
            Err(error) => refused = Some(error),
        }
    }
    let error = Error::refused(format!("this plexburst does not run on {}", host.name())).hint(format!(
        "use the static build (musl), which runs on any Linux of its architecture: put it beside this one as plexburst-{arch}"
    ));
    Err(match refused {
        Some(why) => error.because(why),
        None => error,
    })
}

async fn bring(host: &Host, program: &str, from: &Path) -> Result<()> {
    let content = tokio::fs::read(from)
        .await
        .context(|| format!("cannot read {}", from.display()))?;
    let expected = host_sum_of(&content).await?;
    let sum = async || {
        host.script(
            "checking the program",
            &format!("sha256sum -- '{program}' 2>/dev/null | cut -d' ' -f1 || true\n"),
        )
        .await
    };
    if sum().await?.trim() != expected {
        host.write(program, "700", &content).await?;
        if sum().await?.trim() != expected {
            return Err(
                Error::failed(format!("the program did not arrive whole on {}", host.name()))
                    .hint("the next attempt copies it again; check the disk there"),
            );
        }
    }
    Ok(())
}

/// SHA-256 as the machine's own `sha256sum` prints it, by this machine's.
async fn host_sum_of(content: &[u8]) -> Result<String> {
    use tokio::io::AsyncWriteExt;
    let mut child = tokio::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context(|| "cannot run sha256sum".to_owned())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(content)
            .await
            .context(|| "cannot run sha256sum".to_owned())?;
    }
    let output = child
        .wait_with_output()
        .await
        .context(|| "cannot run sha256sum".to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

async fn bring_tools(host: &Host, is_root: bool, needs_mount: bool) -> Result<()> {
    let wanted: Vec<_> = TOOLS
        .iter()
        .filter(|(.., why)| needs_mount || !why.contains("mounting"))
        .collect();
    let missing = async || -> Result<Vec<&str>> {
        let names: Vec<&str> = wanted.iter().map(|(name, ..)| *name).collect();
        let script = format!(
            "PATH=$PATH:/usr/sbin:/sbin; for t in {}; do command -v $t >/dev/null || echo $t; done\n",
            names.join(" ")
        );
        let text = host.script("looking for tools", &script).await?;
        Ok(names
            .into_iter()
            .filter(|name| text.lines().any(|line| line == *name))
            .collect())
    };
    if missing().await?.is_empty() {
        return Ok(());
    }
    if is_root {
        // What fails here is seen by looking again.
        let script = format!(
            "command -v apt-get >/dev/null || exit 0\nexport DEBIAN_FRONTEND=noninteractive\n\
             (apt-get update -qq && apt-get install -y -qq --no-install-recommends {}) >/dev/null 2>&1 || true\n",
            PACKAGES.join(" ")
        );
        host.script("installing tools", &script).await?;
    }
    let still = missing().await?;
    if still.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = wanted
        .iter()
        .filter(|(name, ..)| still.contains(name))
        .map(|(name, _, why)| format!("{name} ({why})"))
        .collect();
    let packages: Vec<&str> = wanted
        .iter()
        .filter(|(name, ..)| still.contains(name))
        .map(|(_, p, _)| *p)
        .collect();
    Err(Error::refused(format!("{} lacks {}", host.name(), named.join(", ")))
        .hint(format!("install there: apt-get install {}", packages.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_another_architecture_gets_the_program_that_lies_beside() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("plexburst");
        let refused = programs_for(&own, "riscv64").unwrap_err();
        assert_eq!(refused.exit(), crate::exit::REFUSED);
        assert!(
            refused.chain().contains("the machine is riscv64"),
            "{}",
            refused.chain()
        );
        let beside = dir.path().join("plexburst-riscv64");
        assert!(refused.hint_text().unwrap().contains(&beside.display().to_string()));
        std::fs::write(&beside, "").unwrap();
        assert_eq!(programs_for(&own, "riscv64").unwrap(), [beside]);
        // The very same program first; the static one where that does not run.
        let same = std::env::consts::ARCH;
        assert_eq!(programs_for(&own, same).unwrap(), std::slice::from_ref(&own));
        let fixed = dir.path().join(format!("plexburst-{same}"));
        std::fs::write(&fixed, "").unwrap();
        assert_eq!(programs_for(&own, same).unwrap(), [own, fixed]);
    }
}
