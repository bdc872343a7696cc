//! What can be wrong with the media, in words that tell what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why the media cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a remote nor a directory is configured, or both.
    #[error("the media are not configured: {0}")]
    NotConfigured(&'static str),
    /// A section root that no folder of the media stands for.
    #[error("no folder of the media stands for the section root {0}")]
    NoFolder(String),
    /// A folder that the configuration names and that does not exist.
    #[error("{what} has no folder {folder:?}")]
    FolderMissing {
        /// The remote or the directory.
        what: String,
        /// Inside of it.
        folder: String,
    },
    /// rclone is not installed.
    #[error("rclone is not installed")]
    NoRclone,
    /// rclone lacks what a mount needs.
    #[error("{} is version {version}, which is too old", program.display())]
    OldRclone {
        /// Which.
        program: PathBuf,
        /// As it says itself.
        version: String,
    },
    /// rclone is not the one that it should be.
    #[error("{} is another rclone than the one asked for: its SHA-256 is {is}", program.display())]
    OtherRclone {
        /// Which, or where it was fetched from.
        program: PathBuf,
        /// Its hash.
        is: String,
    },
    /// rclone could not be fetched.
    #[error("rclone could not be fetched from {url}: {said}")]
    Fetch {
        /// Where from.
        url: String,
        /// Why.
        said: String,
    },
    /// The keys of the bucket are missing, or open to others.
    #[error("no keys for the bucket {bucket}: {said}")]
    NoKeys {
        /// Its name.
        bucket: String,
        /// What was looked at.
        said: String,
    },
    /// rclone's remote control does not answer, or says no.
    #[error("the mount's remote control failed on {call}: {said}")]
    Control {
        /// As in `vfs/refresh`.
        call: String,
        /// Why.
        said: String,
    },
    /// Reading is slower than what was asked for.
    #[error("the media are read at {rate:.1} MB/s, and {least:.1} are asked for")]
    TooSlow {
        /// MB/s.
        rate: f64,
        /// MB/s.
        least: f64,
    },
    /// FUSE cannot be used.
    #[error("FUSE cannot be used on this machine: {0}")]
    NoFuse(&'static str),
    /// rclone.conf lacks the remote.
    #[error("rclone does not know the remote {remote}")]
    NoRemote {
        /// As in `s3:bucket`.
        remote: String,
    },
    /// The store refuses the keys.
    #[error("{remote} refuses the keys: {said}")]
    WrongKeys {
        /// As in `s3:bucket`.
        remote: String,
        /// rclone's words.
        said: String,
    },
    /// The bucket or folder does not exist.
    #[error("{remote} does not exist")]
    NoBucket {
        /// As in `s3:bucket`.
        remote: String,
    },
    /// The store cannot be reached.
    #[error("{remote} cannot be reached: {said}")]
    Unreachable {
        /// As in `s3:bucket`.
        remote: String,
        /// rclone's words.
        said: String,
    },
    /// A listing that does not hold together.
    #[error("{remote} gave half a listing: {said}")]
    HalfListing {
        /// As in `s3:bucket`.
        remote: String,
        /// What does not fit.
        said: String,
    },
    /// The store cannot list from the middle on; rclone lists it instead.
    #[error("the store cannot begin a listing in its middle")]
    NoRanges,
    /// Anything else that rclone says.
    #[error("rclone failed on {remote}: {said}")]
    Rclone {
        /// As in `s3:bucket`.
        remote: String,
        /// rclone's words.
        said: String,
    },
    /// The mount point holds files of its own.
    #[error("the mount point {} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The mount did not show real bytes in time.
    #[error("the mount of {remote} shows no readable file after {} s: {said}", limit.as_secs())]
    NotReady {
        /// As in `s3:bucket`.
        remote: String,
        /// How long was waited.
        limit: Duration,
        /// What was tried last, and the last words of rclone.
        said: String,
    },
    /// The mount cannot be taken away.
    #[error("the mount {} cannot be taken away: {said}", dir.display())]
    Stuck {
        /// Where.
        dir: PathBuf,
        /// Why.
        said: String,
    },
    /// The disk, or a program that cannot be run.
    #[error("cannot {doing}")]
    Io {
        /// What was tried, on what.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotConfigured(_) => "set `media.remote` (as in \"s3:bucket\") or `media.directory`".to_owned(),
            Self::NoFolder(root) => format!("add it to `media.roots`, as in \"{root}\" = \"folder\""),
            Self::FolderMissing { .. } => {
                "correct the folder in `media.roots`; \"\" is the media's own root".to_owned()
            }
            Self::NoRclone => {
                "install rclone 1.65 or newer (https://rclone.org/install), or set `media.directory`".to_owned()
            }
            Self::OldRclone { .. } => {
                "install rclone 1.65 or newer (https://rclone.org/install), or set `media.fetch_rclone = true`"
                    .to_owned()
            }
            Self::OtherRclone { .. } => {
                "correct `media.rclone_sha256`, or get the program from where it should come from".to_owned()
            }
            Self::Fetch { .. } => {
                "set `media.rclone_url` to a place that this machine reaches, or install rclone".to_owned()
            }
            Self::NoKeys { .. } => "put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or SCW_ACCESS_KEY and \
                                    SCW_SECRET_KEY) into the environment, or into the file that \
                                    `media.s3.credentials_file` names (mode 0600)"
                .to_owned(),
            Self::TooSlow { .. } => "use a worker nearer to the media; or lower `media.min_speed`, then `plexburst resume`; `sync --allow-slow-media` \
                                     goes on with them".to_owned(),
            Self::NoFuse(_) => {
                "install fuse3 (`apt-get install fuse3`) and give this machine /dev/fuse, or set `media.directory`"
                    .to_owned()
            }
            Self::NoRemote { .. } => {
                "`rclone listremotes` shows what it knows; `media.rclone_config` names another rclone.conf".to_owned()
            }
            Self::WrongKeys { .. } => {
                "check access_key_id and secret_access_key of that remote in rclone.conf".to_owned()
            }
            Self::NoBucket { remote } => format!(
                "check bucket and folder in `media.remote`; `rclone lsd {}` lists them",
                head(remote)
            ),
            Self::Unreachable { .. } => "check the endpoint in rclone.conf and the network".to_owned(),
            Self::NotEmpty(dir) => format!("empty {} or give another folder", dir.display()),
            Self::NotReady { .. } => "`limits.mount` allows it more time; the mount's log has the details".to_owned(),
            Self::Stuck { dir, .. } => format!(
                "end what uses it (`fuser -vm {0}`), then `fusermount3 -uz {0}`",
                dir.display()
            ),
            Self::HalfListing { .. } => {
                "try again; if it stays, ask the store's provider: nothing was taken for gone".to_owned()
            }
            Self::NoRanges | Self::Rclone { .. } | Self::Control { .. } | Self::Io { .. } => return None,
        })
    }
}

/// `s3:` of `s3:bucket/folder`.
fn head(remote: &str) -> &str {
    remote.split_inclusive(':').next().unwrap_or(remote)
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        let hint = error.hint();
        let made = match &error {
            Error::NotConfigured(_) | Error::NoKeys { .. } => Self::usage(error.to_string()),
            Error::NoFolder(_) | Error::FolderMissing { .. } | Error::TooSlow { .. } => {
                Self::refused(error.to_string())
            }
            _ => Self::failed(error.to_string()),
        };
        let made = made.because(error);
        match hint {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

pub(super) fn io_error(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        doing: doing.into(),
        source,
    }
}
