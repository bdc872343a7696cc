use std::collections::BTreeSet;

use rusqlite::Connection;

use super::*;

fn databases() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), Version::Plex2026).unwrap();
    dir
}

#[test]
fn a_fresh_pair_is_whole() {
    let dir = databases();
    for name in [LIBRARY_DB, BLOBS_DB] {
        assert!(
            !dir.path().join(format!("{name}-wal")).exists(),
            "a clean close removes the log"
        );
        let db = store::connect(&dir.path().join(name)).unwrap();
        let page_size: u32 = db.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
        let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!((page_size, mode.as_str()), (PAGE_SIZE, "wal"));
    }
}

/// What stock SQLite says about a real library (facts/plex.md §1.4).
#[test]
fn without_stand_ins_it_fails_as_a_real_library_does() {
    let dir = databases();
    let db = Connection::open(dir.path().join(LIBRARY_DB)).unwrap();
    let said = |sql: &str| {
        db.prepare(sql)
            .and_then(|mut s| s.query([])?.next().map(drop))
            .unwrap_err()
            .to_string()
    };
    let says = |sql: &str, words: &str| assert!(said(sql).contains(words), "{sql}: {}", said(sql));
    says("SELECT * FROM fts4_metadata_titles_icu", "unknown tokenizer: collating");
    says("SELECT * FROM spellfix_tag_titles", "no such module: spellfix1");
    says("UPDATE tags SET tag = 'x'", "unknown tokenizer: collating");
    says("UPDATE metadata_items SET title = 'x'", "unknown tokenizer: collating");
    says("DELETE FROM metadata_items", "no such collation sequence: icu_root");
    says("VACUUM", "no such collation sequence: icu_root");
    says("ANALYZE", "no such collation sequence: icu_root");
    says("PRAGMA integrity_check", "unknown tokenizer: collating");
    assert_eq!(
        db.query_row("PRAGMA integrity_check('tags')", [], |row| row.get::<_, String>(0))
            .unwrap(),
        "ok"
    );
}

/// Compares with the schema read off a real server, where that is at hand.
#[test]
fn the_schema_is_the_one_of_a_real_server_of_2026() {
    compare(Version::Plex2026, "plex-schema-library-2026.tsv");
}

#[test]
fn the_schema_is_the_one_of_a_real_server_of_2020() {
    compare(Version::Plex2020, "plex-schema-20200224131300.tsv");
}

fn compare(version: Version, facts: &str) {
    let facts = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/facts")
        .join(facts);
    let Ok(facts) = std::fs::read_to_string(&facts) else {
        println!("SKIPPED the schema of a real server: the schema to compare with is not at hand");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), version).unwrap();
    let db = store::open_library(dir.path()).unwrap();
    let expected = facts
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(without_rtree_types)
        .collect();
    let found: BTreeSet<String> = describe(&db).iter().map(|line| without_rtree_types(line)).collect();
    let missing: Vec<_> = BTreeSet::difference(&expected, &found).collect();
    let extra: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing {missing:#?}\nextra {extra:#?}"
    );
}

/// Newer versions of SQLite make the tables behind an R-tree without types of columns.
fn without_rtree_types(line: &str) -> String {
    let mut fields: Vec<&str> = line.split('\t').collect();
    if fields[0] == "column" && fields[1].starts_with("locations_") {
        fields[3] = "";
    }
    fields.join("\t")
}

/// One line per column, index, trigger and virtual table, in the words of that file:
/// kind, table, name, type or definition, default, not null, primary key.
fn describe(db: &Connection) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut objects = db
        .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        .unwrap();
    let mut rows = objects.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let [kind, name, table, sql]: [String; 4] = std::array::from_fn(|column| row.get(column).unwrap());
        match kind.as_str() {
            "index" => {
                let unique = if sql.starts_with("CREATE UNIQUE") {
                    "UNIQUE "
                } else {
                    ""
                };
                lines.insert(format!(
                    "index\t{table}\t{name}\t{unique}{}\t\t\t",
                    &sql[sql.find('(').unwrap()..]
                ));
            }
            "trigger" => {
                let body = sql.split_once(&name).unwrap().1.trim();
                lines.insert(format!("trigger\t{table}\t{name}\t{body}\t\t\t"));
            }
            _ if sql.starts_with("CREATE VIRTUAL") => {
                let module = sql.split_once(" USING ").unwrap().1;
                lines.insert(format!("virtual\t{name}\t{name}\t{module}\t\t\t"));
            }
            _ => lines.extend(columns(db, &name, &sql)),
        }
    }
    lines
}

fn columns(db: &Connection, table: &str, sql: &str) -> Vec<String> {
    let mut statement = db
        .prepare("SELECT name, type, dflt_value, \"notnull\", pk FROM pragma_table_info(?1)")
        .unwrap();
    let line = |row: &rusqlite::Row<'_>| {
        let [name, kind]: [String; 2] = [row.get(0)?, row.get(1)?];
        let default: Option<String> = row.get(2)?;
        let collation = if sql.contains(&format!("\"{name}\" {kind} COLLATE NOCASE")) {
            " COLLATE NOCASE"
        } else {
            ""
        };
        let (not_null, key): (i64, i64) = (row.get(3)?, row.get(4)?);
        let default = default.unwrap_or_else(|| "None".to_owned());
        Ok(format!(
            "column\t{table}\t{name}\t{kind}{collation}\t{default}\t{not_null}\t{key}"
        ))
    };
    statement
        .query_map([table], line)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}
