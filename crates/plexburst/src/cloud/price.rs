//! What things cost: euros, the unit that clouds bill in, and a dated table for when the provider's own cannot be read.
//!
//! Source of the table: Scaleway's product catalogue, fr-par-1, as answered on 2026-07-01, without VAT. Prices moved by a
//! third within the eight months before (facts: cloud §1.12), so whatever is computed from it is shown with its date.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Date of the table below.
pub const TABLE_DATE: &str = "2026-07-01";

/// (type, vCPUs, GiB of memory, euros per hour, GB of local storage at most; 0: network volumes only, x86-64)
pub const TABLE: &[(&str, u32, u32, f64, u64, bool)] = &[
    ("DEV1-S", 2, 2, 0.008_976, 20, true),
    ("DEV1-M", 3, 4, 0.020_196, 40, true),
    ("DEV1-L", 4, 8, 0.042_84, 80, true),
    ("DEV1-XL", 4, 12, 0.065_076, 120, true),
    ("GP1-XS", 4, 16, 0.092_82, 150, true),
    ("GP1-S", 8, 32, 0.190_74, 300, true),
    ("GP1-M", 16, 64, 0.383_52, 600, true),
    ("GP1-L", 32, 128, 0.774_18, 600, true),
    ("PLAY2-NANO", 2, 4, 0.027_54, 0, true),
    ("PLAY2-MICRO", 4, 8, 0.055_08, 0, true),
    ("PRO2-XS", 4, 16, 0.112_2, 0, true),
    ("PRO2-S", 8, 32, 0.223_38, 0, true),
    ("PRO2-M", 16, 64, 0.446_76, 0, true),
    ("POP2-4C-16G", 4, 16, 0.147, 0, true),
    ("POP2-8C-32G", 8, 32, 0.29, 0, true),
    ("POP2-16C-64G", 16, 64, 0.59, 0, true),
    ("BASIC3-X4C-16G", 4, 16, 0.118_45, 0, true),
    ("BASIC3-X8C-32G", 8, 32, 0.236_8, 0, true),
    ("BASIC2-A4C-8G", 4, 8, 0.051_7, 0, false),
    ("BASIC2-A8C-16G", 8, 16, 0.103_4, 0, false),
];

/// Euros per GB and hour of a local volume; of a network volume (5k IOPS). 2025-03; in Paris 3 1.5 times as much.
pub const LOCAL_GB_HOUR: f64 = 0.000_044;
/// See [`LOCAL_GB_HOUR`].
pub const BLOCK_GB_HOUR: f64 = 0.000_118;

/// Euros per hour, by what they are for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// The machine.
    pub server: f64,
    /// Its volume.
    pub volume: f64,
    /// Its address.
    pub address: f64,
    /// Where the numbers come from: "product catalogue", or the table with its date.
    pub source: String,
}

impl Price {
    /// Nothing: a machine that the user has anyway.
    #[must_use]
    pub fn none() -> Self {
        Self {
            server: 0.0,
            volume: 0.0,
            address: 0.0,
            source: "your own machine".to_owned(),
        }
    }

    /// Euros per hour for everything.
    #[must_use]
    pub fn per_hour(&self) -> f64 {
        self.server + self.volume + self.address
    }

    /// Euros for `seconds`: each started hour in full, and one at least (facts: cloud §0.6).
    #[must_use]
    pub fn of(&self, seconds: u64) -> f64 {
        self.per_hour() * started_hours(seconds)
    }
}

/// Started hours, one at least.
#[must_use]
pub fn started_hours(seconds: u64) -> f64 {
    // Far below 2^52 hours.
    #[allow(clippy::cast_precision_loss)]
    let hours = seconds.div_ceil(3600).max(1) as f64;
    hours
}

/// An amount in euros, to the cent, and to the tenth of one below ten cents.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Euros(pub f64);

impl fmt::Display for Euros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 != 0.0 && self.0 < 0.1 {
            write!(f, "EUR {:.3}", self.0)
        } else {
            write!(f, "EUR {:.2}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_hour_is_an_hour() {
        let price = Price {
            server: 0.19,
            volume: 0.01,
            address: 0.0,
            source: String::new(),
        };
        assert_eq!(started_hours(0), 1.0);
        assert_eq!(started_hours(3600), 1.0);
        assert_eq!(started_hours(3601), 2.0);
        assert!((price.of(7201) - 0.6).abs() < 1e-9);
        assert_eq!(Euros(price.of(10)).to_string(), "EUR 0.20");
        assert_eq!(Euros(0.008_976).to_string(), "EUR 0.009");
    }
}
