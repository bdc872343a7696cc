//! Whose value a column of a content table gets when both sides changed it, and what becomes of a row that both made.
//!
//! What only one side changed is that side's, whatever the column. When both did, what a person can edit is home's: an
//! agent that refreshed the item on the worker finds the same again later, an edit is found by nobody. What an analysis
//! measured is the worker's.

use super::values::Value;

use super::extra;
use super::rows::Row;
use super::schema::Table;
use super::tables::COUNTERS;
use super::values::{Changed, later, three_way};

/// How a column that both sides changed is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// Home's.
    Mine,
    /// The worker's.
    Theirs,
    /// The later of the two.
    Later,
    /// Member by member ([`extra`]).
    Extra,
    /// Not compared: set when the row is written.
    Counter,
}

/// What a person can edit, lock or choose about an item.
const EDITABLE: &[&str] = &[
    "title",
    "title_sort",
    "original_title",
    "studio",
    "rating",
    "tagline",
    "summary",
    "trivia",
    "quotes",
    "content_rating",
    "content_rating_age",
    "index",
    "absolute_index",
    "originally_available_at",
    "year",
    "edition_title",
    "user_thumb_url",
    "user_art_url",
    "user_banner_url",
    "user_music_url",
    "user_clear_logo_url",
    "user_square_art_url",
    "tags_genre",
    "tags_collection",
    "tags_director",
    "tags_writer",
    "tags_star",
    "tags_country",
];

/// Where an item is in its library, and since when: never the worker's to say for a row that home has too.
const PLACE: &[&str] = &[
    "id",
    "library_section_id",
    "parent_id",
    "user_fields",
    "added_at",
    "created_at",
    "deleted_at",
    "metadata_type",
];

/// Whether a person can edit the column of `metadata_items`.
pub(super) fn is_editable(column: &str) -> bool {
    EDITABLE.contains(&column)
}

/// The policy of a column.
pub(super) fn of(table: &str, column: &str) -> Policy {
    if COUNTERS.contains(&column) {
        return Policy::Counter;
    }
    match (table, column) {
        (_, "extra_data") if table != "taggings" => Policy::Extra,
        (_, "updated_at" | "refreshed_at" | "scanned_at" | "last_seen_at") => Policy::Later,
        ("metadata_items", column) if EDITABLE.contains(&column) || PLACE.contains(&column) => Policy::Mine,
        ("metadata_items", "guid" | "hash") => Policy::Mine,
        (
            "media_items",
            "id"
            | "library_section_id"
            | "section_location_id"
            | "metadata_item_id"
            | "settings"
            | "created_at"
            | "deleted_at",
        ) => Policy::Mine,
        ("media_parts", "id" | "media_item_id" | "directory_id" | "file" | "index" | "created_at" | "deleted_at") => {
            Policy::Mine
        }
        ("media_streams", "id" | "media_item_id" | "media_part_id" | "created_at") => Policy::Mine,
        ("directories" | "taggings" | "metadata_relations" | "library_sections" | "section_locations", _) => {
            Policy::Mine
        }
        ("tags", "tag" | "tag_type" | "key" | "user_thumb_url" | "user_art_url" | "user_music_url" | "id") => {
            Policy::Mine
        }
        ("metadata_item_clusters" | "metadata_item_clusterings" | "locatables" | "location_places", "id") => {
            Policy::Mine
        }
        _ => Policy::Theirs,
    }
}

/// A row that the base has and that both sides may have changed. Second: columns that both had changed differently.
pub(super) fn merge(table: &Table, base: &Row, mine: &Row, theirs: &Row) -> (Row, Vec<String>) {
    let mut merged = theirs.clone();
    let mut both = Vec::new();
    // A file that was replaced at home is what home's analysis is about, and the worker's is not.
    let replaced = table.name == "media_parts"
        && ["hash", "size"].iter().any(|column| {
            table
                .at(column)
                .is_some_and(|n| matches!(three_way(&base[n], &mine[n], &theirs[n]), Some(Changed::Both)))
        });
    // Guid and hash are one thing: the hash is that of the guid.
    let guid_is_mine = table
        .at("guid")
        .filter(|_| table.name == "metadata_items")
        .map(|n| !matches!(three_way(&base[n], &mine[n], &theirs[n]), None | Some(Changed::Theirs)));
    for (n, column) in table.columns.iter().enumerate() {
        let policy = of(&table.name, column);
        if policy == Policy::Counter {
            continue;
        }
        if column == "hash"
            && let Some(is_mine) = guid_is_mine
        {
            merged[n] = if is_mine { mine[n].clone() } else { theirs[n].clone() };
            continue;
        }
        merged[n] = match three_way(&base[n], &mine[n], &theirs[n]) {
            None | Some(Changed::Theirs) => theirs[n].clone(),
            Some(Changed::Mine) => mine[n].clone(),
            Some(Changed::Both) => {
                let policy = if replaced { Policy::Mine } else { policy };
                if !matches!(policy, Policy::Later) {
                    both.push(column.clone());
                }
                match policy {
                    Policy::Mine => mine[n].clone(),
                    Policy::Theirs | Policy::Counter => theirs[n].clone(),
                    Policy::Later => later(mine[n].clone(), theirs[n].clone()),
                    Policy::Extra => extra::merge(Some(&base[n]), &mine[n], &theirs[n]),
                }
            }
        };
    }
    (merged, both)
}

