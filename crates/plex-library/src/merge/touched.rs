//! Which rows home may have touched since the base, found by comparing pages instead of rows.
//!
//! Both files are read once, front to back, and compared page by page; of the pages that differ only the leaves of tables
//! are looked into. So what a merge does while Plex stands still is about what changed, not about what there is: decoding
//! and comparing every row of a big library takes many times as long as reading it.
//!
//! Guarantee: every row that differs is among the candidates; more may be. Where that cannot be said (different page
//! sizes, a log beside a file, a page that nothing explains) there is no answer, and rows are compared one by one. Of a copy
//! that lies over the base ([`crate::layered`]) its log is the answer, and neither file has to be read.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::fail::Step;
use super::session::Three;
use crate::format::btree::{self, PageKind};
use crate::format::header::{self, Header};
use crate::format::wal::{self, Overlay};
use crate::format::{be16, be32};
use crate::open::{Mode, Reader};
use crate::paths::wal_of;

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;
/// If more than one page in this many differs, looking into each costs as much as comparing rows.
const FEW: usize = 4;

/// Rows that may differ, per table.
#[derive(Debug, Default)]
pub(super) struct Touched {
    tables: HashMap<String, BTreeSet<i64>>,
}

impl Touched {
    /// Compares the files behind the databases that are attached as base and mine.
    pub(super) fn find(conn: &Connection, three: Three, base: &Reader, mine: &Reader) -> Step<Option<Self>> {
        if base.mode() != Mode::Immutable || !matches!(mine.mode(), Mode::Immutable | Mode::Layered) {
            return Ok(None);
        }
        let roots = [roots(conn, three.base)?, roots(conn, three.mine)?];
        Ok(compare(base.opened(), mine.opened(), &roots))
    }

    /// The rows of a table that may differ; others do not.
    pub(super) fn rows(&self, table: &str) -> Option<&BTreeSet<i64>> {
        self.tables.get(table)
    }
}

/// Root pages of tables and indices; the name is empty for indices.
type Roots = Vec<(String, u32)>;

fn roots(conn: &Connection, side: &str) -> Step<Roots> {
    let mut statement = conn.prepare(&format!(
        "SELECT iif(type = 'table', name, ''), rootpage FROM {side}.sqlite_schema WHERE rootpage > 0"
    ))?;
    let mut found: Roots = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    found.push(("sqlite_schema".into(), 1));
    Ok(found)
}

fn compare(base: &Path, mine: &Path, roots: &[Roots; 2]) -> Option<Touched> {
    let (base, mine) = (Pages::open(base)?, Pages::open(mine)?);
    if base.size != mine.size || base.usable != mine.usable {
        return None;
    }
    let changed = changed_pages(&base, &mine)?;
    let differing = changed.iter().filter(|differs| **differs).count();
    if differing > (mine.count as usize / FEW).max(64) {
        return None;
    }
    let mut touched = Touched::default();
    if differing == 0 {
        return Some(touched);
    }
    let mut names = vec![String::new()];
    let (before, after) = (
        roles(&base, &roots[0], &mut names)?,
        roles(&mine, &roots[1], &mut names)?,
    );
    let mut explained: HashSet<u32> = mine.freelist()?;
    explained.extend([1, header::lock_page(mine.size)]);
    for page in 1..=base.count.max(mine.count) {
        let at = page as usize;
        let (was, is) = (role(&before, at), role(&after, at));
        if !changed[at] && was == is {
            continue;
        }
        for (pages, role) in [(&base, was), (&mine, is)] {
            if let Role::Leaf(tree) = role
                && tree > 0
            {
                let ids = touched.tables.entry(names[usize::from(tree)].clone()).or_default();
                rowids(page, &pages.read(page)?, pages.usable, ids)?;
            }
        }
        if is != Role::Other {
            explained.insert(page);
            explained.extend(mine.overflow_of(page)?);
        }
    }
    // A page that nothing explains is one of a long value that was overwritten in place: its row is not known.
    (1..=mine.count)
        .all(|page| !changed[page as usize] || explained.contains(&page))
        .then_some(touched)
}

