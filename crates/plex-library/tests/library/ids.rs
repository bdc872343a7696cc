use std::fs;

use plex_library::{Databases, Kind, Which, ids};
use rusqlite::Connection;

use crate::support;

#[test]
fn rows_of_worker_and_home_never_meet() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(&tmp.path().join("home"));
    let copies: Vec<Databases> = (1..=2)
        .map(|worker| {
            let copy = Databases::at(tmp.path().join(format!("worker-{worker}")));
            fs::create_dir(copy.dir()).unwrap();
            for which in Which::BOTH {
                fs::copy(home.path(which), copy.path(which)).unwrap();
            }
            copy
        })
        .collect();
    let strides: Vec<_> = copies
        .iter()
        .zip(1..)
        .map(|(copy, worker)| ids::keep_apart(copy, worker).unwrap())
        .collect();
    let insert = |databases: &Databases, which: Which, sql: &str| {
        let db = Connection::open(databases.path(which)).unwrap();
        db.execute(sql, []).unwrap();
        db.last_insert_rowid()
    };
    let item = "INSERT INTO metadata_items(title) VALUES('new')";
    assert_eq!(insert(&home, Which::Library, item), 9);
    assert_eq!(insert(&copies[0], Which::Library, item), 1_000_009);
    assert_eq!(insert(&copies[1], Which::Library, item), 2_000_009);
    // A table that never had a row, in either file.
    let view = "INSERT INTO metadata_item_views(guid) VALUES('x')";
    assert_eq!(insert(&home, Which::Library, view), 1);
    assert_eq!(insert(&copies[0], Which::Library, view), 1_000_001);
    assert_eq!(
        insert(&copies[0], Which::Blobs, "INSERT INTO blobs(blob) VALUES(NULL)"),
        1_000_004
    );

    assert_eq!(
        strides[0].tables[&Which::Library]["metadata_items"],
        ids::Moved {
            base: 8,
            from: 1_000_008
        }
    );
    assert_eq!(ids::check(&strides[0], &home).unwrap(), []);
    insert(&home, Which::Library, "INSERT INTO media_parts(id) VALUES(1000007)");
    let crowded = ids::check(&strides[0], &home).unwrap();
    assert_eq!(crowded.len(), 1);
    assert_eq!((crowded[0].table.as_str(), crowded[0].home), ("media_parts", 1_000_007));
    for copy in &copies {
        assert_eq!(support::names(copy.dir()).len(), 2, "the change is in the file itself");
    }
}

#[test]
fn a_full_table_is_refused_by_name_and_a_used_copy_is_not_touched() {
    let tmp = tempfile::tempdir().unwrap();
    let copy = support::plex_pair(tmp.path());
    let db = Connection::open(copy.library()).unwrap();
    db.execute(
        "UPDATE sqlite_sequence SET seq = 2147483000 WHERE name = 'media_parts'",
        [],
    )
    .unwrap();
    let error = ids::keep_apart(&copy, 1).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse, "{error}");
    drop(db);
    let error = ids::keep_apart(&copy, 1).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(
        error.to_string().contains("media_parts (last id 2147483000)"),
        "{error}"
    );
    let db = Connection::open(copy.library()).unwrap();
    let seq: i64 = db
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = 'metadata_items'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(seq, 8);
}
