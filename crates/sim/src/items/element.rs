//! `<Track>`, `<Video>`, `<Directory>` …: an item with the attributes that Plex gives it, in Plex's order.

use rusqlite::{Connection, params};

use super::media::{self, Wanted};
use super::row::{self, Item};
use crate::household::playlists;
use crate::http::element::Element;

/// How much of an item is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Detail {
    /// External ids as children.
    pub(crate) guids: bool,
    /// Genres, moods … as children, and the locked fields.
    pub(crate) tags: bool,
    /// Its media.
    pub(crate) media: Wanted,
}

/// The element of an item.
pub(crate) fn of(db: &Connection, account: i64, item: &Item, detail: Detail) -> rusqlite::Result<Element> {
    let kind = item.kind();
    match kind.number {
        playlists::PLAYLIST => return playlist(db, item),
        18 => return collection(db, item),
        _ => {}
    }
    let id = item.id();
    let suffix = if kind.is_parent { "/children" } else { "" };
    let parent = item.int("parent_id");
    let grandparent = item.int("g_id");
    let (thumb, art) = (image(item, "", "thumb"), image(item, "", "art"));
    let mut element = Element::metadata(kind.element)
        .attr("ratingKey", id.to_string())
        .attr("key", format!("/library/metadata/{id}{suffix}"))
        .maybe("parentRatingKey", parent.map(|id| id.to_string()))
        .maybe("grandparentRatingKey", grandparent.map(|id| id.to_string()))
        .text("guid", item.text("guid"))
        .text("parentGuid", item.text("p_guid"))
        .text("grandparentGuid", item.text("g_guid"))
        .text("parentStudio", item.text("p_studio"))
        .text("studio", item.text("studio"))
        .attr("type", kind.word)
        .attr("title", item.text("title").unwrap_or(""))
        .text(
            "titleSort",
            item.text("title_sort").filter(|sort| Some(*sort) != item.text("title")),
        )
        .maybe(
            "grandparentKey",
            grandparent.map(|id| format!("/library/metadata/{id}")),
        )
        .maybe("parentKey", parent.map(|id| format!("/library/metadata/{id}")))
        .text("librarySectionTitle", item.text("s_name"))
        .maybe("librarySectionID", item.int("library_section_id"))
        .maybe(
            "librarySectionKey",
            item.int("library_section_id")
                .map(|id| format!("/library/sections/{id}")),
        )
        .text("grandparentTitle", item.text("g_title"))
        .text("parentTitle", item.text("p_title"))
        .text("originalTitle", item.text("original_title"))
        .text("contentRating", item.text("content_rating"))
        .attr("summary", item.text("summary").unwrap_or(""))
        .maybe("index", item.int("index"))
        .maybe("parentIndex", item.int("p_index").filter(|_| parent.is_some()))
        .maybe("rating", item.float("rating"))
        .maybe("audienceRating", item.float("audience_rating"))
        .maybe("ratingCount", item.int("rating_count"))
        .maybe("userRating", item.float("u_rating"))
        .maybe("viewOffset", item.int("view_offset").filter(|offset| *offset > 0))
        .maybe("viewCount", item.int("view_count").filter(|count| *count > 0))
        .maybe("skipCount", item.int("skip_count").filter(|count| *count > 0))
        .maybe("lastViewedAt", item.int("last_viewed_at"))
        .maybe("lastRatedAt", item.int("last_rated_at"))
        .maybe("year", item.int("year"))
        .maybe("parentYear", item.int("p_year").filter(|_| kind.number == 10))
        .text("tagline", item.text("tagline"))
        .maybe("thumb", thumb)
        .maybe("art", art)
        .maybe("parentThumb", image(item, "p_", "thumb"))
        .maybe("grandparentThumb", image(item, "g_", "thumb"))
        .maybe("grandparentArt", image(item, "g_", "art"))
        .maybe("duration", item.int("duration").filter(|duration| *duration > 0))
        .maybe(
            "originallyAvailableAt",
            item.int("originally_available_at").and_then(day),
        );
    if kind.is_parent {
        let (leaves, viewed) = row::leaf_counts(db, account, id)?;
        element = element.attr("leafCount", leaves).attr("viewedLeafCount", viewed);
        if matches!(kind.number, 2 | 8) {
            let children = i64::try_from(row::children(db, id)?.len()).unwrap_or(i64::MAX);
            element = element.attr("childCount", children);
        }
    }
    element = element
        .maybe("addedAt", item.int("added_at"))
        .maybe("updatedAt", item.int("updated_at"))
        .maybe("deletedAt", item.int("deleted_at"))
        .text("loudnessAnalysisVersion", analysis(item, "loudnessAnalysisVersion"))
        .text("musicAnalysisVersion", analysis(item, "musicAnalysisVersion"));
    if !kind.is_parent {
        element = element.children(media::of_item(db, id, detail.media)?);
    }
    if detail.guids {
        element = element.children(tags(db, id, &[(314, "Guid")])?);
    }
    if detail.tags {
        element = element.children(tags(db, id, TAGS)?).children(locked(item));
    }
    Ok(element)
}

/// An analysis version from extra_data, whichever prefix its writer used.
fn analysis<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    ["ms:", "ld:", "ln:", ""]
        .into_iter()
        .find_map(|prefix| item.extra.get(&format!("{prefix}{name}")))
}

