//! Lines that are longer than a terminal is wide, broken between words, so that what belongs together stands together.

/// A column that begins further to the right is no margin.
const MARGIN: usize = 30;
/// The least that is left beside a margin.
const ROOM: usize = 20;

/// `line` in pieces of at most `width`, the later ones below the last of its columns that begins near its left (columns are two
/// spaces apart), else `margin` to the right. A word that is longer, like a path, stays whole, so that it can be copied.
#[must_use]
pub fn folded(line: &str, width: usize, margin: usize) -> Vec<String> {
    if line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    if line.chars().all(|c| c == '─') {
        return vec![line.chars().take(width).collect()];
    }
    let column = column(line).filter(|column| column + ROOM <= width).unwrap_or(margin);
    let at = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let (head, text) = line.split_at(at);
    let pieces = broken(text, width.saturating_sub(column).max(ROOM), false);
    let placed = pieces.iter().enumerate();
    placed
        .map(|(number, piece)| match number {
            0 => format!("{head}{piece}"),
            _ => format!("{:column$}{piece}", ""),
        })
        .collect()
}

/// Where the last column begins that begins near the left.
fn column(line: &str) -> Option<usize> {
    let chars: Vec<char> = line.chars().take(MARGIN + 1).collect();
    (2..chars.len())
        .rev()
        .find(|at| chars[*at] != ' ' && chars[at - 1] == ' ' && chars[at - 2] == ' ')
}

/// `text` in pieces of at most `room`, broken between words; a longer word is cut when `cuts` says so, else stays whole.
pub(super) fn broken(text: &str, room: usize, cuts: bool) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.chars().count() > room {
        let end = rest.char_indices().nth(room).map_or(rest.len(), |(at, _)| at);
        let fits = rest[..end]
            .rfind(' ')
            .or_else(|| rest[end..].starts_with(' ').then_some(end));
        let whole = || rest.find(' ').unwrap_or(rest.len());
        // A space right behind what fits leaves more on this line.
        let at = match fits {
            _ if rest[end..].starts_with(' ') => end,
            Some(at) if at > 0 => at,
            _ if cuts => end,
            _ => whole(),
        };
        pieces.push(rest[..at].trim_end().to_owned());
        rest = rest[at..].trim_start();
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_below_its_column() {
        let line = "passed   home-rights      root may write in /var/lib/x; systemctl as root";
        assert_eq!(
            folded(line, 50, 4),
            [
                "passed   home-rights      root may write in",
                "                          /var/lib/x; systemctl as",
                "                          root",
            ]
        );
        assert_eq!(folded(line, 80, 4), [line]);
        let said = "09:03:29 the same as a page: /var/lib/plexburst/report.html";
        assert_eq!(
            folded(said, 40, 9),
            [
                "09:03:29 the same as a page:",
                "         /var/lib/plexburst/report.html"
            ]
        );
    }

    #[test]
    fn what_can_be_copied_stays_whole_and_nothing_is_lost() {
        let path = "/a".repeat(40);
        assert_eq!(
            folded(&format!("see {path} there"), 30, 4),
            [format!("see {path}"), "    there".to_owned()]
        );
        assert_eq!(folded(&"─".repeat(50), 30, 4), ["─".repeat(30)]);
        let line = "ä ö ü ".repeat(20);
        for width in 1..130 {
            let all: String = folded(&line, width, 4).concat();
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(letters(&all), letters(&line), "{width}");
        }
    }
}
