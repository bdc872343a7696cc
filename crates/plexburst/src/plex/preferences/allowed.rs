//! What Plex may do of its own while a section is analysed: the three modes of `worker.preferences`.
//!
//! A mode is laid over [`super::quiet()`] when the section's scan is over, and taken back when its analysis is, whatever came
//! of it: a scan never runs beside work that nobody asked for. The preferences that delete are in none of them.

use super::super::client::{Client, Error as CallError};
use super::quiet::{self, Outcome};
use crate::config::PreferencesMode;

/// What a preference that lets work on is set to.
const ON: &str = "asap";
/// And afterwards.
const OFF: &str = "never";

/// Of music.
const MUSIC: [&str; 2] = ["LoudnessAnalysisBehavior", "MusicAnalysisBehavior"];

/// Of everything else, each with the butler's task that works through what there is of it: a preference alone starts nothing
/// for items that are there already (facts/plex.md §5.4).
pub const EXTRAS: [(&str, &str); 6] = [
    ("GenerateChapterThumbBehavior", "GenerateChapterThumbs"),
    ("GenerateBIFBehavior", "GenerateMediaIndexFiles"),
    ("GenerateVADBehavior", "ButlerTaskGenerateVoiceActivity"),
    ("GenerateIntroMarkerBehavior", "ButlerTaskGenerateIntroMarkers"),
    ("GenerateCreditsMarkerBehavior", "ButlerTaskGenerateCreditsMarkers"),
    ("GenerateAdMarkerBehavior", "ButlerTaskGenerateAdMarkers"),
];

/// The preferences that a mode lets on while a section is analysed.
#[must_use]
pub fn allowed(mode: PreferencesMode, is_music: bool) -> Vec<&'static str> {
    match (mode, is_music) {
        (PreferencesMode::Quiet, _) | (PreferencesMode::Music, false) => Vec::new(),
        (PreferencesMode::Music | PreferencesMode::Everything, true) => MUSIC.to_vec(),
        (PreferencesMode::Everything, false) => EXTRAS.map(|(name, _)| name).to_vec(),
    }
}

/// Lets these on, one call each, and reads each back.
///
/// # Errors
/// The server does not answer.
pub async fn allow(client: &Client, names: &[&'static str]) -> Result<Outcome, CallError> {
    quiet::set(client, names.iter().map(|name| (*name, ON))).await
}

/// Takes them back.
///
/// # Errors
/// The server does not answer.
pub async fn forbid(client: &Client, names: &[&'static str]) -> Result<Outcome, CallError> {
    quiet::set(client, names.iter().map(|name| (*name, OFF))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_and_kind() {
        for is_music in [true, false] {
            assert!(allowed(PreferencesMode::Quiet, is_music).is_empty());
        }
        assert_eq!(allowed(PreferencesMode::Music, true), MUSIC);
        assert!(allowed(PreferencesMode::Music, false).is_empty());
        assert_eq!(allowed(PreferencesMode::Everything, true), MUSIC);
        assert_eq!(allowed(PreferencesMode::Everything, false).len(), EXTRAS.len());
    }

    #[test]
    fn what_is_let_on_is_off_when_quiet_and_deletes_nothing() {
        let modes = [PreferencesMode::Music, PreferencesMode::Everything];
        for name in modes
            .into_iter()
            .flat_map(|mode| [allowed(mode, true), allowed(mode, false)])
            .flatten()
        {
            assert!(quiet::all().any(|pair| pair == (name, OFF)), "{name}");
            assert!(
                super::super::OFF.iter().all(|(deleting, _)| *deleting != name),
                "{name}"
            );
        }
    }
}
