//! Sections that home is to have: `[[sections]]`, or the `plex_libraries.json` of the earlier scripts.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::plex::client::NewSection;

/// What a section holds, in the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SectionKind {
    /// Music.
    Artist,
    /// Films.
    Movie,
    /// Series.
    Show,
    /// Pictures.
    Photo,
}

impl SectionKind {
    /// The API's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Artist => "artist",
            Self::Movie => "movie",
            Self::Show => "show",
            Self::Photo => "photo",
        }
    }

    /// Agent and scanner that a server of today takes for it by itself.
    fn usual(self) -> (&'static str, &'static str) {
        match self {
            Self::Artist => ("tv.plex.agents.music", "Plex Music"),
            Self::Movie => ("tv.plex.agents.movie", "Plex Movie"),
            Self::Show => ("tv.plex.agents.series", "Plex TV Series"),
            Self::Photo => ("com.plexapp.agents.none", "Plex Photo Scanner"),
        }
    }
}

/// `[[sections]]`: a section that `scan` makes where home does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedSection {
    /// Its name.
    pub title: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: SectionKind,
    /// Plex's agent; unset: the usual one.
    #[serde(default)]
    pub agent: Option<String>,
    /// Plex's scanner; unset: the usual one.
    #[serde(default)]
    pub scanner: Option<String>,
    /// Language of its metadata; unset: en-US.
    #[serde(default)]
    pub language: Option<String>,
    /// Its roots at home, all of them.
    pub paths: Vec<String>,
}

impl WantedSection {
    /// As Plex is asked for it.
    pub fn to_new(&self) -> NewSection {
        let (agent, scanner) = self.kind.usual();
        let or = |own: &Option<String>, usual: &str| own.clone().unwrap_or_else(|| usual.to_owned());
        NewSection {
            title: self.title.clone(),
            kind: self.kind.word().to_owned(),
            agent: or(&self.agent, agent),
            scanner: or(&self.scanner, scanner),
            language: or(&self.language, "en-US"),
            locations: self.paths.clone(),
        }
    }
}

/// The file of the earlier scripts. Its language is fr-FR where it says none (facts: legacy §2).
pub(super) fn read(path: &Path) -> Result<Vec<WantedSection>> {
    let wrong = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::usage(format!("cannot understand {}", path.display()))
            .hint("correct it, or use `[[sections]]` in plexburst.toml instead")
            .because(e)
    };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.into()))?;
    let mut all: Vec<WantedSection> = serde_json::from_str(&text).map_err(|e| wrong(e.into()))?;
    for section in &mut all {
        section.language.get_or_insert_with(|| "fr-FR".to_owned());
    }
    Ok(all)
}
