//! What would be lost: shown by name and refused, unless each file is proved gone or as many were accepted beforehand.
//!
//! A file is proved gone when it is missing in a second listing and the store, asked for it by name, says that it is not
//! there. That it could not be asked proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use plex_library::losses::{How, Lost};

use super::Guard;
use crate::error::{Error, Result};
use crate::exit;
use crate::media::{self, Media};

/// How many are named in a message; the report has all.
const NAMED: usize = 10;
/// More than this are not proved one by one: so many do not go by themselves.
const PROVED: usize = 200;
/// Questions at once.
const AT_ONCE: usize = 8;

/// Lets `losses` through when each of them is in `gone`, or there are at most `accepted`; gives the lines for the report.
///
/// # Errors
/// A refusal that names them.
pub fn judge(losses: &[Lost], gone: &BTreeSet<String>, accepted: u64) -> Result<Vec<String>> {
    let line = |lost: &Lost, how: &str| format!("{} ({:?} in {}; {how})", lost.file, lost.title, lost.section);
    let lines: Vec<String> = losses
        .iter()
        .map(|lost| match lost.how {
            _ if gone.contains(&lost.file) => line(lost, "proved gone from the media"),
            How::Gone => line(lost, "gone"),
            How::Trashed => line(lost, "in the trash"),
        })
        .collect();
    let unproved: Vec<&String> = losses
        .iter()
        .zip(&lines)
        .filter(|(lost, _)| !gone.contains(&lost.file))
        .map(|(_, line)| line)
        .collect();
    if unproved.len() as u64 <= accepted {
        return Ok(lines);
    }
    let mut named = unproved
        .iter()
        .take(NAMED)
        .map(|line| line.as_str())
        .collect::<Vec<_>>()
        .join("; ");
    if unproved.len() > NAMED {
        named.push_str(&format!("; and {} more", unproved.len() - NAMED));
    }
    Err(Error::new(
        exit::REFUSED,
        format!(
            "{}: {} files that home's library knows would be lost: {named}",
            Guard::NothingLost,
            unproved.len()
        ),
    )
    .hint(format!(
        "bring the files back into the media; or, if they are meant to be gone, `--accept-losses {}`",
        unproved.len()
    )))
}

/// Of the files that a result would lose those that are proved gone; `known` were proved before.
///
/// # Errors
/// The media cannot be asked.
pub async fn gone(
    media: &Media,
    mappings: &media::mappings::Mappings,
    losses: &[Lost],
    known: &[String],
) -> Result<BTreeSet<String>> {
    let mut gone: BTreeSet<String> = known.iter().cloned().collect();
    let open: Vec<(String, String)> = losses
        .iter()
        .filter(|lost| !gone.contains(&lost.file))
        .map(|lost| (mappings.map(&lost.file).into_owned(), lost.file.clone()))
        .collect();
    let asked: Vec<String> = open.iter().map(|(mapped, _)| mapped.clone()).collect();
    let proved: BTreeSet<String> = prove_gone(media, &asked).await?.into_iter().collect();
    gone.extend(
        open.into_iter()
            .filter(|(mapped, _)| proved.contains(mapped))
            .map(|(_, file)| file),
    );
    Ok(gone)
}

/// Of missing files (by the worker's paths) those that are proved gone; none when they are too many.
///
/// # Errors
/// The media cannot be listed or asked.
pub async fn prove_gone(media: &Media, missing: &[String]) -> Result<Vec<String>> {
    if missing.is_empty() || missing.len() > PROVED {
        return Ok(Vec::new());
    }
    // A file lies in the folder that stands for its root; listing that once more is enough.
    let mut by_folder: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for file in missing {
        let Some(root) = media.root_above(file) else {
            continue;
        };
        by_folder.entry(root).or_default().push(file);
    }
    let mut gone = Vec::new();
    for (root, files) in by_folder {
        let listing = match media.list(&root, &mut |_| ()).await {
            Ok(listing) => listing,
            // The whole folder is away: that is no proof of anything.
            Err(media::Error::FolderMissing { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let still: Vec<&String> = files.into_iter().filter(|file| listing.size(file).is_none()).collect();
        let mut asked = futures::stream::iter(still.into_iter().map(async |file| {
            let there = media.by_name(file).await?;
            Ok::<_, media::Error>((file, there))
        }))
        .buffer_unordered(AT_ONCE);
        while let Some(answer) = asked.next().await {
            let (file, there) = answer?;
            if !there {
                gone.push(file.clone());
            }
        }
    }
    gone.sort();
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(file: &str) -> Lost {
        Lost {
            file: file.to_owned(),
            section: "Music".to_owned(),
            title: "T".to_owned(),
            how: How::Trashed,
        }
    }

    #[test]
    fn only_what_is_proved_or_accepted_goes_through() {
        let losses = [lost("/m/1"), lost("/m/2")];
        let none = BTreeSet::new();
        let one = BTreeSet::from(["/m/1".to_owned()]);
        let error = judge(&losses, &none, 1).unwrap_err();
        assert!(
            error.chain().contains("2 files") && error.chain().contains("/m/1"),
            "{}",
            error.chain()
        );
        assert!(error.hint_text().unwrap().contains("--accept-losses 2"));
        let error = judge(&losses, &one, 0).unwrap_err();
        assert!(
            error.chain().contains("1 files") && !error.chain().contains("/m/1"),
            "{}",
            error.chain()
        );
        let lines = judge(&losses, &one, 1).unwrap();
        assert!(lines[0].contains("proved gone") && lines[1].contains("in the trash"));
        assert!(judge(&[], &none, 0).unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_there_again_is_not_gone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("Music/A")).unwrap();
        std::fs::write(dir.path().join("Music/A/1.flac"), "1").unwrap();
        let media = Media::of(&crate::config::Media {
            directory: Some(dir.path().to_owned()),
            roots: [("/m", "Music"), ("/none", "None")]
                .map(|(root, folder)| (root.to_owned(), folder.to_owned()))
                .into(),
            ..Default::default()
        })
        .unwrap();
        let asked = ["/m/A/1.flac", "/m/A/2.flac", "/none/3.flac", "/elsewhere/4.flac"].map(str::to_owned);
        assert_eq!(prove_gone(&media, &asked).await.unwrap(), ["/m/A/2.flac"]);
        let many: Vec<String> = (0..=PROVED).map(|number| format!("/m/{number}.flac")).collect();
        assert!(prove_gone(&media, &many).await.unwrap().is_empty());
    }
}
