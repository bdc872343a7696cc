//! Choosing what to look at: some of many, somewhere in a file, any file of a folder.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Entries that a search for any file looks at before it gives up.
const ENTRIES: usize = 2000;

/// Another one each time.
#[must_use]
pub fn seed() -> u64 {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    u64::try_from(nanos & u128::from(u64::MAX)).unwrap_or(0) ^ u64::from(std::process::id())
}

/// splitmix64: good enough to be unforeseen by a cache, and the same for the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `limit` - 1; 0 when there is none.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).checked_rem(limit).unwrap_or(0)
    }
}

/// `count` of `all`, spread over the whole of it, another choice for another seed. All when there are fewer.
#[must_use]
pub fn of<T: Clone>(all: &[T], count: usize, seed: u64) -> Vec<T> {
    if all.len() <= count {
        return all.to_vec();
    }
    let mut random = Random::new(seed);
    (0..count)
        .map(|number| {
            let (from, to) = (number * all.len() / count, (number + 1) * all.len() / count);
            let inside = random.below((to - from) as u64);
            all[from + usize::try_from(inside).unwrap_or(0)].clone()
        })
        .collect()
}

/// Any file that is not empty below a folder, the nearest first; none when a bounded search finds none.
///
/// # Errors
/// A folder cannot be listed.
pub fn first_file(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut folders = VecDeque::from([dir.to_owned()]);
    let mut seen = 0;
    while let Some(folder) = folders.pop_front() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            seen += 1;
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => folders.push_back(path),
                Ok(metadata) if metadata.is_file() && metadata.len() > 0 => return Ok(Some(path)),
                _ => {}
            }
            if seen > ENTRIES {
                return Ok(None);
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_the_whole() {
        let all: Vec<u32> = (0..1000).collect();
        let sample = of(&all, 10, 7);
        assert_eq!(sample.len(), 10);
        assert!(
            sample.iter().enumerate().all(|(n, value)| *value as usize / 100 == n),
            "{sample:?}"
        );
        assert_eq!(sample, of(&all, 10, 7));
        assert_ne!(sample, of(&all, 10, 8));
        assert_eq!(of(&all[..3], 10, 1), [0, 1, 2]);
        assert_eq!(Random::new(1).below(0), 0);
    }
}
