//! Waiting until a step is really over, and telling working, slow and stalled apart.
//!
//! Every look asks several witnesses: the activities, the section's own flag, the processes, the CPU, the counters, and
//! what the server has told by itself since the last look (whose silence proves nothing). Idle means that all of them say so, several looks in a row, since an activity (or its section) may show up a second
//! late. A stall means that somebody claims to be at work while no witness has seen anything move.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::counters::{CountError, Counters, Counts};
use super::limits::Limits;
use super::report::{Error, Outcome, Progress, Step, Verdict};
use crate::clock::Clock;
use crate::plex::client::{Activity, Client, Error as CallError};
use crate::plex::listen::{Heard, News};
use crate::plex::runtime::{CpuMeter, Process, Runtime, State};

/// Counting may take at most this share of the time: a fiftieth.
const COUNTING: u32 = 50;
/// Looks that the recent rate is of.
const RECENT: usize = 30;
/// What Plex's processes read from one look to the next is work from here on; less is its own housekeeping.
const READING: u64 = 1024 * 1024;

/// The server as its processes show it.
pub trait Observed: Sync {
    /// Whether it runs.
    fn state(&self) -> State;
    /// Its processes.
    ///
    /// # Errors
    /// They cannot be looked at.
    fn processes(&self) -> io::Result<Vec<Process>>;
}

impl<R: Runtime + Sync> Observed for R {
    fn state(&self) -> State {
        Runtime::state(self)
    }

    fn processes(&self) -> io::Result<Vec<Process>> {
        Runtime::processes(self)
    }
}

/// What a wait has at hand.
pub(super) struct Watch<'a> {
    pub(super) client: &'a Client,
    pub(super) clock: &'a dyn Clock,
    pub(super) counters: &'a dyn Counters,
    pub(super) server: &'a dyn Observed,
    pub(super) heard: &'a Heard,
    pub(super) limits: &'a Limits,
    pub(super) section: i64,
    pub(super) title: &'a str,
}

/// What is waited for.
pub(super) struct Wait {
    pub(super) step: Step,
    pub(super) limit: Duration,
    /// When the section was last scanned, before a scan: another time proves that it was seen.
    pub(super) scanned_at: Option<i64>,
}

/// What one look found.
struct Look {
    /// Who is at work, by their own word.
    busy: Vec<String>,
    /// Another value when an activity has moved on.
    activities: Vec<(String, String, u64)>,
    /// Percent of a core.
    cpu: Option<f64>,
    /// Bytes that its processes have read so far; none where they may not be asked.
    read: Option<u64>,
    scanned_at: Option<i64>,
}

/// The counters at a look, and how far the step is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counted {
    counts: Counts,
    share: Option<(u64, u64)>,
}

/// Why a look failed.
enum Failed {
    Call(CallError),
    Count(CountError),
}

