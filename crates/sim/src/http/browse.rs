//! Listings: the items of a section, of a kind, recently added, on deck.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::element::Element;
use super::filter::{self, Filter};
use super::reply::{Failure, Reply};
use super::request::Page;
use super::{Context, meta, section};
use crate::household::collections::COLLECTION;
use crate::items::element::{self, Detail};
use crate::items::media::Wanted;
use crate::items::{self, row};

/// Adds what paging adds: `X-Plex-Container-*` headers and, for the caller that asked for a page, the `offset` and
/// `totalSize` attributes that it put into `root`.
pub(super) fn paged(root: Element, page: Page, total: i64) -> Reply {
    let reply = Reply::tree(root);
    if page.asked {
        reply
            .header("X-Plex-Container-Start", page.start.to_string())
            .header("X-Plex-Container-Total-Size", total.to_string())
    } else {
        reply
    }
}

/// What a request wants to know about each item of a list.
pub(super) fn detail(context: &Context<'_>) -> Detail {
    let query = &context.request.query;
    Detail {
        guids: query.flag("includeGuids"),
        tags: false,
        media: Wanted {
            streams: false,
            check_files: query.flag("checkFiles"),
        },
    }
}

/// One section's `/all`: the top level, or the level that `type` names.
pub(super) fn all(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let (_, section_type) = section::known(context, id)?;
    let kind = match context.request.query.get("type") {
        Some(text) => items::kind_number(text).ok_or_else(|| Failure::BadRequest(format!("type={text} is unknown")))?,
        None => items::levels(section_type).first().copied().unwrap_or(1),
    };
    let filter = Filter::of(context.request.query.pairs(), 1)?;
    let listing = filter.fixed(&format!("i.library_section_id = {id} AND i.metadata_type = {kind}"));
    list(context, Some((id, section_type)), &listing, None)
}

/// All items of one kind.
pub(super) fn of_kind(context: &Context<'_>, id: i64, kind: i64) -> Result<Reply, Failure> {
    let (_, section_type) = section::known(context, id)?;
    let filter = Filter::of(context.request.query.pairs(), 1)?;
    let listing = filter.fixed(&format!("i.library_section_id = {id} AND i.metadata_type = {kind}"));
    list(context, Some((id, section_type)), &listing, None)
}

/// All collections of a section.
pub(super) fn collections(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    of_kind(context, id, COLLECTION)
}

/// `/library/all?guid=…`: all sections.
pub(super) fn everywhere(context: &Context<'_>) -> Result<Reply, Failure> {
    let mut listing = Filter::of(context.request.query.pairs(), 1)?.fixed("i.library_section_id > 0");
    if let Some(text) = context.request.query.get("type") {
        let kind = items::kind_number(text).ok_or_else(|| Failure::BadRequest(format!("type={text} is unknown")))?;
        listing = listing.fixed(&format!("i.metadata_type = {kind}"));
    }
    list(context, None, &listing, None)
}

/// The newest of a section.
pub(super) fn recently_added(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let (_, section_type) = section::known(context, id)?;
    let kind = if section_type == 8 {
        9
    } else {
        items::levels(section_type).last().copied().unwrap_or(1)
    };
    let listing = Filter::default().fixed(&format!("i.library_section_id = {id} AND i.metadata_type = {kind}"));
    list(
        context,
        Some((id, section_type)),
        &listing,
        Some("i.added_at DESC, i.id DESC"),
    )
}

/// The newest of all sections.
pub(super) fn recently_added_everywhere(context: &Context<'_>) -> Result<Reply, Failure> {
    let listing = Filter::default().fixed("i.library_section_id > 0 AND i.metadata_type IN (1, 4, 9, 13)");
    list(context, None, &listing, Some("i.added_at DESC, i.id DESC"))
}

/// What was not played yet.
pub(super) fn unwatched(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let (_, section_type) = section::known(context, id)?;
    let kind = items::levels(section_type).last().copied().unwrap_or(1);
    let listing = Filter::of(&[("unwatched".to_owned(), "1".to_owned())], 1)?
        .fixed(&format!("i.library_section_id = {id} AND i.metadata_type = {kind}"));
    list(context, Some((id, section_type)), &listing, None)
}

