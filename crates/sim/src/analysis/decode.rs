//! Media files opened for their content: what a container says, and the sound itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as audio;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoderOptions};
use symphonia::core::codecs::video::well_known as video;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::units::{Duration, TimeBase};

/// Why a file could not be analysed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It is not there, or the store behind it does not give its bytes.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is nothing that can be understood.
    #[error("it cannot be decoded: {0}")]
    Content(SymphoniaError),
    /// It has nothing to listen to.
    #[error("there is no sound in it")]
    Silent,
}

impl From<SymphoniaError> for DecodeError {
    fn from(error: SymphoniaError) -> Self {
        match error {
            SymphoniaError::IoError(source) => DecodeError::Read(source),
            error => DecodeError::Content(error),
        }
    }
}

/// What the container says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// As Plex calls it: "flac", "ogg", "mkv".
    pub(crate) container: &'static str,
    /// Milliseconds.
    pub(crate) duration: Option<i64>,
    /// In the container's order.
    pub(crate) streams: Vec<StreamFacts>,
}

/// One stream of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StreamFacts {
    /// 1 video, 2 audio, 3 subtitles: `media_streams.stream_type_id`.
    pub(crate) kind: i64,
    /// As Plex calls it; empty when it is none that this simulator knows.
    pub(crate) codec: &'static str,
    pub(crate) language: Option<String>,
    pub(crate) channels: Option<i64>,
    /// Hertz.
    pub(crate) rate: Option<u32>,
    /// Per sample.
    pub(crate) bits: Option<u32>,
    /// Width and height in pixels.
    pub(crate) size: Option<(u16, u16)>,
}

/// Reads what the container says, without decoding.
pub(crate) fn facts(path: &Path) -> Result<Facts, DecodeError> {
    let format = open(path)?;
    let container = match format.format_info().short_name {
        "wave" => "wav",
        name => name,
    };
    let whole = format.media_info();
    // Some containers know how long they are, others only how long each track is.
    let duration = milliseconds(whole.time_base, whole.duration).or_else(|| {
        format
            .tracks()
            .iter()
            .filter_map(|track| milliseconds(track.time_base, track.duration))
            .max()
    });
    let streams = format.tracks().iter().map(stream).collect();
    Ok(Facts {
        container,
        duration,
        streams,
    })
}

/// What there is to say about a picture that can be read: `None` when the file is none by its name.
pub(crate) fn photo(path: &Path) -> Result<Option<Facts>, DecodeError> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    let container = match extension.as_deref() {
        Some("jpg" | "jpeg") => "jpeg",
        Some("png") => "png",
        Some("gif") => "gif",
        Some("webp") => "webp",
        Some("heic") => "heic",
        Some("tif" | "tiff") => "tiff",
        Some("bmp") => "bmp",
        _ => return Ok(None),
    };
    File::open(path)?.read_exact(&mut [0])?;
    Ok(Some(Facts {
        container,
        duration: None,
        streams: Vec::new(),
    }))
}

