//! The guard around the scans of a section: the media are watched in the background, and what Plex sees of them is
//! believed only when they were alive before, during and after.
//!
//! While something is suspected Plex is held still, so that it concludes nothing; when the media are proved dead its
//! scanners are killed before they wake up. A file that a scan has missed although the store has it means that the scan
//! was deceived: it counts as trouble like a dead mount. Must not: mount or restart anything; that is recovery.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::{Worker, checkpoint, found};
use crate::burst::guard::{self, OnMount, times_on_mount};
use crate::burst::phase::Phase;
use crate::burst::spec::Section;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::media::compare::Comparison;
use crate::media::health::{Health, Limits, Monitor, Root, Verdict};
use crate::media::listing::Listing;
use crate::media::mappings::Mappings;
use crate::media::proof::{Outcome, Probed, Proof};
use crate::media::scope::Scope;
use crate::media::warm::Warmed;
use crate::media::{Opened, sample};
use crate::plex::index::Moment;
use crate::plex::runtime::{Runtime, Server};

/// Files that are read before and after a scan, each of which must be readable.
const SAMPLE: usize = 12;
/// Missed files that are asked for by name.
const NAMED: usize = 20;

/// Why the work on a section has to begin again.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// What happened.
    pub(super) why: String,
    /// A scan may have drawn conclusions from it.
    pub(super) in_scan: bool,
}

/// One section under watch.
pub(super) struct Watch<'a> {
    w: &'a Worker,
    section: &'a Section,
    media: &'a Opened,
    server: &'a Server,
    monitor: Monitor,
    /// Files of the section that the base knew.
    files: Vec<String>,
    in_scan: Cell<bool>,
    trouble: RefCell<Option<Trouble>>,
}

