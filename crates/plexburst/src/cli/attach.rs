//! `plexburst attach`: what a burst says, for somebody who was not there from its beginning.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::bursts::RunArgs;
use super::{Context, sync};
use crate::burst::side;
use crate::burst::store::{self, Standing};
use crate::clock::{Clock, SystemClock};
use crate::error::{Context as _, Error, Result};
use crate::exit;
use crate::report::Report;

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(200);

/// Runs it.
pub(super) async fn run(args: &RunArgs, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let burst = store::find(&settings.state_dir, args.run.as_deref())?;
    let id = &burst.request.id;
    let lock = burst.dir.join("lock");
    let log = burst.dir.join("log.txt");
    let mut from = 0;
    let clock = SystemClock;
    loop {
        // Looked at first: what it said before it ended is then all there.
        let is_running = side::holder(&lock)?.is_some();
        for line in more(&log, &mut from, !is_running)? {
            context.printer.verbatim(&line);
        }
        if !is_running {
            break;
        }
        context.printer.progress(&format!("burst {id} goes on"));
        tokio::select! {
            () = clock.sleep(LOOK) => {}
            () = crate::signal::interrupted() => {
                context.printer.say(&format!("burst {id} goes on without being watched"));
                return Ok(exit::DONE);
            }
        }
    }
    context.printer.clear();
    let burst = store::find(&settings.state_dir, Some(id))?;
    match (&burst.standing, Report::load(&burst.dir)) {
        (Standing::Committed, Ok(report)) => {
            sync::show(&report, args.json)?;
            Ok(exit::DONE)
        }
        (Standing::RolledBack, Ok(report)) => {
            sync::show(&report, args.json)?;
            Ok(exit::HOME_UNCHANGED)
        }
        (Standing::Resumable { phase, error }, _) => {
            let error = error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            Err(Error::new(
                exit::RESUMABLE,
                format!("burst {id} is not being run by anybody; it stands at phase {phase}{error}"),
            )
            .hint(format!(
                "`plexburst resume {id}` goes on, `plexburst cancel {id}` takes everything back"
            )))
        }
        (_, Err(error)) => Err(error),
    }
}

/// The whole lines that are new in `log`, or all that is new.
fn more(log: &Path, from: &mut u64, all: bool) -> Result<Vec<String>> {
    let Ok(mut file) = std::fs::File::open(log) else {
        return Ok(Vec::new());
    };
    let reading = || format!("cannot read {}", log.display());
    file.seek(SeekFrom::Start(*from)).context(reading)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context(reading)?;
    if !all {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(whole);
    }
    *from += bytes.len() as u64;
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}
