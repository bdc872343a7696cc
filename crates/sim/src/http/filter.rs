//! What a listing is filtered and sorted by: the names, operators and sort keys that Plex's clients send.
//!
//! Operators (they come at the end of the name): none = contains for text, equals for the rest; `=` equals; `!` not;
//! `<`/`>` begins/ends with for text; `<<`/`>>` less/greater for numbers and dates.
//! A filter that is not known here is a bad request, as an unknown field is for Plex.

use rusqlite::types::Value;

use super::reply::Failure;
use crate::household::now;
use crate::items::kind_number;

/// A condition on metadata_items `i`, with its values.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

enum Field {
    Text(&'static str),
    Number(&'static str),
    Date(&'static str),
    /// A condition that holds when the flag is set.
    Flag(&'static str),
    /// A condition with `{op}` on one value.
    Custom(&'static str),
}

/// The settings of the account that asks (?1 is bound to it by every listing).
const SETTING: &str = "FROM metadata_item_settings s WHERE s.guid = i.guid AND s.account_id = ?1";

fn field(name: &str) -> Option<Field> {
    Some(match name {
        "title" => Field::Text("i.title"),
        "titleSort" => Field::Text("i.title_sort"),
        "studio" => Field::Text("i.studio"),
        "guid" => Field::Text("i.guid"),
        "summary" => Field::Text("i.summary"),
        "file" => Field::Text(
            "(SELECT p.file FROM media_parts p JOIN media_items m ON m.id = p.media_item_id
              WHERE m.metadata_item_id = i.id ORDER BY p.id LIMIT 1)",
        ),
        "id" => Field::Number("i.id"),
        "year" => Field::Number("i.year"),
        "index" => Field::Number("i.\"index\""),
        "duration" => Field::Number("i.duration"),
        "addedAt" => Field::Date("i.added_at"),
        "updatedAt" => Field::Date("i.updated_at"),
        "originallyAvailableAt" => Field::Date("i.originally_available_at"),
        "viewCount" => Field::Number("coalesce((SELECT s.view_count {setting} ORDER BY s.id LIMIT 1), 0)"),
        "userRating" => Field::Number("coalesce((SELECT s.rating {setting} ORDER BY s.id LIMIT 1), -1)"),
        "lastViewedAt" => Field::Date("(SELECT s.last_viewed_at {setting} ORDER BY s.id LIMIT 1)"),
        "unwatched" => Field::Flag("NOT EXISTS (SELECT 1 {setting} AND s.view_count > 0)"),
        "inProgress" => Field::Flag("EXISTS (SELECT 1 {setting} AND s.view_offset > 0)"),
        "trash" => Field::Flag("i.deleted_at IS NOT NULL"),
        "unmatched" => Field::Flag("i.guid LIKE 'local://%'"),
        "parent" => Field::Number("i.parent_id"),
        "genre" | "mood" | "style" | "director" | "writer" | "actor" | "collection" | "label" | "country" => {
            Field::Custom(
                "{not}EXISTS (SELECT 1 FROM taggings g JOIN tags t ON t.id = g.tag_id
                  WHERE g.metadata_item_id = i.id AND (t.id = {value} OR t.tag = {value}))",
            )
        }
        _ => return None,
    })
}

/// Names that shape an answer rather than choose items.
fn is_option(name: &str) -> bool {
    name.starts_with("X-Plex-")
        || name.starts_with("include")
        || name.starts_with("exclude")
        || matches!(
            name,
            "type"
                | "sort"
                | "limit"
                | "checkFiles"
                | "asyncCheckFiles"
                | "asyncRefreshAnalysis"
                | "asyncRefreshLocalMediaAgent"
                | "skipRefresh"
                | "async"
                | "group"
                | "push"
                | "pop"
                | "or"
                | "and"
        )
}

impl Filter {
    /// A condition that the listing itself sets.
    pub(crate) fn fixed(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    /// The filters of a request. `bound` values stand before them in the statement.
    pub(crate) fn of(pairs: &[(String, String)], bound: usize) -> Result<Self, Failure> {
        let listed = pairs
            .iter()
            .find(|(name, _)| name == "type")
            .and_then(|(_, kind)| kind_number(kind));
        let mut filter = Self::default();
        for (name, value) in pairs.iter().filter(|(name, _)| !is_option(name)) {
            let plain = name.trim_end_matches(['=', '!', '<', '>', '&']);
            let operator = &name[plain.len()..];
            let (prefix, bare) = plain
                .rsplit_once('.')
                .map_or((None, plain), |(prefix, bare)| (Some(prefix), bare));
            let field = field(bare).ok_or_else(|| Failure::BadRequest(format!("{plain} is no field to filter by")))?;
            let mut condition = filter.condition(&field, operator, value, bound)?;
            if let Some(of) = prefix.and_then(kind_number)
                && let Some(listed) = listed
                && listed != of
            {
                condition = on_relative(&condition, of, listed);
            }
            filter.conditions.push(condition);
        }
        Ok(filter)
    }

    fn condition(&mut self, field: &Field, operator: &str, value: &str, bound: usize) -> Result<String, Failure> {
        let unknown = || Failure::BadRequest(format!("operator {operator}= does not fit here"));
        let place = format!("?{}", bound + self.values.len() + 1);
        Ok(match field {
            Field::Flag(condition) => {
                let wanted = matches!(value, "1" | "true") != (operator == "!");
                let condition = condition_of(condition);
                return Ok(if wanted {
                    condition
                } else {
                    format!("NOT ({condition})")
                });
            }
            Field::Text(column) => {
                let like = value.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                let (test, value) = match operator {
                    "" => ("LIKE", format!("%{like}%")),
                    "<" => ("LIKE", format!("{like}%")),
                    ">" => ("LIKE", format!("%{like}")),
                    "!" => ("NOT LIKE", format!("%{like}%")),
                    "=" => ("=", value.to_owned()),
                    "!=" => ("<>", value.to_owned()),
                    _ => return Err(unknown()),
                };
                self.values.push(Value::Text(value));
                let escape = if test.ends_with("LIKE") { " ESCAPE '\\'" } else { "" };
                format!("{column} {test} {place}{escape}")
            }
            Field::Number(column) | Field::Date(column) => {
                let test = match operator {
                    "" | "=" => "=",
                    "!" | "!=" => "<>",
                    ">>" => ">",
                    "<<" => "<",
                    ">" => ">=",
                    "<" => "<=",
                    _ => return Err(unknown()),
                };
                let number = match field {
                    Field::Date(_) => moment(value),
                    _ => value.parse::<f64>().ok().map(Value::Real),
                };
                let bad = || Failure::BadRequest(format!("{value:?} does not fit the field"));
                self.values.push(number.ok_or_else(bad)?);
                format!("{} {test} {place}", condition_of(column))
            }
            Field::Custom(pattern) => {
                let not = match operator {
                    "" | "=" => "",
                    "!" | "!=" => "NOT ",
                    _ => return Err(unknown()),
                };
                self.values.push(Value::Text(value.to_owned()));
                pattern.replace("{not}", not).replace("{value}", &place)
            }
        })
    }

    /// The WHERE clause.
    pub(crate) fn clause(&self) -> String {
        if self.conditions.is_empty() {
            "1".to_owned()
        } else {
            self.conditions.join(" AND ")
        }
    }

    /// The values of its placeholders.
    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }
}

/// A condition on the item's artist, album, show … (`artist.id=5` among tracks), or on what lies below it.
fn on_relative(condition: &str, of: i64, listed: i64) -> String {
    let condition = condition.replace("i.", "a.");
    // Kinds are numbered from the top: 8 artist, 9 album, 10 track; 2 show, 3 season, 4 episode.
    if of < listed {
        format!(
            "EXISTS (SELECT 1 FROM metadata_items a WHERE a.metadata_type = {of} AND a.id IN (i.parent_id,
                 (SELECT x.parent_id FROM metadata_items x WHERE x.id = i.parent_id)) AND {condition})"
        )
    } else {
        format!(
            "EXISTS (SELECT 1 FROM metadata_items a LEFT JOIN metadata_items b ON b.id = a.parent_id
                 WHERE a.metadata_type = {of} AND (a.parent_id = i.id OR b.parent_id = i.id) AND {condition})"
        )
    }
}

