//! Questions to the user. Without a terminal a question is an error that names the option which answers it; nothing else
//! prints while one is open.

use std::io::{BufRead, IsTerminal, Write};

use super::Context;
use crate::error::{Error, Result};

/// Returns when the user agreed, by `-y` or by an answer.
pub(super) fn confirm(question: &str, is_agreed: bool, context: &Context) -> Result<()> {
    confirm_or(question, is_agreed, "give -y to agree beforehand", context)
}

/// The same with the options that agree beforehand.
pub(super) fn confirm_or(question: &str, is_agreed: bool, beforehand: &str, context: &Context) -> Result<()> {
    if is_agreed {
        return Ok(());
    }
    let answer = ask(&format!("{question} [y/N] "), context)?
        .ok_or_else(|| Error::usage(format!("{question} There is no terminal to ask on")).hint(beforehand))?;
    match answer.as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Error::refused("you did not agree; nothing was changed")),
    }
}

/// One line of the user's, trimmed; `None` where there is nobody to ask.
pub(super) fn ask(prompt: &str, context: &Context) -> Result<Option<String>> {
    let (input, output) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !output.is_terminal() {
        return Ok(None);
    }
    context.printer.clear();
    let cannot = |e: std::io::Error| {
        Error::usage("cannot ask on this terminal")
            .hint("give -y to agree beforehand")
            .because(e)
    };
    let mut answer = String::new();
    write!(output.lock(), "{prompt}")
        .and_then(|()| output.lock().flush())
        .map_err(cannot)?;
    if input.lock().read_line(&mut answer).map_err(cannot)? == 0 {
        return Err(Error::usage(
            "the terminal was closed while a question was open; nothing was changed",
        ));
    }
    Ok(Some(answer.trim().to_owned()))
}
