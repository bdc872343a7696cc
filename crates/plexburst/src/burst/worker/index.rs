//! Index: Plex driven through one section after the other, each a phase of its own; the media are watched all the while,
//! and a section whose media were dead or have deceived the scan is begun again from its checkpoint.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::progress::Teller;
use super::series::Series;
use super::watch::Watch;
use super::{Worker, checkpoint, recover};
use crate::burst::phase::Phase;
use crate::burst::spec::Section;
use crate::clock::SystemClock;
use crate::error::{Error, Result};
use crate::media::Opened;
use crate::plex::client::Client;
use crate::plex::index::{DatabaseCounters, Indexer, Limits, Moment, Outcome, Progress, SectionReport, Wish};
use crate::plex::runtime::Server;

/// What became of a section.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Indexed {
    /// Every step with its outcome and counts.
    pub report: SectionReport,
}

impl Indexed {
    /// Lines for a person.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let notes = self.report.notes.iter().cloned();
        let skipped = self.report.steps.iter().filter_map(|step| match &step.outcome {
            Outcome::Skipped { why } => Some(format!("{}: {} left out, {why}", self.report.title, step.step)),
            _ => None,
        });
        notes.chain(skipped)
    }
}

/// How often a section is begun again because of its media.
const RECOVERIES: u32 = 3;

/// All selected sections, strictly one at a time.
pub(super) async fn all(
    w: &Worker,
    media: &mut Opened,
    server: &mut Server,
    mut client: Client,
    has_pass: bool,
    teller: &Teller<'_>,
) -> Result<()> {
    let wish = Wish {
        force: w.spec.options.force_refresh || w.spec.options.force_deep_scan,
        analyse: true,
        sonic: has_pass && !w.spec.options.quick,
    };
    for section in w.selected() {
        one(w, section, media, server, &mut client, &wish, teller).await?;
    }
    Ok(())
}

fn limits(w: &Worker) -> Limits {
    let configured = &w.spec.limits;
    let limits = Limits::local();
    Limits {
        grace: Duration::from_secs_f64(configured.grace),
        guard_every: limits.guard_every.min(Duration::from_secs_f64(configured.watch)),
        ..limits.with(
            Duration::from_secs_f64(configured.interval),
            configured.stall,
            Duration::from_secs(configured.section),
        )
    }
}

/// One section, begun again from its checkpoint when its media were dead or have deceived the scan.
async fn one(
    w: &Worker,
    section: &Section,
    media: &mut Opened,
    server: &mut Server,
    client: &mut Client,
    wish: &Wish,
    teller: &Teller<'_>,
) -> Result<()> {
    let phase = Phase::Index { section: section.id };
    let text = format!("indexing {:?}", section.name);
    w.side
        .phase(phase, &text, async || {
            let mut recovered = 0;
            let report = loop {
                checkpoint::take(w, section.id)?;
                let watch = Watch::start(w, section, media, server)?;
                let report = attempt(w, section, &watch, client, server, wish, teller).await;
                let trouble = watch.trouble(report.is_err()).await;
                drop(watch);
                match (report, trouble) {
                    (Ok(report), None) => break report,
                    (Err(error), None) => return Err(error),
                    (Err(error), Some(_)) if recovered == RECOVERIES => return Err(error),
                    (_, Some(trouble)) => {
                        recovered += 1;
                        *client = recover::recover(w, section, &trouble, media, server, teller).await?;
                    }
                }
            };
            for step in &report.steps {
                w.side.note(phase, format!("{}: {} ({} ms)", step.step, step.outcome, step.millis))?;
            }
            if let Some(step) = report.unfinished() {
                return Err(Error::failed(format!("{:?}: {} {}", section.name, step.step, step.outcome))
                    .hint("`plexburst resume` goes on with this section; `limits.stall` and `limits.section` give it more time"));
            }
            checkpoint::drop(w, section.id)?;
            Ok(Indexed { report })
        })
        .await?;
    Ok(())
}

/// The section from its listing to its analysis, under watch.
async fn attempt(
    w: &Worker,
    section: &Section,
    watch: &Watch<'_>,
    client: &Client,
    server: &Server,
    wish: &Wish,
    teller: &Teller<'_>,
) -> Result<SectionReport> {
    watch.refresh().await?;
    watch.warm().await?;
    let (counters, limits) = (DatabaseCounters::new(w.databases()), limits(w));
    let indexer = Indexer {
        client,
        server,
        counters: &counters,
        clock: &SystemClock,
        limits: &limits,
    };
    let guard = async |moment: Moment| watch.guard(moment).await.map_err(|e| e.chain().into());
    let series = Series::open(w);
    let mut tell = |progress: &Progress| {
        let health = watch.health();
        series.look(section.id, progress, &health);
        teller.tell(&format!("{progress}; {health}"));
    };
    let indexed = indexer.section(section.id, wish, guard, &mut tell).await;
    series.save();
    Ok(indexed?)
}
