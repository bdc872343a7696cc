//! Media, Part and Stream elements of an item, and how much of their analysis the API shows.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::http::element::Element;
use crate::store::extra::Extra;

/// What of the media a request wants to see.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// Streams, as single items show them and lists do not.
    pub(crate) streams: bool,
    /// Whether the files are there, which costs a look at each.
    pub(crate) check_files: bool,
}

/// The Media elements of an item.
pub(crate) fn of_item(db: &Connection, item: i64, wanted: Wanted) -> rusqlite::Result<Vec<Element>> {
    let mut statement = db.prepare_cached(
        "SELECT id, duration, bitrate, width, height, display_aspect_ratio, audio_channels, audio_codec, video_codec,
             container, frames_per_second, deleted_at, extra_data
         FROM media_items WHERE metadata_item_id = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map([item], |row| Ok((row.get::<_, i64>(0)?, media(row)?)))?;
    let media: Vec<(i64, Element)> = rows.collect::<Result<_, _>>()?;
    media
        .into_iter()
        .map(|(id, element)| Ok(element.children(parts(db, id, wanted)?)))
        .collect()
}

fn media(row: &Row<'_>) -> rusqlite::Result<Element> {
    let height: Option<i64> = row.get("height")?;
    let extra = Extra::parse(row.get::<_, Option<String>>("extra_data")?.as_deref());
    Ok(Element::new("Media")
        .attr("id", row.get::<_, i64>("id")?)
        .maybe("duration", row.get::<_, Option<i64>>("duration")?)
        // Stored in bits, shown in kilobits, and both happen in one library: small values are kilobits already.
        .maybe(
            "bitrate",
            row.get::<_, Option<i64>>("bitrate")?
                .map(|bits| if bits >= 20_000 { bits / 1000 } else { bits }),
        )
        .maybe("width", row.get::<_, Option<i64>>("width")?.filter(|width| *width > 0))
        .maybe("height", height.filter(|height| *height > 0))
        .maybe(
            "aspectRatio",
            row.get::<_, Option<f64>>("display_aspect_ratio")?
                .map(|ratio| format!("{ratio:.2}")),
        )
        .maybe("audioChannels", row.get::<_, Option<i64>>("audio_channels")?)
        .text("audioCodec", row.get::<_, Option<String>>("audio_codec")?.as_deref())
        .text("videoCodec", row.get::<_, Option<String>>("video_codec")?.as_deref())
        .maybe("videoResolution", height.filter(|height| *height > 0).map(resolution))
        .text("container", row.get::<_, Option<String>>("container")?.as_deref())
        .maybe(
            "videoFrameRate",
            row.get::<_, Option<f64>>("frames_per_second")?
                .map(|rate| format!("{rate:.0}p")),
        )
        .text("audioProfile", extra.get("ma:audioProfile"))
        .text("videoProfile", extra.get("ma:videoProfile"))
        .maybe("deletedAt", row.get::<_, Option<i64>>("deleted_at")?))
}

fn resolution(height: i64) -> String {
    match height {
        ..=479 => "sd".to_owned(),
        480..=575 => "480".to_owned(),
        576..=719 => "576".to_owned(),
        720..=1079 => "720".to_owned(),
        1080..=1439 => "1080".to_owned(),
        _ => "4k".to_owned(),
    }
}

fn parts(db: &Connection, media: i64, wanted: Wanted) -> rusqlite::Result<Vec<Element>> {
    let mut statement = db.prepare_cached(
        "SELECT id, duration, file, size, created_at, updated_at, deleted_at, extra_data
         FROM media_parts WHERE media_item_id = ?1 ORDER BY \"index\", id",
    )?;
    let rows = statement.query_map([media], |row| {
        let id: i64 = row.get("id")?;
        let file: String = row.get::<_, Option<String>>("file")?.unwrap_or_default();
        let extra = Extra::parse(row.get::<_, Option<String>>("extra_data")?.as_deref());
        let extension = Path::new(&file)
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let stamp = row
            .get::<_, Option<i64>>("updated_at")?
            .or(row.get("created_at")?)
            .unwrap_or(0);
        let there = wanted.check_files.then(|| Path::new(&file).exists());
        let element = Element::new("Part")
            .maybe("accessible", there)
            .maybe("exists", there)
            .attr("id", id)
            .attr("key", format!("/library/parts/{id}/{stamp}/file.{extension}"))
            .maybe("duration", row.get::<_, Option<i64>>("duration")?)
            .attr("file", file)
            .maybe("size", row.get::<_, Option<i64>>("size")?)
            .text("container", extra.get("ma:container"))
            .text("deepAnalysisVersion", extra.get("ma:deepAnalysisVersion"))
            .maybe("deletedAt", row.get::<_, Option<i64>>("deleted_at")?)
            .text("hasThumbnail", extra.get("ma:hasThumbnail"));
        Ok((id, element))
    })?;
    let parts: Vec<(i64, Element)> = rows.collect::<Result<_, _>>()?;
    if !wanted.streams {
        return Ok(parts.into_iter().map(|(_, part)| part).collect());
    }
    parts
        .into_iter()
        .map(|(id, part)| Ok(part.children(streams(db, id)?)))
        .collect()
}

fn streams(db: &Connection, part: i64) -> rusqlite::Result<Vec<Element>> {
    let mut statement = db.prepare_cached(
        "SELECT id, stream_type_id, codec, language, \"index\", channels, bitrate, \"default\", forced, extra_data
         FROM media_streams WHERE media_part_id = ?1 ORDER BY \"index\", id",
    )?;
    statement.query_map([part], stream)?.collect()
}

fn stream(row: &Row<'_>) -> rusqlite::Result<Element> {
    let extra = Extra::parse(row.get::<_, Option<String>>("extra_data")?.as_deref());
    let of = |key: &str| extra.get(key);
    let kind: i64 = row.get("stream_type_id")?;
    let codec: String = row.get::<_, Option<String>>("codec")?.unwrap_or_default();
    let channels: Option<i64> = row.get("channels")?;
    let layout = of("ma:audioChannelLayout").map(str::to_owned).or_else(|| {
        channels.map(|count| match count {
            1 => "mono".to_owned(),
            2 => "stereo".to_owned(),
            other => format!("{other} channels"),
        })
    });
    let display = match (kind, &layout) {
        (2, Some(layout)) => format!("{} ({})", codec.to_uppercase(), capital(layout)),
        _ => codec.to_uppercase(),
    };
    // Plex keeps the loudness of music as ld:* and that of videos as ln:*; the API knows only one set of names.
    let loud = |name: &str| of(&format!("ld:{name}")).or_else(|| of(&format!("ln:{name}")));
    Ok(Element::new("Stream")
        .attr("id", row.get::<_, i64>("id")?)
        .attr("streamType", kind)
        .maybe("default", Some(truthy(row, "default")?).filter(|flag| *flag))
        .maybe("forced", Some(truthy(row, "forced")?).filter(|flag| *flag))
        .attr("codec", codec)
        .maybe("index", row.get::<_, Option<i64>>("index")?)
        .maybe("channels", channels)
        .maybe(
            "bitrate",
            row.get::<_, Option<i64>>("bitrate")?
                .map(|bits| if bits >= 20_000 { bits / 1000 } else { bits }),
        )
        .text("languageCode", row.get::<_, Option<String>>("language")?.as_deref())
        .text("albumGain", loud("albumGain"))
        .text("albumPeak", loud("albumPeak"))
        .text("albumRange", loud("albumRange"))
        .maybe("audioChannelLayout", layout.filter(|_| kind == 2))
        .text("bitDepth", of("ma:bitDepth"))
        .text("endRamp", loud("endRamp"))
        .text("gain", loud("gain"))
        .text("height", of("ma:height"))
        .text("loudness", loud("loudness"))
        .text("lra", loud("lra"))
        .text("peak", loud("peak"))
        .text("profile", of("ma:profile"))
        .text("samplingRate", of("ma:samplingRate"))
        .text("startRamp", loud("startRamp"))
        .text("width", of("ma:width"))
        .attr("displayTitle", display.clone())
        .attr("extendedDisplayTitle", display))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Booleans are 1/0 in newer rows, 't'/'f' in older ones.
pub(crate) fn truthy(row: &Row<'_>, column: &str) -> rusqlite::Result<bool> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => number != 0,
        ValueRef::Text(text) => matches!(text, b"t" | b"true" | b"1"),
        _ => false,
    })
}

/// The file, item and media that a stream belongs to, for calls that name a stream.
pub(crate) fn stream_part(db: &Connection, stream: i64) -> rusqlite::Result<Option<i64>> {
    db.query_row(
        "SELECT media_part_id FROM media_streams WHERE id = ?1",
        [stream],
        |row| row.get(0),
    )
    .optional()
    .map(Option::flatten)
}
