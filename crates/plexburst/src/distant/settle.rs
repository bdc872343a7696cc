//! The configuration for home's machine: what is settled here, with this machine's files turned into files in memory there.
//!
//! Paths of the library, of the media's folder, of the worker and of a depot's folder are home's own. Whatever opens
//! something (rclone.conf, keys, tokens, a claim) is a file of this machine, and is sent along.

use std::path::PathBuf;

use super::order::{Order, VERSION};
use crate::config::{Settings, rented};
use crate::error::{Error, Result};
use crate::host::secrets::Secrets;

/// Where things lie there.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The folder of plexburst.
    pub base: String,
    /// The folder in memory.
    pub secrets: String,
}

/// Whether a command has to do with rented machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// It has not.
    NotNeeded,
    /// It may, if there is an account.
    IfThere,
    /// It has.
    Needed,
}

/// The order that has `args` carried out there with the configuration of here.
///
/// # Errors
/// A file that is to go along cannot be read.
pub fn order(settings: &Settings, folders: &Folders, account: Account, args: Vec<String>) -> Result<Order> {
    let mut config = settings.config.clone();
    config.state_dir = Some(folders.base.clone().into());
    config.home.host = None;
    config.home.ssh_config = None;
    config.home.directory = None;
    // The default is a folder of this machine; over there it is one of that machine's.
    if config.depot.directory.as_ref() == Some(&settings.state_dir.join("depot")) {
        config.depot.directory = None;
    }
    let mut secrets = Secrets::new(&folders.secrets);
    secrets.depot(&mut config.depot)?;
    for (name, slot) in [
        ("depot-identity", &mut config.depot.identity_file),
        ("token", &mut config.home.token_file),
        ("account-token", &mut config.worker.account_token_file),
        ("notify-webhook", &mut config.notify.webhook_file),
        ("notify-ntfy", &mut config.notify.ntfy_file),
    ] {
        // One that is not there yet is missed where it is needed, in that command's own words.
        if slot.as_ref().is_some_and(|path| path.is_file()) {
            secrets.file(name, slot)?;
        }
    }
    if config.media.rclone_config.is_some() || rented::rclone_conf(None).is_ok() {
        secrets.media(&mut config.media)?;
    }
    let may_have_claim = config.worker.claim_file.is_some();
    secrets.claim(&mut config.worker.claim_file)?;
    if may_have_claim {
        // One that is issued later is sent after it.
        config.worker.claim_file = Some(secrets.path("claim"));
    }
    let mut env = Vec::new();
    for (name, value) in rented::sizes(settings) {
        env.push((name, value));
    }
    if let Some(port) = rented::ssh_port() {
        env.push(("PLEXBURST_SSH_PORT".to_owned(), port.to_string()));
    }
    let found = match account {
        Account::NotNeeded => None,
        Account::IfThere => rented::account(&config.scaleway).ok(),
        Account::Needed => Some(rented::account(&config.scaleway)?),
    };
    config.scaleway.profile = None;
    if let Some(account) = found {
        config.scaleway.project = Some(account.project);
        config.scaleway.zone = Some(account.zone);
        config.scaleway.api_url = Some(account.api_url);
        env.push(("SCW_SECRET_KEY".to_owned(), account.secret_key.reveal().to_owned()));
    }
    Ok(Order {
        v: VERSION,
        id: ulid::Ulid::generate().to_string(),
        base: folders.base.clone(),
        secrets: folders.secrets.clone(),
        config: toml::to_string(&config).map_err(|e| Error::unexpected("cannot write the configuration").because(e))?,
        files: secrets.into_files(),
        env,
        args,
    })
}

/// A claim lives four minutes, so it is often put into its file when the burst asks for it: it is sent then.
pub struct LateClaim {
    from: PathBuf,
    to: String,
    sent: Option<String>,
}

impl LateClaim {
    /// The claim file that is configured, and where it lies there.
    #[must_use]
    pub fn of(settings: &Settings, folders: &Folders) -> Option<Self> {
        let from = settings.config.worker.claim_file.clone()?;
        Some(Self {
            sent: std::fs::read_to_string(&from).ok(),
            to: Secrets::new(&folders.secrets).path("claim").display().to_string(),
            from,
        })
    }

