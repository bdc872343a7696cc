//! Home's own preferences that can delete: off while a burst runs, back afterwards as they were.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Home;
use crate::error::Result;
use crate::plex::preferences;

/// The values that were in force before the burst, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dangerous {
    /// Name → value.
    pub before: BTreeMap<String, String>,
}

impl Home {
    /// What is in force now.
    ///
    /// # Errors
    /// Home does not answer.
    pub async fn read_dangerous(&self) -> Result<Dangerous> {
        Ok(Dangerous {
            before: preferences::read_deleting(&self.client()?).await?,
        })
    }

    /// Turns them off, one by one, and reads each back.
    ///
    /// # Errors
    /// Home does not answer, or does not keep a value.
    pub async fn quiet(&self) -> Result<()> {
        Ok(preferences::forbid_deleting(&self.client()?).await?)
    }

    /// Puts them back.
    ///
    /// # Errors
    /// Home does not answer.
    pub async fn restore_prefs(&self, dangerous: &Dangerous) -> Result<()> {
        Ok(preferences::put_back(&self.client()?, &dangerous.before).await?)
    }
}
