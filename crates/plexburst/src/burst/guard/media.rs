//! Guards on the media before anything: the roots, the files, their times, and what mounts them. The survey has looked;
//! here it is judged.

use futures::StreamExt as _;

use super::survey::{Survey, Timed};
use super::{Finding, Guard, some};
use crate::error::Result;
use crate::media::{self, Media};

/// Of a section's files, in percent, as many may be proved gone without a word of the user's: more are not deleted files
/// but a wrong folder.
const GONE: u64 = 5;
/// Of the sampled times, in percent, as many may differ: files that were replaced.
const OTHER_TIMES: usize = 20;
/// Questions at once.
const AT_ONCE: usize = 8;
/// Offers that a hint writes out.
const OFFERED: usize = 3;

/// Every root of every section must exist in the media, also of sections that are not to be indexed: Plex on the worker
/// would take their files for gone.
pub(super) fn roots_exist(media: &Media, survey: &Survey) -> Finding {
    let guard = Guard::RootsExist;
    let absent: Vec<_> = survey.absent_roots().collect();
    let count: usize = survey.sections.iter().map(|section| section.roots.len()).sum();
    let Some((_, first)) = absent.first() else {
        return Finding::passed(
            guard,
            format!("{count} section roots have a folder in {}", media.name()),
        );
    };
    let told = absent.iter().map(|(section, root)| {
        let why = root.problem.as_deref().unwrap_or_default();
        format!("{} of section {section:?}: {why}", root.path)
    });
    let evidence = told.collect::<Vec<_>>().join("; ");
    let moved = survey.moves.offers.iter().find(|offer| offer.from == first.mapped);
    let hint = match (moved, media.folder_of(&first.mapped)) {
        (Some(offer), Ok(_)) => match media.folder_of(&offer.to) {
            Ok(folder) => format!(
                "its files lie in {folder:?}: set \"{}\" = \"{folder}\" in `media.roots`; or, when home has them there as \
                 well, {}",
                first.path,
                mapping(&offer.from, &offer.to)
            ),
            Err(_) => mapping(&offer.from, &offer.to),
        },
        _ => first.hint.clone().unwrap_or_default(),
    };
    Finding::refused(guard, evidence, hint)
}

/// What the library knows is in the media, or is proved gone, or was given up beforehand.
pub(super) fn files_found(survey: &Survey, accepted: u64) -> Finding {
    let guard = Guard::FilesFound;
    let (present, missing) = (survey.present_files(), survey.missing_files());
    let new: u64 = survey.sections.iter().map(|section| section.new).sum();
    let changed: u64 = survey.sections.iter().map(|section| section.changed).sum();
    let outside: u64 = survey.sections.iter().map(|section| section.outside).sum();
    let mut evidence = format!("{present} known files are in the media, {new} files there are not in the library yet");
    for (count, what) in [
        (changed, "were replaced by others"),
        (outside, "lie outside of every root and are left alone"),
    ] {
        if count > 0 {
            evidence.push_str(&format!("; {count} {what}"));
        }
    }
    if missing == 0 {
        return Finding::passed(guard, evidence);
    }
    let evidence = format!(
        "{missing} of {} files that the library knows are not in the media: {}",
        missing + present,
        some(survey.missing.iter().map(String::as_str))
    );
    let gone = survey.gone.len() as u64;
    if gone == missing && gone * 100 <= (present + missing) * GONE {
        let hint = "they are proved gone: missing in two listings, and the store says so of each by name; they leave the \
                    library";
        return Finding::warned(guard, evidence, hint);
    }
    if missing <= accepted {
        return Finding::warned(guard, evidence, format!("let through by `--accept-losses {accepted}`"));
    }
    Finding::refused(guard, evidence, remedies(survey, missing).join("; "))
}

/// What to do about missing files, what helps most first.
fn remedies(survey: &Survey, missing: u64) -> Vec<String> {
    let mut remedies: Vec<String> = survey
        .moves
        .offers
        .iter()
        .take(OFFERED)
        .map(|offer| {
            format!(
                "{} of them ({} %) were moved: {}",
                offer.files,
                offer.files * 100 / missing.max(1),
                mapping(&offer.from, &offer.to)
            )
        })
        .collect();
    if survey.moves.offers.len() > OFFERED {
        remedies.push(format!(
            "{} more folders were moved: `plexburst plan` lists them",
            survey.moves.offers.len() - OFFERED
        ));
    }
    if let Some(doubt) = survey.moves.doubts.first() {
        remedies.push(format!("no mapping is offered for {}: {}", doubt.folder, doubt.why));
    }
    if let Some(other) = survey.respelled.first() {
        remedies.push(format!(
            "{} are there under another spelling, as {:?} ({}): {}",
            survey.respelled.len(),
            other.there,
            other.how.word(),
            other.how.remedy()
        ));
    }
    if remedies.is_empty() {
        remedies.push("check `media.roots`".to_owned());
    }
    remedies.push(format!(
        "if the files are meant to be gone, `--accept-losses {missing}`"
    ));
    remedies
}

