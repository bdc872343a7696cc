//! A bucket by its keys: what makes it a remote of rclone's without any rclone.conf.
//!
//! The keys are read at the moment of use, from the environment or from a file of mode 0600, and handed to rclone through
//! the environment of its process (`RCLONE_CONFIG_…`). They never stand on a command line, in a log, or in a file that
//! this program writes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::{Error, io_error};
use super::remote::Remote;
use crate::config::S3;
use crate::plex::client::Token;

/// The remote's name among rclone's variables.
const NAME: &str = "PLEXBURST";
/// Pairs of names that the keys go by: Amazon's, Scaleway's.
const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("SCW_ACCESS_KEY", "SCW_SECRET_KEY"),
];
const REGIONS: [&str; 3] = ["AWS_REGION", "AWS_DEFAULT_REGION", "SCW_DEFAULT_REGION"];

/// The bucket as a remote, its name alone: no keys are read.
pub(super) fn named(s3: &S3) -> Remote {
    Remote::new(
        &format!("{NAME}:{}", s3.bucket.trim_matches('/')),
        Some("/dev/null".into()),
    )
}

/// The bucket with its keys, which come from the file or from `env`.
///
/// # Errors
/// [`Error::NoKeys`]; the file cannot be read.
pub(super) fn with_keys(s3: &S3, env: &dyn Fn(&str) -> Option<String>) -> Result<Remote, Error> {
    let file = match &s3.credentials_file {
        Some(path) => read(path, &s3.bucket)?,
        None => BTreeMap::new(),
    };
    let find = |name: &str| {
        let value = file.get(name).cloned().or_else(|| env(name));
        value.filter(|value| !value.trim().is_empty())
    };
    let pair = KEYS
        .iter()
        .find_map(|(key, secret)| Some((*key, find(key)?, find(secret)?)));
    let Some((name, key, secret)) = pair else {
        let where_ = match &s3.credentials_file {
            Some(path) => format!("neither {} nor the environment has them", path.display()),
            None => "the environment has none".to_owned(),
        };
        return Err(Error::NoKeys {
            bucket: s3.bucket.clone(),
            said: where_,
        });
    };
    let region = s3.region.clone().or_else(|| REGIONS.iter().find_map(|name| find(name)));
    let is_scaleway = s3
        .endpoint
        .as_ref()
        .map_or(name.starts_with("SCW"), |at| at.contains(".scw.cloud"));
    let endpoint = s3.endpoint.clone().or_else(|| {
        let region = region.as_deref().unwrap_or("fr-par");
        is_scaleway.then(|| format!("https://s3.{region}.scw.cloud"))
    });
    let provider = s3.provider.clone().unwrap_or_else(|| {
        let known = match (is_scaleway, &endpoint) {
            (true, _) => "Scaleway",
            (false, None) => "AWS",
            (false, Some(_)) => "Other",
        };
        known.to_owned()
    });
    let mut remote = named(s3);
    let values = [
        ("TYPE", Some("s3".to_owned())),
        ("PROVIDER", Some(provider)),
        ("ENDPOINT", endpoint),
        ("REGION", region),
        ("NO_CHECK_BUCKET", Some("true".to_owned())),
        ("ACCESS_KEY_ID", Some(key)),
        ("SECRET_ACCESS_KEY", Some(secret)),
    ];
    remote.variables = values
        .into_iter()
        .filter_map(|(name, value)| Some((format!("RCLONE_CONFIG_{NAME}_{name}"), Token::new(&value?))))
        .collect();
    Ok(remote)
}

/// `NAME=value` lines of a file that only its owner may read.
fn read(path: &Path, bucket: &str) -> Result<BTreeMap<String, String>, Error> {
    let reading = || format!("read the keys in {}", path.display());
    let metadata = fs::metadata(path).map_err(io_error(reading()))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::NoKeys {
            bucket: bucket.to_owned(),
            said: format!(
                "{} can be read by others (mode {mode:04o}): `chmod 600` it",
                path.display()
            ),
        });
    }
    let text = fs::read_to_string(path).map_err(io_error(reading()))?;
    let lines = text.lines().filter_map(|line| {
        let line = line.trim();
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        Some((name.trim().to_owned(), value.to_owned()))
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> S3 {
        S3 {
            bucket: "music/all/".into(),
            ..S3::default()
        }
    }

    fn value<'a>(remote: &'a Remote, name: &str) -> Option<&'a str> {
        let name = format!("RCLONE_CONFIG_PLEXBURST_{name}");
        remote
            .environment()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    #[test]
    fn keys_of_the_environment_by_their_own_names() {
        let scaleway = |name: &str| match name {
            "SCW_ACCESS_KEY" => Some("SCWXXX".to_owned()),
            "SCW_SECRET_KEY" => Some("hidden-secret".to_owned()),
            "SCW_DEFAULT_REGION" => Some("nl-ams".to_owned()),
            _ => None,
        };
        let remote = with_keys(&bucket(), &scaleway).unwrap();
        assert_eq!(remote.name, "PLEXBURST:music/all");
        assert_eq!(value(&remote, "ENDPOINT"), Some("https://s3.nl-ams.scw.cloud"));
        assert_eq!(value(&remote, "PROVIDER"), Some("Scaleway"));
        assert_eq!(value(&remote, "SECRET_ACCESS_KEY"), Some("hidden-secret"));
        assert!(!format!("{remote:?}").contains("hidden-secret"));
        let amazon = |name: &str| name.starts_with("AWS_").then(|| "x".to_owned());
        let remote = with_keys(&bucket(), &amazon).unwrap();
        assert_eq!(
            (value(&remote, "PROVIDER"), value(&remote, "ENDPOINT")),
            (Some("AWS"), None)
        );
        let none = with_keys(&bucket(), &|_| None).unwrap_err();
        assert!(matches!(none, Error::NoKeys { .. }) && none.hint().unwrap().contains("AWS_ACCESS_KEY_ID"));
    }

    #[test]
    fn keys_of_a_file_that_nobody_else_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        fs::write(&path, "export AWS_ACCESS_KEY_ID=\"K\"\nAWS_SECRET_ACCESS_KEY=S\n").unwrap();
        let s3 = S3 {
            endpoint: Some("http://127.0.0.1:9".into()),
            credentials_file: Some(path.clone()),
            ..bucket()
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(with_keys(&s3, &|_| None).unwrap_err().to_string().contains("mode 0644"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let remote = with_keys(&s3, &|_| None).unwrap();
        assert_eq!(
            (value(&remote, "ACCESS_KEY_ID"), value(&remote, "PROVIDER")),
            (Some("K"), Some("Other"))
        );
    }
}
