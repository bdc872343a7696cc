//! Keys to a depot: out of a file, a remote of rclone, or the environment. They are read when the depot is opened, and
//! stand in no argument list, no log and no file of ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config;
use crate::error::{Error, Result};

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// A pair of keys to S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: Secret,
    /// What temporary keys come with.
    pub(super) token: Option<Secret>,
}

/// The settings of one remote in an `rclone.conf`, as they stand there.
pub(super) type Remote = BTreeMap<String, String>;

/// The keys that `config` names; `remote` is what rclone knows. `None` when there are none anywhere.
pub(super) fn keys(
    config: &config::Depot,
    remote: Option<&Remote>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Keys>> {
    if let Some(path) = &config.credentials_file {
        return from_file(path, "depot.credentials_file").map(Some);
    }
    let get = |map: &Remote, key: &str| map.get(key).filter(|value| !value.is_empty()).cloned();
    if let Some(remote) = remote
        && let Some(id) = get(remote, "access_key_id")
        && let Some(secret) = get(remote, "secret_access_key")
    {
        return Ok(Some(Keys {
            id,
            secret: Secret(secret),
            token: get(remote, "session_token").map(Secret),
        }));
    }
    Ok(match (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Some(Keys {
            id,
            secret: Secret(secret),
            token: env("AWS_SESSION_TOKEN").map(Secret),
        }),
        _ => None,
    })
}

/// `config` with the keys that are meant for a worker in place of the user's own, which do not reach it then.
pub(super) fn for_worker(config: &config::Depot, env: &dyn Fn(&str) -> Option<String>) -> Result<config::Depot> {
    let mut own = config.clone();
    if let Some(file) = own.worker_credentials_file.take() {
        from_file(&file, "depot.worker_credentials_file")?;
        // Of the remote that holds the user's keys only the address is needed.
        if let Some(remote) = rclone(config, env)? {
            let get = |key: &str| remote.get(key).filter(|value| !value.is_empty()).cloned();
            own.endpoint = own.endpoint.or_else(|| get("endpoint"));
            own.region = own.region.or_else(|| get("region"));
        }
        (own.rclone_remote, own.rclone_config) = (None, None);
        own.credentials_file = Some(file);
    }
    if let Some(key) = own.worker_ssh_key.take() {
        if own.rclone_remote.is_some() {
            return Err(Error::usage(
                "depot.worker_ssh_key and depot.rclone_remote do not go together: the remote holds your own key",
            )
            .hint("write the host into `depot.remote` (`sftp://user@host/path`) and unset `depot.rclone_remote`"));
        }
        own.ssh_key = Some(key);
    }
    Ok(own)
}

fn from_file(path: &Path, key: &str) -> Result<Keys> {
    let text = read_private(path, key)?;
    let values = section(&text, None).unwrap_or_default();
    let get = |name: &str| {
        let found = values.get(name).or_else(|| values.get(&format!("aws_{name}")));
        found.filter(|value| !value.is_empty()).cloned()
    };
    let need = |name: &str| {
        get(name).ok_or_else(|| {
            Error::usage(format!("{} has no `{name} = …`", path.display()))
                .hint("it needs `access_key_id = …` and `secret_access_key = …`, a line each")
        })
    };
    Ok(Keys {
        id: need("access_key_id")?,
        secret: Secret(need("secret_access_key")?),
        token: get("session_token").map(Secret),
    })
}

/// A file with a secret, refused when others can read it.
pub(super) fn read_private(path: &Path, key: &str) -> Result<String> {
    crate::secret::read_private(path).map_err(|e| match e.hint_text() {
        Some(_) => e,
        None => e.hint(format!("`{key}` names a file that is there and yours")),
    })
}

/// What `config.rclone_remote` names.
pub(super) fn rclone(config: &config::Depot, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Remote>> {
    let Some(name) = &config.rclone_remote else {
        return Ok(None);
    };
    let name = name.trim_end_matches(':');
    let path = match &config.rclone_config {
        Some(path) => path.clone(),
        None => default_rclone(env)?,
    };
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Error::usage(format!("cannot read {}", path.display()))
            .hint("set `depot.rclone_config` to the rclone.conf that knows the remote")
            .because(e)
    })?;
    if text.starts_with("# Encrypted rclone configuration File") {
        return Err(Error::usage(format!(
            "{} is encrypted, which only rclone itself can read",
            path.display()
        ))
        .hint("set `depot.credentials_file` instead"));
    }
    let remote = section(&text, Some(name)).ok_or_else(|| {
        Error::usage(format!("{} knows no remote {name:?}", path.display()))
            .hint("`rclone listremotes` names those that there are")
    })?;
    match remote.get("type").map(String::as_str) {
        Some("s3" | "sftp") => Ok(Some(remote)),
        other => Err(Error::usage(format!(
            "the remote {name:?} is of type {:?}; a depot lies on s3 or sftp",
            other.unwrap_or("none")
        ))
        .hint("name the s3 or sftp remote beneath it: the depot has an encryption of its own")),
    }
}

