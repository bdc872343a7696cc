//! What the tags in an audio file say.

use std::path::Path;

use lofty::file::{AudioFile, TaggedFileExt};
use lofty::probe::Probe;
use lofty::tag::{Accessor, ItemKey};

use super::files::extension;

/// One audio file: what it is, and how it sounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tags {
    pub(super) title: Option<String>,
    /// Of the track.
    pub(super) artist: Option<String>,
    /// Of the album, when it is not the track's.
    pub(super) album_artist: Option<String>,
    pub(super) album: Option<String>,
    pub(super) number: Option<i64>,
    pub(super) disc: Option<i64>,
    pub(super) year: Option<i64>,
    pub(super) genres: Vec<String>,
    /// Milliseconds.
    pub(super) duration: Option<i64>,
    /// Bits per second.
    pub(super) bitrate: Option<i64>,
    pub(super) channels: Option<i64>,
    /// Hertz.
    pub(super) sample_rate: Option<i64>,
    pub(super) picture: Option<Vec<u8>>,
}

/// Reads them. A file without tags, or with tags that cannot be understood, has none; what is played decides later.
pub(super) fn read(path: &Path) -> Tags {
    let Ok(probe) = Probe::open(path) else {
        return Tags::default();
    };
    let Ok(file) = probe.guess_file_type().map_err(Into::into).and_then(Probe::read) else {
        return Tags::default();
    };
    let properties = file.properties();
    let mut tags = Tags {
        duration: i64::try_from(properties.duration().as_millis())
            .ok()
            .filter(|duration| *duration > 0),
        bitrate: properties.audio_bitrate().map(|kilobits| i64::from(kilobits) * 1000),
        channels: properties.channels().map(i64::from),
        sample_rate: properties.sample_rate().map(i64::from),
        ..Tags::default()
    };
    if let Some(tag) = file.primary_tag().or_else(|| file.first_tag()) {
        let text = |value: Option<std::borrow::Cow<'_, str>>| {
            value
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        tags.title = text(tag.title());
        tags.artist = text(tag.artist());
        tags.album = text(tag.album());
        tags.album_artist = text(tag.get_string(ItemKey::AlbumArtist).map(Into::into));
        tags.number = tag.track().map(i64::from);
        tags.disc = tag.disk().map(i64::from);
        tags.year = tag.date().map(|date| i64::from(date.year));
        tags.genres = text(tag.genre())
            .map(|genres| {
                genres
                    .split([';', '/', '|'])
                    .map(|genre| genre.trim().to_owned())
                    .collect()
            })
            .unwrap_or_default();
        tags.picture = tag.pictures().first().map(|picture| picture.data().to_vec());
    }
    tags
}

/// Container and codec, as Plex calls them, of a file with that name.
pub(super) fn codec(name: &str) -> (&'static str, &'static str) {
    match extension(name).as_deref() {
        Some("flac") => ("flac", "flac"),
        Some("mp3") => ("mp3", "mp3"),
        Some("ogg" | "oga") => ("ogg", "vorbis"),
        Some("opus") => ("ogg", "opus"),
        Some("m4a" | "m4b") => ("mp4", "aac"),
        Some("wav") => ("wav", "pcm"),
        Some("aif" | "aiff") => ("aiff", "pcm"),
        Some("wma") => ("asf", "wmav2"),
        Some("ape") => ("ape", "ape"),
        _ => ("", ""),
    }
}
