//! The start guard: what keeps a server from opening the databases while they are moved file by file.
//!
//! A folder lies where each database would have its rollback journal. SQLite looks for that journal before it reads the
//! first page, finds something that it can neither read nor remove, and gives up: for reading, for writing and for
//! making a new database, for root as for any user, in a container as outside of it, before a power cut as after it.
//! Who reads that folder finds the plan of the move in it, which is the move's own journal.
//!
//! The guard of the library comes first and goes last, and appears with the plan already in it. A service manager can be
//! told of it too (docs/swap.md).

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Plan;
use crate::error::{At, Error, OPEN, READ, Result};
use crate::paths::{Databases, Which, journal_of};
use crate::publish::sync_folder;
use crate::snapshot::write_document;

/// The plan, within the guard of the library.
const PLAN: &str = "plexburst-swap.json";
/// The guard before it has its name, and after it has lost it.
const ASIDE: &str = ".plexburst-guard";

/// Where the guard of one database lies.
fn place_of(live: &Path, which: Which) -> PathBuf {
    journal_of(&Databases::at(live).path(which))
}

/// Whether a move in `live` has begun and not ended.
pub(super) fn is_up(live: &Path) -> bool {
    place_of(live, Which::Library).is_dir()
}

/// The plan of the move that has begun in `live` and not ended.
pub(super) fn plan(live: &Path) -> Result<Option<Plan>> {
    if !is_up(live) {
        return Ok(None);
    }
    let path = place_of(live, Which::Library).join(PLAN);
    let bytes = fs::read(&path).at(READ, &path)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::damaged(&path, error.to_string()))
}

/// Keeps servers from opening the databases in `live` from here on. May be done again.
pub(super) fn raise(live: &Path, plan: &Plan) -> Result<()> {
    let library = place_of(live, Which::Library);
    if !library.is_dir() {
        for which in Which::BOTH {
            refuse_journal(&place_of(live, which))?;
        }
        let aside = live.join(ASIDE);
        discard(&aside)?;
        DirBuilder::new().mode(0o755).create(&aside).at("create", &aside)?;
        write_document(&aside.join(PLAN), plan)?;
        sync_folder(&aside)?;
        fs::rename(&aside, &library).at("publish", &library)?;
    }
    let blobs = place_of(live, Which::Blobs);
    match DirBuilder::new().mode(0o755).create(&blobs) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && blobs.is_dir() => {}
        made => made.at("create", &blobs)?,
    }
    sync_folder(live)
}

/// Lets servers open them again. May be done again.
pub(super) fn lift(live: &Path) -> Result<()> {
    let (library, blobs, aside) = (
        place_of(live, Which::Library),
        place_of(live, Which::Blobs),
        live.join(ASIDE),
    );
    if library.is_dir() {
        discard(&blobs)?;
        sync_folder(live)?;
        discard(&aside)?;
        fs::rename(&library, &aside).at("rename", &library)?;
    }
    discard(&aside)?;
    sync_folder(live)
}

fn discard(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", dir),
    }
}

/// A real journal belongs to a transaction that was cut off, and only SQLite itself may take it away.
fn refuse_journal(path: &Path) -> Result<()> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at(OPEN, path),
        Ok(_) => Err(Error::Refused {
            what: "a database at home has an unfinished transaction beside it".into(),
            items: vec![path.display().to_string()],
            hint: "start Plex and stop it again, so that it ends the transaction".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::{Inode, Way};
    use super::*;

    fn plan_for(live: &Path) -> Plan {
        let nothing = Inode { device: 0, number: 0 };
        Plan {
            live: live.to_owned(),
            staged: live.join("staged"),
            before: nothing,
            after: nothing,
            way: Way::Exchange,
        }
    }

    fn write(path: &Path) -> rusqlite::Result<()> {
        Connection::open(path)?
            .execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1)")
    }

    #[test]
    fn neither_reading_nor_writing_nor_making_anew_gets_past_it() {
        let tmp = tempfile::tempdir().unwrap();
        let live = Databases::at(tmp.path());
        for which in Which::BOTH {
            write(&live.path(which)).unwrap();
        }
        let plan_there = plan_for(live.dir());
        raise(live.dir(), &plan_there).unwrap();
        raise(live.dir(), &plan_there).unwrap();
        assert_eq!(plan(live.dir()).unwrap(), Some(plan_there));
        for which in Which::BOTH {
            let path = live.path(which);
            let before = fs::read(&path).unwrap();
            let read = Connection::open(&path)
                .and_then(|db| db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)));
            assert!(read.is_err(), "{read:?}");
            assert!(write(&path).is_err());
            assert_eq!(fs::read(&path).unwrap(), before);
            fs::rename(&path, live.dir().join("aside")).unwrap();
            assert!(write(&path).is_err());
            assert_eq!(
                fs::metadata(&path).unwrap().len(),
                0,
                "an empty file is all that a start leaves"
            );
            fs::rename(live.dir().join("aside"), &path).unwrap();
        }
        lift(live.dir()).unwrap();
        lift(live.dir()).unwrap();
        assert!(!is_up(live.dir()));
        for which in Which::BOTH {
            write(&live.path(which)).unwrap();
        }
    }

    #[test]
    fn an_unfinished_transaction_is_not_covered_up() {
        let tmp = tempfile::tempdir().unwrap();
        let live = Databases::at(tmp.path());
        fs::write(journal_of(&live.blobs()), "half a transaction").unwrap();
        let error = raise(live.dir(), &plan_for(live.dir())).unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Refused);
        assert!(!is_up(live.dir()));
    }
}
