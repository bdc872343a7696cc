//! `attach`: the live view of a burst, the same from every machine that reaches its depot. `logs`: what both of its sides
//! have noted. Neither changes anything; leaving them ends nothing.

use std::time::Duration;

use super::{Context, print};
use crate::burst::live;
use crate::burst::store::{self, Standing};
use crate::burst::tail::Tail;
use crate::burst::watcher::{Looked, Watcher};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::exit;
use crate::signal::Ear;
use crate::term::{Printer, View, labelled, whole};

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

/// The burst that is meant.
async fn find(settings: &Settings, run: Option<&str>, context: &Context) -> Result<String> {
    match super::elsewhere::shown_there(settings, run, context).await? {
        Some(id) => Ok(id),
        None => Ok(store::find(&settings.state_dir, run)?.request.id),
    }
}

/// `attach`.
pub(super) async fn attach(args: &AttachArgs, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let id = find(&settings, args.run.as_deref(), context).await?;
    let mut watcher = Watcher::new(settings.clone(), &id, &context.printer)?;
    let mut view = View::on_terminal();
    let mut seen = live::Seen::default();
    let mut is_told = false;
    // Also a word to leave that comes while the depot is asked is heard.
    let mut ear = Ear::open();
    let left = || {
        print(&format!("burst {id} goes on; `plexburst attach {id}` shows it again"))?;
        Ok(exit::DONE)
    };
    loop {
        let looked = tokio::select! {
            looked = watcher.look(jiff::Timestamp::now()) => looked?,
            _ = ear.next() => return left(),
        };
        let now = jiff::Timestamp::now();
        if looked == Looked::Over {
            break;
        }
        match &mut view {
            Some(view) => view.draw(&picture(&watcher.rows(now), View::width())),
            None => {
                tell(&watcher, &looked, &mut is_told, now, &context.printer);
                let burst = watcher.burst().filter(|_| looked != Looked::Stale);
                for (_, line) in burst.map(|burst| live::fresh(burst, &mut seen)).unwrap_or_default() {
                    context.printer.say(&line);
                }
                if let Some(progress) = burst.and_then(|burst| burst.progress.as_ref()) {
                    context.printer.progress(&format!("worker: {}", progress.text));
                }
            }
        }
        if has_ended(&watcher) {
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
    let id = find(&settings, args.run.as_deref(), context).await?;
    let mut watcher = Watcher::new(settings.clone(), &id, &context.printer)?;
    let mut seen = live::Seen::default();
    let mut is_told = false;
    let mut ear = Ear::open();
    loop {
        let looked = tokio::select! {
            looked = watcher.look(jiff::Timestamp::now()) => looked?,
            _ = ear.next() => return Ok(exit::DONE),
        };
        if looked == Looked::Over {
            // What the depot has no more the burst's own folder has.
            if !seen.iter().any(Tail::is_begun) {
                let known = store::find(&settings.state_dir, Some(&id))?;
                let log = known.dir.join("log.txt");
                let text = std::fs::read_to_string(&log)
                    .map_err(|e| Error::failed(format!("cannot read {}", log.display())).because(e))?;
                print(&text)?;
            }
            return Ok(exit::DONE);
        }
        tell(
            &watcher,
            &looked,
            &mut is_told,
            jiff::Timestamp::now(),
            &context.printer,
        );
        let burst = watcher.burst().filter(|_| looked != Looked::Stale);
        for (at, line) in burst.map(|burst| live::fresh(burst, &mut seen)).unwrap_or_default() {
            print(&format!("{} {line}", at.strftime("%Y-%m-%dT%H:%M:%SZ")))?;
        }
        if !args.follow || has_ended(&watcher) {
            return Ok(exit::DONE);
        }
        tokio::select! {
            () = SystemClock.sleep(LOOK) => {}
            _ = ear.next() => return Ok(exit::DONE),
        }
    }
}

/// Says once that the depot is away, and once that it is back.
fn tell(watcher: &Watcher, looked: &Looked, is_told: &mut bool, now: jiff::Timestamp, printer: &Printer) {
    match (looked, watcher.away()) {
        (Looked::Stale, Some(away)) if !*is_told => {
            printer.warn(&format!("the depot {}", away.text(now)));
            *is_told = true;
        }
        (Looked::Back(away), _) => {
            let gone = u64::try_from(now.as_second() - away.since.as_second()).unwrap_or(0);
            printer.say(&format!(
                "the depot answers again, after {}",
                whole(Duration::from_secs(gone))
            ));
            *is_told = false;
        }
        _ => {}
    }
}

fn has_ended(watcher: &Watcher) -> bool {
    watcher
        .burst()
        .is_some_and(|burst| !matches!(burst.standing, Standing::Resumable { .. }))
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
