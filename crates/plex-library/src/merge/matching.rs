//! Finding what is the same on both sides although the ids differ.
//!
//! Home's own scans go on during a burst. What home added (or has from the base and the worker threw away and made
//! anew) is looked for among the rows that only the worker has: files by their path within the same section, then the
//! media, items, albums and artists above them; directories by path; tags by type, text and key; what has no file by
//! its guid. Guids that are made of a row's number say nothing here (facts §2: hazard).
//!
//! Where both sides gave one id to different things, the worker's row gets another.

use std::collections::{BTreeMap, BTreeSet};

use super::values::Value;

use super::context::Context;
use super::diff::{self, Changes};
use super::fail::Step;
use super::guids;
use super::mode::Mode;
use super::moves::Moved;
use super::report::SameFile;
use super::rows::{self, Row, int, text, value};
use super::schema::Table;
use super::session::{BASE, LIBRARY, MAIN, MINE};

/// Home's changes to the content tables, by table.
pub(super) type AllChanges = BTreeMap<String, Changes>;

/// Types of items that hold others and have no file of their own: show, season, artist, album, photo album.
const CONTAINERS: [i64; 5] = [2, 3, 8, 9, 14];
/// Playlists, and the queues that Plex keeps as items: only a household makes them.
const HOUSEHOLDS: [i64; 2] = [15, 42];
const COLLECTION: i64 = 18;

/// How far above the files a type of item is.
fn rank(kind: Option<i64>) -> u8 {
    match kind {
        Some(3 | 9) => 1,
        Some(2 | 8 | 14) => 2,
        _ => 0,
    }
}

/// Ids of a part, of its media, and of the item that has the media.
type Found = (i64, Option<i64>, Option<i64>);

struct Matcher<'m, 'c> {
    context: &'m mut Context<'c>,
    changes: &'m AllChanges,
    /// Rows of the worker's that have an id which home gave to something else.
    collided: BTreeMap<&'static str, BTreeSet<i64>>,
    /// Home's rows that have been found at the worker.
    found: BTreeMap<&'static str, BTreeSet<i64>>,
    moved: Moved,
}

/// Which rows of the worker's become which of home's.
pub(super) fn run(context: &mut Context<'_>, changes: &AllChanges) -> Step<Moved> {
    let mut matcher = Matcher {
        context,
        changes,
        collided: BTreeMap::new(),
        found: BTreeMap::new(),
        moved: Moved::default(),
    };
    matcher.collisions()?;
    matcher.directories()?;
    matcher.files()?;
    matcher.nameless()?;
    matcher.tags()?;
    matcher.make_way()?;
    Ok(matcher.moved)
}

impl Matcher<'_, '_> {
    fn added(&self, table: &str) -> Vec<i64> {
        self.changes
            .get(table)
            .map(|changes| changes.added.clone())
            .unwrap_or_default()
    }

    /// Whether home's row is not in the result yet.
    fn is_wanted(&self, table: &'static str, id: i64) -> Step<bool> {
        Ok(!self.is_found(table, id)
            && (self.has_collided(table, id) || !rows::exists(self.context.conn, MAIN, table, id)?))
    }

    /// Whether a row of the worker's is none of home's.
    fn is_free(&self, table: &'static str, id: i64) -> Step<bool> {
        Ok(self.moved.get(table, id).is_none()
            && (self.has_collided(table, id) || !rows::exists(self.context.conn, MINE, table, id)?))
    }

    fn is_found(&self, table: &str, id: i64) -> bool {
        self.found.get(table).is_some_and(|found| found.contains(&id))
    }

    fn has_collided(&self, table: &str, id: i64) -> bool {
        self.collided.get(table).is_some_and(|ids| ids.contains(&id))
    }

    fn pair(&mut self, table: &'static str, theirs: i64, mine: i64) {
        self.moved.add(table, theirs, mine);
        self.found.entry(table).or_default().insert(mine);
    }

    fn get(&self, side: &str, table: &Table, id: Option<i64>) -> Step<Option<Row>> {
        match id {
            Some(id) => rows::get(self.context.conn, side, table, id),
            None => Ok(None),
        }
    }

