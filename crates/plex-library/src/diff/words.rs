//! A difference in sentences.

use super::{Difference, Files, Only, SectionDifference};

impl Difference {
    /// One line for each thing that differs, the most important first; one line that says so if nothing does.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        if self.same {
            return vec!["Nothing differs.".into()];
        }
        let mut lines = Vec::new();
        for (name, section) in &self.sections {
            lines.extend(section.words().into_iter().map(|words| format!("{name}: {words}")));
        }
        let household = &self.household;
        for (count, one, many) in [
            (
                household.views_added,
                "view added to the history",
                "views added to the history",
            ),
            (
                household.views_removed,
                "view gone from the history",
                "views gone from the history",
            ),
            (
                household.watched,
                "item watched more or less often",
                "items watched more or less often",
            ),
            (
                household.ratings,
                "rating given, changed or taken back",
                "ratings given, changed or taken back",
            ),
            (
                household.offsets,
                "place where somebody stopped is another",
                "places where somebody stopped are others",
            ),
            (
                household.lists_added,
                "playlist or collection added",
                "playlists or collections added",
            ),
            (
                household.lists_removed,
                "playlist or collection gone",
                "playlists or collections gone",
            ),
        ] {
            if count > 0 {
                lines.push(amount(count, one, many));
            }
        }
        for (migrations, side) in [
            (&self.migrations_only_before, "first"),
            (&self.migrations_only_after, "second"),
        ] {
            if let Some(newest) = migrations.last() {
                let count = amount(migrations.len() as u64, "migration", "migrations");
                lines.push(format!("{count} of Plex only in the {side}, the last of them {newest}"));
            }
        }
        lines
    }
}

impl SectionDifference {
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        match self.only {
            Some(Only::Before) => words.push("the section is only in the first".to_owned()),
            Some(Only::After) => words.push("the section is only in the second".to_owned()),
            None => {}
        }
        for (files, what) in [
            (&self.removed, "gone"),
            (&self.trashed, "in the trash"),
            (&self.added, "added"),
            (&self.analysed, "analysed"),
        ] {
            if files.count > 0 {
                words.push(format!(
                    "{} {what}{}",
                    amount(files.count, "file", "files"),
                    examples(files)
                ));
            }
        }
        for (kind, before, after) in [
            ("artists", self.before.artists, self.after.artists),
            ("albums", self.before.albums, self.after.albums),
            ("tracks", self.before.tracks, self.after.tracks),
            ("movies", self.before.movies, self.after.movies),
            ("shows", self.before.shows, self.after.shows),
            ("seasons", self.before.seasons, self.after.seasons),
            ("episodes", self.before.episodes, self.after.episodes),
            ("photos", self.before.photos, self.after.photos),
            ("tracks with Sonic data", self.sonic.0, self.sonic.1),
        ] {
            if before != after {
                words.push(format!("{before} → {after} {kind}"));
            }
        }
        words
    }
}

fn examples(files: &Files) -> String {
    const SHOWN: usize = 3;
    let shown = files
        .first
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let more = if files.count > SHOWN as u64 { ", …" } else { "" };
    format!(" ({shown}{more})")
}

fn amount(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
