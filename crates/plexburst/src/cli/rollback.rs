//! `plexburst rollback`: a library that home had before, in place again.

use super::{Context, confirm, print, print_json, sync};
use crate::burst::controller::Controller;
use crate::burst::request::{Options, Request, Source};
use crate::error::{Error, Result};
use crate::exit;
use crate::home::{Area, Home, Kept, kept};
use crate::term::Table;

/// Options of `rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The library from before this burst, by the burst's id or the beginning or end of it; may be left out when only
    /// one library is kept.
    run: Option<String>,
    /// Only show what can be rolled back to.
    #[arg(long)]
    pub(super) list: bool,
    /// Leave what the household did since in the library of now (which is kept).
    #[arg(long)]
    discard_since: bool,
    /// The folder "Plex Media Server", in place of `home.data_dir`.
    #[arg(long, value_name = "DIR")]
    home: Option<std::path::PathBuf>,
    /// Do not ask.
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Swap even while somebody streams from home.
    #[arg(long, conflicts_with = "swap_at")]
    swap_now: bool,
    /// Swap at this hour of the day, when nobody streams then.
    #[arg(long, value_name = "HH:MM", value_parser = sync::hour)]
    swap_at: Option<String>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let settings = context.settings_for(args.home.as_deref())?;
    let home = Home::of(&settings.config)?;
    home.refuse_unfinished()?;
    let area = Area::of(&home.databases(), "")?;
    let kept = kept::all(area.root())?;
    let gone = kept::gone(area.root());
    for library in &gone {
        context.printer.warn(&format!(
            "{} is gone, so that home cannot be rolled back to it",
            library.display()
        ));
    }
    if args.list {
        if args.json {
            print_json(&serde_json::json!({ "kept": kept, "gone": gone }))?;
        } else {
            print(&table(&kept))?;
        }
        return Ok(exit::DONE);
    }
    let to = choose(&kept, args.run.as_deref())?.burst.clone();
    confirm::confirm(&question("this machine"), args.yes, context)?;
    let options = Options {
        swap_now: args.swap_now,
        swap_at: args.swap_at,
        ..Options::default()
    };
    let source = Source::Rollback {
        to,
        discard_since: args.discard_since,
    };
    let request = Request::new(source, options, settings.config.clone());
    let dir = settings.burst_dir(&request.id);
    context.printer.say(&format!("burst {}", request.id));
    let controller = Controller::begin(request, &dir, context.printer.clone())?;
    sync::follow(&controller, context, args.json).await
}

/// What is asked before anything is touched; `host` is home's machine.
pub(super) fn question(host: &str) -> String {
    format!(
        "Plex on {host} will be stopped for some seconds and get a library back that it had before; the one that it has now \
         is kept. Go on?"
    )
}

fn choose<'a>(kept: &'a [Kept], run: Option<&str>) -> Result<&'a Kept> {
    if kept.is_empty() {
        return Err(Error::usage("no library is kept that home could be rolled back to")
            .hint("each burst keeps the library that it replaces; `home.keep_previous` says how many"));
    }
    let wanted = run.map(str::to_uppercase);
    let fits: Vec<&Kept> = kept
        .iter()
        .filter(|k| {
            wanted
                .as_ref()
                .is_none_or(|w| k.burst.starts_with(w.as_str()) || k.burst.ends_with(w.as_str()))
        })
        .collect();
    match (fits.as_slice(), run) {
        ([one], _) => Ok(one),
        ([], Some(run)) => Err(Error::usage(format!(
            "no library is kept from before burst {run}; those that are:\n{}",
            table(kept)
        ))
        .hint("name one of these bursts: `plexburst rollback BURST`")),
        _ => Err(Error::usage(format!(
            "home can be rolled back to more than one library:\n{}",
            table(kept)
        ))
        .hint("name one of these bursts: `plexburst rollback BURST`")),
    }
}

fn table(kept: &[Kept]) -> String {
    if kept.is_empty() {
        return "no library is kept".into();
    }
    let mut table = Table::new(&["burst", "put aside", "size", "what"]);
    for one in kept {
        let at = one.note.at.to_zoned_datetime(jiff::tz::TimeZone::system());
        table.row([
            one.burst.clone(),
            at.strftime("%Y-%m-%d %H:%M").to_string(),
            crate::term::bytes(one.bytes),
            one.note.why.words().to_owned(),
        ]);
    }
    // Paths are as long as they are: below, so that the table fits into a terminal.
    let mut text = table.to_string();
    for one in kept.iter().filter(|one| !one.knows_since) {
        text.push_str(&format!(
            "{}: what the household did since cannot be carried back; --discard-since leaves it behind\n",
            one.burst
        ));
    }
    for one in kept {
        text.push_str(&format!("{}\n", one.path.display()));
    }
    text
}
