//! The media: where the files are, which folder of them stands for which section root, what exists, and proof that it
//! can really be read.
//!
//! [`listing`] asks the store itself, [`mount`] makes a file system of it, [`proof`] reads real bytes (guard 4). Must
//! not: write to the media, or believe a mount that only lists.

mod error;
mod fuse;
pub mod listing;
pub mod mount;
pub mod proof;
pub mod remote;
pub mod sample;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::Error;
use error::io_error;
use listing::Listing;
use mount::Mount;
use proof::Proof;
use remote::Remote;

use crate::clock::Clock;
use crate::plex::runtime::Bind;

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Remote(Remote),
    Directory(PathBuf),
}

/// The media as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    source: Source,
    /// (section root or an ancestor of one, folder), longest first.
    roots: Vec<(String, String)>,
}

impl Media {
    /// The media of `[media]` in the configuration.
    ///
    /// # Errors
    /// Neither or both of a remote and a directory.
    pub fn of(config: &crate::config::Media) -> Result<Self, Error> {
        let source = match (&config.remote, &config.directory) {
            (Some(name), None) => Source::Remote(Remote {
                name: name.clone(),
                config: config.rclone_config.clone(),
            }),
            (None, Some(dir)) => Source::Directory(dir.clone()),
            (None, None) => return Err(Error::NotConfigured("neither a remote nor a directory")),
            (Some(_), Some(_)) => {
                return Err(Error::NotConfigured("both a remote and a directory"));
            }
        };
        let tidy = |text: &String, start: bool| {
            let text = text.trim_end_matches('/');
            if start {
                text.to_owned()
            } else {
                text.trim_start_matches('/').to_owned()
            }
        };
        let mut roots: Vec<_> = config
            .roots
            .iter()
            .map(|(root, folder)| (tidy(root, true), tidy(folder, false)))
            .collect();
        roots.sort_by_key(|(root, _)| std::cmp::Reverse(root.len()));
        Ok(Self { source, roots })
    }

    /// What messages call it: the remote or the directory.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.source {
            Source::Remote(remote) => remote.name.clone(),
            Source::Directory(dir) => dir.display().to_string(),
        }
    }

    /// The folder (relative, "" for the media's own root) that stands for a section root: the entry for itself, or for
    /// its nearest ancestor with the rest of the path.
    ///
    /// # Errors
    /// [`Error::NoFolder`].
    pub fn folder_of(&self, root: &str) -> Result<String, Error> {
        let root = root.trim_end_matches('/');
        let inside = |(above, folder): &(String, String)| {
            let rest = root.strip_prefix(above.as_str())?;
            match rest.strip_prefix('/') {
                Some(rest) if folder.is_empty() => Some(rest.to_owned()),
                Some(rest) => Some(format!("{folder}/{rest}")),
                None => rest.is_empty().then(|| folder.clone()),
            }
        };
        self.roots
            .iter()
            .find_map(inside)
            .ok_or_else(|| Error::NoFolder(root.to_owned()))
    }

    /// Everything below a section root, asked of the store itself; `progress` is told how many files so far.
    ///
    /// # Errors
    /// [`Error`]; a root whose folder does not exist (in a bucket: has no files) is one.
    pub async fn list(&self, root: &str, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Listing, Error> {
        let folder = self.folder_of(root)?;
        let missing = || Error::FolderMissing {
            what: self.name(),
            folder: folder.clone(),
        };
        match &self.source {
            Source::Remote(remote) => {
                match listing::remote(&remote.folder(&folder), root, progress).await {
                    // A bucket has no folders: one that does not exist lists as one without files.
                    Ok(listing) if listing.is_empty() => Err(missing()),
                    Err(Error::NoBucket { .. }) if !folder.is_empty() && remote.check().await.is_ok() => Err(missing()),
                    other => other,
                }
            }
            Source::Directory(dir) => {
                let dir = dir.join(&folder);
                if !dir.is_dir() {
                    return Err(missing());
                }
                crate::plex::blocking(|| listing::directory(&dir, root, progress))
            }
        }
    }

    /// Makes the files readable as a file system: mounts the remote in `work`, or takes the directory as it is.
    /// `known` are files (home's absolute paths) of which one must be readable; any file when none of them exists.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(
        &self,
        work: &Path,
        program: &Path,
        known: &[String],
        limit: Duration,
        clock: &dyn Clock,
    ) -> Result<Opened, Error> {
        let known = known
            .iter()
            .map(|path| self.place(path))
            .collect::<Result<Vec<_>, _>>()?;
        let (base, mount) = match &self.source {
            Source::Directory(dir) => {
                let dir = std::fs::canonicalize(dir).map_err(io_error(format!("find {}", dir.display())))?;
                (dir, None)
            }
            Source::Remote(remote) => {
                let spec = mount::Spec {
                    remote: remote.clone(),
                    work: work.to_owned(),
                    program: program.to_owned(),
                    cache_bytes: None,
                    known,
                    limit,
                };
                let mount = Mount::start(spec, clock).await?;
                (mount.dir().to_owned(), Some(mount))
            }
        };
        Ok(Opened {
            media: self.clone(),
            base,
            mount,
            program: program.to_owned(),
        })
    }

    /// Where a file of home's lies in the media, relative to them.
    fn place(&self, path: &str) -> Result<PathBuf, Error> {
        self.folder_of(path).map(PathBuf::from)
    }
}

