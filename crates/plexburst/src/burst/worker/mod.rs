//! The worker's side: restores the library, proves the media, lets Plex index, and parks what changed.
//!
//! It runs as a process of its own and needs nobody: what it is told stands in its folder, what it says goes into its
//! journal, which is sealed into the depot after every line. Killed at any instant and started again on the same
//! folder, it goes on with the section it was at; Plex, the mount and everything else that died with it is set up anew.

mod checkpoint;
mod claim;
mod found;
mod index;
mod life;
mod logs;
mod plex;
mod progress;
mod recover;
mod restore;
mod result;
mod saver;
mod series;
mod serve;
pub(crate) mod warden;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plex_library::Databases;

use super::elsewhere;
use super::journal::Entry;
use super::phase::Phase;
use super::side::Side;
use super::spec::{Section, WorkerSpec, key};
use crate::clock::{Clock, SystemClock};
use crate::depot::{Depot, Status};
use crate::error::{Error, Result};
use crate::term::Printer;

pub use index::Indexed;
pub use plex::Started;
pub(super) use saver::Saved;

/// How a worker's last line begins that was told to end.
const CANCELLED: &str = "the worker was cancelled";
/// Between two looks into the mailbox.
const LOOK: Duration = Duration::from_millis(500);

/// The worker in this process.
pub struct Worker {
    dir: PathBuf,
    spec: WorkerSpec,
    side: Side,
    depot: Depot,
    saver: saver::Saver,
    /// The provider's time, on a rented machine.
    time: life::ProviderTime,
    /// None where they cannot be kept, which ends nothing.
    logs: Option<logs::Logs>,
}

/// Runs the worker of the folder `dir` to its end, or goes on with it.
///
/// # Errors
/// What it gave up with; the journal in the depot has it too.
pub async fn run(dir: &Path, printer: Printer) -> Result<()> {
    let spec = WorkerSpec::load(dir)?;
    let depot = spec.depot(dir, &printer)?.noting(dir.join("transfers"));
    let side = Side::open(dir, printer)?;
    let journal = Arc::new(Status::new(depot.clone(), key::WORKER_JOURNAL));
    let sealed = Arc::clone(&journal);
    side.on_write(move |entries| seal(&sealed, entries));
    if spec.lease.is_some()
        && let Err(limit) = crate::host::fit::raise_files()
    {
        tracing::warn!(limit, "the limit of open files could not be raised");
    }
    let time = life::ProviderTime::of(spec.lease.as_ref());
    let logs = logs::Logs::open(dir, &spec, &depot)
        .inspect_err(|error| tracing::warn!("logs cannot be collected: {}", error.chain()))
        .ok();
    let worker = Worker {
        logs,
        time,
        dir: dir.to_path_buf(),
        spec,
        side,
        depot,
        saver: saver::Saver::default(),
    };
    seal(&journal, worker.side.journal().entries())?;
    journal.settled().await?;
    if worker.side.is_done(Phase::ParkResult) {
        return Ok(());
    }
    let living = life::live(&worker);
    let collecting = worker.logs.as_ref().map(logs::Logs::begin);
    let ended = forward(&worker).await;
    if let (Some(collecting), Some(logs)) = (collecting, &worker.logs) {
        collecting.abort();
        logs.end().await;
    }
    if let Some(living) = living {
        living.end(&worker).await;
    }
    // Whoever follows the worker believes what is in the depot; the error that came first is the one that counts.
    let sealed = journal.settled().await;
    ended.and(sealed)
}

/// Every phase in its order; done ones are passed over.
async fn forward(worker: &Worker) -> Result<()> {
    restore::restore(worker).await?;
    if !worker.side.is_done(Phase::Stop) {
        let mut media = plex::mount(worker).await?;
        let indexed = plex::with_server(worker, &mut media).await;
        // The mount goes whatever happened; the error that came first is the one that counts.
        worker.keep_logs().await;
        let unmounted = media.close().await.map_err(Error::from);
        indexed.and(unmounted)?;
        recover::take_back_half_scans(worker)?;
    }
    result::check(worker).await?;
    result::delta(worker).await?;
    result::park(worker).await
}

/// The journal as it stands, for whoever looks into the depot.
fn seal(journal: &Status, entries: &[Entry]) -> Result<()> {
    journal.say(elsewhere::sealed(entries)?);
    Ok(())
}

impl Worker {
    /// The parent of "Plex Media Server" on the worker.
    fn support(&self) -> PathBuf {
        self.dir.join("support")
    }

    /// The worker's own "Plex Media Server".
    fn data_dir(&self) -> PathBuf {
        self.support().join("Plex Media Server")
    }

    /// The library that Plex works on.
    fn databases(&self) -> Databases {
        Databases::at(self.data_dir().join("Plug-in Support/Databases"))
    }

    /// The base as it came out of the depot, for comparison.
    fn base(&self) -> Databases {
        Databases::at(self.dir.join("base"))
    }

    /// The sections to be indexed, one after the other.
    fn selected(&self) -> impl Iterator<Item = &Section> {
        self.spec.sections.iter().filter(|s| self.spec.selected.contains(&s.id))
    }

    /// Comes back when a rented machine's time for work is over; never on another.
    async fn time_is_up(&self) {
        let Some(lease) = &self.spec.lease else {
            return std::future::pending().await;
        };
        loop {
            let left = lease.work_until - self.time.now();
            match u64::try_from(left) {
                // What is known of the provider's time may be corrected meanwhile.
                Ok(left @ 1..) => SystemClock.sleep(Duration::from_secs(left.min(5))).await,
                _ => return,
            }
        }
    }

    /// Comes back when the work has to stop although nothing is wrong, with the reason: what is done so far is the result.
    async fn is_over(&self) -> &'static str {
        tokio::select! {
            () = self.time_is_up() => "the machine's time is up",
            () = self.wound_up() => "the burst was cancelled",
        }
    }

    async fn wound_up(&self) {
        // A depot that cannot be read now may be readable later; the work goes on meanwhile.
        while !matches!(self.depot.read(key::WIND_UP).await, Ok(Some(_))) {
            SystemClock.sleep(LOOK).await;
        }
    }

    /// Comes back when the worker is to end early: the controller says so in the depot, or a signal does.
    async fn cancelled(&self) -> Error {
        let told = async {
            loop {
                match self.depot.read(key::CANCEL).await {
                    Ok(Some(why)) => {
                        let why = String::from_utf8_lossy(&why).into_owned();
                        return Error::new(crate::exit::RESUMABLE, CANCELLED).because(why);
                    }
                    // A depot that cannot be read now may be readable later; the work goes on meanwhile.
                    Ok(None) | Err(_) => SystemClock.sleep(LOOK).await,
                }
            }
        };
        tokio::select! {
            error = told => error,
            () = crate::signal::told_to_end() => Error::new(crate::exit::RESUMABLE, "the worker was told to end"),
        }
    }
}
