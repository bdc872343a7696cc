//! A few lines that are redrawn in their place: the live view of a burst on a terminal.

use std::io::{IsTerminal, Write};

use super::fold::broken;

/// How wide a terminal is taken for that does not say.
const WIDTH: usize = 80;

/// Lines on stderr that the next ones replace.
#[derive(Debug, Default)]
pub struct View {
    drawn: usize,
}

impl View {
    /// One, where there is a terminal to draw on.
    #[must_use]
    pub fn on_terminal() -> Option<Self> {
        std::io::stderr().is_terminal().then(Self::default)
    }

    /// How many columns there are.
    #[must_use]
    pub fn width() -> usize {
        rustix::termios::tcgetwinsize(std::io::stderr())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|width| *width > 0)
            .unwrap_or(WIDTH)
    }

    /// Puts `lines` where the last ones were.
    pub fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}F", self.drawn));
        }
        for line in lines {
            text.push_str("\x1b[2K");
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        // A closed stderr ends nothing.
        drop(std::io::stderr().write_all(text.as_bytes()));
    }
}

/// `text` beside `label`, broken between words so that no line is longer than `width`.
#[must_use]
pub fn labelled(label: &str, text: &str, width: usize) -> Vec<String> {
    const LABEL: usize = 10;
    let room = width.saturating_sub(LABEL + 1).max(20);
    let text: Vec<&str> = text.split_whitespace().collect();
    let lines = broken(&text.join(" "), room, true);
    let label = |number: usize| if number == 0 { label } else { "" };
    let placed = lines.iter().enumerate();
    placed
        .map(|(number, line)| format!("{:<LABEL$} {line}", label(number)).trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        let text = format!(
            "Music: Sonic analysis, 12 of 24, 3 to 5 min to go; waiting for /{} and more",
            "x".repeat(200)
        );
        for width in [40, 80, 120] {
            let lines = labelled("worker", &text, width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
            let joined: String = lines
                .iter()
                .flat_map(|line| line[10..].chars())
                .filter(|c| *c != ' ')
                .collect();
            assert_eq!(joined, text.replace(' ', ""));
        }
        assert_eq!(labelled("worker", "short", 80), ["worker     short"]);
        assert_eq!(labelled("worker", "", 80), ["worker"]);
    }
}
