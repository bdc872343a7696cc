//! The media: where the files are, which folder of them stands for which section root, what exists, and proof that it
//! can really be read.
//!
//! [`listing`] asks the store itself, [`compare`] holds a library against it, [`moves`] finds what was moved. [`mount`]
//! makes a file system of it, [`proof`] reads real bytes (guard 4), [`health`] judges what was read over time. Must not:
//! write to the media, or believe a mount that only lists.

pub mod by_name;
mod cached;
pub mod compare;
pub mod control;
mod error;
mod fetch;
mod flags;
mod fuse;
pub mod health;
pub mod listing;
pub mod mappings;
pub mod mount;
pub mod moves;
pub mod probe;
mod prober;
pub mod profile;
pub mod program;
pub mod proof;
pub mod rclone_conf;
pub mod remote;
mod s3;
pub mod sample;
pub mod scope;
pub mod speed;
mod store;
pub mod warm;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::Error;
use error::io_error;
use listing::Listing;
use mount::Mount;
pub use prober::Prober;
use program::Wanted;
use proof::Proof;
use remote::Remote;

use crate::clock::Clock;
use crate::config::MountProfile;
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
    /// Which rclone.
    rclone: Wanted,
    profile: Option<MountProfile>,
    connections: Option<u32>,
}

impl Media {
    /// The media of `[media]` in the configuration.
    ///
    /// # Errors
    /// Neither or both of a remote and a directory.
    pub fn of(config: &crate::config::Media) -> Result<Self, Error> {
        let rclone = Wanted::of(config);
        let with_program = |mut remote: Remote| {
            if let Some(program) = &rclone.program {
                remote.program.clone_from(program);
            }
            Source::Remote(remote)
        };
        let source = match (&config.remote, &config.s3, &config.directory) {
            (Some(name), None, None) => with_program(Remote::new(name, config.rclone_config.clone())),
            // The keys are read at the moment of use: no file of ours ever holds them.
            (None, Some(bucket), None) => with_program(s3::with_keys(bucket, &|name| std::env::var(name).ok())?),
            (None, None, Some(dir)) => Source::Directory(dir.clone()),
            (None, None, None) => return Err(Error::NotConfigured("neither a remote nor a directory")),
            _ => {
                return Err(Error::NotConfigured(
                    "more than one of a remote, a bucket and a directory",
                ));
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
        Ok(Self {
            source,
            roots,
            rclone,
            profile: config.profile,
            connections: config.connections.filter(|connections| *connections > 0),
        })
    }

    /// What messages call it: the remote or the directory.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.source {
            Source::Remote(remote) => remote.name.clone(),
            Source::Directory(dir) => dir.display().to_string(),
        }
    }

    /// The rclone that would mount them, when it is on this machine already: nothing is fetched.
    ///
    /// # Errors
    /// [`Error`]; there is none, or it is too old.
    pub async fn rclone(&self) -> Result<program::Rclone, Error> {
        let wanted = Wanted {
            fetch: false,
            ..self.rclone.clone()
        };
        program::Rclone::find(&wanted, Path::new("")).await
    }

    /// Whether they have to be mounted.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self.source, Source::Remote(_))
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

    /// Home's absolute path of the media's own root, if the configuration tells: "/Media" when `"/Media/TV" = "TV"`.
    #[must_use]
    pub fn top(&self) -> Option<String> {
        let above = |(root, folder): &(String, String)| {
            if folder.is_empty() {
                return Some(root.clone());
            }
            let above = root.strip_suffix(folder.as_str())?.strip_suffix('/')?;
            (!above.is_empty()).then(|| above.to_owned())
        };
        self.roots.iter().find_map(above)
    }

