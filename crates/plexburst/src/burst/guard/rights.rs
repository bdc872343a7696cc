//! What this user may do at home: write beside the databases as their owner, and stop and start the server. Found out by
//! looking and asking, without trying it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::Access;
use tokio::process::Command;

use super::{Finding, Guard};
use crate::error::{Context, Result};
use crate::home::Home;

const GUARD: Guard = Guard::HomeRights;
/// What is asked answers at once, or says nothing.
const ASK: Duration = Duration::from_secs(20);

/// Whether a command may be run.
#[derive(Debug, PartialEq, Eq)]
enum May {
    /// It may, and why.
    Yes(String),
    /// It will show when it is run.
    Unknown(String),
    /// It may not, and what to do.
    No(String, String),
}

/// Everything that a swap needs of this user.
pub(crate) async fn of_home(home: &Home) -> Result<Finding> {
    let databases = home.databases();
    let dir = databases.dir();
    let owner = std::fs::metadata(dir)
        .context(|| format!("cannot look at {}", dir.display()))?
        .uid();
    let own = rustix::process::geteuid().as_raw();
    let (we, they) = (name_of(own), name_of(owner));
    if own != 0 && own != owner {
        return Ok(Finding::refused(
            GUARD,
            format!(
                "{} belongs to {they}, and this is {we}: what is put in place would not be Plex's",
                dir.display()
            ),
            format!("run plexburst as root or as {they} (`home.host = \"{they}@…\"` for a home elsewhere)"),
        ));
    }
    let area = plex_library::swap::area(&databases)?;
    for folder in [dir, area.parent().unwrap_or(dir)] {
        if rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
            return Ok(Finding::refused(
                GUARD,
                format!("{we} may not write in {}", folder.display()),
                format!("run plexburst as root, or give {we} the folder (is its disk mounted read-only?)"),
            ));
        }
    }
    let mut evidence = vec![format!("{we} may write in {}", dir.display())];
    let mut doubts = Vec::new();
    for (key, command) in home.commands() {
        match may(command, own == 0).await {
            May::Yes(why) => evidence.push(format!("{key}: {why}")),
            May::Unknown(why) => doubts.push(format!("{key}: {why}")),
            May::No(why, hint) => return Ok(Finding::refused(GUARD, format!("{key}: {why}"), hint)),
        }
    }
    if doubts.is_empty() {
        return Ok(Finding::passed(GUARD, evidence.join("; ")));
    }
    Ok(Finding::warned(
        GUARD,
        doubts.join("; "),
        "try it by hand once; if it does not work, home is left as it is",
    ))
}

/// What can be said of a command without running it.
async fn may(command: &[String], is_root: bool) -> May {
    let Some((program, arguments)) = command.split_first() else {
        return May::No("it is not configured".into(), "set it to a command".into());
    };
    let Some(path) = find(program) else {
        return May::No(
            format!("there is no program {program}"),
            "correct it in plexburst.toml; a program outside of PATH needs its whole path".into(),
        );
    };
    if is_root {
        return May::Yes(format!("{program} as root"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.as_str() {
        "sudo" => {
            let mut asked = vec!["-n".to_owned(), "-l".to_owned(), "--".to_owned()];
            asked.extend(arguments.iter().filter(|word| !word.starts_with('-')).cloned());
            match answers(program, &asked).await {
                Some(true) => May::Yes("sudo lets it through".into()),
                _ => May::No(
                    format!("sudo does not run {} without a password", arguments.join(" ")),
                    "add a NOPASSWD line for that very command to sudoers (`visudo`)".into(),
                ),
            }
        }
        "docker" => {
            let socket = std::env::var("DOCKER_HOST").ok();
            let socket = match &socket {
                None => "/var/run/docker.sock",
                Some(address) => match address.strip_prefix("unix://") {
                    Some(path) => path,
                    None => return May::Unknown(format!("whether {address} lets it through shows when it is done")),
                },
            };
            match rustix::fs::access(socket, Access::WRITE_OK | Access::READ_OK) {
                Ok(()) => May::Yes(format!("{socket} may be used")),
                Err(_) => May::No(
                    format!("this user may not use {socket}"),
                    "add the user to the group docker and log in anew, or run plexburst as root".into(),
                ),
            }
        }
        "systemctl" if arguments.iter().any(|word| word == "--user") => May::Yes("a service of this user's own".into()),
        "systemctl" => {
            let own = std::process::id().to_string();
            let asked = [
                "--action-id",
                "org.freedesktop.systemd1.manage-units",
                "--process",
                &own,
            ];
            match answers("pkcheck", &asked.map(str::to_owned)).await {
                Some(true) => May::Yes("polkit lets it through".into()),
                Some(false) => May::No(
                    "systemd lets only root stop and start a service".into(),
                    format!(
                        "run plexburst as root, or set it to [\"sudo\", \"{}\", …] with a NOPASSWD line in sudoers",
                        path.display()
                    ),
                ),
                None => {
                    May::Unknown("systemd lets this user stop and start a service only where polkit says so".into())
                }
            }
        }
        "snap" | "synopkg" | "service" | "rc-service" => {
            May::Unknown(format!("{program} lets only root do that, as a rule"))
        }
        _ if path.starts_with("/etc/init.d") => May::Unknown(format!("{program} is for root, as a rule")),
        _ => May::Yes(format!("{program} is there")),
    }
}

/// Whether a program that is asked something says yes; `None` when it cannot be asked.
async fn answers(program: &str, arguments: &[String]) -> Option<bool> {
    let asked = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    let status = tokio::time::timeout(ASK, asked).await.ok()?.ok()?;
    Some(status.success())
}

fn find(program: &str) -> Option<PathBuf> {
    let may_be_run = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(may_be_run);
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|dir| dir.join(program))
        .find(may_be_run)
}

/// The user's name, or its number where it has none.
fn name_of(uid: u32) -> String {
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("user {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn what_may_be_run_is_told_from_what_may_not() {
        assert!(matches!(may(&words("no-such-program stop"), true).await, May::No(why, _) if why.contains("no-such")));
        assert!(matches!(may(&[], true).await, May::No(..)));
        assert!(matches!(may(&words("true"), true).await, May::Yes(why) if why.contains("root")));
        assert!(matches!(may(&words("true"), false).await, May::Yes(_)));
        let dir = tempfile::tempdir().unwrap();
        for name in ["synopkg", "systemctl"] {
            let path = dir.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            use std::os::unix::fs::PermissionsExt;
            // It is no program until it may be run.
            let command = [path.display().to_string(), "stop".into(), "plex".into()];
            assert!(matches!(may(&command, false).await, May::No(..)));
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert!(matches!(may(&command, true).await, May::Yes(_)));
        }
        let synology = [dir.path().join("synopkg").display().to_string(), "stop".into()];
        assert!(matches!(may(&synology, false).await, May::Unknown(_)));
        let own = [
            dir.path().join("systemctl").display().to_string(),
            "--user".into(),
            "stop".into(),
        ];
        assert!(matches!(may(&own, false).await, May::Yes(_)));
    }

    #[test]
    fn users_have_names() {
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(4_000_000_000), "user 4000000000");
    }
}
