//! Whose account, which project, which zone: scw's own conventions (facts: cloud §2), so that whoever uses its tools has
//! nothing to set up twice.
//!
//! An explicit value wins over the environment, that over the profile that is picked, that over the file's top level. The
//! keys are read at the moment of use and are never part of a burst's request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::secret::Token;

/// Where the API is.
pub const API: &str = "https://api.scaleway.com";
/// The zone when neither a zone nor a region is named anywhere.
const DEFAULT_ZONE: &str = "fr-par-1";
/// All zones (facts: cloud §1.1).
pub const ZONES: &[&str] = &[
    "fr-par-1", "fr-par-2", "fr-par-3", "nl-ams-1", "nl-ams-2", "nl-ams-3", "pl-waw-1", "pl-waw-2", "pl-waw-3",
    "it-mil-1",
];

/// What the client needs.
#[derive(Debug, Clone)]
pub struct Account {
    /// The secret key.
    pub secret_key: Token,
    /// The project that everything is made in.
    pub project: String,
    /// The zone to begin with.
    pub zone: String,
    /// Base URL, without a slash at the end.
    pub api_url: String,
    /// Where the key came from, for messages.
    pub source: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    active_profile: Option<String>,
    profiles: BTreeMap<String, Values>,
    #[serde(flatten)]
    top: Values,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Values {
    secret_key: Option<String>,
    default_project_id: Option<String>,
    default_region: Option<String>,
    default_zone: Option<String>,
    api_url: Option<String>,
}

/// What `[scaleway]` in plexburst.toml says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explicit {
    /// A profile of scw's file.
    pub profile: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// The zone.
    pub zone: Option<String>,
    /// Another API (a simulator).
    pub api_url: Option<String>,
}

