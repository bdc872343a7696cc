//! `/playlists` and `/playQueues`.

use rusqlite::{Connection, params};

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done};
use crate::household::now;
use crate::household::play_queues::{self, PlayQueue};
use crate::household::playlists::{self, PLAYLIST};
use crate::items::element::{self, Detail};
use crate::items::{self, row};
use crate::server::random;
use crate::store::counter;

/// The leaves that a uri names: `server://<machine>/com.plexapp.plugins.library/library/metadata/1,2,3`, the older
/// `library://<uuid>/item/%2Flibrary%2Fmetadata%2F1`, or the plain key. Parents stand for all below them in playlists and
/// queues; the caller decides by taking [`leaves_of_uri`].
pub(super) fn items_of_uri(db: &Connection, uri: &str) -> Result<Vec<i64>, Failure> {
    let decoded = super::request::decode(uri, false);
    let Some((_, rest)) = decoded.split_once("/library/metadata/") else {
        return Err(Failure::BadRequest(format!("{uri:?} names no items")));
    };
    let list = rest.split(['/', '?']).next().unwrap_or("");
    let mut found = Vec::new();
    for id in list.split(',') {
        let id: i64 = id
            .parse()
            .map_err(|_| Failure::BadRequest(format!("{uri:?} names no items")))?;
        let known: i64 = db.query_row("SELECT count(*) FROM metadata_items WHERE id = ?1", [id], |row| {
            row.get(0)
        })?;
        if known == 0 {
            return Err(Failure::NotFound);
        }
        found.push(id);
    }
    Ok(found)
}

fn leaves_of_uri(db: &Connection, uri: &str) -> Result<Vec<i64>, Failure> {
    let mut leaves = Vec::new();
    for item in items_of_uri(db, uri)? {
        leaves.extend(row::leaves(db, item)?);
    }
    Ok(leaves)
}

/// The account's own playlists only: others get 404, as if there were none.
fn need(db: &Connection, account: i64, id: i64) -> Result<(), Failure> {
    let own: i64 = db.query_row(
        "SELECT count(*) FROM metadata_items i JOIN metadata_item_accounts a ON a.metadata_item_id = i.id
         WHERE i.id = ?1 AND i.metadata_type = ?2 AND a.account_id = ?3",
        params![id, PLAYLIST, account],
        |row| row.get(0),
    )?;
    if own > 0 { Ok(()) } else { Err(Failure::NotFound) }
}