/// What was begun and not finished.
pub(super) fn on_deck(context: &Context<'_>, id: Option<i64>) -> Result<Reply, Failure> {
    let mut listing = Filter::of(&[("inProgress".to_owned(), "1".to_owned())], 1)?
        .fixed("i.library_section_id > 0 AND i.metadata_type IN (1, 4)");
    if let Some(id) = id {
        section::known(context, id)?;
        listing = listing.fixed(&format!("i.library_section_id = {id}"));
    }
    list(context, None, &listing, Some("i.id"))
}

fn list(
    context: &Context<'_>,
    of: Option<(i64, i64)>,
    listing: &Filter,
    order: Option<&str>,
) -> Result<Reply, Failure> {
    let request = context.request;
    let mut page = request.page()?;
    let limit = request.query.number("limit")?;
    page.size = match (page.size, limit) {
        (Some(size), Some(limit)) => Some(size.min(limit)),
        (size, limit) => size.or(limit),
    };
    let order = match order {
        Some(order) => order.to_owned(),
        None => filter::order(request.query.get("sort"))?,
    };
    let detail = detail(context);
    let (total, name, elements) = context.read(|db| {
        let mut values = vec![Value::Integer(request.account)];
        values.extend_from_slice(listing.values());
        let total = count(db, listing, &values)?;
        let statement = format!(
            "SELECT i.id FROM metadata_items i WHERE {} AND ?1 IS NOT NULL ORDER BY {order} LIMIT {} OFFSET {}",
            listing.clause(),
            page.size.unwrap_or(-1),
            page.start
        );
        let mut statement = db.prepare_cached(&statement)?;
        let ids: Vec<i64> = statement
            .query_map(params_from_iter(&values), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let items = row::load_all(db, request.account, &ids)?;
        let elements: Vec<Element> = items
            .iter()
            .map(|item| element::of(db, request.account, item, detail))
            .collect::<Result<_, _>>()?;
        let name: Option<String> = match of {
            Some((id, _)) => db.query_row("SELECT name FROM library_sections WHERE id = ?1", [id], |row| {
                row.get(0)
            })?,
            None => None,
        };
        Ok((total, name, elements))
    })?;
    let mut root = Element::container();
    if page.asked {
        root = root.attr("totalSize", total).attr("offset", page.start);
    }
    root = root
        .attr("allowSync", true)
        .attr("identifier", "com.plexapp.plugins.library");
    if let Some((id, section_type)) = of {
        root = root
            .attr("librarySectionID", id)
            .text("librarySectionTitle", name.as_deref())
            .text("title1", name.as_deref())
            .attr("viewGroup", items::section_word(section_type));
        if request.query.flag("includeMeta") {
            let size = i64::try_from(elements.len()).unwrap_or(i64::MAX);
            let root = root.children(elements).child(meta::of(id, section_type));
            return Ok(paged(root.with_size(size), page, total));
        }
    }
    Ok(paged(root.children(elements).sized(), page, total))
}

fn count(db: &Connection, listing: &Filter, values: &[Value]) -> rusqlite::Result<i64> {
    let statement = format!(
        "SELECT count(*) FROM metadata_items i WHERE {} AND ?1 IS NOT NULL",
        listing.clause()
    );
    db.prepare_cached(&statement)?
        .query_row(params_from_iter(values), |row| row.get(0))
}

/// `/library/sections/<id>`: what one can look at there.
pub(super) fn index(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let (name, section_type) = section::known(context, id)?;
    let views = ["all", "unwatched", "recentlyAdded", "onDeck", "collections"]
        .into_iter()
        .map(|key| Element::new("Directory").attr("key", key).attr("title", key));
    let mut root = Element::container()
        .attr("allowSync", false)
        .attr("content", "secondary")
        .attr("identifier", "com.plexapp.plugins.library")
        .attr("librarySectionID", id)
        .attr("title1", name)
        .attr("viewGroup", "secondary")
        .children(views);
    if context.request.query.flag("includeDetails") {
        root = root.child(meta::of(id, section_type));
    }
    Ok(Reply::tree(root.sized()))
}
