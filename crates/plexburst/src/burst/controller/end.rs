//! How a burst ends: committed, left in the depot, or backed out with home as it was.

use serde::{Deserialize, Serialize};

use super::{Controller, Prepared, account, engine, logs, place, swap};
use crate::burst::phase::Phase;
use crate::burst::request::Source;
use crate::burst::retention::{self, Knowledge};
use crate::burst::takeover::PREFERENCES;
use crate::clock::{Clock, SystemClock};
use crate::error::{Context, Error, Result};
use crate::exit;
use crate::home::{Dangerous, Note, Why, kept};
use crate::media::{proof, sample};
use crate::report::Report;

/// New files that home must be able to read before its preferences are put back.
const SAMPLE: usize = 12;
/// Between two looks at them.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// How the burst ended, for the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ended {
    /// `inspect` of the library at the end.
    pub after: serde_json::Value,
    /// The result was only parked or packed.
    #[serde(default)]
    pub is_elsewhere: bool,
}

/// Home's own deleting preferences, off until the end (guard 3). The values are journalled before anything is changed.
pub(super) async fn quiet_home(c: &Controller) -> Result<()> {
    let home = c.home()?;
    // An attempt that was killed after it turned them off must not take "off" for the household's own choice.
    let noted = c.dir().join(PREFERENCES);
    let again = c.side.is_done(Phase::QuietHome);
    let act = async || {
        let before = match std::fs::read(&noted) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| Error::unexpected(format!("cannot understand {}", noted.display())).because(e))?,
            Err(_) => {
                let before = home.read_dangerous().await?;
                let text = serde_json::to_vec(&before)
                    .map_err(|e| Error::unexpected("cannot note home's preferences").because(e))?;
                engine(|| plex_library::publish::file(&noted, &text))?;
                before
            }
        };
        home.quiet().await?;
        Ok::<Dangerous, Error>(before)
    };
    if again && is_after_swap(c) && !home.is_running().await? {
        // Killed while home was down: it is started by the swap, and its preferences are still off.
        return Ok(());
    }
    c.side
        .again(Phase::QuietHome, "home must not delete anything meanwhile", act)
        .await?;
    Ok(())
}

/// Whether home may be down or exchanged: then its preferences are left for the end.
fn is_after_swap(c: &Controller) -> bool {
    c.side.attempts(Phase::Swap) > 0
}

async fn put_preferences_back(c: &Controller) -> Result<()> {
    let Some(home) = &c.home else { return Ok(()) };
    let noted = c.dir().join(PREFERENCES);
    let Ok(bytes) = std::fs::read(&noted) else {
        return Ok(());
    };
    let before: Dangerous = serde_json::from_slice(&bytes)
        .map_err(|e| Error::unexpected(format!("cannot understand {}", noted.display())).because(e))?;
    home.restore_prefs(&before).await?;
    // From here on the household's own choice counts again.
    std::fs::remove_file(&noted).map_err(|e| Error::failed(format!("cannot remove {}", noted.display())).because(e))
}

/// The end: home's preferences as they were, working copies gone, the previous library kept.
pub(super) async fn commit(c: &Controller) -> Result<()> {
    c.side
        .phase(Phase::Commit, "done; tidying up", async || {
            if let Some(home) = &c.home {
                shows_what_is_new(c, home).await?;
                put_preferences_back(c).await?;
            }
            let databases = match &c.home {
                Some(home) => home.databases(),
                None => c.area.staged(),
            };
            // An end that was killed half way may have removed the staged copy of a packed result.
            let after = if databases.library().is_file() {
                let after = engine(|| plex_library::inspect::inspect(databases.dir()))?;
                serde_json::to_value(&after)
                    .map_err(|e| Error::unexpected("cannot note the inspection of the library").because(e))?
            } else {
                serde_json::Value::Null
            };
            let ended = Ended {
                after,
                is_elsewhere: c.home.is_none(),
            };
            match &c.home {
                Some(home) => {
                    let why = match c.request.source {
                        Source::Rollback { .. } => Why::Rollback,
                        _ => Why::Sync,
                    };
                    keep_other(c, swap::replaced(c)?, why)?;
                    for gone in kept::prune(c.area.root(), home.retention())? {
                        c.printer().say(&format!(
                            "            the library from before burst {} is not kept any longer ({})",
                            gone.burst,
                            crate::term::bytes(gone.bytes)
                        ));
                    }
                }
                None => c.area.remove_all()?,
            }
            crate::home::discard(&c.fetched())?;
            super::archive::tidy(c)?;
            if !matches!(c.request.source, Source::Rollback { .. }) {
                clear_depot(c).await?;
            }
            Ok(ended)
        })
        .await?;
    Ok(())
}

