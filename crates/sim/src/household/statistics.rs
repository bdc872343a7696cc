//! statistics_media and statistics_bandwidth: how much was played, per hour, day, week, month and year.
//!
//! A real server adds to five rows at a time, one per timespan (0 year, 1 month, 2 week, 3 day, 4 hour), keyed by account,
//! device and the start of the span; no unique index enforces that key.

use jiff::ToSpan;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use rusqlite::{Connection, params};

/// The start of the span that `at` lies in.
fn span_start(timespan: i64, at: i64) -> i64 {
    let Ok(moment) = jiff::Timestamp::from_second(at) else {
        return at;
    };
    let moment = moment.to_zoned_datetime(TimeZone::UTC);
    let day = moment.date();
    let start = match timespan {
        0 => day.first_of_year(),
        1 => day.first_of_month(),
        2 => {
            let since = i64::from(day.weekday().since(Weekday::Monday));
            day.checked_sub(since.days()).unwrap_or(day)
        }
        3 => day,
        _ => return at - at.rem_euclid(3600),
    };
    start
        .to_zoned_datetime(TimeZone::UTC)
        .map_or(at, |start| start.timestamp().as_second())
}

/// Adds one playing of `seconds`.
pub(crate) fn played(
    db: &Connection,
    account: i64,
    device: Option<i64>,
    metadata_type: i64,
    seconds: i64,
    at: i64,
) -> rusqlite::Result<()> {
    for timespan in 0..5 {
        let start = span_start(timespan, at);
        let added = db.execute(
            "UPDATE statistics_media SET count = count + 1, duration = duration + ?6
             WHERE account_id = ?1 AND device_id IS ?2 AND timespan = ?3 AND at = ?4 AND metadata_type = ?5",
            params![account, device, timespan, start, metadata_type, seconds],
        )?;
        if added == 0 {
            db.execute(
                "INSERT INTO statistics_media (account_id, device_id, timespan, at, metadata_type, count, duration)
                 VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)",
                params![account, device, timespan, start, metadata_type, seconds],
            )?;
        }
    }
    Ok(())
}

/// Adds bytes that were sent.
pub(crate) fn sent(
    db: &Connection,
    account: i64,
    device: Option<i64>,
    lan: bool,
    bytes: i64,
    at: i64,
) -> rusqlite::Result<()> {
    for timespan in 1..5 {
        let start = span_start(timespan, at);
        let added = db.execute(
            "UPDATE statistics_bandwidth SET bytes = bytes + ?6
             WHERE account_id = ?1 AND device_id IS ?2 AND timespan = ?3 AND at = ?4 AND lan = ?5",
            params![account, device, timespan, start, lan, bytes],
        )?;
        if added == 0 {
            db.execute(
                "INSERT INTO statistics_bandwidth (account_id, device_id, timespan, at, lan, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![account, device, timespan, start, lan, bytes],
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_a_real_library_has_them() {
        // Rows of one playing on 2024-01-03 02:39 UTC: year, month, week (Monday 2024-01-01), day, hour.
        let starts: Vec<i64> = (0..5).map(|timespan| span_start(timespan, 1_704_249_540)).collect();
        assert_eq!(
            starts,
            [
                1_704_067_200,
                1_704_067_200,
                1_704_067_200,
                1_704_240_000,
                1_704_247_200
            ]
        );
    }
}
