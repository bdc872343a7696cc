//! `plex-sim bucket`: a bucket of names to measure a listing on.

use std::path::PathBuf;

use crate::bucket::{self, Served};

/// Its options.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name.
    #[arg(long, default_value = "music")]
    name: String,
    /// Lines of `BYTES KEY`; unset: made-up music.
    #[arg(long)]
    keys: Option<PathBuf>,
    #[arg(long, default_value_t = 1951)]
    artists: usize,
    /// Per artist.
    #[arg(long, default_value_t = 18)]
    albums: usize,
    /// Per album.
    #[arg(long, default_value_t = 13)]
    tracks: usize,
    /// On loopback; 0: any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

impl Args {
    /// Makes and serves it.
    pub(super) fn start(&self) -> std::io::Result<Served> {
        let objects: Vec<(String, u64)> = match &self.keys {
            Some(file) => std::fs::read_to_string(file)?
                .lines()
                .filter_map(|line| {
                    let (size, key) = line.split_once(' ')?;
                    Some((key.to_owned(), size.parse().ok()?))
                })
                .collect(),
            None => bucket::music("Music", self.artists, self.albums, self.tracks).collect(),
        };
        let at = ([127, 0, 0, 1], self.port).into();
        Served::start_at(bucket::Bucket::new(&self.name, objects), at)
    }
}
