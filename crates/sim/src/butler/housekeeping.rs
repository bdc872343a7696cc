//! Tasks that tidy: rewriting the databases, removing bundles and blobs that nothing owns.
//!
//! These are the ones that make a half-imported library lose things (facts/plex.md §1.5, §8.8): a bundle is removed because
//! the database does not know its item, whoever put it there.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::server::Server;
use crate::store::StoreError;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// The database said no.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The databases could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy did not come to its end.
    #[error("the backup ended early: {0}")]
    Backup(String),
    /// A file could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Rewrites both databases and gathers statistics for the planner.
pub(super) fn optimize(server: &Server) -> Result<(), TaskError> {
    let pair = server.pool.get()?;
    for connection in [&pair.library, &pair.blobs] {
        connection.execute_batch("VACUUM; ANALYZE;")?;
    }
    server.log.info("Database optimization complete.");
    Ok(())
}

/// Removes bundles of items that the library does not know.
pub(super) fn clean_bundles(server: &Server) -> Result<(), TaskError> {
    let known = hashes(
        &server.pool.get()?.library,
        "SELECT DISTINCT hash FROM metadata_items WHERE hash <> ''",
    )?;
    let root = server.data.metadata();
    for kind in folders(&root)? {
        sweep(server, &kind, &known)?;
    }
    Ok(())
}

/// Removes bundles of files that the library does not know.
pub(super) fn clean_media(server: &Server) -> Result<(), TaskError> {
    let known = hashes(
        &server.pool.get()?.library,
        "SELECT DISTINCT hash FROM media_parts WHERE hash <> ''",
    )?;
    sweep(server, &server.data.media().join("localhost"), &known)
}

fn hashes(db: &Connection, query: &str) -> rusqlite::Result<HashSet<String>> {
    db.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}

/// `<folder>/<first digit>/<rest>.bundle`, the bundles whose hash is not among the known.
fn sweep(server: &Server, folder: &Path, known: &HashSet<String>) -> Result<(), TaskError> {
    for first in folders(folder)? {
        for bundle in folders(&first)? {
            let digit = first.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(rest) = name.strip_suffix(".bundle") else {
                continue;
            };
            if !known.contains(&format!("{digit}{rest}")) {
                server
                    .log
                    .debug(format_args!("Cleaning up bundle {}", bundle.display()));
                fs::remove_dir_all(&bundle).map_err(|source| TaskError::File { path: bundle, source })?;
            }
        }
    }
    Ok(())
}

fn folders(path: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let failed = |source| TaskError::File {
        path: path.to_owned(),
        source,
    };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Removes blobs whose item, part or stream is gone.
pub(super) fn collect_blobs(server: &Server) -> Result<(), TaskError> {
    let pair = server.pool.get()?;
    for (linked, table) in [
        ("metadata_item", "metadata_items"),
        ("media_part", "media_parts"),
        ("media_stream", "media_streams"),
    ] {
        let owned = format!("SELECT count(*) FROM {table} WHERE id = ?1");
        let mut owner = pair.library.prepare(&owned)?;
        let mut statement = pair
            .blobs
            .prepare("SELECT id, linked_id FROM blobs WHERE linked_type = ?1 AND linked_id IS NOT NULL")?;
        let blobs: Vec<(i64, i64)> = statement
            .query_map([linked], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut removed = 0;
        for (blob, id) in blobs {
            if owner.query_row([id], |row| row.get::<_, i64>(0))? == 0 {
                removed += pair.blobs.execute("DELETE FROM blobs WHERE id = ?1", params![blob])?;
            }
        }
        server
            .log
            .debug(format_args!("Removed {removed} blobs of {linked}s that are gone"));
    }
    Ok(())
}