    /// Ids that both sides gave since the base: to the same thing (an earlier merge, or the same scan), or not.
    fn collisions(&mut self) -> Step<()> {
        for name in ["directories", "media_parts", "media_items", "metadata_items", "tags"] {
            let Some(table) = self.context.table(name) else {
                continue;
            };
            let mut met = Vec::new();
            for id in self.added(name) {
                let conn = self.context.conn;
                if let (Some(theirs), Some(mine)) =
                    (rows::get(conn, MAIN, &table, id)?, rows::get(conn, MINE, &table, id)?)
                {
                    met.push((rank(int(&table, &mine, "metadata_type")), id, mine, theirs));
                }
            }
            // Albums after tracks, artists after albums: what holds the same thing is the same.
            met.sort_by_key(|(rank, id, ..)| (*rank, *id));
            for (_, id, mine, theirs) in met {
                if !self.is_same(&table, id, &mine, &theirs)? {
                    self.collided.entry(name).or_default().insert(id);
                }
            }
        }
        Ok(())
    }

    fn is_same(&self, table: &Table, id: i64, mine: &Row, theirs: &Row) -> Step<bool> {
        let equal = |columns: &[&str]| {
            columns
                .iter()
                .all(|column| value(table, mine, column) == value(table, theirs, column))
        };
        if self.context.mode == Mode::TwoWay && !equal(&["library_section_id"]) {
            // Libraries that were never one may have anything under one number.
            return Ok(false);
        }
        Ok(match table.name.as_str() {
            "directories" => equal(&["library_section_id", "path"]),
            "media_parts" => equal(&["file"]),
            "tags" => equal(&["tag_type", "tag", "key"]),
            "media_items" => {
                self.share_a_file(id, "media_items")? || (equal(&["metadata_item_id"]) && !self.has_parts(id)?)
            }
            _ => {
                let guid = value(table, mine, "guid");
                equal(&["metadata_type"])
                    && ((equal(&["guid"]) && guid != Value::Null && !guids::is_numbered(&guid))
                        || self.share_a_file(id, "metadata_items")?
                        || self.share_a_child(id)?
                        || (guids::is_numbered(&guid) && !self.has_media(id)? && self.is_called_the_same(table, id)?))
            }
        })
    }

    fn ask(&self, sql: &str, id: i64) -> Step<bool> {
        Ok(self.context.conn.prepare_cached(sql)?.exists([id])?)
    }

    fn share_a_file(&self, id: i64, below: &str) -> Step<bool> {
        let files = |side: &str| match below {
            "media_items" => format!("SELECT file FROM {side}.media_parts WHERE media_item_id = ?1"),
            _ => format!(
                "SELECT p.file FROM {side}.media_parts p JOIN {side}.media_items i ON i.id = p.media_item_id WHERE i.metadata_item_id = ?1"
            ),
        };
        self.ask(&format!("{} AND file IN ({})", files(MINE), files(MAIN)), id)
    }

    fn has_parts(&self, media: i64) -> Step<bool> {
        self.ask(
            &format!("SELECT 1 FROM {MINE}.media_parts WHERE media_item_id = ?1"),
            media,
        )
    }

    fn has_media(&self, item: i64) -> Step<bool> {
        self.ask(
            &format!("SELECT 1 FROM {MINE}.media_items WHERE metadata_item_id = ?1"),
            item,
        )
    }

