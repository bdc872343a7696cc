//! Media analysis: what containers say, into `media_items`, `media_parts` and `media_streams`.
//!
//! As with Plex the rows of a file's own streams are deleted and made anew, with new ids: whatever refers to the old ones
//! (chosen streams, downloaded subtitles) refers to nothing then (facts/plex.md §2.1). Streams from files beside the media
//! (they have a url) stay.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::decode::{self, DecodeError, Facts, StreamFacts};
use super::pace::Pace;
use super::{Backlog, Outcome};
use crate::process::{Process, log};
use crate::scanner::media::{Stream, insert_stream};
use crate::store::extra::Extra;
use crate::store::{StoreError, counter};

/// `media_items.media_analysis_version` of what this analysis has done; 0 is not analysed.
const VERSION: i64 = 6;

struct Part {
    id: i64,
    file: String,
    size: i64,
    extra: Option<String>,
}

struct Media {
    id: i64,
    item: i64,
    title: String,
    extra: Option<String>,
    parts: Vec<Part>,
}

/// Analyses what has not been, or all of the backlog with `force`.
pub(crate) fn run(process: &mut Process, backlog: &Backlog, force: bool) -> Result<Outcome, StoreError> {
    let media = wanted(&process.db.library, backlog, force || backlog.is_explicit())?;
    let pace = Pace::of(process);
    let mut outcome = Outcome::default();
    for (number, one) in media.iter().enumerate() {
        if process.is_cancelled() {
            break;
        }
        let facts = one.parts.iter().map(|part| facts(part).map_err(|error| (part, error)));
        match facts.collect::<Result<Vec<_>, _>>() {
            Ok(facts) => {
                write(&mut process.db.library, one, &facts)?;
                outcome.done += 1;
            }
            Err((part, error)) => {
                log(format_args!("{} was not analysed: {error}", part.file));
                outcome.skipped += 1;
            }
        }
        process.progress.step(number + 1, media.len(), one.item, &one.title);
        pace.keep(process);
    }
    Ok(outcome)
}

fn wanted(library: &Connection, backlog: &Backlog, force: bool) -> rusqlite::Result<Vec<Media>> {
    let items = backlog.items(library)?;
    let mut statement = library.prepare(
        "SELECT m.id, i.id, coalesce(i.title, ''), m.extra_data, p.id, p.file, coalesce(p.size, 0), p.extra_data
         FROM media_items m
         JOIN metadata_items i ON i.id = m.metadata_item_id
         JOIN media_parts p ON p.media_item_id = m.id
         WHERE m.deleted_at IS NULL AND p.deleted_at IS NULL AND p.file <> ''
             AND (?1 IS NULL OR m.library_section_id = ?1) AND (?2 OR m.media_analysis_version = 0)
         ORDER BY m.id, p.\"index\", p.id",
    )?;
    let mut rows = statement.query(params![backlog.section(), force])?;
    let mut all: Vec<Media> = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, item): (i64, i64) = (row.get(0)?, row.get(1)?);
        if items.as_ref().is_some_and(|items| !items.contains(&item)) {
            continue;
        }
        let part = Part {
            id: row.get(4)?,
            file: row.get(5)?,
            size: row.get(6)?,
            extra: row.get(7)?,
        };
        match all.last_mut() {
            Some(last) if last.id == id => last.parts.push(part),
            _ => all.push(Media {
                id,
                item,
                title: row.get(2)?,
                extra: row.get(3)?,
                parts: vec![part],
            }),
        }
    }
    Ok(all)
}

fn facts(part: &Part) -> Result<Facts, DecodeError> {
    let path = Path::new(&part.file);
    match decode::photo(path)? {
        Some(facts) => Ok(facts),
        None => decode::facts(path),
    }
}

