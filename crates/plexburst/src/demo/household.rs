//! What a household does with home while a burst runs, and whether it is all there afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::burst::phase::Phase;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::plex::client::{Item, ItemKind};
use crate::term::Printer;

/// Everything of a section fits into one page here.
const PAGE: u64 = 10_000;

/// One thing that was done.
#[derive(Debug, Clone, Serialize)]
pub struct Deed {
    /// In words.
    pub what: String,
    /// When, seen from the burst.
    pub when: &'static str,
    /// Whether home still knows it at the end.
    pub kept: bool,
}

enum Mark {
    Seen { item: i64, views: i64 },
    Rated { item: i64, rating: f64 },
    Stopped { item: i64, offset: i64 },
}

/// The people at home.
pub(super) struct Household {
    home: Home,
    section: i64,
    tracks: Vec<Item>,
    /// Rating key → file, before the burst.
    ids: BTreeMap<i64, String>,
    done: Vec<(String, &'static str, Mark)>,
}

impl Household {
    /// Looks at what there is.
    pub(super) async fn new(home: Home) -> Result<Self> {
        let client = home.client()?;
        let section = client
            .sections()
            .await?
            .first()
            .map(|s| s.id)
            .ok_or_else(|| Error::unexpected("the demo's home has no section"))?;
        let tracks = client.items(section, ItemKind::Track, 0, PAGE).await?.items;
        let ids = files(&tracks);
        Ok(Self {
            home,
            section,
            tracks,
            ids,
            done: Vec::new(),
        })
    }

    /// Uses home while the burst in `dir` runs: once the copy is taken, and again when the worker is done.
    pub(super) async fn live_through(&mut self, dir: &Path, printer: &Printer) -> Result<()> {
        if super::wait_for(dir, Phase::Snapshot).await? {
            self.see(0, "while the worker indexes").await?;
            self.rate(1, 8.0, "while the worker indexes").await?;
            self.stop_in(2, "while the worker indexes").await?;
            printer.say("  household a track played, one rated, one left in the middle");
        }
        if super::wait_for(dir, Phase::Provision).await? {
            // Home may look for new files by itself at any time: what both find must not be doubled.
            self.home.client()?.refresh(self.section, false, None).await?;
            printer.say("  household home looks for new files by itself");
        }
        if super::wait_for(dir, Phase::Merge).await? {
            self.see(3, "after the merge, before the swap").await?;
            printer.say("  household another track played");
        }
        Ok(())
    }

    fn track(&self, index: usize) -> Result<(i64, String, i64)> {
        let item = self
            .tracks
            .get(index % self.tracks.len().max(1))
            .ok_or_else(|| Error::unexpected("the demo's home has no tracks"))?;
        Ok((item.id, item.title.clone(), item.view_count.unwrap_or(0)))
    }

    async fn see(&mut self, index: usize, when: &'static str) -> Result<()> {
        let (item, title, views) = self.track(index)?;
        self.home.client()?.scrobble(item).await?;
        let mark = Mark::Seen { item, views: views + 1 };
        self.done.push((format!("played {title:?}"), when, mark));
        Ok(())
    }

    async fn rate(&mut self, index: usize, rating: f64, when: &'static str) -> Result<()> {
        let (item, title, _) = self.track(index)?;
        self.home.client()?.rate(item, rating).await?;
        self.done.push((
            format!("rated {title:?} with {rating}"),
            when,
            Mark::Rated { item, rating },
        ));
        Ok(())
    }

    async fn stop_in(&mut self, index: usize, when: &'static str) -> Result<()> {
        let (item, title, _) = self.track(index)?;
        let offset = 61_000;
        let client = self.home.client()?;
        client.timeline(item, "playing", 1_000, 2 * 61_000).await?;
        client.timeline(item, "stopped", 61_000, 2 * 61_000).await?;
        self.done
            .push((format!("left {title:?} at 1:01"), when, Mark::Stopped { item, offset }));
        Ok(())
    }

    /// What home says afterwards, and how many of its ids changed.
    pub(super) async fn look_back(self) -> Result<(Vec<Deed>, usize)> {
        let client = self.home.client()?;
        let mut deeds = Vec::new();
        for (what, when, mark) in self.done {
            let kept = match mark {
                Mark::Seen { item, views } => client
                    .item(item)
                    .await?
                    .is_some_and(|i| i.view_count.unwrap_or(0) >= views),
                Mark::Rated { item, rating } => client
                    .item(item)
                    .await?
                    .is_some_and(|i| i.user_rating.is_some_and(|r| (r - rating).abs() < 0.01)),
                Mark::Stopped { item, offset } => {
                    client.item(item).await?.is_some_and(|i| i.view_offset == Some(offset))
                }
            };
            deeds.push(Deed { what, when, kept });
        }
        let now = client.items(self.section, ItemKind::Track, 0, PAGE).await?.items;
        let after = files(&now);
        let lost = self.ids.iter().filter(|(id, file)| after.get(id) != Some(file)).count();
        let mut seen = std::collections::BTreeSet::new();
        let doubled = after.values().filter(|file| !seen.insert((*file).clone())).count();
        if doubled > 0 {
            return Err(Error::unexpected(format!(
                "{doubled} files are in home's library twice"
            )));
        }
        Ok((deeds, lost))
    }
}

fn files(items: &[Item]) -> BTreeMap<i64, String> {
    items
        .iter()
        .map(|item| {
            (
                item.id,
                item.parts().map(|p| p.file.as_str()).collect::<Vec<_>>().join("|"),
            )
        })
        .collect()
}
