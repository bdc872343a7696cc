//! `attach`: the live view of a burst, the same from every machine that reaches its depot. `logs`: what both of its sides
//! have noted. Neither changes anything; leaving them ends nothing.

use std::time::Duration;

use super::{Context, print};
use crate::burst::live;
use crate::burst::store::{self, Standing};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::exit;
use crate::signal::Ear;
use crate::term::{View, labelled};

/// Between two looks: each asks the depot for a few small objects.
const LOOK: Duration = Duration::from_secs(1);

/// Options of `attach`.
#[derive(Debug, clap::Args)]
pub(super) struct AttachArgs {
    /// The burst, by its id or the beginning or end of it; default: the newest.
    pub(super) run: Option<String>,
}

/// Options of `logs`.
#[derive(Debug, clap::Args)]
pub(super) struct LogsArgs {
    /// The burst, by its id or the beginning or end of it; default: the newest.
    pub(super) run: Option<String>,
    /// Go on with what is noted from now on, until the burst ends.
    #[arg(short, long)]
    follow: bool,
}

/// The burst that is meant, and the depot that it is in.
async fn find(settings: &Settings, run: Option<&str>, context: &Context) -> Result<(Depot, String)> {
    let place = Depot::of(&settings.config.depot, "none", &context.printer)?;
    let id = match super::elsewhere::shown_there(settings, run, context).await? {
        Some(id) => id,
        None => store::find(&settings.state_dir, run)?.request.id,
    };
    Ok((place, id))
}

/// `attach`.
pub(super) async fn attach(args: &AttachArgs, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let (place, id) = find(&settings, args.run.as_deref(), context).await?;
    let mut view = View::on_terminal();
    let mut seen = [0, 0];
    // Also a word to leave that comes while the depot is asked is heard.
    let mut ear = Ear::open();
    let left = || {
        print(&format!("burst {id} goes on; `plexburst attach {id}` shows it again"))?;
        Ok(exit::DONE)
    };
    loop {
        let looked = tokio::select! {
            looked = live::look(&settings, &place, &id) => looked?,
            _ = ear.next() => return left(),
        };
        let Some(burst) = looked else {
            break;
        };
        let now = jiff::Timestamp::now();
        match &mut view {
            Some(view) => view.draw(&picture(&live::rows(&burst, now), View::width())),
            None => {
                for (_, line) in live::fresh(&burst, &mut seen) {
                    context.printer.say(&line);
                }
                if let Some(progress) = &burst.progress {
                    context.printer.progress(&format!("worker: {}", progress.text));
                }
            }
        }
        if !matches!(burst.standing, Standing::Resumable { .. }) {
            break;
        }
        tokio::select! {
            () = SystemClock.sleep(LOOK) => {}
            _ = ear.next() => return left(),
        }
    }
    ended(&settings, &id)
}

/// `logs`.
pub(super) async fn logs(args: &LogsArgs, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let (place, id) = find(&settings, args.run.as_deref(), context).await?;
    let mut seen = [0, 0];
    let mut ear = Ear::open();
    loop {
        let looked = tokio::select! {
            looked = live::look(&settings, &place, &id) => looked?,
            _ = ear.next() => return Ok(exit::DONE),
        };
        let Some(burst) = looked else {
            // What the depot has no more the burst's own folder has.
            if seen == [0, 0] {
                let known = store::find(&settings.state_dir, Some(&id))?;
                let log = known.dir.join("log.txt");
                let text = std::fs::read_to_string(&log)
                    .map_err(|e| Error::failed(format!("cannot read {}", log.display())).because(e))?;
                print(&text)?;
            }
            return Ok(exit::DONE);
        };
        for (at, line) in live::fresh(&burst, &mut seen) {
            print(&format!("{} {line}", at.strftime("%Y-%m-%dT%H:%M:%SZ")))?;
        }
        if !args.follow || !matches!(burst.standing, Standing::Resumable { .. }) {
            return Ok(exit::DONE);
        }
        tokio::select! {
            () = SystemClock.sleep(LOOK) => {}
            _ = ear.next() => return Ok(exit::DONE),
        }
    }
}

fn ended(settings: &Settings, id: &str) -> Result<u8> {
    print(&match store::find(&settings.state_dir, Some(id)) {
        Ok(known) => format!(
            "burst {id} is {}; `plexburst report {id}` says what it brought",
            known.standing.word()
        ),
        Err(_) => format!("burst {id} is over; where home is, `plexburst report {id}` says what it brought"),
    })?;
    Ok(exit::DONE)
}

/// The live view, as wide as the terminal.
fn picture(rows: &[live::Row], width: usize) -> Vec<String> {
    rows.iter()
        .flat_map(|row| labelled(&row.label, &row.text, width))
        .collect()
}
