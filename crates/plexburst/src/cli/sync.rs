//! `plexburst sync`: one whole burst.

use std::path::PathBuf;

use super::{Context, print, print_json};
use crate::burst::controller::{self, Controller};
use crate::burst::request::{Monitoring, On, Options, Request, Source};
use crate::error::{Error, Result};
use crate::exit;
use crate::notify;
use crate::report::{Outcome, Report};

/// Options of `sync`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the heavy work is done: here, scaleway, or ssh://user@host.
    #[arg(long, value_name = "WHERE", default_value = "here")]
    pub(super) on: On,
    /// Profile (lite, standard, power, superpower) or type of the rented machine.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// How many hours a rented machine may live; what is done by then comes home.
    #[arg(long, value_name = "H")]
    max_hours: Option<f64>,
    /// What a rented machine may cost at most, in euros.
    #[arg(long, value_name = "EUR")]
    max_cost: Option<f64>,
    /// Do not end the rented machine with the burst.
    #[arg(long)]
    keep: bool,
    /// How patiently the worker is watched; default: local for here, cloud for a worker elsewhere.
    #[arg(long, value_name = "HOW")]
    monitoring: Option<Monitoring>,
    /// Take the library out of this archive instead of a live home; the result is an archive as well.
    #[arg(long, value_name = "FILE")]
    pub(super) archive: Option<PathBuf>,
    /// Where the result of --archive goes; default: beside the archive.
    #[arg(long, value_name = "FILE", requires = "archive")]
    output: Option<PathBuf>,
    /// With --archive: take a library.db that came without its blobs.db.
    #[arg(long, requires = "archive")]
    without_blobs: bool,
    /// Only this section (repeatable).
    #[arg(long = "section", value_name = "NAME")]
    pub(super) sections: Vec<String>,
    /// Refresh all metadata after the scan, as a step of its own.
    #[arg(long)]
    force_refresh: bool,
    /// Scan folders that look unchanged as well; Plex refreshes all metadata on the way.
    #[arg(long)]
    force_deep_scan: bool,
    /// A file with a fresh claim of plex.tv/claim, read at the moment at which it is used.
    #[arg(long, value_name = "FILE")]
    claim: Option<PathBuf>,
    /// No Sonic analysis.
    #[arg(long)]
    quick: bool,
    /// Leave the result in the depot.
    #[arg(long)]
    no_import: bool,
    /// Let a result through that lost at most this many files.
    #[arg(long, value_name = "N", default_value_t = 0)]
    accept_losses: u64,
    /// Swap even while somebody streams from home.
    #[arg(long, conflicts_with = "swap_at")]
    swap_now: bool,
    /// Swap at this hour of the day, when nobody streams then.
    #[arg(long, value_name = "HH:MM", value_parser = hour)]
    swap_at: Option<String>,
    /// Show what would be done, as `plexburst plan` does, and change nothing.
    #[arg(long, conflicts_with = "archive")]
    pub(super) dry_run: bool,
    /// Agree without being asked to what a rented machine costs.
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Go on where the media are slower than `media.min_speed`; -y does not agree to that.
    #[arg(long)]
    allow_slow_media: bool,
    /// Let the burst go on by itself and come back at once; `attach` shows it.
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) detach: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// Whether nobody has to be asked what a rented machine may cost.
    pub(super) fn is_agreed(&self) -> bool {
        self.yes || self.max_cost.is_some()
    }
}

