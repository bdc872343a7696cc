//! `plexburst timer`: bursts and sweeps that begin by themselves, as units of systemd. The units hold no secret: that is read
//! where every other command reads it. Nothing is started by writing them; the command that does so is said.

mod place;
mod units;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::{Parser, Subcommand, ValueEnum};

pub(super) use self::place::Place;
use self::units::Unit;
use super::{Context, confirm, print, print_json};
use crate::burst::request::On;
use crate::config::{Settings, rented};
use crate::error::{Context as _, Error, Result};
use crate::exit;

/// Options of `timer`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the units of a timer, and say with which command it is enabled.
    Add(AddArgs),
    /// The timers that there are.
    Show(ShowArgs),
    /// Disable a timer and remove its units.
    Remove(RemoveArgs),
}

/// What a timer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// A burst: `plexburst sync`.
    Sync,
    /// `plexburst sweep`, on a machine that is always on.
    Sweep,
}

impl What {
    pub(super) const BOTH: [Self; 2] = [Self::Sync, Self::Sweep];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Sweep => "sweep",
        }
    }
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// What it begins.
    what: What,
    /// When, as systemd writes it (`systemd-analyze calendar`); default: at half past two every night for sync, every ten
    /// minutes for sweep.
    #[arg(long, value_name = "CALENDAR")]
    when: Option<String>,
    /// Write them into this folder instead of where systemd looks for them.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Show them and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
    /// Options of that command, after `--`.
    #[arg(last = true)]
    options: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The folder, if it is not where systemd looks for them.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// Which.
    what: What,
    /// The folder, if it is not where systemd looks for them.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

/// Runs it.
pub(super) fn run(args: Args, context: &Context) -> Result<u8> {
    match args.command {
        Action::Add(args) => add(&args, context),
        Action::Show(args) => show(args, context),
        Action::Remove(args) => {
            let place = Place::of(args.into)?;
            if place.units_of(args.what).is_empty() && !place.is_named() {
                refuse_of_package(args.what)?;
            }
            if place.units_of(args.what).is_empty() {
                return Err(Error::usage(format!(
                    "there is no timer for {} in {}",
                    args.what.word(),
                    place.dir.display()
                ))
                .hint("`plexburst timer show` lists those that there are"));
            }
            let question = format!(
                "The timer for {} will be disabled and removed. Go on?",
                args.what.word()
            );
            confirm::confirm(&question, args.yes, context)?;
            for path in remove(&place, args.what, context)? {
                print(&format!("removed {}", path.display()))?;
            }
            Ok(exit::DONE)
        }
    }
}

/// The package's are removed with it.
fn refuse_of_package(what: What) -> Result<()> {
    let package = Place::of_package();
    match package.units_of(what).is_empty() {
        true => Ok(()),
        false => Err(Error::usage(format!(
            "the timer for {} in {} is the package's",
            what.word(),
            package.dir.display()
        ))
        .hint(format!(
            "`systemctl disable --now {}` keeps it from beginning anything; `apt remove plexburst` removes it",
            place::name(what, "timer")
        ))),
    }
}

fn add(args: &AddArgs, context: &Context) -> Result<u8> {
    let settings = context.read()?;
    let place = Place::of(args.into.clone())?;
    check_options(args.what, &args.options, settings.config.scaleway.max_cost.is_some())?;
    let when = args.when.as_deref();
    if let Some(when) = when {
        check_calendar(when)?;
    }
    match args.what {
        What::Sweep => warn_of_key(&settings, &place, context)?,
        What::Sync if settings.source.is_none() => {
            return Err(Error::usage("there is no plexburst.toml that a timer could use")
                .hint("`plexburst init` writes one; --config names one that is elsewhere"));
        }
        What::Sync => {}
    }
    let exe =
        std::env::current_exe().map_err(|e| Error::unexpected("cannot find this program's own file").because(e))?;
    let unit = Unit {
        what: args.what,
        exe: &exe,
        settings: &settings,
        environment: &place.environment(args.what),
        options: &args.options,
        when,
    };
    let texts = [
        (place.service(args.what), unit.service()),
        (place.timer(args.what), unit.timer()),
    ];
    if !args.dry_run {
        std::fs::create_dir_all(&place.dir)
            .map_err(|e| Error::usage(format!("cannot make {}", place.dir.display())).because(e))?;
        for (path, text) in &texts {
            plex_library::publish::file(path, text.as_bytes())?;
        }
    }
    let enable = place.enable(args.what);
    let [(service, service_text), (timer, timer_text)] = &texts;
    let (service_name, timer_name) = (service.display(), timer.display());
    if args.json {
        print_json(&serde_json::json!({
            "service": service, "timer": timer, "enable": enable, "written": !args.dry_run,
        }))?;
    } else if args.dry_run {
        print(&format!(
            "# {service_name}\n{service_text}\n# {timer_name}\n{timer_text}"
        ))?;
    } else {
        print(&format!(
            "wrote {service_name} and {timer_name}; they {} once this is done:\n  {enable}",
            args.what.word()
        ))?;
    }
    Ok(exit::DONE)
}

