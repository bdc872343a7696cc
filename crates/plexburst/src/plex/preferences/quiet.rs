//! Quiet: whatever Plex does by itself in the background is off, so that the worker does one thing at a time and what
//! a section's activity means is plain. What a burst wants it starts itself.
//!
//! Set twice: in the file before the first start, and through the server when it is up, since only that tells which
//! of the names this version knows.

use super::super::client::{Client, Error as CallError, Kind};
use super::deleting;

/// Background work, schedules, watching of folders (facts §5.4, 1.43.4).
const BACKGROUND: [(&str, &str); 32] = [
    ("FSEventLibraryUpdatesEnabled", "0"),
    ("FSEventLibraryPartialScanEnabled", "0"),
    ("watchMusicSections", "0"),
    ("ScheduledLibraryUpdatesEnabled", "0"),
    ("GenerateBIFBehavior", "never"),
    ("GenerateChapterThumbBehavior", "never"),
    ("LoudnessAnalysisBehavior", "never"),
    ("MusicAnalysisBehavior", "never"),
    ("GenerateIntroMarkerBehavior", "never"),
    ("GenerateCreditsMarkerBehavior", "never"),
    ("GenerateAdMarkerBehavior", "never"),
    ("GenerateVADBehavior", "never"),
    ("BackgroundQueueIdlePaused", "1"),
    ("ButlerTaskBackupDatabase", "0"),
    ("ButlerTaskOptimizeDatabase", "0"),
    ("ButlerTaskCleanOldCacheFiles", "0"),
    ("ButlerTaskCleanSupplementalLogFiles", "0"),
    ("ButlerTaskRefreshLocalMedia", "0"),
    ("ButlerTaskRefreshLibraries", "0"),
    ("ButlerTaskRefreshPeriodicMetadata", "0"),
    ("ButlerTaskRefreshEpgGuides", "0"),
    ("ButlerTaskUpgradeMediaAnalysis", "0"),
    ("ButlerTaskDeepMediaAnalysis", "0"),
    ("ButlerTaskGenerateMediaIndexFiles", "0"),
    ("ButlerTaskGenerateIntroMarkers", "0"),
    ("ButlerTaskGenerateCreditsMarkers", "0"),
    ("ButlerTaskGenerateAdMarkers", "0"),
    ("ButlerTaskGenerateVoiceActivity", "0"),
    ("ButlerUpdateChannel", ""),
    ("DlnaEnabled", "0"),
    ("GdmEnabled", "0"),
    ("sendCrashReports", "0"),
];

/// The butler's window of one hour, twelve hours from the local hour: a night task that is on after all has half a
/// day to be noticed in.
#[must_use]
fn butler_window(local_hour: i8) -> [(&'static str, String); 2] {
    let start = (i32::from(local_hour) + 12).rem_euclid(24);
    [
        ("ButlerStartHour", start.to_string()),
        ("ButlerEndHour", ((start + 1) % 24).to_string()),
    ]
}

/// Everything that is set on a worker besides the butler's window: deleting off, background work off.
pub(super) fn all<'a>() -> impl Iterator<Item = (&'a str, &'a str)> {
    deleting::OFF.into_iter().chain(BACKGROUND)
}

/// What became of the preferences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Set and read back.
    pub set: usize,
    /// Names that this version of Plex lacks.
    pub unknown: Vec<String>,
    /// Names that kept another value: (name, value).
    pub kept: Vec<(String, String)>,
}

/// Sets every one of them, one call each, and reads each back.
///
/// A name that the version lacks is collected, not an error. Deleting preferences are [`deleting::forbid_deleting`]'s
/// business and must have been turned off before.
///
/// # Errors
/// The server does not answer.
pub async fn quiet(client: &Client, local_hour: i8) -> Result<Outcome, CallError> {
    let window = butler_window(local_hour);
    let window = window.iter().map(|(name, value)| (*name, value.as_str()));
    set(client, all().chain(window)).await
}

/// Sets these, one call each, and reads each back.
pub(super) async fn set<'a>(
    client: &Client,
    preferences: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Outcome, CallError> {
    let mut outcome = Outcome::default();
    for (name, value) in preferences {
        match client.set_preference(name, value).await {
            Err(error) if matches!(error.kind, Kind::BadRequest(_) | Kind::Forbidden(_) | Kind::NotFound) => {
                outcome.unknown.push(name.to_owned());
                continue;
            }
            other => other?,
        }
        match client.preference(name).await? {
            Some(setting) if setting.is(value) => outcome.set += 1,
            Some(setting) => outcome.kept.push((name.to_owned(), setting.value)),
            None => outcome.unknown.push(name.to_owned()),
        }
    }
    Ok(outcome)
}

impl Outcome {
    /// What of it a person should know, each in a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let unknown =
            (!self.unknown.is_empty()).then(|| format!("this version has no preference {}", self.unknown.join(", ")));
        let kept = self.kept.iter();
        let kept =
            kept.map(|(name, value)| format!("warning: the preference {name} of the worker's Plex stays at {value}"));
        unknown.into_iter().chain(kept).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plex::canned::{Answer, Canned};
    use crate::plex::client::Address;

    #[test]
    fn the_window_is_half_a_day_away_and_no_name_stands_twice() {
        assert_eq!(
            butler_window(15),
            [("ButlerStartHour", "3".into()), ("ButlerEndHour", "4".into())]
        );
        assert_eq!(
            butler_window(11),
            [("ButlerStartHour", "23".into()), ("ButlerEndHour", "0".into())]
        );
        let names: BTreeSet<_> = all().map(|(name, _)| name).collect();
        assert_eq!(names.len(), all().count());
    }

    #[tokio::test]
    async fn one_call_each_read_back_and_unknown_names_collected() {
        let server = Canned::start(|request| {
            let unknown = request.target.contains("GenerateVADBehavior");
            let (_, name) = request.target.rsplit_once(['?', '=']).unwrap();
            match request.method.as_str() {
                "PUT" if unknown => Answer::new(400, "<h1>400 Bad Request</h1>"),
                "PUT" => Answer::new(200, ""),
                // Every value as it was asked for, but for one that is kept.
                _ if name == "DlnaEnabled" => {
                    Answer::json(r#"{"MediaContainer":{"Setting":[{"id":"DlnaEnabled","type":"bool","value":true}]}}"#)
                }
                _ => {
                    let value = all().find(|(id, _)| *id == name).map_or("3", |(_, value)| value);
                    let value = if name == "ButlerEndHour" { "4" } else { value };
                    let json = format!(
                        r#"{{"MediaContainer":{{"Setting":[{{"id":"{name}","type":"text","value":"{value}"}}]}}}}"#
                    );
                    Answer::json(json)
                }
            }
        })
        .await;
        let client = Client::new("worker", &Address::Http(server.base()), None).unwrap();
        let outcome = quiet(&client, 15).await.unwrap();
        assert_eq!(outcome.unknown, ["GenerateVADBehavior"]);
        assert_eq!(outcome.kept, [("DlnaEnabled".to_owned(), "1".to_owned())]);
        assert_eq!(outcome.set, all().count());
        let puts: Vec<_> = server
            .asked()
            .into_iter()
            .filter(|request| request.method == "PUT")
            .collect();
        assert!(puts.iter().all(|request| !request.target.contains('&')));
    }
}