    /// Everything below [`Media::top`], whatever folders the roots stand for.
    ///
    /// # Errors
    /// [`Error`], as of [`Media::list`].
    pub async fn list_top(&self, progress: &mut (dyn FnMut(u64) + Send)) -> Result<Listing, Error> {
        let top = self.top().ok_or_else(|| Error::NoFolder(String::new()))?;
        let whole = Self {
            roots: vec![(top.clone(), String::new())],
            ..self.clone()
        };
        whole.list(&top, progress).await
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
                match listing::remote(remote, &folder, root, progress).await {
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

    /// The configured root above a file of home's (absolute).
    #[must_use]
    pub fn root_above(&self, file: &str) -> Option<String> {
        let above = |root: &&(String, String)| {
            let rest = file.strip_prefix(root.0.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        self.roots.iter().find(above).map(|(root, _)| root.clone())
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
                    rclone: self.rclone.clone(),
                    profile: self.profile,
                    connections: self.connections,
                    known,
                    limit,
                    ..mount::Spec::new(remote.clone(), work, program)
                };
                let mount = Mount::start(spec, clock).await?;
                (mount.dir().to_owned(), Some(mount))
            }
        };
        let mut media = self.clone();
        if let (Source::Remote(remote), Some(mount)) = (&mut media.source, &mount) {
            // The rclone that was found is the one that answers questions, too.
            remote.program.clone_from(&mount.spec().remote.program);
        }
        Ok(Opened {
            media,
            base,
            mount,
            again: None,
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
    /// What was given up and has not come back yet.
    again: Option<mount::Spec>,
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
        self.prober().prove(paths, limit).await
    }

    /// Who looks at these media, for [`health::Monitor`].
    #[must_use]
    pub fn prober(&self) -> Prober {
        Prober {
            program: self.program.clone(),
            media: self.media.clone(),
            base: self.base.clone(),
            mount: self.mount.as_ref().map(|mount| prober::Mounted {
                dir: mount.dir().to_owned(),
                ended: mount.ended(),
                control: mount.control().cloned(),
            }),
        }
    }

    /// Lists a section root anew, so that a scan sees what the store has now. Nothing to do for a plain folder, or
    /// right after a mount by an rclone without remote control: nothing was listed before.
    ///
    /// # Errors
    /// The store refuses; [`Error::NoFolder`].
    pub async fn refresh(&self, root: &str, limit: Duration, clock: &dyn Clock) -> Result<(), Error> {
        match self.mount.as_ref().and_then(Mount::control) {
            Some(control) => control.refresh(&self.media.folder_of(root)?, limit, clock).await,
            None => Ok(()),
        }
    }

    /// Everything below a section root, asked of the store itself.
    ///
    /// # Errors
    /// As [`Media::list`].
    pub async fn list(&self, root: &str) -> Result<Listing, Error> {
        self.media.list(root, &mut |_| ()).await
    }

    /// As [`Media::speed`].
    ///
    /// # Errors
    /// As there.
    pub async fn speed(&self, files: &[String], limit: Duration) -> Result<Option<speed::Speed>, Error> {
        self.media.speed(files, limit).await
    }

    /// As [`Media::by_name`].
    ///
    /// # Errors
    /// As there.
    pub async fn by_name(&self, path: &str) -> Result<bool, Error> {
        self.media.by_name(path).await
    }

    /// As [`Media::stat`].
    ///
    /// # Errors
    /// As there.
    pub async fn stat(&self, path: &str) -> Result<Option<by_name::Stat>, Error> {
        self.media.stat(path).await
    }

    /// Empties the cache of a mount that was given up.
    ///
    /// # Errors
    /// The disk.
    pub fn forget_cache(&self) -> Result<(), Error> {
        let Some(spec) = &self.again else { return Ok(()) };
        crate::plex::blocking(|| flags::empty(&flags::Places::of(&spec.work).cache))
    }

    /// Takes a dead mount away for good, so that nothing hangs in it any more. What reads there fails from now on.
    ///
    /// # Errors
    /// [`Error::Stuck`].
    pub async fn give_up(&mut self) -> Result<(), Error> {
        if let Some(mount) = self.mount.take() {
            self.again = Some(mount.spec().clone());
            mount.abort().await?;
        }
        Ok(())
    }

    /// Mounts again what was given up, at the same place.
    ///
    /// # Errors
    /// [`Error`]; it may be tried again.
    pub async fn come_back(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        if let Some(spec) = self.again.clone() {
            self.mount = Some(Mount::start(spec, clock).await?);
            self.again = None;
        }
        Ok(())
    }

    /// Whether what makes the files readable still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.again.is_none() && self.mount.as_ref().is_none_or(Mount::is_running)
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