/// The file that is read, if there is one.
fn path(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = env("SCW_CONFIG_PATH") {
        return Some(path.into());
    }
    let dir = env("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(dir.join("scw/config.yaml")).filter(|path| path.is_file())
}

/// Settles the account.
///
/// # Errors
/// A file that cannot be read, a profile that it lacks, no key, no project.
pub fn account(explicit: &Explicit, env: &dyn Fn(&str) -> Option<String>) -> Result<Account> {
    let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let path = path(&env);
    let file = match &path {
        None => File::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Error::usage(format!("cannot read scw's configuration {}", path.display())).because(e))?;
            // The parser's message may quote the line, and the line may be the key.
            serde_saphyr::from_str(&text).map_err(|_| {
                Error::usage(format!("{} is not the YAML that scw writes", path.display()))
                    .hint("`scw init` writes it anew; or set SCW_SECRET_KEY and SCW_DEFAULT_PROJECT_ID")
            })?
        }
    };
    let named = explicit
        .profile
        .clone()
        .or_else(|| env("SCW_PROFILE"))
        .or_else(|| file.active_profile.clone());
    let profile = match &named {
        None => Values::default(),
        // scw itself calls the top level so.
        Some(name) if name == "default" && !file.profiles.contains_key(name) => Values::default(),
        Some(name) => file.profiles.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = file.profiles.keys().map(String::as_str).collect();
            Error::usage(format!("scw's configuration has no profile {name:?}")).hint(format!(
                "it has: {}; set `scaleway.profile` or SCW_PROFILE",
                known.join(", ")
            ))
        })?,
    };
    let pick = |names: &[&str], of: fn(&Values) -> &Option<String>| {
        names
            .iter()
            .find_map(|name| env(name).map(|value| (value, (*name).to_owned())))
            .or_else(|| of(&profile).clone().map(|v| (v, named.clone().unwrap_or_default())))
            .or_else(|| {
                of(&file.top)
                    .clone()
                    .map(|v| (v, "the top level of scw's configuration".to_owned()))
            })
    };
    let (secret, source) = pick(&["SCW_SECRET_KEY", "SCW_TOKEN"], |v| &v.secret_key).ok_or_else(|| {
        Error::usage("there is no secret key for Scaleway")
            .hint("set SCW_SECRET_KEY, or run `scw init`; docs/scaleway.md says which rights the key needs")
    })?;
    let project = explicit
        .project
        .clone()
        .or_else(|| pick(&["SCW_DEFAULT_PROJECT_ID"], |v| &v.default_project_id).map(|p| p.0))
        .ok_or_else(|| {
            Error::usage("no Scaleway project is named, and nothing is made in a project that was guessed")
                .hint("set SCW_DEFAULT_PROJECT_ID, or `scaleway.project` in plexburst.toml")
        })?;
    let zone = explicit
        .zone
        .clone()
        .or_else(|| pick(&["SCW_DEFAULT_ZONE"], |v| &v.default_zone).map(|z| z.0))
        .or_else(|| pick(&["SCW_DEFAULT_REGION", "SCW_REGION"], |v| &v.default_region).map(|r| format!("{}-1", r.0)))
        .unwrap_or_else(|| DEFAULT_ZONE.to_owned());
    if !ZONES.contains(&zone.as_str()) {
        return Err(Error::usage(format!("Scaleway has no zone {zone:?}")).hint(format!(
            "set `scaleway.zone` or SCW_DEFAULT_ZONE to one of {}",
            ZONES.join(", ")
        )));
    }
    let api_url = explicit
        .api_url
        .clone()
        .or_else(|| pick(&["SCW_API_URL"], |v| &v.api_url).map(|u| u.0))
        .unwrap_or_else(|| API.to_owned());
    Ok(Account {
        secret_key: Token::new(&secret),
        project,
        zone,
        api_url: api_url.trim_end_matches('/').to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "secret_key: 11111111-1111-1111-1111-111111111111\ndefault_project_id: top\n\
        default_region: nl-ams\nactive_profile: work\nprofiles:\n  work:\n    \
        secret_key: 22222222-2222-2222-2222-222222222222\n    default_zone: pl-waw-2\n  other: {default_project_id: o}\n";

    fn settle(explicit: &Explicit, vars: &[(&str, &str)]) -> Result<Account> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, YAML).unwrap();
        account(explicit, &|name| {
            if name == "SCW_CONFIG_PATH" {
                return Some(path.display().to_string());
            }
            vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn explicit_over_environment_over_profile_over_top() {
        let a = settle(&Explicit::default(), &[]).unwrap();
        assert_eq!((a.project.as_str(), a.zone.as_str()), ("top", "pl-waw-2"));
        assert!(a.secret_key.reveal().starts_with('2') && a.source == "work");
        let a = settle(
            &Explicit::default(),
            &[("SCW_SECRET_KEY", "3"), ("SCW_DEFAULT_ZONE", "it-mil-1")],
        )
        .unwrap();
        assert_eq!((a.secret_key.reveal(), a.zone.as_str()), ("3", "it-mil-1"));
        let explicit = Explicit {
            profile: Some("other".into()),
            zone: Some("fr-par-2".into()),
            ..Explicit::default()
        };
        let a = settle(&explicit, &[("SCW_DEFAULT_ZONE", "it-mil-1")]).unwrap();
        assert_eq!((a.project.as_str(), a.zone.as_str()), ("o", "fr-par-2"));
        assert!(a.secret_key.reveal().starts_with('1'));
    }

    #[test]
    fn what_is_missing_is_named_and_no_key_is_shown() {
        let e = account(&Explicit::default(), &|_| None).unwrap_err();
        assert!(e.hint_text().unwrap().contains("SCW_SECRET_KEY"));
        let explicit = Explicit {
            profile: Some("nope".into()),
            ..Explicit::default()
        };
        assert!(
            settle(&explicit, &[])
                .unwrap_err()
                .hint_text()
                .unwrap()
                .contains("work")
        );
        let zone = Explicit {
            zone: Some("fr-par-9".into()),
            ..Explicit::default()
        };
        assert!(settle(&zone, &[]).is_err());
        let account = settle(&Explicit::default(), &[]).unwrap();
        assert!(!format!("{account:?}").contains("2222"));
    }

    #[test]
    fn a_file_that_is_none_is_refused_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, "secret_key: [ very-secret\n").unwrap();
        let e = account(&Explicit::default(), &|n| {
            (n == "SCW_CONFIG_PATH").then(|| path.display().to_string())
        })
        .unwrap_err();
        assert!(!e.chain().contains("very-secret"), "{}", e.chain());
    }
}
