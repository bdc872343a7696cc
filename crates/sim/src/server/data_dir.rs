//! Where a server keeps what: the tree under "Plex Media Server" as facts/plex.md §4 lists it.
//!
//! Only paths; nothing here opens, creates or checks a file, except [`DataDir::prepare`], which makes the folders that a
//! first start finds missing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The data directory of one server ("…/Application Support/Plex Media Server").
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// The data directory below `support`, the directory that `PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR` names.
    pub fn below(support: &Path) -> Self {
        Self {
            root: support.join("Plex Media Server"),
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the two databases and their dated backups.
    pub fn databases(&self) -> PathBuf {
        self.root.join("Plug-in Support/Databases")
    }

    /// com.plexapp.plugins.library.db
    pub fn library_db(&self) -> PathBuf {
        self.databases().join("com.plexapp.plugins.library.db")
    }

    /// com.plexapp.plugins.library.blobs.db
    pub fn blobs_db(&self) -> PathBuf {
        self.databases().join("com.plexapp.plugins.library.blobs.db")
    }

    /// The settings that differ from their defaults, and the server's identity.
    pub fn preferences(&self) -> PathBuf {
        self.root.join("Preferences.xml")
    }

    /// The token that scripts on the same machine may use; a new one at every start.
    pub fn local_admin_token(&self) -> PathBuf {
        self.root.join(".LocalAdminToken")
    }

    /// The process id of the running server. It is also the file that is locked for as long as the server runs.
    pub fn pid_file(&self) -> PathBuf {
        self.root.join("plexmediaserver.pid")
    }

    /// Log files.
    pub fn logs(&self) -> PathBuf {
        self.root.join("Logs")
    }

    /// Bundles of the agents: posters, art, texts.
    pub fn metadata(&self) -> PathBuf {
        self.root.join("Metadata")
    }

    /// Bundles that were made from the media: previews, chapter images.
    pub fn media(&self) -> PathBuf {
        self.root.join("Media")
    }

    /// The simulator's own settings (faults and tempo); a real server has no such file.
    pub fn tempo(&self) -> PathBuf {
        self.root.join("sim.json")
    }

    /// Makes the folders of a first start.
    pub fn prepare(&self) -> io::Result<()> {
        for folder in [
            self.databases(),
            self.logs(),
            self.metadata(),
            self.media().join("localhost"),
            self.root.join("Cache"),
        ] {
            fs::create_dir_all(folder)?;
        }
        Ok(())
    }
}
