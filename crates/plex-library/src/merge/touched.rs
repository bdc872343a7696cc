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
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;

use super::fail::Step;
use super::session::Three;
use crate::format::btree::{self, PageKind};
use crate::format::header;
use crate::format::pages::{Pages, rowids};
use crate::open::{Mode, Reader};

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

    /// Rows that somebody else has found.
    pub(super) fn known(tables: HashMap<String, BTreeSet<i64>>) -> Self {
        Self { tables }
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

/// Which pages differ, by number; those that only one file has do.
fn changed_pages(base: &Pages, mine: &Pages) -> Option<Vec<bool>> {
    let size = base.size as usize;
    let common = base.count.min(mine.count);
    let mut changed = vec![false; base.count.max(mine.count) as usize + 1];
    changed[common as usize + 1..].fill(true);
    if mine.is_over(base) {
        let holds = |page: u32| mine.is_logged(page);
        for page in 1..=common {
            changed[page as usize] = holds(page);
        }
        return Some(changed);
    }
    if base.has_log() || mine.has_log() {
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
