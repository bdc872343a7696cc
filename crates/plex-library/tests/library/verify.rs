use std::fs;
use std::io::Write as _;
use std::path::Path;

use plex_library::verify::{self, Finding, FindingKind, Level, Verification};
use plex_library::{Databases, Kind, Which};
use rusqlite::Connection;

use crate::support::{self, tree};
use crate::writer::Writer;

fn full(databases: &Databases) -> Verification {
    verify::verify(databases.dir(), Level::Full).unwrap()
}

fn kinds(verification: &Verification) -> Vec<(Which, FindingKind)> {
    let mut kinds: Vec<_> = verification
        .problems
        .iter()
        .map(|finding| (finding.database, finding.kind))
        .collect();
    kinds.dedup();
    kinds
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_real_library_is_whole_and_is_not_touched() {
    let Some(real) = support::real("the_real_library_is_whole_and_is_not_touched") else {
        return;
    };
    let before = tree(&real);
    for level in [Level::Quick, Level::Full] {
        let found = verify::verify(&real, level).unwrap();
        assert!(found.ok, "{:#?}", found.problems);
        assert_eq!(found.unchecked, []);
    }
    assert_eq!(tree(&real), before);
}

#[test]
fn a_fresh_pair_is_whole_in_any_page_size_at_rest_beside_a_server_and_after_its_death() {
    for page_size in [1024, 4096, 16384] {
        let tmp = tempfile::tempdir().unwrap();
        let home = support::plex_pair_of(tmp.path(), page_size);
        let found = full(&home);
        assert!(found.ok, "{:#?}", found.problems);
        let writer = Writer::start(&home);
        for level in [Level::Quick, Level::Full] {
            let found = verify::verify(home.dir(), level).unwrap();
            assert!(found.ok, "{:#?}", found.problems);
        }
        writer.kill();
        let before = tree(home.dir());
        let found = full(&home);
        assert!(found.ok, "{:#?}", found.problems);
        assert_eq!(tree(home.dir()), before);
    }
}

#[test]
fn files_that_are_no_databases_are_problems_and_not_panics() {
    type Spoil<'a> = &'a dyn Fn(&Databases);
    let cut = |path: &Path, bytes: u64| {
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(bytes)
            .unwrap()
    };
    let cases: [(&str, Spoil<'_>, Which, FindingKind); 9] = [
        (
            "no blobs",
            &|home| fs::remove_file(home.blobs()).unwrap(),
            Which::Blobs,
            FindingKind::Missing,
        ),
        (
            "empty library",
            &|home| fs::write(home.library(), "").unwrap(),
            Which::Library,
            FindingKind::Header,
        ),
        (
            "empty blobs",
            &|home| fs::write(home.blobs(), "").unwrap(),
            Which::Blobs,
            FindingKind::Header,
        ),
        (
            "garbage",
            &|home| fs::write(home.library(), [0xa5; 9000]).unwrap(),
            Which::Library,
            FindingKind::Header,
        ),
        (
            "magic alone",
            &|home| fs::write(home.library(), b"SQLite format 3\0").unwrap(),
            Which::Library,
            FindingKind::Header,
        ),
        (
            "cut",
            &|home| cut(&home.library(), 10_000),
            Which::Library,
            FindingKind::Truncated,
        ),
        (
            "cut in a page",
            &|home| cut(&home.library(), 10_100),
            Which::Library,
            FindingKind::Truncated,
        ),
        (
            "zeros",
            &|home| fs::write(home.blobs(), [0; 50_000]).unwrap(),
            Which::Blobs,
            FindingKind::Header,
        ),
        (
            "another program's",
            &|home| {
                fs::remove_file(home.library()).unwrap();
                Connection::open(home.library())
                    .unwrap()
                    .execute_batch("CREATE TABLE t(x)")
                    .unwrap();
            },
            Which::Library,
            FindingKind::Schema,
        ),
    ];
    for (name, spoil, which, kind) in cases {
        let tmp = tempfile::tempdir().unwrap();
        let home = support::plex_pair(tmp.path());
        spoil(&home);
        let found = full(&home);
        assert!(!found.ok, "{name}");
        assert!(kinds(&found).contains(&(which, kind)), "{name}: {:#?}", found.problems);
    }
    let tmp = tempfile::tempdir().unwrap();
    assert_eq!(
        verify::verify(tmp.path(), Level::Full).unwrap_err().kind(),
        Kind::NotALibrary
    );
}

#[test]
fn a_swapped_pair_and_blobs_of_another_day_are_no_pair() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(tmp.path());
    let aside = tmp.path().join("aside");
    fs::rename(home.library(), &aside).unwrap();
    fs::rename(home.blobs(), home.library()).unwrap();
    fs::rename(&aside, home.blobs()).unwrap();
    assert_eq!(kinds(&full(&home)), [(Which::Blobs, FindingKind::Pair)]);

    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(tmp.path());
    let sql = "INSERT INTO blobs(blob, linked_type, linked_id, blob_type) VALUES(x'00', 'metadata_item', 5000, 7)";
    Connection::open(home.blobs()).unwrap().execute_batch(sql).unwrap();
    assert_eq!(kinds(&full(&home)), [(Which::Blobs, FindingKind::Pair)]);

    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(tmp.path());
    Connection::open(home.blobs())
        .unwrap()
        .execute_batch("INSERT INTO schema_migrations VALUES('209901010000')")
        .unwrap();
    assert_eq!(kinds(&full(&home)), [(Which::Blobs, FindingKind::Pair)]);
}

#[test]
fn a_library_of_a_later_day_than_its_blobs_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    sim::fixture::Builder::new(tmp.path())
        .music("Music", "/music", 2, 2, 5)
        .sonic(0.5)
        .build()
        .unwrap();
    let home = Databases::at(tmp.path());
    let told = |home: &Databases| {
        full(home)
            .drift
            .iter()
            .filter(|drift| drift.message.contains("no vector"))
            .count()
    };
    assert_eq!(told(&home), 0);
    Connection::open(home.blobs())
        .unwrap()
        .execute_batch("DELETE FROM blobs WHERE blob_type = 7 AND linked_id > (SELECT min(linked_id) FROM blobs)")
        .unwrap();
    assert!(full(&home).ok);
    assert_eq!(told(&home), 1);
}

