//! The butler: maintenance tasks, each in a thread of its own, each at most once at a time.
//!
//! Real work is done for: BackupDatabase, OptimizeDatabase, CleanOldBundles, GarbageCollectBlobs,
//! GarbageCollectLibraryMedia, RefreshLibraries, LoudnessAnalysis, MusicAnalysis, DeepMediaAnalysis, UpgradeMediaAnalysis.
//! The others are accepted and end at once: what they would work on (updates, guides, caches, video previews and markers) a
//! simulator does not have.

mod backup;
mod housekeeping;
pub(crate) mod tasks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::activities::{Cancel, Handle, Subject};
use crate::jobs::child::{self, Program};
use crate::jobs::{Scan, Workers, scans};
use crate::server::Server;
use tasks::Task;

/// Which tasks run, and how each is stopped.
#[derive(Debug, Default)]
pub(crate) struct Butler {
    running: Mutex<HashMap<&'static str, Arc<Cancel>>>,
}

impl Butler {
    /// Stops one, if it runs.
    pub(crate) fn cancel(&self, name: &str) {
        let cancel = self.lock().get(name).cloned();
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
    }

    /// Stops all.
    pub(crate) fn cancel_all(&self) {
        let all: Vec<_> = self.lock().values().cloned().collect();
        for cancel in all {
            cancel.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Arc<Cancel>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a request to start a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// It runs now.
    Now,
    /// It ran already.
    Already,
    /// This server has no such task.
    Unknown,
}

/// Takes a task out of the running ones when it ends, however it ends.
struct Running {
    server: Arc<Server>,
    name: &'static str,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.butler.lock().remove(self.name);
    }
}

/// Starts a task.
pub(crate) fn start(server: &Arc<Server>, name: &str) -> std::io::Result<Started> {
    let Some(task) = tasks::find(name).filter(|task| !task.pass || server.has_pass()) else {
        return Ok(Started::Unknown);
    };
    let Some((running, activity)) = begin(server, task) else {
        return Ok(Started::Already);
    };
    Workers::spawn(server, task.name, move |server| {
        run(server, task, &activity);
        // In this order: whoever sees the activity gone may start the task again.
        drop(running);
        drop(activity);
    })?;
    Ok(Started::Now)
}

/// Starts all tasks that are enabled, one after the other.
pub(crate) fn start_enabled(server: &Arc<Server>) -> std::io::Result<()> {
    let with_pass = server.has_pass();
    let enabled: Vec<&'static Task> = {
        let prefs = server.prefs();
        tasks::TASKS
            .iter()
            .filter(|task| (with_pass || !task.pass) && task.is_enabled(&prefs))
            .collect()
    };
    // All are taken before the first begins, so that stopping "all" stops those that wait as well.
    let begun: Vec<_> = enabled
        .into_iter()
        .filter_map(|task| Some((task, begin(server, task)?)))
        .collect();
    Workers::spawn(server, "butler", move |server| {
        for (task, (running, activity)) in begun {
            run(server, task, &activity);
            drop(running);
            drop(activity);
        }
    })
}

fn begin(server: &Arc<Server>, task: &'static Task) -> Option<(Running, Handle)> {
    let mut running = server.butler.lock();
    if running.contains_key(task.name) {
        return None;
    }
    let activity = server.activities.start(Subject::new(task.activity, task.title));
    running.insert(task.name, Arc::clone(activity.cancel()));
    Some((
        Running {
            server: Arc::clone(server),
            name: task.name,
        },
        activity,
    ))
}

fn run(server: &Arc<Server>, task: &Task, activity: &Handle) {
    if activity.cancel().is_cancelled() || server.is_stopping() {
        return;
    }
    server.log.info(format_args!("Butler: starting task {}", task.name));
    let outcome = work(server, task, activity);
    match outcome {
        Ok(()) => server.log.info(format_args!("Butler: task {} ended", task.name)),
        Err(error) => server
            .log
            .error(format_args!("Butler: task {} failed: {error}", task.name)),
    }
}

fn work(server: &Arc<Server>, task: &Task, activity: &Handle) -> Result<(), housekeeping::TaskError> {
    match task.name {
        "BackupDatabase" => backup::run(server),
        "OptimizeDatabase" => housekeeping::optimize(server),
        "CleanOldBundles" => housekeeping::clean_bundles(server),
        "GarbageCollectLibraryMedia" => housekeeping::clean_media(server),
        "GarbageCollectBlobs" => housekeeping::collect_blobs(server),
        "MusicAnalysis" => {
            child::run(server, Program::MusicAnalyzer, &[], activity);
            Ok(())
        }
        "LoudnessAnalysis" => each_section(server, activity, "--analyze-loudness", &[8]),
        "DeepMediaAnalysis" => each_section(server, activity, "--analyze", &[1, 2]),
        "UpgradeMediaAnalysis" => each_section(server, activity, "--analyze", &[1, 2, 8, 13]),
        "RefreshLibraries" => {
            for (section, name, _) in sections(server)? {
                scans::request(
                    server,
                    section,
                    &name,
                    Scan {
                        force: false,
                        path: None,
                    },
                );
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn sections(server: &Server) -> Result<Vec<(i64, String, i64)>, housekeeping::TaskError> {
    let pair = server.pool.get()?;
    let mut statement = pair
        .library
        .prepare("SELECT id, coalesce(name, ''), section_type FROM library_sections ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Runs the scanner with that action over every section of these types.
fn each_section(
    server: &Arc<Server>,
    activity: &Handle,
    action: &str,
    types: &[i64],
) -> Result<(), housekeeping::TaskError> {
    for (section, _, section_type) in sections(server)? {
        if activity.cancel().is_cancelled() || server.is_stopping() {
            break;
        }
        if types.contains(&section_type) {
            let arguments = [action.to_owned(), "--section".to_owned(), section.to_string()];
            child::run(server, Program::Scanner, &arguments, activity);
        }
    }
    Ok(())
}

/// What the settings want done as soon as media was added.
pub(crate) fn after_scan(server: &Arc<Server>) {
    let wanted = {
        let prefs = server.prefs();
        [
            ("LoudnessAnalysisBehavior", "LoudnessAnalysis"),
            ("MusicAnalysisBehavior", "MusicAnalysis"),
        ]
        .into_iter()
        .filter(|(setting, _)| prefs.stored(setting) == Some("asap"))
        .map(|(_, task)| task)
        .collect::<Vec<_>>()
    };
    for task in wanted {
        if let Err(error) = start(server, task) {
            server
                .log
                .error(format_args!("Butler: {task} could not be started: {error}"));
        }
    }
}
