//! `plexburst verify PATH`: damage told apart from drift; nothing is changed.

use std::path::PathBuf;

use plex_library::snapshot;
use plex_library::verify::{self, Finding, Level, Verification};

use super::{Context, library, print, print_json};
use crate::error::Result;
use crate::exit;

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A library.db, the folder it lies in, a Plex data folder, or an archive; default: home's library.
    pub(super) path: Option<PathBuf>,
    /// Only what takes seconds: headers, page structure.
    #[arg(long)]
    quick: bool,
    /// Do not compare with the manifest that lies beside the databases or in the archive.
    #[arg(long)]
    bare: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args, context: &Context) -> Result<u8> {
    let path = library::path(args.path.as_deref(), context)?;
    let verification = match look(args, &path, context) {
        Ok(verification) => verification,
        Err(error) => {
            if args.json {
                // A script reads `ok` and `problems` whatever the path turned out to be.
                let problem = serde_json::json!({
                    "object": path,
                    "kind": "unreadable",
                    "message": error.to_string(),
                });
                print_json(&serde_json::json!({ "ok": false, "problems": [problem] }))?;
            }
            return Err(error);
        }
    };
    if args.json {
        print_json(&verification)?;
    } else {
        print(&text_of(&verification))?;
    }
    Ok(if verification.ok { exit::DONE } else { exit::REFUSED })
}

fn look(args: &Args, path: &std::path::Path, context: &Context) -> Result<Verification> {
    let library = library::open(path, context)?;
    let databases = library.databases();
    let level = if args.quick { Level::Quick } else { Level::Full };
    let mut verification = verify::verify(databases.dir(), level)?;
    if args.bare {
        return Ok(verification);
    }
    let sealed = match &library.archive {
        Some(archive) => archive.unpacked.sealed()?,
        // A snapshot has its manifest beside it; a library that Plex uses has none.
        None if databases.dir().join(snapshot::MANIFEST).is_file() => {
            Some(snapshot::Manifest::read(databases.dir())?.sealed())
        }
        None => None,
    };
    if let Some(sealed) = sealed {
        let found = verify::against(databases, &sealed, Some(databases.dir()))?;
        verification.ok &= found.is_empty();
        verification.problems.splice(0..0, found);
    }
    Ok(verification)
}

fn text_of(verification: &Verification) -> String {
    let lines = |begin: &str, findings: &[Finding]| -> Vec<String> {
        findings.iter().map(|finding| format!("{begin}{finding}")).collect()
    };
    let mut all = lines("", &verification.problems);
    if verification.ok {
        all.push("ok".into());
    }
    all.extend(lines("drift: ", &verification.drift));
    all.extend(lines("not judged: ", &verification.unchecked));
    all.join("\n")
}
