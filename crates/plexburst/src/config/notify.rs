//! `[notify]`: who is told when a burst ends or needs a person.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When somebody is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// At the end of every burst.
    #[default]
    Always,
    /// Only when a person is needed.
    Trouble,
}

/// `[notify]`. Addresses stand in files: whoever knows one can write there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// When somebody is told: at every end, or only when a person is needed.
    pub when: When,
    /// A command that gets the text as its last word and the whole as JSON on its input.
    pub command: Option<Vec<String>>,
    /// A file (mode 0600) with the address that the message is posted to as JSON.
    pub webhook_file: Option<PathBuf>,
    /// A file (mode 0600) with the address of a topic of ntfy, as in https://ntfy.sh/my-topic.
    pub ntfy_file: Option<PathBuf>,
}
