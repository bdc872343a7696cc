//! Where home's paths are: on this machine or on home's, as configured or as named on the command line.

use std::path::Path;

use super::{Config, Home};
use crate::error::{Error, Result};

impl Home {
    /// Takes `dir` (the folder "Plex Media Server", or the one above "Library") for home's data. What is configured of another
    /// server (how it is stopped and started, its address, its token, its programs) says nothing about this one.
    ///
    /// # Errors
    /// `dir` cannot be resolved.
    pub fn take_data_dir(&mut self, dir: &Path) -> Result<()> {
        const SUPPORT: &str = "Plug-in Support";
        let dir = std::path::absolute(dir)
            .map_err(|e| Error::usage(format!("cannot resolve {}", dir.display())).because(e))?;
        let below = dir.join("Library/Application Support/Plex Media Server");
        let dir = match !dir.join(SUPPORT).is_dir() && below.join(SUPPORT).is_dir() {
            true => below,
            false => dir,
        };
        if self.data_dir.as_ref().is_some_and(|configured| *configured != dir) {
            (self.stop, self.start, self.url, self.token_file) = (None, None, None, None);
            self.plex_sqlite = None;
        }
        self.data_dir = Some(dir);
        Ok(())
    }
}

impl Config {
    /// With a home on another machine some paths are that machine's; they cannot be meant from a folder of this one.
    pub(super) fn refuse_relative_there(&self, name: &str) -> Result<()> {
        let Some(host) = &self.home.host else { return Ok(()) };
        let there = [
            ("home.data_dir", &self.home.data_dir),
            ("home.directory", &self.home.directory),
            ("media.directory", &self.media.directory),
            ("media.rclone", &self.media.rclone),
            ("depot.directory", &self.depot.directory),
            ("worker.directory", &self.worker.directory),
            ("worker.server", &self.worker.server),
        ];
        for (key, path) in there {
            if let Some(path) = path.as_ref().filter(|path| path.is_relative()) {
                return Err(Error::usage(format!(
                    "{name}: `{key}` is a path on {host} and has to be absolute: {:?}",
                    path.display().to_string()
                ))
                .hint("write the whole path as it is there"));
            }
        }
        Ok(())
    }
}