/// A row that both sides made of the same thing: home's place and edits, the worker's findings.
pub(super) fn adopt(table: &Table, mine: &Row, theirs: &Row) -> Row {
    let mut merged = theirs.clone();
    let locked = table
        .at("user_fields")
        .filter(|_| table.name == "metadata_items")
        .is_some_and(|n| has_locks(&mine[n]));
    let at_home = measured_at_home(table, mine, theirs);
    let stale = table.name == "metadata_items"
        && (refreshed_later(table, mine, theirs) || is_another_match(table, mine, theirs));
    for (n, column) in table.columns.iter().enumerate() {
        let column = column.as_str();
        let policy = match of(&table.name, column) {
            Policy::Theirs if at_home => Policy::Mine,
            policy => policy,
        };
        let found = !stale && table.name == "metadata_items" && EDITABLE.contains(&column) && !locked;
        merged[n] = match policy {
            Policy::Counter => theirs[n].clone(),
            Policy::Mine if found && theirs[n] != Value::Null => theirs[n].clone(),
            Policy::Mine => mine[n].clone(),
            Policy::Theirs if theirs[n] == Value::Null => mine[n].clone(),
            Policy::Theirs => theirs[n].clone(),
            Policy::Later => later(mine[n].clone(), theirs[n].clone()),
            Policy::Extra => extra::merge(None, &mine[n], &theirs[n]),
        };
    }
    if table.name == "metadata_items"
        && let (Some(guid), Some(hash)) = (table.at("guid"), table.at("hash"))
        && super::guids::is_numbered(&mine[guid])
        && matches!(theirs[guid], Value::Text(_))
        && !super::guids::is_numbered(&theirs[guid])
    {
        // The worker matched what home had not: its name is the one that all of Plex knows.
        merged[guid] = theirs[guid].clone();
        merged[hash] = theirs[hash].clone();
    }
    merged
}

/// Whether home's analysis is the one to keep: of a newer file of that name, or by a newer analyser than the result's.
fn measured_at_home(table: &Table, mine: &Row, theirs: &Row) -> bool {
    let number = |row: &Row, column: &str| match table.at(column).map(|n| &row[n]) {
        Some(Value::Integer(n)) => Some(*n),
        _ => None,
    };
    match table.name.as_str() {
        "media_items" => number(mine, "media_analysis_version") > number(theirs, "media_analysis_version"),
        "media_parts" => {
            let (here, there) = (number(mine, "size"), number(theirs, "size"));
            here.is_some()
                && there.is_some()
                && here != there
                && number(mine, "updated_at") > number(theirs, "updated_at")
        }
        _ => false,
    }
}

/// Whether home's item was matched to something else than the result's, by the same kind of agent. Its guid stays home's,
/// since settings and history go by it, so what was found under the other one says nothing about it.
pub(super) fn is_another_match(table: &Table, mine: &Row, theirs: &Row) -> bool {
    let Some(guid) = table.at("guid").filter(|_| table.name == "metadata_items") else {
        return false;
    };
    let (Some((agent, mine)), Some((other, theirs))) =
        (super::guids::matched(&mine[guid]), super::guids::matched(&theirs[guid]))
    else {
        return false;
    };
    agent == other && mine != theirs
}