/// What a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Overflow, free, or not there.
    Other,
    /// Above the leaves of any tree.
    Inner,
    /// A leaf of the table of that number; 0 for all indices.
    Leaf(u16),
}

fn role(roles: &[u16], page: usize) -> Role {
    match roles.get(page) {
        None | Some(0) => Role::Other,
        Some(1) => Role::Inner,
        Some(n) => Role::Leaf(n - 2),
    }
}

/// A database file as pages.
struct Pages {
    file: File,
    /// Of a layered copy: the pages that are not as the file has them.
    log: Option<Log>,
    size: u32,
    usable: usize,
    count: u32,
    freelist: u32,
}

struct Log {
    file: File,
    path: PathBuf,
    overlay: Overlay,
}

impl Log {
    /// `None`: it holds nothing.
    fn beside(path: &Path, page_size: u32) -> Option<Self> {
        let path = wal_of(path);
        let file = File::open(&path).ok()?;
        let overlay = wal::scan(&file, &path, page_size, None).ok()?.overlay;
        overlay.pages().is_some().then_some(Self { file, path, overlay })
    }

    fn read(&self, page: u32, into: &mut [u8]) -> Option<bool> {
        self.overlay.read_page(&self.file, &self.path, page, into).ok()
    }
}

impl Pages {
    fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut header = Header::read(&file, path).ok()?;
        let mut count = header.pages_in(file.metadata().ok()?.len());
        let log = Log::beside(path, header.page_size);
        if let Some(log) = &log {
            count = log.overlay.pages()?;
            let mut first = vec![0; header.page_size as usize];
            if log.read(1, &mut first)? {
                header = Header::parse(first.first_chunk()?).ok()?;
            }
        }
        Some(Self {
            size: header.page_size,
            usable: header.page_size as usize - usize::from(header.reserved),
            count,
            freelist: header.freelist,
            file,
            log,
        })
    }

    /// Whether both are the same file, but for a log.
    fn is_over(&self, base: &Self) -> bool {
        let same = |one: &File, other: &File| {
            let (one, other) = (one.metadata().ok()?, other.metadata().ok()?);
            Some((one.dev(), one.ino()) == (other.dev(), other.ino()))
        };
        base.log.is_none() && same(&self.file, &base.file) == Some(true)
    }

    fn read(&self, page: u32) -> Option<Vec<u8>> {
        if page == 0 || page > self.count {
            return None;
        }
        let mut bytes = vec![0; self.size as usize];
        if let Some(log) = &self.log
            && log.read(page, &mut bytes)?
        {
            return Some(bytes);
        }
        self.file
            .read_exact_at(&mut bytes, u64::from(page - 1) * u64::from(self.size))
            .ok()?;
        Some(bytes)
    }

    /// All pages of the freelist.
    fn freelist(&self) -> Option<HashSet<u32>> {
        let mut free = HashSet::new();
        let mut trunk = self.freelist;
        while trunk != 0 {
            if !free.insert(trunk) {
                return None;
            }
            let page = self.read(trunk)?;
            let leaves = (be32(&page, 4) as usize).min(self.usable / 4 - 2);
            free.extend((0..leaves).map(|n| be32(&page, 8 + 4 * n)));
            trunk = be32(&page, 0);
        }
        Some(free)
    }

    /// All overflow pages of a page's cells.
    fn overflow_of(&self, number: u32) -> Option<Vec<u32>> {
        let page = self.read(number)?;
        let (_, pointers) = btree::parse(number, &page, self.usable).ok()?;
        let mut all = Vec::new();
        for overflow in pointers.overflows {
            let mut next = overflow.first;
            for _ in 0..overflow.pages {
                all.push(next);
                next = be32(&self.read(next)?, 0);
            }
        }
        Some(all)
    }
}

