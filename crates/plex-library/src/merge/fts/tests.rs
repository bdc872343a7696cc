//! The search index against SQLite's own: what it writes is read, what is written here passes its own check.

use std::collections::BTreeMap;

use crate::merge::values::Value;
use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::merge::schema::Schema;

/// A table with an index over it, as Plex lays it out: outside its text or keeping it.
fn library(keeps_text: bool) -> Connection {
    let conn = Connection::open_in_memory().expect("memory");
    conn.execute_batch("PRAGMA page_size=1024;").expect("pragma");
    let content = if keeps_text { "" } else { "content='metadata_items', " };
    conn.execute_batch(&format!(
        "CREATE TABLE metadata_items(id INTEGER PRIMARY KEY, title TEXT, title_sort TEXT, original_title TEXT);
         CREATE VIRTUAL TABLE words USING fts4({content}title, title_sort, original_title);
         CREATE TRIGGER a BEFORE UPDATE ON metadata_items BEGIN DELETE FROM words WHERE docid=old.rowid; END;
         CREATE TRIGGER b BEFORE DELETE ON metadata_items BEGIN DELETE FROM words WHERE docid=old.rowid; END;
         CREATE TRIGGER c AFTER UPDATE ON metadata_items BEGIN
           INSERT INTO words(docid, title, title_sort, original_title) VALUES(new.rowid, new.title, new.title_sort, new.original_title); END;
         CREATE TRIGGER d AFTER INSERT ON metadata_items BEGIN
           INSERT INTO words(docid, title, title_sort, original_title) VALUES(new.rowid, new.title, new.title_sort, new.original_title); END;"
    ))
    .expect("schema");
    conn
}

fn index(conn: &Connection) -> Index {
    let columns = &Schema::read(conn, "main").expect("schema").tables["metadata_items"].columns;
    let mut all = Index::all(conn, "main", "metadata_items", columns)
        .expect("read")
        .expect("known");
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn check(conn: &Connection) {
    conn.execute_batch("INSERT INTO words(words) VALUES('integrity-check')")
        .expect("the index is right");
}

type Texts = [Option<String>; 3];

fn texts(conn: &Connection, id: i64) -> Vec<Value> {
    conn.query_row(
        "SELECT title, title_sort, original_title FROM metadata_items WHERE id=?1",
        [id],
        |row| (0..3).map(|n| row.get(n)).collect(),
    )
    .expect("row")
}

fn words() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        6 => prop::collection::vec("[a-d]{1,3}|queen|ümlaut|[0-9]{1,2}", 0..5).prop_map(|words| Some(words.join(" "))),
    ]
}

fn row() -> impl Strategy<Value = Texts> {
    [words(), words(), words()]
}

fn rows() -> impl Strategy<Value = BTreeMap<i64, Texts>> {
    prop::collection::btree_map(1i64..60, row(), 0..50)
}

fn fill(conn: &Connection, rows: &BTreeMap<i64, Texts>) {
    for (id, [title, sort, original]) in rows {
        conn.execute(
            "INSERT INTO metadata_items VALUES (?1,?2,?3,?4)",
            (id, title, sort, original),
        )
        .expect("insert");
    }
}

fn totals(conn: &Connection) -> Vec<u64> {
    let blob: Vec<u8> = conn
        .query_row("SELECT value FROM words_stat WHERE id=0", [], |row| row.get(0))
        .expect("stat");
    varint::list(&blob).expect("numbers")
}

