//! Rows of accounts and devices: who used the server, and from what.

use rusqlite::{Connection, OptionalExtension, params};

use super::now;
use crate::http::request::Client;

/// Makes the row of an account that is seen for the first time.
pub(crate) fn ensure(db: &Connection, id: i64, name: &str) -> rusqlite::Result<()> {
    let known: Option<i64> = db
        .query_row("SELECT id FROM accounts WHERE id = ?1", [id], |row| row.get(0))
        .optional()?;
    if known.is_none() {
        db.execute(
            "INSERT OR IGNORE INTO accounts (id, name, created_at, updated_at, default_audio_language,
                 default_subtitle_language, auto_select_subtitle, auto_select_audio)
             VALUES (?1, ?2, ?3, ?3, 'en', 'en', 1, 1)",
            params![id, name, now()],
        )?;
    }
    Ok(())
}

/// The row of a device, made when it is seen for the first time. A client that does not say who it is has none.
pub(crate) fn device(db: &Connection, client: &Client) -> rusqlite::Result<Option<i64>> {
    if client.identifier.is_empty() {
        return Ok(None);
    }
    let known = db
        .query_row(
            "SELECT id FROM devices WHERE identifier = ?1",
            [&client.identifier],
            |row| row.get(0),
        )
        .optional()?;
    if known.is_some() {
        return Ok(known);
    }
    db.execute(
        "INSERT INTO devices (identifier, name, created_at, updated_at, platform) VALUES (?1, ?2, ?3, ?3, ?4)",
        params![client.identifier, client.name, now(), client.platform],
    )?;
    Ok(Some(db.last_insert_rowid()))
}
