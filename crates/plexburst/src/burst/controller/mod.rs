//! The controller's side: takes the library along, has a worker index it, and brings the result home.
//!
//! Read [`run`] from top to bottom for the whole burst. Whatever fails before the swap leaves home byte for byte what
//! it was; whatever fails after it is undone. A burst that was killed anywhere goes on by calling [`run`] again.

mod account;
mod adopt;
mod archive;
mod aside;
mod catch_up;
mod end;
mod follow;
mod guards;
mod logs;
mod moment;
mod place;
mod prepare;
mod rollback;
mod seated;
mod snapshot;
mod swap;
mod titles;
mod wind_up;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use end::{Ended, cancel};
pub use guards::{places_of, server_of};
pub use moment::hour;
pub use prepare::{Prepared, look};
pub use swap::Swapped;
pub use wind_up::{go_on, wind_up};

use super::kept::Kept;
use super::phase::Phase;
use super::request::{Request, Source};
use super::side::Side;
use crate::depot::Depot;
use crate::error::{Context, Error, Result};
use crate::exit;
use crate::home::{Area, Home};
use crate::report::Report;
use crate::term::Printer;
use seated::Seated;

/// One burst in this process.
pub struct Controller {
    request: Request,
    dir: PathBuf,
    side: Side,
    depot: Depot,
    home: Option<Home>,
    area: Area,
    seat: tokio::sync::OnceCell<Arc<Seated>>,
}

impl Controller {
    /// Begins the burst `request` in `dir` (its own new folder).
    ///
    /// # Errors
    /// The disk; no home where one is needed.
    pub fn begin(request: Request, dir: &Path, printer: Printer) -> Result<Self> {
        if !matches!(request.source, Source::Archive { .. }) {
            // A home that is not there leaves no burst behind that nobody could go on with.
            Home::of(&request.config)?.refuse_unfinished()?;
        }
        make_private(dir).map_err(|e| {
            Error::failed(format!("cannot make {}", dir.display()))
                .hint("set `state_dir` to a folder that can be written")
                .because(e)
        })?;
        request.save(dir)?;
        Self::open(request, dir, printer)
    }

    /// Goes on with the burst in `dir`.
    ///
    /// # Errors
    /// Another process runs it; the journal is damaged.
    pub fn resume(dir: &Path, printer: Printer) -> Result<Self> {
        Self::open(Request::load(dir)?, dir, printer)
    }

    fn open(request: Request, dir: &Path, printer: Printer) -> Result<Self> {
        let side = Side::open(dir, printer)?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("log.txt"))
            .context(|| format!("cannot open the log in {}", dir.display()))?;
        side.printer.log_to(log);
        let home = match &request.source {
            Source::Archive { .. } => None,
            Source::Home | Source::Result { .. } | Source::Rollback { .. } => Some(Home::of(&request.config)?),
        };
        let area = match &home {
            Some(home) => Area::of(&home.databases(), &request.id)?,
            None => Area::apart(dir),
        };
        let depot = Depot::of(&request.config.depot, &request.id, &side.printer)?
            .making_own_key(&dir.join("depot.key"))?
            .noting(dir.join("transfers"));
        Ok(Self {
            request,
            dir: dir.to_path_buf(),
            side,
            depot,
            home,
            area,
            seat: tokio::sync::OnceCell::new(),
        })
    }

    /// The configuration that the burst runs by.
    pub fn config(&self) -> &crate::config::Config {
        &self.request.config
    }

    /// The burst's id.
    pub fn id(&self) -> &str {
        &self.request.id
    }

    /// The burst's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether nothing is left to go on with.
    pub fn has_ended(&self) -> bool {
        self.side.journal().is_ended()
    }

    /// Whether home may be down right now: then an interruption waits until it is up again.
    pub fn is_swapping(&self) -> bool {
        swap::is_down(self.side.journal().entries())
    }

    /// What the depot keeps of home from burst to burst; `None`: nothing.
    fn kept(&self) -> Option<Kept> {
        let home = self.home.as_ref().filter(|_| self.request.config.depot.keeps_base())?;
        Some(Kept::of(&super::store::state_dir(&self.dir), home.data_dir()))
    }

    /// What root leaves beside another user's library is that user's.
    fn give_to_owner(&self) {
        if let Some(home) = &self.home
            && let Err(error) = crate::home::owner::settle(self.area.root(), home.databases().dir())
        {
            self.printer().warn(&error.chain());
        }
    }

    fn home(&self) -> Result<&Home> {
        self.home
            .as_ref()
            .ok_or_else(|| Error::unexpected("a burst from an archive has no home"))
    }

    fn printer(&self) -> &Printer {
        &self.side.printer
    }
}

