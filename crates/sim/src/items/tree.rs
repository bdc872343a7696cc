//! `/library/metadata/<id>/tree`: an item down to its streams, close to the rows; the only call that shows a part's hash.

use rusqlite::Connection;

use super::row::{self, Item};
use crate::http::element::Element;

/// The tree below an item.
pub(crate) fn of(db: &Connection, account: i64, item: &Item) -> rusqlite::Result<Element> {
    let mut node = Element::new("MetadataItem")
        .attr("id", item.id())
        .maybe("library_section_id", item.int("library_section_id"))
        .attr("metadata_type", item.kind().number)
        .text("guid", item.text("guid"))
        .text("title", item.text("title"))
        .maybe("index", item.int("index"))
        .text("hash", item.text("hash"));
    for child in row::children(db, item.id())? {
        if let Some(child) = row::load(db, account, child)? {
            node = node.child(of(db, account, &child)?);
        }
    }
    Ok(node.children(media(db, item.id())?))
}

fn media(db: &Connection, item: i64) -> rusqlite::Result<Vec<Element>> {
    let mut statement = db.prepare_cached(
        "SELECT id, duration, bitrate, container, audio_codec, video_codec, media_analysis_version, deleted_at
         FROM media_items WHERE metadata_item_id = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map([item], |row| {
        let id: i64 = row.get("id")?;
        let element = Element::new("MediaItem")
            .attr("id", id)
            .maybe("duration", row.get::<_, Option<i64>>("duration")?)
            .maybe("bitrate", row.get::<_, Option<i64>>("bitrate")?)
            .text("container", row.get::<_, Option<String>>("container")?.as_deref())
            .text("audioCodec", row.get::<_, Option<String>>("audio_codec")?.as_deref())
            .text("videoCodec", row.get::<_, Option<String>>("video_codec")?.as_deref())
            .maybe(
                "mediaAnalysisVersion",
                row.get::<_, Option<i64>>("media_analysis_version")?,
            )
            .maybe("deletedAt", row.get::<_, Option<i64>>("deleted_at")?);
        Ok((id, element))
    })?;
    let found: Vec<(i64, Element)> = rows.collect::<Result<_, _>>()?;
    found
        .into_iter()
        .map(|(id, element)| Ok(element.children(parts(db, id)?)))
        .collect()
}

fn parts(db: &Connection, media: i64) -> rusqlite::Result<Vec<Element>> {
    let mut statement = db.prepare_cached(
        "SELECT id, file, size, open_subtitle_hash, hash, duration, deleted_at FROM media_parts
         WHERE media_item_id = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map([media], |row| {
        let id: i64 = row.get("id")?;
        let element = Element::new("MediaPart")
            .attr("id", id)
            .text("file", row.get::<_, Option<String>>("file")?.as_deref())
            .maybe("size", row.get::<_, Option<i64>>("size")?)
            .text(
                "openSubtitleHash",
                row.get::<_, Option<String>>("open_subtitle_hash")?.as_deref(),
            )
            .text("hash", row.get::<_, Option<String>>("hash")?.as_deref())
            .maybe("duration", row.get::<_, Option<i64>>("duration")?)
            .maybe("deletedAt", row.get::<_, Option<i64>>("deleted_at")?);
        Ok((id, element))
    })?;
    let found: Vec<(i64, Element)> = rows.collect::<Result<_, _>>()?;
    found
        .into_iter()
        .map(|(id, element)| Ok(element.children(streams(db, id)?)))
        .collect()
}

fn streams(db: &Connection, part: i64) -> rusqlite::Result<Vec<Element>> {
    let mut statement = db.prepare_cached(
        "SELECT id, stream_type_id, codec, \"index\" FROM media_streams WHERE media_part_id = ?1 ORDER BY \"index\", id",
    )?;
    statement
        .query_map([part], |row| {
            Ok(Element::new("MediaStream")
                .attr("id", row.get::<_, i64>("id")?)
                .maybe("streamType", row.get::<_, Option<i64>>("stream_type_id")?)
                .text("codec", row.get::<_, Option<String>>("codec")?.as_deref())
                .maybe("index", row.get::<_, Option<i64>>("index")?))
        })?
        .collect()
}
