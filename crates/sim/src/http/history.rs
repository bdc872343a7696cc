//! The past: `/status/sessions/history/all` and `/statistics/…`.

use rusqlite::types::Value as Sql;
use rusqlite::{params, params_from_iter};

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done};
use crate::items;

/// All views, filtered and sorted as asked.
pub(super) fn all(context: &Context<'_>) -> Result<Reply, Failure> {
    let page = context.request.page()?;
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Sql> = Vec::new();
    for (name, value) in context.request.query.pairs() {
        let (column, operator) = match name.as_str() {
            "accountID" => ("v.account_id", "="),
            "librarySectionID" => ("v.library_section_id", "="),
            "metadataItemID" => ("i.id", "="),
            "viewedAt>" => ("v.viewed_at", ">="),
            "viewedAt<" => ("v.viewed_at", "<="),
            _ => continue,
        };
        let number: i64 = value
            .parse()
            .map_err(|_| Failure::BadRequest(format!("{name}={value} is no number")))?;
        values.push(Sql::Integer(number));
        conditions.push(format!("{column} {operator} ?{}", values.len()));
    }
    let order = match context.request.query.get("sort") {
        Some("viewedAt:asc" | "viewedAt") => "v.viewed_at ASC, v.id ASC",
        _ => "v.viewed_at DESC, v.id DESC",
    };
    let from = format!(
        "FROM metadata_item_views v LEFT JOIN metadata_items i ON i.id = (SELECT min(x.id) FROM metadata_items x
             WHERE x.guid = v.guid AND x.library_section_id IS v.library_section_id)
         WHERE {}",
        conditions.join(" AND ")
    );
    let (total, elements) = context.read(|db| {
        let total: i64 = db.query_row(&format!("SELECT count(*) {from}"), params_from_iter(&values), |row| {
            row.get(0)
        })?;
        let mut statement = db.prepare(&format!(
            "SELECT v.id, i.id, v.library_section_id, i.parent_id, v.title, v.parent_title, v.grandparent_title,
                 v.metadata_type, v.\"index\", v.parent_index, v.viewed_at, v.account_id, v.device_id
             {from} ORDER BY {order} LIMIT {} OFFSET {}",
            page.size.unwrap_or(-1),
            page.start
        ))?;
        let rows = statement.query_map(params_from_iter(&values), |row| {
            let kind = items::kind(row.get::<_, Option<i64>>(7)?.unwrap_or(0));
            let item: Option<i64> = row.get(1)?;
            let text = |at: usize| row.get::<_, Option<String>>(at);
            Ok(Element::metadata(kind.element)
                .attr(
                    "historyKey",
                    format!("/status/sessions/history/{}", row.get::<_, i64>(0)?),
                )
                .maybe("key", item.map(|id| format!("/library/metadata/{id}")))
                .maybe("ratingKey", item.map(|id| id.to_string()))
                .maybe(
                    "librarySectionID",
                    row.get::<_, Option<i64>>(2)?.map(|id| id.to_string()),
                )
                .maybe(
                    "parentKey",
                    row.get::<_, Option<i64>>(3)?
                        .map(|id| format!("/library/metadata/{id}")),
                )
                .attr("title", text(4)?.unwrap_or_default())
                .text("parentTitle", text(5)?.as_deref())
                .text("grandparentTitle", text(6)?.as_deref())
                .attr("type", kind.word)
                .maybe("index", row.get::<_, Option<i64>>(8)?)
                .maybe("parentIndex", row.get::<_, Option<i64>>(9)?.filter(|index| *index >= 0))
                .maybe("viewedAt", row.get::<_, Option<i64>>(10)?)
                .maybe("accountID", row.get::<_, Option<i64>>(11)?)
                .maybe("deviceID", row.get::<_, Option<i64>>(12)?))
        })?;
        Ok((total, rows.collect::<Result<Vec<_>, _>>()?))
    })?;
    let root = Element::container()
        .attr("offset", page.start)
        .attr("totalSize", total)
        .children(elements)
        .sized();
    Ok(super::browse::paged(root, page, total))
}

/// Forgets one view.
pub(super) fn delete(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let gone = context.write(|db| Ok(db.execute("DELETE FROM metadata_item_views WHERE id = ?1", [id])?))?;
    if gone > 0 { done() } else { Err(Failure::NotFound) }
}

/// Bytes per account, device and span.
pub(super) fn bandwidth(context: &Context<'_>) -> Result<Reply, Failure> {
    let timespan = context.request.query.number("timespan")?.unwrap_or(4);
    let elements = context.read(|db| {
        let mut statement = db.prepare(
            "SELECT account_id, device_id, timespan, at, lan, bytes FROM statistics_bandwidth
             WHERE timespan = ?1 ORDER BY at DESC, id DESC",
        )?;
        let rows = statement.query_map(params![timespan], |row| {
            Ok(Element::new("StatisticsBandwidth")
                .maybe("accountID", row.get::<_, Option<i64>>(0)?)
                .maybe("deviceID", row.get::<_, Option<i64>>(1)?)
                .attr("timespan", row.get::<_, i64>(2)?)
                .maybe("at", row.get::<_, Option<i64>>(3)?)
                .attr("lan", items::media::truthy(row, "lan")?)
                .maybe("bytes", row.get::<_, Option<i64>>(5)?))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    Ok(Reply::tree(Element::container().children(elements).sized()))
}

/// Playings per account, device and span.
pub(super) fn media(context: &Context<'_>) -> Result<Reply, Failure> {
    let timespan = context.request.query.number("timespan")?.unwrap_or(4);
    let elements = context.read(|db| {
        let mut statement = db.prepare(
            "SELECT account_id, device_id, timespan, at, metadata_type, count, duration FROM statistics_media
             WHERE timespan = ?1 ORDER BY at DESC, id DESC",
        )?;
        let rows = statement.query_map(params![timespan], |row| {
            Ok(Element::new("StatisticsMedia")
                .maybe("accountID", row.get::<_, Option<i64>>(0)?)
                .maybe("deviceID", row.get::<_, Option<i64>>(1)?)
                .attr("timespan", row.get::<_, i64>(2)?)
                .maybe("at", row.get::<_, Option<i64>>(3)?)
                .maybe("metadataType", row.get::<_, Option<i64>>(4)?)
                .maybe("count", row.get::<_, Option<i64>>(5)?)
                .maybe("duration", row.get::<_, Option<i64>>(6)?))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    Ok(Reply::tree(Element::container().children(elements).sized()))
}
