//! `plexburst remap PATH`: the paths of a library follow media that moved; counted first, with a backup and a way back.

use std::path::PathBuf;

use plex_library::remap::{self, Inverse, Mapping, Plan};

use super::backup;
use super::confirm::confirm;
use super::{Context, interrupt, print, print_json};
use crate::error::{Error, Result};
use crate::exit;
use crate::term::Table;

/// Name of the way back in the folder of the backup.
const INVERSE: &str = "remap.json";

/// Options of `remap`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A library.db, the folder it lies in, or a Plex data folder; no server may have it open.
    path: PathBuf,
    /// A root and what becomes of it; may be given several times.
    #[arg(long = "map", value_name = "OLD=NEW", conflicts_with_all = ["mappings", "undo"])]
    maps: Vec<String>,
    /// A path_mappings.json.
    #[arg(long, value_name = "FILE", conflicts_with = "undo")]
    mappings: Option<PathBuf>,
    /// Take a remap back: the remap.json that it left in its backup.
    #[arg(long, value_name = "FILE")]
    undo: Option<PathBuf>,
    /// Where the backup goes; a folder that does not exist yet. Default: beside the folder of the databases.
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args, context: &Context) -> Result<u8> {
    let databases = plex_library::locate(&args.path)?.databases;
    if let Some(file) = &args.undo {
        return undo(args, &databases, file, context);
    }
    let mappings = match &args.mappings {
        Some(file) => remap::read_mappings(file)?,
        None => args
            .maps
            .iter()
            .map(|text| Mapping::parse(text))
            .collect::<Result<_, _>>()
            .map_err(wrong_use)?,
    };
    let plan = remap::plan(&databases, &mappings).map_err(|e| match e {
        plex_library::Error::Refused { .. } => wrong_use(e),
        other => other.into(),
    })?;
    let elsewhere = remap::elsewhere(&databases, &mappings)?;
    if !args.json {
        print(&text_of(&plan, &elsewhere))?;
    }
    if args.dry_run || plan.is_empty() {
        if args.json {
            print_json(&serde_json::json!({ "done": false, "plan": plan, "left_alone": elsewhere }))?;
        }
        return Ok(exit::DONE);
    }
    backup::refuse_in_use(&databases)?;
    let folder = match &args.backup {
        Some(folder) => folder.clone(),
        None => backup::place(&databases, "remap")?,
    };
    confirm(
        &format!(
            "Change these rows of {}? A backup goes to {}.",
            databases.library().display(),
            folder.display()
        ),
        args.yes,
        context,
    )?;
    backup::make(&databases, &folder, context)?;
    let inverse = folder.join(INVERSE);
    context
        .printer
        .phase("remap", &databases.library().display().to_string());
    let report = interrupt::to_its_end(&context.printer, || remap::apply_noted(&databases, &plan, &inverse))?;
    if args.json {
        print_json(&serde_json::json!({
            "done": true, "columns": report.columns, "merged": report.merged, "left_alone": elsewhere,
            "backup": folder, "undo": inverse,
        }))?;
    } else {
        print(&format!(
            "done; the backup is {}\n`plexburst remap {} --undo {}` takes it back",
            folder.display(),
            super::quoted(&args.path),
            super::quoted(&inverse)
        ))?;
    }
    Ok(exit::DONE)
}

fn wrong_use(error: plex_library::Error) -> Error {
    Error::from(error).with_exit(exit::USAGE)
}

fn undo(args: &Args, databases: &plex_library::Databases, file: &std::path::Path, context: &Context) -> Result<u8> {
    let inverse = Inverse::read(file)?;
    backup::refuse_in_use(databases)?;
    if remap::is_undone(databases, &inverse)? {
        if args.json {
            print_json(
                &serde_json::json!({ "done": false, "undone": remap::Undone { already: true, ..Default::default() } }),
            )?;
        } else {
            print("it was taken back before; nothing is to be changed")?;
        }
        return Ok(exit::DONE);
    }
    let rows: u64 = inverse
        .rewritten
        .iter()
        .flat_map(|group| &group.ids)
        .map(|(first, last)| last.abs_diff(*first) + 1)
        .sum();
    if args.dry_run {
        let text = format!(
            "{rows} rows would get their paths back, {} roots would be two again",
            inverse.removed.len()
        );
        if args.json {
            print_json(&serde_json::json!({ "done": false, "rows": rows, "roots": inverse.removed.len() }))?;
        } else {
            print(&text)?;
        }
        return Ok(exit::DONE);
    }
    let folder = match &args.backup {
        Some(folder) => folder.clone(),
        None => backup::place(databases, "undo")?,
    };
    confirm(
        &format!(
            "Give {rows} rows of {} their paths back? A backup goes to {}.",
            databases.library().display(),
            folder.display()
        ),
        args.yes,
        context,
    )?;
    backup::make(databases, &folder, context)?;
    let undone = interrupt::to_its_end(&context.printer, || remap::undo(databases, &inverse))?;
    if args.json {
        print_json(&serde_json::json!({ "done": !undone.already, "undone": undone, "backup": folder }))?;
    } else {
        print(&format!(
            "{} rows have their paths back, {} that came or changed since were mapped back, {} are gone\nthe backup is {}",
            undone.restored,
            undone.mapped,
            undone.gone,
            folder.display()
        ))?;
    }
    Ok(exit::DONE)
}

fn text_of(plan: &Plan, elsewhere: &[remap::Elsewhere]) -> String {
    let mut table = Table::new(&["table", "column", "rows"]);
    for column in &plan.columns {
        table.row([column.table.clone(), column.column.clone(), column.rows.to_string()]);
    }
    let mut lines = vec![table.to_string()];
    for root in &plan.roots {
        lines.push(format!("{} becomes {}", root.old, root.new));
    }
    for merged in &plan.merged {
        lines.push(format!(
            "{} is the root of its section twice then; the two become one",
            merged.path
        ));
    }
    for root in &plan.unmapped {
        lines.push(format!("{root} stays; no mapping covers it"));
    }
    for old in &plan.unused {
        lines.push(format!("warning: nothing in the library is below {old}"));
    }
    if plan.colliding > 0 {
        lines.push(format!(
            "warning: {} paths would belong to several files, the first of them {}",
            plan.colliding,
            plan.collisions.first().map_or("", String::as_str)
        ));
    }
    for left in elsewhere {
        lines.push(format!(
            "left alone: {} rows of {}.{} in the {} database, such as {}",
            left.rows,
            left.table,
            left.column,
            left.database.word(),
            left.example
        ));
    }
    lines.join("\n")
}