fn condition_of(pattern: &str) -> String {
    pattern.replace("{setting}", SETTING)
}

/// Unix seconds, a date, or a span before now ("-7d").
fn moment(text: &str) -> Option<Value> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(Value::Integer(seconds));
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return date
            .to_zoned_datetime(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|day| Value::Integer(day.timestamp().as_second()));
    }
    let (number, unit) = text.strip_prefix('-')?.split_at_checked(text.len().checked_sub(2)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    Some(Value::Integer(now() - number.parse::<i64>().ok()? * seconds))
}

/// The ORDER BY of a listing: `sort=field[:desc],…`; without it, by sort title as people read it.
pub(crate) fn order(sort: Option<&str>) -> Result<String, Failure> {
    let Some(sort) = sort.filter(|sort| !sort.is_empty()) else {
        return Ok("i.title_sort COLLATE icu_root, i.\"index\", i.id".to_owned());
    };
    let mut parts = Vec::new();
    for part in sort.split(',') {
        let (name, direction) = part.split_once(':').unwrap_or((part, "asc"));
        let column = match name.rsplit('.').next().unwrap_or(name) {
            "titleSort" | "title" => "i.title_sort COLLATE icu_root".to_owned(),
            "addedAt" => "i.added_at".to_owned(),
            "updatedAt" => "i.updated_at".to_owned(),
            "originallyAvailableAt" => "i.originally_available_at".to_owned(),
            "year" => "i.year".to_owned(),
            "index" | "absoluteIndex" => "i.\"index\"".to_owned(),
            "duration" => "i.duration".to_owned(),
            "rating" => "i.rating".to_owned(),
            "random" => "random()".to_owned(),
            "id" => "i.id".to_owned(),
            "viewCount" => condition_of("(SELECT s.view_count {setting} ORDER BY s.id LIMIT 1)"),
            "userRating" => condition_of("(SELECT s.rating {setting} ORDER BY s.id LIMIT 1)"),
            "lastViewedAt" => condition_of("(SELECT s.last_viewed_at {setting} ORDER BY s.id LIMIT 1)"),
            "lastRatedAt" => condition_of("(SELECT s.last_rated_at {setting} ORDER BY s.id LIMIT 1)"),
            "viewOffset" => condition_of("(SELECT s.view_offset {setting} ORDER BY s.id LIMIT 1)"),
            _ => {
                return Err(Failure::BadRequest(format!("{name} is no field to sort by")));
            }
        };
        let direction = match direction {
            "asc" | "" => "ASC",
            "desc" | "nullsLast" => "DESC",
            other => {
                return Err(Failure::BadRequest(format!("{other} is no direction to sort in")));
            }
        };
        parts.push(format!("{column} {direction}"));
    }
    parts.push("i.id".to_owned());
    Ok(parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn operators_become_conditions() {
        let filter = Filter::of(
            &pairs(&[
                ("type", "10"),
                ("title", "50%"),
                ("addedAt>>", "5"),
                ("year!", "1999"),
                ("title=", "x"),
            ]),
            2,
        )
        .unwrap();
        assert_eq!(
            filter.clause(),
            "i.title LIKE ?3 ESCAPE '\\' AND i.added_at > ?4 AND i.year <> ?5 AND i.title = ?6"
        );
        assert_eq!(filter.values()[0], Value::Text("%50\\%%".to_owned()));
    }

    #[test]
    fn a_prefix_asks_a_relative() {
        let clause = |kind: &str, name: &str| Filter::of(&pairs(&[("type", kind), (name, "5")]), 1).unwrap().clause();
        assert_eq!(clause("9", "album.id"), "i.id = ?2");
        let above = clause("10", "artist.id");
        assert!(
            above.contains("a.metadata_type = 8") && above.ends_with("AND a.id = ?2)"),
            "{above}"
        );
        assert!(clause("8", "track.year").contains("b.parent_id = i.id) AND a.year = ?2"));
    }

    #[test]
    fn nonsense_is_refused() {
        for pair in [
            ("nofield", "1"),
            ("year", "soon"),
            ("title>>", "x"),
            ("addedAt>>", "yesterday"),
        ] {
            assert!(
                matches!(Filter::of(&pairs(&[pair]), 0), Err(Failure::BadRequest(_))),
                "{pair:?}"
            );
        }
        assert!(order(Some("nofield")).is_err());
        assert!(order(Some("addedAt:sideways")).is_err());
    }

    #[test]
    fn moments() {
        assert_eq!(moment("2024-01-01"), Some(Value::Integer(1_704_067_200)));
        assert!(matches!(moment("-7d"), Some(Value::Integer(at)) if (now() - at - 604_800).abs() < 5));
        assert_eq!(moment("-d"), None);
    }
}
