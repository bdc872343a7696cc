//! Home's changes to what scans, agents and analysis write, put onto the worker's result row by row.
//!
//! Order: additions and changes first, from what is above to what is below; then deletions, which look at what the worker
//! found below what home deleted. Streams and taggings have files of their own.

use super::values::Value;

use super::back;
use super::context::Context;
use super::diff::Changes;
use super::fail::Step;
use super::home_tables::as_json;
use super::matching::AllChanges;
use super::missing;
use super::moves::Moved;
use super::policy;
use super::report::{Decided, KeptAside};
use super::rows::{self, Row, int, text, value};
use super::schema::{Table, quote};
use super::session::{BASE, MAIN, MINE};
use super::tables::REFERENCES;
use super::writer::Writer;

/// Tables whose rows are carried one by one, each after those that it refers to.
const ORDER: [&str; 5] = ["directories", "metadata_items", "media_items", "media_parts", "tags"];

/// Tables that say what belongs together, and the columns that make two of their rows the same.
const LINKS: [(&str, &[&str]); 5] = [
    (
        "metadata_relations",
        &["metadata_item_id", "related_metadata_item_id", "relation_type"],
    ),
    (
        "metadata_item_clusters",
        &["zoom_level", "library_section_id", "title", "starts_at", "ends_at"],
    ),
    (
        "metadata_item_clusterings",
        &["metadata_item_id", "metadata_item_cluster_id"],
    ),
    ("locatables", &["location_id", "locatable_id", "locatable_type"]),
    ("location_places", &["location_id", "guid"]),
];

/// Leaves rows that cannot be written where the worker has them, and lets home's rows follow them there.
pub(super) fn follow_instead(context: &mut Context<'_>, moved: &mut Moved, table: &'static str, why: &str) -> Step<()> {
    for (worker, home) in moved.take(table) {
        if rows::exists(context.conn, MINE, table, home)? {
            context.conn.execute(
                "INSERT OR REPLACE INTO temp.follow(target, old, new) VALUES (?1, ?2, ?3)",
                (table, home, worker),
            )?;
            context.report.decided.push(Decided {
                table: table.into(),
                id: home,
                about: format!("id: {why}"),
                taken: format!("the worker's id {worker}"),
            });
        } else {
            return Err(crate::Error::Refused {
                what: format!(
                    "ids of {table} were given on both sides to different things, and cannot be changed ({why})"
                ),
                items: vec![worker.to_string()],
                hint: "begin the burst again: its snapshot has to keep ids apart before Plex starts on the worker"
                    .into(),
            }
            .into());
        }
    }
    Ok(())
}

/// Carries additions and changes.
pub(super) fn carry(context: &mut Context<'_>, writer: &mut Writer, changes: &AllChanges) -> Step<()> {
    for name in ORDER {
        let (Some(table), Some(changes)) = (context.table(name), changes.get(name)) else {
            continue;
        };
        rows_of(context, writer, &table, changes)?;
    }
    for (name, key) in LINKS {
        let (Some(table), Some(changes)) = (context.table(name), changes.get(name)) else {
            continue;
        };
        for &id in &changes.added {
            link(context, &table, key, id)?;
        }
        let only_changed = Changes {
            changed: changes.changed.clone(),
            ..Changes::default()
        };
        rows_of(context, writer, &table, &only_changed)?;
        for &id in &changes.removed {
            if rows::delete(context.conn, MAIN, name, id)? {
                context.report.carried(name).deleted += 1;
            }
        }
    }
    Ok(())
}

