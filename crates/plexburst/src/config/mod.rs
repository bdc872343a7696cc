//! Configuration: `plexburst.toml`, the environment and the names of the earlier scripts, settled once into
//! [`Settings`]. Nothing below `cli/` reads the environment or a raw file of configuration.

mod check;
mod defect;
mod depot;
mod earlier;
mod file;
mod find;
mod notify;
mod parse;
mod rate;
pub mod rented;
pub mod schema;
pub mod sections;
mod there;

use std::path::{Path, PathBuf};

pub use depot::{Depot, Encryption};
pub use file::{
    CellMode, CloudLimits, Config, Home, Limits, Media, MountProfile, PreferencesMode, RuntimeMode, S3, Scaleway,
    Worker,
};
pub use file::{Mapping, MappingKind};
pub use notify::{Notify, When};
pub use rate::Rate;

use crate::error::{Error, Result};

/// Everything a command needs to know, with every path absolute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file that was read; `None` when only the environment and defaults are in force.
    pub source: Option<PathBuf>,
    /// The values, environment laid over the file.
    pub config: Config,
    /// Where bursts keep their journals and reports.
    pub state_dir: PathBuf,
    /// Names of the earlier scripts that were seen and have no meaning here, to warn about.
    pub ignored: Vec<String>,
    /// What an `.env` of the earlier scripts says of a rented machine's size, by name.
    pub earlier_sizes: std::collections::BTreeMap<String, String>,
}

impl Settings {
    /// Reads the configuration: `explicit` (from `--config`), or `plexburst.toml` searched upwards from `cwd`, then in
    /// the user's config directory; then `PLEXBURST_*` from `env`; then the names of the earlier scripts for what is
    /// still unset.
    ///
    /// # Errors
    /// Wrong use, naming file, line and key.
    pub fn load(explicit: Option<&Path>, cwd: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let source = find::config_file(explicit, cwd, env)?;
        let (mut config, base) = match &source {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| Error::usage(format!("cannot read configuration {}", path.display())).because(e))?;
                let base = path.parent().unwrap_or(cwd).to_path_buf();
                (parse::parse(&text, &path.display().to_string(), env)?, base)
            }
            None => (parse::parse("", "the environment", env)?, cwd.to_path_buf()),
        };
        let earlier = earlier::read(&base, env)?;
        earlier.fill(&mut config);
        let name = source
            .as_ref()
            .map_or("the environment".into(), |path| path.display().to_string());
        config.refuse_relative_there(&name)?;
        config.make_absolute(&base);
        let state_dir = match config.state_dir.clone() {
            Some(dir) => dir,
            None => find::state_dir(env)?,
        };
        if config.depot.directory.is_none() && config.depot.remote.is_none() {
            config.depot.directory = Some(state_dir.join("depot"));
        }
        Ok(Self {
            source,
            config,
            state_dir,
            ignored: earlier.ignored,
            earlier_sizes: earlier.sizes,
        })
    }

    /// The folder of one burst.
    pub fn burst_dir(&self, id: &str) -> PathBuf {
        self.state_dir.join("bursts").join(id)
    }
}
