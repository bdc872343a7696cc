//! A remote of rclone that is plain S3, as rclone itself knows it: what is needed to ask it without rclone.
//!
//! Must not: guess. A remote with anything that changes what its keys mean (an encoding, another signature, keys from
//! elsewhere) is none, and is left to rclone.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::error::Error;
use super::remote::{Remote, cannot_run};
use crate::plex::client::Token;

/// Endpoint, bucket and keys.
#[derive(Debug, Clone)]
pub(super) struct Store {
    /// As in `s3:bucket`, for messages.
    pub(super) remote: String,
    pub(super) region: String,
    pub(super) access_key: String,
    pub(super) secret_key: Token,
    pub(super) session_token: Option<Token>,
    endpoint: String,
    bucket: String,
    /// Of the remote inside its bucket, without a slash at its ends.
    pub(super) folder: String,
}

/// Settings of rclone's S3 that change nothing here.
const HARMLESS: [&str; 25] = [
    "type",
    "provider",
    "endpoint",
    "region",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "env_auth",
    "location_constraint",
    "acl",
    "bucket_acl",
    "storage_class",
    "chunk_size",
    "upload_cutoff",
    "upload_concurrency",
    "copy_cutoff",
    "disable_checksum",
    "list_version",
    "list_chunk",
    "list_url_encode",
    "no_check_bucket",
    "no_head",
    "no_head_object",
    "force_path_style",
    "description",
];

#[derive(Deserialize)]
#[serde(transparent)]
struct Dump(BTreeMap<String, BTreeMap<String, serde_json::Value>>);

impl Store {
    /// The store behind a remote; none when it is not plain S3.
    ///
    /// # Errors
    /// rclone cannot be run.
    pub(super) async fn of(remote: &Remote) -> Result<Option<Self>, Error> {
        let Some((name, path)) = remote.name.split_once(':') else {
            return Ok(None);
        };
        if !remote.variables.is_empty() {
            // It has no file at all.
            let prefix = variables(name);
            let setting = |(variable, value): (&str, &str)| {
                let setting = variable.strip_prefix(prefix.as_str())?.to_lowercase();
                Some((setting, serde_json::Value::from(value)))
            };
            let settings = remote.environment().filter_map(setting).collect();
            return Ok(Self::from_settings(&remote.name, path, &settings));
        }
        if name.is_empty() || name.contains([',', '"', '\'']) || is_overridden(name) {
            return Ok(None);
        }
        // rclone reads its file itself: it may be encrypted.
        let mut command = tokio::process::Command::new(&remote.program);
        command.args(["config", "dump"]).args(remote.options());
        let output = command
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(cannot_run)?;
        let settings = serde_json::from_slice::<Dump>(&output.stdout)
            .ok()
            .and_then(|mut dump| dump.0.remove(name));
        Ok(settings.and_then(|settings| Self::from_settings(&remote.name, path, &settings)))
    }

    fn from_settings(remote: &str, path: &str, settings: &BTreeMap<String, serde_json::Value>) -> Option<Self> {
        let get = |name: &str| {
            let text = match settings.get(name)? {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (!text.is_empty()).then_some(text)
        };
        let is = |name: &str, wanted: &str| get(name).is_none_or(|value| value == wanted);
        let is_plain = get("type")? == "s3"
            && settings.keys().all(|name| HARMLESS.contains(&name.as_str()))
            && is("env_auth", "false")
            && is("force_path_style", "true")
            && get("list_version").is_none_or(|version| version != "1")
            && get("list_url_encode").is_none_or(|value| value != "false");
        let path = path.trim_matches('/');
        let (bucket, folder) = path.split_once('/').unwrap_or((path, ""));
        if !is_plain || bucket.is_empty() {
            return None;
        }
        let region = get("region").unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = match (get("endpoint"), get("provider").as_deref()) {
            (Some(endpoint), _) if endpoint.contains("://") => endpoint,
            (Some(endpoint), _) => format!("https://{endpoint}"),
            (None, Some("AWS")) => format!("https://s3.{region}.amazonaws.com"),
            (None, _) => return None,
        };
        Some(Self {
            remote: remote.to_owned(),
            region,
            access_key: get("access_key_id")?,
            secret_key: Token::new(&get("secret_access_key")?),
            session_token: get("session_token").map(|token| Token::new(&token)),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            bucket: bucket.to_owned(),
            folder: folder.trim_matches('/').to_owned(),
        })
    }

    /// The bucket's address.
    pub(super) fn url(&self) -> String {
        format!("{}/{}", self.endpoint, self.bucket)
    }

    /// A listing that is not whole.
    pub(super) fn half(&self, why: &str) -> Error {
        Error::HalfListing {
            remote: self.remote.clone(),
            said: why.to_owned(),
        }
    }

    /// The store did not answer, or broke off.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Error {
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            said = next.to_string();
            cause = next.source();
        }
        Error::Unreachable {
            remote: self.remote.clone(),
            said,
        }
    }

    /// A request that could not even be made.
    pub(super) fn rejected(&self, said: &str) -> Error {
        Error::Rclone {
            remote: self.remote.clone(),
            said: said.to_owned(),
        }
    }

    /// What the store's refusal means.
    pub(super) fn complaint(&self, status: u16, said: &str) -> Error {
        let (remote, said) = (self.remote.clone(), said.to_owned());
        match status {
            401 | 403 => Error::WrongKeys { remote, said },
            404 => Error::NoBucket { remote },
            _ => Error::Unreachable { remote, said },
        }
    }
}

/// How rclone's variables for a remote begin.
fn variables(name: &str) -> String {
    format!("RCLONE_CONFIG_{}_", name.to_uppercase().replace('-', "_"))
}

/// Whether the environment lays something over rclone.conf for this remote.
fn is_overridden(name: &str) -> bool {
    let prefix = variables(name);
    std::env::vars_os().any(|(key, _)| {
        let key = key.to_string_lossy();
        key.starts_with(&prefix) || key.starts_with("RCLONE_S3_")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(path: &str, more: &[(&str, &str)]) -> Option<Store> {
        let plain = [
            ("type", "s3"),
            ("provider", "Other"),
            ("endpoint", "s3.example.com"),
            ("access_key_id", "A"),
            ("secret_access_key", "hush"),
        ];
        let settings = plain.iter().chain(more);
        let settings = settings
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        Store::from_settings("r:x", path, &settings)
    }

    #[test]
    fn plain_s3_and_nothing_else() {
        let plain = store("bucket/a/b/", &[]).unwrap();
        assert_eq!(
            (plain.url().as_str(), plain.folder.as_str()),
            ("https://s3.example.com/bucket", "a/b")
        );
        assert!(!format!("{plain:?}").contains("hush"), "{plain:?}");
        for more in [
            ("type", "b2"),
            ("env_auth", "true"),
            ("encoding", "Slash"),
            ("v2_auth", "true"),
            ("list_version", "1"),
            ("force_path_style", "false"),
            ("access_key_id", ""),
        ] {
            assert!(store("bucket", &[more]).is_none(), "{more:?}");
        }
        assert!(store("", &[]).is_none(), "a remote without a bucket");
        let aws = store(
            "bucket",
            &[("provider", "AWS"), ("endpoint", ""), ("region", "eu-west-3")],
        )
        .unwrap();
        assert_eq!(aws.url(), "https://s3.eu-west-3.amazonaws.com/bucket");
    }
}
