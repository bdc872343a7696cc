//! The outside of a database: is it one, is it all there, and would its log be taken as it is.

use super::{FindingKind, Findings};
use crate::error::{Error, Kind, Result};
use crate::format::wal;
use crate::handles::Handle;
use crate::paths::{Which, wal_of};
use crate::source::Source;

/// Turns a failure that says something about the file into a finding; any other stays an error.
pub(super) fn explain(error: Error, which: Which, found: &mut Findings) -> Result<()> {
    let message = match &error {
        Error::Damaged { what, .. } => what.clone(),
        Error::NotALibrary { why, .. } => why.clone(),
        _ => return Err(error),
    };
    let kind = match error.kind() {
        Kind::NotALibrary => FindingKind::Schema,
        _ if message.contains("cut off") => FindingKind::Truncated,
        _ if message.contains("header") || message.contains("begin") || message.contains("bytes long") => {
            FindingKind::Header
        }
        _ if message.contains("frames") => FindingKind::Log,
        _ => FindingKind::Structure,
    };
    found.problem(which, kind, which.file_name(), message);
    Ok(())
}

/// A log whose chain of checksums breaks before its end loses what comes behind the break, silently, as soon as a server
/// opens it. A chain may also end because the log was begun anew, or in a transaction that was never finished: both are
/// what a killed server leaves.
pub(super) fn check_log(source: &Source, which: Which, found: &mut Findings) -> Result<()> {
    let path = wal_of(source.path());
    // Beside a server the log grows while it is read; what belongs to the moment was proved when it was fixed.
    if source.is_beside_server() {
        return Ok(());
    }
    let Some(log) = Handle::open_if_there(&path)? else {
        return Ok(());
    };
    let scan = wal::scan(&log, &path, source.page_size(), None)?;
    let Some(why) = scan.broken() else {
        return Ok(());
    };
    let message = format!(
        "{why}: {} of {} frames would be taken, and what is committed behind them dropped",
        scan.overlay.mark(),
        scan.frames_in_file
    );
    found.problem(which, FindingKind::Log, format!("{}-wal", which.file_name()), message);
    Ok(())
}