    /// Whether something below it is the same on both sides.
    fn share_a_child(&self, id: i64) -> Step<bool> {
        let children: Vec<i64> = self
            .context
            .conn
            .prepare_cached(&format!(
                "SELECT m.id FROM {MINE}.metadata_items m JOIN {MAIN}.metadata_items t ON t.id = m.id
                 WHERE m.parent_id = ?1 AND t.parent_id = ?1"
            ))?
            .query_map([id], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(children
            .iter()
            .any(|child| !self.has_collided("metadata_items", *child)))
    }

    /// Whether it and everything above it have the same titles on both sides.
    fn is_called_the_same(&self, table: &Table, id: i64) -> Step<bool> {
        let (mut ours, mut theirs) = (Some(id), Some(id));
        for _ in 0..8 {
            let conn = self.context.conn;
            let (Some(mine_id), Some(their_id)) = (ours, theirs) else {
                break;
            };
            let (mine, other) = (
                rows::get(conn, MINE, table, mine_id)?,
                rows::get(conn, MAIN, table, their_id)?,
            );
            let (Some(mine), Some(other)) = (mine, other) else {
                return Ok(false);
            };
            if value(table, &mine, "title") != value(table, &other, "title") {
                return Ok(false);
            }
            (ours, theirs) = (int(table, &mine, "parent_id"), int(table, &other, "parent_id"));
        }
        Ok(ours.is_none() && theirs.is_none())
    }

    fn directories(&mut self) -> Step<()> {
        let Some(table) = self.context.table("directories") else {
            return Ok(());
        };
        for id in self.added("directories") {
            let Some(mine) = rows::get(self.context.conn, MINE, &table, id)? else {
                continue;
            };
            if !self.is_wanted("directories", id)? {
                continue;
            }
            for other in rows::ids_where(
                self.context.conn,
                MAIN,
                "directories",
                "path",
                &value(&table, &mine, "path"),
            )? {
                let theirs = rows::get(self.context.conn, MAIN, &table, other)?;
                let section = int(&table, &mine, "library_section_id");
                if theirs.is_some_and(|theirs| int(&table, &theirs, "library_section_id") == section)
                    && self.is_free("directories", other)?
                {
                    self.pair("directories", other, id);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Files: parts first, then what is above them.
    fn files(&mut self) -> Step<()> {
        let (Some(parts), Some(media), Some(items)) = (
            self.context.table("media_parts"),
            self.context.table("media_items"),
            self.context.table("metadata_items"),
        ) else {
            return Ok(());
        };
        let mut wanted = self.added("media_parts");
        // What the worker threw away and made anew is home's by the id that the base gave it.
        if self.context.mode == Mode::Burst {
            for id in diff::missing(self.context.conn, "media_parts", MINE, MAIN)? {
                if rows::exists(self.context.conn, BASE, "media_parts", id)? {
                    wanted.push(id);
                }
            }
        }
        let mut votes: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        for id in wanted {
            let Some(mine) = rows::get(self.context.conn, MINE, &parts, id)? else {
                continue;
            };
            let Some(file) = text(&parts, &mine, "file").map(str::to_owned) else {
                continue;
            };
            let Some(my_media) = self.get(MINE, &media, int(&parts, &mine, "media_item_id"))? else {
                continue;
            };
            let my_item = self.get(MINE, &items, int(&media, &my_media, "metadata_item_id"))?;
            let other = if self.is_wanted("media_parts", id)? {
                self.same_file(&parts, &media, &items, &mine, &my_media, my_item.as_ref())?
            } else {
                // Of an earlier merge that could give home's id to the part and not to its item.
                self.as_it_is(&parts, &media, id)?
            };
            let Some((part, their_media, their_item)) = other else {
                continue;
            };
            if part != id {
                self.pair("media_parts", part, id);
            }
            let pairs = [
                ("media_items", int(&media, &my_media, "id"), their_media),
                ("metadata_items", int(&media, &my_media, "metadata_item_id"), their_item),
            ];
            for (table, home, worker) in pairs {
                let (Some(home), Some(worker)) = (home, worker) else {
                    continue;
                };
                let is_item = table == "metadata_items";
                if self.is_wanted(table, home)?
                    && self.is_free(table, worker)?
                    && !(is_item && self.was_another(worker, home)?)
                {
                    self.pair(table, worker, home);
                    if is_item {
                        self.context.report.same_files.push(SameFile {
                            file: file.clone(),
                            home,
                            worker,
                        });
                        *votes.entry((worker, home)).or_default() += 1;
                    }
                }
            }
        }
        self.above(&items, votes)
    }

    /// Whether the worker's item is one that home deleted together with a file that its own item has not: the worker merged
    /// home's into it, and what it says is about the deleted one.
    fn was_another(&self, worker: i64, home: i64) -> Step<bool> {
        Ok(self
            .context
            .conn
            .prepare_cached(&format!(
                "SELECT 1 FROM {MAIN}.media_items i JOIN {MAIN}.media_parts p ON p.media_item_id = i.id
                 WHERE i.metadata_item_id = ?1
                 AND EXISTS (SELECT 1 FROM {BASE}.metadata_items b WHERE b.id = ?1)
                 AND NOT EXISTS (SELECT 1 FROM {MINE}.metadata_items m NOT INDEXED WHERE m.id = ?1)
                 AND EXISTS (SELECT 1 FROM {BASE}.media_parts b WHERE b.id = p.id)
                 AND NOT EXISTS (SELECT 1 FROM {MINE}.media_parts m NOT INDEXED WHERE m.id = p.id)
                 AND p.file NOT IN (SELECT h.file FROM {MINE}.media_parts h JOIN {MINE}.media_items o ON o.id = h.media_item_id
                     WHERE o.metadata_item_id = ?2 AND h.file IS NOT NULL)"
            ))?
            .exists([worker, home])?)
    }

    /// A part of the result, with the ids of its media and item.
    fn as_it_is(&self, parts: &Table, media: &Table, id: i64) -> Step<Option<Found>> {
        let part = self.get(MAIN, parts, Some(id))?;
        let above = part.and_then(|part| int(parts, &part, "media_item_id"));
        let row = self.get(MAIN, media, above)?;
        Ok(row.map(|row| (id, above, int(media, &row, "metadata_item_id"))))
    }

    /// The worker's part for the same file: its id, and those of its media and item.
    fn same_file(
        &self,
        parts: &Table,
        media: &Table,
        items: &Table,
        mine: &Row,
        my_media: &Row,
        my_item: Option<&Row>,
    ) -> Step<Option<Found>> {
        let mut best: Option<(usize, i64, Option<i64>, Option<i64>)> = None;
        for other in rows::ids_where(
            self.context.conn,
            MAIN,
            "media_parts",
            "file",
            &value(parts, mine, "file"),
        )? {
            if !self.is_free("media_parts", other)? {
                continue;
            }
            let Some(part) = rows::get(self.context.conn, MAIN, parts, other)? else {
                continue;
            };
            let their_media = self.get(MAIN, media, int(parts, &part, "media_item_id"))?;
            let Some(their_media) = their_media else { continue };
            if int(media, &their_media, "library_section_id") != int(media, my_media, "library_section_id") {
                continue;
            }
            let their_item = self.get(MAIN, items, int(media, &their_media, "metadata_item_id"))?;
            // One file may be several episodes: the one with the same guid, else the same number, is meant.
            let likeness = match (my_item, &their_item) {
                (Some(a), Some(b)) => {
                    let alike = |column: &str| usize::from(value(items, a, column) == value(items, b, column));
                    4 * alike("guid") + 2 * alike("index") + alike("title")
                }
                _ => 0,
            };
            let candidate = (
                likeness,
                other,
                int(parts, &part, "media_item_id"),
                int(media, &their_media, "metadata_item_id"),
            );
            if best.as_ref().is_none_or(|(so_far, ..)| likeness > *so_far) {
                best = Some(candidate);
            }
        }
        Ok(best.map(|(_, part, media, item)| (part, media, item)))
    }

    /// Albums, artists, seasons and shows above matched items: those under which most of them are.
    fn above(&mut self, items: &Table, mut votes: BTreeMap<(i64, i64), usize>) -> Step<()> {
        // Track, album, artist: two steps up; photo albums nest deeper.
        for _ in 0..8 {
            let mut parents: BTreeMap<(i64, i64), usize> = BTreeMap::new();
            for ((worker, home), count) in votes {
                let conn = self.context.conn;
                let (Some(theirs), Some(mine)) = (
                    rows::get(conn, MAIN, items, worker)?,
                    rows::get(conn, MINE, items, home)?,
                ) else {
                    continue;
                };
                if let (Some(worker), Some(home)) = (int(items, &theirs, "parent_id"), int(items, &mine, "parent_id")) {
                    *parents.entry((worker, home)).or_default() += count;
                }
            }
            let mut ranked: Vec<((i64, i64), usize)> = parents.into_iter().collect();
            ranked.sort_by_key(|(pair, count)| (std::cmp::Reverse(*count), *pair));
            votes = BTreeMap::new();
            for ((worker, home), count) in ranked {
                let conn = self.context.conn;
                let kind = |row: &Option<Row>| row.as_ref().and_then(|row| int(items, row, "metadata_type"));
                let same_kind =
                    kind(&rows::get(conn, MAIN, items, worker)?) == kind(&rows::get(conn, MINE, items, home)?);
                if same_kind && self.is_wanted("metadata_items", home)? && self.is_free("metadata_items", worker)? {
                    self.pair("metadata_items", worker, home);
                    votes.insert((worker, home), count);
                } else if self.moved.get("metadata_items", worker) == Some(home) || worker == home {
                    votes.insert((worker, home), count);
                }
            }
            if votes.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// What home added and no file led to: containers, extras, collections.
    fn nameless(&mut self) -> Step<()> {
        let Some(items) = self.context.table("metadata_items") else {
            return Ok(());
        };
        for id in self.added("metadata_items") {
            if !self.is_wanted("metadata_items", id)? {
                continue;
            }
            let Some(mine) = rows::get(self.context.conn, MINE, &items, id)? else {
                continue;
            };
            let kind = int(&items, &mine, "metadata_type").unwrap_or_default();
            if HOUSEHOLDS.contains(&kind) {
                continue;
            }
            let guid = value(&items, &mine, "guid");
            let by_guid = guid != Value::Null && !guids::is_numbered(&guid);
            let (column, wanted) = if by_guid && kind != COLLECTION {
                ("guid", guid)
            } else {
                ("title", value(&items, &mine, "title"))
            };
            let by_title = column == "title";
            // Only what cannot have a file is known by its title: two songs may have the same.
            if by_title
                && (!(CONTAINERS.contains(&kind) || kind == COLLECTION)
                    || wanted == Value::Null
                    || wanted == Value::Text(String::new()))
            {
                continue;
            }
            let parent = int(&items, &mine, "parent_id");
            for other in rows::ids_where(self.context.conn, MAIN, "metadata_items", column, &wanted)? {
                if !self.is_free("metadata_items", other)? {
                    continue;
                }
                let Some(theirs) = rows::get(self.context.conn, MAIN, &items, other)? else {
                    continue;
                };
                let alike = |column: &str| value(&items, &mine, column) == value(&items, &theirs, column);
                let their_parent = int(&items, &theirs, "parent_id")
                    .map(|parent| self.moved.get("metadata_items", parent).unwrap_or(parent));
                if alike("metadata_type") && alike("library_section_id") && (!by_title || their_parent == parent) {
                    self.pair("metadata_items", other, id);
                    break;
                }
            }
        }
        Ok(())
    }

    fn tags(&mut self) -> Step<()> {
        let Some(table) = self.context.table("tags") else {
            return Ok(());
        };
        for id in self.added("tags") {
            if !self.is_wanted("tags", id)? {
                continue;
            }
            let Some(mine) = rows::get(self.context.conn, MINE, &table, id)? else {
                continue;
            };
            for other in rows::ids_where(self.context.conn, MAIN, "tags", "tag", &value(&table, &mine, "tag"))? {
                let Some(theirs) = rows::get(self.context.conn, MAIN, &table, other)? else {
                    continue;
                };
                let same = ["tag", "tag_type", "key", "tag_value"]
                    .iter()
                    .all(|column| value(&table, &mine, column) == value(&table, &theirs, column));
                if same && self.is_free("tags", other)? {
                    self.pair("tags", other, id);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Rows of the worker's that have an id of home's and are something else get a new one.
    fn make_way(&mut self) -> Step<()> {
        for (table, ids) in std::mem::take(&mut self.collided) {
            for id in ids {
                if self.moved.get(table, id).is_none() {
                    let fresh = self.context.fresh_id(LIBRARY, table)?;
                    self.moved.add(table, id, fresh);
                }
            }
        }
        Ok(())
    }
}