/// What the burst had in the depot goes, but for what `depot.keep` keeps; so does what earlier bursts left.
async fn clear_depot(c: &Controller) -> Result<()> {
    let config = &c.request.config.depot;
    if let Err(e) = c.still_seated().await {
        // Home has its new library; what is in the depot is for whoever took the burst over.
        c.printer().warn(&e.chain());
        return Ok(());
    }
    c.leave_seat().await;
    if config.keep == 0 {
        c.depot.remove_all().await?;
    } else {
        for folder in ["base", "mailbox", "checkpoint"] {
            c.depot.below(folder).remove_all().await?;
        }
    }
    if config.keep == 0 && !config.keeps_base() {
        return Ok(());
    }
    // The burst is done; what cannot be tidied now is tidied by the next one, or by `plexburst depot prune`.
    if let Err(e) = tidy_depot(c).await {
        c.printer()
            .warn(&format!("the depot could not be tidied: {}", e.chain()));
    }
    Ok(())
}

async fn tidy_depot(c: &Controller) -> Result<()> {
    let knowledge = Knowledge::of(&crate::burst::store::state_dir(c.dir()))?;
    let listed = c.depot.list_all().await?;
    // This burst counts as one that has not ended until its last line is written; it is one of those that are kept.
    let holdings = knowledge.judge(&listed, c.request.config.depot.keep.saturating_sub(1))?;
    let plan = retention::plan(&holdings, &[])?;
    retention::prune(&c.depot, &knowledge, &plan, &listed).await.map(drop)
}

/// The pair that is not home's gets its name and its note.
fn keep_other(c: &Controller, other: Option<plex_library::Databases>, why: Why) -> Result<()> {
    let prepared: Option<Prepared> = c.side.journal().facts(Phase::Prepare)?;
    let other = other.unwrap_or_else(|| c.area.staged());
    let note = Note::new(why, prepared.and_then(|prepared| prepared.plex_version));
    c.area.keep_previous(other.dir(), &note)
}

/// What the household did with the result in place is only there.
fn keep_taken_back(c: &Controller) -> Result<()> {
    crate::home::discard(&c.area.since())?;
    keep_other(c, Some(c.area.staged()), Why::TakenBack)
}

/// `--no-import`: the result stays in the depot.
pub(super) async fn leave_in_depot(c: &Controller) -> Result<()> {
    put_preferences_back(c).await?;
    c.printer().say(&format!(
        "the result is in the depot; `plexburst resume {} --import` brings it home",
        c.id()
    ));
    Ok(())
}

/// After a failure: the swap undone if it happened, home's preferences back, the worker stopped. What was done so far
/// is kept, so that `resume` need not begin anew; only a burst that was swapped in and undone ends here.
pub(super) async fn back_out(c: &Controller, error: Error) -> Error {
    c.printer().warn(&error.chain());
    if c.side.is_done(Phase::Health) {
        // Home is well with its new library; only the tidying is unfinished, and nobody wants that undone.
        let error = error.with_exit(exit::RESUMABLE);
        return match error.hint_text() {
            Some(_) => error,
            None => error.hint(format!(
                "home has its new library; `plexburst resume {}` tidies up",
                c.id()
            )),
        };
    }
    let error = place::give_up(c, error).await;
    if c.home.is_some() {
        let was_swapped = match swap::is_exchanged(c) {
            Ok(was) => was,
            Err(e) => return e.with_exit(exit::STUCK),
        };
        if (was_swapped || swap::is_down(c.side.journal().entries()))
            && let Err(stuck) = swap::undo(c).await
        {
            return stuck;
        }
        if let Err(e) = put_preferences_back(c).await {
            c.printer().warn(&format!(
                "home's preferences could not be put back ({}); `plexburst resume` or `plexburst cancel {}` does it",
                e.chain(),
                c.id()
            ));
        }
        if was_swapped {
            return match rolled_back(c).await {
                Ok(()) => error.with_exit(exit::HOME_UNCHANGED),
                Err(e) => e,
            };
        }
    }
    error
}

/// Home's preferences that delete stay off until home's own view of the media has the files that were brought: a stale
/// directory cache there would throw them out again with the next scan (guard 3).
async fn shows_what_is_new(c: &Controller, home: &crate::home::Home) -> Result<()> {
    let Some(previous) = swap::replaced(c)? else {
        return Ok(());
    };
    if !previous.library().is_file() {
        return Ok(());
    }
    let (now, before) = engine(|| {
        let now = plex_library::files::known(&home.databases())?;
        Ok((now, plex_library::files::known(&previous)?))
    })?;
    let old: std::collections::BTreeSet<&String> = before.values().flatten().collect();
    let new: Vec<String> = now
        .values()
        .flatten()
        .filter(|file| !old.contains(file))
        .cloned()
        .collect();
    let sampled: Vec<std::path::PathBuf> = sample::of(&new, SAMPLE, sample::seed())
        .into_iter()
        .map(Into::into)
        .collect();
    if sampled.is_empty() {
        return Ok(());
    }
    let program = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
    let clock = SystemClock;
    let limit = std::time::Duration::from_secs(c.request.config.limits.mount);
    let since = clock.now();
    let mut is_refreshed = false;
    loop {
        let proof = proof::prove(&program, &sampled, limit).await?;
        let Some(hidden) = proof.failed().next() else {
            return Ok(());
        };
        if clock.now() - since > limit {
            return Err(Error::new(
                exit::RESUMABLE,
                format!("home cannot read {} yet, which it has just been given", hidden.file.display()),
            )
            .hint(format!(
                "make home's mount show the new files (refresh its directory cache), then `plexburst resume {}`; until then \
                 home's preferences that delete stay off",
                c.id()
            )));
        }
        if !std::mem::replace(&mut is_refreshed, true) {
            refresh_mount(c, home).await;
        }
        c.printer()
            .progress(&format!("waiting until home's media show {}", hidden.file.display()));
        clock.sleep(LOOK).await;
    }
}