/// Decodes the whole file and hands over interleaved samples in -1..1, with the number of channels and the rate in hertz.
/// A file that ends too early is what it is up to there.
pub(crate) fn listen(path: &Path, mut sound: impl FnMut(&[f32], usize, u32)) -> Result<(), DecodeError> {
    let mut format = open(path)?;
    let track = format.default_track(TrackType::Audio).ok_or(DecodeError::Silent)?;
    let (id, Some(CodecParameters::Audio(parameters))) = (track.id, &track.codec_params) else {
        return Err(DecodeError::Silent);
    };
    let mut decoder =
        symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default())?;
    let mut samples = Vec::new();
    let mut has_sound = false;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) | Err(SymphoniaError::ResetRequired) => break,
            Err(SymphoniaError::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof && has_sound => break,
            Err(error) => return Err(error.into()),
        };
        if packet.track_id != id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(decoded) => {
                decoded.copy_to_vec_interleaved::<f32>(&mut samples);
                let spec = decoded.spec();
                has_sound |= !samples.is_empty();
                sound(&samples, spec.channels().count().max(1), spec.rate());
            }
            // One bad packet is a click.
            Err(SymphoniaError::DecodeError(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if has_sound { Ok(()) } else { Err(DecodeError::Silent) }
}

fn open(path: &Path) -> Result<Box<dyn FormatReader>, DecodeError> {
    let source = MediaSourceStream::new(Box::new(File::open(path)?), Default::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    Ok(symphonia::default::get_probe().probe(&hint, source, FormatOptions::default(), MetadataOptions::default())?)
}

fn milliseconds(base: Option<TimeBase>, duration: Option<Duration>) -> Option<i64> {
    i64::try_from(base?.calc_duration(duration?)?.as_millis()).ok()
}

fn stream(track: &Track) -> StreamFacts {
    // "und": the container has a place for a language and its writer knew none.
    let language = track.language.clone().filter(|language| language != "und");
    match &track.codec_params {
        Some(CodecParameters::Audio(parameters)) => StreamFacts {
            kind: 2,
            codec: audio_codec(parameters),
            language,
            channels: parameters
                .channels
                .as_ref()
                .and_then(|channels| i64::try_from(channels.count()).ok()),
            rate: parameters.sample_rate,
            bits: parameters.bits_per_sample,
            size: None,
        },
        Some(CodecParameters::Video(parameters)) => StreamFacts {
            kind: 1,
            codec: match parameters.codec {
                video::CODEC_ID_H264 => "h264",
                video::CODEC_ID_HEVC => "hevc",
                video::CODEC_ID_AV1 => "av1",
                video::CODEC_ID_VP9 => "vp9",
                video::CODEC_ID_VP8 => "vp8",
                video::CODEC_ID_MPEG4 => "mpeg4",
                video::CODEC_ID_MPEG2 => "mpeg2video",
                _ => "",
            },
            language,
            size: parameters.width.zip(parameters.height),
            ..StreamFacts::default()
        },
        _ => StreamFacts {
            kind: 3,
            language,
            ..StreamFacts::default()
        },
    }
}

fn audio_codec(parameters: &AudioCodecParameters) -> &'static str {
    const NAMES: [(AudioCodecId, &str); 8] = [
        (audio::CODEC_ID_FLAC, "flac"),
        (audio::CODEC_ID_VORBIS, "vorbis"),
        (audio::CODEC_ID_OPUS, "opus"),
        (audio::CODEC_ID_MP3, "mp3"),
        (audio::CODEC_ID_AAC, "aac"),
        (audio::CODEC_ID_AC3, "ac3"),
        (audio::CODEC_ID_EAC3, "eac3"),
        (audio::CODEC_ID_ALAC, "alac"),
    ];
    let known = NAMES
        .iter()
        .find(|(codec, _)| *codec == parameters.codec)
        .map(|(_, name)| *name);
    // What is left in a container with samples of a fixed size is the samples themselves.
    known.unwrap_or(if parameters.bits_per_sample.is_some() {
        "pcm"
    } else {
        ""
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::music::{self, Format, Spec};

    #[test]
    fn facts_and_sound_of_both_formats() {
        let dir = tempfile::tempdir().unwrap();
        for (format, container, codec) in [(Format::Flac, "flac", "flac"), (Format::Wav, "wav", "pcm")] {
            let spec = Spec {
                artists: 1,
                albums: 1,
                tracks: 1,
                seconds: 0.5,
                seed: 3,
                format,
            };
            let file = &music::synthesise(dir.path(), &spec).unwrap()[0];
            let facts = facts(file).unwrap();
            assert_eq!((facts.container, facts.duration), (container, Some(500)));
            let [stream] = facts.streams.as_slice() else {
                panic!("{facts:?}")
            };
            assert_eq!((stream.kind, stream.codec, stream.channels), (2, codec, Some(2)));
            assert_eq!((stream.rate, stream.bits), (Some(44_100), Some(16)));
            let mut count = 0;
            listen(file, |samples, channels, rate| {
                assert_eq!((channels, rate), (2, 44_100));
                count += samples.len();
            })
            .unwrap();
            assert_eq!(count, 22_050 * 2);
        }
    }

    #[test]
    fn what_is_no_sound_is_an_error_and_what_is_cut_off_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.flac");
        assert!(matches!(listen(&path, |_, _, _| {}).unwrap_err(), DecodeError::Read(_)));
        std::fs::write(&path, vec![7; 5000]).unwrap();
        assert!(facts(&path).is_err());
        assert!(listen(&path, |_, _, _| {}).is_err());
        let spec = Spec {
            artists: 1,
            albums: 1,
            tracks: 1,
            seconds: 1.0,
            seed: 3,
            format: Format::Wav,
        };
        let file = &music::synthesise(dir.path(), &spec).unwrap()[0];
        let content = std::fs::read(file).unwrap();
        std::fs::write(file, &content[..content.len() / 2]).unwrap();
        let mut count = 0;
        listen(file, |samples, _, _| count += samples.len()).unwrap();
        assert!((20_000..80_000).contains(&count), "{count}");
    }
}