impl<'a> Watch<'a> {
    /// Begins to look at every root of the section.
    pub(super) fn start(w: &'a Worker, section: &'a Section, media: &'a Opened, server: &'a Server) -> Result<Self> {
        let mut known = plex_library::files::known(&w.base())?;
        // Where the worker has them: a folder that was moved is mapped there, and the base has home's paths.
        let mappings = Mappings::of(&w.spec.media)?;
        let files = known.remove(&section.id).unwrap_or_default();
        let files: Vec<String> = files.iter().map(|file| mappings.map(file).into_owned()).collect();
        let root = |root: &String| {
            let inside = |file: &&String| {
                file.strip_prefix(root.trim_end_matches('/'))
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            Root {
                root: root.clone(),
                files: files.iter().filter(inside).cloned().collect(),
            }
        };
        let roots = section.roots.iter().map(root).collect();
        let limits = Limits::of(&w.spec.limits);
        Ok(Self {
            monitor: Monitor::start(media.prober(), roots, limits, Arc::new(SystemClock)),
            w,
            section,
            media,
            server,
            files,
            in_scan: Cell::new(false),
            trouble: RefCell::default(),
        })
    }

    /// How the media are, for who watches.
    pub(super) fn health(&self) -> Health {
        self.monitor.health()
    }

    /// Lists the section's roots anew, unless the media die meanwhile.
    pub(super) async fn refresh(&self) -> Result<()> {
        let limit = Duration::from_secs(self.w.spec.limits.section);
        for root in &self.section.roots {
            let refreshed = self.unless_dead(self.media.refresh(root, limit, &SystemClock)).await?;
            if let Err(error) = refreshed {
                return Err(self.in_trouble(format!("{root} cannot be listed: {error}")));
            }
        }
        Ok(())
    }

    /// What the store has below the section's roots. It is a help, no proof: what cannot be listed is judged by the guard.
    pub(super) async fn listings(&self) -> Result<Option<Vec<Listing>>> {
        let listing = async {
            let mut listings = Vec::new();
            for root in &self.section.roots {
                listings.push(self.media.list(root).await?);
            }
            Ok::<_, crate::media::Error>(listings)
        };
        match self.unless_dead(listing).await? {
            Ok(listings) => Ok(Some(listings)),
            Err(error) => {
                self.note(format!("nothing could be listed ahead of the scan: {error}"));
                Ok(None)
            }
        }
    }

    /// How much has to be scanned, with the new files that have to be in the library afterwards.
    pub(super) fn scope(&self, mut listings: Vec<Listing>) -> Result<(Scope, Vec<String>)> {
        let mappings = Mappings::of(&self.w.spec.media)?;
        // The nearest root first: one may lie inside of another. Two that a mapping made one are one.
        listings.sort_by(|one, other| other.root().cmp(one.root()));
        listings.dedup_by(|one, other| one.root() == other.root());
        let with_nothing_seen = |listing: Listing| {
            let comparison = Comparison::new(&listing);
            (listing, comparison)
        };
        let mut held: Vec<_> = listings.into_iter().map(with_nothing_seen).collect();
        let mut missing = 0;
        tokio::task::block_in_place(|| {
            plex_library::files::of_section(&self.w.base(), self.section.id, &mut |file| {
                let path = mappings.map(file.path);
                // What lies outside of every root no scan looks at.
                if let Some((listing, comparison)) = held.iter_mut().find(|(listing, _)| listing.covers(&path)) {
                    missing += u64::from(!comparison.add(listing, &path, file.size));
                }
            })
        })?;
        Ok(Scope::of(&self.section.kind, &held, missing))
    }

    /// Reads the ends of what the scan will find new, so that Plex does not wait for each.
    pub(super) async fn warm(&self, listings: &[Listing]) -> Result<()> {
        let limit = Duration::from_secs_f64(self.w.spec.limits.warm);
        if limit.is_zero() {
            return Ok(());
        }
        let known: HashSet<&str> = self.files.iter().map(String::as_str).collect();
        let warming = async {
            let listed = listings.iter().flat_map(Listing::paths);
            let mut new: Vec<String> = listed.filter(|file| !known.contains(file.as_str())).collect();
            // Beside each other as Plex comes by them.
            new.sort_unstable();
            self.media.warm(&new, limit).await
        };
        // It is a help, no proof: what fails here is judged by the guard.
        match self.unless_dead(warming).await? {
            Ok(warmed) if warmed != Warmed::default() => self.note(warmed.to_string()),
            Ok(_) => {}
            Err(error) => self.note(format!("nothing was warmed: {error}")),
        }
        Ok(())
    }

    /// The guard itself.
    pub(super) async fn guard(&self, moment: Moment) -> Result<()> {
        match moment {
            Moment::Before => {
                self.alive().await?;
                let shown = self.read_all(moment).await?;
                self.times(&shown).await?;
                self.in_scan.set(true);
            }
            Moment::During => {
                if !self.health().verdict.is_alive() {
                    self.alive().await?;
                }
            }
            Moment::After | Moment::Refreshed => {
                self.alive().await?;
                self.read_all(moment).await?;
                self.undeceived().await?;
                self.in_scan.set(false);
            }
        }
        Ok(())
    }

    /// What went wrong, if it is the media's doing; looks once more when something failed for a reason of its own.
    pub(super) async fn trouble(&self, has_failed: bool) -> Option<Trouble> {
        if has_failed && self.trouble.borrow().is_none() {
            // Plex may have failed because it waits for media that are dead.
            let _ = self.alive().await;
        }
        self.trouble.borrow().clone()
    }

    /// A look that begins now finds the media alive. While it is not certain, Plex is held.
    async fn alive(&self) -> Result<()> {
        let mut held = None;
        loop {
            let health = self.monitor.fresh().await;
            match health.verdict {
                Verdict::Healthy | Verdict::Slow => return Ok(()),
                Verdict::Dead { why } => {
                    held.get_or_insert_with(|| Held::hold(self.server));
                    kill_scanners(self.server);
                    return Err(self.in_trouble(why));
                }
                Verdict::Suspect { why } => {
                    if held.is_none() {
                        self.note(format!("media suspect, Plex is held: {why}"));
                        held = Some(Held::hold(self.server));
                    }
                }
                Verdict::Unknown => {}
            }
        }
    }

    /// The mount shows the times by which Plex knows that a file has not changed.
    async fn times(&self, shown: &HashMap<String, i64>) -> Result<()> {
        let limits = &self.w.spec.limits;
        let begun = SystemClock.now();
        let mut seen = self.seen(shown)?;
        let finding = loop {
            let finding = times_on_mount(self.media, &seen).await;
            // An rclone that cannot ask for a time shows that of now: what is wrong has to stay so.
            let lasted = SystemClock.now() - begun;
            if finding.outcome != guard::Outcome::Refused || lasted >= Duration::from_secs_f64(limits.dead) {
                break finding;
            }
            SystemClock.sleep(Duration::from_secs_f64(limits.dead / 10.0)).await;
            let other = seen.iter_mut().filter(|file| file.shown != file.known);
            let mut other: HashMap<String, &mut OnMount> = other.map(|file| (file.path.clone(), file)).collect();
            let paths: Vec<String> = other.keys().cloned().collect();
            let proving = self.media.prove(&paths, Duration::from_secs_f64(limits.probe));
            let proof = self.unless_dead(proving).await?.map_err(Error::from)?;
            for (path, shown) in times_of(&proof) {
                if let Some(file) = other.get_mut(&path) {
                    file.shown = shown;
                }
            }
        };
        let phase = Phase::Index {
            section: self.section.id,
        };
        self.w.found(phase, &finding)
    }

    /// Files of the section that the base knows, by what the mount has shown of them.
    fn seen(&self, shown: &HashMap<String, i64>) -> Result<Vec<OnMount>> {
        let mappings = Mappings::of(&self.w.spec.media)?;
        let mut seen = Vec::new();
        tokio::task::block_in_place(|| {
            plex_library::files::of_section(&self.w.base(), self.section.id, &mut |file| {
                let path = mappings.map(file.path);
                if let (Some(known), Some(shown)) = (file.changed_at, shown.get(path.as_ref())) {
                    seen.push(OnMount {
                        path: path.into_owned(),
                        known,
                        shown: *shown,
                    });
                }
            })
        })?;
        Ok(seen)
    }

    /// Some files of the section, every one of them. One that fails is asked for again for as long as death takes. Gives the
    /// times that they have on the mount.
    async fn read_all(&self, moment: Moment) -> Result<HashMap<String, i64>> {
        let limits = &self.w.spec.limits;
        let mut files = match self.files.as_slice() {
            [] => self.section.roots.clone(),
            files => sample::of(files, SAMPLE, sample::seed()),
        };
        let begun = SystemClock.now();
        let mut shown = HashMap::new();
        loop {
            let proving = self.media.prove(&files, Duration::from_secs_f64(limits.probe));
            let proof = self.unless_dead(proving).await?.map_err(Error::from)?;
            if proof.holds() {
                self.note(found::mount_proved(moment, &proof).line());
            }
            shown.extend(times_of(&proof));
            files = Vec::new();
            for probed in proof.failed() {
                let file = probed.file.to_string_lossy().into_owned();
                // What the store has not either proves nothing: guard 5 judges the loss.
                if probed.outcome != Outcome::Missing || self.has(&file).await {
                    files.push(file);
                }
            }
            if files.is_empty() {
                return Ok(shown);
            }
            if SystemClock.now() - begun >= Duration::from_secs_f64(limits.dead) {
                let named = files.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
                return Err(self.in_trouble(format!("{} sampled files cannot be read: {named}", files.len())));
            }
            SystemClock.sleep(Duration::from_secs_f64(limits.dead / 10.0)).await;
        }
    }

    /// No file is missed by the scan that the store has.
    async fn undeceived(&self) -> Result<()> {
        let lost = checkpoint::lost(self.w, self.section.id)?;
        if lost.is_empty() {
            return Ok(());
        }
        let mut there = Vec::new();
        for root in &self.section.roots {
            match self.media.list(root).await {
                Ok(listing) => there.extend(lost.iter().filter(|lost| listing.size(&lost.file).is_some())),
                Err(error) => {
                    return Err(self.in_trouble(format!("{} files were missed, and {error}", lost.len())));
                }
            }
        }
        // Half a listing lacks what a question by name finds.
        for file in lost.iter().take(NAMED) {
            if there.is_empty() && self.has(&file.file).await {
                there.push(file);
            }
        }
        match there.first() {
            None => {
                self.note(format!(
                    "{} files that were known are not in the media any more",
                    lost.len()
                ));
                Ok(())
            }
            Some(first) => {
                let why = format!("the scan missed files that the media have, {} among them", first.file);
                Err(self.in_trouble(why))
            }
        }
    }

    /// Whether the store has the file. One that cannot be asked is not known to lack it.
    async fn has(&self, file: &str) -> bool {
        self.media.by_name(file).await.unwrap_or(true)
    }

    async fn unless_dead<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            health = self.monitor.death() => {
                kill_scanners(self.server);
                Err(self.in_trouble(health.to_string()))
            }
        }
    }

    fn in_trouble(&self, why: String) -> Error {
        let finding = found::mount_refused(format!(
            "the media of {:?} are not to be relied on: {why}",
            self.section.name
        ));
        self.note(finding.line());
        self.trouble.borrow_mut().get_or_insert(Trouble {
            why,
            in_scan: self.in_scan.get(),
        });
        finding.error()
    }

    /// A journal that cannot be written is noticed by the phase's own lines.
    fn note(&self, text: String) {
        let phase = Phase::Index {
            section: self.section.id,
        };
        if let Err(error) = self.w.side.note(phase, text) {
            tracing::warn!("{}", error.chain());
        }
    }
}