fn default_rclone(env: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf> {
    env("RCLONE_CONFIG")
        .map(PathBuf::from)
        .or_else(|| env("XDG_CONFIG_HOME").map(|dir| Path::new(&dir).join("rclone/rclone.conf")))
        .or_else(|| env("HOME").map(|dir| Path::new(&dir).join(".config/rclone/rclone.conf")))
        .ok_or_else(|| Error::usage("rclone.conf is nowhere to be found").hint("set `depot.rclone_config`"))
}

/// The `key = value` lines of a section (`None`: of the whole file); `None` when there is no such section.
fn section(text: &str, name: Option<&str>) -> Option<Remote> {
    let mut inside = name.is_none();
    let mut found = name.is_none().then(Remote::new);
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = name.is_none_or(|name| name == header);
            if inside {
                found.get_or_insert_with(Remote::new);
            }
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
            && let Some(found) = &mut found
        {
            found.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (_dir, path) = file("access_key_id = A\nsecret_access_key = S\n", 0o644);
        let config = config::Depot {
            credentials_file: Some(path),
            ..config::Depot::default()
        };
        let e = keys(&config, None, &none).unwrap_err();
        assert!(e.hint_text().unwrap().starts_with("chmod 600 "), "{e:?}");
    }

    #[test]
    fn the_file_goes_before_rclone_and_the_environment() {
        let (_dir, path) = file("[default]\naws_access_key_id = F\naws_secret_access_key = S\n", 0o600);
        let env = |name: &str| name.starts_with("AWS_").then(|| "E".to_owned());
        let remote = section(
            "[x]\naccess_key_id=R\nsecret_access_key=T\n[y]\naccess_key_id=Y\n",
            Some("x"),
        )
        .unwrap();
        let mut config = config::Depot {
            credentials_file: Some(path),
            ..config::Depot::default()
        };
        assert_eq!(keys(&config, Some(&remote), &env).unwrap().unwrap().id, "F");
        config.credentials_file = None;
        assert_eq!(keys(&config, Some(&remote), &env).unwrap().unwrap().id, "R");
        let found = keys(&config, None, &env).unwrap().unwrap();
        assert_eq!(found.id, "E");
        assert!(!format!("{found:?}").contains("secret: \"E\""), "{found:?}");
        assert_eq!(keys(&config, None, &none).unwrap(), None);
    }

    #[test]
    fn a_worker_gets_keys_of_its_own_and_not_the_users() {
        let (_dir, rclone) = file(
            "[s]\ntype = s3\nendpoint = https://s3.example\nregion = r\naccess_key_id = MINE\nsecret_access_key = MINE\n",
            0o600,
        );
        let (_other, theirs) = file("access_key_id = THEIRS\nsecret_access_key = S\n", 0o600);
        let mut config = config::Depot {
            rclone_config: Some(rclone),
            rclone_remote: Some("s:".into()),
            worker_credentials_file: Some(theirs.clone()),
            ..config::Depot::default()
        };
        let own = for_worker(&config, &none).unwrap();
        assert_eq!(
            keys(&own, super::rclone(&own, &none).unwrap().as_ref(), &none)
                .unwrap()
                .unwrap()
                .id,
            "THEIRS"
        );
        assert_eq!(
            (own.endpoint.as_deref(), own.region.as_deref()),
            (Some("https://s3.example"), Some("r"))
        );
        assert_eq!(
            (own.rclone_remote, own.rclone_config, own.worker_credentials_file),
            (None, None, None)
        );
        // The user's own go on being the user's.
        let mine = keys(&config, super::rclone(&config, &none).unwrap().as_ref(), &none).unwrap();
        assert_eq!(mine.unwrap().id, "MINE");
        // Keys that others can read are no keys, and an SFTP key does not travel beside the remote that has another.
        std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(for_worker(&config, &none).is_err());
        config.worker_credentials_file = None;
        config.worker_ssh_key = Some("key".into());
        assert_eq!(for_worker(&config, &none).unwrap_err().exit(), crate::exit::USAGE);
        config.rclone_remote = None;
        assert_eq!(for_worker(&config, &none).unwrap().ssh_key, Some("key".into()));
    }

    #[test]
    fn a_remote_that_is_no_store_is_named() {
        let (_dir, path) = file("[c]\ntype = crypt\nremote = s3:x\n", 0o600);
        let mut config = config::Depot {
            rclone_config: Some(path),
            rclone_remote: Some("c:".into()),
            ..config::Depot::default()
        };
        assert!(rclone(&config, &none).unwrap_err().chain().contains("crypt"));
        config.rclone_remote = Some("d".into());
        assert!(rclone(&config, &none).unwrap_err().chain().contains("knows no remote"));
    }
}
