//! Which machine: what is wished for, what is offered, and the profiles that users of the earlier scripts know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::price::Price;
use crate::error::{Error, Result};

/// (profile, type, GB of its volume): facts, legacy §4.
pub const PROFILES: &[(&str, &str, u64)] = &[
    ("lite", "DEV1-S", 20),
    ("standard", "DEV1-M", 40),
    ("power", "GP1-S", 100),
    ("superpower", "GP1-M", 100),
];
/// The profile when nothing is said.
pub const DEFAULT_PROFILE: &str = "standard";
/// The least that an operating system's volume may have.
pub const LEAST_VOLUME_GB: u64 = 10;

/// What a burst needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// Types in the order of preference; the first that can be had is taken.
    pub types: Vec<String>,
    /// GB of disk that the library, its bundles and the mount's cache need.
    pub volume_gb: u64,
    /// Zones in the order of preference.
    pub zones: Vec<String>,
    /// Sonic analysis runs on x86-64 only (facts: plex §6).
    pub needs_x86_64: bool,
}

/// A machine that can be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The provider's name of the type.
    pub commercial_type: String,
    /// Where.
    pub zone: String,
    /// vCPUs.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// GB of its volume.
    pub volume_gb: u64,
    /// Whether the volume is on the host's disk and goes with the server.
    pub is_local: bool,
    /// "x86_64" or "arm64".
    pub arch: String,
    /// What it costs.
    pub price: Price,
    /// The provider's word for the stock: "available", "scarce", "shortage".
    pub stock: String,
}

/// A profile as it is settled: the type and the least volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The provider's name of the type.
    pub commercial_type: String,
    /// GB.
    pub volume_gb: u64,
}

/// What `--instance` (or the configuration) means: a profile's name, or a type of the provider. `overrides` are what the
/// earlier scripts' variables said, as `POWER_INSTANCE_TYPE` or `ROOT_VOLUME_SIZE`.
///
/// # Errors
/// A word that is neither a profile nor looks like a type; a size that is no number.
pub fn profile(word: Option<&str>, overrides: &BTreeMap<String, String>) -> Result<Profile> {
    let size = |name: &str| -> Result<Option<u64>> {
        let Some(text) = overrides.get(name) else {
            return Ok(None);
        };
        let digits = text.trim().trim_end_matches("GB").trim_end_matches('G').trim();
        digits.parse().map(Some).map_err(|_| {
            Error::usage(format!("{name} is {text:?}, which is no number of gigabytes"))
                .hint("write it like 40 or 40GB")
        })
    };
    let general = size("ROOT_VOLUME_SIZE")?;
    let word = match (word, overrides.get("INSTANCE_TYPE")) {
        (Some(word), _) => word,
        (None, Some(named)) => named.as_str(),
        (None, None) => DEFAULT_PROFILE,
    };
    if let Some((name, own_type, volume)) = PROFILES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(word)) {
        let upper = name.to_uppercase();
        let commercial_type = overrides
            .get(&format!("{upper}_INSTANCE_TYPE"))
            .cloned()
            .unwrap_or_else(|| (*own_type).to_owned());
        let volume_gb = size(&format!("{upper}_ROOT_VOLUME_SIZE"))?
            .or(general)
            .unwrap_or(*volume);
        return Ok(Profile {
            commercial_type,
            volume_gb,
        });
    }
    let looks_like_a_type = word.contains('-') && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !looks_like_a_type {
        let names: Vec<&str> = PROFILES.iter().map(|(name, ..)| *name).collect();
        return Err(
            Error::usage(format!("{word:?} is neither a profile nor a type of instance"))
                .hint(format!("--instance takes {} or a type like GP1-S", names.join(", "))),
        );
    }
    Ok(Profile {
        commercial_type: word.to_uppercase(),
        volume_gb: general.unwrap_or(LEAST_VOLUME_GB),
    })
}

/// The type asked for, then those of at least its size, cheapest first: what is taken when it is out of stock.
#[must_use]
pub fn with_alternatives(first: &str, needs_x86_64: bool) -> Vec<String> {
    let mut types = vec![first.to_owned()];
    let Some(&(_, cpus, memory, ..)) = super::price::TABLE.iter().find(|(name, ..)| *name == first) else {
        return types;
    };
    let mut larger: Vec<_> = super::price::TABLE
        .iter()
        .filter(|(name, c, m, .., x86)| *name != first && *c >= cpus && *m >= memory && (*x86 || !needs_x86_64))
        .collect();
    larger.sort_by(|a, b| a.3.total_cmp(&b.3));
    types.extend(larger.iter().take(3).map(|(name, ..)| (*name).to_owned()));
    types
}

/// GB that a worker needs: the library three times over (restored, base, a checkpoint), what it makes, the system, and a
/// cache for the mount.
#[must_use]
pub fn volume_for(library_bytes: u64, bundle_bytes: u64) -> u64 {
    const GB: u64 = 1_000_000_000;
    let own = library_bytes.saturating_mul(3).saturating_add(bundle_bytes);
    LEAST_VOLUME_GB + own.div_ceil(GB) + 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn profiles_types_and_the_earlier_variables() {
        let none = BTreeMap::new();
        assert_eq!(profile(None, &none).unwrap().commercial_type, "DEV1-M");
        assert_eq!(profile(Some("power"), &none).unwrap().volume_gb, 100);
        let env = map(&[("POWER_INSTANCE_TYPE", "GP1-XS"), ("ROOT_VOLUME_SIZE", "60GB")]);
        let power = profile(Some("Power"), &env).unwrap();
        assert_eq!((power.commercial_type.as_str(), power.volume_gb), ("GP1-XS", 60));
        assert_eq!(
            profile(None, &map(&[("INSTANCE_TYPE", "gp1-l")]))
                .unwrap()
                .commercial_type,
            "GP1-L"
        );
        assert!(
            profile(Some("huge"), &none)
                .unwrap_err()
                .hint_text()
                .unwrap()
                .contains("superpower")
        );
        assert!(profile(None, &map(&[("ROOT_VOLUME_SIZE", "much")])).is_err());
    }

    #[test]
    fn what_is_out_of_stock_is_replaced_by_at_least_as_much() {
        let types = with_alternatives("DEV1-M", true);
        assert_eq!(types[0], "DEV1-M");
        assert!(types.len() > 1 && !types.contains(&"DEV1-S".to_owned()), "{types:?}");
        assert!(types.iter().all(|t| !t.starts_with("BASIC2-A")), "{types:?}");
        assert_eq!(with_alternatives("X-1", true), ["X-1"]);
    }

    #[test]
    fn a_volume_grows_with_the_library() {
        assert_eq!(volume_for(0, 0), 15);
        assert_eq!(volume_for(2_500_000_000, 1_000_000_000), 24);
    }
}
