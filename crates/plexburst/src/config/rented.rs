//! What renting a machine needs from outside of plexburst.toml: the account, read when it is used and never kept, and the
//! sizes that the earlier scripts' variables named.

use std::collections::BTreeMap;

use super::Settings;
use crate::cloud::scaleway::Account;
use crate::cloud::scaleway::config::{self, Explicit};
use crate::error::Result;

/// Variables of the earlier scripts that size a machine (facts: legacy §2).
const SIZES: &[&str] = &[
    "INSTANCE_TYPE",
    "ROOT_VOLUME_SIZE",
    "LITE_INSTANCE_TYPE",
    "LITE_ROOT_VOLUME_SIZE",
    "STANDARD_INSTANCE_TYPE",
    "STANDARD_ROOT_VOLUME_SIZE",
    "POWER_INSTANCE_TYPE",
    "POWER_ROOT_VOLUME_SIZE",
    "SUPERPOWER_INSTANCE_TYPE",
    "SUPERPOWER_ROOT_VOLUME_SIZE",
];

/// The Scaleway account in force: `[scaleway]`, else scw's own conventions.
///
/// # Errors
/// No key, no project, a configuration that cannot be read.
pub fn account(of: &super::Scaleway) -> Result<Account> {
    let explicit = Explicit {
        profile: of.profile.clone(),
        project: of.project.clone(),
        zone: of.zone.clone(),
        api_url: of.api_url.clone(),
    };
    config::account(&explicit, &|name| std::env::var(name).ok())
}

/// What the earlier scripts' variables say of sizes, by name.
#[must_use]
pub fn sizes(settings: &Settings) -> BTreeMap<String, String> {
    let mut found = settings.earlier_sizes.clone();
    for name in SIZES {
        if let Ok(value) = std::env::var(name) {
            found.insert((*name).to_owned(), value);
        }
    }
    found
}

/// Whether a name of an `.env` sizes a machine.
pub(super) fn is_size(name: &str) -> bool {
    SIZES.contains(&name)
}
