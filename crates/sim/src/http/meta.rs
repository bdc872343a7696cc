//! `<Meta>`: which kinds a section has and what they can be filtered and sorted by, for clients that build their queries
//! from it.

use super::element::Element;
use crate::items::{self, Kind};

/// (key, title, type of its values).
const FIELDS: &[(&str, &str, &str)] = &[
    ("title", "Title", "string"),
    ("userRating", "Rating", "integer"),
    ("viewCount", "Plays", "integer"),
    ("lastViewedAt", "Last Played", "date"),
    ("addedAt", "Date Added", "date"),
    ("year", "Year", "integer"),
    ("duration", "Duration", "integer"),
    ("trash", "Trashed", "boolean"),
    ("unmatched", "Unmatched", "boolean"),
    ("unwatched", "Unplayed", "boolean"),
    ("file", "File", "string"),
    ("genre", "Genre", "tag"),
    ("mood", "Mood", "tag"),
    ("collection", "Collection", "tag"),
];

const SORTS: &[(&str, &str, &str)] = &[
    ("titleSort", "Title", "asc"),
    ("addedAt", "Date Added", "desc"),
    ("lastViewedAt", "Date Played", "desc"),
    ("viewCount", "Plays", "desc"),
    ("userRating", "Rating", "desc"),
    ("year", "Year", "desc"),
    ("duration", "Duration", "desc"),
    ("random", "Randomly", "desc"),
];

const TYPES: &[(&str, &[(&str, &str)])] = &[
    ("tag", &[("=", "is"), ("!=", "is not")]),
    (
        "integer",
        &[
            ("=", "is"),
            ("!=", "is not"),
            (">>=", "is greater than"),
            ("<<=", "is less than"),
        ],
    ),
    (
        "string",
        &[
            ("=", "contains"),
            ("!=", "does not contain"),
            ("==", "is"),
            ("!==", "is not"),
            ("<=", "begins with"),
            (">=", "ends with"),
        ],
    ),
    ("boolean", &[("=", "is true"), ("!=", "is false")]),
    ("date", &[("<<=", "is before"), (">>=", "is after")]),
];

/// The description of a section of that type.
pub(crate) fn of(section: i64, section_type: i64) -> Element {
    let levels = items::levels(section_type)
        .iter()
        .map(|number| kind(section, items::kind(*number)));
    let types = TYPES.iter().map(|(name, operators)| {
        let operators = operators
            .iter()
            .map(|(key, title)| Element::new("Operator").attr("key", *key).attr("title", *title));
        Element::new("FieldType").attr("type", *name).children(operators)
    });
    Element::new("Meta").single().children(levels).children(types)
}

fn kind(section: i64, kind: Kind) -> Element {
    let filters = FIELDS
        .iter()
        .filter(|(_, _, of)| matches!(*of, "boolean" | "tag" | "integer"))
        .map(|(key, title, of)| {
            Element::new("Filter")
                .attr("filter", *key)
                .attr("filterType", *of)
                .attr("key", format!("/library/sections/{section}/{key}?type={}", kind.number))
                .attr("title", *title)
                .attr("type", "filter")
        });
    let sorts = SORTS.iter().map(|(key, title, direction)| {
        Element::new("Sort")
            .attr("defaultDirection", *direction)
            .attr("descKey", format!("{key}:desc"))
            .attr("key", *key)
            .attr("title", *title)
    });
    let fields = FIELDS.iter().map(|(key, title, of)| {
        Element::new("Field")
            .attr("key", format!("{}.{key}", kind.word))
            .attr("title", *title)
            .attr("type", *of)
    });
    Element::new("Type")
        .attr("key", format!("/library/sections/{section}/all?type={}", kind.number))
        .attr("type", kind.word)
        .attr("title", format!("{}s", kind.word))
        .attr("active", false)
        .children(filters)
        .children(sorts)
        .children(fields)
}
