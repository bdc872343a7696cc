//! The steps of a section, strictly one after the other.

use std::time::Duration;

use super::counters::{CountError, Counters};
use super::limits::Limits;
use super::report::{Error, Outcome, Progress, SectionReport, Step, StepReport};
use super::settle::{Observed, Wait, Watch};
use crate::clock::Clock;
use crate::plex::client::{Client, Error as CallError, Kind, Section};
use crate::plex::listen::Heard;
use crate::plex::preferences;

/// Failed files that a report names.
const NAMED: u64 = 1000;
/// The butler's tasks.
const SONIC: &str = "MusicAnalysis";
const LOUDNESS: &str = "LoudnessAnalysis";

/// When the caller's guard is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before a scan.
    Before,
    /// While a step runs.
    During,
    /// After a scan.
    After,
}

/// What is to be done with a section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Refresh all metadata along with the scan.
    pub force: bool,
    /// Analyse too; scan only when not.
    pub analyse: bool,
    /// Sonic for music; needs Plex Pass on the server.
    pub sonic: bool,
}

/// Makes one Plex index its sections.
#[derive(Clone, Copy)]
pub struct Indexer<'a> {
    /// The server.
    pub client: &'a Client,
    /// Its processes.
    pub server: &'a dyn Observed,
    /// Its library.
    pub counters: &'a dyn Counters,
    /// What the server tells by itself.
    pub heard: &'a Heard,
    /// Where time comes from.
    pub clock: &'a dyn Clock,
    /// How patient to be.
    pub limits: &'a Limits,
}

impl Indexer<'_> {
    /// Indexes one section. A step that stalls or times out ends it, is asked to stop, and is the report's last.
    ///
    /// `guard` is asked before, during and after a scan; when it refuses, the scan is cancelled. `progress` is told at
    /// every look.
    ///
    /// # Errors
    /// [`Error`]: what makes it pointless or dangerous to go on.
    pub async fn section(
        &self,
        id: i64,
        wish: &Wish,
        mut guard: impl AsyncFnMut(Moment) -> Result<(), CountError>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<SectionReport, Error> {
        let section = self.find(id).await?;
        let mut run = Run {
            indexer: self,
            section: &section,
            report: SectionReport {
                section: id,
                title: section.title.clone(),
                steps: Vec::new(),
                failed: Vec::new(),
                notes: Vec::new(),
            },
            progress,
            is_refresh: wish.force,
        };
        run.scan(wish.force, &mut guard).await?;
        if wish.analyse {
            run.analyse(&mut guard).await?;
            if section.is_music() {
                run.loudness(&mut guard).await?;
                if wish.sonic {
                    run.sonic(&mut guard).await?;
                }
            }
        }
        Ok(run.report)
    }

    async fn find(&self, id: i64) -> Result<Section, Error> {
        let sections = self.client.sections().await.map_err(|call| Error::Call {
            title: format!("section {id}"),
            call,
        })?;
        sections
            .into_iter()
            .find(|section| section.id == id)
            .ok_or(Error::NoSection(id))
    }
}

/// One section under way.
struct Run<'a> {
    indexer: &'a Indexer<'a>,
    section: &'a Section,
    report: SectionReport,
    progress: &'a mut dyn FnMut(&Progress),
    /// The scan refreshes all metadata.
    is_refresh: bool,
}

/// What the caller's guard is to the steps.
trait Guard: AsyncFnMut(Moment) -> Result<(), CountError> {}
impl<G: AsyncFnMut(Moment) -> Result<(), CountError>> Guard for G {}

