//! The text of a timer's units.

use std::path::Path;

use super::What;
use crate::config::Settings;

/// What both units of a timer are made from.
pub(super) struct Unit<'a> {
    pub(super) what: What,
    pub(super) exe: &'a Path,
    pub(super) settings: &'a Settings,
    pub(super) environment: &'a Path,
    pub(super) options: &'a [String],
    pub(super) when: Option<&'a str>,
}

impl Unit<'_> {
    fn description(&self) -> &'static str {
        match self.what {
            What::Sync => "A burst of plexburst: the home library indexed elsewhere",
            What::Sweep => "Find and destroy what no live burst of plexburst owns",
        }
    }

    pub(super) fn timer(&self) -> String {
        let when = match (self.when, self.what) {
            (Some(calendar), _) => format!("OnCalendar={calendar}\nPersistent=true\nRandomizedDelaySec=30s\n"),
            (None, What::Sync) => "OnCalendar=*-*-* 02:30:00\nPersistent=true\nRandomizedDelaySec=5min\n".to_owned(),
            (None, What::Sweep) => "OnBootSec=2min\nOnUnitActiveSec=10min\nRandomizedDelaySec=30s\n".to_owned(),
        };
        format!(
            "[Unit]\nDescription={}\n\n[Timer]\n{when}\n[Install]\nWantedBy=timers.target\n",
            self.description()
        )
    }

    pub(super) fn service(&self) -> String {
        let config = self
            .settings
            .source
            .as_ref()
            .map(|path| format!(" --config {}", word(&path.display().to_string())))
            .unwrap_or_default();
        let options: String = self.options.iter().map(|option| format!(" {}", word(option))).collect();
        // A Plex that home's own command started, and a worker that goes on by itself, are children of the burst: systemd
        // would end them with it.
        let more = match self.what {
            What::Sync => "KillMode=process\nTimeoutStopSec=10min\n",
            What::Sweep => "",
        };
        format!(
            "[Unit]\n\
             Description={}\n\
             Wants=network-online.target\n\
             After=network-online.target\n\n\
             [Service]\n\
             Type=oneshot\n\
             {more}\
             Environment={}\n\
             EnvironmentFile=-{}\n\
             ExecStart={} --quiet{config} {}{options}\n",
            self.description(),
            state(self.settings),
            self.environment.display().to_string().replace('%', "%%"),
            word(&self.exe.display().to_string()),
            self.what.word(),
        )
    }
}

/// Where the state is, as the service is told.
pub(super) fn state(settings: &Settings) -> String {
    word(&format!("PLEXBURST_STATE_DIR={}", settings.state_dir.display()))
}

/// One word as systemd reads it.
fn word(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    // A variable would be put in where a path has a dollar.
    format!("\"{}\"", escaped.replace('$', "$$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word() {
        assert_eq!(word("/a b/50%\"$x"), "\"/a b/50%%\\\"$$x\"");
    }
}
