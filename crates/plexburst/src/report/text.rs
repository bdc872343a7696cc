//! The report for a person at a terminal: before and after per section, what it cost, what was carried over.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::{Report, Row};
use crate::term::{Table, bytes, duration};

const COUNTS: [&str; 8] = [
    "artists", "albums", "tracks", "movies", "shows", "seasons", "episodes", "photos",
];

impl Report {
    /// As text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "burst {}: {}", self.burst, self.outcome.word());
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
        for line in self.post_mortem.lines() {
            let _ = writeln!(out, "{line}");
        }
        for warning in &self.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
        out
    }

    /// The table of before and after.
    pub fn sections(&self) -> String {
        let mut table = Table::new(&["section", "what", "before", "after", "change"]);
        for row in self.rows() {
            let change = match row.change() {
                0 => String::new(),
                change => format!("{change:+}"),
            };
            let (before, after) = (row.before.to_string(), row.after.to_string());
            table.row([row.section, row.what.to_owned(), before, after, change]);
        }
        table.to_string()
    }

    /// What a burst gained, in one line.
    pub(crate) fn gained(&self) -> String {
        let changes: Vec<String> = self
            .rows()
            .iter()
            .filter(|row| row.change() != 0)
            .map(|row| format!("{}: {:+} {}", row.section, row.change(), row.what))
            .collect();
        if changes.is_empty() {
            "nothing new".to_owned()
        } else {
            changes.join(", ")
        }
    }

    /// What was counted before and after, where there is anything.
    pub(super) fn rows(&self) -> Vec<Row> {
        let list = |v: &Value| v["sections"].as_array().cloned().unwrap_or_default();
        let number = |v: Option<&Value>, key: &str| v.and_then(|v| v[key].as_u64()).unwrap_or(0);
        let before = list(&self.before);
        let mut rows = Vec::new();
        for after in list(&self.after) {
            let was = before.iter().find(|b| b["id"] == after["id"]);
            let (was_counts, counts) = (was.map(|w| &w["counts"]), Some(&after["counts"]));
            let mut row = |what: &'static str, before: u64, is: u64| {
                let section = after["name"].as_str().unwrap_or_default().to_owned();
                rows.push(Row {
                    section,
                    what,
                    before,
                    after: is,
                });
            };
            for kind in COUNTS {
                row(kind, number(was_counts, kind), number(counts, kind));
            }
            row(
                "with Sonic",
                number(was, "sonic_analysed"),
                number(Some(&after), "sonic_analysed"),
            );
        }
        rows.retain(|row| row.before > 0 || row.after > 0);
        rows
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
    use super::super::Outcome;
    use super::*;

    #[test]
    fn before_and_after_stand_side_by_side() {
        let report = Report {
            worked: None,
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
            samples: vec![],
            post_mortem: super::super::PostMortem::default(),
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
