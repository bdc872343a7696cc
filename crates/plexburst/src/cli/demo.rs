//! `plexburst demo`: see it work in a minute.

use std::path::PathBuf;

use super::{Context, print, print_json};
use crate::demo::{self, Size};
use crate::error::{Error, Result};
use crate::exit;
use crate::term::Table;

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Tracks that home knows at the beginning.
    #[arg(long, default_value_t = 8)]
    known: usize,
    /// Tracks that are new in the media.
    #[arg(long, default_value_t = 8)]
    new: usize,
    /// Length of each track in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Where the demo makes its folder; default: the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep everything for a closer look.
    #[arg(long)]
    keep: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    if args.known < 4 {
        return Err(Error::usage("the demo's household needs at least 4 tracks").hint("--known 4"));
    }
    let size = Size {
        known: args.known,
        new: args.new,
        seconds: args.seconds,
    };
    let shown = demo::run(args.dir, &size, args.keep, &context.printer).await?;
    context.printer.clear();
    if args.json {
        print_json(&shown)?;
        return Ok(exit::DONE);
    }
    let mut text = shown.report.to_text();
    let mut table = Table::new(&["the household", "when", "afterwards"]);
    for deed in &shown.household {
        let kept = if deed.kept { "there" } else { "LOST" };
        table.row([deed.what.clone(), deed.when.to_owned(), kept.to_owned()]);
    }
    text.push('\n');
    text.push_str(&table.to_string());
    text.push_str(&format!("\nids of home that changed: {}\n", shown.ids_lost));
    print(&text)?;
    Ok(exit::DONE)
}
