//! `plexburst export`: home's library as an archive, taken while Plex runs.

use std::path::PathBuf;

use super::{Context, print, print_json};
use crate::error::{Error, Result};
use crate::exit;
use crate::home::Home;

/// Options of `export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The archive to write (.tar.zst); default: plex_db_only_DATE.tar.zst here.
    file: Option<PathBuf>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let home = Home::of(&settings.config)?;
    let file = args.file.unwrap_or_else(|| {
        let now = jiff::ZonedDateTime::now().strftime("%Y%m%d_%H%M%S").to_string();
        PathBuf::from(format!("plex_db_only_{now}.tar.zst"))
    });
    let file = std::path::absolute(&file)
        .map_err(|e| Error::usage(format!("cannot resolve {}", file.display())).because(e))?;
    if file.exists() {
        return Err(Error::usage(format!("{} is there already", file.display())).hint("name another file"));
    }
    let dir = file.parent().unwrap_or(std::path::Path::new("/"));
    let temp = tempfile::Builder::new()
        .prefix(".plexburst-export-")
        .tempdir_in(dir)
        .map_err(|e| {
            Error::usage(format!("cannot write in {}", dir.display()))
                .hint("name a file in a folder that can be written")
                .because(e)
        })?;
    context
        .printer
        .phase("snapshot", "copying home's library; Plex may go on running");
    let databases = plex_library::Databases::at(temp.path().join("Databases"));
    plex_library::snapshot::take(&home.databases(), databases.dir(), &())?;
    context.printer.phase("pack", &file.display().to_string());
    let support = "Plug-in Support/Databases";
    let files = [
        (format!("{support}/{}", plex_library::LIBRARY_DB), databases.library()),
        (format!("{support}/{}", plex_library::BLOBS_DB), databases.blobs()),
        (
            format!("{}/manifest.json", plex_library::archive::NOTES),
            databases.dir().join(plex_library::snapshot::MANIFEST),
        ),
    ];
    let bytes = plex_library::archive::pack(&files, &file)?;
    if args.json {
        print_json(&serde_json::json!({ "file": file, "bytes": bytes }))?;
    } else {
        print(&format!("{} ({})", file.display(), crate::term::bytes(bytes)))?;
    }
    Ok(exit::DONE)
}