/// Which pages differ, by number; those that only one file has do.
fn changed_pages(base: &Pages, mine: &Pages) -> Option<Vec<bool>> {
    let size = base.size as usize;
    let common = base.count.min(mine.count);
    let mut changed = vec![false; base.count.max(mine.count) as usize + 1];
    changed[common as usize + 1..].fill(true);
    if mine.is_over(base) {
        let holds = |page: u32| mine.log.as_ref().is_some_and(|log| log.overlay.holds(page));
        for page in 1..=common {
            changed[page as usize] = holds(page);
        }
        return Some(changed);
    }
    if base.log.is_some() || mine.log.is_some() {
        return None;
    }
    let (mut one, mut other) = (vec![0; CHUNK.max(size)], vec![0; CHUNK.max(size)]);
    let (mut base_file, mut mine_file) = (&base.file, &mine.file);
    std::io::Seek::rewind(&mut base_file).ok()?;
    std::io::Seek::rewind(&mut mine_file).ok()?;
    let mut page = 1;
    while page <= common {
        let pages = (one.len() / size).min((common - page + 1) as usize);
        let length = pages * size;
        base_file.read_exact(&mut one[..length]).ok()?;
        mine_file.read_exact(&mut other[..length]).ok()?;
        if one[..length] != other[..length] {
            for (n, (a, b)) in one[..length].chunks(size).zip(other[..length].chunks(size)).enumerate() {
                changed[page as usize + n] = a != b;
            }
        }
        page += u32::try_from(pages).ok()?;
    }
    Some(changed)
}

/// The role of every page, in two bytes each; a big library has millions of them. Tables are numbered as in `names`, to
/// which those are added that were not known yet.
fn roles(pages: &Pages, roots: &Roots, names: &mut Vec<String>) -> Option<Vec<u16>> {
    let mut roles = vec![0_u16; pages.count as usize + 1];
    for (name, root) in roots {
        let tree = match names.iter().position(|known| known == name) {
            Some(n) => n,
            None => {
                names.push(name.clone());
                names.len() - 1
            }
        };
        let tree = u16::try_from(tree).ok()?;
        let mut level = vec![*root];
        loop {
            // All leaves of a tree are equally deep, so one page tells what its whole level is.
            let first = *level.first()?;
            let (kind, _) = btree::parse(first, &pages.read(first)?, pages.usable).ok()?;
            let is_leaf = matches!(kind, PageKind::LeafTable | PageKind::LeafIndex);
            let mut below = Vec::new();
            for page in level {
                let seat = roles.get_mut(page as usize)?;
                if *seat != 0 {
                    return None;
                }
                *seat = if is_leaf { tree + 2 } else { 1 };
                if !is_leaf {
                    let (_, pointers) = btree::parse(page, &pages.read(page)?, pages.usable).ok()?;
                    below.extend(pointers.children);
                }
            }
            if is_leaf {
                break;
            }
            level = below;
        }
    }
    Some(roles)
}

/// Adds the row ids on a leaf of a table.
fn rowids(number: u32, page: &[u8], usable: usize, ids: &mut BTreeSet<i64>) -> Option<()> {
    let head = if number == 1 { header::LENGTH } else { 0 };
    if page[head] != 13 {
        // A table without row ids is written as an index; Plex has none.
        return None;
    }
    for cell in 0..usize::from(be16(page, head + 3)) {
        let mut at = usize::from(be16(page, head + 8 + 2 * cell));
        varint(page, &mut at, usable)?;
        ids.insert(varint(page, &mut at, usable)?.cast_signed());
    }
    Some(())
}

