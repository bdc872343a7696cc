//! Index: Plex driven through one section after the other, each a phase of its own; the media are watched all the while,
//! and a section whose media were dead or have deceived the scan is begun again from its checkpoint.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::progress::Teller;
use super::series::Series;
use super::watch::Watch;
use super::{Worker, checkpoint, recover, saver, serve};
use crate::burst::phase::Phase;
use crate::burst::request::{Monitoring, On};
use crate::burst::spec::Section;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::media::Opened;
use crate::media::scope::Scope;
use crate::plex::client::Client;
use crate::plex::index::{
    DatabaseCounters, Indexer, Kind, Limits, Moment, Outcome, Progress, SectionReport, Step, Verdict, Wish,
};
use crate::plex::listen::Listener;
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
        deep: w.spec.options.force_deep_scan,
        refresh: w.spec.options.force_refresh,
        analyse: true,
        allow: w.spec.preferences,
        sonic: has_pass && !w.spec.options.quick,
        ..Wish::default()
    };
    for section in w.selected() {
        let was_done = w.side.is_done(Phase::Index { section: section.id });
        one(w, section, media, server, &mut client, &wish, teller).await?;
        if !was_done {
            saver::save(w, section.id, "after the section").await?;
        }
    }
    Ok(())
}

/// How patient to be: the family as asked for, or by where the worker is.
fn limits(w: &Worker) -> Limits {
    let options = &w.spec.options;
    let family = options.monitoring.unwrap_or(match options.on {
        On::Here => Monitoring::Local,
        On::Host(_) | On::Scaleway => Monitoring::Cloud,
    });
    let configured = &w.spec.limits;
    let seconds = Duration::from_secs_f64;
    let at_most = |own: Option<u64>| Duration::from_secs(own.unwrap_or(configured.section));
    let limits = Limits::local();
    let limits = Limits {
        guard_every: limits.guard_every.min(seconds(configured.watch)),
        scan: at_most(configured.scan),
        refresh: at_most(configured.refresh.or(configured.scan)),
        analyse: at_most(configured.analyse),
        sonic: at_most(configured.sonic),
        ..limits
    };
    match family {
        Monitoring::Local => {
            let (stall, idle_cpu) = match options.quick {
                true => (configured.quick.stall, configured.quick.idle_cpu),
                false => (configured.stall, configured.idle_cpu),
            };
            Limits {
                grace: seconds(configured.grace),
                idle_cpu,
                ..limits.looking(seconds(configured.interval), stall)
            }
        }
        Monitoring::Cloud => {
            let cloud = &configured.cloud;
            Limits {
                grace: seconds(cloud.grace),
                idle_cpu: cloud.idle_cpu,
                refresh_stall_looks: cloud.refresh_stall,
                sonic_stall_looks: cloud.sonic_stall,
                ..limits.looking(seconds(cloud.interval), cloud.stall)
            }
        }
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
                    (Err(error), None) => return Err(serve::or_its_end(server, client, error).await),
                    (Err(error), Some(_)) if recovered == RECOVERIES => return Err(error),
                    (_, Some(trouble)) => {
                        recovered += 1;
                        *client = recover::recover(w, section, &trouble, media, server, teller).await?;
                    }
                }
            };
            for kind in &report.kinds {
                let warning = if kind.is_disputed() && kind.kind != Kind::Matched { "warning: " } else { "" };
                w.side.note(phase, format!("{warning}{kind}"))?;
            }
            for decision in &report.decisions {
                w.side.note(phase, decision)?;
            }
            if !report.allowed.is_empty() {
                let allowed = report.allowed.join(", ");
                w.side.note(phase, format!("let on while it was analysed, and read back: {allowed}"))?;
            }
            for step in &report.steps {
                let gained = step.gained();
                w.side.note(
                    phase,
                    format!(
                        "{}: {} ({} ms; {gained}), as was seen: {}",
                        step.step, step.outcome, step.millis, step.evidence
                    ),
                )?;
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

/// Looks what the media have, reads the ends of what is new, and settles how much of the section is scanned.
async fn scope(w: &Worker, section: &Section, watch: &Watch<'_>, wish: &mut Wish, teller: &Teller<'_>) -> Result<()> {
    let listings = watch.listings().await?;
    if let Some(listings) = &listings {
        watch.warm(listings).await?;
    }
    let (scope, new) = match listings {
        _ if wish.deep => (Scope::deep(), Vec::new()),
        None => (Scope::whole("its media could not be listed"), Vec::new()),
        Some(listings) => watch.scope(listings)?,
    };
    let text = format!("{:?} is {scope}", section.name);
    teller.tell(&text);
    w.side.note(Phase::Index { section: section.id }, text)?;
    if let Scope::Folders { folders, .. } = scope {
        (wish.folders, wish.new) = (folders, new);
    }
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
    w.saver.may_save(0);
    watch.refresh().await?;
    let mut wish = wish.clone();
    scope(w, section, watch, &mut wish, teller).await?;
    let (counters, limits) = (DatabaseCounters::new(w.databases()), limits(w));
    let listener = Listener::begin(client, Arc::new(SystemClock));
    let indexer = Indexer {
        client,
        server,
        counters: &counters,
        heard: listener.heard(),
        clock: &SystemClock,
        limits: &limits,
    };
    let phase = Phase::Index { section: section.id };
    if wish.refresh && !wish.deep && checkpoint::is_refreshed(w, section.id) {
        wish.refresh = false;
        w.side
            .note(phase, "all metadata were refreshed before the worker went on")?;
    }
    let beside = saver::Beside::default();
    // What looks at every file last: from then on nothing is concluded from the media any more.
    let last = if wish.refresh && !wish.deep {
        Moment::Refreshed
    } else {
        Moment::After
    };
    let guard = async |moment: Moment| {
        let mut guarded = watch.guard(moment).await;
        if moment == Moment::Before {
            w.saver.may_save(0);
        }
        if guarded.is_ok() && moment == Moment::Refreshed {
            guarded =
                checkpoint::note_refresh(w, section.id).and_then(|()| w.side.note(phase, "all metadata are refreshed"));
        }
        if guarded.is_ok() && moment == last {
            beside.scanned.notify_one();
            w.saver.may_save(section.id);
        }
        guarded.map_err(Into::into)
    };
    let series = Series::open(w);
    let noted = Cell::new((None, None));
    let mut tell = |progress: &Progress| {
        beside.is_analysing.set(matches!(
            progress.step,
            Step::Analyse | Step::Loudness | Step::Sonic | Step::Extras
        ));
        let health = watch.health();
        let odd = matches!(progress.verdict, Verdict::Slow | Verdict::Still).then_some(progress.verdict);
        let (was, at) = noted.get();
        // On a slow machine every long track is slow for a while: one line in the time of a stall is enough.
        let is_due = at.is_none_or(|at| SystemClock.now() - at >= limits.stall());
        if was != odd && is_due {
            noted.set((odd, Some(SystemClock.now())));
            let text = format!("{}: {}: {}", progress.title, progress.verdict, progress.evidence);
            // A journal that cannot be written is noticed by the phase's own lines.
            if let Err(error) = w.side.note(Phase::Index { section: section.id }, text) {
                tracing::warn!("{}", error.chain());
            }
        }
        series.look(section.id, progress, &health);
        teller.tell_all(vec![progress.counted(), progress.waited(), health.to_string()]);
    };
    let indexing = async {
        let report = indexer.section(section.id, &wish, guard, &mut tell).await;
        beside.over.notify_one();
        report
    };
    let every = Duration::from_secs_f64(w.spec.limits.checkpoint);
    let saving = saver::now_and_then(&SystemClock, every, &beside, async |why| {
        saver::save(w, section.id, why).await
    });
    let (report, saved) = tokio::join!(indexing, saving);
    series.save();
    let report = report?;
    saved.map(|()| report)
}
