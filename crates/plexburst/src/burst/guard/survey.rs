//! The survey: what a library knows, held against what exists, section by section, straight from the media's own listing.
//!
//! One pass over the listing and one over the library's rows; nothing is mounted. What is missing is looked for under
//! another spelling and at another place; the guards in [`super::media`] judge what is left.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use plex_library::Databases;
use serde::{Deserialize, Serialize};

use crate::burst::spec::Section;
use crate::error::{Error, Result};
use crate::media::compare::{self, Comparison, File, Respelled};
use crate::media::listing::Listing;
use crate::media::mappings::Mappings;
use crate::media::moves::{self, Ground, Moves, Present};
use crate::media::scope::Scope;
use crate::media::{self, Media};

/// Missing files whose names are kept.
const KEPT: usize = 1000;
/// Known files of a section whose times are compared.
const TIMED: usize = 8;

/// A root of a section, and what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// As home has it.
    pub path: String,
    /// As the worker has it, when a mapping moves it.
    pub mapped: String,
    /// Its folder in the media; none when nothing stands for it.
    pub folder: Option<String>,
    /// Files below it.
    pub files: u64,
    /// Why it is not there.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// One section, held against the media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionSurvey {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its roots.
    pub roots: Vec<Root>,
    /// Known files that exist.
    pub present: u64,
    /// Known files that do not.
    pub missing: u64,
    /// Known files that exist with other bytes.
    pub changed: u64,
    /// Media files that the library does not know.
    pub new: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Rows of files outside of every root, which no scan will look at.
    pub outside: u64,
    /// How much of it a worker will scan; none in what an earlier version wrote.
    #[serde(default)]
    pub scan: Option<Scope>,
}

/// A file's time as the library has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// As the worker will have it.
    pub path: String,
    /// Seconds.
    pub changed_at: i64,
}

/// The whole survey.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Section by section.
    pub sections: Vec<SectionSurvey>,
    /// Missing files by home's paths, the first thousand.
    pub missing: Vec<String>,
    /// Of those the ones that are there under another spelling.
    pub respelled: Vec<Respelled>,
    /// Folders that were moved.
    pub moves: Moves,
    /// Missing files that are proved gone: not in a second listing, and not there when asked for by name.
    pub gone: Vec<String>,
    /// A sample of known files with their times.
    pub timed: Vec<Timed>,
    /// Files that were listed.
    pub listed: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Survey {
    /// Known files that do not exist where they should.
    #[must_use]
    pub fn missing_files(&self) -> u64 {
        self.sections.iter().map(|section| section.missing).sum()
    }

    /// Known files that do.
    #[must_use]
    pub fn present_files(&self) -> u64 {
        self.sections.iter().map(|section| section.present).sum()
    }

    /// Roots that are not there, with their sections' names.
    pub fn absent_roots(&self) -> impl Iterator<Item = (&str, &Root)> {
        self.sections.iter().flat_map(|section| {
            let absent = section.roots.iter().filter(|root| root.problem.is_some());
            absent.map(|root| (section.name.as_str(), root))
        })
    }
}

/// What is gathered on the way.
#[derive(Default)]
struct Gathered {
    missing: Vec<File>,
    unknown: Vec<File>,
    /// Listings of sections with missing files, with what of them is known.
    kept: Vec<(Listing, Comparison)>,
    /// Roots (as the worker has them) that were listed.
    listed: HashSet<String>,
}