/// Runs the burst to its end, or goes on with it.
///
/// # Errors
/// The failure that ended it, with home as it was before (unless its exit code says otherwise). The report is written
/// in either case.
pub async fn run(controller: &Controller) -> Result<Report> {
    let c = controller;
    let outcome = if c.side.journal().is_ended() {
        Ok(())
    } else {
        c.area.make()?;
        // Without the lock nothing of home's is touched, a failure's clean-up least of all.
        let _home_lock = c.lock_home()?;
        swap::settle(c)?;
        if c.side.attempts(Phase::Rollback) > 0 || swap::is_undone(c) {
            // Taking back had begun, so it is finished.
            end::take_back(c).await
        } else {
            match forward(c).await {
                Ok(()) => Ok(()),
                Err(error) => {
                    logs::gather(c).await;
                    Err(end::back_out(c, error).await)
                }
            }
        }
    };
    c.give_to_owner();
    let report = Report::build(&c.dir, &c.request, c.side.journal().entries()).and_then(|report| {
        report.save(&c.dir)?;
        Ok(report)
    });
    engine_free(|| logs::pack(c));
    // What became of home counts more than whether it could be written down.
    outcome.and(report)
}

/// Every phase in its order; done ones are passed over.
async fn forward(c: &Controller) -> Result<()> {
    match &c.request.source {
        Source::Home => {
            let prepared = prepare::prepare_home(c).await?;
            guards::before_anything(c, &prepared).await?;
            c.take_seat().await?;
            end::quiet_home(c).await?;
            snapshot::take(c, &prepared).await?;
            let parked = snapshot::park(c).await?;
            let made = work::have_done(c, &prepared, &parked).await?;
            if c.request.options.no_import {
                return end::leave_in_depot(c).await;
            }
            adopt::fetch(c, &made).await?;
            adopt::stage(c).await?;
            adopt::merge(c).await?;
            adopt::verify(c).await?;
            swap::swap_in(c, &prepared).await?;
            swap::check_health(c).await?;
            aside::make(c).await?;
            end::commit(c).await
        }
        Source::Archive { path, result } => {
            let prepared = archive::unpack_base(c, path).await?;
            guards::before_anything(c, &prepared).await?;
            c.take_seat().await?;
            let parked = snapshot::park(c).await?;
            let made = work::have_done(c, &prepared, &parked).await?;
            adopt::fetch(c, &made).await?;
            adopt::stage(c).await?;
            adopt::verify(c).await?;
            archive::pack_result(c, &prepared, result).await?;
            end::commit(c).await
        }
        Source::Result { path } => {
            guards::room_at_home(c).await?;
            let prepared = archive::unpack_result(c, path).await?;
            end::quiet_home(c).await?;
            adopt::merge(c).await?;
            adopt::verify(c).await?;
            swap::swap_in(c, &prepared).await?;
            swap::check_health(c).await?;
            aside::make(c).await?;
            end::commit(c).await
        }
        Source::Rollback { to, discard_since } => {
            guards::room_at_home(c).await?;
            let prepared = rollback::prepare(c, to, *discard_since).await?;
            rollback::stage(c, to).await?;
            rollback::carry_back(c, to, *discard_since).await?;
            adopt::verify(c).await?;
            swap::swap_in(c, &prepared).await?;
            swap::check_health(c).await?;
            aside::make(c).await?;
            end::commit(c).await
        }
    }
}

impl Controller {
    /// Two bursts of one home never meet.
    fn lock_home(&self) -> Result<Option<std::fs::File>> {
        if self.home.is_none() {
            return Ok(None);
        }
        let path = self.area.home_lock();
        match super::side::lock(&path)? {
            Some(lock) => Ok(Some(lock)),
            None => Err(Error::refused("another burst of this home is running right now")
                .hint("`plexburst runs` lists them; `plexburst cancel` ends one")),
        }
    }
}

/// A folder that only its owner can look into: copies of a library are in it.
fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Work that may take a while and reports by itself.
fn engine_free(f: impl FnOnce()) {
    tokio::task::block_in_place(f);
}

/// Work of the library engine, which is synchronous and may take minutes.
fn engine<T>(f: impl FnOnce() -> plex_library::Result<T>) -> Result<T> {
    tokio::task::block_in_place(f).map_err(Error::from)
}

impl From<plex_library::Error> for Error {
    fn from(e: plex_library::Error) -> Self {
        use plex_library::Kind;
        let code = match e.kind() {
            Kind::NotALibrary => exit::USAGE,
            Kind::SchemaDiffers | Kind::Refused | Kind::Damaged | Kind::Mismatch => exit::REFUSED,
            _ => exit::HOME_UNCHANGED,
        };
        let hint = e.hint();
        let error = Error::new(code, e.to_string());
        let error = match std::error::Error::source(&e) {
            Some(source) => error.because(source.to_string()),
            None => error,
        };
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
