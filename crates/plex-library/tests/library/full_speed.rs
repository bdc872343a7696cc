//! Snapshots, archives and deltas of a library that a server writes to without a pause: each is one moment, and the server
//! never finds anything locked. With both schemas, in three page sizes, and on a library that a real server made.

use plex_library::snapshot::{self, Options, Since};
use plex_library::verify::{self, Level};
use plex_library::{Databases, archive, delta, export, open};
use sim::fixture::Builder;
use sim::schema::Version;

use crate::support;
use crate::writer::{Writer, write_without_a_pause};

/// Ids of the blobs that the writer makes; nobody else's are so high.
const MARK: i64 = 1_000_000;

#[test]
fn nobody_waits_and_every_copy_is_one_moment() {
    for version in [Version::Plex2026, Version::Plex2020] {
        for page_size in [1024, 4096, 16384] {
            let tmp = tempfile::tempdir().unwrap();
            let home = Databases::at(tmp.path().join("Databases"));
            Builder::new(home.dir())
                .version(version)
                .page_size(page_size)
                .music("Music", "/music", 10, 4, 10)
                .household(60, 20, 2)
                .sonic(0.5)
                .build()
                .unwrap();
            copies_beside_a_writer(&home, &format!("{version:?} in pages of {page_size}"));
        }
    }
}

#[test]
fn nobody_waits_with_a_library_of_a_real_server() {
    let tmp = tempfile::tempdir().unwrap();
    if let Some(home) = support::real_copy(
        "nobody_waits_with_a_library_of_a_real_server",
        &tmp.path().join("Databases"),
    ) {
        copies_beside_a_writer(&home, "the real library");
    }
}

fn copies_beside_a_writer(home: &Databases, what: &str) {
    let tmp = tempfile::tempdir().unwrap();
    let dir = |name: &str| tmp.path().join(name);
    let writer = Writer::start_as("full_speed::writes_as_a_server_does", home);
    snapshot::take(home, &dir("first"), &()).unwrap();
    let options = Options {
        packed: Some(&dir("packed")),
        since: Some(Since {
            index: &dir("first"),
            out: &dir("since"),
        }),
        ..Options::default()
    };
    snapshot::take_with(home, &dir("second"), &options, &()).unwrap();
    export::write(home, None, &dir("archive"), &Options::default(), &()).unwrap();
    delta::make(&dir("second"), home, &dir("delta"), &()).unwrap();
    let seen = writer.stop();
    assert_eq!(seen.locked_out, 0, "{what}: {seen:?}");
    assert!(seen.commits > 10, "{what}: {seen:?}");

    delta::apply(&dir("first"), &dir("since"), &dir("again"), &()).unwrap();
    delta::apply(&dir("second"), &dir("delta"), &dir("later"), &()).unwrap();
    archive::unpack(&dir("archive"), &dir("unpacked")).unwrap();
    let unpacked = dir("unpacked").join("Plug-in Support/Databases");
    let mut before = 0;
    for copy in [dir("first"), dir("second"), dir("again"), unpacked, dir("later")] {
        let rows = assert_one_moment(&Databases::at(&copy), what);
        assert!(rows >= before, "{what}: later copies have more: {rows} after {before}");
        before = rows;
    }
}

/// How many rows of the writer are in a copy, after everything that has to hold.
fn assert_one_moment(copy: &Databases, what: &str) -> i64 {
    let verified = verify::verify(copy.dir(), Level::Full).unwrap();
    assert!(
        verified.ok,
        "{what}: {}: {:#?}",
        copy.dir().display(),
        verified.problems
    );
    let db = open::pair(copy).unwrap();
    let ask = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let without_owner = ask(&format!(
        "SELECT count(*) FROM blobs.blobs WHERE linked_id >= {MARK}
             AND linked_id - {MARK} NOT IN (SELECT bytes FROM statistics_bandwidth WHERE device_id = {MARK})"
    ));
    assert_eq!(without_owner, 0, "{what}: blobs are fixed first");
    // Each commit has both of its rows or none.
    let rows = ask(&format!(
        "SELECT count(*) FROM statistics_bandwidth WHERE device_id = {MARK}"
    ));
    let twins = ask(&format!(
        "SELECT count(*) FROM statistics_media WHERE device_id = {MARK}"
    ));
    assert_eq!(rows, twins, "{what}: a commit was torn");
    rows
}

#[test]
fn writes_as_a_server_does() {
    write_without_a_pause(|library, blobs, number| {
        let number = number.cast_signed();
        library
            .execute_batch(&format!(
                "BEGIN;
                 INSERT INTO statistics_bandwidth(account_id, device_id, timespan, at, lan, bytes)
                     VALUES(1, {MARK}, 1, {number}, 0, {number});
                 UPDATE media_parts SET updated_at = {number}
                     WHERE id = (SELECT min(id) + {number} * 7919 % (max(id) - min(id) + 1) FROM media_parts);
                 INSERT INTO statistics_media(account_id, device_id, timespan, at, metadata_type, count, duration)
                     VALUES(1, {MARK}, 1, {number}, 10, 1, 1);
                 COMMIT;"
            ))
            .unwrap();
        blobs
            .execute(
                "INSERT INTO blobs(blob, linked_type, linked_id, created_at) VALUES(zeroblob(3000), 'written', ?1, 0)",
                [MARK + number],
            )
            .unwrap();
    });
}