/// SQLite's variable-length number; moves `at` behind it.
fn varint(page: &[u8], at: &mut usize, end: usize) -> Option<u64> {
    let mut value = 0_u64;
    for n in 0..9 {
        let byte = *page.get(*at).filter(|_| *at < end)?;
        *at += 1;
        if n == 8 {
            return Some(value << 8 | u64::from(byte));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCHEMA: &str = "PRAGMA page_size=1024; PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF;
        CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, x TEXT, n INTEGER);
        CREATE TABLE b(id INTEGER PRIMARY KEY, y BLOB);
        CREATE INDEX by_x ON a(x);";

    fn rows(path: &Path) -> HashMap<(&'static str, i64), String> {
        let conn = Connection::open(path).expect("open");
        let mut all = HashMap::new();
        for (table, column) in [("a", "x || n"), ("b", "hex(y)")] {
            let mut statement = conn
                .prepare(&format!("SELECT id, {column} FROM {table}"))
                .expect("prepare");
            let found = statement
                .query_map([], |row| {
                    Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default()))
                })
                .expect("query");
            all.extend(found.map(|row| row.map(|(id, text)| ((table, id), text)).expect("row")));
        }
        all
    }

    fn both_roots(paths: [&Path; 2]) -> [Roots; 2] {
        paths.map(|path| roots(&Connection::open(path).expect("open"), "main").expect("roots"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_row_that_differs_is_among_the_candidates(
            seeds in prop::collection::vec((0usize..3000, 0i64..50), 1..120),
            edits in prop::collection::vec((0u8..6, 1i64..150, 0usize..3000), 0..40),
        ) {
            let dir = tempfile::tempdir().expect("folder");
            let (base, mine) = (dir.path().join("base"), dir.path().join("mine"));
            let conn = Connection::open(&base).expect("open");
            conn.execute_batch(SCHEMA).expect("schema");
            conn.execute_batch("BEGIN").expect("begin");
            for (length, n) in &seeds {
                conn.execute("INSERT INTO a(x, n) VALUES (?1, ?2)", ("x".repeat(*length), n)).expect("insert");
                conn.execute("INSERT INTO b(y) VALUES (zeroblob(?1))", [*length as i64]).expect("insert");
            }
            conn.execute_batch("COMMIT").expect("commit");
            drop(conn);
            std::fs::copy(&base, &mine).expect("copy");
            let conn = Connection::open(&mine).expect("open");
            conn.execute_batch("PRAGMA synchronous=OFF; BEGIN").expect("begin");
            for (kind, id, length) in &edits {
                match kind {
                    0 => conn.execute("UPDATE a SET n = n + 1000 WHERE id = ?1", [id]),
                    1 => conn.execute("UPDATE a SET x = ?2 WHERE id = ?1", (id, "y".repeat(*length))),
                    2 => conn.execute("DELETE FROM a WHERE id = ?1", [id]),
                    3 => conn.execute("INSERT INTO a(x, n) VALUES (?1, 1)", ["z".repeat(*length)]),
                    4 => conn.execute("UPDATE b SET y = randomblob(length(y)) WHERE id = ?1", [id]),
                    _ => conn.execute("DELETE FROM b WHERE id = ?1", [id]),
                }.expect("edit");
            }
            conn.execute_batch("COMMIT").expect("commit");
            drop(conn);
            let found = compare(&base, &mine, &both_roots([&base, &mine]));
            let (before, after) = (rows(&base), rows(&mine));
            if let Some(touched) = found {
                for key in before.keys().chain(after.keys()) {
                    if before.get(key) != after.get(key) {
                        let among = touched.rows(key.0).is_some_and(|ids| ids.contains(&key.1));
                        prop_assert!(among, "{key:?} differs");
                    }
                }
            }
        }
    }

    #[test]
    fn few_changes_are_few_candidates_and_none_are_none() {
        let dir = tempfile::tempdir().expect("folder");
        let (base, mine) = (dir.path().join("base"), dir.path().join("mine"));
        let conn = Connection::open(&base).expect("open");
        conn.execute_batch(SCHEMA).expect("schema");
        conn.execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO a(x, n) SELECT 'text ' || i, i FROM n; INSERT INTO b(y) VALUES (zeroblob(9000));",
        )
        .expect("fill");
        drop(conn);
        std::fs::copy(&base, &mine).expect("copy");
        let none = compare(&base, &mine, &both_roots([&base, &mine])).expect("comparable");
        assert!(none.rows("a").is_none() && none.rows("b").is_none());
        let conn = Connection::open(&mine).expect("open");
        conn.execute_batch("UPDATE a SET n = 0 WHERE id = 7000; INSERT INTO a(x) VALUES ('new')")
            .expect("edit");
        drop(conn);
        let some = compare(&base, &mine, &both_roots([&base, &mine])).expect("comparable");
        let ids = some.rows("a").expect("touched");
        assert!(
            ids.contains(&7000) && ids.contains(&20_001) && ids.len() < 200,
            "{}",
            ids.len()
        );
        assert!(some.rows("b").is_none());
    }
}
