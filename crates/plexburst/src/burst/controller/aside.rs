//! What the merge could not write, made by home's own server after it has started: playlists, collections, names.
//!
//! Each step of the merge leaves its wishes in a file of the burst, so that they outlive a kill. What was there before
//! anything was made is written down first: a wish that was fulfilled and not noted is found by what is there now and was
//! not there then. A wish that the server refuses is named in the report and costs the burst nothing: home is well.

use std::collections::BTreeSet;
use std::path::PathBuf;

use plex_library::Databases;
use plex_library::merge::{self, Report, Wish};
use serde::{Deserialize, Serialize};

use super::{Controller, engine};
use crate::burst::phase::Phase;
use crate::error::{Error, Result};
use crate::plex::client::Client;

/// The account that owns the server (facts §1.6), in whose name the burst speaks to it.
const OWNER: i64 = 1;

/// Those that leave wishes, in their order.
const PHASES: [Phase; 2] = [Phase::Merge, Phase::Swap];

/// What was made, for the journal.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Made {
    /// In words.
    made: Vec<String>,
    /// What was not, and why.
    left: Vec<String>,
}

/// Remembers what a merge leaves to the server; an earlier attempt's wishes of the same phase are forgotten.
pub(super) fn note(c: &Controller, phase: Phase, report: &Report) -> Result<()> {
    let path = file(c, phase);
    if report.to_make.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::failed(format!("cannot remove {}", path.display())).because(e))
            }
            _ => Ok(()),
        };
    }
    write(&path, &report.to_make)
}

/// Remembers what a merge leaves to the server, beside what is remembered of that phase. May be done again.
pub(super) fn add(c: &Controller, phase: Phase, report: &Report) -> Result<()> {
    let path = file(c, phase);
    let mut wishes = read::<Vec<Wish>>(&path)?.unwrap_or_default();
    unite(&mut wishes, report.to_make.clone());
    match wishes.is_empty() {
        true => Ok(()),
        false => write(&path, &wishes),
    }
}

/// Forgets what `home`, which has stopped for good, has taken back.
pub(super) fn forget_taken_back(c: &Controller, home: &Databases) -> Result<()> {
    for phase in PHASES {
        let path = file(c, phase);
        let wishes = read::<Vec<Wish>>(&path)?.unwrap_or_default();
        let wanted = engine(|| merge::still_wanted(wishes.clone(), home))?;
        if wanted != wishes {
            write(&path, &wanted)?;
        }
    }
    Ok(())
}

/// Of two wishes about the same the later one counts.
fn unite(wishes: &mut Vec<Wish>, later: Vec<Wish>) {
    wishes.retain(|wish| !later.iter().any(|other| other.is_about_the_same(wish)));
    wishes.extend(later);
}

/// Has everything made.
pub(super) async fn make(c: &Controller) -> Result<()> {
    let mut wishes: Vec<Wish> = Vec::new();
    for phase in PHASES {
        unite(&mut wishes, read::<Vec<Wish>>(&file(c, phase))?.unwrap_or_default());
    }
    if wishes.is_empty() {
        return Ok(());
    }
    c.side
        .phase(Phase::Aside, "having home make what could not be written", async || {
            let client = c.home()?.client()?;
            let before = there_before(c, &client, &wishes).await?;
            let mut result = Made::default();
            for wish in &wishes {
                let (made, text) = match fulfil(&client, wish, &before).await {
                    Ok(()) => (true, format!("{} was made by home's server", wish.words())),
                    Err(Unfulfilled::Later(error)) => return Err(error),
                    Err(Unfulfilled::Never(why)) => (false, format!("{} is not at home any more: {why}", wish.words())),
                };
                if made {
                    c.printer().say(&format!("            {text}"));
                    c.side.note(Phase::Aside, text.clone())?;
                    result.made.push(text);
                } else {
                    c.printer().warn(&text);
                    c.side.note(Phase::Aside, format!("warning: {text}"))?;
                    result.left.push(text);
                }
            }
            Ok(result)
        })
        .await?;
    Ok(())
}

/// Why a wish was not fulfilled.
enum Unfulfilled {
    /// It may be the next time.
    Later(Error),
    /// It will not be, for this reason.
    Never(String),
}

impl From<crate::plex::client::Error> for Unfulfilled {
    fn from(error: crate::plex::client::Error) -> Self {
        if error.is_temporary() {
            Self::Later(error.into())
        } else {
            Self::Never(Error::from(error).chain())
        }
    }
}

/// Makes it, unless an attempt before this one has.
async fn fulfil(client: &Client, wish: &Wish, before: &BTreeSet<i64>) -> std::result::Result<(), Unfulfilled> {
    match wish {
        Wish::Playlist { is_smart: true, .. } => Err(Unfulfilled::Never("it chooses its items by a rule".into())),
        Wish::Playlist {
            account: Some(account), ..
        } if *account != OWNER => Err(Unfulfilled::Never(format!("it belongs to account {account}"))),
        Wish::Playlist { title, kind, items, .. } => {
            let is_there = client.playlists().await?;
            if !is_there
                .iter()
                .any(|list| list.title == *title && !before.contains(&list.id))
            {
                client.make_playlist(playlist_kind(*kind), title, items).await?;
            }
            Ok(())
        }
        Wish::Collection {
            title,
            section,
            kind,
            items,
            ..
        } => {
            let is_there = client.collections(*section).await?;
            if !is_there
                .iter()
                .any(|other| other.title == *title && !before.contains(&other.id))
            {
                client.make_collection(*section, *kind, title, items).await?;
            }
            Ok(())
        }
        // The same name once more is the same name.
        Wish::Name { id, title, title_sort } => {
            client.rename(*id, title, title_sort.as_deref()).await?;
            Ok(())
        }
    }
}

fn playlist_kind(metadata_type: i64) -> &'static str {
    match metadata_type {
        8..=10 => "audio",
        13 | 14 => "photo",
        _ => "video",
    }
}

/// Ids of playlists and collections as they were before the first attempt.
async fn there_before(c: &Controller, client: &Client, wishes: &[Wish]) -> Result<BTreeSet<i64>> {
    let path = c.dir().join("aside-before.json");
    if let Some(noted) = read(&path)? {
        return Ok(noted);
    }
    let mut ids: BTreeSet<i64> = client.playlists().await?.iter().map(|list| list.id).collect();
    let sections: BTreeSet<i64> = wishes
        .iter()
        .filter_map(|wish| match wish {
            Wish::Collection { section, .. } => Some(*section),
            _ => None,
        })
        .collect();
    for section in sections {
        ids.extend(client.collections(section).await?.iter().map(|other| other.id));
    }
    write(&path, &ids)?;
    Ok(ids)
}

fn file(c: &Controller, phase: Phase) -> PathBuf {
    c.dir().join(format!("aside-{phase}.json"))
}

fn write<T: Serialize>(path: &std::path::Path, what: &T) -> Result<()> {
    let bytes = serde_json::to_vec(what)
        .map_err(|e| Error::unexpected(format!("cannot write {}", path.display())).because(e))?;
    engine(|| plex_library::publish::file(path, &bytes))
}

fn read<T: for<'de> Deserialize<'de>>(path: &std::path::Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| Error::unexpected(format!("cannot understand {}", path.display())).because(e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::failed(format!("cannot read {}", path.display())).because(e)),
    }
}
