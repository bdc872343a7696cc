//! `plexburst diff OLD NEW`: what differs between two libraries, in a person's words; nothing is changed.

use std::path::PathBuf;

use super::{Context, library, print, print_json};
use crate::error::Result;
use crate::exit;

/// Options of `diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A library.db, the folder it lies in, a Plex data folder, or an archive.
    old: PathBuf,
    /// Another one.
    new: PathBuf,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args, context: &Context) -> Result<u8> {
    let old = library::open(&args.old, context)?;
    let new = library::open(&args.new, context)?;
    let difference = plex_library::diff::between(old.databases(), new.databases())?;
    if args.json {
        print_json(&difference)?;
    } else {
        print(&difference.sentences().join("\n"))?;
    }
    Ok(exit::DONE)
}
