//! Checkpoints in the depot: what the worker has made so far, consistent, so that another worker can go on from there when
//! this one's machine is lost.
//!
//! A checkpoint is the delta from the base to a snapshot that is taken beside the running server, and the bundle files that
//! are new since the one before. It counts from the moment at which `worker/checkpoint.json` names it; until then the one
//! before does. Taken after a scan that was not deceived, every `limits.checkpoint` seconds of analysis, and after each
//! section: so each scan, which is what can go wrong, begins right after one. Must not: be taken while a scan runs, or end
//! the work because the depot does not answer.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use plex_library::{Databases, bundle, delta, ids::Stride};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Mutex, Notify};

use super::restore::Restored;
use super::{Indexed, Worker, checkpoint, result};
use crate::burst::phase::Phase;
use crate::burst::remapped;
use crate::burst::side::Side;
use crate::burst::spec::{Made, Section, key};
use crate::clock::Clock;
use crate::depot::{Depot, Object};
use crate::error::{Context, Error, Result};
use crate::home::discard;

/// Format of `worker/checkpoint.json`.
const VERSION: u32 = 1;
/// With so many folders of bundles they are packed anew as one.
const PACKS: usize = 60;
/// So long a depot that does not answer holds up one: the next scan waits for it, and there will be another try.
const PATIENCE: Duration = Duration::from_secs(60);
/// How finely the time of analysis is counted.
const TICK: Duration = Duration::from_secs(5);

/// A checkpoint as it lies in the depot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::burst) struct Saved {
    /// Format.
    v: u32,
    /// Which one of this burst, from 1.
    pub(in crate::burst) number: u32,
    /// When.
    at: jiff::Timestamp,
    /// The files of the delta, by name.
    pub(super) delta: Vec<Object>,
    /// Folders of packed bundle files, oldest first; of a file that is in several the newest counts.
    pub(super) bundles: Vec<Vec<Object>>,
    /// How far the worker's ids were moved out of home's way.
    pub(super) stride: Stride,
    /// What the phases of the sections noted that were done by then.
    pub(super) done: BTreeMap<i64, Value>,
    /// Sections that were not done, but had all their metadata refreshed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) refreshed: Vec<i64>,
}

impl Saved {
    /// The newest one in the depot.
    pub(in crate::burst) async fn newest(depot: &Depot) -> Result<Option<Self>> {
        let Some(bytes) = depot.read(key::CHECKPOINT).await? else {
            return Ok(None);
        };
        let saved: Self = serde_json::from_slice(&bytes)
            .map_err(|e| Error::unexpected("cannot understand the checkpoint in the depot").because(e))?;
        if saved.v > VERSION {
            return Err(Error::usage(
                "the checkpoint in the depot was written by a newer plexburst",
            ));
        }
        Ok(Some(saved))
    }

    /// It as a result, when nothing more is to come: `sections` were to be indexed, and those that were not are not because
    /// of `why`.
    pub(in crate::burst) fn into_made<'a>(
        mut self,
        sections: impl Iterator<Item = &'a Section>,
        why: &str,
    ) -> Result<Made> {
        let (mut warnings, mut failed_tracks) = (Vec::new(), Vec::new());
        for section in sections {
            match self.done.remove(&section.id) {
                Some(facts) => {
                    let indexed: Indexed = serde_json::from_value(facts)
                        .map_err(|e| Error::unexpected("cannot understand the checkpoint in the depot").because(e))?;
                    warnings.extend(indexed.warnings());
                    failed_tracks.extend(indexed.report.failed);
                }
                None => warnings.push(result::unfinished(&section.name, why)),
            }
        }
        Ok(Made {
            delta: self.delta,
            bundles: self.bundles.pop().unwrap_or_default(),
            older_bundles: self.bundles.into_iter().rev().collect(),
            stride: self.stride,
            warnings,
            failed_tracks,
            samples: Vec::new(),
        })
    }
}

/// Takes them, one at a time.
#[derive(Debug, Default)]
pub(super) struct Saver {
    /// The bundle files that are in the depot already; unknown to a process that has just begun.
    packed: Arc<Mutex<Option<bundle::Index>>>,
    /// The section whose scan is over and was not deceived, while the rest of its work is done; 0: none.
    scanned: AtomicI64,
}

