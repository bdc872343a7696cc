//! The two pages that are not a report's: the overview, which a small script keeps fresh and which is whole without it, and a
//! burst that has no report yet.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::view::{Live, Note, Past, State};
use crate::report::STYLE;

const MORE_STYLE: &str = include_str!("style.css");

/// The live burst and the history; `host` is the machine that they are on, if it is another one.
pub(super) fn overview(live: &Live, history: &[Past], host: Option<&str>) -> String {
    frame(
        "plexburst",
        html! {
            // Without scripts the page is fetched anew by itself.
            noscript { meta http-equiv="refresh" content="15"; }
            script src="live.js" defer {}
        },
        html! {
            h1 { "plexburst" @if let Some(host) = host { " on " (host) } }
            section id="live" data-history=(live.history) {
                p { span id="state" class={"outcome " (class(live.state))} { (live.state.word()) } " " span id="headline" { (live.headline) } }
                dl id="rows" { @for row in &live.rows { dt { (row.label) } dd { (row.text) } } }
                div id="said" hidden[live.notes.is_empty()] {
                    h2 { "What both sides note" }
                    ol id="notes" class="notes" { (lines(&live.notes)) }
                }
                p class="soft" { "as of " span id="at" { (live.at) } span id="stale" {} }
            }
            h2 { "Bursts" }
            @if history.is_empty() { p class="soft" { "no burst yet: `plexburst sync` begins one" } }
            @else { div class="scroll" { table class="bursts" {
                thead { tr { th { "begun" } th class="text" { "from" } th class="text" { "stands" } th class="text" { "brought" } th { "cost" } } }
                tbody { @for past in history { tr {
                    td { a href={"burst/" (past.id)} title=(past.id) { (past.begun) } }
                    td class="text" { (past.from) }
                    td class="text" { span class=[past.is_good.then_some("more")] { (past.stands) } }
                    td class="text wrap" { (past.brought) }
                    td { (past.cost) }
                } } }
            } } }
        },
    )
}

/// A burst that has no report yet.
pub(super) fn unended(id: &str, notes: &[Note]) -> String {
    frame(
        &format!("plexburst: burst {id}"),
        html! {},
        html! {
            h1 { "Burst " span class="outcome warn" { "has no report yet" } }
            p class="soft" { code { (id) } " · " a href="../" { "all bursts" } }
            h2 { "What home's side noted last" }
            ol class="notes" { (lines(notes)) }
        },
    )
}

fn lines(notes: &[Note]) -> Markup {
    html! { @for note in notes { li { time { (note.at) } " " (note.text) } } }
}

fn class(state: State) -> &'static str {
    match state {
        State::Running => "good",
        State::Waiting | State::Unreached => "warn",
        State::Idle => "idle",
    }
}

fn frame(title: &str, head: Markup, body: Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(MORE_STYLE)) }
                (head)
            }
            body { main { (body) } }
        }
    }
    .into_string()
}
