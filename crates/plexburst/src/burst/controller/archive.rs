//! Bursts that do not begin at a live home: a base out of an archive, a result into one, a result brought home.
//!
//! A result archive holds the library as it came from the worker, the bundle files that are new, and the pages that
//! lead back to the base: so `import` can merge three-way with whatever home has become.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::adopt::BUNDLES;
use super::{Controller, Prepared, engine, prepare, snapshot};
use crate::burst::phase::Phase;
use crate::error::{Error, Result};
use crate::exit;
use crate::home::{discard, files_in};

const REVERSE: &str = "reverse";

/// The base out of an exported archive.
pub(super) async fn unpack_base(c: &Controller, path: &Path) -> Result<Prepared> {
    c.side
        .phase(Phase::Prepare, &format!("unpacking {}", path.display()), async || {
            let unpacked = take_out(c, path)?;
            let base = c.area.base();
            discard(base.dir())?;
            engine(|| plex_library::snapshot::take(&unpacked.databases(), base.dir(), &()))?;
            discard(unpacked.data_dir())?;
            snapshot::check(&base)?;
            prepare::of_library(c, &base)
        })
        .await
}

#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    result: PathBuf,
    bytes: u64,
}

/// The staged result as an archive.
pub(super) async fn pack_result(c: &Controller, result: &Path) -> Result<()> {
    c.side
        .phase(
            Phase::Pack,
            &format!("packing the result into {}", result.display()),
            async || {
                let staged = c.area.staged();
                let reverse = c.dir.join(REVERSE);
                discard(&reverse)?;
                let index = c.dir.join("index");
                discard(&index)?;
                std::fs::create_dir_all(&index)
                    .map_err(|e| Error::failed(format!("cannot make {}", index.display())).because(e))?;
                engine(|| plex_library::pages::index_pair(&staged, &index, &()))?;
                engine(|| plex_library::delta::make(&index, &c.area.base(), &reverse, &()))?;
                discard(&index)?;
                let support = "Plug-in Support/Databases";
                let mut files = vec![
                    (format!("{support}/{}", plex_library::LIBRARY_DB), staged.library()),
                    (format!("{support}/{}", plex_library::BLOBS_DB), staged.blobs()),
                ];
                for path in files_in(&reverse)? {
                    files.push((
                        format!("{}/{REVERSE}/{}", plex_library::archive::NOTES, name_of(&path)),
                        path,
                    ));
                }
                let bundles = c.fetched().join(BUNDLES);
                if bundles.is_dir() {
                    for path in files_in(&bundles)? {
                        files.push((
                            format!("{}/{BUNDLES}/{}", plex_library::archive::NOTES, name_of(&path)),
                            path,
                        ));
                    }
                }
                let bytes = engine(|| plex_library::archive::pack(&files, result))?;
                discard(&reverse)?;
                c.printer().say(&format!(
                    "            `plexburst import {}` brings it home",
                    result.display()
                ));
                Ok(Packed {
                    result: result.to_path_buf(),
                    bytes,
                })
            },
        )
        .await?;
    Ok(())
}

/// A result archive becomes base and staged copy beside home's library.
pub(super) async fn unpack_result(c: &Controller, path: &Path) -> Result<Prepared> {
    let home = c.home()?;
    c.side
        .phase(Phase::Prepare, &format!("unpacking {}", path.display()), async || {
            home.check_commands()?;
            stage_again(c, path)?;
            let mut prepared = prepare::of_library(c, &home.databases())?;
            let identity = home.client()?.identity().await?;
            prepared.plex_version = Some(identity.version);
            prepared.machine = Some(identity.machine_identifier);
            Ok(prepared)
        })
        .await
}

/// Base and staged copy out of the archive, from nothing.
pub(super) fn stage_again(c: &Controller, path: &Path) -> Result<()> {
    let unpacked = take_out(c, path)?;
    let reverse = unpacked.notes().join(REVERSE);
    if !reverse.is_dir() {
        return Err(Error::new(
            exit::REFUSED,
            format!(
                "{} has no base, so what the household did since cannot be told from what the worker did",
                path.display()
            ),
        )
        .hint("make the result with `plexburst sync --archive`, which keeps the base in it"));
    }
    let (base, staged) = (c.area.base(), c.area.staged());
    for dir in [base.dir(), staged.dir()] {
        discard(dir)?;
    }
    engine(|| plex_library::snapshot::take(&unpacked.databases(), staged.dir(), &()))?;
    engine(|| plex_library::delta::apply(staged.dir(), &reverse, base.dir(), &()))?;
    let fetched = c.fetched();
    discard(&fetched)?;
    std::fs::create_dir_all(&fetched)
        .map_err(|e| Error::failed(format!("cannot make {}", fetched.display())).because(e))?;
    let bundles = unpacked.notes().join(BUNDLES);
    if bundles.is_dir() {
        let to = fetched.join(BUNDLES);
        std::fs::rename(&bundles, &to)
            .map_err(|e| Error::failed(format!("cannot keep {}", to.display())).because(e))?;
    } else if unpacked.data_dir().join("Metadata").is_dir() || unpacked.data_dir().join("Media").is_dir() {
        let none = plex_library::bundle::Index::default();
        engine(|| plex_library::bundle::pack(unpacked.data_dir(), &none, &fetched.join(BUNDLES), &()))?;
    }
    discard(unpacked.data_dir())
}

fn take_out(c: &Controller, path: &Path) -> Result<plex_library::archive::Unpacked> {
    let dir = c.dir.join("unpacked");
    discard(&dir)?;
    let unpacked = engine(|| plex_library::archive::unpack(path, &dir))?;
    if !unpacked.left_out.is_empty() {
        c.printer().say(&format!(
            "            {} other files in it are not used",
            unpacked.left_out.len()
        ));
    }
    Ok(unpacked)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
