//! The last ids that were given out, as `sqlite_sequence` has them. Where one is lost, an id may be given twice, and what
//! hangs on the old one (views, playlists, blobs) falls to a stranger. Repairs by hand are known to lose them.

use super::{FindingKind, Findings};
use crate::error::{At, READ, Result};
use crate::open::Reader;
use crate::paths::Which;

pub(super) fn check(reader: &Reader, which: Which, found: &mut Findings) -> Result<()> {
    let sql = "SELECT s.name, q.seq FROM sqlite_schema s LEFT JOIN sqlite_sequence q ON q.name = s.name
               WHERE s.type = 'table' AND s.rootpage > 0 AND s.sql LIKE '%AUTOINCREMENT%'";
    let exists = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'";
    let there: i64 = reader.query_row(exists, [], |row| row.get(0)).at(READ, reader.path())?;
    if there == 0 {
        return Ok(());
    }
    let mut statement = reader.prepare(sql).at(READ, reader.path())?;
    let tables: Vec<(String, Option<i64>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .at(READ, reader.path())?;
    for (table, given) in tables {
        let quoted = table.replace('"', "\"\"");
        let highest: Option<i64> = reader
            .query_row(&format!("SELECT max(rowid) FROM \"{quoted}\" NOT INDEXED"), [], |row| {
                row.get(0)
            })
            .at(READ, reader.path())?;
        if let Some(highest) = highest
            && given.is_none_or(|given| given < highest)
        {
            let message = format!(
                "its highest id is {highest}, and the last one given out is noted as {}: an id may be given twice",
                given.map_or_else(|| "none".into(), |given| given.to_string())
            );
            found.drift(which, FindingKind::Sequence, table, message);
        }
    }
    Ok(())
}
