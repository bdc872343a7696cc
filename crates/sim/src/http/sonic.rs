//! What the audio analyses are good for: tracks that sound alike, and loudness over time.

use std::io::Read;

use flate2::read::GzDecoder;
use rusqlite::{Connection, OptionalExtension, params};

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, section};
use crate::items::element::{self, Detail};
use crate::items::{media, row};
use crate::server::pool::Pair;

/// blob_type of Sonic vectors (facts/plex.md §1.5).
const VECTOR: i64 = 7;
/// How alike two tracks must be when the request does not say.
const MAX_DISTANCE: f64 = 0.25;

fn unpack(blob: &[u8]) -> Option<Vec<f64>> {
    let mut text = String::new();
    GzDecoder::new(blob).read_to_string(&mut text).ok()?;
    text.trim()
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect()
}

fn vector(blobs: &Connection, item: i64) -> rusqlite::Result<Option<Vec<f64>>> {
    let blob: Option<Vec<u8>> = blobs
        .query_row(
            "SELECT blob FROM blobs WHERE linked_type = 'metadata_item' AND linked_id = ?1 AND blob_type = ?2",
            params![item, VECTOR],
            |row| row.get(0),
        )
        .optional()?;
    Ok(blob.as_deref().and_then(unpack))
}

/// 0 for the same direction, 1 for nothing in common (cosine distance).
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let both = norm(a) * norm(b);
    if both == 0.0 { 1.0 } else { 1.0 - dot / both }
}

fn search(
    context: &Context<'_>,
    pair: &Pair,
    to: &[f64],
    without: i64,
    section: Option<i64>,
) -> Result<Vec<Element>, Failure> {
    let query = &context.request.query;
    let limit = query.number("limit")?.unwrap_or(50).max(0);
    let farthest: f64 = query
        .get("maxDistance")
        .and_then(|text| text.parse().ok())
        .unwrap_or(MAX_DISTANCE);
    let account = context.request.account;
    let mut statement = pair
        .blobs
        .prepare("SELECT linked_id, blob FROM blobs WHERE linked_type = 'metadata_item' AND blob_type = ?1")?;
    let mut rows = statement.query([VECTOR])?;
    let mut near: Vec<(f64, i64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let blob: Vec<u8> = row.get(1)?;
        if let Some(other) = unpack(&blob).filter(|_| id != without) {
            let distance = distance(to, &other);
            if distance <= farthest {
                near.push((distance, id));
            }
        }
    }
    near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut found = Vec::new();
    for (distance, id) in near {
        if i64::try_from(found.len()).unwrap_or(i64::MAX) >= limit {
            break;
        }
        // A blob whose track is gone is an orphan and nothing unusual.
        let Some(item) = row::load(&pair.library, account, id)? else {
            continue;
        };
        if section.is_some_and(|section| item.int("library_section_id") != Some(section)) {
            continue;
        }
        found.push(element::of(&pair.library, account, &item, Detail::default())?.attr("distance", distance));
    }
    Ok(found)
}

/// Tracks that sound like this one; an empty list when it was not analysed.
pub(super) fn nearest(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let pair = context.server.pool.get()?;
    let item = row::load(&pair.library, context.request.account, id)?.ok_or(Failure::NotFound)?;
    let found = match vector(&pair.blobs, id)? {
        Some(to) => search(context, &pair, &to, id, item.int("library_section_id"))?,
        None => Vec::new(),
    };
    Ok(Reply::tree(Element::container().children(found).sized()))
}

/// Tracks that sound like `values=` (50 numbers).
pub(super) fn nearest_to_values(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    section::known(context, id)?;
    let text = context.request.query.need("values")?;
    let to: Option<Vec<f64>> = text.split(',').map(|number| number.parse().ok()).collect();
    let to = to
        .filter(|to| to.len() == 50)
        .ok_or_else(|| Failure::BadRequest("values are not 50 numbers".to_owned()))?;
    let pair = context.server.pool.get()?;
    let found = search(context, &pair, &to, -1, Some(id))?;
    Ok(Reply::tree(Element::container().children(found).sized()))
}

/// `/library/streams/<id>/loudness` and `/levels`: one dB value per 100 ms, as far as the stream was analysed.
///
/// Where a real server keeps the series is not known (facts/plex.md §1.5); here it is a gzip'd list of numbers in a blob of
/// linked_type 'media_stream' that is not a subtitle. A stream without one is 404.
pub(super) fn loudness(context: &Context<'_>, stream: i64, what: &str) -> Result<Reply, Failure> {
    /// blob_type of downloaded subtitles, which hang on streams as well.
    const SUBTITLES: i64 = 3;
    let pair = context.server.pool.get()?;
    media::stream_part(&pair.library, stream)?.ok_or(Failure::NotFound)?;
    let blob: Option<Vec<u8>> = pair
        .blobs
        .query_row(
            "SELECT blob FROM blobs WHERE linked_type = 'media_stream' AND linked_id = ?1 AND blob_type <> ?2
             ORDER BY id LIMIT 1",
            params![stream, SUBTITLES],
            |row| row.get(0),
        )
        .optional()?;
    let values = blob.as_deref().and_then(unpack).ok_or(Failure::NotFound)?;
    let levels = values.into_iter().map(|value| Element::new("Level").attr("v", value));
    let root = Element::container().children(levels).sized();
    let root = if what == "levels" {
        root.attr("totalSamples", 0)
    } else {
        root
    };
    Ok(Reply::tree(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert!(distance(&[1.0, 0.0], &[2.0, 0.0]).abs() < 1e-9);
        assert!((distance(&[1.0, 0.0], &[0.0, 1.0]) - 1.0).abs() < 1e-9);
        assert!((distance(&[0.0], &[0.0]) - 1.0).abs() < 1e-9);
    }
}