impl Saver {
    /// Comes back when nothing reads the library for a checkpoint any more, also for one that was given up.
    pub(super) async fn is_still(&self) {
        drop(self.packed.lock().await);
    }

    /// From now on a checkpoint may be taken at any moment, for `section`; with 0 it may not.
    pub(super) fn may_save(&self, section: i64) {
        self.scanned.store(section, Ordering::SeqCst);
    }

    /// The section for which one may be taken at this moment.
    pub(super) fn section(&self) -> Option<i64> {
        Some(self.scanned.load(Ordering::SeqCst)).filter(|section| *section != 0)
    }
}

/// Takes one and notes it. A depot that cannot be written is said, and tried again the next time.
pub(super) async fn save(w: &Worker, section: i64, why: &str) -> Result<()> {
    noted(&w.side, Phase::Index { section }, why, act(w).await)
}

fn noted(side: &Side, phase: Phase, why: &str, made: Result<(u32, u64)>) -> Result<()> {
    match made {
        Ok((number, bytes)) => side.note(
            phase,
            format!("checkpoint {number} in the depot, {}, {why}", crate::term::bytes(bytes)),
        ),
        Err(error) => side.note(
            phase,
            format!(
                "warning: no checkpoint could be taken ({why}); the one before still holds: {}",
                error.chain()
            ),
        ),
    }
}

async fn act(w: &Worker) -> Result<(u32, u64)> {
    let depot = w.depot.waited_for(PATIENCE);
    let mut packed = Arc::clone(&w.saver.packed).lock_owned().await;
    let last = Saved::newest(&depot).await?;
    let number = last.as_ref().map_or(0, |last| last.number) + 1;
    let is_anew = packed.is_none() || last.as_ref().is_some_and(|last| last.bundles.len() >= PACKS);
    let since = if is_anew {
        bundle::Index::default()
    } else {
        packed.take().unwrap_or_default()
    };
    let job = Job::of(w);
    let stride = w.side.facts::<Restored>(Phase::Restore)?.stride;
    let done = done_sections(w);
    let refreshed = w.selected().map(|section| section.id);
    let refreshed = refreshed
        .filter(|section| checkpoint::is_refreshed(w, *section))
        .collect();
    // Off this task: meanwhile Plex and the media are watched. The lock goes along, so that whoever has to wait for the
    // library being left alone can, even if this future is dropped.
    let (mut packed, made) = tokio::task::spawn_blocking(move || {
        let made = job.make(&since);
        (packed, made)
    })
    .await
    .map_err(|e| Error::unexpected("taking a checkpoint was broken off").because(e))?;
    // Until it is in the depot nothing counts as packed: one that fails here is followed by one with everything.
    let made = made?;
    let put = async {
        let prefix = format!("checkpoint/{number}");
        let mut saved = Saved {
            v: VERSION,
            number,
            at: jiff::Timestamp::now(),
            delta: result::put_folder(&depot, &format!("{prefix}/delta"), &folder(w).join("delta")).await?,
            bundles: match &last {
                Some(last) if !is_anew => last.bundles.clone(),
                _ => Vec::new(),
            },
            stride,
            done,
            refreshed,
        };
        if made.bundle_files > 0 {
            let bundles = folder(w).join("bundles");
            saved
                .bundles
                .push(result::put_folder(&depot, &format!("{prefix}/bundles"), &bundles).await?);
        }
        let text = serde_json::to_vec(&saved).map_err(|e| Error::unexpected("cannot note a checkpoint").because(e))?;
        depot.put_bytes(key::CHECKPOINT, &text).await?;
        Ok::<Saved, Error>(saved)
    };
    let saved = put.await?;
    *packed = Some(made.index);
    discard(&folder(w))?;
    if let Some(last) = last {
        forget(&depot, &last, is_anew).await;
    }
    let bytes = saved
        .delta
        .iter()
        .chain(saved.bundles.iter().flatten())
        .map(|o| o.bytes)
        .sum();
    Ok((number, bytes))
}

