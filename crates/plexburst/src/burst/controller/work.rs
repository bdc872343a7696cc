//! Provision, work and destroy: a worker is started, followed through what it leaves in the depot, and removed when
//! its result is there and verified.
//!
//! The worker needs nobody once it runs. A controller that comes back finds it by its lock; a worker that was killed
//! is started again on the same folder and goes on from its own journal.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Controller, Prepared};
use crate::burst::elsewhere;
use crate::burst::journal::{self, Entry, Event};
use crate::burst::phase::Phase;
use crate::burst::side;
use crate::burst::spec::{self, Made, Parked, Progress, WorkerSpec, key};
use crate::clock::{Clock, SystemClock};
use crate::error::{Context, Error, Result};
use crate::exit;
use crate::media::mappings::Mappings;

/// Between two looks at what the worker left in the depot.
const LOOK: Duration = Duration::from_millis(300);
/// How often a worker that was killed is started again before a person is asked.
const RESTARTS: u32 = 2;
/// How long a worker may take to take its lock.
const START: Duration = Duration::from_secs(30);
/// Where Plex's own package puts the server.
pub(super) const SERVER: &str = "/usr/lib/plexmediaserver/Plex Media Server";
const PORT: u16 = 32400;

#[derive(Debug, Serialize, Deserialize)]
struct Provisioned {
    work_dir: PathBuf,
}

/// Starts a worker (or finds the one that is there), follows it to its end, and removes it.
pub(super) async fn have_done(c: &Controller, prepared: &Prepared, parked: &Parked) -> Result<Made> {
    let again = c.side.is_done(Phase::Provision) && !c.side.is_done(Phase::Work);
    if again
        && !is_alive(&c.work_dir())?
        && parked_or_failed(&worker_entries(c).await?).is_none_or(|end| matches!(end, End::Failed(_)))
    {
        // The request may have been corrected since; a folder that somebody removed is begun anew.
        if !c.work_dir().exists() {
            c.depot.remove(key::WORKER_JOURNAL).await?;
        }
        c.make_work_dir()?;
        tell(c, prepared, parked)?;
    }
    let provisioned: Provisioned = c
        .side
        .phase(Phase::Provision, "starting a worker on this machine", async || {
            let work_dir = c.work_dir();
            c.make_work_dir()?;
            tell(c, prepared, parked)?;
            start(c, &work_dir).await?;
            Ok(Provisioned { work_dir })
        })
        .await?;
    let made: Made = c
        .side
        .phase(Phase::Work, "the worker indexes", async || {
            follow(c, &provisioned.work_dir).await
        })
        .await?;
    c.side
        .phase(Phase::Destroy, "removing the worker", async || {
            c.still_seated().await?;
            for object in made.delta.iter().chain(&made.bundles) {
                if !c.depot.is_there(object).await? {
                    return Err(
                        Error::failed(format!("{} is not in the depot as the worker put it", object.key))
                            .hint("the worker is kept; `plexburst resume` looks again"),
                    );
                }
            }
            remove(c).await
        })
        .await?;
    Ok(made)
}

/// Leaves in the worker's folder what it has to know.
fn tell(c: &Controller, prepared: &Prepared, parked: &Parked) -> Result<()> {
    let work_dir = c.work_dir();
    c.depot.save_own_keys(&work_dir.join(spec::KEYS))?;
    if let (Some(kept), Some(id)) = (c.kept(), &parked.kept) {
        kept.save_key(&c.depot, id, &work_dir.join(spec::BASE_KEYS))?;
    }
    spec_of(c, prepared, parked)?.save(&work_dir)
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

fn spec_of(c: &Controller, prepared: &Prepared, parked: &Parked) -> Result<WorkerSpec> {
    let config = &c.request.config;
    Ok(WorkerSpec {
        v: spec::VERSION,
        burst: c.request.id.clone(),
        number: 1,
        depot: c.depot.config_for_worker(&config.depot),
        base: parked.clone(),
        media: config.media.behind_router(),
        server: c.server(),
        port: config.worker.port.unwrap_or(PORT),
        cell: config.worker.cell,
        internet: config.worker.internet.unwrap_or_else(has_way_out),
        writable: config.worker.writable.clone(),
        claim_file: config.worker.claim_file.clone(),
        env: config.worker.env.clone(),
        sections: as_the_worker_has_them(prepared, &Mappings::of(&config.media)?),
        selected: prepared.selected.clone(),
        options: c.request.options.clone(),
        limits: config.limits.clone(),
        plex_version: prepared.plex_version.clone(),
        gone: c.gone()?,
    })
}

/// Whether a cell can be given a way out to the Internet here.
fn has_way_out() -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("slirp4netns").is_file()))
}

