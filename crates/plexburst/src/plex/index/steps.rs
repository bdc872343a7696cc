//! The steps of a section, strictly one after the other.

use std::time::Duration;

use super::complete::{Completeness, Kind};
use super::counters::{CountError, Counters, Counts, Marks};
use super::limits::Limits;
use super::report::{Error, Outcome, Progress, SectionReport, Step, StepReport};
use super::settle::{Observed, Wait, Watch};
use crate::clock::Clock;
use crate::config::PreferencesMode;
use crate::plex::client::{Client, Error as CallError, ItemKind, Kind as Failure, Section};
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
    /// After the refresh of all metadata, which looks at every file like a scan.
    Refreshed,
}

/// What is to be done with a section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Look into folders that seem unchanged as well: Plex refreshes all metadata on its way, so that no refresh follows.
    pub deep: bool,
    /// Only these folders are scanned, when that finds every one of `new`; empty: the whole section.
    pub folders: Vec<String>,
    /// Files that the library has to have afterwards.
    pub new: Vec<String>,
    /// Refresh all metadata after the scan.
    pub refresh: bool,
    /// Analyse too; scan only when not.
    pub analyse: bool,
    /// Sonic for music; needs Plex Pass on the server.
    pub sonic: bool,
    /// What Plex may do of its own during the analysis.
    pub allow: PreferencesMode,
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
                kinds: Vec::new(),
                decisions: Vec::new(),
                allowed: Vec::new(),
            },
            progress,
            is_deep: wish.deep,
            allowed: preferences::allowed(wish.allow, section.is_music()),
        };
        if wish.deep || wish.folders.is_empty() || !run.folders(wish, &mut guard).await? {
            run.scan(&mut guard).await?;
        }
        if wish.refresh && !wish.deep {
            run.refresh(&mut guard).await?;
        }
        if wish.analyse && run.report.unfinished().is_none() {
            run.allow().await?;
            let done = run.analysis(wish, &mut guard).await;
            // Whatever came of it: what is let on would start work by itself in the next section's scan.
            let forbidden = run.forbid().await;
            done.and(forbidden)?;
        }
        if run.report.unfinished().is_none() {
            run.kinds(wish).await?;
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
    is_deep: bool,
    /// Preferences that are let on during the analysis.
    allowed: Vec<&'static str>,
}

/// What the caller's guard is to the steps.
trait Guard: AsyncFnMut(Moment) -> Result<(), CountError> {}
impl<G: AsyncFnMut(Moment) -> Result<(), CountError>> Guard for G {}