/// The times that were shown of what was read.
fn times_of(proof: &Proof) -> impl Iterator<Item = (String, i64)> {
    let time = |probed: &Probed| Some((probed.file.to_string_lossy().into_owned(), probed.changed_at?));
    proof.files.iter().filter_map(time)
}

/// Ends what would draw conclusions, stopped or not; the server itself lives on and is asked to end later.
pub(super) fn kill_scanners(server: &Server) {
    send(server, Signal::KILL, |process| process.is_scanner());
}

/// Plex stands still for as long as this lives.
struct Held<'a>(&'a Server);

impl<'a> Held<'a> {
    fn hold(server: &'a Server) -> Self {
        send(server, Signal::STOP, |_| true);
        Self(server)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        send(self.0, Signal::CONT, |_| true);
    }
}

fn send(server: &Server, signal: Signal, whom: impl Fn(&crate::plex::runtime::Process) -> bool) {
    match server.processes() {
        Ok(processes) => {
            for process in processes.iter().filter(|process| whom(process)) {
                if let Some(pid) = Pid::from_raw(process.pid) {
                    // Gone by itself meanwhile is as good.
                    let _ = rustix::process::kill_process(pid, signal);
                }
            }
        }
        Err(error) => tracing::warn!(%error, "the processes of the worker's Plex cannot be looked at"),
    }
}
