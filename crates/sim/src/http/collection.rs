//! `/library/collections`.

use super::element::Element;
use super::playlist::items_of_uri;
use super::reply::{Failure, Reply};
use super::{Context, done};
use crate::household::collections::{self, COLLECTION};
use crate::items::element;
use crate::items::{kind_number, row};
use crate::server::random;

fn need(db: &rusqlite::Connection, id: i64) -> Result<(), Failure> {
    let kind: i64 = db.query_row("SELECT metadata_type FROM metadata_items WHERE id = ?1", [id], |row| {
        row.get(0)
    })?;
    if kind == COLLECTION {
        Ok(())
    } else {
        Err(Failure::NotFound)
    }
}

/// Makes one: `type`, `title`, `sectionId`, `uri` of its first members.
pub(super) fn create(context: &Context<'_>) -> Result<Reply, Failure> {
    let query = &context.request.query;
    let title = query.need("title")?;
    let section = query
        .number("sectionId")?
        .ok_or_else(|| Failure::BadRequest("sectionId is missing".to_owned()))?;
    super::section::known(context, section)?;
    if query.flag("smart") {
        return Err(Failure::BadRequest("smart collections are not simulated".to_owned()));
    }
    let subtype = query.get("type").and_then(kind_number).unwrap_or(1);
    let uuid = random::uuid()?;
    let created = context.write(|db| {
        let items = items_of_uri(db, query.get("uri").unwrap_or(""))?;
        let id = collections::create(db, section, &uuid, subtype, title, &items)?;
        let item = row::load(db, context.request.account, id)?.ok_or(Failure::NotFound)?;
        Ok(element::of(
            db,
            context.request.account,
            &item,
            element::Detail::default(),
        )?)
    })?;
    Ok(Reply::tree(Element::container().child(created).sized()))
}

/// Its members.
pub(super) fn items(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let account = context.request.account;
    let detail = super::browse::detail(context);
    let elements = context.read(|db| {
        need(db, id)?;
        let items = row::load_all(db, account, &collections::members(db, id)?)?;
        Ok(items
            .iter()
            .map(|item| element::of(db, account, item, detail))
            .collect::<Result<Vec<_>, _>>()?)
    })?;
    Ok(Reply::tree(Element::container().children(elements).sized()))
}

/// Adds members.
pub(super) fn add(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let uri = context.request.query.need("uri")?;
    context.write(|db| {
        need(db, id)?;
        let items = items_of_uri(db, uri)?;
        Ok(collections::add(db, id, &items)?)
    })?;
    super::metadata::show(context, &id.to_string())
}

/// Takes one out.
pub(super) fn remove(context: &Context<'_>, id: i64, item: i64) -> Result<Reply, Failure> {
    let removed = context.write(|db| {
        need(db, id)?;
        Ok(collections::remove(db, id, item)?)
    })?;
    if removed { done() } else { Err(Failure::NotFound) }
}

/// Deletes the collection, not its members.
pub(super) fn delete(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    context.write(|db| {
        need(db, id)?;
        Ok(collections::delete(db, id)?)
    })?;
    done()
}
