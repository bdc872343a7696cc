//! Music that nobody recorded: real files with tags and a picture, each of which sounds unlike the others.
//!
//! The same [`Spec`] makes the same files, byte by byte; another seed makes other artists, so one folder can be filled by
//! several specs. Tempo, key, timbre, noise and level differ from track to track, so an analysis that listens finds as
//! many different tracks as there are files.

mod encode;
mod names;
mod sound;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::fixture::random::Random;
use crate::scanner::picture;
use encode::Tags;

/// How the files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Lossless, compressed.
    #[default]
    Flac,
    /// As it is.
    Wav,
}

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// How many artists.
    pub artists: usize,
    /// How many albums each artist has.
    pub albums: usize,
    /// How many tracks each album has.
    pub tracks: usize,
    /// How long each track is.
    pub seconds: f64,
    /// Another seed gives other artists and other music.
    pub seed: u64,
    /// How the files are written.
    pub format: Format,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            artists: 2,
            albums: 2,
            tracks: 5,
            seconds: 5.0,
            seed: 1,
            format: Format::Flac,
        }
    }
}

/// Makes `Artist/Album/NN - Title.flac` below `dir` and returns the files in that order. A file that is there is made anew.
///
/// # Errors
/// When a file cannot be written.
pub fn synthesise(dir: &Path, spec: &Spec) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::with_capacity(spec.artists * spec.albums * spec.tracks);
    for artist_number in 0..spec.artists {
        let artist = names::artist(spec.seed, artist_number);
        for album_number in 0..spec.albums {
            let album = names::title(&artist, album_number);
            let mut random = Random::of(&format!("{artist}/{album}"));
            let year = u16::try_from(random.between(1965, 2026)).unwrap_or(2000);
            let genre = *random.pick(&names::GENRES);
            let cover = picture::made_for(&format!("{artist}/{album}"))?;
            let folder = dir.join(&artist).join(&album);
            fs::create_dir_all(&folder)?;
            for number in 1..=spec.tracks {
                let title = names::title(&album, number);
                let tags = Tags {
                    artist: &artist,
                    album: &album,
                    title: &title,
                    number,
                    year,
                    genre,
                    cover: &cover,
                };
                let samples = sound::play(&format!("{artist}/{album}/{number}"), spec.seconds);
                let file = folder.join(format!("{number:02} - {title}.{}", spec.format.extension()));
                encode::write(&file, spec.format, &samples, &tags)?;
                files.push(file);
            }
        }
    }
    Ok(files)
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Format::Flac => "flac",
            Format::Wav => "wav",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lofty::file::{AudioFile as _, TaggedFileExt as _};
    use lofty::tag::Accessor as _;

    #[test]
    fn both_formats_carry_tags_picture_and_length() {
        let dir = tempfile::tempdir().unwrap();
        for format in [Format::Flac, Format::Wav] {
            let spec = Spec {
                artists: 1,
                albums: 1,
                tracks: 2,
                seconds: 0.7,
                format,
                ..Spec::default()
            };
            let files = synthesise(dir.path(), &spec).unwrap();
            assert_eq!(files.len(), 2);
            let file = lofty::read_from_path(&files[1]).unwrap();
            assert_eq!(file.properties().duration().as_millis(), 700);
            assert_eq!(
                (file.properties().channels(), file.properties().sample_rate()),
                (Some(2), Some(44_100))
            );
            let tag = file.primary_tag().unwrap();
            let artist = tag.artist().unwrap().into_owned();
            let album = tag.album().unwrap().into_owned();
            let name = format!("02 - {}.{}", tag.title().unwrap(), format.extension());
            assert_eq!(files[1], dir.path().join(artist).join(album).join(name));
            assert_eq!(tag.track(), Some(2));
            assert!(tag.genre().is_some() && tag.date().is_some());
            assert!(tag.pictures()[0].data().starts_with(b"\x89PNG"));
        }
    }

    #[test]
    fn the_same_spec_makes_the_same_files_and_another_seed_others() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, seed| {
            let spec = Spec {
                artists: 2,
                albums: 1,
                tracks: 2,
                seconds: 0.3,
                seed,
                format: Format::Flac,
            };
            let folder = dir.path().join(name);
            let files = synthesise(&folder, &spec).unwrap();
            files
                .iter()
                .map(|file| (file.strip_prefix(&folder).unwrap().to_owned(), fs::read(file).unwrap()))
                .collect::<Vec<_>>()
        };
        let one = make("one", 1);
        assert_eq!(one, make("again", 1));
        let two = make("two", 2);
        assert!(
            one.iter()
                .all(|(path, content)| two.iter().all(|(other, sound)| other != path && sound != content))
        );
        assert_ne!(one[0].1, one[1].1);
    }
}
