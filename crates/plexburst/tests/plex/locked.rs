//! The worker's library held by another process while it is counted.

use std::path::Path;
use std::time::Duration;

use plex_library::Databases;
use plexburst::plex::index::{Counters, DatabaseCounters, Outcome};
use plexburst::plex::runtime::Runtime;

use crate::indexing::Worker;
use crate::support::{Killed, play, role, wait_until};

/// Generous: the machine may be busy.
const LONG: Duration = Duration::from_secs(180);

/// The other process, run by the tests below: holds the database for as long as the file that says so is there.
#[test]
fn holds_a_database() {
    let Some(args) = role("holder") else { return };
    let holder = rusqlite::Connection::open(&args[0]).unwrap();
    holder.busy_timeout(LONG).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let says = Path::new(&args[1]);
    std::fs::write(says, "held").unwrap();
    wait_until("being told to let go", 2 * LONG, || !says.exists());
    holder.execute_batch("COMMIT").unwrap();
}

/// Another process that holds `database` now; it lets go when `says` is removed.
fn held(database: &Path, says: &Path) -> Killed {
    let child = play("locked::holds_a_database", "holder", &[database, says])
        .spawn()
        .unwrap();
    let holder = Killed(child);
    wait_until("the lock", LONG, || says.exists());
    holder
}

fn let_go(mut holder: Killed, says: &Path) {
    std::fs::remove_file(says).unwrap();
    assert!(holder.0.wait().unwrap().success());
}

/// With a journal of the old kind whoever holds it keeps readers out as well.
#[test]
fn a_library_that_another_process_holds_is_an_error_and_no_zero() {
    let dir = tempfile::tempdir().unwrap();
    let databases = Databases::at(dir.path().join("Databases"));
    sim::fixture::Builder::new(databases.dir())
        .music("Music", "/music", 1, 1, 4)
        .build()
        .unwrap();
    rusqlite::Connection::open(databases.library())
        .unwrap()
        .execute_batch("PRAGMA journal_mode = DELETE")
        .unwrap();
    let counters = DatabaseCounters::new(databases.clone());
    assert_eq!(counters.section(1).unwrap().items, 4);
    let says = dir.path().join("held");
    let holder = held(&databases.library(), &says);
    // Each waits for a while by itself.
    let error = counters.section(1).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    let_go(holder, &says);
    assert_eq!(counters.section(1).unwrap().items, 4);
}

/// A running Plex keeps a write-ahead log: it cannot write meanwhile, and what it had is counted all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_whose_library_is_held_is_counted_and_goes_on() {
    let mut worker = Worker::new("a_running_server_whose_library_is_held_is_counted_and_goes_on");
    worker.start().await;
    let section = worker.create_section().await;
    worker.index(section, false).await;
    let databases = Databases::at(worker.file("Plug-in Support/Databases"));
    let counters = DatabaseCounters::new(databases.clone());
    let before = counters.section(section).unwrap();
    assert_eq!(before.items, 3);
    let says = worker.file("held");
    let holder = held(&databases.library(), &says);
    for _ in 0..3 {
        assert_eq!(counters.section(section).unwrap(), before);
    }
    let_go(holder, &says);
    let report = worker.index(section, false).await;
    assert!(report.unfinished().is_none(), "{report:?}");
    assert_eq!(report.steps[0].outcome, Outcome::Done);
    assert_eq!(report.after().items, 3);
    assert!(worker.server.stop(LONG).await.unwrap().clean);
}
