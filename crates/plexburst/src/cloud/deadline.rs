//! How long a machine may live: from `--max-hours` and `--max-cost`, whichever comes first.

use super::price::{Euros, Price};
use crate::error::{Error, Result};

/// Hours when nothing is said: the earlier scripts' MAX_LIFETIME_HOURS (facts: legacy §4).
pub const DEFAULT_HOURS: f64 = 96.0;
/// What the end takes, kept back from the deadline: stopping Plex, the delta, parking it.
pub const ENDING: i64 = 30 * 60;

/// Seconds that a machine at this price may live.
///
/// # Errors
/// Limits that do not even pay the first hour.
pub fn seconds(price: &Price, max_hours: Option<f64>, max_cost: Option<f64>) -> Result<i64> {
    let hours = max_hours.unwrap_or(DEFAULT_HOURS);
    if !hours.is_finite() || hours <= 0.0 {
        return Err(Error::usage(format!("--max-hours {hours} is no time")).hint("give it a number of hours, like 12"));
    }
    let mut seconds = hours * 3600.0;
    if let Some(cost) = max_cost {
        let per_hour = price.per_hour();
        if per_hour > 0.0 {
            // Started hours are billed whole, so only whole hours are bought.
            let whole = (cost / per_hour + 1e-9).floor();
            if whole < 1.0 {
                return Err(Error::usage(format!(
                    "--max-cost {cost} does not pay one hour, which is {} and billed in full",
                    Euros(per_hour)
                ))
                .hint("raise --max-cost, or take a smaller --instance"));
            }
            seconds = seconds.min(whole * 3600.0);
        }
    }
    // A week-long number of seconds; the fraction of one does not matter.
    #[allow(clippy::cast_possible_truncation)]
    let seconds = seconds.min(3600.0 * 24.0 * 365.0) as i64;
    Ok(seconds)
}

/// When the worker begins to end by itself, for a machine that has to be gone at `deadline`: a tenth of a short life is
/// kept back, and never more than [`ENDING`].
#[must_use]
pub fn work_until(now: i64, deadline: i64) -> i64 {
    deadline - ((deadline - now) / 10).min(ENDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_limit_counts() {
        let price = Price {
            server: 0.2,
            volume: 0.0,
            address: 0.0,
            source: String::new(),
        };
        assert_eq!(seconds(&price, None, None).unwrap(), 96 * 3600);
        assert_eq!(seconds(&price, Some(2.0), Some(10.0)).unwrap(), 7200);
        assert_eq!(seconds(&price, None, Some(1.0)).unwrap(), 5 * 3600);
        assert!(seconds(&price, None, Some(0.1)).is_err());
        assert!(seconds(&price, Some(0.0), None).is_err());
        assert_eq!(seconds(&Price::none(), Some(1.0), Some(0.0)).unwrap(), 3600);
        assert_eq!(work_until(0, 3600), 3240);
        assert_eq!(work_until(0, 100 * 3600), 100 * 3600 - ENDING);
    }
}
