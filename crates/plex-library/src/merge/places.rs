//! `locations`: where photos were taken, an R-tree with ids of its own that are kept apart by nobody. A place is known by its
//! coordinates.

use super::values::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::context::Context;
use super::fail::Step;
use super::schema::quote;
use super::session::{BASE, MAIN, MINE};

const NAME: &str = "locations";

/// Carries places that home added. Has to run before what refers to them.
pub(super) fn carry(context: &mut Context<'_>) -> Step<()> {
    let conn = context.conn;
    let shadow = format!("{NAME}_rowid");
    if context.is_narrow() && context.touched().and_then(|touched| touched.rows(&shadow)).is_none() {
        return Ok(());
    }
    let columns = columns(conn)?;
    if columns.len() < 3 {
        return Ok(());
    }
    let added: Vec<i64> = conn
        .prepare(&format!(
            "SELECT rowid FROM {MINE}.{NAME}_rowid m
             WHERE NOT EXISTS (SELECT 1 FROM {BASE}.{NAME}_rowid b WHERE b.rowid = m.rowid) ORDER BY rowid"
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in added {
        let Some(mine) = place(conn, MINE, &columns, id)? else {
            continue;
        };
        match place(conn, MAIN, &columns, id)? {
            Some(theirs) if theirs == mine => continue,
            None => {
                if let Some(other) = same_place(conn, &columns, &mine)? {
                    follow(context, id, other)?;
                } else {
                    write(context, &columns, id, &mine)?;
                }
            }
            Some(_) => {
                let instead = match same_place(conn, &columns, &mine)? {
                    Some(other) => other,
                    None => {
                        let fresh: i64 = conn.query_row(
                            &format!(
                                "SELECT 1 + max((SELECT coalesce(max(rowid), 0) FROM {MAIN}.{NAME}_rowid),
                                                (SELECT coalesce(max(rowid), 0) FROM {MINE}.{NAME}_rowid))"
                            ),
                            [],
                            |row| row.get(0),
                        )?;
                        write(context, &columns, fresh, &mine)?;
                        fresh
                    }
                };
                follow(context, id, instead)?;
            }
        }
    }
    Ok(())
}

fn columns(conn: &Connection) -> Step<Vec<String>> {
    Ok(conn
        .prepare("SELECT name FROM pragma_table_info(?1, ?2)")?
        .query_map([NAME, MAIN], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// The coordinates of a place.
fn place(conn: &Connection, side: &str, columns: &[String], id: i64) -> Step<Option<Vec<Value>>> {
    let list: Vec<String> = columns[1..].iter().map(|column| quote(column)).collect();
    Ok(conn
        .prepare_cached(&format!(
            "SELECT {} FROM {side}.{NAME} WHERE {} = ?1",
            list.join(","),
            quote(&columns[0])
        ))?
        .query_row([id], |row| (0..list.len()).map(|n| row.get(n)).collect())
        .optional()?)
}

fn same_place(conn: &Connection, columns: &[String], place: &[Value]) -> Step<Option<i64>> {
    let terms: Vec<String> = columns[1..]
        .iter()
        .zip(1..)
        .map(|(column, n)| format!("{} = ?{n}", quote(column)))
        .collect();
    Ok(conn
        .prepare_cached(&format!(
            "SELECT {} FROM {MAIN}.{NAME} WHERE {} LIMIT 1",
            quote(&columns[0]),
            terms.join(" AND ")
        ))?
        .query_row(params_from_iter(place), |row| row.get(0))
        .optional()?)
}

fn write(context: &mut Context<'_>, columns: &[String], id: i64, place: &[Value]) -> Step<()> {
    let marks: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    let mut values = vec![Value::Integer(id)];
    values.extend_from_slice(place);
    context
        .conn
        .prepare_cached(&format!("INSERT INTO {MAIN}.{NAME} VALUES ({})", marks.join(",")))?
        .execute(params_from_iter(values))?;
    context.report.carried(NAME).inserted += 1;
    Ok(())
}

fn follow(context: &Context<'_>, from: i64, to: i64) -> Step<()> {
    context.conn.execute(
        "INSERT OR REPLACE INTO temp.follow(target, old, new) VALUES (?1, ?2, ?3)",
        (NAME, from, to),
    )?;
    Ok(())
}