impl Run<'_> {
    /// Some folders alone. False when that was not enough, and the whole section has to be scanned.
    async fn folders(&mut self, wish: &Wish, guard: &mut impl Guard) -> Result<bool, Error> {
        let limit = self.indexer.limits.scan;
        let nothing = async |_: &Client| Ok(());
        if !self.step(Step::Idle, limit, nothing, guard).await? {
            return Ok(true);
        }
        self.may_scan(guard).await?;
        let id = self.section.id;
        // Plex takes them one after the other.
        let start = async |client: &Client| {
            for folder in &wish.folders {
                client.refresh(id, false, Some(folder)).await?;
            }
            Ok(())
        };
        if !self.step(Step::Folders, limit, start, guard).await? {
            return Ok(true);
        }
        let lacking = crate::plex::blocking(|| self.indexer.counters.lacking(id, &wish.new));
        let lacking = lacking.map_err(|error| self.uncounted(error))?;
        if let Some(first) = lacking.first() {
            self.report.decisions.push(format!(
                "{} of {} new files were not found by scanning their folders, {first} among them: the whole section is scanned",
                lacking.len(),
                wish.new.len()
            ));
            return Ok(false);
        }
        let all = format!("all {} new files were found by scanning their folders", wish.new.len());
        self.report.decisions.push(all);
        self.ask(guard, Moment::After).await?;
        Ok(true)
    }

    async fn scan(&mut self, guard: &mut impl Guard) -> Result<(), Error> {
        let limits = self.indexer.limits;
        let (id, is_deep) = (self.section.id, self.is_deep);
        let limit = if is_deep { limits.refresh } else { limits.scan };
        let nothing = async |_: &Client| Ok(());
        if !self.step(Step::Idle, limit, nothing, guard).await? {
            return Ok(());
        }
        self.may_scan(guard).await?;
        let start = async |client: &Client| client.refresh(id, is_deep, None).await;
        if self.step(Step::Scan, limit, start, guard).await? {
            self.ask(guard, Moment::After).await?;
        }
        Ok(())
    }

    /// All metadata anew: Plex has no other call for it than a scan by force, which looks at every file again.
    async fn refresh(&mut self, guard: &mut impl Guard) -> Result<(), Error> {
        if self.report.unfinished().is_some() {
            return Ok(());
        }
        self.may_scan(guard).await?;
        let id = self.section.id;
        let start = async |client: &Client| client.refresh(id, true, None).await;
        if self
            .step(Step::Refresh, self.indexer.limits.refresh, start, guard)
            .await?
        {
            self.ask(guard, Moment::Refreshed).await?;
        }
        Ok(())
    }

    /// Whether a scan may begin.
    async fn may_scan(&self, guard: &mut impl Guard) -> Result<(), Error> {
        // Guard 3, at the last moment before anything could be deleted.
        preferences::prove_off(self.indexer.client)
            .await
            .map_err(|source| Error::Deleting {
                title: self.section.title.clone(),
                source,
            })?;
        self.ask(guard, Moment::Before).await
    }

    /// What the mode lets on, for as long as the section is analysed.
    async fn allow(&mut self) -> Result<(), Error> {
        if self.allowed.is_empty() {
            return Ok(());
        }
        let allowed = preferences::allow(self.indexer.client, &self.allowed).await;
        let outcome = allowed.map_err(|call| self.call(call))?;
        // Names that this version lacks were said when the worker was made quiet.
        let has = |name: &&'static str| !outcome.unknown.iter().any(|unknown| unknown == name);
        self.allowed.retain(has);
        self.report.allowed = self.allowed.iter().map(|name| (*name).to_owned()).collect();
        for (name, value) in outcome.kept {
            self.report.notes.push(format!(
                "{}: the preference {name} of the worker's Plex stays at {value}",
                self.report.title
            ));
        }
        Ok(())
    }

    async fn forbid(&mut self) -> Result<(), Error> {
        let forbidden = preferences::forbid(self.indexer.client, &self.allowed).await;
        forbidden.map(drop).map_err(|call| self.call(call))
    }

    async fn analysis(&mut self, wish: &Wish, guard: &mut impl Guard) -> Result<(), Error> {
        self.analyse(guard).await?;
        if self.section.is_music() {
            self.loudness(guard).await?;
            if wish.sonic {
                self.sonic(guard).await?;
            }
        } else if wish.allow == PreferencesMode::Everything {
            self.extras(guard).await?;
        }
        Ok(())
    }

    /// Whether the other witnesses of a kind say so as well. One that does not is told.
    fn is_complete(&mut self, kind: Kind, counts: &Counts) -> Result<bool, Error> {
        let kind = Completeness::of(kind, counts, &self.marks()?, None);
        if kind.is_disputed() {
            self.report.decisions.push(format!("{kind}; it is done again"));
        }
        Ok(kind.is_complete())
    }

    /// What the section is complete in at its end.
    async fn kinds(&mut self, wish: &Wish) -> Result<(), Error> {
        let (counts, marks) = (self.count()?, self.marks()?);
        let answered = match ItemKind::of_files(&self.section.kind) {
            Some(kind) => self.indexer.client.count(self.section.id, kind).await,
            None => return Ok(()),
        };
        let items = match answered {
            Ok(items) => Some(items),
            Err(error) => {
                self.report
                    .decisions
                    .push(format!("Plex was asked for its items in vain: {error}"));
                None
            }
        };
        let mut kinds = vec![Kind::Scanned, Kind::Matched, Kind::Artwork, Kind::Analysed];
        if self.section.is_music() {
            kinds.push(Kind::Loudness);
            kinds.extend(wish.sonic.then_some(Kind::Sonic));
        }
        self.report.kinds = kinds
            .into_iter()
            .map(|kind| Completeness::of(kind, &counts, &marks, items))
            .collect();
        Ok(())
    }

    /// Previews and markers: the butler's tasks of what is let on, one after the other.
    async fn extras(&mut self, guard: &mut impl Guard) -> Result<(), Error> {
        for (name, task) in preferences::EXTRAS {
            if self.report.unfinished().is_some() {
                return Ok(());
            }
            if self.allowed.contains(&name) {
                let limit = self.indexer.limits.analyse;
                self.task(Step::Extras, task, limit, guard).await?;
            }
        }
        Ok(())
    }

    async fn analyse(&mut self, guard: &mut impl Guard) -> Result<(), Error> {
        if self.report.unfinished().is_some() {
            return Ok(());
        }
        let counts = self.count()?;
        if counts.analysed >= counts.files && self.is_complete(Kind::Analysed, &counts)? {
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
        if counts.loudness >= counts.items && self.is_complete(Kind::Loudness, &counts)? {
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
        let counts = self.count()?;
        if backlog.left() == 0 && self.is_complete(Kind::Sonic, &counts)? {
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
        let is_on = self.allowed.contains(&preference);
        if !is_on && let Err(call) = client.set_preference(preference, "asap").await {
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
        let done = self.task(step, task, limit, guard).await;
        if is_on {
            return done;
        }
        // Whatever came of it: a preference left at asap would start work by itself in the next section's scan.
        let quiet = client
            .set_preference(preference, "never")
            .await
            .map_err(|call| self.call(call));
        done.and(quiet)
    }

    /// Starts one of the butler's tasks and waits until it is over.
    async fn task(
        &mut self,
        step: Step,
        task: &'static str,
        limit: Duration,
        guard: &mut impl Guard,
    ) -> Result<(), Error> {
        let start = async |client: &Client| client.start_butler(task).await.map(drop);
        match self.step(step, limit, start, guard).await {
            Err(Error::Call { call, .. }) if matches!(call.kind, Failure::NotFound) => self.unstarted(
                step,
                Outcome::Skipped {
                    why: format!("this Plex has no task {task}"),
                },
            ),
            other => other.map(drop),
        }
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
        let limits = &limits.of_step(step, self.is_deep);
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
            Step::Folders | Step::Scan | Step::Refresh | Step::Analyse => client.cancel_refresh(self.section.id).await,
            Step::Loudness => client.stop_butler(LOUDNESS).await,
            Step::Sonic => client.stop_butler(SONIC).await,
            Step::Extras => client.stop_all_of_butler().await,
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

    fn count(&self) -> Result<Counts, Error> {
        crate::plex::blocking(|| self.indexer.counters.section(self.section.id)).map_err(|error| self.uncounted(error))
    }

    fn marks(&self) -> Result<Marks, Error> {
        crate::plex::blocking(|| self.indexer.counters.marks(self.section.id)).map_err(|error| self.uncounted(error))
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
