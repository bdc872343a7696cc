//! `/services/browse`: folders of the server's machine, as the dialog that adds a section walks them.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::Context;
use super::element::Element;
use super::reply::{Failure, Reply};

/// The folder whose path is the base64 text `encoded`, or the root of the file system. `includeFiles=0` leaves files out.
pub(super) fn browse(context: &Context<'_>, encoded: Option<&str>) -> Result<Reply, Failure> {
    let folder = match encoded {
        None => PathBuf::from("/"),
        Some(text) => {
            let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
            let path = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            PathBuf::from(path.ok_or_else(|| Failure::BadRequest(format!("{text:?} is no base64 of a path")))?)
        }
    };
    let with_files = context.request.query.get("includeFiles") != Some("0");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(|_| Failure::NotFound)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| with_files || path.is_dir())
        .collect();
    paths.sort();
    Ok(Reply::tree(
        Element::container()
            .children(paths.iter().map(|path| element(path)))
            .sized(),
    ))
}

fn element(path: &Path) -> Element {
    let text = path.to_string_lossy();
    let is_folder = path.is_dir();
    Element::new(if is_folder { "Path" } else { "File" })
        .attr("key", format!("/services/browse/{}", STANDARD.encode(text.as_bytes())))
        .attr(
            "title",
            path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        )
        .attr("path", text.into_owned())
}
