//! The last lines of Plex's log, for messages about a server that does not come up.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the end is looked at: lines are rarely longer than 500 bytes.
const WINDOW: u64 = 64 * 1024;

/// The last `lines` lines of `Logs/Plex Media Server.log`; empty when there is none to read.
#[must_use]
pub fn tail(data_dir: &Path, lines: usize) -> Vec<String> {
    last_lines(&data_dir.join("Logs/Plex Media Server.log"), lines)
}

/// The last `lines` lines of any text file; empty when it cannot be read.
#[must_use]
pub(crate) fn last_lines(path: &Path, lines: usize) -> Vec<String> {
    let Ok(bytes) = end_of(path) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let first = all.len().saturating_sub(lines);
    all[first..].iter().map(|line| (*line).to_owned()).collect()
}

fn end_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_end_of_a_long_log_and_of_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("Logs")).unwrap();
        let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(dir.path().join("Logs/Plex Media Server.log"), text).unwrap();
        assert_eq!(super::tail(dir.path(), 2), ["line 19998", "line 19999"]);
        assert!(super::tail(&dir.path().join("none"), 2).is_empty());
    }
}
