//! `Plex SQLite`: SQLite's shell with the collations and the tokenizer of the server (facts/plex.md §1.4).
//!
//! It reads statements from stdin, line by line, and answers each before it reads the next, as SQLite's own shell does. As
//! strict as that: an option that it does not know ends it, what goes wrong is said on stderr, the statements after it are
//! run all the same, and it ends with 1 then. It knows the few dot commands that say how rows are printed.

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::store;

/// Runs it with the arguments of the process, the program's name first.
pub(crate) fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let ran = Asked::read(arguments.skip(1)).and_then(|asked| {
        let connection = asked.open().map_err(|error| error.to_string())?;
        run(&connection, io::stdin().lock(), io::stdout().lock(), io::stderr()).map_err(|error| error.to_string())
    });
    match ran {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line says.
struct Asked {
    database: PathBuf,
    is_readonly: bool,
}

impl Asked {
    fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let (mut database, mut is_readonly) = (None, false);
        for argument in arguments {
            match argument.to_str() {
                Some("-readonly" | "--readonly") => is_readonly = true,
                Some("-batch" | "--batch") => {}
                Some(option) if option.starts_with('-') => return Err(format!("unknown option: {option}")),
                _ if database.is_none() => database = Some(PathBuf::from(argument)),
                _ => return Err("more than one database".to_owned()),
            }
        }
        Ok(Self {
            database: database.unwrap_or_else(|| PathBuf::from(":memory:")),
            is_readonly,
        })
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = if self.database == Path::new(":memory:") {
            Connection::open_in_memory()?
        } else {
            let access = match self.is_readonly {
                true => OpenFlags::SQLITE_OPEN_READ_ONLY,
                false => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            };
            Connection::open_with_flags(&self.database, access)?
        };
        store::register(&connection)?;
        connection.pragma_update(None, "foreign_keys", false)?;
        Ok(connection)
    }
}

/// Runs what `input` says, and gives the number of failures.
fn run(
    connection: &Connection,
    input: impl BufRead,
    mut output: impl Write,
    mut complaints: impl Write,
) -> io::Result<usize> {
    let (mut text, mut failures) = (String::new(), 0);
    for (number, line) in input.lines().enumerate() {
        let line = line?;
        let said = if text.is_empty() && line.starts_with('.') {
            command(&line)
        } else {
            text.push_str(&line);
            text.push('\n');
            if !is_complete(&text) {
                continue;
            }
            let statement = std::mem::take(&mut text);
            statements(connection, &statement, &mut output)?
                .map_err(|error| format!("near line {}: {error}", number + 1))
        };
        if let Err(error) = said {
            failures += 1;
            writeln!(complaints, "Error: {error}")?;
        }
        output.flush()?;
    }
    if !text.trim().is_empty() {
        failures += 1;
        writeln!(complaints, "Error: incomplete input")?;
    }
    Ok(failures)
}

/// Whether the statements end here: a semicolon, and not within a text.
fn is_complete(text: &str) -> bool {
    let text = text.trim_end();
    text.is_empty() || text.ends_with(';') && text.matches('\'').count().is_multiple_of(2)
}

fn command(line: &str) -> Result<(), String> {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [".mode", "list"] | [".headers" | ".echo", "off"] | [".timeout", _] => Ok(()),
        _ => Err(format!("unknown command or invalid arguments: \"{line}\"")),
    }
}

/// Runs all of them up to the first that fails; rows go out in list mode.
fn statements(connection: &Connection, text: &str, output: &mut impl Write) -> io::Result<Result<(), rusqlite::Error>> {
    let mut batch = rusqlite::Batch::new(connection, text);
    loop {
        let mut statement = match batch.next() {
            Ok(Some(statement)) => statement,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        let width = statement.column_count();
        let mut rows = match statement.query(()) {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            for column in 0..width {
                if column > 0 {
                    output.write_all(b"|")?;
                }
                match row.get_ref(column) {
                    Ok(ValueRef::Null) => {}
                    Ok(ValueRef::Integer(n)) => write!(output, "{n}")?,
                    Ok(ValueRef::Real(n)) => write!(output, "{n}")?,
                    Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => output.write_all(bytes)?,
                    Err(error) => return Ok(Err(error)),
                }
            }
            output.write_all(b"\n")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(input: &str) -> (String, String, usize) {
        let connection = Asked::read(std::iter::empty()).unwrap().open().unwrap();
        let (mut output, mut complaints) = (Vec::new(), Vec::new());
        let failures = run(&connection, input.as_bytes(), &mut output, &mut complaints).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output), text(complaints), failures)
    }

    #[test]
    fn it_goes_on_after_a_failure_and_has_the_collations() {
        let (output, complaints, failures) = said(
            ".mode list\n.bogus\nSELECT 'a;\n' || 1,\n  NULL;\nSELECT nonsense;\nSELECT '9' < '10' COLLATE icu_root; SELECT 2;\n",
        );
        assert_eq!(output, "a;\n1|\n1\n2\n");
        assert_eq!(failures, 2, "{complaints}");
        assert!(
            complaints.contains("bogus") && complaints.contains("nonsense"),
            "{complaints}"
        );
        assert_eq!(said("SELECT 1").2, 1, "a statement without an end");
    }

    #[test]
    fn options_that_it_does_not_know_end_it() {
        let read = |arguments: &[&str]| Asked::read(arguments.iter().map(OsString::from));
        assert!(read(&["-nonsense"]).is_err());
        assert!(read(&["a.db", "b.db"]).is_err());
        assert!(read(&["-readonly", "a.db"]).is_ok_and(|asked| asked.is_readonly));
    }
}
