//! `plexburst verify PATH`: damage told apart from drift; nothing is changed.

use std::path::PathBuf;

use super::{print, print_json};
use crate::error::Result;
use crate::exit;

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A library.db, the folder it lies in, or a Plex data folder.
    path: PathBuf,
    /// Only what takes seconds: headers, page structure.
    #[arg(long)]
    quick: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<u8> {
    let level = if args.quick {
        plex_library::verify::Level::Quick
    } else {
        plex_library::verify::Level::Full
    };
    let verification = match plex_library::verify::verify(&args.path, level) {
        Ok(verification) => verification,
        Err(error) => {
            if args.json {
                // A script reads `ok` and `problems` whatever the path turned out to be.
                let problem = serde_json::json!({
                    "object": args.path,
                    "kind": "unreadable",
                    "message": error.to_string(),
                });
                print_json(&serde_json::json!({ "ok": false, "problems": [problem] }))?;
            }
            return Err(error.into());
        }
    };
    if args.json {
        print_json(&verification)?;
    } else if verification.ok {
        print("ok")?;
    } else {
        let lines: Vec<String> = verification.problems.iter().map(ToString::to_string).collect();
        print(&lines.join("\n"))?;
    }
    Ok(if verification.ok { exit::DONE } else { exit::REFUSED })
}