#[test]
fn what_healthy_servers_have_is_drift() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(tmp.path());
    Connection::open(home.library())
        .unwrap()
        .execute_batch(
            "DELETE FROM media_parts WHERE id = 5; DELETE FROM metadata_items WHERE id = 3;
             INSERT INTO media_streams(media_part_id) VALUES(77);",
        )
        .unwrap();
    let found = full(&home);
    assert!(found.ok, "{:#?}", found.problems);
    assert!(
        found.drift.iter().any(|drift| drift.kind == FindingKind::Pair),
        "{:#?}",
        found.drift
    );
    assert!(
        found.drift.iter().any(|drift| drift.kind == FindingKind::Reference),
        "{:#?}",
        found.drift
    );
}

#[test]
fn many_loose_ends_are_lost_rows() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(tmp.path());
    let sql = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
               INSERT INTO media_parts(media_item_id, file) SELECT 900 + i, 'x' FROM n";
    Connection::open(home.library()).unwrap().execute_batch(sql).unwrap();
    assert_eq!(kinds(&full(&home)), [(Which::Library, FindingKind::Reference)]);
}

#[test]
fn a_broken_log_is_a_problem_and_a_torn_end_is_not() {
    let tmp = tempfile::tempdir().unwrap();
    let server = support::plex_pair(&tmp.path().join("server"));
    let home = Databases::at(tmp.path().join("home"));
    fs::create_dir(home.dir()).unwrap();
    // Bigger than the blobs, so that the log of one cannot happen to fit the other.
    support::open(&server.library(), 1024)
        .execute_batch(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO metadata_item_settings(guid) SELECT hex(randomblob(40)) FROM n",
        )
        .unwrap();
    // What a server leaves that is killed after twenty transactions: its files as they lie while it has them open.
    for which in Which::BOTH {
        let db = support::open(&server.path(which), 1024);
        db.execute_batch("PRAGMA wal_autocheckpoint=0").unwrap();
        for number in 0..20 {
            db.execute("INSERT INTO metadata_item_views(guid) VALUES(?1)", [number])
                .unwrap();
        }
        for of in [|path: &Path| path.to_owned(), plex_library::paths::wal_of] {
            fs::copy(of(&server.path(which)), of(&home.path(which))).unwrap();
        }
    }
    let log = plex_library::paths::wal_of(&home.library());
    let whole = fs::read(&log).unwrap();
    for at in [3, 9, 40, 60, whole.len() / 2] {
        flip(&log, at);
        let found = full(&home);
        assert!(
            kinds(&found).contains(&(Which::Library, FindingKind::Log)),
            "byte {at}: {:#?}",
            found.problems
        );
        fs::write(&log, &whole).unwrap();
    }
    // The last frame half written, as a power cut leaves it.
    fs::write(&log, &whole[..whole.len() - 700]).unwrap();
    assert!(full(&home).ok);
    // The log of another database.
    fs::write(&log, fs::read(plex_library::paths::wal_of(&home.blobs())).unwrap()).unwrap();
    assert!(!full(&home).ok);
}

