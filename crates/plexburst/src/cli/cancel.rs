//! `plexburst cancel`: ends a burst that has not ended, with what is done so far, or (`--discard`) with home as it was.

use std::time::Duration;

use super::{Context, bursts, print, print_json, sync};
use crate::burst::controller::{self, Controller};
use crate::burst::side;
use crate::burst::store::{self, Known, Standing};
use crate::burst::{elsewhere, spec::key};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::exit;

/// Between two looks at a burst that another process runs.
const LOOK: Duration = Duration::from_millis(300);

/// Options of `cancel`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) run: bursts::RunArgs,
    /// Throw away what is done: everything is taken back, and home is what it was.
    #[arg(long)]
    pub(super) discard: bool,
}

/// Runs it.
pub(super) async fn run(args: &Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let run = args.run.run.as_deref();
    if let Some(id) = super::elsewhere::only_there(&settings, run, context).await? {
        return super::elsewhere::cancel(&settings, &id, args, context).await;
    }
    let mut burst = store::find(&settings.state_dir, run)?;
    if !matches!(burst.standing, Standing::Resumable { .. }) {
        return Err(Error::usage(format!(
            "burst {} has ended: {}",
            burst.request.id,
            burst.standing.word()
        ))
        .hint("`plexburst runs` lists those that have not"));
    }
    if !args.discard && side::is_held(&burst.dir.join("lock"))? {
        burst = told(&settings, burst, context).await?;
        if !matches!(burst.standing, Standing::Resumable { .. }) {
            return say(&burst, args.run.json);
        }
    }
    burst.request.take_corrections(&settings.config);
    burst.request.save(&burst.dir)?;
    let controller = Controller::resume(&burst.dir, context.printer.clone())?;
    if args.discard || !controller::wind_up(&controller).await? {
        take_back(&controller, context).await?;
    } else {
        sync::carry_out(&controller, context).await.map_err(|error| {
            let hint = error.hint_text().map(|hint| format!("{hint}; ")).unwrap_or_default();
            let discard = format!(
                "`plexburst cancel --discard {}` takes everything back",
                burst.request.id
            );
            error.hint(format!("{hint}{discard}"))
        })?;
    }
    context.printer.clear();
    say(
        &store::find(&settings.state_dir, Some(&burst.request.id))?,
        args.run.json,
    )
}

/// The process that runs the burst is told through the mailbox and ends it by itself; this one waits for that.
async fn told(settings: &Settings, burst: Known, context: &Context) -> Result<Known> {
    let id = &burst.request.id;
    let depot =
        Depot::of(&burst.request.config.depot, id, &context.printer)?.making_own_key(&burst.dir.join("depot.key"))?;
    if depot.read(elsewhere::REQUEST).await?.is_none() {
        return Err(Error::usage(format!(
            "burst {id} is being run by another process, and has only begun"
        ))
        .hint("interrupt that process, then `plexburst cancel` again"));
    }
    depot.put_bytes(key::WIND_UP, b"by another process").await?;
    context
        .printer
        .say("the process that runs the burst is told; it brings home what is done");
    while side::is_held(&burst.dir.join("lock"))? {
        tokio::select! {
            () = SystemClock.sleep(LOOK) => {}
            () = crate::signal::interrupted() => {
                return Err(Error::new(exit::RESUMABLE, "interrupted; the burst ends without being watched")
                    .hint(format!("`plexburst status {id}` shows where it stands")));
            }
        }
    }
    store::find(&settings.state_dir, Some(id))
}

async fn take_back(controller: &Controller, context: &Context) -> Result<()> {
    let mut cancelling = std::pin::pin!(controller::cancel(controller));
    loop {
        tokio::select! {
            cancelled = &mut cancelling => return cancelled,
            () = crate::signal::interrupted() => {}
        }
        if !controller.is_swapping() {
            context.printer.clear();
            return Err(
                Error::new(exit::RESUMABLE, "interrupted while taking everything back").hint(format!(
                    "`plexburst cancel --discard {}` goes on with it",
                    controller.id()
                )),
            );
        }
    }
}

fn say(burst: &Known, json: bool) -> Result<u8> {
    if json {
        print_json(&bursts::describe(burst))?;
        return Ok(exit::DONE);
    }
    let id = &burst.request.id;
    print(&match burst.standing {
        Standing::Committed => {
            format!(
                "burst {id} is ended; what was done is in, `plexburst report {id}` says what, and what was left out"
            )
        }
        Standing::RolledBack => format!("burst {id} is cancelled; home is what it was"),
        Standing::Resumable { .. } => format!("burst {id} is not over: `plexburst status {id}` shows where it stands"),
    })?;
    Ok(exit::DONE)
}