/// Runs it.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let mut settings = context.settings()?;
    if let Some(file) = &args.claim {
        let file = std::path::absolute(file)
            .map_err(|e| Error::usage(format!("cannot resolve {}", file.display())).because(e))?;
        settings.config.worker.claim_file = Some(file);
    }
    let mut options = Options {
        on: args.on,
        instance: args.instance,
        sizes: crate::config::rented::sizes(&settings),
        max_hours: args.max_hours,
        max_cost: args.max_cost,
        keep: args.keep,
        monitoring: args.monitoring,
        sections: args.sections,
        quick: args.quick,
        force_refresh: args.force_refresh,
        force_deep_scan: args.force_deep_scan,
        no_import: args.no_import,
        accept_losses: args.accept_losses,
        accept_slow: false,
        swap_now: args.swap_now,
        without_blobs: args.without_blobs,
        without_bundles: false,
        swap_at: args.swap_at,
    };
    if args.dry_run {
        return super::plan::show(&settings, &options, args.json, context).await;
    }
    let source = match args.archive {
        None => Source::Home,
        Some(path) => {
            let path = std::path::absolute(&path)
                .map_err(|e| Error::usage(format!("cannot resolve {}", path.display())).because(e))?;
            super::library::check_archive(&path, "`plexburst export FILE` at home")?;
            let result = match args.output {
                Some(output) => std::path::absolute(&output)
                    .map_err(|e| Error::usage(format!("cannot resolve {}", output.display())).because(e))?,
                None => result_beside(&path),
            };
            if result.exists() {
                return Err(Error::usage(format!("{} is there already", result.display()))
                    .hint("name another file with --output, or move that one away"));
            }
            Source::Archive { path, result }
        }
    };
    options.accept_slow = super::speed::agree(&settings, &options, args.allow_slow_media, context)?;
    if options.on == On::Scaleway {
        let archive = match &source {
            Source::Archive { path, .. } => Some(path.as_path()),
            _ => None,
        };
        super::price::agree(&settings, &options, archive, args.yes, context).await?;
    }
    let request = Request::new(source, options, settings.config.clone());
    let dir = settings.burst_dir(&request.id);
    context.printer.say(&format!("burst {}", request.id));
    let id = request.id.clone();
    let controller = Controller::begin(request, &dir, context.printer.clone())?;
    if args.detach {
        // It has the burst's lock.
        drop(controller);
        return super::detach::let_go(&id, &dir, context, args.json).await;
    }
    follow(&controller, context, args.json).await
}

/// An hour of the day, as it was written.
pub(super) fn hour(text: &str) -> Result<String, String> {
    controller::hour(text).map(|_| text.to_owned())
}

fn result_beside(archive: &std::path::Path) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let stem = [".tar.gz", ".tar.zst", ".tgz", ".tar"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(&name);
    archive.with_file_name(format!("{stem}-result.tar.zst"))
}

/// Runs (or goes on with) a burst until it ends or the user interrupts, and tells who wants to know.
pub(super) async fn carry_out(controller: &Controller, context: &Context) -> Result<Report> {
    let mut running = std::pin::pin!(controller::run(controller));
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome,
            () = crate::signal::interrupted() => {}
        }
        if controller.is_swapping() {
            context
                .printer
                .say("home is being swapped right now; the burst ends when home is up again");
            continue;
        }
        return Err(Error::new(
            exit::RESUMABLE,
            format!("interrupted; burst {} is kept, and its worker goes on", controller.id()),
        )
        .hint(format!(
            "`plexburst resume {id}` goes on, `plexburst cancel {id}` ends it with what is done",
            id = controller.id()
        )));
    };
    context.printer.clear();
    notify::send(
        &controller.config().notify,
        &message(controller.id(), &outcome),
        &context.printer,
    )
    .await;
    outcome
}

/// Runs (or goes on with) a burst until it ends or the user interrupts, and prints its report.
pub(super) async fn follow(controller: &Controller, context: &Context, json: bool) -> Result<u8> {
    match carry_out(controller, context).await {
        Ok(report) => {
            show(&report, json)?;
            Ok(match report.outcome {
                Outcome::Committed | Outcome::Parked => exit::DONE,
                Outcome::RolledBack | Outcome::Failed => exit::HOME_UNCHANGED,
            })
        }
        Err(error) => {
            if json && let Ok(report) = Report::load(controller.dir()) {
                show(&report, true)?;
            }
            Err(error)
        }
    }
}

/// What whoever is not at the terminal is told.
fn message(id: &str, outcome: &Result<Report>) -> notify::Message {
    let (title, text, needs_a_person, exit) = match outcome {
        Ok(report) => {
            let is_good = matches!(report.outcome, Outcome::Committed | Outcome::Parked);
            let gained = report.gained();
            let text = report.error.clone().unwrap_or(gained);
            let exit = if is_good { exit::DONE } else { exit::HOME_UNCHANGED };
            (report.outcome.word().to_owned(), text, !is_good, exit)
        }
        Err(error) => {
            let hint = error.hint_text().map_or_else(String::new, |hint| format!("; {hint}"));
            (
                "needs a person".to_owned(),
                format!("{}{hint}", error.chain()),
                true,
                error.exit(),
            )
        }
    };
    notify::Message {
        burst: id.to_owned(),
        title: format!("plexburst: {title}"),
        text,
        needs_a_person,
        exit,
    }
}

/// Prints a report.
pub(super) fn show(report: &Report, json: bool) -> Result<()> {
    if json {
        print_json(report)
    } else {
        print(&report.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_stands_beside_its_archive() {
        let r = result_beside(std::path::Path::new("/x/plex_db_only_20260101.tar.gz"));
        assert_eq!(r, std::path::Path::new("/x/plex_db_only_20260101-result.tar.zst"));
    }
}