fn write(library: &mut Connection, media: &Media, facts: &[Facts]) -> rusqlite::Result<()> {
    let transaction = library.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let duration: Option<i64> = facts.iter().map(|facts| facts.duration).sum();
    let size: i64 = media.parts.iter().map(|part| part.size).sum();
    let first = facts.first();
    let stream = |kind| first.and_then(|facts| facts.streams.iter().find(|stream| stream.kind == kind));
    let (video, audio) = (stream(1), stream(2));
    let dimensions = video.and_then(|video| video.size);
    let changed = transaction
        .prepare_cached(
            "UPDATE media_items SET duration = coalesce(?2, duration), bitrate = coalesce(?3, bitrate), container = ?4,
                 video_codec = ?5, audio_codec = ?6, audio_channels = ?7, width = coalesce(?8, width),
                 height = coalesce(?9, height), display_aspect_ratio = coalesce(?10, display_aspect_ratio),
                 media_analysis_version = ?11, optimized_for_streaming = 0, extra_data = ?12 WHERE id = ?1",
        )?
        .execute(params![
            media.id,
            duration,
            duration.and_then(|duration| bits_per_second(size, duration)),
            first.map(|facts| facts.container),
            video.map(|video| video.codec).unwrap_or_default(),
            audio.map(|audio| audio.codec).unwrap_or_default(),
            audio.and_then(|audio| audio.channels),
            dimensions.map(|(width, _)| width),
            dimensions.map(|(_, height)| height),
            dimensions.map(|(width, height)| f64::from(width) / f64::from(height.max(1))),
            VERSION,
            Extra::parse(media.extra.as_deref()).to_json(),
        ])?;
    if changed == 0 {
        // Removed since the backlog was read: what belonged to it must not come back.
        return transaction.commit();
    }
    for (part, facts) in media.parts.iter().zip(facts) {
        write_part(&transaction, media.id, part, facts)?;
    }
    transaction
        .prepare_cached("UPDATE metadata_items SET duration = coalesce(?2, duration), changed_at = ?3 WHERE id = ?1")?
        .execute(params![media.item, duration, counter::next(&transaction)?])?;
    transaction.commit()
}

fn write_part(library: &Connection, media: i64, part: &Part, facts: &Facts) -> rusqlite::Result<()> {
    let mut extra = Extra::parse(part.extra.as_deref());
    extra.set("ma:container", facts.container);
    if facts.duration.is_some() && extra.get("pv:chapters").is_none() {
        extra.set("pv:chapters", r#"{"Chapters":{}}"#);
    }
    library
        .prepare_cached("UPDATE media_parts SET duration = coalesce(?2, duration), extra_data = ?3 WHERE id = ?1")?
        .execute(params![part.id, facts.duration, extra.to_json()])?;
    library
        .prepare_cached("DELETE FROM media_streams WHERE media_part_id = ?1 AND coalesce(url, '') = ''")?
        .execute([part.id])?;
    for (index, stream) in (0_i64..).zip(&facts.streams) {
        let is_default = facts.streams.iter().position(|other| other.kind == stream.kind);
        insert_stream(
            library,
            media,
            part.id,
            &Stream {
                kind: stream.kind,
                codec: stream.codec.to_owned(),
                language: stream.language.clone(),
                index: Some(index),
                channels: stream.channels,
                // What one stream has is not known without reading it all; a file with a single one has nothing else.
                bitrate: (facts.streams.len() == 1)
                    .then(|| facts.duration.and_then(|duration| bits_per_second(part.size, duration)))
                    .flatten(),
                is_default: is_default.and_then(|at| i64::try_from(at).ok()) == Some(index),
                extra: details(stream),
                ..Stream::default()
            },
        )?;
    }
    Ok(())
}

fn details(stream: &StreamFacts) -> Extra {
    let mut extra = Extra::default();
    if let Some(layout) = stream.channels.filter(|_| stream.kind == 2).and_then(layout) {
        extra.set("ma:audioChannelLayout", layout);
    }
    if let Some(rate) = stream.rate {
        extra.set("ma:samplingRate", rate.to_string());
    }
    if let Some(bits) = stream.bits {
        extra.set("ma:bitDepth", bits.to_string());
    }
    if let Some((width, height)) = stream.size {
        for (name, value) in [("Width", width), ("Height", height)] {
            extra.set(&format!("ma:{}", name.to_ascii_lowercase()), value.to_string());
            extra.set(&format!("ma:coded{name}"), value.to_string());
        }
    }
    extra
}

fn layout(channels: i64) -> Option<&'static str> {
    Some(match channels {
        1 => "mono",
        2 => "stereo",
        6 => "5.1",
        8 => "7.1",
        _ => return None,
    })
}

fn bits_per_second(bytes: i64, milliseconds: i64) -> Option<i64> {
    bytes.checked_mul(8000)?.checked_div(milliseconds)
}
