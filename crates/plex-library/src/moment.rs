//! Both databases of a library at one moment, and what a manifest says of them.
//!
//! The two have no common transaction, so the moment of the blobs is fixed first and that of the library second: every blob
//! that is seen has its owner there.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use crate::contents::{Cells, Contents};
use crate::error::{Error, Result};
use crate::pages::Whole;
use crate::paths::{Databases, Which};
use crate::snapshot::{Copied, FORMAT, Manifest, Way};
use crate::source::Source;

/// Tables whose rows are counted.
const COUNTED: [(Which, &str); 8] = [
    (Which::Library, "library_sections"),
    (Which::Library, "metadata_items"),
    (Which::Library, "media_items"),
    (Which::Library, "media_parts"),
    (Which::Library, "media_streams"),
    (Which::Library, "metadata_item_settings"),
    (Which::Library, "metadata_item_views"),
    (Which::Blobs, "blobs"),
];

/// The pair, held at its moment until this is dropped.
pub(crate) struct Moment {
    sources: [(Which, Source); 2],
    taken_at: Timestamp,
}

impl Moment {
    /// Fixes it. Copies that are needed are made in the folder `scratch`.
    pub(crate) fn fix(databases: &Databases, way: Way, scratch: &Path) -> Result<Self> {
        for which in Which::BOTH {
            if !databases.path(which).exists() {
                return Err(Error::NotALibrary {
                    path: databases.dir().to_owned(),
                    why: format!("{} is missing; a library is a pair", which.file_name()),
                });
            }
        }
        let open = |which| {
            let path = databases.path(which);
            match way {
                Way::OnePass => Source::open_in(&path, scratch),
                Way::Plain => Source::by_backup(&path, scratch),
            }
            .map(|source| (which, source))
        };
        let [blobs, library] = Which::BLOBS_FIRST;
        let sources = [open(blobs)?, open(library)?];
        let taken_at = Timestamp::now();
        Ok(Self { sources, taken_at })
    }

    /// Both sources, blobs first.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (Which, &Source)> {
        self.sources.iter().map(|(which, source)| (*which, source))
    }

    /// Both sources, blobs first, to be held further on.
    pub(crate) fn into_sources(self) -> [(Which, Source); 2] {
        self.sources
    }

    pub(crate) fn taken_at(&self) -> Timestamp {
        self.taken_at
    }

    /// Confirms that what passed was one moment, and says what it was.
    pub(crate) fn manifest(
        &self,
        mut passed: BTreeMap<Which, (Whole, Cells)>,
        plex_version: Option<String>,
    ) -> Result<Manifest> {
        let mut databases = BTreeMap::new();
        let mut contents = BTreeMap::new();
        for (which, source) in self.sources() {
            let (whole, cells) = passed
                .remove(&which)
                .ok_or_else(|| Error::damaged(source.path(), "not all of it was read"))?;
            let of = Contents::read(source, cells)?;
            let copied = Copied {
                whole,
                log_frames: source.log_frames(),
                user_version: of.header().user_version,
                application_id: of.header().application_id,
            };
            databases.insert(which, copied);
            contents.insert(which, of);
        }
        let mut counts = BTreeMap::new();
        for (which, table) in COUNTED {
            if let Some(rows) = contents[&which].count(table)? {
                counts.insert(table.to_owned(), rows);
            }
        }
        let manifest = Manifest {
            format: FORMAT,
            taken_at: self.taken_at.to_string(),
            plex_version,
            databases,
            schema_migrations: contents[&Which::Library].migrations()?,
            counts,
        };
        for (_, source) in self.sources() {
            source.confirm()?;
        }
        Ok(manifest)
    }
}
