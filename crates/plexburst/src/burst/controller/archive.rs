//! Bursts that do not begin at a live home: a base out of an archive, a result into one, a result brought home.
//!
//! A result archive holds the library as it came from the worker, the bundle files that are new, and the pages that
//! lead back to the base: so `import` can merge three-way with whatever home has become. Archives of the earlier scripts
//! have no such pages; they are merged without a base, and whether they call themselves result, export or backup decides
//! nothing but what is said.

use std::path::{Path, PathBuf};

use plex_library::archive::{Holds, Lone, REVERSE, Unpacked, Why};
use serde::{Deserialize, Serialize};

use super::adopt::BUNDLES;
use super::{Controller, Prepared, engine, prepare, snapshot};
use crate::burst::phase::Phase;
use crate::error::{Error, Result};
use crate::exit;
use crate::home::{discard, files_in};

/// Where what lay beside the databases waits for the result.
const BESIDE: &str = "beside";
/// Names of entries that are shown of each kind.
const SHOWN: usize = 3;

/// The base out of an exported archive.
pub(super) async fn unpack_base(c: &Controller, path: &Path) -> Result<Prepared> {
    c.side
        .phase(Phase::Prepare, &format!("unpacking {}", path.display()), async || {
            let unpacked = take_out(c, path)?;
            let base = c.area.base();
            discard(base.dir())?;
            engine(|| plex_library::snapshot::take(&unpacked.databases(), base.dir(), &()))?;
            let beside = c.dir.join(BESIDE);
            discard(&beside)?;
            move_extras(&unpacked, &beside)?;
            let holds = unpacked.holds;
            discard(unpacked.data_dir())?;
            snapshot::check(&base)?;
            let mut prepared = prepare::of_library(c, &base)?;
            prepared.is_no_base = holds == Holds::Result;
            if prepared.is_no_base {
                say(
                    c,
                    "it is a result; if home does not have it yet, `plexburst import` it first: what comes of it now is merged \
                     with home without a base",
                )?;
            }
            Ok(prepared)
        })
        .await
}

#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    result: PathBuf,
    bytes: u64,
}

/// The staged result as an archive.
pub(super) async fn pack_result(c: &Controller, prepared: &Prepared, result: &Path) -> Result<()> {
    c.side
        .phase(
            Phase::Pack,
            &format!("packing the result into {}", result.display()),
            async || {
                let staged = c.area.staged();
                let reverse = c.dir.join(REVERSE);
                discard(&reverse)?;
                if !prepared.is_no_base {
                    way_back(c, &staged, &reverse)?;
                }
                let support = "Plug-in Support/Databases";
                let mut files = vec![
                    (format!("{support}/{}", plex_library::LIBRARY_DB), staged.library()),
                    (format!("{support}/{}", plex_library::BLOBS_DB), staged.blobs()),
                ];
                let beside = c.dir.join(BESIDE);
                for extra in below(&beside)? {
                    files.push((format!("{support}/{}", extra.display()), beside.join(&extra)));
                }
                let pages = if reverse.is_dir() {
                    files_in(&reverse)?
                } else {
                    Vec::new()
                };
                for path in pages {
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

/// The pages that lead from the result back to the base.
fn way_back(c: &Controller, staged: &plex_library::Databases, reverse: &Path) -> Result<()> {
    let index = c.dir.join("index");
    discard(&index)?;
    std::fs::create_dir_all(&index)
        .map_err(|e| Error::failed(format!("cannot make {}", index.display())).because(e))?;
    engine(|| plex_library::pages::index_pair(staged, &index, &()))?;
    engine(|| plex_library::delta::make(&index, &c.area.base(), reverse, &()))?;
    discard(&index)
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
    let (base, staged) = (c.area.base(), c.area.staged());
    for dir in [base.dir(), staged.dir()] {
        discard(dir)?;
    }
    engine(|| plex_library::snapshot::take(&unpacked.databases(), staged.dir(), &()))?;
    // Two copies at a time, and no more.
    for which in plex_library::Which::BOTH {
        discard_file(&unpacked.databases().path(which))?;
    }
    if reverse.is_dir() {
        engine(|| plex_library::delta::apply(staged.dir(), &reverse, base.dir(), &()))?;
    } else {
        say(
            c,
            &format!(
                "it is {} without its base: what the household has wins, and what only the archive has is added",
                unpacked.holds.words()
            ),
        )?;
    }
    move_extras(&unpacked, staged.dir())?;
    let fetched = c.fetched();
    discard(&fetched)?;
    std::fs::create_dir_all(&fetched)
        .map_err(|e| Error::failed(format!("cannot make {}", fetched.display())).because(e))?;
    let bundles = unpacked.notes().join(BUNDLES);
    if c.request.options.without_bundles {
        say(c, "its bundles are left where they are")?;
    } else if bundles.is_dir() {
        let to = fetched.join(BUNDLES);
        std::fs::rename(&bundles, &to)
            .map_err(|e| Error::failed(format!("cannot keep {}", to.display())).because(e))?;
    } else if unpacked.data_dir().join("Metadata").is_dir() || unpacked.data_dir().join("Media").is_dir() {
        let none = plex_library::bundle::Index::default();
        engine(|| plex_library::bundle::pack(unpacked.data_dir(), &none, &fetched.join(BUNDLES), &()))?;
    }
    // What the phase is noted as done with has to be there after a power cut too.
    engine(|| plex_library::publish::sync_tree(&fetched))?;
    engine(|| plex_library::publish::sync_folder(&c.dir))?;
    discard(unpacked.data_dir())
}

fn discard_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::failed(format!("cannot remove {}", path.display())).because(e))
        }
        _ => Ok(()),
    }
}

