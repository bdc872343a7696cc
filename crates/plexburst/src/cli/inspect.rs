//! `plexburst inspect PATH`: what a library holds; nothing is changed.

use std::path::PathBuf;

use super::{print, print_json};
use crate::error::{Error, Result};
use crate::exit;
use crate::term::{Table, bytes};

/// Options of `inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A library.db, the folder it lies in, a Plex data folder, or an archive.
    path: PathBuf,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<u8> {
    // An archive is looked at unpacked, in a folder that is gone afterwards.
    let unpacked;
    let path = if plex_library::archive::is_archive(&args.path) {
        unpacked = tempfile::tempdir().map_err(|e| Error::failed("cannot make a temporary folder").because(e))?;
        let library = plex_library::archive::unpack(&args.path, unpacked.path())?;
        library.databases().dir().to_path_buf()
    } else {
        args.path.clone()
    };
    let inspection = plex_library::inspect::inspect(&path)?;
    if args.json {
        print_json(&inspection)?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["section", "type", "holds", "with Sonic"]);
    for section in &inspection.sections {
        let value =
            serde_json::to_value(section.counts).map_err(|e| Error::unexpected("cannot show counts").because(e))?;
        let holds: Vec<String> = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, n)| n.as_u64() != Some(0))
            .map(|(name, n)| format!("{n} {name}"))
            .collect();
        table.row([
            section.name.clone(),
            section.kind.clone(),
            holds.join(", "),
            section.sonic_analysed.to_string(),
        ]);
    }
    let mut text = table.to_string();
    text.push_str(&format!(
        "\nlibrary.db {}, blobs.db {}\n",
        bytes(inspection.library.bytes),
        bytes(inspection.blobs.as_ref().map_or(0, |b| b.bytes))
    ));
    print(&text)?;
    Ok(exit::DONE)
}
