//! This machine's side of a call: shows what it says there, passes an interruption on, and comes back to it when the
//! connection was lost.

use super::machine::Machine;
use super::order::{Frame, Order};
use super::settle::LateClaim;
use crate::error::{Error, Result};
use crate::exit;
use crate::signal::{Ear, Heard};
use crate::term::Printer;
use crate::term::wire::Said;

/// So often in a row may a connection be made and nothing come of it.
const IN_VAIN: u32 = 5;

/// How a look at a call ended.
enum Turn {
    Ended(u8),
    Killed,
    /// The connection, or the program that reads there.
    Cut,
    /// The user wants it to end.
    Interrupted,
    /// The user goes, or the terminal is gone.
    Left,
}

/// What was shown so far, and what is still to be sent.
struct Seen {
    claim: Option<LateClaim>,
    out: u64,
    err: u64,
    /// Looks that brought nothing at all.
    in_vain: u32,
}

/// Has `order` carried out; its results go to `result` as they come, and a `claim` that is issued meanwhile goes there.
/// Gives its exit code.
///
/// # Errors
/// It could not be begun; the connection could not be made again; it was killed there; the user left it.
pub async fn carry_out(
    machine: &mut Machine,
    order: &Order,
    claim: Option<LateClaim>,
    printer: &Printer,
    result: &mut (dyn FnMut(&str) -> Result<()> + Send),
) -> Result<u8> {
    let mut ear = Ear::open();
    let dir = machine.begin(order).await?;
    let mut seen = Seen {
        claim,
        out: 0,
        err: 0,
        in_vain: 0,
    };
    let mut was_asked = false;
    loop {
        match watch(machine, &dir, &mut seen, &mut ear, printer, result).await? {
            Turn::Ended(code) => {
                printer.clear();
                return Ok(code);
            }
            Turn::Killed => {
                return Err(goes_on("the command was killed on", machine)
                    .hint("`plexburst status` shows where a burst stands, `plexburst resume` goes on with it"));
            }
            Turn::Interrupted if !was_asked => {
                was_asked = true;
                printer.say(&format!(
                    "            asking {} to end it; once more leaves it alone",
                    machine.name()
                ));
                if let Err(error) = machine.at_home(&["interrupt", &dir]).await {
                    printer.warn(&error.chain());
                    was_asked = false;
                }
            }
            Turn::Interrupted | Turn::Left => {
                return Err(goes_on("left alone; the command goes on on", machine)
                    .hint("`plexburst attach` shows a burst again, `plexburst status` where it stands"));
            }
            Turn::Cut => {
                seen.in_vain += 1;
                if seen.in_vain > IN_VAIN {
                    return Err(goes_on("what a command says cannot be read any more from", machine)
                        .hint("`plexburst attach` tries again; what was begun goes on there"));
                }
                // Ctrl-C ends what reads there as well, and the connection stays.
                if machine.host().is_connected().await {
                    continue;
                }
                machine.reach_again(&mut ear).await.map_err(|error| {
                    goes_on(
                        "the connection could not be made again; the command goes on on",
                        machine,
                    )
                    .hint("`plexburst attach` shows a burst again when it can be reached")
                    .because(error.chain())
                })?;
            }
        }
    }
}

fn goes_on(what: &str, machine: &Machine) -> Error {
    Error::new(exit::RESUMABLE, format!("{what} {}", machine.name()))
}

async fn watch(
    machine: &Machine,
    dir: &str,
    seen: &mut Seen,
    ear: &mut Ear,
    printer: &Printer,
    result: &mut (dyn FnMut(&str) -> Result<()> + Send),
) -> Result<Turn> {
    let (out, err) = (seen.out.to_string(), seen.err.to_string());
    let arguments = ["at-home", "follow", dir, &out, &err];
    let Ok(mut lines) = machine.host().lines(machine.program(), &arguments).await else {
        return Ok(Turn::Cut);
    };
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            heard = ear.next() => return Ok(match heard {
                Heard::End => Turn::Interrupted,
                Heard::HungUp => Turn::Left,
            }),
        };
        let Some(line) = line else { return Ok(Turn::Cut) };
        // A line that was cut in the middle is followed by nothing more.
        let Ok(frame) = serde_json::from_str(&line) else {
            continue;
        };
        seen.in_vain = 0;
        if let Some((path, text)) = seen.claim.as_mut().and_then(LateClaim::news)
            && let Err(error) = machine.host().write(&path, "600", text.as_bytes()).await
        {
            printer.warn(&error.chain());
        }
        match frame {
            Frame::Err { text, upto } => {
                seen.err = upto;
                for line in text.lines() {
                    printer.relay(Said::of_line(line));
                }
            }
            Frame::Out { text, upto } => {
                seen.out = upto;
                printer.clear();
                result(&text)?;
            }
            Frame::Alive => {}
            Frame::Ended(code) => return Ok(Turn::Ended(code)),
            Frame::Gone => return Ok(Turn::Killed),
        }
    }
}