impl Watch<'_> {
    /// Waits until the step is over, or it is certain that it is not.
    ///
    /// `guard` is called now and then; what it refuses ends the wait.
    pub(super) async fn settle(
        &self,
        wait: &Wait,
        progress: &mut dyn FnMut(&Progress),
        mut guard: impl AsyncFnMut() -> Result<(), CountError>,
    ) -> Result<(Outcome, String), Error> {
        let begun = self.clock.now();
        let (mut moved, mut told, mut guarded, mut looked) = (begun, begun, begun, begun);
        let mut gains: VecDeque<(Duration, u64)> = VecDeque::new();
        let mut said = None;
        let (mut idle, mut failing) = (0, 0);
        let mut seen = wait.step == Step::Idle;
        let mut cpu = CpuMeter::default();
        let mut counting = Counting::default();
        let mut last: Option<Look> = None;
        let mut first: Option<Counted> = None;
        let mut known: Option<Counted> = None;
        loop {
            if let State::Crashed(exit) = self.server.state() {
                return Err(Error::Died {
                    title: self.title.to_owned(),
                    exit,
                });
            }
            let now = self.clock.now();
            // While nobody looked (the machine slept, the guard took its time) nothing can be said to have stood still.
            let unseen = (now - looked).saturating_sub(self.limits.interval * 2);
            moved += unseen;
            told += unseen;
            looked = now;
            let look = match self.look(now, &mut cpu).await? {
                Ok(look) => look,
                Err(failed) => {
                    failing += 1;
                    idle = 0;
                    self.tolerate(failing, failed)?;
                    self.pause(begun, wait.limit).await;
                    continue;
                }
            };
            // Whether all is still must be known freshly; how far it is may be a little old.
            let fresh = look.busy.is_empty() || counting.is_due(now);
            let mut stirred = false;
            if fresh {
                match self.count(wait.step) {
                    Ok(counted) => {
                        counting.took(now, self.clock.now());
                        stirred = known.is_some_and(|before| before != counted);
                        known = Some(counted);
                        first.get_or_insert(counted);
                    }
                    Err(error) => {
                        failing += 1;
                        idle = 0;
                        self.tolerate(failing, Failed::Count(error))?;
                        self.pause(begun, wait.limit).await;
                        continue;
                    }
                }
            }
            failing = 0;
            // Taken after the look, so that what it was asked about is heard as well.
            let news = self.heard.news();
            let told_of = news.moves > 0;
            let works = look.cpu.is_some_and(|percent| percent >= self.limits.idle_cpu);
            let went_on = last.as_ref().is_some_and(|last| last.activities != look.activities);
            let reads = last.as_ref().is_some_and(|last| {
                let more = look.read.zip(last.read).map(|(now, before)| now.saturating_sub(before));
                more.is_some_and(|more| more >= READING)
            });
            if stirred || went_on || told_of || last.is_none() {
                told = now;
            }
            if stirred || went_on || told_of || works || reads || last.is_none() {
                moved = now;
            }
            let verdict = self.verdict(&look, now - told, now - moved);
            let evidence = self.evidence(&look, &news, known, now - told, now - moved);
            if said != Some(verdict) {
                said = Some(verdict);
                tracing::debug!(title = self.title, step = %wait.step, %verdict, evidence);
            }
            seen |= !look.busy.is_empty() || stirred || look.scanned_at != wait.scanned_at;
            let nothing_left = wait.step == Step::Sonic && known.is_some_and(|known| is_complete(known.share));
            // An activity may be heard before it is listed.
            let quiet = (look.busy.is_empty() && news.at_work.is_empty()) || nothing_left;
            idle = if quiet && !stirred && known.is_some() {
                idle + 1
            } else {
                0
            };
            let elapsed = now - begun;
            if idle >= self.limits.idle_looks && (seen || elapsed >= self.limits.grace) {
                return Ok((Outcome::Done, format!("{idle} looks in a row: {evidence}")));
            }
            let busy = if look.busy.is_empty() {
                "Plex does not stay quiet".to_owned()
            } else {
                look.busy.join(", ")
            };
            if elapsed >= wait.limit {
                let seconds = wait.limit.as_secs();
                return Ok((Outcome::TimedOut { busy, seconds }, evidence));
            }
            let still = now - moved;
            if !look.busy.is_empty() && still >= self.limits.stall() {
                let seconds = still.as_secs();
                return Ok((Outcome::Stalled { busy, seconds }, evidence));
            }
            if let (Some(known), Some(first)) = (known, first) {
                let done = done(known);
                gains.push_back((elapsed, done));
                if gains.len() > RECENT {
                    gains.pop_front();
                }
                let rate = |(since, before): (Duration, u64)| {
                    per_minute(done.saturating_sub(before), elapsed.saturating_sub(since))
                };
                progress(&Progress {
                    step: wait.step,
                    title: self.title.to_owned(),
                    elapsed,
                    limit: wait.limit,
                    counts: known.counts,
                    share: known.share,
                    rate: per_minute(done.saturating_sub(self::done(first)), elapsed),
                    recent: gains.front().copied().map_or(0.0, rate),
                    gained: done.saturating_sub(self::done(first)),
                    verdict,
                    evidence: evidence.clone(),
                    busy: look.busy.clone(),
                    cpu: look.cpu,
                    still,
                });
            }
            if now - guarded >= self.limits.guard_every {
                guarded = now;
                guard().await.map_err(|source| Error::Guard {
                    title: self.title.to_owned(),
                    source,
                })?;
            }
            last = Some(look);
            self.pause(begun, wait.limit).await;
        }
    }

    async fn pause(&self, begun: Instant, limit: Duration) {
        let left = limit.saturating_sub(self.clock.now() - begun);
        // The last look is at the limit, not an interval after it.
        self.clock
            .sleep(self.limits.interval.min(left.max(Duration::from_millis(1))))
            .await;
    }

    async fn look(&self, now: Instant, cpu: &mut CpuMeter) -> Result<Result<Look, Failed>, Error> {
        let processes = self.server.processes().map_err(Error::Processes)?;
        let asked = async { Ok((self.client.activities().await?, self.client.sections().await?)) };
        let (activities, sections): (Vec<Activity>, Vec<_>) = match asked.await {
            Ok(found) => found,
            Err(call) => return Ok(Err(Failed::Call(call))),
        };
        let section = sections.iter().find(|section| section.id == self.section);
        let working: Vec<&Activity> = activities.iter().filter(|activity| activity.is_work()).collect();
        let mut busy: Vec<String> = working.iter().map(|activity| activity.text()).collect();
        for refreshing in sections.iter().filter(|section| section.refreshing) {
            busy.push(format!("{} being scanned", refreshing.title));
        }
        let scanners = processes.iter().filter(|process| process.is_scanner()).count();
        match scanners {
            0 => {}
            1 => busy.push("1 scanner process".to_owned()),
            more => busy.push(format!("{more} scanner processes")),
        }
        Ok(Ok(Look {
            busy,
            activities: working
                .iter()
                .map(|activity| {
                    (
                        activity.uuid.clone(),
                        activity.subtitle.clone(),
                        activity.progress.to_bits(),
                    )
                })
                .collect(),
            cpu: cpu.percent(now, &processes),
            read: bytes_read(&processes),
            scanned_at: section.and_then(|section| section.scanned_at),
        }))
    }

    fn count(&self, step: Step) -> Result<Counted, CountError> {
        crate::plex::blocking(|| {
            let counts = self.counters.section(self.section)?;
            let share = match step {
                Step::Idle | Step::Folders | Step::Scan | Step::Refresh | Step::Extras => None,
                Step::Analyse => Some((counts.analysed, counts.files)),
                Step::Loudness => Some((counts.loudness, counts.items)),
                Step::Sonic => self.counters.sonic().map(|sonic| Some((sonic.done, sonic.all)))?,
            };
            Ok(Counted { counts, share })
        })
    }

    /// A server in the middle of hard work misses a look now and then; one that misses several has a problem.
    fn tolerate(&self, failing: u32, failed: Failed) -> Result<(), Error> {
        let title = self.title.to_owned();
        match failed {
            Failed::Call(call) if !call.is_temporary() || failing > self.limits.failing_looks => {
                Err(Error::Call { title, call })
            }
            Failed::Count(source) if failing > self.limits.failing_looks => Err(Error::Counters { title, source }),
            Failed::Call(call) => {
                tracing::debug!(%call, failing, "a look at Plex failed");
                Ok(())
            }
            Failed::Count(error) => {
                tracing::debug!(%error, failing, "counting failed");
                Ok(())
            }
        }
    }

    fn verdict(&self, look: &Look, told: Duration, still: Duration) -> Verdict {
        let soon = self.limits.stall() / 10;
        match (told <= soon, still <= soon) {
            _ if look.busy.is_empty() => Verdict::Quiet,
            (true, _) => Verdict::Working,
            (false, true) => Verdict::Slow,
            (false, false) => Verdict::Still,
        }
    }

    /// What each witness says, for whoever has to judge the decision.
    fn evidence(&self, look: &Look, news: &News, known: Option<Counted>, told: Duration, still: Duration) -> String {
        let at_work = if look.busy.is_empty() {
            "nobody at work".to_owned()
        } else {
            look.busy.join(", ")
        };
        let counted = match known {
            None => "nothing counted yet".to_owned(),
            Some(known) => match known.share {
                Some((done, all)) => format!("{done} of {all}"),
                None => format!("{} files", known.counts.files),
            },
        };
        let cpu = look
            .cpu
            .map_or_else(|| "CPU unknown".to_owned(), |cpu| format!("CPU {cpu:.0} %"));
        let read = look
            .read
            .map_or_else(String::new, |read| format!(", {} read", crate::term::bytes(read)));
        let limits = self.limits;
        format!(
            "{at_work}; {counted}, {cpu}{read}, {news}; counters and activities moved {} s ago, anything {} s ago; a stall is {} \
             ({} looks, {:.1} s apart)",
            told.as_secs(),
            still.as_secs(),
            match limits.stall().as_secs() {
                seconds @ 0..60 => format!("{seconds} s"),
                seconds => format!("{} min", seconds / 60),
            },
            limits.stall_looks,
            limits.interval.as_secs_f64(),
        )
    }
}

/// How far a step is, in its own unit.
fn done(counted: Counted) -> u64 {
    counted.share.map_or(counted.counts.files, |(done, _)| done)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_minute(gained: u64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    gained as f64 / (time.as_secs_f64() / 60.0)
}

/// What the processes have read so far, from whatever file; one that is not ours to ask has read nothing.
fn bytes_read(processes: &[Process]) -> Option<u64> {
    let read = |process: &Process| {
        let text = std::fs::read_to_string(format!("/proc/{}/io", process.pid)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("rchar: ")?.trim().parse::<u64>().ok())
    };
    let known: Vec<u64> = processes.iter().filter_map(read).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

fn is_complete(share: Option<(u64, u64)>) -> bool {
    share.is_some_and(|(done, all)| done >= all)
}

/// Keeps the counting from becoming the work: a large library takes seconds to count.
#[derive(Debug, Default)]
struct Counting {
    due: Option<Instant>,
}

impl Counting {
    fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| now >= due)
    }

    fn took(&mut self, begun: Instant, ended: Instant) {
        self.due = Some(ended + (ended - begun) * COUNTING);
    }
}
