//! `plexburst depot`: what is kept between home and worker, and the key to it.

use clap::Subcommand;

use super::{Context, print, print_json};
use crate::burst::retention::{self, Holding, Knowledge};
use crate::config::{Encryption, Settings};
use crate::depot::{Depot, UserKey};
use crate::error::Result;
use crate::exit;
use crate::term::Table;

/// `depot`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

impl Args {
    /// Whether it is judged by the bursts that home knows what is kept; a key is made where it was asked for.
    pub(super) fn knows_bursts(&self) -> bool {
        !matches!(self.command, Some(Command::Init(_)))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the key that the depot is encrypted to, and see that the depot can be used.
    Init(InitArgs),
    /// What is in the depot, what for, and what it costs.
    List(ListArgs),
    /// Remove what no burst needs any more.
    Prune(PruneArgs),
    /// Read everything in the depot and see that it is what was put there.
    Check(ListArgs),
}

#[derive(Debug, Default, clap::Args)]
struct ListArgs {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct PruneArgs {
    /// Show what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Remove this too, although this machine does not know it (as `list` names it; repeatable).
    #[arg(long, value_name = "NAME")]
    also: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct InitArgs {
    /// Print the key itself, to be written on paper and put away.
    #[arg(long)]
    show_key: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `depot`.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    match args.command {
        None => list(&ListArgs::default(), &settings, context).await,
        Some(Command::Init(args)) => init(&args, settings, context).await,
        Some(Command::List(args)) => list(&args, &settings, context).await,
        Some(Command::Prune(args)) => prune(&args, &settings, context).await,
        Some(Command::Check(args)) => check(&args, &settings, context).await,
    }
}

/// What losing the key means, said where it is made.
const LOST: &str = "\
Whoever has this key can read every library that is in the depot; without it nobody can, the user included.
A lost key loses what is in the depot and nothing else: home's library, its bursts and their journals are not encrypted.
A burst that is under way ends well without it; results that wait in the depot, and bursts that are to be taken over by
another machine, do not. Keep a copy away from this machine.";

async fn init(args: &InitArgs, mut settings: Settings, context: &Context) -> Result<u8> {
    let depot = &mut settings.config.depot;
    let (path, is_configured) = match &depot.identity_file {
        Some(path) => (path.clone(), true),
        None => (settings.state_dir.join("depot-identity"), false),
    };
    let key = UserKey::ensure(&path)?;
    if key.is_new {
        context.printer.say(&format!("made the key {}", path.display()));
        for line in LOST.lines() {
            context.printer.say(line);
        }
        if !args.show_key {
            context
                .printer
                .say("`plexburst depot init --show-key` prints it for a copy on paper");
        }
    }
    if !is_configured {
        let line = format!("identity_file = {:?}", path.display().to_string());
        context
            .printer
            .say(&format!("for it to be used, [depot] in plexburst.toml needs: {line}"));
        depot.identity_file = Some(path.clone());
        depot.encryption.get_or_insert(Encryption::Age);
    }
    Depot::of(depot, "probe", &context.printer)?.prove().await?;
    if args.json {
        let mut value = serde_json::json!({
            "identity_file": path,
            "recipients": key.recipients,
            "made": key.is_new,
            "configured": is_configured,
        });
        if args.show_key {
            value["key"] = key.reveal()?.into();
        }
        print_json(&value)?;
        return Ok(exit::DONE);
    }
    print(&format!(
        "the depot can be used; its recipient is {}",
        key.recipients.join(", ")
    ))?;
    if args.show_key {
        print(&key.reveal()?)?;
    }
    Ok(exit::DONE)
}

/// Opened to look at all of it.
pub(super) fn open(settings: &Settings, context: &Context) -> Result<Depot> {
    Depot::of(&settings.config.depot, "none", &context.printer)
}

async fn list(args: &ListArgs, settings: &Settings, context: &Context) -> Result<u8> {
    let depot = open(settings, context)?;
    let knowledge = Knowledge::of(&settings.state_dir)?;
    let holdings = knowledge.judge(&depot.list_all().await?, settings.config.depot.keep)?;
    let bytes: u64 = holdings.iter().map(|h| h.bytes).sum();
    let cost = settings.config.depot.price.map(|price| per_month(bytes, price));
    if args.json {
        print_json(&serde_json::json!({
            "depot": depot.name(),
            "holdings": holdings,
            "bytes": bytes,
            "eur_per_month": cost,
        }))?;
        return Ok(exit::DONE);
    }
    if holdings.is_empty() {
        print(&format!("the depot at {} is empty", depot.name()))?;
        return Ok(exit::DONE);
    }
    print(&table(&holdings))?;
    let cost = match cost {
        Some(cost) => format!("; about {cost:.2} EUR a month"),
        None => "; `depot.price` (EUR for a GB and a month) tells what it costs".to_owned(),
    };
    print(&format!(
        "{} in the depot at {}{cost}",
        crate::term::bytes(bytes),
        depot.name()
    ))?;
    Ok(exit::DONE)
}

/// A gigabyte of a price list has 10⁹ bytes.
#[expect(clippy::cast_precision_loss, reason = "an estimate with two decimals")]
fn per_month(bytes: u64, price: f64) -> f64 {
    bytes as f64 / 1e9 * price
}

fn table(holdings: &[Holding]) -> String {
    let mut table = Table::new(&["what", "begun", "objects", "size", "why"]);
    for holding in holdings {
        let begun = holding.since.map_or_else(String::new, |since| {
            let zoned = since.to_zoned_datetime(jiff::tz::TimeZone::system());
            zoned.strftime("%Y-%m-%d %H:%M").to_string()
        });
        let why = match holding.orphans.len() {
            0 => holding.need.word().to_owned(),
            count => format!("{}; {count} objects of it are left over", holding.need.word()),
        };
        table.row([
            holding.name.clone(),
            begun,
            holding.objects.to_string(),
            crate::term::bytes(holding.bytes),
            why,
        ]);
    }
    table.to_string()
}

async fn prune(args: &PruneArgs, settings: &Settings, context: &Context) -> Result<u8> {
    let depot = open(settings, context)?;
    let knowledge = Knowledge::of(&settings.state_dir)?;
    let listed = depot.list_all().await?;
    let holdings = knowledge.judge(&listed, settings.config.depot.keep)?;
    let plan = retention::plan(&holdings, &args.also)?;
    if args.dry_run {
        match (args.json, plan.is_empty()) {
            (true, _) => print_json(&serde_json::json!({ "would_remove": plan }))?,
            (false, true) => print("nothing would be removed")?,
            (false, false) => print(&table(&plan))?,
        }
        return Ok(exit::DONE);
    }
    let pruned = retention::prune(&depot, &knowledge, &plan, &listed).await?;
    if args.json {
        print_json(&pruned)?;
    } else {
        let (folders, orphans) = (pruned.removed.len(), pruned.orphans.len());
        let bytes = crate::term::bytes(pruned.bytes);
        print(&format!(
            "removed {folders} folders and {orphans} left-over objects, {bytes} in all"
        ))?;
    }
    Ok(exit::DONE)
}

async fn check(args: &ListArgs, settings: &Settings, context: &Context) -> Result<u8> {
    let depot = open(settings, context)?;
    let knowledge = Knowledge::of(&settings.state_dir)?;
    let listed = depot.list_all().await?;
    let (mut sound, mut others) = (0, 0);
    let mut problems = knowledge.missing(&listed)?;
    for (number, object) in listed.iter().enumerate() {
        let text = format!("{} of {} objects: {}", number + 1, listed.len(), object.key);
        context.printer.progress(&text);
        match depot.is_sound(object).await? {
            Some(true) => sound += 1,
            Some(false) => problems.push(format!("{} is not what was put there", object.key)),
            None => others += 1,
        }
    }
    context.printer.clear();
    let is_ok = problems.is_empty();
    if args.json {
        print_json(
            &serde_json::json!({ "ok": is_ok, "sound": sound, "status_objects": others, "problems": problems }),
        )?;
    } else {
        for problem in &problems {
            print(problem)?;
        }
        print(&format!(
            "{sound} parts are what was put there, {} problems",
            problems.len()
        ))?;
    }
    Ok(if is_ok { exit::DONE } else { exit::REFUSED })
}
