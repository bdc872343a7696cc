//! A stand-in for plex.tv: a directory of JSON files that servers on this machine share.
//!
//! ```text
//! accounts/<name>.json   who there is: plex.tv id, name, mail, token, Plex Pass or not
//! claims/<token>.json    claim tokens that nobody has used yet
//! claims/used/           those that were: a claim is renamed there first, so two servers cannot both win it
//! servers/<machine>.json which server was claimed by whom, and with which token
//! ```
//!
//! A claim is good for four minutes and once (facts/plex.md §7.3). Nothing here speaks to the Internet.

mod http;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use http::Served;

use crate::server::random;
use crate::store::clock::now;

/// How long a claim token is good.
pub const CLAIM_SECONDS: i64 = 240;

/// The directory that stands in for plex.tv.
#[derive(Debug, Clone)]
pub struct PlexTv {
    root: PathBuf,
}

/// Someone with an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// The plex.tv user id.
    pub id: i64,
    /// The user name.
    pub username: String,
    /// The mail address.
    pub email: String,
    /// The account's own token: what a client signs in with.
    pub token: String,
    /// Whether the account has a Plex Pass.
    pub pass: bool,
}

/// A server that was claimed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimedServer {
    /// Its machine identifier.
    pub machine: String,
    /// The token that plex.tv gave it (PlexOnlineToken).
    pub token: String,
    /// The file name of its account.
    pub account: String,
    /// Unix seconds.
    pub claimed_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    account: String,
    issued_at: i64,
}

/// Why plex.tv said no.
#[derive(Debug, thiserror::Error)]
pub enum PlexTvError {
    /// Never issued, used before, or too old.
    #[error("plex.tv does not know this claim token (it is good for four minutes, and once)")]
    NoSuchClaim,
    /// The stand-in's files could not be used.
    #[error("cannot use the plex.tv stand-in at {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PlexTv {
    /// The stand-in in that directory; nothing is made until something is issued.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A fresh claim token of the household's account, which is made when it is not there yet.
    pub fn issue_claim(&self, pass: bool) -> Result<String, PlexTvError> {
        let name = self.household(pass)?.username;
        self.issue_claim_for(&name)
    }

    /// The household's account, made when it is not there yet.
    pub fn household(&self, pass: bool) -> Result<Account, PlexTvError> {
        let name = if pass { "owner" } else { "owner-without-pass" };
        if let Some(account) = self.account(name)? {
            return Ok(account);
        }
        let account = Account {
            id: if pass { 1_000_001 } else { 1_000_002 },
            username: name.to_owned(),
            email: format!("{name}@example.com"),
            token: self.fresh_token()?,
            pass,
        };
        self.write(&self.account_path(name), &account)?;
        Ok(account)
    }

    /// A fresh claim token of the account in that file.
    pub(crate) fn issue_claim_for(&self, name: &str) -> Result<String, PlexTvError> {
        let token = format!("claim-{}", self.fresh_token()?);
        self.write(
            &self.claim_path(&token),
            &Claim {
                account: name.to_owned(),
                issued_at: now(),
            },
        )?;
        Ok(token)
    }

