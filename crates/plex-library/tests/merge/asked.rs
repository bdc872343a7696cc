//! A server whose order of titles this program does not have: home's own program is asked for it, and what only Plex's
//! collation can write is in the result with home's ids. Whatever goes wrong with that program, the merge is the one without it.

use std::cmp::Ordering;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plex_library::Databases;
use plex_library::merge::{CatchUp, Options, PlexCollation, Report, Wish, carry_back, merge};
use rusqlite::Connection;
use sim::fixture::edit::{self, Field};
use sim::fixture::{Builder, Fixture};
use sim::store::{Order, Pair};

use crate::support::{NOW, Trio, assert_same, databases, dump, has_its_words, one, open, rows};

/// Order of the servers of these tests: not ours.
const THEIRS: Order = Order::LettersFirst;

/// What a program does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It ends without an answer, at this question.
    Ends(usize),
    /// It gives fewer answers than there were questions, at this one.
    Few(usize),
}

/// A server's own program.
#[derive(Debug)]
struct Program {
    sqlite: Mutex<Connection>,
    fault: Fault,
    asked: AtomicUsize,
    /// The file that says when this question was reached; the answer never comes.
    hangs: Option<(usize, std::path::PathBuf)>,
}

impl Program {
    fn of(order: Order, fault: Fault) -> Arc<Self> {
        let sqlite = Connection::open_in_memory().expect("memory");
        order.register(&sqlite).expect("collations");
        Arc::new(Self {
            sqlite: Mutex::new(sqlite),
            fault,
            asked: AtomicUsize::new(0),
            hangs: None,
        })
    }

    fn questions(&self) -> usize {
        self.asked.load(Atomic::Relaxed)
    }
}

impl PlexCollation for Program {
    fn compare(&self, collation: &str, pairs: &[(&str, &str)]) -> Result<Vec<Ordering>, String> {
        let question = self.asked.fetch_add(1, Atomic::Relaxed);
        if let Some((at, file)) = &self.hangs
            && *at == question
        {
            std::fs::write(file, "").expect("mark");
            loop {
                std::thread::park();
            }
        }
        if matches!(self.fault, Fault::Ends(at) if question >= at) {
            return Err("it has ended".into());
        }
        let sqlite = self.sqlite.lock().expect("lock");
        let mut statement = sqlite
            .prepare_cached(&format!(
                "SELECT (?1 > ?2 COLLATE \"{collation}\") - (?1 < ?2 COLLATE \"{collation}\")"
            ))
            .map_err(|error| error.to_string())?;
        let mut answers: Vec<Ordering> = pairs
            .iter()
            .map(|pair| {
                statement
                    .query_row(*pair, |row| row.get::<_, i64>(0))
                    .expect("answer")
                    .cmp(&0)
            })
            .collect();
        if matches!(self.fault, Fault::Few(at) if question >= at) {
            answers.pop();
        }
        Ok(answers)
    }
}

/// A connection of the server whose order it is.
fn server(fixture: &Fixture) -> Pair {
    let pair = fixture.open().expect("open");
    THEIRS.register(&pair.library).expect("collations");
    pair
}

fn at_home<T>(fixture: &Fixture, act: impl FnOnce(&Pair) -> T) -> T {
    let pair = server(fixture);
    let made = act(&pair);
    for db in [&pair.library, &pair.blobs] {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .expect("checkpoint");
    }
    made
}

/// Three libraries whose index of titles is in the order of that server.
fn trio() -> Trio {
    let trio = Trio::new();
    for fixture in [&trio.base, &trio.mine, &trio.theirs] {
        at_home(fixture, |pair| {
            pair.library
                .execute_batch(
                    "UPDATE metadata_items SET title = '7 Days', title_sort = '7 Days' WHERE id = (SELECT min(id) FROM metadata_items
                       WHERE metadata_type = 1);
                     REINDEX index_title_sort_icu",
                )
                .expect("reindex");
        });
    }
    trio
}

fn options(program: &Arc<Program>) -> Options {
    Options {
        plex: Some(Arc::<Program>::clone(program)),
        ..Options::default()
    }
}

fn merge_with(trio: &Trio, options: &Options) -> Report {
    merge(
        &databases(&trio.base),
        &databases(&trio.mine),
        &databases(&trio.theirs),
        options,
    )
    .expect("merged")
}