fn rows_of(context: &mut Context<'_>, writer: &mut Writer, table: &Table, changes: &Changes) -> Step<()> {
    let mut new = Vec::new();
    for &id in &changes.added {
        if !rows::exists(context.conn, MAIN, &table.name, id)? {
            new.push(id);
        }
    }
    let unsearchable = writer.unsearchable(context.conn, &table.name, &new)?;
    for &id in &changes.added {
        let Some(mut mine) = rows::get(context.conn, MINE, table, id)? else {
            continue;
        };
        if followed(context, &table.name, id)?.is_some() {
            continue;
        }
        if !localise(context, table, &mut mine)? {
            set_aside(context, table, id)?;
            if context.mode.is_back() {
                back::list(context, table, id, &mine)?;
            }
            continue;
        }
        match rows::get(context.conn, MAIN, table, id)? {
            Some(theirs) => {
                if policy::is_another_match(table, &mine, &theirs) {
                    context.matched_anew.insert(id);
                }
                let mut merged = policy::adopt(table, &mine, &theirs);
                keep_words(context, writer, table, id, &mine, &theirs, &mut merged)?;
                write(context, writer, table, id, &theirs, merged)?;
            }
            None => {
                let obstacle = match unsearchable.contains(&id) {
                    true => Some("home's search index does not hold its words".to_owned()),
                    false => writer.obstacle(context.conn, &table.name)?,
                };
                match obstacle {
                    Some(why) => keep_aside(context, table, id, &mine, why)?,
                    None => insert(context, writer, table, mine)?,
                }
            }
        }
    }
    for &id in &changes.changed {
        changed(context, writer, table, id)?;
    }
    Ok(())
}

fn changed(context: &mut Context<'_>, writer: &mut Writer, table: &Table, id: i64) -> Step<()> {
    let (Some(base), Some(mut mine)) = (
        rows::get(context.conn, BASE, table, id)?,
        rows::get(context.conn, MINE, table, id)?,
    ) else {
        return Ok(());
    };
    if context.mode.is_back()
        && !rows::exists(context.conn, MAIN, &table.name, id)?
        && followed(context, &table.name, id)?.is_none()
    {
        if is_edited(table, &base, &mine) {
            back::list(context, table, id, &mine)?;
        }
        return Ok(());
    }
    if !localise(context, table, &mut mine)? {
        return Ok(());
    }
    let Some(theirs) = rows::get(context.conn, MAIN, table, id)? else {
        // The worker threw it away. An edit brings it back; what a scan wrote does not.
        if table.name == "metadata_items" && is_edited(table, &base, &mine) {
            edited(context, writer, table, id, base, mine)?;
        }
        return Ok(());
    };
    let (mut merged, both) = policy::merge(table, &base, &mine, &theirs);
    keep_words(context, writer, table, id, &mine, &theirs, &mut merged)?;
    if !both.is_empty() {
        context.report.decided.push(Decided {
            table: table.name.clone(),
            id,
            about: both.join(", "),
            taken: "home's edits, the worker's findings".into(),
        });
    }
    write(context, writer, table, id, &theirs, merged)
}

/// An item that home edited and the worker threw away.
fn edited(
    context: &mut Context<'_>,
    writer: &mut Writer,
    table: &Table,
    id: i64,
    mut base: Row,
    mut mine: Row,
) -> Step<()> {
    if let Some(instead) = followed(context, &table.name, id)? {
        // It has the same file under a number that could not be changed: the edit is about that one.
        let Some(theirs) = rows::get(context.conn, MAIN, table, instead)? else {
            return Ok(());
        };
        for row in [&mut base, &mut mine] {
            rows::set(table, row, "id", instead);
        }
        let (mut merged, _) = policy::merge(table, &base, &mine, &theirs);
        keep_words(context, writer, table, instead, &mine, &theirs, &mut merged)?;
        return write(context, writer, table, instead, &theirs, merged);
    }
    match writer.obstacle(context.conn, &table.name)? {
        None => insert(context, writer, table, mine),
        Some(why) => match missing::heir(context, id)? {
            Some(heir) => missing::follow(context, id, heir),
            None => keep_aside(context, table, id, &mine, why),
        },
    }
}

/// Whether a person did something to the item, as against a scan of home's own.
fn is_edited(table: &Table, base: &Row, mine: &Row) -> bool {
    let kind = int(table, mine, "metadata_type");
    matches!(kind, Some(15 | 18 | 42))
        || table
            .columns
            .iter()
            .enumerate()
            .any(|(n, column)| base[n] != mine[n] && (column == "user_fields" || policy::is_editable(column)))
}