    /// Trades a claim for the token of the server `machine`.
    pub fn exchange(&self, claim: &str, machine: &str) -> Result<(ClaimedServer, Account), PlexTvError> {
        let plain = claim
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !plain || !claim.starts_with("claim-") {
            return Err(PlexTvError::NoSuchClaim);
        }
        let (from, to) = (
            self.claim_path(claim),
            self.root.join("claims/used").join(format!("{claim}.json")),
        );
        self.folder_of(&to)?;
        match fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PlexTvError::NoSuchClaim);
            }
            Err(source) => return Err(PlexTvError::Io { path: from, source }),
        }
        let claim: Claim = self.read(&to)?.ok_or(PlexTvError::NoSuchClaim)?;
        if now() - claim.issued_at > CLAIM_SECONDS {
            return Err(PlexTvError::NoSuchClaim);
        }
        let account = self.account(&claim.account)?.ok_or(PlexTvError::NoSuchClaim)?;
        let server = ClaimedServer {
            machine: machine.to_owned(),
            token: self.fresh_token()?,
            account: claim.account,
            claimed_at: now(),
        };
        self.write(&self.root.join("servers").join(format!("{machine}.json")), &server)?;
        Ok((server, account))
    }

    /// The account that owns the server with that PlexOnlineToken.
    pub fn owner(&self, machine: &str, token: &str) -> Result<Option<Account>, PlexTvError> {
        let server: Option<ClaimedServer> = self.read(&self.root.join("servers").join(format!("{machine}.json")))?;
        match server {
            Some(server) if server.token == token => self.account(&server.account),
            _ => Ok(None),
        }
    }

    /// The servers that the account in that file has claimed.
    pub fn servers_of(&self, name: &str) -> Result<Vec<ClaimedServer>, PlexTvError> {
        let folder = self.root.join("servers");
        let io = |source| PlexTvError::Io {
            path: folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io)?,
        };
        let mut servers = Vec::new();
        for entry in entries {
            servers.extend(self.read::<ClaimedServer>(&entry.map_err(io)?.path())?);
        }
        servers.retain(|server| server.account == name);
        servers.sort_by(|a, b| a.machine.cmp(&b.machine));
        Ok(servers)
    }

    /// Takes a server out of its account: its token is worth nothing any more.
    pub fn forget(&self, machine: &str) -> Result<(), PlexTvError> {
        let path = self.root.join("servers").join(format!("{machine}.json"));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PlexTvError::Io { path, source }),
            _ => Ok(()),
        }
    }

    /// The account with that token, owner or not.
    pub fn account_of_token(&self, token: &str) -> Result<Option<Account>, PlexTvError> {
        Ok(self.named_account_of_token(token)?.map(|(_, account)| account))
    }

    /// The same with the name of its file.
    pub(crate) fn named_account_of_token(&self, token: &str) -> Result<Option<(String, Account)>, PlexTvError> {
        let folder = self.root.join("accounts");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(PlexTvError::Io { path: folder, source });
            }
        };
        for entry in entries {
            let entry = entry.map_err(|source| PlexTvError::Io {
                path: folder.clone(),
                source,
            })?;
            if let Some(account) = self.read::<Account>(&entry.path())?
                && account.token == token
            {
                let name = entry
                    .path()
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                return Ok(Some((name, account)));
            }
        }
        Ok(None)
    }

    /// Adds (or replaces) an account: a friend, a second person of the home.
    pub fn put_account(&self, name: &str, account: &Account) -> Result<(), PlexTvError> {
        self.write(&self.account_path(name), account)
    }

    fn account(&self, name: &str) -> Result<Option<Account>, PlexTvError> {
        self.read(&self.account_path(name))
    }

    fn account_path(&self, name: &str) -> PathBuf {
        self.root.join("accounts").join(format!("{name}.json"))
    }

    fn claim_path(&self, token: &str) -> PathBuf {
        self.root.join("claims").join(format!("{token}.json"))
    }

    fn fresh_token(&self) -> Result<String, PlexTvError> {
        random::token().map_err(|source| PlexTvError::Io {
            path: self.root.clone(),
            source,
        })
    }

    fn folder_of(&self, path: &Path) -> Result<(), PlexTvError> {
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|source| PlexTvError::Io {
            path: folder.to_owned(),
            source,
        })
    }

    fn write(&self, path: &Path, value: &impl Serialize) -> Result<(), PlexTvError> {
        self.folder_of(path)?;
        let bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from);
        bytes
            .and_then(|bytes| crate::prefs::publish(path, &bytes))
            .map_err(|source| PlexTvError::Io {
                path: path.to_owned(),
                source,
            })
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, path: &Path) -> Result<Option<T>, PlexTvError> {
        let io = |source| PlexTvError::Io {
            path: path.to_owned(),
            source,
        };
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| io(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_good_once_and_for_four_minutes() {
        let dir = tempfile::tempdir().unwrap();
        let plextv = PlexTv::at(dir.path());
        let claim = plextv.issue_claim(true).unwrap();
        let (server, account) = plextv.exchange(&claim, "aa").unwrap();
        assert!(account.pass);
        assert_eq!(plextv.owner("aa", &server.token).unwrap().unwrap().id, account.id);
        assert!(plextv.owner("aa", "other").unwrap().is_none());
        assert!(matches!(plextv.exchange(&claim, "bb"), Err(PlexTvError::NoSuchClaim)));
        assert!(matches!(
            plextv.exchange("claim-../x", "bb"),
            Err(PlexTvError::NoSuchClaim)
        ));

        let old = plextv.issue_claim(false).unwrap();
        let path = plextv.claim_path(&old);
        let stale = Claim {
            account: "owner-without-pass".into(),
            issued_at: now() - CLAIM_SECONDS - 1,
        };
        plextv.write(&path, &stale).unwrap();
        assert!(matches!(plextv.exchange(&old, "bb"), Err(PlexTvError::NoSuchClaim)));
        assert_eq!(
            plextv.account_of_token(&account.token).unwrap().unwrap().username,
            "owner"
        );
        assert!(plextv.account_of_token("nobody").unwrap().is_none());
    }
}
