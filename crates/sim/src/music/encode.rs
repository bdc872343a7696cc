//! Samples and tags into files.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flacenc::bitsink::ByteSink;
use flacenc::component::BitRepr as _;
use flacenc::error::Verify as _;
use lofty::config::WriteOptions;
use lofty::picture::{MimeType, Picture, PictureType};
use lofty::tag::items::Timestamp;
use lofty::tag::{Accessor as _, ItemKey, Tag, TagExt as _, TagType};

use super::Format;
use super::sound::{CHANNELS, RATE};

const BITS: u16 = 16;

/// What the file says about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tags<'a> {
    pub(super) artist: &'a str,
    pub(super) album: &'a str,
    pub(super) title: &'a str,
    pub(super) number: usize,
    pub(super) year: u16,
    pub(super) genre: &'a str,
    /// A PNG.
    pub(super) cover: &'a [u8],
}

/// Writes the file. It appears under its name when it is whole, so a scan never meets half of it.
pub(super) fn write(path: &Path, format: Format, samples: &[i32], tags: &Tags<'_>) -> io::Result<()> {
    let (content, tag_type) = match format {
        Format::Flac => (flac(samples)?, TagType::VorbisComments),
        Format::Wav => (wav(samples), TagType::Id3v2),
    };
    let parent = path.parent().unwrap_or(path);
    // Other than the name of the end, so that no scanner takes it for media; lofty looks at the content.
    let unfinished = tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .tempfile_in(parent)?;
    fs::write(unfinished.path(), content)?;
    tag(tags, tag_type)
        .save_to_path(unfinished.path(), WriteOptions::default())
        .map_err(io::Error::other)?;
    let file = unfinished.persist(path).map_err(|error| error.error)?;
    // A temporary file is for its owner alone; media are for the server, whoever that is.
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn flac(samples: &[i32]) -> io::Result<Vec<u8>> {
    let mut config = flacenc::config::Encoder::default();
    config.multithread = false;
    let config = config.into_verified().map_err(|(_, error)| io::Error::other(error))?;
    let source = flacenc::source::MemSource::from_samples(samples, CHANNELS, usize::from(BITS), RATE as usize);
    let mut stream = flacenc::encode_with_fixed_block_size(&config, source, config.block_size)
        .map_err(|error| io::Error::other(error.to_string()))?;
    // The last block is shorter and does not count (RFC 9639 §8.2); the encoder counts it, and strict decoders then expect
    // blocks of variable size.
    let block = config.block_size;
    stream
        .stream_info_mut()
        .set_block_sizes(block, block)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let mut sink = ByteSink::new();
    stream
        .write(&mut sink)
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(sink.into_inner())
}

fn wav(samples: &[i32]) -> Vec<u8> {
    let frame = CHANNELS as u16 * (BITS / 8);
    let data = u32::try_from(samples.len() * usize::from(BITS / 8)).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + data).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    // 1: plain samples.
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&(CHANNELS as u16).to_le_bytes());
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * u32::from(frame)).to_le_bytes());
    file.extend_from_slice(&frame.to_le_bytes());
    file.extend_from_slice(&BITS.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data.to_le_bytes());
    for sample in samples {
        file.extend_from_slice(&(*sample as i16).to_le_bytes());
    }
    file
}

fn tag(tags: &Tags<'_>, tag_type: TagType) -> Tag {
    let mut tag = Tag::new(tag_type);
    tag.set_artist(tags.artist.to_owned());
    tag.set_album(tags.album.to_owned());
    tag.set_title(tags.title.to_owned());
    tag.set_genre(tags.genre.to_owned());
    tag.set_track(u32::try_from(tags.number).unwrap_or_default());
    tag.set_disk(1);
    tag.set_date(Timestamp {
        year: tags.year,
        ..Timestamp::default()
    });
    tag.insert_text(ItemKey::AlbumArtist, tags.artist.to_owned());
    let cover = Picture::unchecked(tags.cover.to_vec())
        .pic_type(PictureType::CoverFront)
        .mime_type(MimeType::Png);
    tag.push_picture(cover.build());
    tag
}