/// Surveys all sections.
///
/// # Errors
/// The media cannot be listed (a root that is not there is no error but a finding), or the library not be read.
pub async fn survey(
    media: &Media,
    databases: &Databases,
    sections: &[Section],
    mappings: &Mappings,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Survey> {
    let since = Instant::now();
    let mut survey = Survey::default();
    let mut gathered = Gathered::default();
    for section in sections {
        one(
            media,
            databases,
            section,
            mappings,
            &mut survey,
            &mut gathered,
            progress,
        )
        .await?;
    }
    if !gathered.missing.is_empty() {
        search(media, sections, mappings, &mut survey, gathered, progress).await?;
    }
    survey.seconds = since.elapsed().as_secs_f64();
    Ok(survey)
}

async fn one(
    media: &Media,
    databases: &Databases,
    section: &Section,
    mappings: &Mappings,
    survey: &mut Survey,
    gathered: &mut Gathered,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let mut roots = Vec::new();
    let mut listings: BTreeMap<String, Listing> = BTreeMap::new();
    for path in &section.roots {
        let mapped = mappings.map(path.trim_end_matches('/')).into_owned();
        let mut root = Root {
            path: path.clone(),
            folder: media.folder_of(&mapped).ok(),
            mapped: mapped.clone(),
            files: 0,
            problem: None,
            hint: None,
        };
        // Two roots may be mapped onto one: it is listed once.
        if !listings.contains_key(&mapped) {
            let before = survey.listed;
            match media.list(&mapped, &mut |files| progress(before + files)).await {
                Ok(listing) => {
                    survey.listed += listing.len() as u64;
                    listings.insert(mapped.clone(), listing);
                }
                Err(error @ (media::Error::NoFolder(_) | media::Error::FolderMissing { .. })) => {
                    root.problem = Some(error.to_string());
                    root.hint = error.hint();
                }
                Err(error) => return Err(error.into()),
            }
        }
        root.files = listings.get(&mapped).map_or(0, |listing| listing.len() as u64);
        roots.push(root);
    }
    // The nearest root first: one may lie inside of another.
    let mut held: Vec<(Listing, Comparison)> = listings
        .into_values()
        .rev()
        .map(|listing| {
            let comparison = Comparison::new(&listing);
            (listing, comparison)
        })
        .collect();
    let absent: Vec<String> = roots
        .iter()
        .filter(|root| root.problem.is_some())
        .map(|root| root.mapped.clone())
        .collect();
    let mut counted = SectionSurvey {
        id: section.id,
        name: section.name.clone(),
        roots,
        present: 0,
        missing: 0,
        changed: 0,
        new: 0,
        new_bytes: 0,
        outside: 0,
        scan: None,
    };
    let missing_before = gathered.missing.len();
    let mut times = Sample::new(section.id);
    tokio::task::block_in_place(|| {
        plex_library::files::of_section(databases, section.id, &mut |known| {
            let path = mappings.map(known.path);
            let listed = held.iter_mut().find(|(listing, _)| listing.covers(&path));
            let is_outside =
                listed.is_none() && !mappings.is_mapped(known.path) && !absent.iter().any(|root| is_below(&path, root));
            if listed.is_some_and(|(listing, comparison)| comparison.add(listing, &path, known.size)) {
                if let Some(changed_at) = known.changed_at {
                    times.offer(&path, changed_at);
                }
            } else if is_outside {
                counted.outside += 1;
            } else {
                // As home spells it: a mapping that leads nowhere explains nothing.
                gathered.missing.push(File {
                    path: known.path.to_owned(),
                    size: known.size,
                });
            }
        })
    })?;
    for (listing, comparison) in &mut held {
        let (new, bytes) = comparison.new_files(listing);
        counted.present += comparison.present;
        counted.changed += comparison.changed;
        counted.new += new;
        counted.new_bytes += bytes;
        gathered.unknown.extend(comparison.unknown(listing));
        gathered.listed.insert(listing.root().to_owned());
    }
    counted.missing = (gathered.missing.len() - missing_before) as u64;
    counted.scan = Some(Scope::of(&section.kind, &held, counted.missing).0);
    survey.timed.append(&mut times.taken);
    if counted.missing > 0 {
        gathered.kept.append(&mut held);
    }
    survey.sections.push(counted);
    Ok(())
}

/// Looks for the missing files under other names and at other places, and proves the rest gone.
async fn search(
    media: &Media,
    sections: &[Section],
    mappings: &Mappings,
    survey: &mut Survey,
    mut gathered: Gathered,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let absent: Vec<String> = survey.absent_roots().map(|(_, root)| root.mapped.clone()).collect();
    if !absent.is_empty() {
        // A root that was renamed lies where no section looks.
        elsewhere(media, &mut gathered, progress).await?;
    }
    survey.missing = gathered
        .missing
        .iter()
        .take(KEPT)
        .map(|file| file.path.clone())
        .collect();
    survey.respelled = compare::respelled(&gathered.missing, &gathered.unknown);
    let respelled: HashSet<&str> = survey.respelled.iter().map(|other| other.known.as_str()).collect();
    let moved_or_gone: Vec<File> = gathered
        .missing
        .iter()
        .filter(|file| !respelled.contains(file.path.as_str()) && !mappings.is_mapped(&file.path))
        .cloned()
        .collect();
    let near: HashSet<String> = gathered
        .unknown
        .iter()
        .filter_map(|file| Some(file.path.rsplit_once('/')?.0.to_owned()))
        .collect();
    let roots: Vec<String> = sections
        .iter()
        .flat_map(|section| &section.roots)
        .map(|root| mappings.map(root.trim_end_matches('/')).into_owned())
        .collect();
    // A root of a section that has all its files counts as a file: no mapping may cover it.
    let intact = survey
        .sections
        .iter()
        .filter(|section| section.missing == 0 && section.present > 0);
    let intact = intact.flat_map(|section| section.roots.iter().map(|root| format!("{}/.", root.mapped)));
    let known = gathered
        .kept
        .iter()
        .flat_map(|(listing, comparison)| comparison.known(listing));
    let present = Present::new(known.chain(intact), &near);
    survey.moves = moves::find(&Ground {
        roots: &roots,
        missing: &moved_or_gone,
        unknown: &gathered.unknown,
        present: &present,
    });
    // Rows are counted with the moved and respelled files among them: those are no less missing until somebody acts.
    let unexplained: Vec<String> = moved_or_gone
        .iter()
        .filter(|file| !survey.moves.explains(&file.path))
        .filter(|file| !absent.iter().any(|root| is_below(&file.path, root)))
        .map(|file| file.path.clone())
        .collect();
    drop(gathered);
    survey.gone = super::losses::prove_gone(media, &unexplained).await?;
    Ok(())
}

/// Media files outside of every section's roots.
async fn elsewhere(media: &Media, gathered: &mut Gathered, progress: &mut (dyn FnMut(u64) + Send)) -> Result<()> {
    let listing = match media.list_top(progress).await {
        Ok(listing) => listing,
        Err(media::Error::NoFolder(_) | media::Error::FolderMissing { .. }) => return Ok(()),
        Err(error) => return Err(Error::from(error)),
    };
    let everything = Comparison::new(&listing);
    let listed: Vec<String> = gathered.listed.iter().cloned().collect();
    let is_new = |file: &File| !listed.iter().any(|root| is_below(&file.path, root));
    gathered.unknown.extend(everything.unknown(&listing).filter(is_new));
    gathered.unknown.sort();
    gathered.unknown.dedup();
    Ok(())
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}

/// A few of many, each as likely: reservoir sampling, since how many there are is known at the end.
struct Sample {
    random: media::sample::Random,
    seen: u64,
    taken: Vec<Timed>,
}

impl Sample {
    fn new(section: i64) -> Self {
        Self {
            random: media::sample::Random::new(media::sample::seed() ^ section.unsigned_abs()),
            seen: 0,
            taken: Vec::new(),
        }
    }

    fn offer(&mut self, path: &str, changed_at: i64) {
        self.seen += 1;
        let timed = || Timed {
            path: path.to_owned(),
            changed_at,
        };
        if self.taken.len() < TIMED {
            self.taken.push(timed());
            return;
        }
        let at = usize::try_from(self.random.below(self.seen)).unwrap_or(usize::MAX);
        if at < TIMED {
            self.taken[at] = timed();
        }
    }
}