/// `/library/metadata/<id>/thumb/<time>` when there is a picture. `prefix` chooses the item, its parent or grandparent.
fn image(item: &Item, prefix: &str, what: &str) -> Option<String> {
    let (column, id, updated) = match prefix {
        "" => (format!("user_{what}_url"), item.int("id")?, "updated_at"),
        "p_" => (format!("p_{what}"), item.int("parent_id")?, "p_updated"),
        _ => (format!("g_{what}"), item.int("g_id")?, "g_updated"),
    };
    item.text(&column)?;
    Some(format!(
        "/library/metadata/{id}/{what}/{}",
        item.int(updated).unwrap_or(0)
    ))
}

fn day(seconds: i64) -> Option<String> {
    let moment = jiff::Timestamp::from_second(seconds).ok()?;
    Some(moment.to_zoned_datetime(jiff::tz::TimeZone::UTC).date().to_string())
}

const TAGS: &[(i64, &str)] = &[
    (1, "Genre"),
    (4, "Director"),
    (5, "Writer"),
    (6, "Role"),
    (2, "Collection"),
    (8, "Country"),
    (300, "Mood"),
    (301, "Style"),
    (11, "Label"),
    (12, "Marker"),
];

fn tags(db: &Connection, item: i64, kinds: &[(i64, &'static str)]) -> rusqlite::Result<Vec<Element>> {
    let mut statement = db.prepare_cached(
        "SELECT t.id, t.tag, t.tag_type, g.text, g.time_offset, g.end_time_offset, g.id FROM taggings g
             JOIN tags t ON t.id = g.tag_id WHERE g.metadata_item_id = ?1 ORDER BY t.tag_type, g.\"index\", g.id",
    )?;
    let mut rows = statement.query(params![item])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: i64 = row.get(2)?;
        let Some((_, name)) = kinds.iter().find(|(number, _)| *number == kind) else {
            continue;
        };
        let tag: Option<String> = row.get(1)?;
        let text: Option<String> = row.get(3)?;
        found.push(match *name {
            "Guid" => Element::new("Guid").attr("id", tag.unwrap_or_default()),
            "Marker" => Element::new("Marker")
                .attr("id", row.get::<_, i64>(6)?)
                .text("type", text.as_deref())
                .maybe("startTimeOffset", row.get::<_, Option<i64>>(4)?)
                .maybe("endTimeOffset", row.get::<_, Option<i64>>(5)?),
            name => Element::new(name)
                .attr("id", row.get::<_, i64>(0)?)
                .attr("filter", format!("{}={}", name.to_lowercase(), row.get::<_, i64>(0)?))
                .attr("tag", tag.unwrap_or_default())
                .text("role", text.as_deref().filter(|_| kind == 6)),
        });
    }
    Ok(found)
}

/// `<Field locked="1" name="title"/>` for every locked field.
fn locked(item: &Item) -> Vec<Element> {
    crate::http::edit::locked_fields(item.text("user_fields").unwrap_or(""))
        .into_iter()
        .map(|name| Element::new("Field").attr("locked", true).attr("name", name))
        .collect()
}

fn playlist(db: &Connection, item: &Item) -> rusqlite::Result<Element> {
    let id = item.id();
    let kind = match item.extra.get("pv:playlistType") {
        Some(kind) => kind.to_owned(),
        None => playlists::kind_of(first_kind(db, id)?).to_owned(),
    };
    Ok(Element::metadata("Playlist")
        .attr("ratingKey", id.to_string())
        .attr("key", format!("/playlists/{id}/items"))
        .text("guid", item.text("guid"))
        .attr("type", "playlist")
        .attr("title", item.text("title").unwrap_or(""))
        .attr("summary", item.text("summary").unwrap_or(""))
        .attr("smart", false)
        .attr("playlistType", kind)
        .attr(
            "composite",
            format!("/playlists/{id}/composite/{}", item.int("updated_at").unwrap_or(0)),
        )
        .maybe("duration", item.int("duration"))
        .attr("leafCount", item.int("media_item_count").unwrap_or(0))
        .maybe("addedAt", item.int("added_at"))
        .maybe("updatedAt", item.int("updated_at")))
}

fn first_kind(db: &Connection, playlist: i64) -> rusqlite::Result<i64> {
    let first = playlists::entries(db, playlist)?.first().map(|(_, item)| *item);
    let Some(first) = first else { return Ok(0) };
    db.query_row(
        "SELECT metadata_type FROM metadata_items WHERE id = ?1",
        [first],
        |row| row.get(0),
    )
}

fn collection(db: &Connection, item: &Item) -> rusqlite::Result<Element> {
    let id = item.id();
    let members = crate::household::collections::members(db, id)?.len();
    let subtype = item
        .extra
        .get("pv:subtype")
        .and_then(|number| number.parse().ok())
        .map(|number| super::kind(number).word);
    Ok(Element::metadata("Directory")
        .attr("ratingKey", id.to_string())
        .attr("key", format!("/library/collections/{id}/children"))
        .text("guid", item.text("guid"))
        .attr("type", "collection")
        .attr("title", item.text("title").unwrap_or(""))
        .text("librarySectionTitle", item.text("s_name"))
        .maybe("librarySectionID", item.int("library_section_id"))
        .maybe(
            "librarySectionKey",
            item.int("library_section_id")
                .map(|id| format!("/library/sections/{id}")),
        )
        .maybe("subtype", subtype)
        .attr("summary", item.text("summary").unwrap_or(""))
        .attr("smart", false)
        .maybe("addedAt", item.int("added_at"))
        .maybe("updatedAt", item.int("updated_at"))
        .attr("childCount", i64::try_from(members).unwrap_or(i64::MAX)))
}