/// Removes what only waited for the result.
pub(super) fn tidy(c: &Controller) -> Result<()> {
    discard(&c.dir.join(BESIDE))
}

/// Puts what lay beside the databases into the folder `to`.
fn move_extras(unpacked: &Unpacked, to: &Path) -> Result<()> {
    let databases = unpacked.databases();
    for extra in &unpacked.extras {
        let (from, to) = (databases.dir().join(extra), to.join(extra));
        to.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::rename(&from, &to))
            .map_err(|e| Error::failed(format!("cannot keep {}", to.display())).because(e))?;
    }
    match to.is_dir() {
        true => engine(|| plex_library::publish::sync_tree(to)),
        false => Ok(()),
    }
}

fn take_out(c: &Controller, path: &Path) -> Result<Unpacked> {
    let dir = c.dir.join("unpacked");
    discard(&dir)?;
    let lone = match c.request.options.without_blobs {
        true => Lone::Accepted,
        false => Lone::Refused,
    };
    let unpacked = engine(|| plex_library::archive::unpack_with(path, &dir, lone))?;
    refuse_unsealed(path, &unpacked)?;
    for (why, names) in &unpacked.left_out {
        let told = format!("{} not used ({}): {}", names.len(), why.words(), some(names));
        // What is no part of a library is in every archive of a whole folder.
        if *why == Why::NotLibrary {
            c.printer().say(&format!("            {told}"));
        } else {
            say(c, &told)?;
        }
    }
    if !unpacked.extras.is_empty() {
        let names: Vec<String> = unpacked
            .extras
            .iter()
            .map(|extra| extra.display().to_string())
            .collect();
        say(
            c,
            &format!(
                "{} lie beside the databases and come along: {}",
                names.len(),
                some(&names)
            ),
        )?;
    }
    if unpacked.is_lone {
        say(
            c,
            "its blobs.db is missing: what Sonic and the detection of intros had found is measured anew",
        )?;
    }
    Ok(unpacked)
}

/// An archive of ours that is not what was packed is not used, whatever became of it.
fn refuse_unsealed(path: &Path, unpacked: &Unpacked) -> Result<()> {
    let Some(sealed) = engine(|| unpacked.sealed())? else {
        return Ok(());
    };
    let found = engine(|| plex_library::verify::against(&unpacked.databases(), &sealed, None))?;
    match found.first() {
        None => Ok(()),
        Some(first) => Err(
            Error::new(exit::REFUSED, format!("{} is damaged: {first}", path.display()))
                .hint("use another copy of the archive; `plexburst verify` says of each whether it is what was packed"),
        ),
    }
}

/// Said to a person, and noted for the report.
fn say(c: &Controller, text: &str) -> Result<()> {
    c.printer().say(&format!("            {text}"));
    c.side.note(Phase::Prepare, text)
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// All files below a folder, by their path in it; none if there is no such folder.
fn below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = dir.join(&folder);
        if !here.is_dir() {
            continue;
        }
        for path in files_in(&here)? {
            let name = folder.join(path.file_name().unwrap_or_default());
            if path.is_dir() {
                folders.push(name);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
