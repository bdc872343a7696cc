//! The report for a person at a terminal: before and after per section, what it cost, what was carried over.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::{Outcome, Report};
use crate::term::{Table, bytes, duration};

const COUNTS: [&str; 8] = [
    "artists", "albums", "tracks", "movies", "shows", "seasons", "episodes", "photos",
];

impl Report {
    /// As text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let outcome = match self.outcome {
            Outcome::Committed => "committed",
            Outcome::RolledBack => "rolled back, home is what it was",
            Outcome::Failed => "failed, home is what it was",
            Outcome::Parked => "parked in the depot",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "burst {}: {outcome}", self.burst);
        if let Some(error) = &self.error {
            let _ = writeln!(out, "  {error}");
        }
        let _ = writeln!(out);
        let _ = write!(out, "{}", self.sections());
        let _ = writeln!(out);
        let total: f64 = self.phases.iter().map(|p| p.seconds).sum();
        let _ = writeln!(
            out,
            "up {}{}, down {}{}, home was down for {}, all of it took {}",
            bytes(self.bytes_up),
            saved(self.bytes_saved_up),
            bytes(self.bytes_down),
            saved(self.bytes_saved_down),
            duration(Duration::from_millis(self.home_downtime_ms)),
            duration(Duration::from_secs_f64(total)),
        );
        if let Some(cost) = &self.cost {
            let _ = writeln!(out, "{}{cost}, without VAT", super::COST);
        }
        if let Some(list) = carried(&self.merge) {
            let _ = writeln!(out, "carried over from home: {list}");
        }
        let same = self.merge["same_files"].as_array().map_or(0, Vec::len);
        if same > 0 {
            let _ = writeln!(
                out,
                "found by home as well meanwhile: {same} files, each is one item with home's id"
            );
        }
        for track in &self.failed_tracks {
            let _ = writeln!(out, "not analysed: {track}");
        }
        for warning in &self.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
        out
    }

    /// The table of before and after.
    pub fn sections(&self) -> String {
        let mut table = Table::new(&["section", "what", "before", "after", "change"]);
        let list = |v: &Value| v["sections"].as_array().cloned().unwrap_or_default();
        let before = list(&self.before);
        for after in list(&self.after) {
            let was = before.iter().find(|b| b["id"] == after["id"]);
            let name = after["name"].as_str().unwrap_or_default().to_owned();
            let mut row = |what: &str, was: u64, is: u64| {
                if was == 0 && is == 0 {
                    return;
                }
                let change = match is.cmp(&was) {
                    std::cmp::Ordering::Greater => format!("+{}", is - was),
                    std::cmp::Ordering::Less => format!("-{}", was - is),
                    std::cmp::Ordering::Equal => String::new(),
                };
                table.row([name.clone(), what.to_owned(), was.to_string(), is.to_string(), change]);
            };
            let number = |v: Option<&Value>, key: &str| v.and_then(|v| v[key].as_u64()).unwrap_or(0);
            for kind in COUNTS {
                row(
                    kind,
                    number(was.map(|w| &w["counts"]), kind),
                    number(Some(&after["counts"]), kind),
                );
            }
            row(
                "with Sonic",
                number(was, "sonic_analysed"),
                number(Some(&after), "sonic_analysed"),
            );
        }
        table.to_string()
    }
}

/// Rows that the merge wrote, by table.
/// What need not travel, when it was anything.
fn saved(count: u64) -> String {
    match count {
        0 => String::new(),
        _ => format!(" ({} saved)", bytes(count)),
    }
}

fn carried(merge: &Value) -> Option<String> {
    let tables = merge["carried"].as_object()?;
    let lines: Vec<String> = tables
        .iter()
        .filter_map(|(table, rows)| {
            let count: u64 = rows.as_object()?.values().filter_map(Value::as_u64).sum();
            (count > 0).then(|| format!("{table} {count}"))
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_and_after_stand_side_by_side() {
        let report = Report {
            burst: "01".into(),
            outcome: Outcome::Committed,
            before: serde_json::json!({"sections": [{"id": 1, "name": "Music", "counts": {"tracks": 3}, "sonic_analysed": 0}]}),
            after: serde_json::json!({"sections": [{"id": 1, "name": "Music", "counts": {"tracks": 6}, "sonic_analysed": 6}]}),
            bytes_up: 1024,
            bytes_down: 10,
            bytes_saved_up: 2048,
            bytes_saved_down: 0,
            home_downtime_ms: 900,
            merge: serde_json::json!({"carried": {
                "metadata_item_views": {"inserted": 2, "updated": 1, "deleted": 0},
                "devices": {"inserted": 0, "updated": 0, "deleted": 0},
            }}),
            warnings: vec![],
            failed_tracks: vec![],
            cost: Some("EUR 0.20".into()),
            phases: vec![],
            error: None,
        };
        let text = report.to_text();
        assert!(text.contains("Music    tracks           3      6      +3"), "{text}");
        assert!(text.contains("up 1.0 KiB (2.0 KiB saved), down 10 B, home"), "{text}");
        assert!(text.contains("Music    with Sonic       0      6      +6"), "{text}");
        assert!(
            text.contains("carried over from home: metadata_item_views 3\n"),
            "{text}"
        );
    }
}
