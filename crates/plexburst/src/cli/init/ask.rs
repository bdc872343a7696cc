//! Asking with a default, and doing without.

use super::super::{Context, confirm};
use crate::error::{Error, Result};

/// Who is asked.
pub(super) struct Ask<'a> {
    /// Take every default.
    is_agreed: bool,
    context: &'a Context,
}

impl<'a> Ask<'a> {
    pub(super) fn new(is_agreed: bool, context: &'a Context) -> Self {
        Self { is_agreed, context }
    }

    /// One line that is no question.
    pub(super) fn say(&self, text: &str) {
        self.context.printer.say(text);
    }

    /// A text; `option` answers it where nobody can be asked.
    pub(super) fn text(&self, question: &str, default: Option<&str>, option: &str) -> Result<String> {
        if self.is_agreed
            && let Some(default) = default
        {
            return Ok(default.to_owned());
        }
        let shown = default.map_or_else(String::new, |default| format!(" [{default}]"));
        loop {
            let Some(answer) = confirm::ask(&format!("{question}{shown}: "), self.context)? else {
                return Err(
                    Error::usage(format!("{question}? There is no terminal to ask on")).hint(match default {
                        Some(_) => format!("{option} answers it; -y takes what was found"),
                        None => format!("{option} answers it"),
                    }),
                );
            };
            match (answer.as_str(), default) {
                ("", Some(default)) => return Ok(default.to_owned()),
                ("", None) => {}
                _ => return Ok(answer),
            }
        }
    }

    /// A text that may be left out: also by having nobody to ask.
    pub(super) fn text_or_nothing(&self, question: &str) -> Result<String> {
        if self.is_agreed {
            return Ok(String::new());
        }
        Ok(confirm::ask(&format!("{question}: "), self.context)?.unwrap_or_default())
    }

    /// One of several, by its number.
    pub(super) fn choose(&self, question: &str, names: &[String], option: &str) -> Result<usize> {
        if let [_] = names
            && self.is_agreed
        {
            return Ok(0);
        }
        let mut list = String::new();
        for (index, name) in names.iter().enumerate() {
            list.push_str(&format!("  {}  {name}\n", index + 1));
        }
        loop {
            let Some(answer) = confirm::ask(&format!("{question}\n{list}number: "), self.context)? else {
                return Err(Error::usage(format!("{question} There is no terminal to ask on"))
                    .hint(format!("{option} answers it; there are {}", names.join("; "))));
            };
            if let Some(index) = answer
                .parse::<usize>()
                .ok()
                .and_then(|n| n.checked_sub(1))
                .filter(|i| *i < names.len())
            {
                return Ok(index);
            }
        }
    }
}
