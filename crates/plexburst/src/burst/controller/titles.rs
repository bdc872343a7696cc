//! Whom a merge may ask for Plex's order of titles, and what is said about that.
//!
//! Must not: let a later merge of a burst ask where an earlier one could not. What that one kept aside is left to home's server
//! ([`super::aside`]), and would be there twice.

use std::sync::Arc;

use plex_library::merge::{Options, PlexCollation, Report};

use super::Controller;
use crate::burst::phase::Phase;
use crate::error::Result;
use crate::home::Patience;

/// Options of a merge with home. How long an answer may take depends on whether its household waits.
pub(super) fn options(c: &Controller, patience: Patience) -> Result<Options> {
    let merged: Option<Report> = c.side.journal().facts(Phase::Merge)?;
    let may_ask = merged.is_none_or(|report| report.unasked.is_none());
    let program = c
        .home
        .as_ref()
        .filter(|_| may_ask)
        .and_then(|home| home.plex_sqlite(patience));
    Ok(Options {
        plex: program.map(|program| Arc::new(program) as Arc<dyn PlexCollation>),
        ..Options::default()
    })
}

/// Says what came of it, in the journal too.
pub(super) fn note(c: &Controller, phase: Phase, report: &Report) -> Result<()> {
    if report.placed_by_plex > 0 {
        let text = format!(
            "rows among the titles placed where home's Plex SQLite says: {}",
            report.placed_by_plex
        );
        c.printer().say(&format!("            {text}"));
        c.side.note(phase, text)?;
    }
    if let Some(why) = &report.unasked {
        let text = format!("home's Plex SQLite could not be asked for the order of titles: {why}");
        c.printer().warn(&text);
        c.side.note(phase, format!("warning: {text}"))?;
    }
    Ok(())
}
