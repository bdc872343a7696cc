//! How a burst ends: committed, left in the depot, or backed out with home as it was.

use serde::{Deserialize, Serialize};

use super::{Controller, engine, swap, work};
use crate::burst::phase::Phase;
use crate::error::{Error, Result};
use crate::exit;
use crate::home::Dangerous;

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
    let noted = c.dir().join("home-preferences.json");
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
    if again && is_after_swap(c) {
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
    let noted = c.dir().join("home-preferences.json");
    let Ok(bytes) = std::fs::read(&noted) else {
        return Ok(());
    };
    let before: Dangerous = serde_json::from_slice(&bytes)
        .map_err(|e| Error::unexpected(format!("cannot understand {}", noted.display())).because(e))?;
    home.restore_prefs(&before).await
}

/// The end: home's preferences as they were, working copies gone, the previous library kept.
pub(super) async fn commit(c: &Controller) -> Result<()> {
    c.side
        .phase(Phase::Commit, "done; tidying up", async || {
            put_preferences_back(c).await?;
            let databases = match &c.home {
                Some(home) => home.databases(),
                None => c.area.staged(),
            };
            let after = engine(|| plex_library::inspect::inspect(databases.dir()))?;
            let ended = Ended {
                after: serde_json::to_value(&after)
                    .map_err(|e| Error::unexpected("cannot note the inspection of the library").because(e))?,
                is_elsewhere: c.home.is_none(),
            };
            match &c.home {
                Some(_) => c.area.keep_previous()?,
                None => c.area.remove_all()?,
            }
            crate::home::discard(&c.fetched())?;
            c.depot.remove_all()?;
            Ok(ended)
        })
        .await?;
    Ok(())
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
        return error
            .with_exit(exit::RESUMABLE)
            .hint(format!("home has its new library; `plexburst resume {}` tidies up", c.id()));
    }
    if c.home.is_some() {
        let was_swapped = match swap::is_exchanged(c) {
            Ok(was) => was,
            Err(e) => return e.with_exit(exit::STUCK),
        };
        if c.side.attempts(Phase::Swap) > 0
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

async fn rolled_back(c: &Controller) -> Result<()> {
    c.side
        .phase(Phase::Rollback, "home has its old library back", async || {
            ended_unchanged(c)
        })
        .await?;
    Ok(())
}

fn ended_unchanged(c: &Controller) -> Result<Ended> {
    let after = match &c.home {
        Some(home) => engine(|| plex_library::inspect::inspect(home.databases().dir()))?,
        None => engine(|| plex_library::inspect::inspect(c.area.base().dir()))?,
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
    let _home_lock = c.lock_home()?;
    c.side
        .phase(Phase::Rollback, "taking everything back", async || {
            work::remove(c).await?;
            if c.home.is_some() {
                if c.side.attempts(Phase::Swap) > 0 {
                    swap::undo(c).await?;
                }
                put_preferences_back(c).await?;
            }
            let ended = ended_unchanged(c)?;
            c.area.remove_all()?;
            crate::home::discard(&c.fetched())?;
            c.depot.remove_all()?;
            Ok(ended)
        })
        .await?;
    Ok(())
}
