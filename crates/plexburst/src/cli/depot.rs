//! `plexburst depot`: what is kept between home and worker, and the key to it.

use clap::Subcommand;

use super::{Context, print, print_json};
use crate::config::{Encryption, Settings};
use crate::depot::{Depot, UserKey};
use crate::error::Result;
use crate::exit;

/// `depot`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the key that the depot is encrypted to, and see that the depot can be used.
    Init(InitArgs),
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
        Command::Init(args) => init(&args, settings, context).await,
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