/// Starts the worker's process unless one has the lock, and waits until it has it.
async fn start(c: &Controller, work_dir: &std::path::Path) -> Result<()> {
    if is_alive(work_dir)? {
        return Ok(());
    }
    c.still_seated().await?;
    // A cancel that was dealt with must not end the worker that goes on.
    c.depot.remove(key::CANCEL).await?;
    let exe = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(work_dir.join("worker.log"))
        .context(|| format!("cannot write in {}", work_dir.display()))?;
    let mut child = std::process::Command::new(exe);
    child
        .arg("worker")
        .arg(work_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    // A process group of its own: what ends the controller at the terminal does not reach the worker.
    std::os::unix::process::CommandExt::process_group(&mut child, 0);
    let mut child = child.spawn().context(|| "cannot start the worker".to_owned())?;
    let clock = SystemClock;
    let since = clock.now();
    loop {
        if is_alive(work_dir)? {
            // The worker is not ours to wait for, but while we live its end must not leave a zombie that looks alive.
            tokio::task::spawn_blocking(move || child.wait());
            return Ok(());
        }
        let ended = child.try_wait().context(|| "cannot look after the worker".to_owned())?;
        if let Some(status) = ended
            && !is_alive(work_dir)?
            && parked_or_failed(&worker_entries(c).await?).is_none()
        {
            return Err(
                Error::failed(format!("the worker ended at once ({status}): {}", last_line(work_dir)))
                    .hint(format!("{} has all it said", work_dir.join("worker.log").display())),
            );
        }
        if ended.is_some() {
            return Ok(());
        }
        if clock.now() - since > START {
            return Err(Error::failed("the worker does not begin").hint("see worker.log in its folder"));
        }
        clock.sleep(LOOK / 10).await;
    }
}

/// Whether a worker runs in this folder: it holds its lock as long as it lives.
fn is_alive(work_dir: &std::path::Path) -> Result<bool> {
    Ok(side::holder(&work_dir.join("lock"))?.is_some())
}

/// How a worker ended, if its journal tells.
enum End {
    Parked(Made),
    Failed(Error),
}

fn parked_or_failed(entries: &[Entry]) -> Option<End> {
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

async fn worker_entries(c: &Controller) -> Result<Vec<Entry>> {
    elsewhere::entries_of_worker(&c.depot).await
}

/// Shows what the worker does until its result is parked, starting it again when it was killed.
async fn follow(c: &Controller, work_dir: &std::path::Path) -> Result<Made> {
    // What a failed attempt before this one left must not be taken for this one's end.
    let mut seen = worker_entries(c).await?.len();
    if let Some(End::Parked(made)) = parked_or_failed(&worker_entries(c).await?) {
        return Ok(made);
    }
    start(c, work_dir).await?;
    let mut restarts = 0;
    loop {
        // The lock is looked at first: a worker that ends in between has written its last line before.
        let is_alive = is_alive(work_dir)?;
        let entries = worker_entries(c).await?;
        for entry in entries.iter().skip(seen) {
            show(c, entry);
        }
        let is_news = entries.len() > seen;
        seen = seen.max(entries.len());
        if let Some(bytes) = c.depot.read(key::WORKER_PROGRESS).await?
            && let Ok(progress) = serde_json::from_slice::<Progress>(&bytes)
            && is_alive
        {
            c.printer().progress(&format!("worker: {}", progress.text));
        }
        if !is_alive {
            match parked_or_failed(&entries) {
                Some(End::Parked(made)) => return Ok(made),
                // It did what it was told to, so it is not started again.
                _ if let Some(why) = c.depot.read(key::CANCEL).await? => {
                    return Err(Error::new(
                        exit::RESUMABLE,
                        format!("the worker was cancelled: {}", String::from_utf8_lossy(&why)),
                    )
                    .hint(format!(
                        "`plexburst resume {id}` goes on where it was, `plexburst cancel {id}` takes everything back",
                        id = c.id()
                    )));
                }
                Some(End::Failed(error)) if is_news || restarts > 0 => return Err(error),
                _ if restarts < RESTARTS => {
                    restarts += 1;
                    c.side.note(
                        Phase::Work,
                        format!("the worker is gone without a word; started again ({restarts} of {RESTARTS})"),
                    )?;
                    c.printer()
                        .warn("the worker is gone without a word; it is started again where it stopped");
                    start(c, work_dir).await?;
                }
                _ => {
                    return Err(
                        Error::failed(format!("the worker keeps dying: {}", last_line(work_dir)))
                            .hint(format!("{} has all it said", work_dir.join("worker.log").display())),
                    );
                }
            }
        }
        SystemClock.sleep(LOOK).await;
    }
}

fn show(c: &Controller, entry: &Entry) {
    match &entry.event {
        Event::Started => c.printer().say(&format!("  worker    {}", entry.phase)),
        Event::Note { text } => c.printer().say(&format!("  worker    {}: {text}", entry.phase)),
        Event::Failed { error, .. } => c.printer().warn(&format!("worker: {} failed: {error}", entry.phase)),
        Event::Done { .. } | Event::Undone | Event::Resource(_) => {}
    }
}

fn last_line(work_dir: &std::path::Path) -> String {
    std::fs::read_to_string(work_dir.join("worker.log"))
        .ok()
        .and_then(|text| text.lines().rev().find(|l| !l.trim().is_empty()).map(str::to_owned))
        .unwrap_or_else(|| "it said nothing".to_owned())
}

/// Ends the worker if it still runs and removes its folder.
pub(super) async fn remove(c: &Controller) -> Result<()> {
    let work_dir = c.work_dir();
    if !work_dir.exists() {
        return Ok(());
    }
    if is_alive(&work_dir)? {
        c.depot
            .put_bytes(key::CANCEL, b"the controller removes the worker")
            .await?;
        let clock = SystemClock;
        let since = clock.now();
        let limit = Duration::from_secs(c.request.config.limits.stop);
        while let Some(pid) = side::holder(&work_dir.join("lock"))? {
            let waited = clock.now() - since;
            if waited > limit * 2 {
                return Err(Error::failed(format!(
                    "the worker in {} (process {pid}) does not end",
                    work_dir.display()
                ))
                .hint("end that process, then `plexburst resume`"));
            }
            if waited > limit
                && let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)
            {
                // Its Plex and its mount die with it; what it had done so far is in its journal.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            clock.sleep(LOOK).await;
        }
    }
    crate::media::mount::clear(&work_dir.join("media")).await?;
    crate::home::discard(&work_dir)
}

impl Controller {
    fn make_work_dir(&self) -> Result<()> {
        let work_dir = self.work_dir();
        super::make_private(&work_dir).map_err(|e| {
            Error::failed(format!("cannot make {}", work_dir.display()))
                .hint("set `worker.directory` to a folder that can be written")
                .because(e)
        })
    }

    /// The folder that the worker works in.
    fn work_dir(&self) -> PathBuf {
        match &self.request.config.worker.directory {
            Some(dir) => dir.join(&self.request.id),
            None => self.dir.join("worker"),
        }
    }
}
