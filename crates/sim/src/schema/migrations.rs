//! The rows of schema_migrations: as many, and of the same forms, as on a real server, but not its values (those that
//! matter to a reader of the table are there).
//!
//! Forms (facts/plex.md §1.1): 14 digits up to 2020, 12 digits since, sub-steps `.011`, `.021` …; and in the midst the rows
//! `500000000000…` by which `max(version)` says nothing.

use rusqlite::Connection;

use super::Version;

/// The newest version of the server that the schema was read off.
const NEWEST_2026: &str = "202510021115";
/// The same of the server of 2020.
const NEWEST_2020: &str = "20200224131300";
/// Months from the first migration, September 2009, to the last with 14 digits.
const LONG_MONTHS: u32 = 136;
/// Months with migrations of 12 digits, from January 2021.
const SHORT_MONTHS: u32 = 57;
/// Sub-steps that most of them have, and the one big clean-up.
const SUB_STEPS: u32 = 3;
const CLEAN_UP_MONTH: u32 = 20;
const CLEAN_UP_STEPS: u32 = 52;

struct Migration {
    version: String,
    rollback: Option<&'static str>,
}

/// Fills the table.
pub(super) fn fill(connection: &Connection, version: Version) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare("INSERT INTO schema_migrations (version, rollback_sql, optimize_on_rollback) VALUES (?1, ?2, ?3)")?;
    for migration in all(version) {
        let optimize = migration.rollback.map(|_| 0);
        insert.execute(rusqlite::params![
            migration.version,
            migration.rollback.unwrap_or(""),
            optimize
        ])?;
    }
    Ok(())
}

fn all(version: Version) -> Vec<Migration> {
    let mut rows: Vec<Migration> = (0..LONG_MONTHS).map(long).collect();
    match version {
        Version::Plex2020 => {
            rows.retain(|row| row.version.as_str() < NEWEST_2020);
            rows.push(Migration {
                version: NEWEST_2020.to_owned(),
                rollback: Some("select 1"),
            });
        }
        Version::Plex2026 => {
            rows.extend(special());
            rows.extend((0..SHORT_MONTHS).flat_map(short));
            rows.push(Migration {
                version: NEWEST_2026.to_owned(),
                rollback: None,
            });
        }
    }
    rows
}

fn long(month: u32) -> Migration {
    let (year, in_year) = (2009 + (8 + month) / 12, (8 + month) % 12 + 1);
    let (day, hour, minute, second) = (1 + month * 7 % 28, month * 5 % 24, month * 13 % 60, month * 29 % 60);
    let version = format!("{year}{in_year:02}{day:02}{hour:02}{minute:02}{second:02}");
    Migration {
        version,
        rollback: (month % 3 == 2).then_some("select 1"),
    }
}

fn special() -> Vec<Migration> {
    let row = |version: String| Migration {
        version,
        rollback: Some("select 1"),
    };
    let mut rows = vec![row("500000000000".to_owned())];
    rows.extend((1..=2).map(|step| row(format!("500000000000.{step:02}1"))));
    rows.push(row("500000000001".to_owned()));
    rows.extend((1..=23).map(|step| row(format!("500000000001.{step:02}1"))));
    rows
}

fn short(month: u32) -> Vec<Migration> {
    let (year, in_year) = (2021 + month / 12, month % 12 + 1);
    let version = format!(
        "{year}{in_year:02}{:02}{:02}{:02}",
        1 + month * 11 % 28,
        month * 7 % 24,
        month * 17 % 60
    );
    let steps = if month == CLEAN_UP_MONTH {
        CLEAN_UP_STEPS
    } else {
        SUB_STEPS
    };
    let sub_steps: Vec<Migration> = (1..=steps)
        .map(|step| Migration {
            version: format!("{version}.{step:02}1"),
            rollback: Some("select 1"),
        })
        .collect();
    std::iter::once(Migration {
        version,
        rollback: Some("select 1"),
    })
    .chain(sub_steps)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_on_a_real_server_and_each_once() {
        let versions: Vec<String> = all(Version::Plex2026).into_iter().map(|row| row.version).collect();
        let distinct: std::collections::BTreeSet<&String> = versions.iter().collect();
        assert_eq!((versions.len(), distinct.len()), (441, 441));
        assert_eq!(distinct.last().unwrap().as_str(), "500000000001.231");
        assert_eq!(versions.last().unwrap(), NEWEST_2026);
    }
}