/// Media that can be read as files.
#[derive(Debug)]
pub struct Opened {
    media: Media,
    base: PathBuf,
    mount: Option<Mount>,
    program: PathBuf,
}

impl Opened {
    /// The section roots and the folders that stand for them, for a cell.
    ///
    /// # Errors
    /// [`Error::NoFolder`], or a folder that does not exist.
    pub fn binds<'a>(&self, roots: impl IntoIterator<Item = &'a str>) -> Result<Vec<Bind>, Error> {
        let bind = |root: &str| {
            let folder = self.media.folder_of(root)?;
            let media = self.base.join(&folder);
            if media.is_dir() {
                Ok(Bind {
                    root: root.trim_end_matches('/').into(),
                    media,
                })
            } else {
                Err(Error::FolderMissing {
                    what: self.media.name(),
                    folder,
                })
            }
        };
        roots.into_iter().map(bind).collect()
    }

    /// Guard 4: reads real bytes of these files or folders (home's absolute paths).
    ///
    /// # Errors
    /// A path outside of the media, or the probe cannot be run.
    pub async fn prove(&self, paths: &[String], limit: Duration) -> Result<Proof, Error> {
        let place = |path: &String| Ok(self.base.join(self.media.place(path)?));
        let files = paths.iter().map(place).collect::<Result<Vec<_>, Error>>()?;
        let mut proof = proof::prove(&self.program, &files, limit).await?;
        // The verdict speaks of home's paths, as everything that a person reads does.
        for (probed, path) in proof.files.iter_mut().zip(paths) {
            probed.file = PathBuf::from(path);
        }
        Ok(proof)
    }

    /// Whether what makes the files readable still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.mount.as_ref().is_none_or(Mount::is_running)
    }

    /// Takes a mount away again.
    ///
    /// # Errors
    /// [`Error::Stuck`].
    pub async fn close(self) -> Result<(), Error> {
        match self.mount {
            Some(mount) => mount.close().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(dir: &Path, roots: &[(&str, &str)]) -> Media {
        let roots = roots
            .iter()
            .map(|(root, folder)| ((*root).to_owned(), (*folder).to_owned()))
            .collect();
        Media::of(&crate::config::Media {
            directory: Some(dir.to_owned()),
            roots,
            ..Default::default()
        })
        .unwrap()
    }

    #[test]
    fn the_nearest_entry_decides() {
        let media = media(
            Path::new("/m"),
            &[("/Media", ""), ("/Media/TV/", "/Serien/"), ("/x", "a/b")],
        );
        assert_eq!(media.folder_of("/Media/Music/").unwrap(), "Music");
        assert_eq!(media.folder_of("/Media").unwrap(), "");
        assert_eq!(media.folder_of("/Media/TV").unwrap(), "Serien");
        assert_eq!(media.folder_of("/x/y").unwrap(), "a/b/y");
        for root in ["/Mediatheque", "/", "/y"] {
            assert!(matches!(media.folder_of(root), Err(Error::NoFolder(_))), "{root}");
        }
        assert!(matches!(
            Media::of(&crate::config::Media::default()),
            Err(Error::NotConfigured(_))
        ));
    }

    #[tokio::test]
    async fn a_directory_is_listed_and_bound() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("Musik/A")).unwrap();
        std::fs::write(dir.path().join("Musik/A/1.flac"), "1").unwrap();
        let media = media(dir.path(), &[("/movies", "Musik"), ("/gone", "none")]);
        let listing = media.list("/movies", &mut |_| ()).await.unwrap();
        assert_eq!(listing.size("/movies/A/1.flac"), Some(1));
        assert!(matches!(
            media.list("/gone", &mut |_| ()).await,
            Err(Error::FolderMissing { .. })
        ));
        let opened = media
            .open(
                dir.path(),
                Path::new("/none"),
                &[],
                Duration::from_secs(1),
                &crate::clock::SystemClock,
            )
            .await
            .unwrap();
        let binds = opened.binds(["/movies"]).unwrap();
        assert_eq!(binds[0].media, std::fs::canonicalize(dir.path()).unwrap().join("Musik"));
        assert!(matches!(opened.binds(["/gone"]), Err(Error::FolderMissing { .. })));
        assert!(opened.is_running());
        opened.close().await.unwrap();
    }
}