/// What would be a question or wrong use at half past two is one now.
fn check_options(what: What, options: &[String], has_limit: bool) -> Result<()> {
    let words = ["plexburst", what.word()].into_iter().map(str::to_owned);
    let parsed = super::Cli::try_parse_from(words.chain(options.iter().cloned())).map_err(|e| {
        let text = e.to_string();
        let first = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned();
        Error::usage(format!(
            "`plexburst {}` does not take these options: {first}",
            what.word()
        ))
        .hint(format!("`plexburst {} --help` has those that it takes", what.word()))
    })?;
    if let super::Command::Sync(args) = parsed.command
        && args.on == On::Scaleway
        && !args.is_agreed()
        && !has_limit
    {
        return Err(
            Error::usage("nobody will be there to agree to what a rented machine costs")
                .hint("agree beforehand, with a limit: `plexburst timer add sync -- --on scaleway --max-cost 2`"),
        );
    }
    Ok(())
}

/// By systemd itself, where it is.
fn check_calendar(when: &str) -> Result<()> {
    let hint = "as in `Sun 02:30` or `*-*-* 02:30:00`; `systemd-analyze calendar WHEN` explains it";
    if when.is_empty() || when.contains(['\n', '\r']) {
        return Err(Error::usage(format!("{when:?} is no time for a timer")).hint(hint));
    }
    let output = Command::new("systemd-analyze")
        .args(["calendar", "--", when])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if !output.status.success() => {
            Err(Error::usage(format!("{when:?} is no time for a timer")).hint(hint))
        }
        _ => Ok(()),
    }
}

fn warn_of_key(settings: &Settings, place: &Place, context: &Context) -> Result<()> {
    let account = rented::account(&settings.config.scaleway)?;
    if account.source.starts_with("SCW_") {
        context.printer.warn(&format!(
            "the key is only in {} of this environment, which a timer does not have: run `scw init`, or write {} and \
             SCW_DEFAULT_PROJECT_ID as NAME=VALUE into {} (mode 0600)",
            account.source,
            account.source,
            place.environment(What::Sweep).display()
        ));
    }
    Ok(())
}

fn show(args: ShowArgs, _context: &Context) -> Result<u8> {
    let place = Place::of(args.into)?;
    let package = (!place.is_named()).then(Place::of_package);
    let mut timers = Vec::new();
    let all = What::BOTH.into_iter().flat_map(|what| {
        let is_hidden = place.hides_package() && place.timer(what).is_file();
        let package = package.iter().filter(move |_| !is_hidden);
        std::iter::once(&place).chain(package).map(move |place| (place, what))
    });
    for (place, what) in all {
        let Ok(text) = std::fs::read_to_string(place.timer(what)) else {
            continue;
        };
        let service = std::fs::read_to_string(place.service(what)).unwrap_or_default();
        let value = |text: &str, keys: &[&str]| {
            let line = text
                .lines()
                .find_map(|line| keys.iter().find_map(|key| line.strip_prefix(key)));
            line.unwrap_or_default().to_owned()
        };
        timers.push(serde_json::json!({
            "what": what.word(),
            "when": value(&text, &["OnCalendar=", "OnUnitActiveSec="]),
            "enabled": place.is_enabled(what),
            "of": place.owner(),
            "command": value(&service, &["ExecStart="]),
            "timer": place.timer(what),
        }));
    }
    if args.json {
        print_json(&serde_json::json!({ "timers": timers }))?;
        return Ok(exit::DONE);
    }
    if timers.is_empty() {
        print(&format!(
            "no timers in {}; `plexburst timer add sync` writes one for regular bursts",
            place.dir.display()
        ))?;
        return Ok(exit::DONE);
    }
    let mut table = crate::term::Table::new(&["timer", "when", "enabled", "of", "runs"]);
    for timer in &timers {
        let text = |key: &str| timer[key].as_str().unwrap_or_default().to_owned();
        let enabled = match timer["enabled"].as_bool() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        };
        table.row([
            text("what"),
            text("when"),
            enabled.to_owned(),
            text("of"),
            text("command"),
        ]);
    }
    print(&table.to_string())?;
    if timers.iter().any(|timer| timer["of"] == Place::of_package().owner()) {
        print(&format!(
            "those of the package read /etc/plexburst/plexburst.toml; `systemctl enable --now {}` enables one, and \
             `apt remove plexburst` removes them",
            place::name(What::Sync, "timer")
        ))?;
    }
    Ok(exit::DONE)
}

/// Whether the units are of bursts whose state is where `settings` say.
pub(super) fn is_of(place: &Place, what: What, settings: &Settings) -> bool {
    std::fs::read_to_string(place.service(what)).is_ok_and(|text| text.contains(&units::state(settings)))
}

/// Disables the timer, where systemd is, and removes its units; the user's own file of keys stays.
pub(super) fn remove(place: &Place, what: What, context: &Context) -> Result<Vec<PathBuf>> {
    let units = place.units_of(what);
    place.systemctl(&["disable", "--now", &place::name(what, "timer")], context);
    for path in &units {
        std::fs::remove_file(path).context(|| format!("cannot remove {}", path.display()))?;
    }
    if !units.is_empty() {
        place.systemctl(&["daemon-reload"], context);
    }
    Ok(units)
}
