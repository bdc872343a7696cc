//! Index: Plex driven through one section after the other, each a phase of its own; the media are proved before, during
//! and after each scan.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::progress::Teller;
use super::{Worker, plex};
use crate::burst::phase::Phase;
use crate::burst::spec::Section;
use crate::clock::SystemClock;
use crate::error::{Error, Result};
use crate::media::Opened;
use crate::plex::client::Client;
use crate::plex::index::{DatabaseCounters, Indexer, Limits, Moment, Outcome, SectionReport, Wish};
use crate::plex::runtime::Native;

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

/// All selected sections, strictly one at a time.
pub(super) async fn all(
    w: &Worker,
    media: &Opened,
    server: &Native,
    client: &Client,
    has_pass: bool,
    teller: &Teller<'_>,
) -> Result<()> {
    let counters = DatabaseCounters::new(w.databases());
    let configured = &w.spec.limits;
    let limits = Limits {
        grace: Duration::from_secs_f64(configured.grace),
        ..Limits::local().with(
            Duration::from_secs_f64(configured.interval),
            configured.stall,
            Duration::from_secs(configured.section),
        )
    };
    let indexer = Indexer {
        client,
        server,
        counters: &counters,
        clock: &SystemClock,
        limits: &limits,
    };
    let wish = Wish {
        force: w.spec.options.force_refresh || w.spec.options.force_deep_scan,
        analyse: true,
        sonic: has_pass && !w.spec.options.quick,
    };
    for section in w.selected() {
        one(w, section, media, &indexer, &wish, teller).await?;
    }
    Ok(())
}

async fn one(
    w: &Worker,
    section: &Section,
    media: &Opened,
    indexer: &Indexer<'_>,
    wish: &Wish,
    teller: &Teller<'_>,
) -> Result<()> {
    let phase = Phase::Index { section: section.id };
    let text = format!("indexing {:?}", section.name);
    w.side
        .phase(phase, &text, async || {
            // The files of this section that were there before; new ones are proved by Plex's own reading of them.
            let files = plex::sampled(w, Some(section.id))?;
            let guard = async |moment: Moment| {
                plex::prove(w, media, phase, &files, moment)
                    .await
                    .map_err(|e| e.chain().into())
            };
            let report = indexer
                .section(section.id, wish, guard, &mut |progress| teller.tell(&progress.to_string()))
                .await?;
            for step in &report.steps {
                w.side.note(phase, format!("{}: {} ({} ms)", step.step, step.outcome, step.millis))?;
            }
            if let Some(step) = report.unfinished() {
                return Err(Error::failed(format!("{:?}: {} {}", section.name, step.step, step.outcome))
                    .hint("`plexburst resume` goes on with this section; `limits.stall` and `limits.section` give it more time"));
            }
            Ok(Indexed { report })
        })
        .await?;
    Ok(())
}
