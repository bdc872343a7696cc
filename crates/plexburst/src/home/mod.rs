//! Home on this machine: its data, its server, and the commands that stop and start it.
//!
//! Guarantees: nothing here touches the library while a process holds it open; home is started again by whoever
//! stopped it, whatever happens in between (the phase that stops it is the phase that starts it).

mod area;
pub mod found;
pub mod kept;
pub mod owner;
mod plex_sqlite;
mod prefs;
pub mod room;
mod service;

use std::path::{Path, PathBuf};

use plex_library::Databases;

pub use area::{Area, discard, files_in};
pub use kept::{Kept, Note, Retention, Why};
pub use plex_sqlite::{Patience, PlexSqlite};
pub use prefs::Dangerous;

use crate::config::{Config, Limits};
use crate::error::{Error, Result};
use crate::plex::client::{Address, Client, Token};
use crate::plex::preferences;

/// The default port of Plex Media Server.
const DEFAULT_URL: &str = "http://127.0.0.1:32400";

/// The Plex server that the user owns.
#[derive(Debug, Clone)]
pub struct Home {
    data_dir: PathBuf,
    url: String,
    token_file: Option<PathBuf>,
    stop: Option<Vec<String>>,
    start: Option<Vec<String>>,
    refresh_mount: Option<Vec<String>>,
    plex_sqlite: Option<Vec<String>>,
    limits: Limits,
    retention: Retention,
}

impl Home {
    /// Home as the configuration describes it.
    ///
    /// # Errors
    /// No data folder is named, or there is no library in it.
    pub fn of(config: &Config) -> Result<Self> {
        let data_dir = config.home.data_dir.clone().ok_or_else(unknown)?;
        let home = Self {
            data_dir,
            url: config.home.url.clone().unwrap_or_else(|| DEFAULT_URL.to_owned()),
            token_file: config.home.token_file.clone(),
            stop: config.home.stop.clone(),
            start: config.home.start.clone(),
            refresh_mount: config.home.refresh_mount.clone(),
            plex_sqlite: config.home.plex_sqlite.clone(),
            limits: config.limits.clone(),
            retention: Retention::of(&config.home),
        };
        // While a move is cut off the name may be free; whoever goes on with the burst brings it back.
        if !home.databases().library().is_file() && !plex_library::swap::is_guarded(&home.databases()) {
            return Err(Error::usage(format!("no Plex library in {}", home.data_dir.display()))
                .hint("`home.data_dir` is the folder that holds \"Plug-in Support\""));
        }
        Ok(home)
    }

    /// A burst that was killed while it moved home's library has to be ended before anything else is begun.
    ///
    /// # Errors
    /// One was, with the command that goes on.
    pub fn refuse_unfinished(&self) -> Result<()> {
        let Some(plan) = plex_library::swap::unfinished(&self.databases())? else {
            return Ok(());
        };
        let burst = plan.staged.parent().and_then(Path::file_name).unwrap_or_default();
        Err(Error::refused(format!(
            "a burst was cut off while it put a library in place of home's, and Plex is kept from starting on half of it ({})",
            self.databases().dir().display()
        ))
        .hint(format!(
            "`plexburst resume {burst}` goes on, `plexburst cancel {burst}` brings the old library back",
            burst = burst.display()
        )))
    }

    /// How long previous libraries are kept.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// The folder "Plex Media Server".
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The live pair.
    pub fn databases(&self) -> Databases {
        Databases::at(self.data_dir.join("Plug-in Support/Databases"))
    }

    /// Where the server answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client with the token that is in force now (`.LocalAdminToken` is made anew at every start).
    ///
    /// # Errors
    /// A token file that was named and cannot be read.
    pub fn client(&self) -> Result<Client> {
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| {
                    Error::usage(format!("cannot read home's token from {}", path.display()))
                        .hint("`home.token_file` names a file whose first line is the token")
                        .because(e)
                })?;
                Some(Token::new(text.lines().next().unwrap_or_default()))
            }
            None => preferences::local_token(&self.data_dir),
        };
        Ok(Client::new("home", &Address::Http(self.url.clone()), token.as_ref())?)
    }
}

/// Why home is not known, with what was found on this machine.
fn unknown() -> Error {
    let (containers, obstacles) = found::containers();
    let all = found::find(Path::new("/"), &containers);
    let names: Vec<String> = all
        .iter()
        .map(|f| format!("{} ({})", f.data_dir.display(), f.what))
        .collect();
    let error = Error::usage("home's data folder is not configured");
    if !names.is_empty() {
        return error.hint(format!(
            "set `home.data_dir` to one of those that were found: {}",
            names.join("; ")
        ));
    }
    let mut hint =
        "no Plex server was found on this machine: `plexburst init --data-dir DIR` (or `--host me@nas` for another machine) writes a \
         plexburst.toml; in one that is there, set `home.data_dir` to the folder \"Plex Media Server\""
            .to_owned();
    if !obstacles.is_empty() {
        hint = format!("{hint} ({}: a container's library may be there)", obstacles.join("; "));
    }
    error.hint(hint)
}