/// Leaves title and sort title as the worker has them where they cannot be written, and says so.
fn keep_words(
    context: &mut Context<'_>,
    writer: &mut Writer,
    table: &Table,
    id: i64,
    mine: &Row,
    theirs: &Row,
    merged: &mut Row,
) -> Step<()> {
    if !writer.words_differ(table, theirs, merged) {
        return Ok(());
    }
    let broken = !writer.unsearchable(context.conn, &table.name, &[id])?.is_empty();
    let obstacle = match broken {
        true => Some("home's search index does not hold its words".to_owned()),
        false => writer.obstacle(context.conn, &table.name)?,
    };
    let Some(why) = obstacle else { return Ok(()) };
    for column in ["title", "title_sort", "original_title", "tag"] {
        if let Some(n) = table.at(column) {
            merged[n] = theirs[n].clone();
        }
    }
    super::wishes::name(context, table, id, mine);
    context.report.kept_aside.push(KeptAside {
        table: table.name.clone(),
        id,
        what: format!("the new name of {}", describe(table, mine)),
        why,
        remedy: "the edit is made through Plex after the start".into(),
        row: as_json(table, mine),
    });
    Ok(())
}

fn write(
    context: &mut Context<'_>,
    writer: &mut Writer,
    table: &Table,
    id: i64,
    theirs: &Row,
    mut merged: Row,
) -> Step<()> {
    if merged == *theirs {
        return Ok(());
    }
    if let (Some(from), Some(to)) = (text(table, theirs, "hash"), text(table, &merged, "hash"))
        && table.name == "metadata_items"
        && from != to
    {
        context.report.bundles.push(super::report::BundleMove {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }
    context.count_up(table, &mut merged);
    if writer.update(context.conn, table, id, theirs, &merged)? {
        context.report.carried(&table.name).updated += 1;
    }
    Ok(())
}

pub(super) fn insert(context: &mut Context<'_>, writer: &mut Writer, table: &Table, mut row: Row) -> Step<()> {
    context.count_up(table, &mut row);
    writer.insert(context.conn, table, &row)?;
    context.report.carried(&table.name).inserted += 1;
    Ok(())
}

/// What the result has instead of home's row.
pub(super) fn followed(context: &Context<'_>, target: &str, id: i64) -> Step<Option<i64>> {
    use rusqlite::OptionalExtension as _;
    Ok(context
        .conn
        .prepare_cached("SELECT new FROM temp.follow WHERE target = ?1 AND old = ?2")?
        .query_row((target, id), |row| row.get(0))
        .optional()?)
}

/// Makes a row of home's refer to what the result has; false if what it refers to had to be kept aside.
pub(super) fn localise(context: &Context<'_>, table: &Table, row: &mut Row) -> Step<bool> {
    for reference in REFERENCES.iter().filter(|reference| reference.table == table.name) {
        let Some(n) = table.at(reference.column) else { continue };
        let Value::Integer(id) = row[n] else { continue };
        if let Some((by, word)) = reference.only
            && text(table, row, by) != Some(word)
        {
            continue;
        }
        let aside = context
            .conn
            .prepare_cached("SELECT 1 FROM temp.aside WHERE target = ?1 AND id = ?2")?
            .exists((reference.target, id))?;
        if aside {
            return Ok(false);
        }
        if let Some(instead) = followed(context, reference.target, id)? {
            row[n] = instead.into();
        }
    }
    Ok(true)
}

pub(super) fn set_aside(context: &Context<'_>, table: &Table, id: i64) -> Step<()> {
    context
        .conn
        .prepare_cached("INSERT OR IGNORE INTO temp.aside(target, id) VALUES (?1, ?2)")?
        .execute((&table.name, id))?;
    Ok(())
}

pub(super) fn keep_aside(context: &mut Context<'_>, table: &Table, id: i64, row: &Row, why: String) -> Step<()> {
    set_aside(context, table, id)?;
    let households = matches!(int(table, row, "metadata_type"), Some(15 | 18 | 42)) || table.name == "tags";
    context.report.kept_aside.push(KeptAside {
        table: table.name.clone(),
        id,
        what: describe(table, row),
        why,
        remedy: if households {
            "it is made through Plex after the start".into()
        } else {
            "home finds the file again on its next scan".into()
        },
        row: as_json(table, row),
    });
    Ok(())
}

/// An item in a person's words.
pub(super) fn describe(table: &Table, row: &Row) -> String {
    let kind = match int(table, row, "metadata_type") {
        Some(1) => "film",
        Some(2) => "show",
        Some(3) => "season",
        Some(4) => "episode",
        Some(8) => "artist",
        Some(9) => "album",
        Some(10) => "track",
        Some(12) => "extra",
        Some(13) => "photo",
        Some(14) => "photo album",
        Some(15) => "playlist",
        Some(18) => "collection",
        _ if table.name == "tags" => "tag",
        _ => "item",
    };
    let name = text(table, row, "title")
        .or_else(|| text(table, row, "tag"))
        .unwrap_or("without a name");
    format!("{kind} \"{name}\"")
}

/// A row that ties two things together: one of the worker's that ties the same ones becomes home's.
fn link(context: &mut Context<'_>, table: &Table, key: &[&str], id: i64) -> Step<()> {
    let Some(mut mine) = rows::get(context.conn, MINE, table, id)? else {
        return Ok(());
    };
    if !localise(context, table, &mut mine)? {
        return Ok(());
    }
    // The worker may have merged what it ties into another item, or both ends into one.
    for reference in REFERENCES.iter().filter(|reference| reference.table == table.name) {
        if reference.target == "metadata_items"
            && reference
                .only
                .is_none_or(|(by, word)| text(table, &mine, by) == Some(word))
            && let Some(goal) = int(table, &mine, reference.column)
            && let Some(heir) = missing::heir_if_gone(context, goal)?
        {
            rows::set(table, &mut mine, reference.column, heir);
        }
    }
    let ties = ["metadata_item_id", "related_metadata_item_id"].map(|column| value(table, &mine, column));
    if ties[0] != Value::Null && ties[0] == ties[1] {
        return Ok(());
    }
    let is_same = |theirs: &Row| {
        key.iter()
            .all(|column| value(table, theirs, column) == value(table, &mine, column))
    };
    if let Some(theirs) = rows::get(context.conn, MAIN, table, id)? {
        if is_same(&theirs) {
            return Ok(());
        }
        context.renumber(super::session::LIBRARY, &table.name, id)?;
    }
    let terms: Vec<String> = key
        .iter()
        .zip(1..)
        .map(|(column, n)| format!("{} IS ?{n}", quote(column)))
        .collect();
    let values: Vec<Value> = key.iter().map(|column| value(table, &mine, column)).collect();
    let found: Vec<i64> = context
        .conn
        .prepare_cached(&format!(
            "SELECT id FROM {MAIN}.{} WHERE {}",
            quote(&table.name),
            terms.join(" AND ")
        ))?
        .query_map(rusqlite::params_from_iter(values), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for other in found {
        if !rows::exists(context.conn, MINE, &table.name, other)? {
            rows::delete(context.conn, MAIN, &table.name, other)?;
            context.count_renumbered(&table.name);
            if table.name == "metadata_item_clusters" {
                context.conn.execute(
                    &format!("UPDATE {MAIN}.metadata_item_clusterings SET metadata_item_cluster_id = ?2 WHERE metadata_item_cluster_id = ?1"),
                    [other, id],
                )?;
            }
            break;
        }
        // Home has the same tie by that id as well: once is enough where the table says so.
        if matches!(table.name.as_str(), "locatables" | "location_places") {
            return Ok(());
        }
    }
    rows::insert(context.conn, MAIN, table, &mine)?;
    context.report.carried(&table.name).inserted += 1;
    Ok(())
}
