//! Guards: the list of [`guard::before`] in the journal, and the end of the burst when one of them refuses.

use serde::{Deserialize, Serialize};

use super::{Controller, Prepared};
use crate::burst::guard::before::{self, Subject};
use crate::burst::guard::{Findings, Outcome};
use crate::burst::phase::Phase;
use crate::burst::request::{On, Source};
use crate::config::Config;
use crate::error::Result;
use crate::home::{kept, room};
use crate::media::Media;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Guarded {
    /// Every guard with its evidence.
    #[serde(default)]
    pub(super) findings: Findings,
    /// Files (as home has them) that were proved gone from the media.
    #[serde(default)]
    pub(super) gone: Vec<String>,
}

/// Runs them all.
pub(super) async fn before_anything(c: &Controller, prepared: &Prepared) -> Result<()> {
    c.side
        .phase(Phase::Guards, "checking that nothing can go wrong early", async || {
            let databases = match &c.home {
                Some(home) => home.databases(),
                None => c.area.base(),
            };
            let subject = Subject {
                config: &c.request.config,
                home: c.home.as_ref(),
                plex_version: prepared.plex_version.as_deref(),
                databases: &databases,
                sections: &prepared.sections,
                selected: &prepared.selected,
                options: &c.request.options,
                server: &c.server(),
                places: &room::Places {
                    worker_stays: c.request.options.keep,
                    ..places_of(
                        &c.request.config,
                        &c.request.options.on,
                        c.home.is_some().then(|| c.area.root().to_owned()),
                        &c.dir,
                    )
                },
                is_thorough: false,
            };
            let (findings, survey) = before::look(&subject, c.printer()).await;
            let is_told = |outcome| !matches!(outcome, Outcome::NotApplicable | Outcome::Later);
            for finding in findings.0.iter().filter(|f| is_told(f.outcome)) {
                c.printer().say(&format!("            {}", finding.line()));
            }
            findings.check()?;
            for warning in findings.warnings() {
                c.side.note(Phase::Guards, format!("warning: {warning}"))?;
            }
            Ok(Guarded {
                findings,
                gone: survey.map(|survey| survey.gone).unwrap_or_default(),
            })
        })
        .await?;
    Ok(())
}

/// Every place that a burst of this configuration writes to; `dir` is its own folder, or where that will be.
pub fn places_of(config: &Config, on: &On, area: Option<std::path::PathBuf>, dir: &std::path::Path) -> room::Places {
    room::Places {
        work: room::Work::Burst,
        area,
        depot: match (&config.depot.directory, &config.depot.remote) {
            (Some(depot), _) => Some(depot.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(dir.to_owned()),
        },
        // What a worker elsewhere needs is no matter of this machine's disks.
        worker: (*on == On::Here).then(|| config.worker.directory.clone().unwrap_or_else(|| dir.to_owned())),
        worker_stays: false,
        state: dir.to_owned(),
    }
}

/// Without a worker there are only the copies at home, and what is unpacked on the way; and what this user may do there.
pub(super) async fn room_at_home(c: &Controller) -> Result<()> {
    if c.side.is_done(Phase::Prepare) {
        return Ok(());
    }
    let rights = crate::burst::guard::rights::of_home(c.home()?).await?;
    c.printer().say(&format!("            {}", rights.line()));
    rights.check()?;
    let places = room::Places {
        work: match c.request.source {
            Source::Rollback { .. } => room::Work::Rollback,
            _ => room::Work::Import,
        },
        area: Some(c.area.root().to_owned()),
        depot: None,
        worker: None,
        worker_stays: false,
        state: c.dir.clone(),
    };
    for line in room::check(&places, kept::size(&c.home()?.databases()))?.lines {
        c.printer().say(&format!("            {line}"));
    }
    Ok(())
}

/// The worker's server binary.
pub fn server_of(config: &Config) -> std::path::PathBuf {
    config
        .worker
        .server
        .clone()
        .unwrap_or_else(|| super::work::SERVER.into())
}

impl Controller {
    /// The worker's server binary.
    pub(super) fn server(&self) -> std::path::PathBuf {
        server_of(&self.request.config)
    }

    /// The media as configured.
    pub(super) fn media(&self) -> Result<Media> {
        Ok(Media::of(&self.request.config.media)?)
    }

    /// What was proved gone before the burst began.
    pub(super) fn gone(&self) -> Result<Vec<String>> {
        let guarded: Option<Guarded> = self.side.journal().facts(Phase::Guards)?;
        Ok(guarded.unwrap_or_default().gone)
    }
}
