//! `plexburst report`: what a burst brought, as text, as JSON, or as a page.

use std::process::{Command, Stdio};

use super::{Context, print, print_json, quoted, sync};
use crate::burst::store;
use crate::error::{Error, Result};
use crate::exit;
use crate::report::{PAGE, Report};
use crate::term::Table;

/// Options of `report`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The burst, by its id or the beginning or end of it; default: the newest.
    pub(super) run: Option<String>,
    /// Open the page in a browser.
    #[arg(long, conflicts_with = "json")]
    pub(super) open: bool,
    /// List the reports that there are.
    #[arg(long, conflicts_with_all = ["open", "run"])]
    list: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    if args.list {
        return list(args.json, &settings.state_dir, context);
    }
    let burst = store::find(&settings.state_dir, args.run.as_deref())?;
    let report = Report::load(&burst.dir)?;
    let page = burst.dir.join(PAGE);
    if !page.is_file() {
        // Of an earlier version.
        report.save(&burst.dir)?;
    }
    if args.open {
        return open(&page);
    }
    sync::show(&report, args.json)?;
    if !args.json {
        context
            .printer
            .say(&format!("the same as a page, with plots: {}", quoted(&page)));
    }
    Ok(exit::DONE)
}

/// The desktop knows what shows a page.
fn open(page: &std::path::Path) -> Result<u8> {
    let shown = Command::new("xdg-open")
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match shown {
        Ok(status) if status.success() => Ok(exit::DONE),
        _ => Err(
            Error::failed(format!("nothing on this machine opens {}", page.display())).hint(format!(
                "it is one file that needs nothing else: copy it to a machine with a browser, e.g. `scp HOST:{} .`",
                quoted(page)
            )),
        ),
    }
}

fn list(json: bool, state_dir: &std::path::Path, context: &Context) -> Result<u8> {
    let (known, errors) = store::all(state_dir)?;
    for error in errors {
        context.printer.warn(&error.chain());
    }
    let reports: Vec<_> = known
        .iter()
        .filter_map(|burst| Some((burst, Report::load(&burst.dir).ok()?)))
        .collect();
    if json {
        let list: Vec<_> = reports
            .iter()
            .map(|(burst, report)| {
                serde_json::json!({"burst": report.burst, "outcome": report.outcome, "page": burst.dir.join(PAGE)})
            })
            .collect();
        print_json(&serde_json::json!({ "reports": list }))?;
        return Ok(exit::DONE);
    }
    if reports.is_empty() {
        print("no reports yet")?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["burst", "begun", "outcome"]);
    for (burst, report) in &reports {
        let begun = burst.request.created_at.to_zoned_datetime(jiff::tz::TimeZone::system());
        table.row([
            report.burst.clone(),
            begun.strftime("%Y-%m-%d %H:%M").to_string(),
            report.outcome.word().to_owned(),
        ]);
    }
    // Paths are as long as they are: below, so that the table fits into a terminal.
    let pages: Vec<String> = reports
        .iter()
        .map(|(burst, _)| burst.dir.join(PAGE).display().to_string())
        .collect();
    print(&format!("{table}{}", pages.join("\n")))?;
    Ok(exit::DONE)
}
