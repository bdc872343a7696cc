//! The report as one page that needs nothing else: no script, no font, no picture from elsewhere. Readable on a phone, in
//! light and dark.

mod plot;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use self::plot::plot;
use super::{Outcome, Report};
use crate::term::{bytes, duration};

/// Names that are shown without being asked for.
const SHOWN: usize = 20;

impl Report {
    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = format!("plexburst: burst {}", self.burst);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) }
                    // The page's own words only: nothing that a file is called can become a script.
                    style { (PreEscaped(super::STYLE)) }
                }
                body { main {
                    (self.head())
                    (self.trouble())
                    (self.changes())
                    (self.carried())
                    (self.time_line())
                    (self.plots())
                    (list("What went wrong on the worker", &self.post_mortem.lines()))
                    (list("Not analysed", &self.failed_tracks))
                } }
            }
        }
        .into_string()
    }

    fn head(&self) -> Markup {
        let class = match self.outcome {
            Outcome::Committed => "good",
            Outcome::RolledBack | Outcome::Parked => "warn",
            Outcome::Failed => "bad",
        };
        let total: f64 = self.phases.iter().map(|p| p.seconds).sum();
        let facts = [
            (duration(Duration::from_secs_f64(total)), "all of it took"),
            (duration(Duration::from_millis(self.home_downtime_ms)), "home was down"),
            (bytes(self.bytes_up), "went up"),
            (bytes(self.bytes_down), "came home"),
            (
                bytes(self.bytes_saved_up + self.bytes_saved_down),
                "did not have to travel",
            ),
        ];
        html! {
            h1 { "Burst " span class={"outcome " (class)} { (self.outcome.word()) } }
            p class="soft" {
                code { (self.burst) }
                @if let Some(begun) = self.phases.iter().filter_map(|p| p.begun).min() { " · begun " (local(begun)) }
            }
            div class="facts" {
                @for (value, words) in facts { div class="fact" { b { (value) } span { (words) } } }
                @if let Some(cost) = &self.cost { div class="fact" { b { (cost) } span { "the rented machine, without VAT" } } }
            }
        }
    }

    fn trouble(&self) -> Markup {
        html! {
            @if let Some(error) = &self.error { div class="warning error" { (error) } }
            @if !self.warnings.is_empty() {
                h2 { "Worth a look" }
                @for warning in &self.warnings { div class="warning" { (warning) } }
            }
        }
    }

    fn changes(&self) -> Markup {
        let rows = self.rows();
        html! {
            h2 { "Before and after" }
            @if rows.is_empty() { p class="soft" { "nothing is counted in this library" } }
            @else { div class="scroll" { table {
                thead { tr { th { "section" } th class="text" { "what" } th { "before" } th { "after" } th { "change" } } }
                tbody { @for row in &rows {
                    tr {
                        td { (row.section) } td class="text" { (row.what) } td { (row.before) } td { (row.after) }
                        @match row.change() {
                            0 => td {},
                            more if more > 0 => td class="more" { "+" (more) },
                            less => td class="less" { (less) },
                        }
                    }
                } }
            } } }
        }
    }

    fn carried(&self) -> Markup {
        let tables = self.merge["carried"].as_object();
        let rows: Vec<(&String, [u64; 3])> = tables
            .into_iter()
            .flatten()
            .map(|(table, rows)| {
                (
                    table,
                    ["inserted", "updated", "deleted"].map(|how| rows[how].as_u64().unwrap_or(0)),
                )
            })
            .filter(|(_, counts)| counts.iter().any(|count| *count > 0))
            .collect();
        let same = self.merge["same_files"].as_array().map_or(0, Vec::len);
        let placed = self.merge["placed_by_plex"].as_u64().unwrap_or_default();
        html! {
            h2 { "Carried over from home" }
            @if rows.is_empty() { p class="soft" { "the household changed nothing meanwhile" } }
            @else { div class="scroll" { table {
                thead { tr { th { "table" } th { "added" } th { "changed" } th { "removed" } } }
                tbody { @for (table, counts) in rows { tr { td { (table) } @for count in counts { td { (count) } } } } }
            } } }
            @if same > 0 { p { (same) " files were found by home as well meanwhile: each is one item, with home's id." } }
            @if placed > 0 { p { (placed) " rows stand among the titles where home's Plex SQLite says." } }
            @for (title, key) in [("Kept aside", "kept_aside"), ("Waiting for Plex", "waiting"), ("Decided without home's word", "decided")] {
                (list(title, &texts(&self.merge[key])))
            }
        }
    }

    fn time_line(&self) -> Markup {
        let begun = self.phases.iter().filter_map(|p| p.begun).min();
        let since = |at: Timestamp| begun.map_or(0.0, |first| at.duration_since(first).as_secs_f64());
        let whole = self
            .phases
            .iter()
            .filter_map(|p| Some(since(p.begun?) + p.seconds))
            .fold(0.001, f64::max);
        // In percent of the whole, as (left, width).
        let bar = |at: Timestamp, seconds: f64| {
            let left = (since(at) / whole * 100.0).min(100.0);
            (left, (seconds / whole * 100.0).min(100.0 - left))
        };
        html! {
            h2 { "Time" }
            div class="phases" {
                @for phase in &self.phases {
                    span { (phase.phase) }
                    div class="track" {
                        @if let Some(at) = phase.begun {
                            @let (left, width) = bar(at, phase.seconds);
                            div class="bar" style={"left:" (format!("{left:.2}")) "%;width:" (format!("{width:.2}")) "%"} {}
                        }
                    }
                    span class="soft" { (duration(Duration::from_secs_f64(phase.seconds))) }
                }
            }
        }
    }

    fn plots(&self) -> Markup {
        let series = |value: &dyn Fn(&crate::burst::spec::Sample) -> Option<f64>| -> Vec<(Timestamp, f64)> {
            self.samples
                .iter()
                .filter_map(|sample| Some((sample.at, value(sample)?)))
                .collect()
        };
        #[expect(clippy::cast_precision_loss, reason = "for a picture")]
        let plots: Vec<Markup> = [
            plot(
                "Tracks and files analysed",
                &series(&|s| Some(s.analysed as f64)),
                &|v| format!("{v:.0}"),
            ),
            plot("Tracks with Sonic data", &series(&|s| Some(s.sonic as f64)), &|v| {
                format!("{v:.0}")
            }),
            plot("Processors of the worker", &series(&|s| s.cpu), &|v| {
                format!("{v:.0} %")
            }),
            plot("Read through the mount", &series(&|s| s.throughput), &|v| {
                format!("{:.1} MB/s", v / 1e6)
            }),
            plot(
                "Slowest answer of the media",
                &series(&|s| Some(s.answer_ms as f64)),
                &|v| format!("{v:.0} ms"),
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        html! {
            @if !plots.is_empty() {
                h2 { "While the worker indexed" }
                div class="plots" { @for plot in plots { (plot) } }
            }
        }
    }
}

/// A list that shows its beginning, the rest on request.
fn list(title: &str, names: &[String]) -> Markup {
    let (shown, rest) = names.split_at(names.len().min(SHOWN));
    html! {
        @if !names.is_empty() {
            h2 { (title) " (" (names.len()) ")" }
            ul { @for name in shown { li { (name) } } }
            @if !rest.is_empty() {
                details { summary { (rest.len()) " more" } ul { @for name in rest { li { (name) } } } }
            }
        }
    }
}

/// What the merge says of each thing: what it is, why, and what helps.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|item| {
        let parts = ["what", "about", "taken", "why", "remedy"].map(|key| item[key].as_str());
        parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    })
    .collect()
}

fn local(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

#[cfg(test)]
mod tests;