/// Home's own mount is made to show new files, if there is a command for it. Whether it does is seen by reading them.
pub(super) async fn refresh_mount(c: &Controller, home: &crate::home::Home) {
    match home.refresh_mount().await {
        Ok(true) => c.printer().say("            home's mount was made to show new files"),
        Ok(false) => {}
        Err(error) => c.printer().warn(&error.chain()),
    }
}

async fn rolled_back(c: &Controller) -> Result<()> {
    c.side
        .phase(Phase::Rollback, "home has its old library back", async || {
            keep_taken_back(c)?;
            ended_unchanged(c)
        })
        .await?;
    Ok(())
}

fn ended_unchanged(c: &Controller) -> Result<Ended> {
    let after = match &c.home {
        Some(home) => engine(|| plex_library::inspect::inspect(home.databases().dir()))?,
        // Nothing was changed anywhere, and the base may be gone already.
        None => {
            return Ok(Ended {
                after: serde_json::Value::Null,
                is_elsewhere: true,
            });
        }
    };
    Ok(Ended {
        after: serde_json::to_value(&after)
            .map_err(|e| Error::unexpected("cannot note the inspection of the library").because(e))?,
        is_elsewhere: false,
    })
}

/// Ends a burst that has not ended, with home as it was: the worker removed, everything undone, copies removed.
///
/// # Errors
/// Something could not be undone; calling it again goes on.
pub async fn cancel(c: &Controller) -> Result<()> {
    if c.side.journal().is_ended() {
        return Err(Error::usage(format!("burst {} has ended", c.id())).hint("`plexburst report` shows how"));
    }
    if c.side.is_done(Phase::Health) {
        return Err(
            Error::usage(format!("burst {} is in: home has its new library", c.id()))
                .hint(format!("`plexburst resume {}` tidies up", c.id())),
        );
    }
    c.area.make()?;
    let _home_lock = c.lock_home()?;
    swap::settle(c)?;
    if c.was_ended_elsewhere().await? {
        let_go(c).await?;
    } else {
        c.take_seat().await?;
        logs::gather(c).await;
        take_back(c).await?;
    }
    c.give_to_owner();
    let saved = Report::build(c.dir(), &c.request, c.side.journal().entries())?.save(c.dir());
    super::engine_free(|| logs::pack(c));
    saved
}

/// The end here of a burst that another machine took over and ended: what it did to home is its own, and so is what it
/// keeps there.
async fn let_go(c: &Controller) -> Result<()> {
    c.side
        .phase(Phase::Rollback, "letting go of it", async || {
            place::remove(c, Phase::Rollback).await?;
            // It put home's preferences back.
            let noted = c.dir().join(PREFERENCES);
            if noted.exists() {
                std::fs::remove_file(&noted)
                    .map_err(|e| Error::failed(format!("cannot remove {}", noted.display())).because(e))?;
            }
            crate::home::discard(&c.fetched())?;
            Ok(Ended {
                after: serde_json::Value::Null,
                is_elsewhere: true,
            })
        })
        .await
        .map(drop)
}

/// Everything undone, with home as it was; may be done again.
pub(super) async fn take_back(c: &Controller) -> Result<()> {
    c.side
        .phase(Phase::Rollback, "taking everything back", async || {
            c.still_seated().await?;
            place::remove(c, Phase::Rollback).await?;
            account::leave(c, Phase::Rollback).await?;
            let mut was_swapped = swap::is_undone(c);
            if c.home.is_some() {
                was_swapped |= swap::is_exchanged(c)?;
                if was_swapped || c.side.attempts(Phase::Swap) > 0 {
                    swap::undo(c).await?;
                }
                put_preferences_back(c).await?;
            }
            let ended = ended_unchanged(c)?;
            if was_swapped {
                keep_taken_back(c)?;
            } else {
                c.area.remove_all()?;
            }
            crate::home::discard(&c.fetched())?;
            super::archive::tidy(c)?;
            c.leave_seat().await;
            c.depot.remove_all().await?;
            Ok(ended)
        })
        .await?;
    Ok(())
}
