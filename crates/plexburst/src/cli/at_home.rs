//! The side at home of a command that was given on another machine; called by plexburst alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{Cli, Context, print};
use crate::distant::Order;
use crate::distant::there::{self, Running};
use crate::error::{Error, Result};
use crate::exit;
use crate::serve::Shown;
use crate::serve::talk::{self, Asked};
use crate::term::Printer;

/// Its parts.
#[derive(Debug, Subcommand)]
pub(super) enum AtHome {
    /// Begins what the order on stdin says; prints the call's folder.
    Begin,
    /// Is a call's process.
    Run {
        /// The call's folder.
        dir: PathBuf,
    },
    /// Writes what a call says, until it has ended.
    Follow {
        /// The call's folder.
        dir: PathBuf,
        /// Bytes of its stdout that are known.
        out: u64,
        /// Bytes of its stderr that are known.
        err: u64,
    },
    /// Looks up what a page shows, with the order on stdin's first line and a question on each of the others.
    Look,
    /// Interrupts a call.
    Interrupt {
        /// The call's folder.
        dir: PathBuf,
    },
    /// Size and hash of a file.
    Measure {
        /// The file.
        path: PathBuf,
    },
    /// Writes a file to stdout.
    Give {
        /// The file.
        path: PathBuf,
        /// From this byte on.
        from: u64,
    },
    /// Where a file that is sent goes, and how much of it is there.
    Expect {
        /// The folder of plexburst.
        base: PathBuf,
        /// The file's hash.
        hash: String,
        /// Its name.
        name: String,
        /// Its size.
        size: u64,
    },
    /// Appends stdin to a file that is sent.
    Take {
        /// The file.
        path: PathBuf,
    },
}

/// Does a part.
pub(super) async fn run(part: AtHome) -> Result<u8> {
    match part {
        AtHome::Begin => print(&there::begin().await?.display().to_string())?,
        AtHome::Follow { dir, out, err } => there::follow(&dir, out, err).await?,
        AtHome::Look => look().await?,
        AtHome::Interrupt { dir } => there::interrupt(&dir)?,
        AtHome::Measure { path } => print(&there::measure(&path)?)?,
        AtHome::Give { path, from } => there::give(&path, from)?,
        AtHome::Expect { base, hash, name, size } => print(&there::expect(&base, &hash, &name, size).await?)?,
        AtHome::Take { path } => there::take(&path)?,
        AtHome::Run { .. } => return Err(Error::unexpected("a call is run before this")),
    }
    Ok(exit::DONE)
}

/// Answers what a page on another machine asks, for as long as it asks.
async fn look() -> Result<()> {
    let mut asked = Asked::open();
    let Some(line) = asked.next().await else {
        return Ok(());
    };
    let order: Order =
        serde_json::from_str(&line).map_err(|e| Error::unexpected("cannot understand the order").because(e))?;
    let running = match Running::here(&order) {
        Ok(running) => running,
        Err(error) => return talk::answer(Err(error), &mut asked).await,
    };
    let shown = shown(running.call.config(), order.args.first().map(String::as_str)).await;
    let answered = talk::answer(shown, &mut asked).await;
    running.end(answered.as_ref().map_or_else(Error::exit, |()| exit::DONE));
    answered
}

async fn shown(config: PathBuf, run: Option<&str>) -> Result<Shown> {
    let context = Context {
        config: Some(config),
        here: true,
        printer: Printer::new(true),
    };
    super::serve::shown(run, context.settings()?, &context).await
}

/// Is the process of the call in `dir`: the command that it was told, with its words for the printer of the other side.
pub(super) fn call(dir: &Path) -> ExitCode {
    let running = match Running::enter(dir) {
        Ok(running) => running,
        Err(error) => {
            super::complain(&error);
            return ExitCode::from(error.exit());
        }
    };
    let words = std::iter::once("plexburst").chain(running.call.args.iter().map(String::as_str));
    let code = match Cli::try_parse_from(words) {
        Ok(cli) => super::carry_out(cli, Printer::wire()),
        Err(error) => super::wrong_use(&error),
    };
    running.end(code);
    ExitCode::from(code)
}
