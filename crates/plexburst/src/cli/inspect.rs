//! `plexburst inspect PATH`: what a library holds; nothing is changed.

use std::path::PathBuf;

use plex_library::Which;
use plex_library::archive::Holds;
use plex_library::inspect::{DatabaseFile, Inspection, OtherFile, Section, Share};

use super::{Context, library, print, print_json};
use crate::error::{Error, Result};
use crate::exit;
use crate::term::{Table, bytes};

/// Tables that are shown by size.
const SHOWN: usize = 8;

/// A share of statistics that is worth a word.
const BLOATED_PERCENT: u64 = 25;

/// Options of `inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A library.db, the folder it lies in, a Plex data folder, or an archive; default: home's library.
    pub(super) path: Option<PathBuf>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args, context: &Context) -> Result<u8> {
    let library = library::open(&library::path(args.path.as_deref(), context)?, context)?;
    let inspection = plex_library::inspect::inspect(library.databases().dir())?;
    let archive = library.archive.as_ref().map(|archive| &archive.facts);
    if args.json {
        let mut value =
            serde_json::to_value(&inspection).map_err(|e| Error::unexpected("cannot show an inspection").because(e))?;
        if let (Some(object), Some(archive)) = (value.as_object_mut(), archive) {
            object.insert("archive".into(), serde_json::json!(archive));
        }
        print_json(&value)?;
        return Ok(exit::DONE);
    }
    let mut text = sections(&inspection)?;
    text.push_str(&files(&inspection));
    if let Some(archive) = archive {
        let next = match archive.holds {
            Holds::Export => "; `plexburst sync --archive` can begin with it",
            Holds::Result => "; `plexburst import` brings it home",
            Holds::Backup | Holds::Unknown => "",
        };
        text.push_str(&format!("the archive is {}{next}\n", archive.holds.words()));
        if !archive.left_out.is_empty() {
            text.push_str(&format!(
                "{} entries of it are not used: {}\n",
                archive.left_out.len(),
                archive.left_out.iter().take(3).cloned().collect::<Vec<_>>().join(", ")
            ));
        }
    }
    if inspection.blobs.is_none() {
        text.push_str("there is no blobs.db: it is half a library; Sonic data and subtitles are in the other half\n");
    }
    print(&text)?;
    Ok(exit::DONE)
}

fn sections(inspection: &Inspection) -> Result<String> {
    let titles = [
        "section",
        "type",
        "holds",
        "posters",
        "art",
        "bundles",
        "thumbnails",
        "analysed",
        "Sonic",
        "verdict",
    ];
    let mut table = Table::new(&titles);
    for section in &inspection.sections {
        let health = &section.health;
        table.row([
            section.name.clone(),
            section.kind.clone(),
            counts(section)?,
            percent(Some(health.posters)),
            percent(Some(health.art)),
            percent(health.bundles),
            percent(health.thumbnails),
            percent(Some(health.analysed)),
            percent(Some(health.sonic)),
            health.verdict.word().to_owned(),
        ]);
    }
    Ok(table.to_string())
}

fn counts(section: &Section) -> Result<String> {
    let value = serde_json::to_value(section.counts).map_err(|e| Error::unexpected("cannot show counts").because(e))?;
    let holds: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, n)| n.as_u64() != Some(0))
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    Ok(holds.join(", "))
}

fn percent(share: Option<Share>) -> String {
    share
        .and_then(Share::percent)
        .map_or_else(|| "–".into(), |percent| format!("{percent} %"))
}

fn files(inspection: &Inspection) -> String {
    let mut text = String::from("\n");
    let mut table = Table::new(&["file", "size", "pages", "free"]);
    let mut sizes = Table::new(&["database", "table", "rows", "indices"]);
    let library = std::iter::once((Which::Library, &inspection.library));
    for (which, file) in library.chain(inspection.blobs.as_ref().map(|file| (Which::Blobs, file))) {
        table.row([
            file.file.clone(),
            bytes(file.bytes),
            file.pages.to_string(),
            file.free_pages.to_string(),
        ]);
        biggest(which, file, &mut sizes);
    }
    let total = |files: &[OtherFile]| files.iter().map(|file| file.bytes).sum::<u64>();
    for (name, files) in [
        ("dated backups", &inspection.backups),
        ("other files", &inspection.others),
    ] {
        if !files.is_empty() {
            let count = format!("{name} ({})", files.len());
            table.row([count, bytes(total(files)), String::new(), String::new()]);
        }
    }
    text.push_str(&format!("{table}\n{sizes}"));
    if inspection.statistics_bytes * 100 > inspection.bytes * BLOATED_PERCENT {
        text.push_str(&format!(
            "\n{} of {} are statistics, which Plex does not need\n",
            bytes(inspection.statistics_bytes),
            bytes(inspection.bytes)
        ));
    }
    if let Some(bundles) = &inspection.bundles {
        let kinds: Vec<String> = bundles
            .metadata
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        text.push_str(&format!(
            "\nbundles: {}; {} of files in Media\n",
            kinds.join(", "),
            bundles.media
        ));
    }
    text
}

fn biggest(which: Which, file: &DatabaseFile, sizes: &mut Table) {
    for size in file.tables.iter().take(SHOWN) {
        sizes.row([
            which.word().to_owned(),
            size.table.clone(),
            bytes(size.bytes),
            bytes(size.index_bytes),
        ]);
    }
}