/// The one before is of no use any more. One that stays costs a little room until the burst's end.
async fn forget(depot: &Depot, last: &Saved, with_bundles: bool) {
    let mut folders = vec![format!("checkpoint/{}/delta", last.number)];
    if with_bundles {
        folders.extend((1..=last.number).map(|number| format!("checkpoint/{number}/bundles")));
    }
    for folder in folders {
        if let Err(error) = depot.below(&folder).remove_all().await {
            tracing::debug!("{}", error.chain());
        }
    }
}

fn done_sections(w: &Worker) -> BTreeMap<i64, Value> {
    let journal = w.side.journal();
    let done = w.selected().filter_map(|section| {
        let facts = journal.done(Phase::Index { section: section.id })?;
        Some((section.id, facts.clone()))
    });
    done.collect()
}

/// Where it is made.
fn folder(w: &Worker) -> PathBuf {
    w.dir.join("saving")
}

/// What is needed to make one, apart from the worker.
struct Job {
    folder: PathBuf,
    work: PathBuf,
    base: PathBuf,
    databases: Databases,
    data_dir: PathBuf,
}

struct Packed {
    bundle_files: u64,
    index: bundle::Index,
}

impl Job {
    fn of(w: &Worker) -> Self {
        Self {
            folder: folder(w),
            work: w.dir.clone(),
            base: w.base().dir().to_path_buf(),
            databases: w.databases(),
            data_dir: w.data_dir(),
        }
    }

    fn make(&self, since: &bundle::Index) -> Result<Packed> {
        // Whatever one that was killed left is half done at best.
        discard(&self.folder)?;
        std::fs::create_dir_all(&self.folder).context(|| format!("cannot make {}", self.folder.display()))?;
        let snapshot = Databases::at(self.folder.join("snapshot"));
        plex_library::snapshot::take(&self.databases, snapshot.dir(), &())?;
        remapped::back(&snapshot, &self.work)?;
        delta::make(&self.base, &snapshot, &self.folder.join("delta"), &())?;
        discard(snapshot.dir())?;
        // After the databases, so that whatever their rows name is there; looked at before it is packed, so that what
        // changes meanwhile is packed again the next time.
        let index = bundle::Index::of(&self.data_dir)?;
        let packed = bundle::pack(&self.data_dir, since, &self.folder.join("bundles"), &())?;
        Ok(Packed {
            bundle_files: packed.files,
            index,
        })
    }
}

/// What a section's work tells whoever takes checkpoints beside it.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// It is being analysed right now.
    pub(super) is_analysing: Cell<bool>,
    /// It has been scanned, and the scan was not deceived.
    pub(super) scanned: Notify,
    /// Its work is over.
    pub(super) over: Notify,
}