/// Whether an agent looked at home's item after it looked at the result's; what it had found earlier is not put over that,
/// unless only the worker found out what it is.
fn refreshed_later(table: &Table, mine: &Row, theirs: &Row) -> bool {
    let (Some(at), Some(guid)) = (table.at("refreshed_at"), table.at("guid")) else {
        return false;
    };
    let found_out = super::guids::is_numbered(&mine[guid]) && !super::guids::is_numbered(&theirs[guid]);
    !found_out && theirs[at] != mine[at] && later(mine[at].clone(), theirs[at].clone()) == mine[at]
}

/// Whether `user_fields` locks anything.
pub(super) fn has_locks(user_fields: &Value) -> bool {
    matches!(user_fields, Value::Text(text) if text.contains("lockedFields"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Table {
        Table {
            name: "metadata_items".into(),
            columns: [
                "id",
                "title",
                "duration",
                "user_fields",
                "guid",
                "hash",
                "updated_at",
                "changed_at",
            ]
            .map(String::from)
            .to_vec(),
            keyed: true,
        }
    }

    fn row(title: &str, duration: i64, locks: &str, guid: &str, updated: i64) -> Row {
        vec![
            Value::Integer(5),
            Value::Text(title.into()),
            Value::Integer(duration),
            Value::Text(locks.into()),
            Value::Text(guid.into()),
            Value::Text(format!("hash of {guid}")),
            Value::Integer(updated),
            Value::Integer(1),
        ]
    }

    #[test]
    fn edits_are_homes_and_findings_the_workers() {
        let base = row("a", 0, "", "plex://1", 10);
        let mine = row("edited", 1, "lockedFields=1", "plex://1", 30);
        let theirs = row("refreshed", 2, "", "plex://1", 20);
        let (merged, both) = merge(&items(), &base, &mine, &theirs);
        assert_eq!(merged, row("edited", 2, "lockedFields=1", "plex://1", 30));
        assert_eq!(both, ["title", "duration"]);
    }

    #[test]
    fn what_one_side_changed_is_that_sides() {
        let base = row("a", 0, "", "plex://1", 10);
        let (merged, both) = merge(&items(), &base, &base, &row("b", 7, "", "plex://2", 11));
        assert_eq!((merged, both.len()), (row("b", 7, "", "plex://2", 11), 0));
        let (merged, _) = merge(
            &items(),
            &base,
            &row("c", 0, "", "plex://3", 10),
            &row("a", 7, "", "plex://2", 11),
        );
        assert_eq!(merged, row("c", 7, "", "plex://3", 11));
    }

    #[test]
    fn a_new_item_gets_homes_place_and_the_workers_match() {
        let merged = adopt(
            &items(),
            &row("x.flac", 0, "", "local://5", 9),
            &row("Song", 7, "", "plex://t", 8),
        );
        assert_eq!(merged, row("Song", 7, "", "plex://t", 9));
        let merged = adopt(
            &items(),
            &row("Mine", 0, "lockedFields=1", "local://5", 9),
            &row("Song", 7, "", "local://77", 8),
        );
        assert_eq!(merged, row("Mine", 7, "lockedFields=1", "local://5", 9));
    }

    #[test]
    fn what_was_found_under_another_match_is_not_put_over_homes() {
        let (mine, theirs) = (
            row("Alien", 0, "", "plex://movie/1", 9),
            row("Aliens", 7, "", "plex://movie/2", 8),
        );
        assert_eq!(
            adopt(&items(), &mine, &theirs),
            row("Alien", 7, "", "plex://movie/1", 9)
        );
        // The same by another agent's name, or in another language, is no other match.
        for (here, there) in [
            ("com.plexapp.agents.imdb://tt1?lang=en", "plex://movie/1"),
            (
                "com.plexapp.agents.imdb://tt1?lang=en",
                "com.plexapp.agents.imdb://tt1?lang=de",
            ),
            ("com.plexapp.agents.none://0123456789abcdef", "plex://movie/1"),
        ] {
            assert!(!is_another_match(
                &items(),
                &row("", 0, "", here, 1),
                &row("", 0, "", there, 1)
            ));
        }
    }

    #[test]
    fn merging_again_changes_nothing() {
        let base = row("a", 0, "", "plex://1", 10);
        let mine = row("edited", 1, "lockedFields=1", "plex://1", 30);
        let (once, _) = merge(&items(), &base, &mine, &row("refreshed", 2, "", "plex://9", 20));
        assert_eq!(merge(&items(), &base, &mine, &once).0, once);
        let new = row("x", 0, "", "local://5", 9);
        let once = adopt(&items(), &new, &row("Song", 7, "", "plex://t", 8));
        assert_eq!(adopt(&items(), &new, &once), once);
    }
}
