//! `plexburst repair PATH`: a damaged library made anew from what can still be read of it. The damaged files are kept.

use std::path::{Path, PathBuf};

use plex_library::Databases;
use plex_library::repair::{self, Report};
use plex_library::swap;

use super::confirm::confirm;
use super::{Context, backup, interrupt, print, print_json};
use crate::error::{Error, Result};
use crate::exit;

/// Lost things that are shown; all of them are in the JSON form.
const SHOWN: usize = 20;

/// Options of `repair`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A library.db, the folder it lies in, or a Plex data folder; no server may have it open.
    path: PathBuf,
    /// Put the new pair into this folder and leave the library as it is. Otherwise it takes the place of the damaged one,
    /// which is kept beside it.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Do not ask. A pair in which rows are lost is not put in place by that alone.
    #[arg(short, long)]
    yes: bool,
    /// With -y: put the new pair in place although up to N rows that are known of are lost, or pages of which nothing is known.
    #[arg(long, value_name = "N")]
    accept_losses: Option<u64>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args, context: &Context) -> Result<u8> {
    let databases = plex_library::locate(&args.path)?.databases;
    backup::refuse_in_use(&databases)?;
    // Beside the folder of the databases, so that the two can be exchanged; afterwards the damaged pair is under this name.
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None => backup::place(&databases, "repair")?,
    };
    context.printer.phase("repair", &databases.dir().display().to_string());
    let report = interrupt::until_told(&context.printer, |progress| {
        repair::repair(&databases, &folder, progress)
    })?;
    interrupt::check()?;
    if !args.json {
        print(&text_of(&report))?;
    }
    if !report.verification.ok {
        if args.json {
            print_json(&serde_json::json!({ "done": false, "report": report }))?;
        }
        return Err(Error::refused(format!(
            "what could be recovered is no whole library: {}; it lies in {}",
            report
                .verification
                .problems
                .first()
                .map_or_else(String::new, ToString::to_string),
            folder.display()
        ))
        .hint("put one of Plex's dated backups back; they lie beside its databases"));
    }
    if args.output.is_some() {
        if args.json {
            print_json(&serde_json::json!({ "done": true, "report": report, "output": folder }))?;
        } else {
            print(&format!("the new pair is in {}", folder.display()))?;
        }
        return Ok(exit::DONE);
    }
    agree(args, context, &databases, &folder, &report).inspect_err(|_| {
        if args.json {
            // What was found is said all the same; that it could not be printed is no other failure than this one.
            drop(print_json(
                &serde_json::json!({ "done": false, "report": report, "output": folder }),
            ));
        }
    })?;
    let kept = interrupt::to_its_end(&context.printer, || {
        let plan = swap::prepare(&databases, &folder, &folder.with_extension("damaged"))?;
        Ok(swap::exchange(&plan)?.previous)
    })?;
    if args.json {
        print_json(&serde_json::json!({ "done": true, "report": report, "backup": kept }))?;
    } else {
        print(&format!("done; the damaged files are kept in {}", kept.display()))?;
    }
    Ok(exit::DONE)
}

/// Asks whether the new pair may take the place of the damaged one; that rows are lost has to be agreed to in so many words.
fn agree(args: &Args, context: &Context, databases: &Databases, folder: &Path, report: &Report) -> Result<()> {
    let known = report.known_lost();
    let lost = match (known, report.may_lack_more()) {
        (0, false) => String::new(),
        (0, true) => "Rows are lost, nobody can tell how many. ".into(),
        (_, false) => format!("{known} rows are lost. "),
        (_, true) => format!("{known} rows are lost, perhaps more. "),
    };
    let is_accepted = lost.is_empty() || args.accept_losses.is_some_and(|accepted| known <= accepted);
    let beside = format!("the new pair is in {}", folder.display());
    if args.yes && !is_accepted {
        return Err(Error::refused(format!("{lost}The damaged library stays where it is; {beside}")).hint(format!(
            "`-y --accept-losses {known}` lets it take the damaged one's place; Plex's dated backups, beside its databases, may hold more"
        )));
    }
    confirm(
        &format!(
            "{lost}Let it take the place of {}? The damaged files are kept in {}.",
            databases.dir().display(),
            folder.display()
        ),
        args.yes,
        context,
    )
    .map_err(|e| e.hint(format!("{beside}; -y lets it take the place of the damaged one")))
}

fn text_of(report: &Report) -> String {
    let mut lines = Vec::new();
    for (which, database) in &report.databases {
        lines.push(format!("{}: {} rows recovered", which.file_name(), database.rows));
        for table in &database.tables {
            let mut line = format!("  {}: {} rows", table.table, table.rows);
            if table.regained > 0 {
                line.push_str(&format!(", {} of them from pages that it had lost", table.regained));
            }
            if table.known_lost > 0 {
                let first: Vec<String> = table.first_lost.iter().take(5).map(ToString::to_string).collect();
                line.push_str(&format!(", {} are lost (ids {} …)", table.known_lost, first.join(", ")));
            }
            lines.push(line);
        }
        for lost in database.lost.iter().take(SHOWN) {
            let rows = lost.rows.map_or_else(String::new, |rows| format!("{rows} rows "));
            let table = lost
                .table
                .as_ref()
                .map_or_else(String::new, |table| format!("of {table} "));
            // Page 0 is none in particular.
            let page = match lost.page {
                0 => String::new(),
                page => format!("on page {page}"),
            };
            let what = format!("{rows}{table}{page}");
            lines.push(format!("  not saved: {}: {}", what.trim_end(), lost.why));
        }
        if database.lost.len() > SHOWN {
            lines.push(format!(
                "  and {} more places (--json lists all)",
                database.lost.len() - SHOWN
            ));
        }
        if !database.lent.is_empty() {
            lines.push(format!(
                "  {} entries of its schema came from the other database",
                database.lent.len()
            ));
        }
        for index in &database.without {
            lines.push(format!(
                "  without the index {index}; let Plex optimise its database (Settings, Troubleshooting)"
            ));
        }
    }
    lines.extend(sum(report));
    lines.join("\n")
}

/// How much is lost in all, before anybody is asked.
fn sum(report: &Report) -> Option<String> {
    match (report.known_lost(), report.may_lack_more()) {
        (0, false) => None,
        (0, true) => Some("how many rows are lost cannot be told: nothing that is left knows of them".into()),
        (known, false) => Some(format!("{known} rows are lost that the indices know of")),
        (known, true) => Some(format!(
            "{known} rows are lost that the indices know of; there may be more on the pages that are named"
        )),
    }
}