/// Calls `save` with its reason after the scan and after every `every` of analysis, until the work is over; one that is
/// under way then is finished. The work waits for none of them.
pub(super) async fn now_and_then(
    clock: &dyn Clock,
    every: Duration,
    beside: &Beside,
    mut save: impl AsyncFnMut(&'static str) -> Result<()>,
) -> Result<()> {
    let mut analysed = Duration::ZERO;
    let mut last = clock.now();
    loop {
        tokio::select! {
            biased;
            () = beside.over.notified() => return Ok(()),
            () = beside.scanned.notified() => {
                save("after the scan").await?;
                analysed = Duration::ZERO;
                last = clock.now();
                continue;
            }
            () = clock.sleep(TICK.min(every / 2)) => {}
        }
        let now = clock.now();
        if beside.is_analysing.get() {
            analysed += now - last;
        }
        last = now;
        if analysed >= every && beside.is_analysing.get() {
            save("while it is analysed").await?;
            analysed = Duration::ZERO;
            last = clock.now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn only_analysis_counts_and_the_end_is_heeded() {
        let clock = ManualClock::new();
        let beside = Beside::default();
        let mut saved = Vec::new();
        // Half an hour of scanning, an hour of analysis.
        let story = async {
            loop {
                tokio::task::yield_now().await;
                let minutes = clock.passed().as_secs() / 60;
                if minutes >= 30 && !beside.is_analysing.replace(true) {
                    beside.scanned.notify_one();
                }
                if minutes >= 90 {
                    beside.over.notify_one();
                    break;
                }
            }
        };
        let saving = now_and_then(&clock, 15 * MINUTE, &beside, async |why| {
            saved.push((clock.passed().as_secs() / 60, why));
            Ok(())
        });
        let (result, ()) = tokio::join!(saving, story);
        result.unwrap();
        // The last one may fall together with the end.
        assert!((4..=5).contains(&saved.len()), "{saved:?}");
        assert_eq!(saved[0].1, "after the scan");
        for (number, (minute, _)) in (0..).zip(&saved) {
            let due = 30 + 15 * number;
            assert!((due..=due + 1).contains(minute), "{saved:?}");
        }
    }

    /// Two hours of analysis, for one of which the depot is away: everything is tried when it is due, the work never waits,
    /// and what was noted meanwhile is there afterwards.
    #[tokio::test]
    async fn a_depot_that_is_gone_for_an_hour_costs_its_checkpoints_alone() {
        let dir = tempfile::tempdir().unwrap();
        let config = crate::config::Depot {
            directory: Some(dir.path().join("depot")),
            ..crate::config::Depot::default()
        };
        let printer = crate::term::Printer::new(true);
        let depot = Depot::of(&config, "B", &printer).unwrap();
        std::fs::create_dir(dir.path().join("worker")).unwrap();
        let side = Side::open(&dir.path().join("worker"), printer).unwrap();
        let journal = Arc::new(crate::depot::Status::new(depot.clone(), key::WORKER_JOURNAL));
        let sealed = Arc::clone(&journal);
        side.on_write(move |entries| {
            sealed.say(crate::burst::elsewhere::sealed(entries)?);
            Ok(())
        });
        let phase = Phase::Index { section: 3 };
        side.write(phase, crate::burst::journal::Event::Started).unwrap();
        let clock = ManualClock::new();
        let minutes = || clock.passed().as_secs() / 60;
        let (place, away) = (dir.path().join("depot"), dir.path().join("away"));
        let beside = Beside::default();
        beside.is_analysing.set(true);
        let worked_away = Cell::new(0);
        let story = async {
            loop {
                tokio::task::yield_now().await;
                match minutes() {
                    20..80 if place.is_dir() => {
                        std::fs::rename(&place, &away).unwrap();
                        std::fs::write(&place, "").unwrap();
                    }
                    20..80 => worked_away.set(worked_away.get() + 1),
                    80.. if place.is_file() => {
                        std::fs::remove_file(&place).unwrap();
                        std::fs::rename(&away, &place).unwrap();
                    }
                    125.. => return beside.over.notify_one(),
                    _ => {}
                }
            }
        };
        let mut number = 0;
        let saving = now_and_then(&clock, 15 * MINUTE, &beside, async |why| {
            let made = depot.put_bytes(key::CHECKPOINT, minutes().to_string().as_bytes()).await;
            number += u32::from(made.is_ok());
            noted(&side, phase, why, made.map(|()| (number, 1)))
        });
        let (result, ()) = tokio::join!(saving, story);
        result.unwrap();
        journal.settled().await.unwrap();
        let there = crate::burst::elsewhere::entries_of_worker(&depot).await.unwrap();
        assert_eq!(there, side.journal().entries(), "what was noted meanwhile is there");
        let count = |words: &str| {
            let is_it = |entry: &&crate::burst::journal::Entry| matches!(&entry.event, crate::burst::journal::Event::Note { text } if text.contains(words));
            there.iter().filter(is_it).count()
        };
        // Due at 15; at 30, 45, 60 and 75; at 90, 105 and 120.
        assert_eq!(
            (count("no checkpoint could be taken"), count("in the depot, 1 B")),
            (4, 4)
        );
        let last: u64 = String::from_utf8(depot.read(key::CHECKPOINT).await.unwrap().unwrap())
            .unwrap()
            .parse()
            .unwrap();
        assert!((120..123).contains(&last), "{last}");
        assert!(worked_away.get() >= 60, "the work went on: {}", worked_away.get());
    }

    #[tokio::test]
    async fn what_cannot_be_written_down_ends_it() {
        let (clock, beside) = (ManualClock::new(), Beside::default());
        beside.is_analysing.set(true);
        let result = now_and_then(&clock, MINUTE, &beside, async |_| {
            Err(Error::failed("the disk is full"))
        });
        assert_eq!(result.await.unwrap_err().to_string(), "the disk is full");
    }
}
