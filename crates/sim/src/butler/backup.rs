//! BackupDatabase: dated copies of both databases beside them (or in ButlerDatabaseBackupPath), the four newest are kept.
//!
//! As Plex does it: `com.plexapp.plugins.library.db-YYYY-MM-DD`, a second run on the same day overwrites in place, one step
//! of the backup API, WAL mode in the header and no -wal beside it (facts/plex.md §4.4).

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::housekeeping::TaskError;
use crate::server::Server;

/// How many dated copies of each database are kept.
const KEPT: usize = 4;

/// Backs up both databases.
pub(super) fn run(server: &Server) -> Result<(), TaskError> {
    server.log.info("Beginning database backup");
    let folder = match server.prefs().value("ButlerDatabaseBackupPath") {
        "" => server.data.databases(),
        path => PathBuf::from(path),
    };
    fs::create_dir_all(&folder).map_err(|source| TaskError::File {
        path: folder.clone(),
        source,
    })?;
    let day = jiff::ZonedDateTime::now().date();
    for database in [server.data.library_db(), server.data.blobs_db()] {
        let name = database.file_name().unwrap_or_default().to_string_lossy().into_owned();
        copy(&database, &folder.join(format!("{name}-{day}")))?;
        prune(&folder, &name)?;
    }
    server.log.info("Database backup completed: 0");
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), TaskError> {
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    source.busy_timeout(std::time::Duration::from_secs(30))?;
    // An older copy of the day is overwritten page by page; one that is no database would be refused, so it goes first.
    if to.exists() {
        fs::remove_file(to).map_err(|source| TaskError::File {
            path: to.to_owned(),
            source,
        })?;
    }
    let mut target = Connection::open(to)?;
    {
        let backup = Backup::new(&source, &mut target)?;
        // In one step: with smaller ones every write of the server starts it anew.
        match backup.step(-1)? {
            StepResult::Done => {}
            other => return Err(TaskError::Backup(format!("{other:?}"))),
        }
    }
    target.close().map_err(|(_, error)| TaskError::from(error))
}

fn prune(folder: &Path, name: &str) -> Result<(), TaskError> {
    let io = |source| TaskError::File {
        path: folder.to_owned(),
        source,
    };
    let prefix = format!("{name}-");
    let mut dated: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_date = |text: &str| text.parse::<jiff::civil::Date>().is_ok();
        // The name of the library's database is no prefix of the blobs': "-wal" and other companions are no dates.
        if file.strip_prefix(&prefix).is_some_and(is_date) {
            dated.push(path);
        }
    }
    dated.sort();
    let surplus = dated.len().saturating_sub(KEPT);
    for path in dated.into_iter().take(surplus) {
        fs::remove_file(&path).map_err(|source| TaskError::File { path, source })?;
    }
    Ok(())
}
