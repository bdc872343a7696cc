//! The guards that must hold before anything is taken: each has one outcome, and a refusal names the key to change.

use serde::{Deserialize, Serialize};

use super::{Controller, Prepared, engine};
use crate::burst::phase::Phase;
use crate::error::{Error, Result};
use crate::home::{kept, room};
use crate::media::Media;

/// How many files a refusal names.
const NAMED: usize = 5;

#[derive(Debug, Serialize, Deserialize)]
struct Guarded {
    /// One line per guard, with its evidence.
    passed: Vec<String>,
}

/// Runs them all.
pub(super) async fn before_anything(c: &Controller, prepared: &Prepared) -> Result<()> {
    c.side
        .phase(Phase::Guards, "checking that nothing can go wrong early", async || {
            let mut passed = vec![server_exists(c)?];
            passed.extend(enough_room(c)?);
            let media = c.media()?;
            passed.push(roots_exist(&media, prepared)?);
            passed.push(files_exist(c, &media, prepared).await?);
            for line in &passed {
                c.printer().say(&format!("            {line}"));
            }
            Ok(Guarded { passed })
        })
        .await?;
    Ok(())
}

fn server_exists(c: &Controller) -> Result<String> {
    let server = c.server();
    if server.is_file() {
        Ok(format!("the worker's server is {}", server.display()))
    } else {
        Err(
            Error::refused(format!("there is no Plex server at {}", server.display()))
                .hint("set `worker.server` to the server's binary"),
        )
    }
}

/// Every disk that the burst writes to has room for what it puts there.
fn enough_room(c: &Controller) -> Result<Vec<String>> {
    let config = &c.request.config;
    let (databases, area) = match &c.home {
        Some(home) => (home.databases(), Some(c.area.root().to_owned())),
        None => (c.area.base(), None),
    };
    let depot = match (&config.depot.directory, &config.depot.remote) {
        (Some(dir), _) => Some(dir.clone()),
        (None, Some(_)) => None,
        (None, None) => Some(c.dir.clone()),
    };
    let places = room::Places {
        area,
        depot,
        worker: Some(config.worker.directory.clone().unwrap_or_else(|| c.dir.clone())),
        state: c.dir.clone(),
    };
    Ok(room::check(&places, kept::size(&databases))?.lines)
}

/// Without a worker there are only the copies at home, and what is unpacked on the way.
pub(super) fn room_at_home(c: &Controller) -> Result<()> {
    if c.side.is_done(Phase::Prepare) {
        return Ok(());
    }
    let places = room::Places {
        area: Some(c.area.root().to_owned()),
        depot: None,
        worker: None,
        state: c.dir.clone(),
    };
    for line in room::check(&places, kept::size(&c.home()?.databases()))?.lines {
        c.printer().say(&format!("            {line}"));
    }
    Ok(())
}

/// Every root of every section must exist in the media, also of sections that are not to be indexed: Plex on the
/// worker would take their files for gone.
fn roots_exist(media: &Media, prepared: &Prepared) -> Result<String> {
    let roots: Vec<&str> = prepared
        .sections
        .iter()
        .flat_map(|s| s.roots.iter().map(String::as_str))
        .collect();
    for root in &roots {
        media.folder_of(root)?;
    }
    Ok(format!("{} section roots have a folder in the media", roots.len()))
}

/// The files that the library knows are in the media; what is missing would be lost.
async fn files_exist(c: &Controller, media: &Media, prepared: &Prepared) -> Result<String> {
    let databases = match &c.home {
        Some(home) => home.databases(),
        None => c.area.base(),
    };
    let known = engine(|| plex_library::files::known(&databases))?;
    let mut listing_progress = |n: u64| c.printer().progress(&format!("listing the media: {n} files"));
    let mut missing = Vec::new();
    let mut present = 0;
    let mut new = 0;
    for section in &prepared.sections {
        for root in &section.roots {
            let files = known.get(&section.id).map(Vec::as_slice).unwrap_or_default();
            let paths = files.iter().map(String::as_str).filter(|file| is_below(file, root));
            let listing = media.list(root, &mut listing_progress).await?;
            let compared = listing.compare(paths);
            present += compared.present;
            new += compared.new;
            missing.extend(compared.missing);
        }
    }
    if missing.len() as u64 > c.request.options.accept_losses {
        let named: Vec<&str> = missing.iter().take(NAMED).map(String::as_str).collect();
        return Err(Error::refused(format!(
            "{} of {} files that the library knows are not in the media: {}{}",
            missing.len(),
            missing.len() + present,
            named.join(", "),
            if missing.len() > NAMED { ", …" } else { "" }
        ))
        .hint(format!(
            "check `media.roots`; if the files are meant to be gone, `--accept-losses {}`",
            missing.len()
        )));
    }
    Ok(format!(
        "{present} known files are in the media, {new} files there are not in the library yet"
    ))
}

fn is_below(file: &str, root: &str) -> bool {
    file.strip_prefix(root.trim_end_matches('/'))
        .is_some_and(|rest| rest.starts_with('/'))
}

impl Controller {
    /// The worker's server binary.
    pub(super) fn server(&self) -> std::path::PathBuf {
        self.request
            .config
            .worker
            .server
            .clone()
            .unwrap_or_else(|| super::work::SERVER.into())
    }

    /// The media as configured.
    pub(super) fn media(&self) -> Result<Media> {
        Ok(Media::of(&self.request.config.media)?)
    }
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn a_root_ends_at_a_separator() {
        assert!(is_below("/tv/a.mkv", "/tv"));
        assert!(is_below("/tv/a.mkv", "/tv/"));
        assert!(!is_below("/tvshows/a.mkv", "/tv"));
    }
}