/// The playlists of the account; `playlistType=audio|video|photo` and `title=` choose.
pub(super) fn list(context: &Context<'_>) -> Result<Reply, Failure> {
    let account = context.request.account;
    let query = &context.request.query;
    let page = context.request.page()?;
    let elements = context.read(|db| {
        let mut statement = db.prepare(
            "SELECT i.id FROM metadata_items i JOIN metadata_item_accounts a ON a.metadata_item_id = i.id
             WHERE i.metadata_type = ?1 AND a.account_id = ?2 ORDER BY i.title_sort COLLATE icu_root, i.id",
        )?;
        let ids: Vec<i64> = statement
            .query_map(params![PLAYLIST, account], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let items = row::load_all(db, account, &ids)?;
        let elements: Vec<Element> = items
            .iter()
            .map(|item| element::of(db, account, item, Detail::default()))
            .collect::<Result<_, _>>()?;
        Ok(elements)
    })?;
    let wanted = |element: &Element| {
        let is = |name: &str, attribute: &str| {
            query
                .get(name)
                .is_none_or(|value| element.get(attribute).as_deref() == Some(value))
        };
        is("playlistType", "playlistType") && is("title", "title")
    };
    let shown: Vec<Element> = elements.into_iter().filter(wanted).collect();
    let total = i64::try_from(shown.len()).unwrap_or(i64::MAX);
    let shown = shown.into_iter().skip(usize::try_from(page.start).unwrap_or(0)).take(
        page.size
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(usize::MAX),
    );
    let mut root = Element::container();
    if page.asked {
        root = root.attr("totalSize", total).attr("offset", page.start);
    }
    Ok(super::browse::paged(root.children(shown).sized(), page, total))
}

/// Makes one: `type`, `title`, `uri`.
pub(super) fn create(context: &Context<'_>) -> Result<Reply, Failure> {
    let query = &context.request.query;
    let account = context.request.account;
    if query.flag("smart") {
        return Err(Failure::BadRequest("smart playlists are not simulated".to_owned()));
    }
    let title = query.need("title")?;
    let kind = query.get("type").unwrap_or("audio");
    if !matches!(kind, "audio" | "video" | "photo") {
        return Err(Failure::BadRequest(format!("type={kind} is unknown")));
    }
    let uuid = random::uuid()?;
    let created = context.write(|db| {
        let items = match query.get("uri") {
            Some(uri) => leaves_of_uri(db, uri)?,
            None => Vec::new(),
        };
        let id = playlists::create(db, account, &uuid, kind, title, &items)?;
        let item = row::load(db, account, id)?.ok_or(Failure::NotFound)?;
        Ok(element::of(db, account, &item, Detail::default())?)
    })?;
    Ok(Reply::tree(Element::container().child(created).sized()))
}

/// Renames one or changes its summary.
pub(super) fn edit(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let query = &context.request.query;
    let of = |name: &str, dotted: &str| query.get(name).or_else(|| query.get(dotted)).map(str::to_owned);
    let (title, summary) = (of("title", "title.value"), of("summary", "summary.value"));
    context.write(|db| {
        need(db, context.request.account, id)?;
        db.execute(
            "UPDATE metadata_items SET title = coalesce(?2, title), title_sort = coalesce(?2, title_sort),
                 summary = coalesce(?3, summary), updated_at = ?4, changed_at = ?5 WHERE id = ?1",
            params![id, title, summary, now(), counter::next(db)?],
        )?;
        Ok(())
    })?;
    done()
}

/// Deletes one.
pub(super) fn delete(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    context.write(|db| {
        need(db, context.request.account, id)?;
        Ok(playlists::delete(db, id)?)
    })?;
    done()
}

/// Its entries, in their order, each with the playlistItemID by which it can be moved and removed.
pub(super) fn items(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let account = context.request.account;
    let page = context.request.page()?;
    let detail = super::browse::detail(context);
    let (playlist, elements) = context.read(|db| {
        need(db, account, id)?;
        let playlist = row::load(db, account, id)?.ok_or(Failure::NotFound)?;
        Ok((
            playlist,
            entries(db, account, &playlists::entries(db, id)?, "playlistItemID", detail)?,
        ))
    })?;
    let total = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    let shown = elements
        .into_iter()
        .skip(usize::try_from(page.start).unwrap_or(0))
        .take(
            page.size
                .and_then(|size| usize::try_from(size).ok())
                .unwrap_or(usize::MAX),
        );
    let mut root = Element::container();
    if page.asked {
        root = root.attr("totalSize", total).attr("offset", page.start);
    }
    let root = root
        .maybe(
            "duration",
            playlist.int("duration").map(|milliseconds| milliseconds / 1000),
        )
        .attr("leafCount", total)
        .attr("ratingKey", id.to_string())
        .attr("smart", false)
        .attr("title", playlist.text("title").unwrap_or(""))
        .children(shown)
        .sized();
    Ok(super::browse::paged(root, page, total))
}

fn entries(
    db: &Connection,
    account: i64,
    entries: &[(i64, i64)],
    name: &'static str,
    detail: Detail,
) -> rusqlite::Result<Vec<Element>> {
    let mut found = Vec::new();
    for (entry, item) in entries {
        if let Some(item) = row::load(db, account, *item)? {
            found.push(element::of(db, account, &item, detail)?.attr(name, *entry));
        }
    }
    Ok(found)
}

/// Puts items at the end.
pub(super) fn add(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let uri = context.request.query.need("uri")?;
    context.write(|db| {
        need(db, context.request.account, id)?;
        let items = leaves_of_uri(db, uri)?;
        Ok(playlists::add(db, id, &items)?)
    })?;
    super::metadata::show(context, &id.to_string())
}

/// Takes an entry out.
pub(super) fn remove(context: &Context<'_>, id: i64, entry: i64) -> Result<Reply, Failure> {
    let removed = context.write(|db| {
        need(db, context.request.account, id)?;
        Ok(playlists::remove(db, id, entry)?)
    })?;
    if removed { done() } else { Err(Failure::NotFound) }
}

/// Moves an entry behind `after`, or to the front.
pub(super) fn move_after(context: &Context<'_>, id: i64, entry: i64) -> Result<Reply, Failure> {
    let after = context.request.query.number("after")?;
    let moved = context.write(|db| {
        need(db, context.request.account, id)?;
        Ok(playlists::move_after(db, id, entry, after)?)
    })?;
    if moved { done() } else { Err(Failure::NotFound) }
}

/// Makes the queue of a player: `uri` or `playlistID`.
pub(super) fn create_queue(context: &Context<'_>) -> Result<Reply, Failure> {
    let query = &context.request.query;
    let request = context.request;
    if request.client.identifier.is_empty() {
        return Err(Failure::BadRequest("X-Plex-Client-Identifier is missing".to_owned()));
    }
    let playlist = query.number("playlistID")?;
    let queue = context.write(|db| {
        let (uri, items) = match (playlist, query.get("uri")) {
            (Some(playlist), _) => {
                need(db, request.account, playlist)?;
                let items = playlists::entries(db, playlist)?
                    .into_iter()
                    .map(|(_, item)| item)
                    .collect();
                (format!("/playlists/{playlist}/items"), items)
            }
            (None, Some(uri)) => (uri.to_owned(), leaves_of_uri(db, uri)?),
            (None, None) => return Err(Failure::BadRequest("uri is missing".to_owned())),
        };
        let kind = match items.first() {
            Some(first) => row::load(db, request.account, *first)?.map_or(1, |item| item.kind().number),
            None => 1,
        };
        // play_queues.metadata_type is the kind of the list's top level: shows for episodes, artists for tracks.
        let kind = match items::kind(kind).word {
            "episode" | "season" => 2,
            "track" | "album" => 8,
            _ => kind,
        };
        Ok(play_queues::create(
            db,
            request.account,
            &request.client.identifier,
            kind,
            &uri,
            &items,
        )?)
    })?;
    queue_reply(context, &queue)
}

/// A queue that was made before.
pub(super) fn show_queue(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let queue = context.read(|db| play_queues::read(db, id)?.ok_or(Failure::NotFound))?;
    queue_reply(context, &queue)
}

fn queue_reply(context: &Context<'_>, queue: &PlayQueue) -> Result<Reply, Failure> {
    let account = context.request.account;
    let elements = context.read(|db| {
        Ok(entries(
            db,
            account,
            &queue.entries,
            "playQueueItemID",
            Detail::default(),
        )?)
    })?;
    let first = queue.entries.first();
    Ok(Reply::tree(
        Element::container()
            .attr("identifier", "com.plexapp.plugins.library")
            .attr("mediaTagPrefix", "/system/bundle/media/flags/")
            .attr("mediaTagVersion", 1_700_000_000)
            .attr("playQueueID", queue.id)
            .maybe("playQueueSelectedItemID", first.map(|(entry, _)| *entry))
            .attr("playQueueSelectedItemOffset", 0)
            .maybe(
                "playQueueSelectedMetadataItemID",
                first.map(|(_, item)| item.to_string()),
            )
            .attr("playQueueShuffled", false)
            .attr("playQueueSourceURI", "")
            .attr(
                "playQueueTotalCount",
                i64::try_from(queue.entries.len()).unwrap_or(i64::MAX),
            )
            .attr("playQueueVersion", 1)
            .children(elements)
            .sized(),
    ))
}
