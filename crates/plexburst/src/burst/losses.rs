//! Guard 5: what a burst would lose is shown by name and refused, unless as many were accepted beforehand.

use plex_library::losses::{How, Lost};

use crate::error::{Error, Result};
use crate::exit;

/// How many are named in a message; the report has all.
const NAMED: usize = 10;

/// Lets `losses` through when there are at most `accepted`; gives the lines for the report.
///
/// # Errors
/// A refusal that names them.
pub fn judge(losses: &[Lost], accepted: u64) -> Result<Vec<String>> {
    let lines: Vec<String> = losses
        .iter()
        .map(|lost| {
            let how = match lost.how {
                How::Gone => "gone",
                How::Trashed => "in the trash",
            };
            format!("{} ({:?} in {}; {how})", lost.file, lost.title, lost.section)
        })
        .collect();
    if losses.len() as u64 <= accepted {
        return Ok(lines);
    }
    let mut named = lines.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if lines.len() > NAMED {
        named.push_str(&format!("; and {} more", lines.len() - NAMED));
    }
    Err(Error::new(
        exit::REFUSED,
        format!(
            "{} files that home's library knows would be lost: {named}",
            losses.len()
        ),
    )
    .hint(format!(
        "bring the files back into the media; or, if they are meant to be gone, `--accept-losses {}`",
        losses.len()
    )))
}
