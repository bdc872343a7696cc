//! `Plex Media Scanner`: finds what is under the roots of a section and writes it into the databases, and analyses it.
//!
//! - [`walk`] is one scan, with [`write`] for each folder and [`finish`] for its end; [`directories`], [`media`], [`items`]
//!   and [`trash`] are the rows;
//! - [`music`], [`video`] and [`photo`] say what a file is, by [`tags`] or [`naming`];
//! - [`guid`] is the stand-in of the online agents; [`picture`] fills bundles.
//!
//! It is a child of the server (see [`crate::process`]); analysis is in [`crate::analysis`].

mod directories;
pub(crate) mod files;
mod finish;
pub(crate) mod guid;
pub(crate) mod items;
pub(crate) mod media;
mod music;
mod naming;
mod photo;
pub(crate) mod picture;
mod section;
mod tags;
pub(crate) mod trash;
mod video;
pub(crate) mod walk;
mod write;

#[cfg(test)]
pub(crate) mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::analysis::{self, Backlog};
use crate::process::{Cancel, Place, Process, Progress, log};
use crate::server::log::{Log, PLEX_LOG_BYTES};
use crate::store::StoreError;

/// Why a scan ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    /// The library has no such section, or one of a kind that has no scanner.
    #[error("there is no section {0} that could be scanned")]
    NoSection(i64),
    /// The databases could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A statement failed.
    #[error("the library refused a statement: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A picture could not be made.
    #[error("no picture could be made for {file}")]
    Bundle {
        /// The media file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The options of the real scanner that are understood (facts/plex.md §6).
#[derive(Debug, Parser)]
#[command(name = "Plex Media Scanner", disable_version_flag = true)]
struct Options {
    /// Look for new, changed and missing files.
    #[arg(short = 's', long)]
    scan: bool,
    /// Refresh metadata.
    #[arg(short = 'r', long)]
    refresh: bool,
    /// Analyse media: containers, codecs, durations.
    #[arg(short = 'a', long)]
    analyze: bool,
    /// Measure loudness.
    #[arg(long)]
    analyze_loudness: bool,
    /// List the sections.
    #[arg(short = 'l', long)]
    list: bool,
    /// Look into folders that have not changed, refresh all metadata, analyse again.
    #[arg(short = 'x', long)]
    force: bool,
    /// The section to work on.
    #[arg(short = 'c', long)]
    section: Option<i64>,
    /// The items to work on.
    #[arg(short = 'o', long, value_delimiter = ',')]
    item: Vec<i64>,
    /// Only this folder.
    #[arg(short = 'd', long)]
    directory: Option<PathBuf>,
    /// As `--directory`.
    #[arg(short = 'f', long)]
    file: Option<PathBuf>,
    /// Accepted and of no effect.
    #[arg(long)]
    no_thumbs: bool,
    /// Accepted and of no effect.
    #[arg(short = 'v', long)]
    verbose: bool,
    /// Accepted and of no effect.
    #[arg(short = 'p', long)]
    progress: bool,
    /// What the name of its log ends in.
    #[arg(long)]
    log_file_suffix: Option<String>,
    /// Accepted and of no effect.
    #[arg(long)]
    loudness_parallelism: Option<u32>,
}

/// The program; `arguments` begins with its name.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Options::try_parse_from(arguments) {
        Ok(options) => options,
        Err(error) => {
            log(error);
            return ExitCode::from(1);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(error);
            ExitCode::from(1)
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let support = std::env::var_os("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR")
        .ok_or("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR is not set")?;
    // A scan has the plain name, everything else a suffix (facts/plex.md §4.3).
    let stem = match (options.scan, &options.log_file_suffix) {
        (_, Some(suffix)) => format!("Plex Media Scanner {suffix}"),
        (true, None) => "Plex Media Scanner".to_owned(),
        (false, None) => "Plex Media Scanner Analysis".to_owned(),
    };
    let logs = Place::below(support.as_ref()).logs();
    let progress = Progress::standard().logged(Log::open(&logs, &stem, PLEX_LOG_BYTES));
    let mut process = Process::open(support.as_ref(), Cancel::on_terminate()?, progress)?;
    if options.list {
        return list(&process);
    }
    if options.scan {
        let section = options.section.ok_or("--scan needs --section")?;
        let directory = options.directory.clone().or_else(|| options.file.clone());
        let request = walk::Request {
            section,
            force: options.force,
            directory,
        };
        let outcome = walk::scan(&mut process, &request)?;
        log(format_args!("Scanned section {section}: {outcome:?}"));
    }
    if options.refresh && !options.scan {
        for request in walk::of_items(&process.db.library, &options.item)? {
            walk::scan(&mut process, &request)?;
        }
    }
    let backlog = match (options.section, options.item.as_slice()) {
        (Some(section), []) => Backlog::Section(section),
        (None, []) => Backlog::All,
        (None, items) => Backlog::Items(items.to_vec()),
        (Some(_), _) => return Err("--section and --item exclude each other".into()),
    };
    if options.analyze && !process.is_cancelled() {
        let outcome = analysis::basic::run(&mut process, &backlog, options.force)?;
        log(format_args!("Analysed: {outcome:?}"));
    }
    if options.analyze_loudness && !process.is_cancelled() {
        let outcome = analysis::loudness::run(&mut process, &backlog, options.force)?;
        log(format_args!("Measured: {outcome:?}"));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the list is what was asked for")]
fn list(process: &Process) -> Result<(), Box<dyn std::error::Error>> {
    let mut statement = process
        .db
        .library
        .prepare("SELECT id, coalesce(name, '') FROM library_sections ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        println!("{:>3}: {}", row.get::<_, i64>(0)?, row.get::<_, String>(1)?);
    }
    Ok(())
}
