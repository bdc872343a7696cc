//! `PUT /library/metadata/<id>?title.value=…&title.locked=1`, and the same for several items of a section: edits by people, and the fields that agents must not touch.
//!
//! Locked fields are kept in `user_fields` as `lockedFields=1|2|13`: the numbers count the columns of metadata_items from
//! title on, which is what rows of a real library show (title 1, title_sort 2, index 13).

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::reply::{Failure, Reply};
use super::{Context, done, timeline};
use crate::household::now;
use crate::items::kind_number;
use crate::store::counter;
use crate::store::extra::Extra;

/// (name in the API, number in lockedFields, column).
const FIELDS: &[(&str, u32, Option<&str>)] = &[
    ("title", 1, Some("title")),
    ("titleSort", 2, Some("title_sort")),
    ("originalTitle", 3, Some("original_title")),
    ("studio", 4, Some("studio")),
    ("rating", 5, Some("rating")),
    ("tagline", 7, Some("tagline")),
    ("summary", 8, Some("summary")),
    ("contentRating", 11, Some("content_rating")),
    ("index", 13, Some("index")),
    ("thumb", 16, None),
    ("art", 17, None),
    ("year", 32, Some("year")),
    ("originallyAvailableAt", 28, Some("originally_available_at")),
];

/// The names of the locked fields in a `user_fields`; numbers that have no name here are left out.
pub(crate) fn locked_fields(user_fields: &str) -> Vec<&'static str> {
    let numbers = locked_numbers(user_fields);
    FIELDS
        .iter()
        .filter(|(_, number, _)| numbers.contains(number))
        .map(|(name, ..)| *name)
        .collect()
}

fn locked_numbers(user_fields: &str) -> Vec<u32> {
    let members = Extra::parse(Some(user_fields));
    let list = members.get("lockedFields").unwrap_or("");
    list.split('|').filter_map(|number| number.parse().ok()).collect()
}

/// Applies an edit to one item.
pub(super) fn edit(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    context.write(|db| apply(db, id, context.request.query.pairs()))?;
    timeline::processed(context.server, id);
    done()
}

/// Applies an edit to some items of a section (`id=1,2`) or to all of a kind (`type=10`).
pub(super) fn edit_all(context: &Context<'_>, section: i64) -> Result<Reply, Failure> {
    super::section::known(context, section)?;
    let query = &context.request.query;
    let kind = query
        .get("type")
        .and_then(kind_number)
        .ok_or_else(|| Failure::BadRequest("type is missing".to_owned()))?;
    let named: Option<Vec<i64>> = query
        .get("id")
        .map(|list| list.split(',').map(|id| context.id(id)).collect::<Result<_, _>>())
        .transpose()?;
    let edited = context.write(|db| {
        let mut statement =
            db.prepare("SELECT id FROM metadata_items WHERE library_section_id = ?1 AND metadata_type = ?2")?;
        let mut ids: Vec<i64> = statement
            .query_map([section, kind], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if let Some(named) = &named {
            ids.retain(|id| named.contains(id));
        }
        for id in &ids {
            apply(db, *id, query.pairs())?;
        }
        Ok(ids)
    })?;
    for id in edited {
        timeline::processed(context.server, id);
    }
    done()
}

fn apply(db: &Connection, id: i64, pairs: &[(String, String)]) -> Result<(), Failure> {
    let user_fields: Option<String> =
        db.query_row("SELECT user_fields FROM metadata_items WHERE id = ?1", [id], |row| {
            row.get(0)
        })?;
    let mut locked = locked_numbers(user_fields.as_deref().unwrap_or(""));
    for (name, value) in pairs {
        let Some((field, what)) = name.rsplit_once('.') else {
            continue;
        };
        let unfit = || Failure::BadRequest(format!("{name} cannot be edited"));
        let (_, number, column) = FIELDS.iter().find(|(known, ..)| *known == field).ok_or_else(unfit)?;
        match (what, column) {
            ("value", Some(column)) => set(db, id, column, value)?,
            ("locked", _) => {
                locked.retain(|known| known != number);
                if value == "1" {
                    locked.push(*number);
                }
            }
            _ => return Err(unfit()),
        }
    }
    locked.sort_unstable();
    let list: Vec<String> = locked.iter().map(u32::to_string).collect();
    let text = if list.is_empty() {
        String::new()
    } else {
        format!("lockedFields={}", list.join("|"))
    };
    db.execute(
        "UPDATE metadata_items SET user_fields = ?2, updated_at = ?3, changed_at = ?4 WHERE id = ?1",
        params![id, text, now(), counter::next(db)?],
    )?;
    Ok(())
}

fn set(db: &Connection, id: i64, column: &str, value: &str) -> Result<(), Failure> {
    let bad = || Failure::BadRequest(format!("{value:?} does not fit {column}"));
    let typed = match column {
        "rating" => Value::Real(value.parse().map_err(|_| bad())?),
        "index" | "year" => Value::Integer(value.parse().map_err(|_| bad())?),
        "originally_available_at" => {
            let day: jiff::civil::Date = value.parse().map_err(|_| bad())?;
            let moment = day.to_zoned_datetime(jiff::tz::TimeZone::UTC).map_err(|_| bad())?;
            Value::Integer(moment.timestamp().as_second())
        }
        _ => Value::Text(value.to_owned()),
    };
    db.execute(
        &format!("UPDATE metadata_items SET \"{column}\" = ?2 WHERE id = ?1"),
        params_from_iter([Value::Integer(id), typed]),
    )?;
    // A title that is edited takes the sort title along unless that was given a text of its own.
    if column == "title" {
        let fields: Option<String> =
            db.query_row("SELECT user_fields FROM metadata_items WHERE id = ?1", [id], |row| {
                row.get(0)
            })?;
        if !locked_fields(fields.as_deref().unwrap_or("")).contains(&"titleSort") {
            db.execute("UPDATE metadata_items SET title_sort = title WHERE id = ?1", [id])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_fields_of_real_rows() {
        assert_eq!(locked_fields("lockedFields=1|2|13"), ["title", "titleSort", "index"]);
        assert!(locked_fields("").is_empty());
        assert_eq!(
            locked_fields(r#"{"lockedFields":"8","url":"lockedFields=8"}"#),
            ["summary"]
        );
    }
}