/// What the household did that only Plex's collation can write.
struct Done {
    playlist: i64,
    collection: i64,
    track: i64,
    renamed: i64,
    deleted: i64,
}

/// Another title, by which it is sorted too.
fn rename(home: &Pair, item: i64, title: &str) {
    edit::lock_field(home, item, Field::Title, title, NOW).expect("rename");
    let sorted = "UPDATE metadata_items SET title_sort = ?2 WHERE id = ?1";
    home.library.execute(sorted, (item, title)).expect("sorted");
}

fn household(trio: &Trio) -> Done {
    let [music, films] = [0, 2].map(|n| trio.base.sections[n].clone());
    let done = at_home(&trio.mine, |home| Done {
        playlist: edit::add_playlist(home, 1, "9 Lives", &music.leaves[..3], NOW).expect("playlist"),
        collection: edit::add_collection(home, films.id, "Zürich", &films.leaves[3..5], NOW).expect("collection"),
        track: edit::add_track(home, music.id, "/music/10 Years/Älter (2020)/01 - 99 Songs.flac", NOW)
            .expect("add")
            .track,
        renamed: {
            rename(home, films.leaves[5], "12 Names");
            films.leaves[5]
        },
        deleted: {
            edit::delete_item(home, films.leaves[6], NOW).expect("delete");
            films.leaves[6]
        },
    });
    at_home(&trio.theirs, |worker| {
        let file = "/music/Worker/Album/01 - 3 Songs.flac";
        let new = edit::add_track(worker, music.id, file, NOW).expect("add");
        edit::analyse_track(worker, new.track, NOW).expect("analyse");
    });
    done
}

/// The index of titles has the right rows in the order of that server, and only of that one.
fn in_order(dir: &Path) {
    for beside in ["-wal", "-shm", "-journal"] {
        assert!(
            !dir.join(format!("{}{beside}", plex_library::LIBRARY_DB)).exists(),
            "{beside}"
        );
    }
    let conn = open(dir);
    let check = || rows(&conn, "PRAGMA integrity_check('metadata_items')", ());
    assert_ne!(check(), ["ok"], "the order must not be the usual one");
    THEIRS.register(&conn).expect("collations");
    assert_eq!(check(), ["ok"]);
    let entries = |by: &str| rows(&conn, &format!("SELECT count(title_sort) FROM metadata_items {by}"), ());
    assert_eq!(entries("INDEXED BY index_title_sort_icu"), entries("NOT INDEXED"));
    has_its_words(dir).unwrap_or_else(|error| panic!("{error}"));
}

fn schema(fixture: &Fixture) -> Vec<String> {
    rows(
        &open(&fixture.databases_dir),
        "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2",
        (),
    )
}

fn has(fixture: &Fixture, item: i64) -> bool {
    let count = one(
        fixture,
        "SELECT count(*) FROM metadata_items NOT INDEXED WHERE id = ?1",
        [item],
    );
    count == "1"
}

fn title(fixture: &Fixture, item: i64) -> String {
    one(
        fixture,
        "SELECT title || '|' || title_sort FROM metadata_items WHERE id = ?1",
        [item],
    )
}

#[test]
fn what_only_plexs_order_can_place_is_in_the_result_with_homes_ids() {
    let trio = trio();
    let done = household(&trio);
    let before = schema(&trio.theirs);
    let program = Program::of(THEIRS, Fault::None);
    let report = merge_with(&trio, &options(&program));
    assert!(report.kept_aside.is_empty() && report.to_make.is_empty(), "{report:?}");
    assert_eq!(report.unasked, None);
    assert!(report.placed_by_plex >= 6, "{report:?}");
    in_order(&trio.theirs.databases_dir);
    assert_eq!(schema(&trio.theirs), before);
    for item in [done.playlist, done.collection, done.track] {
        assert!(has(&trio.theirs, item), "{item}");
        assert_eq!(title(&trio.theirs, item), title(&trio.mine, item));
    }
    assert!(!has(&trio.theirs, done.deleted));
    assert_eq!(title(&trio.theirs, done.renamed), "12 Names|12 Names");
    let entries = "SELECT count(*) FROM play_queue_generators WHERE playlist_id = ?1";
    assert_eq!(one(&trio.theirs, entries, [done.playlist]), "3");
    // Plex finds what was written by the order of its index.
    let conn = open(&trio.theirs.databases_dir);
    THEIRS.register(&conn).expect("collations");
    let found =
        "SELECT id FROM metadata_items INDEXED BY index_title_sort_icu WHERE title_sort = '9 Lives' COLLATE icu_root";
    assert_eq!(rows(&conn, found, ()), [done.playlist.to_string()]);
    drop(conn);

    let once = dump(&trio.theirs);
    let again = merge_with(&trio, &options(&program));
    assert_same(&once, &dump(&trio.theirs), &again);
    assert!(again.changed_nothing() && again.placed_by_plex == 0, "{again:?}");
}