/// A mapping as the configuration has it.
pub(super) fn mapping(from: &str, to: &str) -> String {
    format!("`[[media.mappings]]` from = {from:?}, to = {to:?}, kind = \"permanent\"")
}

/// Plex tells by its time that a file has not changed: with other times it analyses everything again.
pub(super) async fn file_times(media: &Media, timed: &[Timed]) -> Result<Finding> {
    let guard = Guard::FileTimes;
    if timed.is_empty() {
        return Ok(Finding::not_applicable(guard, "no known file to compare"));
    }
    let asked = timed
        .iter()
        .map(async |file| Ok::<_, media::Error>((file, media.stat(&file.path).await?)));
    let mut asked = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut other = Vec::new();
    while let Some(answer) = asked.next().await {
        let (file, stat) = answer?;
        // One that went meanwhile is another guard's.
        if let Some(stat) = stat
            && stat.changed_at != file.changed_at
        {
            other.push((file, stat.changed_at));
        }
    }
    let found = other
        .iter()
        .map(|(file, there)| (file.path.as_str(), *there, file.changed_at));
    Ok(match differing(timed.len(), found.collect(), "in the media") {
        Times::Same(evidence) => Finding::passed(guard, evidence),
        Times::Other(evidence) => Finding::warned(guard, evidence, OTHER),
    })
}

/// What to do when the media have other times than the library.
const OTHER: &str = "Plex will analyse such files again: mount home's media with the options by which times are the same on both \
                     sides (with rclone on S3, with or without --use-server-modtime on both)";

/// A file that was read through the worker's mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnMount {
    /// As the worker has it.
    pub(crate) path: String,
    /// Its time as the library knows it, in seconds.
    pub(crate) known: i64,
    /// As the mount shows it.
    pub(crate) shown: i64,
}

/// The times that the worker's mount shows, before a scan. The user has been told beforehand when the media have other times
/// than the library; a mount that shows others than the media have would cost hours for nothing.
pub(crate) async fn times_on_mount(media: &media::Opened, seen: &[OnMount]) -> Finding {
    let mut stored = Vec::new();
    for file in seen.iter().filter(|file| file.shown != file.known) {
        // A store that cannot be asked does not speak against the mount.
        let there = media.stat(&file.path).await.ok().flatten();
        stored.push(there.map_or(file.shown, |stat| stat.changed_at));
    }
    judge_times(seen, &stored)
}

/// `stored`: the times that the store has of the files that the mount shows with other times than the library's, in order.
fn judge_times(seen: &[OnMount], stored: &[i64]) -> Finding {
    let guard = Guard::FileTimes;
    if seen.is_empty() {
        return Finding::not_applicable(guard, "no known file to compare");
    }
    let other: Vec<_> = seen.iter().filter(|file| file.shown != file.known).collect();
    let wrong = other
        .iter()
        .zip(stored)
        .filter(|(file, stored)| **stored == file.known)
        .count();
    let found = other.iter().map(|file| (file.path.as_str(), file.shown, file.known));
    match differing(seen.len(), found.collect(), "on the worker's mount") {
        Times::Same(evidence) => Finding::passed(guard, evidence),
        Times::Other(evidence) if wrong * 2 > other.len() => Finding::refused(
            guard,
            format!(
                "{evidence}; the store itself has the library's: the mount is wrong, and Plex would analyse everything again"
            ),
            "take what changes times away from the worker's rclone (RCLONE_NO_MODTIME, RCLONE_USE_SERVER_MODTIME, another \
             rclone in `media.rclone`), then `plexburst resume`",
        ),
        Times::Other(evidence) => Finding::warned(guard, evidence, OTHER),
    }
}

/// Sampled times, held against the library's.
enum Times {
    /// But for a few files that were replaced.
    Same(String),
    Other(String),
}