fn document(conn: &Connection, index: &Index, id: i64) -> Document {
    match find(conn, "main", index, &[id]).expect("find").remove(&id) {
        Some(Found::Here(document)) => document,
        other => panic!("{id}: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_document_is_found_again(keeps_text in any::<bool>(), rows in rows(), again in rows()) {
        let conn = library(keeps_text);
        fill(&conn, &rows);
        for (id, [title, ..]) in &again {
            conn.execute("UPDATE metadata_items SET title=?2 WHERE id=?1", (id, title)).expect("update");
        }
        let index = index(&conn);
        let ids: Vec<i64> = (1..60).collect();
        let found = find(&conn, "main", &index, &ids).expect("find");
        for id in ids {
            let here = matches!(found[&id], Found::Here(_));
            prop_assert_eq!(here, rows.contains_key(&id), "{}: {:?}", id, found[&id]);
        }
    }

    #[test]
    fn rows_taken_from_another_index_are_searchable(
        keeps_text in any::<bool>(), ours in rows(), theirs in rows(), gone in prop::collection::btree_set(1i64..60, 0..20)
    ) {
        let (home, result) = (library(keeps_text), library(keeps_text));
        fill(&home, &ours);
        fill(&result, &theirs);
        let index = index(&result);
        let triggers: Vec<String> = result
            .prepare("SELECT name FROM sqlite_schema WHERE type='trigger'").expect("prepare")
            .query_map([], |row| row.get(0)).expect("query").collect::<Result<_, _>>().expect("names");
        let mut edits = Vec::new();
        for id in 1..60 {
            let old = theirs.contains_key(&id).then(|| (document(&result, &index, id), texts(&result, id)));
            let new = (ours.contains_key(&id) && !gone.contains(&id))
                .then(|| (vec![document(&home, &index, id); 3], texts(&home, id)));
            if gone.contains(&id) || new.is_some() {
                edits.push(Edit { id, old, new });
            }
        }
        for trigger in &triggers {
            result.execute_batch(&format!("DROP TRIGGER {trigger}")).expect("drop");
        }
        for edit in &edits {
            result.execute("DELETE FROM metadata_items WHERE id=?1", [edit.id]).expect("delete");
            if let Some((_, text)) = &edit.new {
                result.execute("INSERT INTO metadata_items VALUES (?1,?2,?3,?4)",
                    (edit.id, &text[0], &text[1], &text[2])).expect("insert");
            }
        }
        apply(&result, "main", &index, &edits).expect("apply");
        check(&result);
        // The same rows written by SQLite itself.
        let mut expected = theirs.clone();
        for edit in &edits {
            match &edit.new {
                Some(_) => expected.insert(edit.id, ours[&edit.id].clone()),
                None => expected.remove(&edit.id),
            };
        }
        let whole = library(keeps_text);
        fill(&whole, &expected);
        if !expected.is_empty() {
            prop_assert_eq!(totals(&result), totals(&whole));
        }
        // And it goes on: SQLite writes into it, and merges its segments.
        for id in 100..140 {
            result.execute("INSERT INTO words(docid, title) VALUES (?1, 'queen')", [id]).expect("insert");
            result.execute("INSERT INTO metadata_items(id, title) VALUES (?1, 'queen')", [id]).expect("insert");
        }
        result.execute_batch("INSERT INTO words(words) VALUES('optimize')").expect("optimize");
        check(&result);
    }
}

#[test]
fn a_row_that_the_index_lacks_is_absent_and_one_with_lost_terms_is_broken() {
    let conn = library(false);
    fill(
        &conn,
        &BTreeMap::from([
            (1, [Some("abba gold".into()), None, None]),
            (2, [Some("queen".into()), None, None]),
        ]),
    );
    let index = index(&conn);
    conn.execute_batch(
        "DELETE FROM words_docsize WHERE docid=2; UPDATE words_docsize SET size=x'030000' WHERE docid=1;",
    )
    .expect("damage");
    let found = find(&conn, "main", &index, &[1, 2, 3]).expect("find");
    assert_eq!(found[&1], Found::Broken);
    assert_eq!(found[&2], Found::Absent);
    assert_eq!(found[&3], Found::Absent);
}

#[test]
fn many_terms_make_a_segment_of_many_nodes() {
    let (home, result) = (library(false), library(false));
    let rows = BTreeMap::from_iter((1..400).map(|n| (n, [Some(format!("word{n} shared{} the", n % 7)), None, None])));
    fill(&home, &rows);
    let index = index(&home);
    result.execute_batch("DROP TRIGGER d").expect("drop");
    fill(&result, &rows);
    let edits: Vec<Edit> = rows
        .keys()
        .map(|&id| Edit {
            id,
            old: None,
            new: Some((vec![document(&home, &index, id); 3], texts(&home, id))),
        })
        .collect();
    apply(&result, "main", &index, &edits).expect("apply");
    check(&result);
    let hits: i64 = result
        .query_row(
            "SELECT count(*) FROM words WHERE words MATCH 'word123 OR shared3 OR title:word7'",
            [],
            |row| row.get(0),
        )
        .expect("match");
    let same: i64 = home
        .query_row(
            "SELECT count(*) FROM words WHERE words MATCH 'word123 OR shared3 OR title:word7'",
            [],
            |row| row.get(0),
        )
        .expect("match");
    assert_eq!(hits, same);
    let leaves: i64 = result
        .query_row("SELECT count(*) FROM words_segments", [], |row| row.get(0))
        .expect("count");
    assert!(leaves > 4, "{leaves}");
}

/// A real library, when it is there: every document of both of Plex's own indices adds up, without its tokenizer.
#[test]
fn the_index_that_plex_wrote_is_understood() {
    let Some(databases) = crate::merge::testing::plex_2026() else {
        eprintln!("skipped: the library that a real Plex wrote is not there");
        return;
    };
    let conn = Connection::open(databases.library()).expect("open");
    let schema = Schema::read(&conn, "main").expect("schema");
    for (table, expected) in [("metadata_items", 106), ("tags", 1597)] {
        let ids: Vec<i64> = conn
            .prepare(&format!("SELECT id FROM {table} NOT INDEXED"))
            .expect("prepare")
            .query_map([], |row| row.get(0))
            .expect("query")
            .collect::<Result<_, _>>()
            .expect("ids");
        let indices = Index::all(&conn, "main", table, &schema.tables[table].columns)
            .expect("read")
            .expect("known");
        assert_eq!(indices.len(), 1, "{indices:?}");
        let found = find(&conn, "main", &indices[0], &ids).expect("find");
        let whole = found.values().filter(|found| matches!(found, Found::Here(_))).count();
        let broken: Vec<_> = found
            .iter()
            .filter(|(_, found)| **found == Found::Broken)
            .map(|(id, _)| id)
            .collect();
        assert_eq!((whole, broken), (expected, Vec::new()), "{table}");
    }
}

#[test]
fn terms_that_were_left_behind_do_not_spoil_a_document_whatever_is_asked_for_with_it() {
    let conn = library(false);
    conn.execute_batch(
        "INSERT INTO metadata_items VALUES (1, 'alpha beta', NULL, NULL), (2, 'gamma', NULL, NULL);
         DROP TRIGGER a; DROP TRIGGER c;
         UPDATE metadata_items SET title = 'new words' WHERE id = 1;
         DELETE FROM words WHERE docid = 1;
         INSERT INTO words(docid, title) VALUES (1, 'new words');",
    )
    .expect("an index that keeps old terms of 1");
    let stale: i64 = conn
        .query_row("SELECT count(*) FROM words_segdir", [], |row| row.get(0))
        .expect("segments");
    assert!(stale > 1, "what is old has to lie in a segment of its own");
    let index = index(&conn);
    let alone = document(&conn, &index, 1);
    let both = find(&conn, "main", &index, &[1, 2]).expect("find");
    assert_eq!(both[&1], Found::Here(alone));
    assert!(matches!(both[&2], Found::Here(_)), "{both:?}");
}
