//! Random histories of a database beside which a watch is held: no row that differs may be missed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const SCHEMA: &str = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;
    CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, x TEXT, n INTEGER);
    CREATE TABLE b(id INTEGER PRIMARY KEY, y BLOB);
    CREATE TABLE c(x);
    CREATE INDEX by_x ON a(x);";

/// Rows as text, by table and number.
type All = HashMap<(&'static str, i64), String>;

struct Watched {
    _dir: TempDir,
    live: PathBuf,
    copy: PathBuf,
    server: Connection,
}

/// A database with a server at work on it, filled by `fill`.
fn served(page_size: u32, fill: impl FnOnce(&Connection)) -> Watched {
    let dir = tempfile::tempdir().expect("folder");
    let live = dir.path().join("live.db");
    let server = Connection::open(&live).expect("open");
    server
        .execute_batch(&format!("PRAGMA page_size={page_size}; {SCHEMA}"))
        .expect("schema");
    server.execute_batch("BEGIN").expect("begin");
    fill(&server);
    server.execute_batch("COMMIT").expect("commit");
    Watched {
        copy: dir.path().join("copy.db"),
        _dir: dir,
        live,
        server,
    }
}

impl Watched {
    fn watch(&self) -> Side {
        let source = Source::open(&self.live).expect("source");
        let mut pages = Vec::new();
        source
            .chunks(|_, bytes| {
                pages.extend_from_slice(bytes);
                Ok(())
            })
            .expect("pages");
        std::fs::write(&self.copy, pages).expect("copy");
        Side::of(source, &self.copy).expect("watch").expect("understood")
    }

    /// The server stops; what was written since the watch began.
    fn stop(self, side: &Side) -> (Option<Rows>, [All; 2], TempDir) {
        self.server.close().map_err(|(_, error)| error).expect("closed");
        let until = index::moment(&side.shm).expect("moment");
        let rows = side.rows(until);
        let both = [rows_of(&self.copy, "immutable=1"), rows_of(&self.live, "mode=ro")];
        (rows, both, self._dir)
    }
}

fn rows_of(path: &Path, how: &str) -> All {
    let conn = Connection::open(crate::open::uri(path, how)).expect("open");
    let mut all = HashMap::new();
    for (table, column) in [
        ("a", "x || n"),
        ("b", "hex(y)"),
        ("c", "hex(x)"),
        ("sqlite_sequence", "seq"),
    ] {
        let mut statement = conn
            .prepare(&format!("SELECT rowid, CAST({column} AS TEXT) FROM {table}"))
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

fn missed(rows: &Rows, [before, after]: &[All; 2]) -> Vec<(&'static str, i64)> {
    let mut missed: Vec<(&'static str, i64)> = before
        .keys()
        .chain(after.keys())
        .filter(|key| before.get(*key) != after.get(*key))
        .filter(|key| !rows.get(key.0).is_some_and(|ids| ids.contains(&key.1)))
        .copied()
        .collect();
    missed.sort_unstable();
    missed
}

fn cases() -> u32 {
    std::env::var("PLEXBURST_PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_that_differs_is_found(
        page_size in prop::sample::select(vec![512_u32, 1024, 4096]),
        seeds in prop::collection::vec((0usize..3000, 0i64..50), 1..160),
        written_back in any::<bool>(),
        edits in prop::collection::vec((0u8..16, 1i64..200, 0usize..4000), 0..60),
        let_go in prop::option::of(0usize..60),
    ) {
        let watched = served(page_size, |server| {
            for (length, n) in &seeds {
                server.execute("INSERT INTO a(x, n) VALUES (?1, ?2)", ("x".repeat(*length), n)).expect("insert");
                server.execute("INSERT INTO b(y) VALUES (zeroblob(?1))", [*length as i64]).expect("insert");
                server.execute("INSERT INTO c VALUES (zeroblob(?1))", [*n]).expect("insert");
            }
        });
        if written_back {
            watched.server.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").expect("checkpoint");
        }
        let mut side = watched.watch();
        let server = &watched.server;
        for (n, (kind, id, length)) in edits.iter().enumerate() {
            if let_go == Some(n) {
                side.let_go();
            }
            match kind {
                0 => server.execute("UPDATE a SET n = n + 1000 WHERE id = ?1", [id]),
                1 => server.execute("UPDATE a SET x = ?2 WHERE id = ?1", (id, "y".repeat(*length))),
                2 => server.execute("DELETE FROM a WHERE id BETWEEN ?1 AND ?1 + ?2 / 100", (id, *length as i64)),
                3 => server.execute("INSERT INTO a(x, n) VALUES (?1, 1)", ["z".repeat(*length)]),
                4 | 5 => server.execute("UPDATE b SET y = randomblob(length(y)) WHERE id = ?1", [id]),
                6 => server.execute("DELETE FROM b WHERE id < ?1", [id]),
                7 => server.execute("DELETE FROM c WHERE rowid % 7 <> ?1 % 7", [id]),
                8 if *id < 20 => server.execute("DELETE FROM a", []),
                9 if *id < 20 => server.execute("DELETE FROM b", []),
                10 => server.execute("INSERT INTO c VALUES (zeroblob(?1))", [*length as i64]),
                // What a value has at its end, and nothing else: the leaf is not written.
                11 => server.execute("UPDATE a SET n = (n + 1) % 100 WHERE id = ?1 AND n BETWEEN 2 AND 100", [id]),
                12 => server.execute("UPDATE b SET y = CAST(substr(y, 1, length(y) - 1) || 'e' AS BLOB) WHERE id = ?1 AND length(y) > 1", [id]),
                13 => server.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").map(|()| 0),
                14 => server.execute_batch("PRAGMA busy_timeout=0; PRAGMA wal_checkpoint(TRUNCATE)").map(|()| 0),
                _ => server.execute("INSERT OR REPLACE INTO b(id, y) VALUES (?1, randomblob(?2))", (id, *length as i64)),
            }.expect("edit");
        }
        let (rows, both, _dir) = watched.stop(&side);
        if let Some(rows) = rows {
            let missed = missed(&rows, &both);
            prop_assert!(missed.is_empty(), "{missed:?} were missed");
        }
    }
}

/// A table of 20,000 rows with one long value.
fn big() -> Watched {
    served(1024, |server| {
        server
            .execute_batch(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                 INSERT INTO a(x, n) SELECT 'text ' || i, i FROM n; INSERT INTO b(y) VALUES (zeroblob(9000));",
            )
            .expect("fill");
    })
}

#[test]
fn few_changes_are_few_rows_and_none_are_none() {
    let watched = big();
    let side = watched.watch();
    let (rows, ..) = watched.stop(&side);
    assert_eq!(rows, Some(Rows::new()));

    let watched = big();
    let side = watched.watch();
    watched
        .server
        .execute_batch("UPDATE a SET n = 0 WHERE id = 7000; INSERT INTO a(x) VALUES ('new')")
        .expect("edit");
    let (rows, ..) = watched.stop(&side);
    let rows = rows.expect("known");
    let ids = &rows["a"];
    assert!(
        ids.contains(&7000) && ids.contains(&20_001) && ids.len() < 200,
        "{}",
        ids.len()
    );
    assert!(!rows.contains_key("b"));
}

#[test]
fn a_long_value_that_is_overwritten_in_place_is_found_by_its_chain() {
    let watched = big();
    let side = watched.watch();
    // 9000 bytes are eight pages and more; the leaf keeps its bytes.
    watched
        .server
        .execute_batch("UPDATE b SET y = CAST(zeroblob(8999) || 'x' AS BLOB)")
        .expect("edit");
    let (rows, ..) = watched.stop(&side);
    assert_eq!(rows.expect("known")["b"], [1].into());
}

#[test]
fn rows_whose_pages_were_cut_off_unwritten_are_found() {
    let watched = big();
    let side = watched.watch();
    watched
        .server
        .execute_batch("DELETE FROM b; DELETE FROM a WHERE id BETWEEN 3000 AND 5000")
        .expect("edit");
    let (rows, both, _dir) = watched.stop(&side);
    let rows = rows.expect("known");
    assert_eq!(missed(&rows, &both), []);
    assert!(rows["a"].len() < 2300, "{}", rows["a"].len());
}

#[test]
fn the_log_goes_on_or_is_begun_anew_once() {
    for checkpoint in ["PASSIVE", "TRUNCATE"] {
        let watched = big();
        watched
            .server
            .execute_batch(&format!("PRAGMA wal_checkpoint({checkpoint})"))
            .expect("checkpoint");
        let side = watched.watch();
        assert!(side.began_in_file);
        for n in 0..40 {
            watched
                .server
                .execute_batch(&format!(
                    "UPDATE a SET n = -1 WHERE id = {}; PRAGMA busy_timeout=0; PRAGMA wal_checkpoint({checkpoint})",
                    500 * n + 1
                ))
                .expect("edit");
        }
        let (rows, both, _dir) = watched.stop(&side);
        assert_eq!(missed(&rows.expect("known"), &both), []);
    }
}

#[test]
fn a_server_that_folds_its_log_in_is_not_kept_waiting() {
    let fold = "PRAGMA busy_timeout=0; PRAGMA wal_checkpoint(TRUNCATE)";
    let one = "UPDATE a SET n = -1 WHERE id = 900; INSERT INTO a(x) VALUES ('new')";
    // (after it was let go: written to, folded in), and whether that can be told.
    for (written, folded, known) in [
        (false, true, true),
        (true, false, true),
        (false, false, true),
        (true, true, false),
    ] {
        let watched = big();
        let mut side = watched.watch();
        let server = &watched.server;
        server.execute_batch(one).expect("edit");
        let busy = |server: &Connection| {
            server
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
                .expect("checkpoint")
        };
        server.execute_batch("PRAGMA busy_timeout=0").expect("at once");
        assert_eq!(busy(server), 1);
        side.let_go();
        if written {
            server
                .execute_batch("UPDATE a SET n = -2 WHERE id = 100")
                .expect("edit");
        }
        if folded {
            server.execute_batch(fold).expect("folded");
            assert_eq!(busy(server), 0);
        }
        let (rows, both, _dir) = watched.stop(&side);
        assert_eq!(rows.is_some(), known, "written: {written}, folded: {folded}");
        if let Some(rows) = rows {
            assert_eq!(missed(&rows, &both), []);
        }
    }
}

#[test]
fn what_cannot_be_told_has_no_answer() {
    // Everything was written anew.
    let watched = big();
    let side = watched.watch();
    watched.server.execute_batch("UPDATE a SET x = x || 'y'").expect("edit");
    assert_eq!(watched.stop(&side).0, None);
    // Nobody holds the log.
    let watched = big();
    watched
        .server
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("checkpoint");
    let Watched {
        live,
        copy,
        server,
        _dir,
    } = watched;
    drop(server);
    std::fs::copy(&live, &copy).expect("copy");
    let source = Source::open(&live).expect("source");
    assert!(Side::of(source, &copy).expect("looked").is_none());
}
