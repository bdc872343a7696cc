//! Where the files are, and which folder of them stands for which section root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ask::Ask;
use crate::error::{Error, Result};
use crate::media::rclone_conf;
use crate::media::remote::Remote;

/// The media as the file will name them.
pub(super) enum Place {
    Remote {
        name: String,
        /// Where it is not rclone's own default.
        config: Option<PathBuf>,
    },
    Directory(PathBuf),
}

/// Whether a remote of rclone is named: its name has no slash, and a path of a folder may hold a colon.
pub(super) fn is_remote(text: &str) -> bool {
    !text.starts_with(['/', '.'])
        && text
            .split_once(':')
            .is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'))
}

/// The place that was named, or one of those that rclone knows; by its own configuration, or by the file `config`.
pub(super) fn place(given: Option<&str>, config: Option<PathBuf>, ask: &Ask<'_>) -> Result<Place> {
    let named = |text: &str| -> Result<Place> {
        if is_remote(text) {
            return Ok(Place::Remote {
                name: text.to_owned(),
                config: config.clone(),
            });
        }
        let dir =
            std::path::absolute(text).map_err(|e| Error::usage(format!("cannot tell where {text} is")).because(e))?;
        if !dir.is_dir() {
            return Err(Error::usage(format!("there is no folder {}", dir.display()))
                .hint("--media names a folder, or `remote:path` of rclone"));
        }
        Ok(Place::Directory(dir))
    };
    if let Some(text) = given {
        return named(text);
    }
    let remotes = remotes(config.as_deref());
    if remotes.is_empty() {
        return named(&ask.text(
            "where are the files (a folder, or remote:path of rclone)",
            None,
            "--media",
        )?);
    }
    let mut names: Vec<String> = remotes.iter().map(|name| format!("{name}: (rclone)")).collect();
    names.push("a folder of this machine".to_owned());
    let chosen = ask.choose("where are the files?", &names, "--media")?;
    match remotes.get(chosen) {
        Some(remote) => named(&format!(
            "{remote}:{}",
            ask.text_or_nothing(&format!("bucket or folder in {remote}: (empty: all of it)"))?
        )),
        None => named(&ask.text("the folder", None, "--media")?),
    }
}

/// The remotes of the `rclone.conf` beside the configuration, else of rclone's own.
fn remotes(beside: Option<&Path>) -> Vec<String> {
    let own = || {
        let said = Command::new("rclone")
            .args(["config", "file"])
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        text.lines().last().map(|line| PathBuf::from(line.trim()))
    };
    let path = beside.map(Path::to_path_buf).or_else(own);
    let text = path
        .and_then(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    rclone_conf::remotes(&text)
}

/// The folder for each root: as given, else the one that is called like the end of the root, confirmed.
pub(super) async fn roots(
    place: &Place,
    roots: &[String],
    given: &[(String, String)],
    ask: &Ask<'_>,
) -> Result<Vec<(String, Option<String>)>> {
    if let Some((root, _)) = given.iter().find(|(root, _)| !roots.contains(root)) {
        return Err(Error::usage(format!("no section of home has the root {root}"))
            .hint(format!("the roots are {}", roots.join(", "))));
    }
    let is_given = |root: &String| given.iter().any(|(name, _)| name == root);
    let folders = if roots.iter().all(is_given) {
        Vec::new()
    } else {
        folders(place).await?
    };
    let mut settled: Vec<(String, Option<String>)> = Vec::new();
    for root in roots {
        if settled.iter().any(|(known, _)| known == root) {
            continue;
        }
        let folder = match (given.iter().find(|(name, _)| name == root), guess(root, &folders)) {
            (Some((_, folder)), _) => Some(folder.clone()),
            (None, Some(guess)) => Some(ask.text(&format!("{root} is the media's folder"), Some(&guess), "--root")?),
            (None, None) => {
                let said = ask.text_or_nothing(&format!(
                    "{root} is the media's folder (none is called so; empty: later)"
                ))?;
                Some(said).filter(|said| !said.is_empty())
            }
        };
        settled.push((root.clone(), folder.map(|folder| folder.trim_matches('/').to_owned())));
    }
    Ok(settled)
}

async fn folders(place: &Place) -> Result<Vec<String>> {
    match place {
        Place::Remote { name, config } => Ok(Remote::new(name, config.clone()).folders().await?),
        Place::Directory(dir) => {
            let inside = |dir: &Path| -> Vec<PathBuf> {
                let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
                entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
            };
            let mut all = inside(dir);
            all.extend(all.clone().iter().flat_map(|folder| inside(folder)));
            let relative = |path: &PathBuf| Some(path.strip_prefix(dir).ok()?.to_str()?.to_owned());
            Ok(all.iter().filter_map(relative).collect())
        }
    }
}

/// The folder that agrees with most of the root's end, whatever the case; the shorter of two that agree alike.
fn guess(root: &str, folders: &[String]) -> Option<String> {
    let parts = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .rev()
            .map(str::to_lowercase)
            .collect()
    };
    let wanted = parts(root);
    let likeness = |folder: &String| {
        parts(folder)
            .iter()
            .zip(&wanted)
            .take_while(|(one, other)| one == other)
            .count()
    };
    folders
        .iter()
        .map(|folder| (likeness(folder), std::cmp::Reverse(folder.len()), folder))
        .filter(|(likeness, ..)| *likeness > 0)
        .max()
        .map(|(.., folder)| folder.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_that_is_called_like_the_root_is_guessed() {
        let folders: Vec<String> = ["Music", "media/music", "Films", "archive/Films", "TV"]
            .map(str::to_owned)
            .to_vec();
        let guess = |root| guess(root, &folders);
        assert_eq!(guess("/Media/Music").as_deref(), Some("media/music"));
        assert_eq!(guess("/volume1/Films").as_deref(), Some("Films"));
        assert_eq!(guess("/data/tv/").as_deref(), Some("TV"));
        assert_eq!(guess("/data/Photos"), None);
    }
}
