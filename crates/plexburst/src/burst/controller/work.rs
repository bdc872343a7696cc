//! Provision, work and destroy: a worker is started, followed through what it leaves in the depot (`follow`), and removed
//! when its result is there and verified.
//!
//! The worker needs nobody once it runs. A controller that comes back finds it by its lock; a worker that was killed
//! is started again on the same folder and goes on from its own journal.

use std::path::PathBuf;
use std::time::Duration;

use super::{Controller, Prepared, account, follow, logs, place, wind_up};
use crate::burst::elsewhere;
use crate::burst::journal::{self, Entry, Event};
use crate::burst::phase::Phase;
use crate::burst::request::On;
use crate::burst::spec::{self, Made, Parked, WorkerSpec, key};
use crate::burst::tail::Tail;
use crate::cloud::price::Euros;
use crate::error::{Error, Result};
use crate::exit;
use crate::media::mappings::Mappings;

/// Between two looks at what the worker left in the depot.
pub(super) const LOOK: Duration = Duration::from_millis(300);
/// How long a worker may take to take its lock.
pub(super) const START: Duration = Duration::from_secs(30);
/// Where Plex's own package puts the server.
pub(super) const SERVER: &str = "/usr/lib/plexmediaserver/Plex Media Server";
const PORT: u16 = 32400;

/// Starts a worker (or finds the one that is there), follows it to its end, and removes it.
pub(super) async fn have_done(c: &Controller, prepared: &Prepared, parked: &Parked) -> Result<Made> {
    let known: Option<Made> = c.side.journal().facts(Phase::Work)?;
    let made = match known {
        // Its place may be gone already, and is not needed any more.
        Some(made) => made,
        // A rented machine that has ended itself has left its result, and is not looked for.
        None if c.request.options.on == On::Scaleway
            && let Some(made) = parked_made(c).await? =>
        {
            c.side
                .phase(Phase::Work, "the worker's result is in the depot", async || Ok(made))
                .await?
        }
        // The burst was cancelled and nobody works any more: no worker is begun for what is kept already.
        None if wind_up::is_wanted(c).await? && !place::may_live(c).await? && !has_parked(c).await? => {
            c.side
                .phase(Phase::Work, "taking the last checkpoint as the result", async || {
                    wind_up::last_checkpoint(c).await
                })
                .await?
        }
        None => {
            correct_here(c, prepared, parked).await?;
            // Before the worker is begun: what it says first is said to whoever follows it.
            let mut tail = Tail::after(&worker_entries(c).await?);
            let place = place::provide(c, prepared, parked).await?;
            c.side
                .phase(Phase::Work, "the worker indexes", async || {
                    let made = follow::follow(c, &place, &mut tail).await?;
                    account::keep(c, &place).await?;
                    Ok(made)
                })
                .await?
        }
    };
    c.side
        .phase(Phase::Destroy, "removing the worker", async || {
            c.still_seated().await?;
            for object in made.objects() {
                if !c.depot.is_there(object).await? {
                    return Err(
                        Error::failed(format!("{} is not in the depot as the worker put it", object.key))
                            .hint("the worker is kept; `plexburst resume` looks again"),
                    );
                }
            }
            logs::gather(c).await;
            if let Some(cost) = place::cost(c).await? {
                c.side
                    .note(Phase::Destroy, format!("{}{}", crate::report::COST, Euros(cost)))?;
            }
            if c.request.options.keep {
                return place::keep(c).await;
            }
            place::remove(c, Phase::Destroy).await?;
            account::leave(c, Phase::Destroy).await
        })
        .await?;
    Ok(made)
}

/// A worker of this machine that is not running and has not parked is told again: the request may have been corrected
/// since; a folder that somebody removed is begun anew.
async fn correct_here(c: &Controller, prepared: &Prepared, parked: &Parked) -> Result<()> {
    let is_dead_here = c.request.options.on == On::Here
        && c.side.is_done(Phase::Provision)
        && crate::burst::side::holder(&c.work_dir().join("lock"))?.is_none();
    if is_dead_here && !has_parked(c).await? {
        if !c.work_dir().exists() {
            c.depot.remove(key::WORKER_JOURNAL).await?;
        }
        c.make_work_dir()?;
        tell(c, prepared, parked)?;
    }
    Ok(())
}

/// Leaves in the worker's folder what it has to know.
pub(super) fn tell(c: &Controller, prepared: &Prepared, parked: &Parked) -> Result<()> {
    let work_dir = c.work_dir();
    save_keys(c, parked, &work_dir)?;
    let mut spec = spec_of(c, prepared, parked)?;
    spec.claim_drop = Some(work_dir.join(spec::CLAIM));
    if let Some(identity) = account::take(c)? {
        let path = work_dir.join(spec::IDENTITY);
        plex_library::publish::file(&path, &identity)
            .map_err(|e| Error::failed(format!("cannot write {}", path.display())).because(e))?;
        spec.identity = Some(path);
    }
    spec.save(&work_dir)
}

/// Writes the keys to the burst's part of the depot, and to the base that it keeps, into the folder `dir`.
pub(super) fn save_keys(c: &Controller, parked: &Parked, dir: &std::path::Path) -> Result<()> {
    c.depot.save_own_keys(&dir.join(spec::KEYS))?;
    if let (Some(kept), Some(id)) = (c.kept(), &parked.kept) {
        kept.save_key(&c.depot, id, &dir.join(spec::BASE_KEYS))?;
    }
    Ok(())
}

