//! Prepare: home as it stands before anything is taken.

use serde::{Deserialize, Serialize};

use super::{Controller, engine};
use crate::burst::phase::Phase;
use crate::burst::spec::Section;
use crate::error::{Error, Result};
use crate::exit;

/// What later phases need to know of home.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prepared {
    /// Plex's version at home; `None` when the library comes from an archive.
    pub plex_version: Option<String>,
    /// Home's machineIdentifier, so that a resumed burst cannot meet another server at the same address.
    pub machine: Option<String>,
    /// All sections.
    pub sections: Vec<Section>,
    /// The ids of those to be indexed, in the order of their ids.
    pub selected: Vec<i64>,
    /// `inspect` of the library before the burst.
    pub before: serde_json::Value,
    /// The base is a result that home never had: what a worker makes of it is merged with home without a base.
    #[serde(default)]
    pub is_no_base: bool,
}

/// Looks at home: its server answers, its library can be read, the commands that stop and start it are known.
pub(super) async fn prepare_home(c: &Controller) -> Result<Prepared> {
    let home = c.home()?;
    c.side
        .phase(
            Phase::Prepare,
            &format!("looking at home ({})", home.url()),
            async || {
                home.check_commands()?;
                let client = home.client()?;
                let identity = client.identity().await.map_err(|e| {
                    let e = Error::from(e);
                    Error::new(exit::USAGE, format!("home does not answer at {}", home.url()))
                        .hint("start home's server, correct `home.url`, or use `--archive FILE` instead of a live home")
                        .because(e)
                })?;
                // The sections are asked for as well: an address that answers without accepting the token would only be
                // noticed after hours.
                client.sections().await?;
                let mut prepared = of_library(c, &home.databases())?;
                prepared.plex_version = Some(identity.version);
                prepared.machine = Some(identity.machine_identifier);
                Ok(prepared)
            },
        )
        .await
}

/// The same of a library without a server.
pub(super) fn of_library(c: &Controller, databases: &plex_library::Databases) -> Result<Prepared> {
    look(databases, &c.request.options.sections)
}

/// The library as it stands, and which of its sections are called `names` (all when there are none).
///
/// # Errors
/// It cannot be read, or has no such section.
pub fn look(databases: &plex_library::Databases, names: &[String]) -> Result<Prepared> {
    let inspection = engine(|| plex_library::inspect::inspect(databases.dir()))?;
    let sections: Vec<Section> = inspection
        .sections
        .iter()
        .map(|s| Section {
            id: s.id,
            name: s.name.clone(),
            kind: s.kind.clone(),
            roots: s.roots.clone(),
        })
        .collect();
    let selected = select(&sections, names)?;
    Ok(Prepared {
        plex_version: None,
        machine: None,
        sections,
        selected,
        before: serde_json::to_value(&inspection)
            .map_err(|e| Error::unexpected("cannot note the inspection of the library").because(e))?,
        is_no_base: false,
    })
}

/// The ids of the sections called `names` (all when there are none).
fn select(sections: &[Section], names: &[String]) -> Result<Vec<i64>> {
    for name in names {
        if !sections.iter().any(|s| s.name == *name) {
            let known: Vec<&str> = sections.iter().map(|s| s.name.as_str()).collect();
            return Err(Error::usage(format!("home has no section called {name:?}"))
                .hint(format!("its sections are: {}", known.join(", "))));
        }
    }
    let mut ids: Vec<i64> = sections
        .iter()
        .filter(|s| names.is_empty() || names.contains(&s.name))
        .map(|s| s.id)
        .collect();
    ids.sort_unstable();
    if ids.is_empty() {
        return Err(Error::usage("home's library has no sections").hint("create one in Plex first"));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_section_is_answered_with_the_list() {
        let sections = [Section {
            id: 2,
            name: "Music".into(),
            kind: "artist".into(),
            roots: vec!["/music".into()],
        }];
        assert_eq!(select(&sections, &[]).unwrap(), [2]);
        let e = select(&sections, &["Musik".into()]).unwrap_err();
        assert_eq!(e.hint_text(), Some("its sections are: Music"));
    }
}
