//! Where the units of a timer lie, what they are called, and how systemd is told of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::What;
use crate::cli::{Context, quoted};
use crate::error::{Error, Result};

/// A folder of units.
pub(in crate::cli) struct Place {
    pub(in crate::cli) dir: PathBuf,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    System,
    /// Of the Debian package: root's, beside those that root writes.
    Package,
    User,
    /// Somewhere that systemd does not look.
    Named,
}

/// The name of a unit.
pub(super) fn name(what: What, kind: &str) -> String {
    format!("plexburst-{}.{kind}", what.word())
}

impl Place {
    /// Where systemd looks for units of this user's, or the folder that was named.
    ///
    /// # Errors
    /// There is no home directory.
    pub(in crate::cli) fn of(named: Option<PathBuf>) -> Result<Self> {
        if let Some(dir) = named {
            let dir = std::path::absolute(&dir)
                .map_err(|e| Error::usage(format!("cannot resolve {}", dir.display())).because(e))?;
            return Ok(Self { dir, kind: Kind::Named });
        }
        if rustix::process::geteuid().is_root() {
            return Ok(Self {
                dir: PathBuf::from("/etc/systemd/system"),
                kind: Kind::System,
            });
        }
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")))
            .ok_or_else(|| Error::usage("there is no home directory").hint("name a folder: --into DIR"))?;
        Ok(Self {
            dir: config.join("systemd/user"),
            kind: Kind::User,
        })
    }

    /// Where the Debian package has its units.
    pub(in crate::cli) fn of_package() -> Self {
        Self {
            dir: PathBuf::from("/usr/lib/systemd/system"),
            kind: Kind::Package,
        }
    }

    /// Whose units these are.
    pub(super) fn owner(&self) -> &'static str {
        match self.kind {
            Kind::Package => "the package",
            Kind::System | Kind::User | Kind::Named => "you",
        }
    }

    /// Whether units of this place go before the package's.
    pub(super) fn hides_package(&self) -> bool {
        self.kind == Kind::System
    }

    /// Whether systemd may look here at all.
    pub(super) fn is_named(&self) -> bool {
        self.kind == Kind::Named
    }

    pub(super) fn service(&self, what: What) -> PathBuf {
        self.dir.join(name(what, "service"))
    }

    pub(super) fn timer(&self, what: What) -> PathBuf {
        self.dir.join(name(what, "timer"))
    }

    /// Beside the units, for what stands in no configuration; the user writes it.
    pub(super) fn environment(&self, what: What) -> PathBuf {
        self.dir.join(name(what, "env"))
    }

    /// Those units of it that are there.
    pub(in crate::cli) fn units_of(&self, what: What) -> Vec<PathBuf> {
        let units = [self.service(what), self.timer(what)];
        units.into_iter().filter(|path| path.is_file()).collect()
    }

    /// The command that enables the timer.
    pub(super) fn enable(&self, what: What) -> String {
        let timer = name(what, "timer");
        match self.kind {
            Kind::Named => format!(
                "systemctl link {} && systemctl enable --now {}",
                quoted(&self.service(what)),
                quoted(&self.timer(what))
            ),
            Kind::System | Kind::Package => format!("systemctl daemon-reload && systemctl enable --now {timer}"),
            // Without lingering a user's timers run only while somebody is logged in.
            Kind::User => {
                format!(
                    "systemctl --user daemon-reload && systemctl --user enable --now {timer} && loginctl enable-linger"
                )
            }
        }
    }

    /// `None` where systemd does not say.
    pub(super) fn is_enabled(&self, what: What) -> Option<bool> {
        if self.kind == Kind::Named {
            return None;
        }
        let output = self.command(&["is-enabled", &name(what, "timer")]).output().ok()?;
        match String::from_utf8_lossy(&output.stdout).trim() {
            "enabled" | "enabled-runtime" => Some(true),
            "disabled" => Some(false),
            _ => None,
        }
    }

    /// Tells systemd, where it would listen; what it does not do is said.
    pub(super) fn systemctl(&self, args: &[&str], context: &Context) {
        // Without it no timer of its runs.
        if self.kind == Kind::Named || !Path::new("/run/systemd/system").is_dir() {
            return;
        }
        let said = match self.command(args).output() {
            Ok(output) if output.status.success() => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        context
            .printer
            .warn(&format!("`systemctl {}` did not go well: {said}", args.join(" ")));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("systemctl");
        if self.kind == Kind::User {
            command.arg("--user");
        }
        command.args(args).stdin(Stdio::null());
        command
    }
}
