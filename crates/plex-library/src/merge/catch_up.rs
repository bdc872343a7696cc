//! Catching up with home twice: once while its server runs, with all that happened since the merge, and once when it has
//! stopped, with what happened since then.
//!
//! The first copies home's library and reads all there is, while nobody waits for it; from that copy's moment on the library
//! is watched ([`crate::watch`]). The second looks only at what the watch names: while the server stands still the work is
//! about what changed, not about what there is. Both end in a result from which nothing of home's is lost.
//!
//! Where the watch has no answer the second looks at everything, as a merge does; the result is the same.
//!
//! The way back ([`super::carry_back`]) catches up in the same two steps. There nothing is asked of files: the older library
//! lacks what came since, which is what was asked for.

use std::path::Path;

use super::extent::Known;
use super::mode::Mode;
use super::{Extent, Options, Report, run};
use crate::error::Result;
use crate::format::index::Moment;
use crate::losses::{self, Lost};
use crate::paths::Databases;
use crate::progress::Progress;
use crate::watch::Watch;

/// A result that has caught up with home, and home watched from there on.
#[derive(Debug)]
pub struct CatchUp {
    mode: Mode,
    /// Home as it was then.
    copy: Databases,
    watch: Option<Watch>,
    known: Option<Known>,
    lost: Vec<Lost>,
    /// How far home was when it was last looked at.
    seen: Option<Vec<Option<Moment>>>,
    /// What was carried.
    pub report: Report,
}

/// What came of catching up with a home that has stopped.
#[derive(Debug)]
pub struct CaughtUp {
    /// What was carried.
    pub report: Report,
    /// Files that home knows and the result does not; none on the way back.
    pub lost: Vec<Lost>,
    /// Whether only what had changed was looked at.
    pub is_narrow: bool,
}

impl CatchUp {
    /// Catches up while home's server runs. `merged` is home as it was merged into `staged` before; `copy`, a folder that must
    /// not exist or be empty, gets home as it is now, as layers over `merged`.
    ///
    /// Home's log grows while this lives, by what its server writes.
    ///
    /// # Errors
    /// As [`super::merge`] and [`crate::snapshot::take`]; `staged` is then what it was.
    pub fn begin(
        merged: &Databases,
        home: &Databases,
        copy: &Path,
        staged: &Databases,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self> {
        Self::begin_as(Mode::CatchUp, merged, home, copy, staged, options, progress)
    }

    /// The same on the way back: `merged` is home as it was carried back into `staged`, a copy of an older library.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_back(
        merged: &Databases,
        home: &Databases,
        copy: &Path,
        staged: &Databases,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self> {
        Self::begin_as(Mode::BackAgain, merged, home, copy, staged, options, progress)
    }

    fn begin_as(
        mode: Mode,
        merged: &Databases,
        home: &Databases,
        copy: &Path,
        staged: &Databases,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let watch = Watch::begin(home, merged, copy, progress)?;
        let copy = Databases::at(copy);
        let (report, known) = run(Some(merged), &copy, staged, options, mode, &Extent::and_explore())?;
        Ok(Self {
            lost: lost(mode, &copy, staged)?,
            mode,
            copy,
            watch,
            known,
            seen: None,
            report,
        })
    }

    /// To be called again and again while home's server stops. A server that waits for its log is not kept waiting: what was
    /// written until then is noted, and the log is its own again.
    pub fn make_way(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        let now = watch.moments();
        if watch.is_awaited() && self.seen.as_ref() == Some(&now) {
            watch.let_go();
        }
        self.seen = Some(now);
    }

    /// Catches up with home, whose server has stopped. `staged` must not have been changed since.
    ///
    /// # Errors
    /// As [`super::merge`]; [`crate::Error::Changed`] if home was written to meanwhile. `staged` is then what it was.
    pub fn end(self, home: &Databases, staged: &Databases, options: &Options) -> Result<CaughtUp> {
        let written = self.watch.as_ref().and_then(Watch::written);
        if let (Some(watch), Some(written), Some(known)) = (&self.watch, &written, self.known) {
            let extent = Extent::only(written, known, watch);
            let (report, _) = run(Some(&self.copy), home, staged, options, self.mode, &extent)?;
            let lost = match extent.doubts() {
                Some(doubts) => losses::again(self.lost, home, staged, &doubts)?,
                None => lost(self.mode, home, staged)?,
            };
            return Ok(CaughtUp {
                report,
                lost,
                is_narrow: true,
            });
        }
        tracing::warn!("what home's server wrote last is not told by its log; everything is compared");
        // Its log is folded in, so that home is what its files hold.
        drop(self.watch);
        let (report, _) = run(Some(&self.copy), home, staged, options, self.mode, &Extent::default())?;
        Ok(CaughtUp {
            report,
            lost: lost(self.mode, home, staged)?,
            is_narrow: false,
        })
    }
}

/// Files that home knows and the result does not, where that is asked.
fn lost(mode: Mode, home: &Databases, staged: &Databases) -> Result<Vec<Lost>> {
    if mode.is_back() {
        return Ok(Vec::new());
    }
    losses::of(home, staged)
}
