//! `plexburst sweep --timer`: the units of a systemd timer that sweeps, for a machine that is always on. They hold no key: that
//! is read where every other command reads it.

use std::path::{Path, PathBuf};

use super::{Context, print, print_json, quoted};
use crate::config::{Settings, rented};
use crate::error::{Error, Result};
use crate::exit;

const SERVICE: &str = "plexburst-sweep.service";
const TIMER: &str = "plexburst-sweep.timer";
/// Beside the units, for an account whose key is nowhere else; the user writes it.
const ENVIRONMENT: &str = "plexburst-sweep.env";

/// Writes both and says how they are enabled.
pub(super) fn write(
    settings: &Settings,
    dir: Option<PathBuf>,
    dry_run: bool,
    json: bool,
    context: &Context,
) -> Result<u8> {
    let account = rented::account(&settings.config.scaleway)?;
    let place = Place::of(dir)?;
    let exe =
        std::env::current_exe().map_err(|e| Error::unexpected("cannot find this program's own file").because(e))?;
    let service = service(&exe, settings, &place.dir);
    let (service_path, timer_path) = (place.dir.join(SERVICE), place.dir.join(TIMER));
    if !dry_run {
        std::fs::create_dir_all(&place.dir)
            .map_err(|e| Error::usage(format!("cannot make {}", place.dir.display())).because(e))?;
        for (path, text) in [(&service_path, service.as_str()), (&timer_path, TIMER_TEXT)] {
            plex_library::publish::file(path, text.as_bytes())?;
        }
    }
    if account.source.starts_with("SCW_") {
        context.printer.warn(&format!(
            "the key is only in {} of this environment, which a timer does not have: run `scw init`, or write {} and \
             SCW_DEFAULT_PROJECT_ID as NAME=VALUE into {} (mode 0600)",
            account.source,
            account.source,
            place.dir.join(ENVIRONMENT).display()
        ));
    }
    if json {
        print_json(&serde_json::json!({
            "service": service_path, "timer": timer_path, "enable": place.enable, "written": !dry_run,
        }))?;
    } else if dry_run {
        print(&format!(
            "# {}\n{service}\n# {}\n{TIMER_TEXT}",
            service_path.display(),
            timer_path.display()
        ))?;
    } else {
        print(&format!(
            "wrote {} and {}; they sweep once this is done:\n  {}",
            service_path.display(),
            timer_path.display(),
            place.enable
        ))?;
    }
    Ok(exit::DONE)
}

/// Where units lie, and the command that enables them.
struct Place {
    dir: PathBuf,
    enable: String,
}

impl Place {
    fn of(named: Option<PathBuf>) -> Result<Self> {
        if let Some(dir) = named {
            let dir = std::path::absolute(&dir)
                .map_err(|e| Error::usage(format!("cannot resolve {}", dir.display())).because(e))?;
            let enable = format!(
                "systemctl link {} && systemctl enable --now {}",
                quoted(&dir.join(SERVICE)),
                quoted(&dir.join(TIMER))
            );
            return Ok(Self { dir, enable });
        }
        if rustix::process::geteuid().is_root() {
            return Ok(Self {
                dir: PathBuf::from("/etc/systemd/system"),
                enable: format!("systemctl daemon-reload && systemctl enable --now {TIMER}"),
            });
        }
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")))
            .ok_or_else(|| Error::usage("there is no home directory").hint("name a folder: --timer DIR"))?;
        Ok(Self {
            dir: config.join("systemd/user"),
            // Without lingering a user's timers run only while somebody is logged in.
            enable: format!(
                "systemctl --user daemon-reload && systemctl --user enable --now {TIMER} && loginctl enable-linger"
            ),
        })
    }
}

const TIMER_TEXT: &str = "\
[Unit]
Description=Find and destroy what no live burst of plexburst owns

[Timer]
OnBootSec=2min
OnUnitActiveSec=10min
RandomizedDelaySec=30s

[Install]
WantedBy=timers.target
";

fn service(exe: &Path, settings: &Settings, dir: &Path) -> String {
    let config = settings
        .source
        .as_ref()
        .map(|path| format!(" --config {}", word(path)))
        .unwrap_or_default();
    format!(
        "[Unit]\n\
         Description=Find and destroy what no live burst of plexburst owns\n\
         Wants=network-online.target\n\
         After=network-online.target\n\n\
         [Service]\n\
         Type=oneshot\n\
         Environment={}\n\
         EnvironmentFile=-{}\n\
         ExecStart={} --quiet{config} sweep\n",
        word(Path::new(&format!(
            "PLEXBURST_STATE_DIR={}",
            settings.state_dir.display()
        ))),
        dir.join(ENVIRONMENT).display().to_string().replace('%', "%%"),
        word(exe),
    )
}

/// One word as systemd reads it.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    // A variable would be put in where a path has a dollar.
    format!("\"{}\"", escaped.replace('$', "$$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word() {
        assert_eq!(word(Path::new("/a b/50%\"$x")), "\"/a b/50%%\\\"$$x\"");
    }
}
