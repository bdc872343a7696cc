//! `plexburst import`: a library out of an archive into home, merged, swapped in, undone by itself if home does not come up.

use std::path::PathBuf;

use super::{Context, sync};
use crate::burst::controller::Controller;
use crate::burst::request::{Options, Request, Source};
use crate::error::{Error, Result};

/// Options of `import`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The archive: what `sync --archive` made, or any of the earlier scripts' (also a bare library.db).
    file: PathBuf,
    /// Take a library.db that came without its blobs.db: home's own blobs stay.
    #[arg(long)]
    without_blobs: bool,
    /// Let a result through that lost at most this many files.
    #[arg(long, value_name = "N", default_value_t = 0)]
    accept_losses: u64,
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
    let settings = context.settings()?;
    let path = std::path::absolute(&args.file)
        .map_err(|e| Error::usage(format!("cannot resolve {}", args.file.display())).because(e))?;
    if !path.is_file() {
        return Err(Error::usage(format!("there is no archive {}", path.display()))
            .hint("`plexburst sync --archive FILE` makes one"));
    }
    let options = Options {
        accept_losses: args.accept_losses,
        swap_now: args.swap_now,
        without_blobs: args.without_blobs,
        swap_at: args.swap_at,
        ..Options::default()
    };
    let request = Request::new(Source::Result { path }, options, settings.config.clone());
    let dir = settings.burst_dir(&request.id);
    let controller = Controller::begin(request, &dir, context.printer.clone())?;
    sync::follow(&controller, context, args.json).await
}