/// `other`: path, the time that was found, the library's.
fn differing(of: usize, other: Vec<(&str, i64, i64)>, place: &str) -> Times {
    let Some((path, found, known)) = other.first() else {
        return Times::Same(format!("{of} sampled files have the library's times {place}"));
    };
    let evidence = format!(
        "{} of {of} sampled files have other times {place} than in the library, as {path} ({} there, {} in the library)",
        other.len(),
        time(*found),
        time(*known)
    );
    if other.len() * 100 <= of * OTHER_TIMES {
        Times::Same(evidence)
    } else {
        Times::Other(evidence)
    }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::super::survey::{Root, SectionSurvey};
    use super::*;

    fn survey(present: u64, missing: u64) -> Survey {
        Survey {
            sections: vec![SectionSurvey {
                id: 1,
                name: "TV".to_owned(),
                roots: vec![Root {
                    path: "/tv".to_owned(),
                    mapped: "/tv".to_owned(),
                    folder: Some("TV".to_owned()),
                    files: present,
                    problem: None,
                    hint: None,
                }],
                present,
                missing,
                changed: 0,
                new: 3,
                new_bytes: 30,
                outside: 0,
                scan: None,
            }],
            missing: (0..missing).map(|number| format!("/tv/{number}.mkv")).collect(),
            ..Survey::default()
        }
    }

    #[test]
    fn missing_files_are_refused_by_name_unless_they_are_proved_gone_or_given_up() {
        assert_eq!(files_found(&survey(10, 0), 0).outcome, Outcome::Passed);
        let refused = files_found(&survey(97, 3), 2);
        assert_eq!(refused.outcome, Outcome::Refused);
        assert!(refused.evidence.contains("3 of 100") && refused.evidence.contains("/tv/0.mkv"));
        assert!(refused.hint.unwrap().contains("--accept-losses 3"));
        assert_eq!(files_found(&survey(97, 3), 3).outcome, Outcome::Warned);
        let mut proved = survey(97, 3);
        proved.gone = proved.missing.clone();
        assert_eq!(files_found(&proved, 0).outcome, Outcome::Warned);
        proved.gone.pop();
        assert_eq!(files_found(&proved, 0).outcome, Outcome::Refused);
        // A wrong folder has everything proved gone.
        let mut empty = survey(1, 20);
        empty.gone = empty.missing.clone();
        assert_eq!(files_found(&empty, 0).outcome, Outcome::Refused);
    }

    #[test]
    fn times_on_a_mount() {
        let file = |number: i64, shown: i64| OnMount {
            path: format!("/tv/{number}.mkv"),
            known: 1_000_000 + number,
            shown,
        };
        let right: Vec<_> = (0..12).map(|number| file(number, 1_000_000 + number)).collect();
        assert_eq!(judge_times(&[], &[]).outcome, Outcome::NotApplicable);
        assert_eq!(judge_times(&right, &[]).outcome, Outcome::Passed);
        // Two of twelve were replaced.
        let mut some = right.clone();
        (some[1].shown, some[5].shown) = (7, 8);
        assert_eq!(judge_times(&some, &[7, 8]).outcome, Outcome::Passed);
        let wrong: Vec<_> = (0..12).map(|number| file(number, 77)).collect();
        // As the store has them: home was told.
        assert_eq!(judge_times(&wrong, &[77; 12]).outcome, Outcome::Warned);
        let library: Vec<i64> = wrong.iter().map(|file| file.known).collect();
        let refused = judge_times(&wrong, &library);
        assert_eq!(refused.outcome, Outcome::Refused);
        assert!(
            refused.evidence.contains("12 of 12") && refused.evidence.contains("/tv/0.mkv"),
            "{}",
            refused.evidence
        );
        assert!(refused.hint.unwrap().contains("RCLONE_NO_MODTIME"));
    }

    #[test]
    fn a_refusal_says_what_helps() {
        let mut moved = survey(90, 10);
        moved.moves.offers.push(media::moves::Offer {
            from: "/tv/A".to_owned(),
            to: "/tv/B".to_owned(),
            files: 9,
            bytes: 9,
        });
        moved.respelled.push(media::compare::Respelled {
            known: "/tv/0.mkv".to_owned(),
            there: "/tv/o.mkv".to_owned(),
            how: media::compare::Spelling::Case,
        });
        let hint = files_found(&moved, 0).hint.unwrap();
        for words in [
            "9 of them (90 %)",
            "from = \"/tv/A\"",
            "another spelling",
            "--accept-losses 10",
        ] {
            assert!(hint.contains(words), "{words}: {hint}");
        }
    }
}
