//! `/search`, `/hubs/search`, and a section's search: titles that contain the words.

use std::collections::BTreeMap;

use rusqlite::params;

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, section};
use crate::items;
use crate::items::element::{self, Detail};
use crate::items::row::{self, Item};

fn find(context: &Context<'_>, words: &str, section: Option<i64>, limit: i64) -> Result<Vec<Item>, Failure> {
    let like = format!(
        "%{}%",
        words.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
    );
    context.read(|db| {
        let mut statement = db.prepare(
            "SELECT id FROM metadata_items WHERE title LIKE ?1 ESCAPE '\\' AND library_section_id > 0
                 AND (?2 IS NULL OR library_section_id = ?2) AND metadata_type IN (1, 2, 4, 8, 9, 10, 13, 18)
             ORDER BY metadata_type, title_sort COLLATE icu_root, id LIMIT ?3",
        )?;
        let ids: Vec<i64> = statement
            .query_map(params![like, section, limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(row::load_all(db, context.request.account, &ids)?)
    })
}

fn elements(context: &Context<'_>, items: &[Item]) -> Result<Vec<Element>, Failure> {
    let account = context.request.account;
    context.read(|db| {
        Ok(items
            .iter()
            .map(|item| element::of(db, account, item, Detail::default()))
            .collect::<Result<_, _>>()?)
    })
}

/// `/search?query=`.
pub(super) fn everywhere(context: &Context<'_>) -> Result<Reply, Failure> {
    let found = find(context, context.request.query.need("query")?, None, 100)?;
    let elements = elements(context, &found)?;
    Ok(Reply::tree(
        Element::container()
            .attr("identifier", "com.plexapp.plugins.library")
            .children(elements)
            .sized(),
    ))
}

/// `/library/sections/<id>/search?query=&type=`.
pub(super) fn in_section(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    section::known(context, id)?;
    let query = &context.request.query;
    let kind = query.get("type").and_then(items::kind_number);
    let words = query.get("query").or_else(|| query.get("title")).unwrap_or("");
    let mut found = find(context, words, Some(id), 1000)?;
    found.retain(|item| kind.is_none_or(|kind| item.kind().number == kind));
    let elements = elements(context, &found)?;
    Ok(Reply::tree(Element::container().children(elements).sized()))
}

/// `/hubs/search?query=&limit=`: one hub per kind.
pub(super) fn hubs(context: &Context<'_>) -> Result<Reply, Failure> {
    let query = &context.request.query;
    let limit = query.number("limit")?.unwrap_or(3).max(0);
    let section = query.number("sectionId")?;
    let found = find(context, query.need("query")?, section, 1000)?;
    let mut by_kind: BTreeMap<i64, Vec<Item>> = BTreeMap::new();
    for item in found {
        by_kind.entry(item.kind().number).or_default().push(item);
    }
    let mut hubs = Vec::new();
    for (number, mut items) in by_kind {
        items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let word = items::kind(number).word;
        hubs.push(
            Element::new("Hub")
                .attr("title", format!("{word}s"))
                .attr("type", word)
                .attr("hubIdentifier", word)
                .attr("context", "hub.search")
                .attr("size", i64::try_from(items.len()).unwrap_or(i64::MAX))
                .attr("more", false)
                .attr("style", "shelf")
                .children(elements(context, &items)?),
        );
    }
    Ok(Reply::tree(Element::container().children(hubs).sized()))
}

/// `/hubs`: a server without watch history worth recommending from has none.
pub(super) fn no_hubs() -> Result<Reply, Failure> {
    Ok(Reply::tree(Element::container().attr("allowSync", true).sized()))
}