    /// Where it goes and what is in it, when that has not been sent yet.
    pub fn news(&mut self) -> Option<(String, String)> {
        let text = std::fs::read_to_string(&self.from).ok()?;
        if text.trim().is_empty() || self.sent.as_ref() == Some(&text) {
            return None;
        }
        self.sent = Some(text.clone());
        Some((self.to.clone(), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &std::path::Path, text: &str) -> Settings {
        std::fs::write(dir.join("plexburst.toml"), text).unwrap();
        let home = dir.display().to_string();
        Settings::load(None, dir, &|name| (name == "HOME").then(|| home.clone())).unwrap()
    }

    fn folders() -> Folders {
        Folders {
            base: "/srv/plexburst".into(),
            secrets: "/dev/shm/s".into(),
        }
    }

    #[test]
    fn what_opens_something_goes_along_and_what_lies_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("rclone.conf"),
            "[mega]\ntype = s3\nsecret = 1\n[other]\nsecret = 2\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("keys"), "access_key_id = a\nsecret_access_key = b\n").unwrap();
        let text = "[home]\nhost = \"nas\"\ndata_dir = \"/srv/pms\"\n[media]\nremote = \"mega:music\"\n\
                    rclone_config = \"rclone.conf\"\n[media.roots]\n\"/Media\" = \"\"\n\
                    [depot]\nremote = \"s3://b\"\ncredentials_file = \"keys\"\n[worker]\nclaim_file = \"claim\"\n";
        let settings = settings(dir.path(), text);
        let order = order(&settings, &folders(), Account::NotNeeded, vec!["plan".into()]).unwrap();
        let config: crate::config::Config = toml::from_str(&order.config).unwrap();
        assert_eq!(config.home.host, None);
        assert_eq!(config.home.data_dir.unwrap(), std::path::Path::new("/srv/pms"));
        assert_eq!(config.state_dir.unwrap(), std::path::Path::new("/srv/plexburst"));
        assert_eq!(
            config.media.rclone_config.unwrap(),
            std::path::Path::new("/dev/shm/s/rclone.conf")
        );
        assert_eq!(config.media.roots, settings.config.media.roots);
        assert_eq!(
            config.worker.claim_file.unwrap(),
            std::path::Path::new("/dev/shm/s/claim")
        );
        let names: Vec<&str> = order.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["depot-credentials", "rclone.conf"]);
        // One remote, not all that the user has.
        assert!(order.files[1].content.contains("secret = 1") && !order.files[1].content.contains("secret = 2"));
        assert!(!order.config.contains("secret"), "{}", order.config);
    }

    #[test]
    fn a_claim_that_is_issued_later_is_news_once() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), "[home]\nhost = \"nas\"\n[worker]\nclaim_file = \"claim\"\n");
        let mut claim = LateClaim::of(&settings, &folders()).unwrap();
        assert_eq!(claim.news(), None);
        std::fs::write(dir.path().join("claim"), "claim-1\n").unwrap();
        assert_eq!(claim.news(), Some(("/dev/shm/s/claim".into(), "claim-1\n".into())));
        assert_eq!(claim.news(), None);
    }

    #[test]
    fn a_depot_that_is_not_configured_is_a_folder_there() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(
            dir.path(),
            "[home]\nhost = \"nas\"\n[media]\ndirectory = \"/srv/media\"\n",
        );
        let order = order(&settings, &folders(), Account::NotNeeded, Vec::new()).unwrap();
        let config: crate::config::Config = toml::from_str(&order.config).unwrap();
        assert_eq!(config.depot.directory, None);
        let relative = "[home]\nhost = \"nas\"\ndata_dir = \"pms\"\n";
        std::fs::write(dir.path().join("plexburst.toml"), relative).unwrap();
        let error = Settings::load(None, dir.path(), &|_| None).unwrap_err();
        assert!(
            error.chain().contains("home.data_dir") && error.chain().contains("nas"),
            "{}",
            error.chain()
        );
    }
}
