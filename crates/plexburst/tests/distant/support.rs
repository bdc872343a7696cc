//! A home behind SSH, and a place that commands are given from.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use plexburst::host::keys;

use crate::common::{PROGRAM, World, has};
use crate::sshd::Sshd;

/// Real work on a machine that is busy with other things.
pub(crate) const PATIENT: Duration = Duration::from_secs(300);

/// A home behind SSH with 4 known tracks and 4 new ones, and a place here that commands are given from.
pub(crate) struct Distant {
    pub(crate) world: World,
    pub(crate) sshd: Sshd,
    pub(crate) section: i64,
    pub(crate) here: tempfile::TempDir,
}

impl Distant {
    pub(crate) async fn new(what: &str) -> Option<Self> {
        let sshd = Sshd::start(what).await?;
        let mut world = World::new();
        world.music(1, 1, 1, 4, 2.0);
        world.start_home();
        let root = world.media().join("Music").display().to_string();
        let section = world.create_music(&root, 4).await;
        world.music(2, 1, 1, 4, 2.0);
        world.issue_claim();
        if !has("bwrap") {
            world.cell = "never";
        }
        world.configure(&[(&root, "Music")]);
        keys::prove("127.0.0.1", sshd.port, &[sshd.fingerprint()], &sshd.path("known_hosts"))
            .await
            .unwrap();
        let distant = Self {
            world,
            sshd,
            section,
            here: tempfile::Builder::new().prefix("plexburst-here-").tempdir().unwrap(),
        };
        distant.configure("nas", "");
        Some(distant)
    }

    /// The configuration of here: that of the world, but for where home and its bursts are; `home` goes under `[home]`.
    pub(crate) fn configure(&self, host: &str, home: &str) {
        let config = self.sshd.config();
        let text = std::fs::read_to_string(self.world.path("plexburst.toml")).unwrap();
        let state = format!("state_dir = {:?}", self.world.path("state"));
        let text = text.replace(&state, &format!("state_dir = {:?}", self.here.path().join("state")));
        let text = text.replace(
            "[home]\n",
            &format!(
                "[home]\nhost = {host:?}\nssh_config = {config:?}\ndirectory = {:?}\n{home}\n",
                self.world.path("state")
            ),
        );
        std::fs::write(self.here.path().join("plexburst.toml"), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(args)
            .current_dir(self.here.path())
            .env_remove("PLEX_CLAIM")
            .env("HOME", self.here.path())
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?} ended with {}\n{}\n{}",
            output.status,
            said(&output),
            self.world.logs()
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Nothing that opens anything is left in memory, and nothing was left here.
    pub(crate) fn assert_tidy(&self) {
        // Other tests have the same user, and theirs may be running.
        for secrets in secrets_of(rustix::process::geteuid().as_raw()) {
            let text = std::fs::read_to_string(secrets.join("plexburst.toml")).unwrap_or_default();
            assert!(
                !text.contains(&self.world.path("state").display().to_string()),
                "{text}"
            );
        }
        assert!(!self.here.path().join("state/bursts").exists());
    }
}

/// The folders in memory in which homes of a user have their secrets.
pub(crate) fn secrets_of(uid: u32) -> Vec<PathBuf> {
    let begin = format!("plexburst-home-{uid}-");
    let entries = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin))
        .map(|entry| entry.path())
        .collect()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