/// The sections with their roots where the worker has them; two that fall on one are one.
fn as_the_worker_has_them(prepared: &Prepared, mappings: &Mappings) -> Vec<spec::Section> {
    let mut sections = prepared.sections.clone();
    for section in &mut sections {
        let mut roots: Vec<String> = Vec::new();
        for root in &section.roots {
            let root = mappings.map(root).into_owned();
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        section.roots = roots;
    }
    sections
}

pub(super) fn spec_of(c: &Controller, prepared: &Prepared, parked: &Parked) -> Result<WorkerSpec> {
    let config = &c.request.config;
    Ok(WorkerSpec {
        v: spec::VERSION,
        burst: c.request.id.clone(),
        number: 1,
        depot: c.depot.config_for_worker(&config.depot)?,
        base: parked.clone(),
        // A rented machine is next to the media; one at home shares a router's table of connections.
        media: match c.request.options.on {
            On::Scaleway => config.media.clone(),
            On::Here | On::Host(_) => config.media.behind_router(),
        },
        server: c.server(),
        port: config.worker.port.unwrap_or(PORT),
        container: spec::Container {
            runtime: config.worker.runtime,
            image: config.worker.image.clone(),
            socket: config.worker.docker_socket.clone(),
            memory: config.worker.memory,
            cpus: config.worker.cpus,
            time_zone: time_zone(),
        },
        cell: config.worker.cell,
        preferences: config.worker.preferences,
        internet: has_internet(c),
        writable: config.worker.writable.clone(),
        claim_file: config.worker.claim_file.clone(),
        claim_drop: None,
        identity: None,
        env: config.worker.env.clone(),
        sections: as_the_worker_has_them(prepared, &Mappings::of(&config.media)?),
        selected: prepared.selected.clone(),
        options: c.request.options.clone(),
        limits: config.limits.clone(),
        plex_version: prepared.plex_version.clone(),
        gone: c.gone()?,
        lease: None,
    })
}

/// The time zone of this machine, by name; home is here.
fn time_zone() -> Option<String> {
    jiff::tz::TimeZone::system().iana_name().map(str::to_owned)
}

/// Whether the worker's Plex may reach the Internet. A rented machine is given what that takes.
pub(super) fn has_internet(c: &Controller) -> bool {
    let configured = c.request.config.worker.internet;
    configured.unwrap_or_else(|| c.request.options.on == On::Scaleway || has_way_out())
}

/// Whether a cell can be given a way out to the Internet here.
fn has_way_out() -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("slirp4netns").is_file()))
}

/// How a worker ended, if its journal tells.
pub(super) enum End {
    Parked(Made),
    Failed(Error),
}

pub(super) fn parked_or_failed(entries: &[Entry]) -> Option<End> {
    if let Ok(Some(made)) = journal::facts::<Made>(entries, Phase::ParkResult) {
        return Some(End::Parked(made));
    }
    let last = entries.iter().rev().find(|e| e.event.is_transition())?;
    match &last.event {
        Event::Failed { error, hint, exit } => {
            let error = Error::new(*exit, format!("the worker gave up in phase {}: {error}", last.phase));
            Some(End::Failed(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }))
        }
        _ => None,
    }
}

async fn parked_made(c: &Controller) -> Result<Option<Made>> {
    Ok(match parked_or_failed(&worker_entries(c).await?) {
        Some(End::Parked(made)) => Some(made),
        _ => None,
    })
}

/// Whether the worker's result is parked.
pub(super) async fn has_parked(c: &Controller) -> Result<bool> {
    Ok(matches!(
        parked_or_failed(&worker_entries(c).await?),
        Some(End::Parked(_))
    ))
}

/// Whether the worker's journal has its end, one way or the other.
pub(super) async fn has_ended(c: &Controller) -> Result<bool> {
    Ok(parked_or_failed(&worker_entries(c).await?).is_some())
}

/// What has to hold before anything is rented or started: this controller is still the burst's, and nobody wants it to end.
pub(super) async fn may_begin(c: &Controller) -> Result<()> {
    c.still_seated().await?;
    match c.depot.read(key::CANCEL).await? {
        Some(why) => Err(cancelled(c, &why)),
        None => Ok(()),
    }
}

pub(super) fn cancelled(c: &Controller, why: &[u8]) -> Error {
    Error::new(
        exit::RESUMABLE,
        format!("the worker was cancelled: {}", String::from_utf8_lossy(why)),
    )
    .hint(format!(
        "`plexburst resume {id}` goes on where it was, `plexburst cancel {id}` takes everything back",
        id = c.id()
    ))
}

pub(super) async fn worker_entries(c: &Controller) -> Result<Vec<Entry>> {
    elsewhere::entries_of_worker(&c.depot).await
}

impl Controller {
    pub(super) fn make_work_dir(&self) -> Result<()> {
        let work_dir = self.work_dir();
        super::make_private(&work_dir).map_err(|e| {
            Error::failed(format!("cannot make {}", work_dir.display()))
                .hint("set `worker.directory` to a folder that can be written")
                .because(e)
        })
    }

    /// The folder that the worker works in.
    pub(super) fn work_dir(&self) -> PathBuf {
        match &self.request.config.worker.directory {
            Some(dir) => dir.join(&self.request.id),
            None => self.dir.join("worker"),
        }
    }
}
