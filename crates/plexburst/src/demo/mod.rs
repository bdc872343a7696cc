//! `plexburst demo`: a small home with the simulator of Plex and synthesised music, a household that goes on using it
//! while a burst runs, and a table of before and after. Needs neither Plex nor Docker nor a cloud; leaves nothing.

mod household;
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::burst::controller::{self, Controller};
use crate::burst::journal::{self, Journal};
use crate::burst::phase::Phase;
use crate::burst::request::{Options, Request, Source};
use crate::burst::store;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::exit;
use crate::home::Home;
use crate::report::{Outcome, Report};
use crate::term::Printer;

use household::Household;
use stage::Stage;

/// Between two looks at the burst's journal.
const LOOK: Duration = Duration::from_millis(100);

/// How large the demo is.
#[derive(Debug, Clone)]
pub struct Size {
    /// Tracks that home knows at the beginning.
    pub known: usize,
    /// Tracks that are new in the media.
    pub new: usize,
    /// Length of each.
    pub seconds: u32,
}

/// What it ends with.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The burst's report, its keys at the top level.
    #[serde(flatten)]
    pub report: Report,
    /// What the household did while the burst ran, and whether it is there afterwards.
    pub household: Vec<household::Deed>,
    /// Items that home had before and that have another id now, or are gone; always 0.
    pub ids_lost: usize,
}

impl Shown {
    /// Everything is as it must be.
    pub fn is_good(&self) -> bool {
        self.report.outcome == Outcome::Committed
            && self.ids_lost == 0
            && !self.household.is_empty()
            && self.household.iter().all(|deed| deed.kept)
    }
}

/// Runs the demo in a folder of its own below `parent`; it is removed at the end, also after a failure.
///
/// # Errors
/// Whatever the burst gives up with.
pub async fn run(parent: Option<PathBuf>, size: &Size, keep: bool, printer: &Printer) -> Result<Shown> {
    let stage = tokio::select! {
        stage = Stage::build(parent, size, printer) => stage?,
        () = crate::signal::interrupted() => {
            return Err(Error::new(exit::RESUMABLE, "the demo was interrupted").hint("nothing of it is left"));
        }
    };
    let outcome = burst(&stage, printer).await;
    let folder = stage.dir().to_path_buf();
    // The burst's own failure is the one that counts; a home that cannot be stopped is said as well.
    let cleared = stage.clear(keep).await;
    if keep {
        printer.say(&format!("everything is kept in {}", folder.display()));
    }
    let shown = outcome?;
    cleared?;
    if shown.is_good() {
        Ok(shown)
    } else {
        Err(Error::new(
            exit::UNEXPECTED,
            format!(
                "the demo did not end as it should: {:?}, {} ids lost, household: {:?}",
                shown.report.outcome, shown.ids_lost, shown.household
            ),
        ))
    }
}

async fn burst(stage: &Stage, printer: &Printer) -> Result<Shown> {
    let config = stage.config()?;
    let home = Home::of(&config)?;
    let mut household = Household::new(home).await?;
    let request = Request::new(Source::Home, Options::default(), config.clone());
    let dir = stage.dir().join("state/bursts").join(&request.id);
    let controller = Controller::begin(request, &dir, printer.clone())?;
    let both = async { tokio::join!(controller::run(&controller), household.live_through(&dir, printer)) };
    let (report, lived) = tokio::select! {
        both = both => both,
        () = crate::signal::interrupted() => {
            printer.say("interrupted; taking everything back");
            controller::cancel(&controller).await?;
            return Err(Error::new(exit::RESUMABLE, "the demo was interrupted").hint("nothing of it is left"));
        }
    };
    let report = report?;
    lived?;
    let (household, ids_lost) = household.look_back().await?;
    Ok(Shown {
        report,
        household,
        ids_lost,
    })
}

/// Waits until the burst in `dir` has `phase` done; `false` when it ended before.
async fn wait_for(dir: &std::path::Path, phase: Phase) -> Result<bool> {
    let path = store::journal_path(dir);
    loop {
        if path.exists() {
            let entries = Journal::read(&path)?;
            if journal::done(&entries, phase).is_some() {
                return Ok(true);
            }
            let has_failed = matches!(entries.last().map(|e| &e.event), Some(journal::Event::Failed { .. }));
            if has_failed || dir.join("report.json").exists() {
                return Ok(false);
            }
        }
        SystemClock.sleep(LOOK).await;
    }
}
