//! What there is to do in a library, section by section: what the media have that it does not know, and what of its own Plex
//! has not analysed yet. Counted as a worker counts its progress.

use plex_library::Databases;
use serde::Serialize;

use super::guard::survey::Survey;
use super::request::Options;
use super::spec::Section;
use crate::error::{Error, Result};
use crate::media::scope::Scope;
use crate::plex::index::{Counters, DatabaseCounters};

/// One section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Todo {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Files of the media that the library does not know; none when they could not be listed.
    pub new: Option<u64>,
    /// Files that are others now than the library knows; none as well.
    pub replaced: Option<u64>,
    /// How much of it is scanned, and why; none when the media could not be listed.
    pub scan: Option<Scope>,
    /// Items whose metadata are refreshed after the scan; none when that is not asked for.
    pub refresh: Option<u64>,
    /// Its tracks, episodes, movies or photos.
    pub items: u64,
    /// Known media without Plex's analysis.
    pub without_analysis: u64,
    /// Tracks without their loudness; none but of music.
    pub without_loudness: Option<u64>,
    /// Tracks without Sonic data; none but of music for which it is wanted.
    pub without_sonic: Option<u64>,
}

impl Todo {
    /// As these options change it.
    #[must_use]
    pub fn with(mut self, options: &Options) -> Self {
        if options.force_deep_scan {
            self.scan = Some(Scope::deep());
        } else if options.force_refresh {
            self.refresh = Some(self.items);
        }
        self
    }

    /// How it is scanned, in a line, and what comes after that.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let refresh = self.refresh.map_or_else(String::new, |items| {
            format!("; then the metadata of all {items} items are refreshed")
        });
        self.scan
            .as_ref()
            .map(|scan| format!("{} is {scan}{refresh}", self.name))
    }
}

/// Of the selected sections.
///
/// # Errors
/// The library cannot be read.
pub fn of(
    databases: &Databases,
    sections: &[Section],
    selected: &[i64],
    wants_sonic: bool,
    survey: Option<&Survey>,
) -> Result<Vec<Todo>> {
    let counters = DatabaseCounters::new(databases.clone());
    let selected = sections.iter().filter(|section| selected.contains(&section.id));
    let one = |section: &Section| {
        let counts = counters.section(section.id).map_err(|error| {
            Error::failed(format!("cannot count what there is to do in {:?}", section.name)).because(error)
        })?;
        let surveyed = survey.and_then(|survey| survey.sections.iter().find(|one| one.id == section.id));
        let is_music = section.kind == "artist";
        let without = |done: u64| counts.items.saturating_sub(done);
        Ok(Todo {
            id: section.id,
            name: section.name.clone(),
            new: surveyed.map(|one| one.new),
            replaced: surveyed.map(|one| one.changed),
            scan: surveyed.and_then(|one| one.scan.clone()),
            refresh: None,
            items: counts.items,
            without_analysis: counts.files.saturating_sub(counts.analysed),
            without_loudness: is_music.then(|| without(counts.loudness)),
            without_sonic: (is_music && wants_sonic).then(|| without(counts.sonic)),
        })
    };
    crate::plex::blocking(|| selected.map(one).collect())
}