#[test]
fn an_order_that_proves_itself_here_is_not_asked_for() {
    let trio = Trio::new();
    let film = trio.base.sections[2].leaves[0];
    let playlist = trio.home(|home| edit::add_playlist(home, 1, "9 Lives", &[film], NOW).expect("playlist"));
    let program = Program::of(Order::Root, Fault::None);
    let report = merge_with(&trio, &options(&program));
    assert!(has(&trio.theirs, playlist));
    assert_eq!((program.questions(), report.placed_by_plex), (0, 0));
}

#[test]
fn a_collation_that_nobody_has_outside_of_plex_is_asked_for_by_its_name() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let base = Builder::new(dir.path().join("base"))
        .version(sim::schema::Version::Plex2020)
        .movies("Films", "/films", 4)
        .build()
        .expect("fixture");
    let mine = base.copy(&dir.path().join("mine")).expect("copy");
    let theirs = base.copy(&dir.path().join("theirs")).expect("copy");
    plex_library::ids::keep_apart(&databases(&theirs), 1).expect("apart");
    let trio = Trio {
        dir,
        base,
        mine,
        theirs,
    };
    let films = trio.base.sections[0].leaves.clone();
    let playlist = trio.home(|home| edit::add_playlist(home, 1, "9 Lives", &films[..1], NOW).expect("playlist"));
    let report = merge_with(&trio, &options(&Program::of(Order::Root, Fault::None)));
    assert!(report.placed_by_plex > 0 && report.kept_aside.is_empty(), "{report:?}");
    assert!(has(&trio.theirs, playlist));
    crate::support::whole(&trio.theirs.databases_dir);
}

#[test]
fn whatever_goes_wrong_with_the_program_the_merge_is_the_one_without_it() {
    let trio = trio();
    let done = household(&trio);
    let pristine = trio.theirs.copy(&trio.dir.path().join("pristine")).expect("copy");
    let well = Program::of(THEIRS, Fault::None);
    merge_with(&trio, &options(&well));
    let (right, all) = (dump(&trio.theirs), well.questions());
    drop(pristine.copy(&trio.theirs.databases_dir).expect("copy"));
    let without = merge_with(&trio, &Options::default());
    let wanted = dump(&trio.theirs);
    assert!(
        without
            .to_make
            .iter()
            .any(|wish| matches!(wish, Wish::Playlist { id, .. } if *id == done.playlist))
    );
    assert_ne!(wanted, right);

    // The walks over both indices are the first questions, a title's place several each of those after it.
    assert!(all > 12, "{all} questions");
    let faults = [0, 1, 2, 3, all / 2, all - 1]
        .map(Fault::Ends)
        .into_iter()
        .chain([0, 2, all - 1].map(Fault::Few));
    let programs = faults
        .map(|fault| Program::of(THEIRS, fault))
        .chain([Program::of(Order::Root, Fault::None)]);
    for program in programs {
        drop(pristine.copy(&trio.theirs.databases_dir).expect("copy"));
        let mut report = merge_with(&trio, &options(&program));
        let why = report.unasked.take().expect("it says why");
        assert!(!why.is_empty(), "{:?}", program.fault);
        assert_eq!(report.placed_by_plex, 0);
        assert_same(&wanted, &dump(&trio.theirs), &report);
        assert_eq!(report.to_make, without.to_make);
        in_order(&trio.theirs.databases_dir);
    }
}