#[test]
fn an_index_that_lacks_a_row_or_is_out_of_order_is_found_through_the_right_order_alone() {
    let Some(home) = support::real_copy("an_index_out_of_order", &support::keep_dir("index")) else {
        return;
    };
    let bytes = fs::read(home.library()).unwrap();
    // The title as it stands in the index and in the table: change the one in the index only.
    let places: Vec<usize> = memchr_all(&bytes, b"Breaking Bad");
    let mut caught = 0;
    for at in &places {
        fs::write(home.library(), &bytes).unwrap();
        flip(&home.library(), at + 2);
        let found = full(&home);
        if kinds(&found)
            .iter()
            .any(|(_, kind)| matches!(kind, FindingKind::Content | FindingKind::Order))
        {
            caught += 1;
        }
    }
    assert!(
        caught >= 3,
        "title, title_sort, icu index, other indices: {caught} of {}",
        places.len()
    );
    fs::remove_dir_all(home.dir()).unwrap();
}

fn memchr_all(haystack: &[u8], needle: &[u8]) -> Vec<usize> {
    (0..haystack.len() - needle.len())
        .filter(|&at| haystack[at..].starts_with(needle))
        .collect()
}

#[test]
fn a_broken_blob_is_found_by_its_own_checksum() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::plex_pair(tmp.path());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"0.1,0.2,0.3").unwrap();
    let mut blob = gzip.finish().unwrap();
    let db = Connection::open(home.blobs()).unwrap();
    let sql = "INSERT INTO blobs(id, blob, linked_type, linked_id, blob_type) VALUES(?1, ?2, 'metadata_item', 5, ?1)";
    db.execute(sql, (70, &blob)).unwrap();
    blob[14] ^= 1;
    db.execute(sql, (71, &blob)).unwrap();
    drop(db);
    let found = full(&home);
    assert_eq!(found.problems.len(), 1, "{:#?}", found.problems);
    assert_eq!(found.problems[0].object, "blob 71");
}

/// Flips single bytes all over the files and counts what is noticed; nothing may panic, and every flip in the parts of
/// a file that hold its structure has to be found.
#[test]
fn random_flips_never_panic_and_structure_is_always_found() {
    let Some(home) = support::real_copy("random_flips", &support::keep_dir("flips")) else {
        return;
    };
    let whole = fs::read(home.library()).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let rounds = 60;
    let mut noticed = 0;
    for _ in 0..rounds {
        let at = usize::try_from(random() % whole.len() as u64).unwrap();
        flip(&home.library(), at);
        let found = full(&home);
        noticed += u32::from(!found.ok);
        fs::write(home.library(), &whole).unwrap();
    }
    println!("{noticed} of {rounds} random flips were noticed without a manifest");
    for page in [1, 2, 3, 50, 400, 900, 1300] {
        // The kind of the page, the number of its cells, and its first cell's place.
        for byte in [0, 3, 8] {
            let at = (page - 1) * 1024 + if page == 1 { 100 } else { 0 } + byte;
            let kind = whole[at - byte];
            if !matches!(kind, 2 | 5 | 10 | 13) {
                continue;
            }
            flip(&home.library(), at);
            let found = full(&home);
            assert!(!found.ok, "page {page}, byte {byte}");
            fs::write(home.library(), &whole).unwrap();
        }
    }
    fs::remove_dir_all(home.dir()).unwrap();
}

#[test]
fn a_file_of_nonsense_gives_a_short_list() {
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(tmp.path(), 1024, 3000);
    let mut bytes = fs::read(home.library()).unwrap();
    bytes[200 * 1024..].fill(0);
    fs::write(home.library(), bytes).unwrap();
    let found = full(&home);
    assert!(!found.ok);
    assert!(found.problems.len() < 300, "{}", found.problems.len());
    let all: Vec<&Finding> = found.problems.iter().filter(|finding| finding.object == "…").collect();
    assert!(!all.is_empty());
}
