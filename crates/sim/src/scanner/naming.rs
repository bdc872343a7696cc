//! What the names of video files and their folders say.

/// A film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Movie {
    pub(super) title: String,
    pub(super) year: Option<i64>,
}

/// An episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Episode {
    pub(super) show: String,
    pub(super) year: Option<i64>,
    pub(super) season: i64,
    pub(super) episode: i64,
    /// What stands behind the number, when anything does.
    pub(super) title: Option<String>,
}

/// `Title (Year) {tmdb-1}/Title (Year).mkv` or `Title (Year).mkv`; the path is relative to the section's root.
pub(super) fn movie(path: &str) -> Movie {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (title, year) = title_and_year(stem(name));
    let folder = folder.rsplit('/').next().unwrap_or_default();
    // The folder knows better when it has a year and the file has none.
    match title_and_year(folder) {
        (folder_title, Some(folder_year)) if year.is_none() => Movie {
            title: folder_title,
            year: Some(folder_year),
        },
        _ => Movie { title, year },
    }
}

/// `Show (Year)/Season 1/Show - S01E02 - Title.mkv`, also `1x02`; `None` when no number is found.
pub(super) fn episode(path: &str) -> Option<Episode> {
    let name = stem(path.rsplit('/').next().unwrap_or(path));
    let (start, season, episode, end) = numbers(name)?;
    let folder = path.split_once('/').map(|(folder, _)| folder);
    let before = name[..start].trim_end_matches([' ', '-', '.', '_']);
    let (show, year) = title_and_year(folder.unwrap_or(before));
    let title = name[end..].trim_matches([' ', '-', '.', '_']);
    Some(Episode {
        show,
        year,
        season,
        episode,
        title: (!title.is_empty()).then(|| title.to_owned()),
    })
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Takes `(1999)` and `{tmdb-1}` off.
fn title_and_year(text: &str) -> (String, Option<i64>) {
    let text = text.split('{').next().unwrap_or_default();
    let year = text.rfind('(').and_then(|at| {
        let digits = text.get(at + 1..at + 5)?;
        (text.get(at + 5..at + 6) == Some(")"))
            .then(|| digits.parse().ok())
            .flatten()
            .map(|year| (at, year))
    });
    match year {
        Some((at, year)) if at > 0 => (text[..at].trim().to_owned(), Some(year)),
        _ => (text.trim().to_owned(), None),
    }
}

/// Where `S01E02` or `1x02` begins, its numbers, and where it ends.
fn numbers(name: &str) -> Option<(usize, i64, i64, usize)> {
    let bytes = name.as_bytes();
    let digits = |from: usize| {
        let end = bytes[from..]
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .map_or(bytes.len(), |length| from + length);
        // Not a number, and perhaps the middle of a character, when it does not begin with a digit.
        name.get(from..end)?.parse::<i64>().ok().map(|number| (number, end))
    };
    for start in 0..bytes.len() {
        let is_word_start = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
        if !is_word_start {
            continue;
        }
        let (from, separators): (usize, &[u8]) = if bytes[start].eq_ignore_ascii_case(&b's') {
            (start + 1, b"eE")
        } else {
            (start, b"xX")
        };
        if from < bytes.len()
            && let Some((season, middle)) = digits(from)
            && bytes.get(middle).is_some_and(|byte| separators.contains(byte))
            && let Some((episode, end)) = bytes.get(middle + 1).and_then(|_| digits(middle + 1))
        {
            return Some((start, season, episode, end));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(title: &str, year: Option<i64>) -> Movie {
        Movie {
            title: title.to_owned(),
            year,
        }
    }

    #[test]
    fn films() {
        let path = "The Family Plan (2023) {tmdb-1029575} {imdb-tt1}/The Family Plan (2023).mkv";
        assert_eq!(movie(path), film("The Family Plan", Some(2023)));
        assert_eq!(
            movie("Tears Of Steel {tvdb-37711}/Tears Of Steel.mkv"),
            film("Tears Of Steel", None)
        );
        assert_eq!(movie("Alien (1979)/cd1.mkv"), film("Alien", Some(1979)));
        assert_eq!(movie("(500) Days.mkv"), film("(500) Days", None));
    }

    #[test]
    fn episodes() {
        let found = episode("Doctor Who (2005) {tvdb-78804}/Season 1/S01E04.mkv").unwrap();
        assert_eq!(
            (found.show.as_str(), found.year, found.season, found.episode),
            ("Doctor Who", Some(2005), 1, 4)
        );
        assert_eq!(found.title, None);
        let found = episode("Blender/Blender - s02e13 - The Title.mkv").unwrap();
        assert_eq!(
            (found.season, found.episode, found.title.as_deref()),
            (2, 13, Some("The Title"))
        );
        let found = episode("Show 3x07.avi").unwrap();
        assert_eq!((found.show.as_str(), found.season, found.episode), ("Show", 3, 7));
        assert_eq!(episode("Show/Übung s.mkv"), None);
        assert_eq!(episode("Show/12.mkv"), None);
        assert_eq!(episode("Show/S01E.mkv"), None);
    }
}