#[test]
fn catching_up_asks_too_and_goes_on_without_an_answer() {
    for fault_at_the_end in [Fault::None, Fault::Ends(0)] {
        let trio = trio();
        household(&trio);
        merge_with(&trio, &options(&Program::of(THEIRS, Fault::None)));
        let merged = trio.mine.copy(&trio.dir.path().join("merged")).expect("copy");
        let [music, films] = [0, 2].map(|n| trio.base.sections[n].leaves.clone());
        let home = server(&trio.mine);
        let beside = edit::add_playlist(&home, 1, "11 Beside", &music[..2], NOW).expect("playlist");
        let begun = CatchUp::begin(
            &databases(&merged),
            &databases(&trio.mine),
            &trio.dir.path().join("copy"),
            &databases(&trio.theirs),
            &options(&Program::of(THEIRS, Fault::None)),
            &(),
        )
        .expect("begun");
        assert!(begun.report.placed_by_plex > 0, "{:?}", begun.report);
        let last = edit::add_playlist(&home, 1, "8 Last", &films[..1], NOW).expect("playlist");
        edit::delete_item(&home, films[1], NOW).expect("delete");
        drop(home);
        let program = Program::of(THEIRS, fault_at_the_end);
        let caught = begun
            .end(&databases(&trio.mine), &databases(&trio.theirs), &options(&program))
            .expect("caught up");
        assert!(caught.is_narrow && caught.lost.is_empty(), "{caught:?}");
        assert!(has(&trio.theirs, beside));
        in_order(&trio.theirs.databases_dir);
        let is_well = fault_at_the_end == Fault::None;
        assert_eq!(has(&trio.theirs, last), is_well);
        assert_eq!(!has(&trio.theirs, films[1]), is_well);
        assert_eq!(caught.report.unasked.is_none(), is_well, "{:?}", caught.report);
        assert_eq!(caught.report.to_make.is_empty(), is_well, "{:?}", caught.report);
    }
}

#[test]
fn the_way_back_asks_too() {
    let trio = trio();
    let film = trio.base.sections[2].leaves[2];
    let playlist = at_home(&trio.mine, |home| {
        rename(home, film, "12 Names");
        edit::add_playlist(home, 1, "9 Lives", &[film], NOW).expect("playlist")
    });
    let report = carry_back(
        &databases(&trio.base),
        &databases(&trio.mine),
        &databases(&trio.theirs),
        &options(&Program::of(THEIRS, Fault::None)),
    )
    .expect("carried back");
    assert!(report.kept_aside.is_empty() && report.placed_by_plex > 0, "{report:?}");
    assert!(has(&trio.theirs, playlist));
    assert_eq!(title(&trio.theirs, film), "12 Names|12 Names");
    in_order(&trio.theirs.databases_dir);
}

const DIR: &str = "PLEXBURST_TEST_ASKED_IN";
const AT: &str = "PLEXBURST_TEST_ASKED_AT";

/// Not a test by itself: what [`killed_while_it_asks_it_is_the_old_one`] runs in a process of its own.
#[test]
#[ignore = "run by another test"]
fn victim() {
    let (Some(dir), Ok(at)) = (std::env::var_os(DIR).map(std::path::PathBuf::from), std::env::var(AT)) else {
        return;
    };
    let program = Program::of(THEIRS, Fault::None);
    let mut program = Arc::into_inner(program).expect("the only one");
    program.hangs = Some((at.parse().expect("number"), dir.join("reached")));
    let [base, mine, theirs] = ["base", "mine", "theirs"].map(|name| Databases::at(dir.join(name)));
    merge(&base, &mine, &theirs, &options(&Arc::new(program))).expect("merged");
}

#[test]
fn killed_while_it_asks_it_is_the_old_one() {
    let trio = trio();
    household(&trio);
    let before = dump(&trio.theirs);
    let pristine = trio.theirs.copy(&trio.dir.path().join("pristine")).expect("copy");
    let well = Program::of(THEIRS, Fault::None);
    merge_with(&trio, &options(&well));
    let (after, all) = (dump(&trio.theirs), well.questions());
    let reached = trio.dir.path().join("reached");
    for at in [0, all / 2, all - 1] {
        drop(pristine.copy(&trio.theirs.databases_dir).expect("copy"));
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "asked::victim", "--ignored"])
            .env(DIR, trio.dir.path())
            .env(AT, at.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn");
        let since = Instant::now();
        while !reached.exists() {
            assert!(
                since.elapsed() < Duration::from_secs(300),
                "question {at} was not reached"
            );
            assert!(
                child.try_wait().expect("child").is_none(),
                "it ended before question {at}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
        std::fs::remove_file(&reached).expect("mark");
        assert_eq!(dump(&trio.theirs), before, "killed at question {at}");
        let report = merge_with(&trio, &options(&Program::of(THEIRS, Fault::None)));
        assert_same(&after, &dump(&trio.theirs), &report);
        in_order(&trio.theirs.databases_dir);
    }
}