impl Run<'_> {
    async fn scan(&mut self, force: bool, guard: &mut impl Guard) -> Result<(), Error> {
        let limits = self.indexer.limits;
        if !self
            .step(Step::Idle, limits.scan, async |_: &Client| Ok(()), guard)
            .await?
        {
            return Ok(());
        }
        // Guard 3, at the last moment before anything could be deleted.
        preferences::prove_off(self.indexer.client)
            .await
            .map_err(|source| Error::Deleting {
                title: self.section.title.clone(),
                source,
            })?;
        self.ask(guard, Moment::Before).await?;
        let id = self.section.id;
        let start = async |client: &Client| client.refresh(id, force, None).await;
        if self.step(Step::Scan, limits.scan, start, guard).await? {
            self.ask(guard, Moment::After).await?;
        }
        Ok(())
    }

    async fn analyse(&mut self, guard: &mut impl Guard) -> Result<(), Error> {
        if self.report.unfinished().is_some() {
            return Ok(());
        }
        let counts = self.count()?;
        if counts.analysed >= counts.files {
            return self.unstarted(Step::Analyse, Outcome::Complete { of: counts.files });
        }
        let id = self.section.id;
        let start = async |client: &Client| client.analyze(id).await;
        self.step(Step::Analyse, self.indexer.limits.analyse, start, guard)
            .await
            .map(drop)
    }

    async fn loudness(&mut self, guard: &mut impl Guard) -> Result<(), Error> {
        if self.report.unfinished().is_some() {
            return Ok(());
        }
        let counts = self.count()?;
        if counts.loudness >= counts.items {
            return self.unstarted(Step::Loudness, Outcome::Complete { of: counts.items });
        }
        self.butler(Step::Loudness, LOUDNESS, "LoudnessAnalysisBehavior", guard)
            .await
    }

    async fn sonic(&mut self, guard: &mut impl Guard) -> Result<(), Error> {
        if self.report.unfinished().is_some() {
            return Ok(());
        }
        let backlog = crate::plex::blocking(|| self.indexer.counters.sonic()).map_err(|error| self.uncounted(error))?;
        if backlog.left() == 0 {
            return self.unstarted(Step::Sonic, Outcome::Complete { of: backlog.all });
        }
        self.butler(Step::Sonic, SONIC, "MusicAnalysisBehavior", guard).await?;
        let left = crate::plex::blocking(|| self.indexer.counters.without_sonic(self.section.id, NAMED));
        self.report.failed = left.map_err(|error| self.uncounted(error))?;
        Ok(())
    }

    /// A task of the butler's, for as long as its preference allows it: quiet before and after.
    async fn butler(
        &mut self,
        step: Step,
        task: &'static str,
        preference: &'static str,
        guard: &mut impl Guard,
    ) -> Result<(), Error> {
        let limit = if step == Step::Sonic {
            self.indexer.limits.sonic
        } else {
            self.indexer.limits.analyse
        };
        let client = self.indexer.client;
        let allowed = client.set_preference(preference, "asap").await;
        if let Err(call) = allowed {
            if call.is_temporary() {
                return Err(self.call(call));
            }
            return self.unstarted(
                step,
                Outcome::Skipped {
                    why: format!("this Plex has no {preference}"),
                },
            );
        }
        let start = async |client: &Client| client.start_butler(task).await.map(drop);
        let done = match self.step(step, limit, start, guard).await {
            Err(Error::Call { call, .. }) if matches!(call.kind, Kind::NotFound) => self.unstarted(
                step,
                Outcome::Skipped {
                    why: format!("this Plex has no task {task}"),
                },
            ),
            other => other.map(drop),
        };
        // Whatever came of it: a preference left at asap would start work by itself in the next section's scan.
        let quiet = client
            .set_preference(preference, "never")
            .await
            .map_err(|call| self.call(call));
        done.and(quiet)
    }

    /// Starts a step and waits until it is over; whether the next may begin.
    async fn step(
        &mut self,
        step: Step,
        limit: Duration,
        start: impl AsyncFn(&Client) -> Result<(), CallError>,
        guard: &mut impl Guard,
    ) -> Result<bool, Error> {
        if self.report.unfinished().is_some() {
            return Ok(false);
        }
        let Indexer {
            client,
            server,
            counters,
            heard,
            clock,
            limits,
        } = *self.indexer;
        let limits = &limits.of_step(step, self.is_refresh);
        let before = self.count()?;
        let begun = clock.now();
        let scanned_at = self.indexer.find(self.section.id).await?.scanned_at;
        start(client).await.map_err(|call| self.call(call))?;
        let section = self.section;
        let watch = Watch {
            client,
            clock,
            counters,
            server,
            heard,
            limits,
            section: section.id,
            title: &section.title,
        };
        let wait = Wait {
            step,
            limit,
            scanned_at,
        };
        let settled = watch
            .settle(&wait, self.progress, async || guard(Moment::During).await)
            .await;
        let (outcome, evidence) = match settled {
            Ok(decided) => decided,
            Err(error) => {
                self.halt(step).await;
                return Err(error);
            }
        };
        let done = outcome.is_done();
        if !done {
            self.halt(step).await;
        }
        if step != Step::Idle || !done {
            let millis = u64::try_from((clock.now() - begun).as_millis()).unwrap_or(u64::MAX);
            let after = self.count()?;
            self.report.steps.push(StepReport {
                step,
                outcome,
                millis,
                before,
                after,
                evidence,
            });
        }
        Ok(done)
    }

    /// Asks whatever a step has started to stop. What went wrong before counts more than whether this succeeds.
    async fn halt(&self, step: Step) {
        let client = self.indexer.client;
        let halted = match step {
            Step::Idle => Ok(()),
            Step::Scan | Step::Analyse => client.cancel_refresh(self.section.id).await,
            Step::Loudness => client.stop_butler(LOUDNESS).await,
            Step::Sonic => client.stop_butler(SONIC).await,
        };
        if let Err(error) = halted {
            tracing::warn!(%error, %step, "a step could not be stopped");
        }
    }

    async fn ask(&self, guard: &mut impl Guard, moment: Moment) -> Result<(), Error> {
        guard(moment).await.map_err(|source| Error::Guard {
            title: self.section.title.clone(),
            source,
        })
    }

    /// A step that need not or cannot begin.
    fn unstarted(&mut self, step: Step, outcome: Outcome) -> Result<(), Error> {
        let counts = self.count()?;
        self.report.steps.push(StepReport {
            step,
            outcome,
            millis: 0,
            before: counts,
            after: counts,
            evidence: "by the counters".to_owned(),
        });
        Ok(())
    }

    fn count(&self) -> Result<super::Counts, Error> {
        crate::plex::blocking(|| self.indexer.counters.section(self.section.id)).map_err(|error| self.uncounted(error))
    }

    fn uncounted(&self, source: CountError) -> Error {
        Error::Counters {
            title: self.section.title.clone(),
            source,
        }
    }

    fn call(&self, call: CallError) -> Error {
        Error::Call {
            title: self.section.title.clone(),
            call,
        }
    }
}
