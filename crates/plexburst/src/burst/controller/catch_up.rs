//! What the household did since the merge goes into the staged copy: most of it while home still runs, the last of it when home
//! has stopped.
//!
//! Reading all there is takes seconds that nobody should wait for, so it is done before home is stopped; from then on home is
//! watched, and with home stopped only what it wrote meanwhile is looked at. Where there is no room for that, or home does not
//! run, everything is compared while it is stopped. A rollback catches up in the same way, with what the household did put
//! onto the older library.

use plex_library::losses::{self, Lost};
use plex_library::merge::{self, CatchUp, Options, Report};

use super::adopt::{self, Verified};
use super::{Controller, engine, titles};
use crate::burst::phase::Phase;
use crate::burst::remapped;
use crate::burst::request::Source;
use crate::error::Result;
use crate::home::{Home, Patience, kept, room};

/// Catches up while home runs, and has it watched from there on. Nothing where that cannot be.
pub(super) async fn ahead(c: &Controller, home: &Home) -> Result<Option<CatchUp>> {
    if discards(c) {
        return Ok(None);
    }
    settle(c, home)?;
    if !c.has_mine() || !home.is_running().await? {
        return Ok(None);
    }
    let (live, staged, next) = (home.databases(), c.area.staged(), c.area.next());
    if !room::has_for_changes(c.area.root(), kept::size(&live))? {
        let text = "there is no room for what changed at home: everything is compared while home is stopped";
        c.printer().say(&format!("            {text}"));
        c.side.note(Phase::Swap, text)?;
        return Ok(None);
    }
    c.printer().progress("catching up with home before it is stopped");
    // An attempt before this one may have gone as far as the paths that are written last.
    tokio::task::block_in_place(|| remapped::back(&staged, &c.dir))?;
    let begin = match is_back(c) {
        true => CatchUp::begin_back,
        false => CatchUp::begin,
    };
    let options = options(c, Patience::BESIDE)?;
    let ahead = engine(|| begin(&c.area.mine(), &live, next.dir(), &staged, &options, &()))?;
    rename_bundles(c, home, &ahead.report)?;
    Ok(Some(ahead))
}

/// What an attempt before this one has put into the staged pair, or was about to: it is put there for good, and the copy of home
/// that it made is what was merged from here on. Otherwise what the household has taken back since would be taken for the
/// worker's, and stay. May be done again.
fn settle(c: &Controller, home: &Home) -> Result<()> {
    let (mine, next, staged) = (c.area.mine(), c.area.next(), c.area.staged());
    // A copy has its name only when it is whole.
    if next.library().is_file() {
        if c.has_mine() {
            tokio::task::block_in_place(|| remapped::back(&staged, &c.dir))?;
            let options = Options {
                thorough: true,
                ..options(c, Patience::BESIDE)?
            };
            let report = engine(|| match is_back(c) {
                true => merge::carry_back(&mine, &next, &staged, &options),
                false => merge::merge(&mine, &next, &staged, &options),
            })?;
            rename_bundles(c, home, &report)?;
            adopt::note_more_kept_aside(c, &report)?;
        }
        c.area.make_next_mine()?;
    }
    adopt::one_copy_of_two(c)
}

/// Catches up with home, which is stopped.
pub(super) fn now(c: &Controller, home: &Home, ahead: Option<CatchUp>) -> Result<()> {
    let (live, staged) = (home.databases(), c.area.staged());
    let (before, report, lost) = match ahead {
        Some(ahead) => {
            let before = ahead.report.clone();
            let options = titles::options(c, Patience::STOPPED)?;
            let caught = engine(|| ahead.end(&live, &staged, &options))?;
            if caught.is_narrow {
                c.side.note(Phase::Swap, BY_THE_LOG)?;
            }
            (before, caught.report, caught.lost)
        }
        None => {
            let (report, lost) = with_everything(c, home)?;
            (Report::default(), report, lost)
        }
    };
    adopt::note_kept_aside(c, Phase::Swap, &before.followed_by(report.clone()))?;
    super::aside::forget_taken_back(c, &live)?;
    // Guard 5 once more, against the very library that is about to go.
    let verified: Option<Verified> = c.side.journal().facts(Phase::Verify)?;
    let gone = verified.map(|v| v.gone).unwrap_or_default();
    crate::burst::guard::losses::judge(&lost, &gone, c.request.options.accept_losses)?;
    // What was moved for good since an older library was put aside is where it is now in that too: with the old paths Plex
    // would find nothing.
    let mappings = crate::media::mappings::Mappings::of(&c.request.config.media)?;
    tokio::task::block_in_place(|| remapped::for_good(&staged, &mappings, &c.dir))?;
    rename_bundles(c, home, &report)
}

/// An attempt before this one may have put into the result what home had when it was stopped, of which there is no copy, and
/// home may have changed it back since: then it is not enough to look at what differs from what was merged.
fn options(c: &Controller, patience: Patience) -> Result<Options> {
    Ok(Options {
        catch_up: c.has_mine(),
        thorough: c.side.attempts(Phase::Swap) > 1,
        ..titles::options(c, patience)?
    })
}

/// Bundles follow the guids of a result; an older library's have their names already.
fn rename_bundles(c: &Controller, home: &Home, report: &Report) -> Result<()> {
    match is_back(c) {
        true => Ok(()),
        false => super::swap::rename_bundles(home, report),
    }
}

/// Whether an older library is to become home's again.
fn is_back(c: &Controller) -> bool {
    matches!(c.request.source, Source::Rollback { .. })
}

/// Whether the household's doings since that are not wanted.
fn discards(c: &Controller) -> bool {
    matches!(
        c.request.source,
        Source::Rollback {
            discard_since: true,
            ..
        }
    )
}

/// The note that only what home had written was looked at.
pub(super) const BY_THE_LOG: &str = "home's log told what was left to catch up with";

fn with_everything(c: &Controller, home: &Home) -> Result<(Report, Vec<Lost>)> {
    let (live, staged) = (home.databases(), c.area.staged());
    tokio::task::block_in_place(|| remapped::back(&staged, &c.dir))?;
    if discards(c) {
        return Ok((Report::default(), Vec::new()));
    }
    // What was merged before is the base now: only what the household did since then is left to carry.
    let base = if c.has_mine() {
        c.area.mine()
    } else {
        adopt::ids_are_apart(c, &live)?;
        c.area.base()
    };
    let options = options(c, Patience::STOPPED)?;
    if is_back(c) {
        // Nothing is asked of files: the older library lacks what came since.
        let report = engine(|| merge::carry_back(&base, &live, &staged, &options))?;
        return Ok((report, Vec::new()));
    }
    let report = engine(|| merge::merge(&base, &live, &staged, &options))?;
    let lost = engine(|| losses::of(&live, &staged))?;
    Ok((report, lost))
}
