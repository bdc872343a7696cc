//! The one question that commands ask before they change a library that lies somewhere: shall I? Without a terminal it is
//! an error that names the option.

use std::io::{BufRead, IsTerminal, Write};

use super::Context;
use crate::error::{Error, Result};

/// Returns when the user agreed, by `-y` or by an answer.
pub(super) fn confirm(question: &str, is_agreed: bool, context: &Context) -> Result<()> {
    if is_agreed {
        return Ok(());
    }
    let (input, output) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !output.is_terminal() {
        return Err(
            Error::usage(format!("{question} There is no terminal to ask on")).hint("give -y to agree beforehand")
        );
    }
    context.printer.clear();
    let mut answer = String::new();
    // Nothing else prints while a question is open.
    let asked = write!(output.lock(), "{question} [y/N] ")
        .and_then(|()| output.lock().flush())
        .and_then(|()| input.lock().read_line(&mut answer));
    asked.map_err(|e| {
        Error::usage("cannot ask on this terminal")
            .hint("give -y to agree beforehand")
            .because(e)
    })?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Error::refused("you did not agree; nothing was changed")),
    }
}
