//! Which search indices a table feeds, and how they are laid out.

use rusqlite::Connection;

use super::super::fail::Step;
use super::super::schema::quote;

/// A search index that triggers of a table keep up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::merge) struct Index {
    /// Name of the virtual table.
    pub(in crate::merge) name: String,
    /// Its columns, which are columns of the table as well.
    pub(in crate::merge) columns: Vec<String>,
    /// Whether it keeps the text itself (`_content`), as servers since about 1.43 have it, or reads it from the table.
    pub(in crate::merge) keeps_text: bool,
}

impl Index {
    /// The indices that the triggers of `table` feed, in the database attached as `side`; in words why not, if any of
    /// them is laid out in a way that is not understood.
    pub(in crate::merge) fn all(
        conn: &Connection,
        side: &str,
        table: &str,
        columns: &[String],
    ) -> Step<Result<Vec<Self>, String>> {
        let triggers: Vec<(String, String)> = conn
            .prepare(&format!(
                "SELECT name, coalesce(sql, '') FROM {side}.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1"
            ))?
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let virtuals: Vec<(String, String)> = conn
            .prepare(&format!(
                "SELECT name, sql FROM {side}.sqlite_schema WHERE type = 'table' AND rootpage = 0"
            ))?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut found: Vec<Self> = Vec::new();
        for (trigger, body) in &triggers {
            let words: Vec<&str> = body.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            let fed: Vec<&(String, String)> = virtuals
                .iter()
                .filter(|(name, _)| words.contains(&name.as_str()))
                .collect();
            if fed.is_empty() {
                return Ok(Err(format!("the trigger {trigger} does something that is not known")));
            }
            for (name, sql) in fed {
                if found.iter().any(|index| index.name == *name) {
                    continue;
                }
                match Self::parse(name, sql, table, columns) {
                    Ok(index) => found.push(index),
                    Err(why) => return Ok(Err(why)),
                }
            }
        }
        for index in &found {
            // Levels from 1024 on belong to indices of prefixes or of other languages, which Plex does not have.
            let strange: bool = conn.query_row(
                &format!(
                    "SELECT EXISTS (SELECT 1 FROM {side}.{} WHERE level < 0 OR level >= 1024)",
                    quote(&format!("{}_segdir", index.name))
                ),
                [],
                |row| row.get(0),
            )?;
            if strange {
                return Ok(Err(format!(
                    "the search index {} has more than one list of terms",
                    index.name
                )));
            }
        }
        Ok(Ok(found))
    }

    fn parse(name: &str, sql: &str, table: &str, known: &[String]) -> Result<Self, String> {
        let unknown = |what: &str| format!("the search index {name} is laid out in a way that is not known: {what}");
        let lower = sql.to_lowercase();
        let start = lower
            .find("fts4(")
            .map(|at| at + "fts4(".len())
            .ok_or_else(|| unknown("not FTS4"))?;
        let end = sql
            .rfind(')')
            .filter(|end| *end >= start)
            .ok_or_else(|| unknown("no end"))?;
        let mut index = Self {
            name: name.to_owned(),
            columns: Vec::new(),
            keeps_text: true,
        };
        for argument in split(&sql[start..end]) {
            let argument = argument.trim();
            match argument.split_once('=') {
                Some((option, value)) => match option.trim().to_lowercase().as_str() {
                    "tokenize" => {}
                    "content" if value.trim().trim_matches(['\'', '"']) == table => index.keeps_text = false,
                    _ => return Err(unknown(argument)),
                },
                None => {
                    let column = argument.trim_matches(['\'', '"', '`', '[', ']']).to_owned();
                    if !known.contains(&column) {
                        return Err(unknown(&column));
                    }
                    index.columns.push(column);
                }
            }
        }
        if index.columns.is_empty() {
            return Err(unknown("no columns"));
        }
        Ok(index)
    }

    /// The name of one of its own tables, quoted, in the database attached as `side`.
    pub(super) fn shadow(&self, side: &str, part: &str) -> String {
        format!("{side}.{}", quote(&format!("{}_{part}", self.name)))
    }
}

/// Splits at commas that are not inside quotes or brackets.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut from) = (0u32, None, 0);
    let mut parts = Vec::new();
    for (at, c) in arguments.char_indices() {
        match (quoted, c) {
            (Some(quote), c) if c == quote => quoted = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quoted = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&arguments[from..at]);
                from = at + 1;
            }
            (None, _) => {}
        }
    }
    parts.push(&arguments[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<String> {
        ["id", "title", "title_sort", "original_title"]
            .map(String::from)
            .to_vec()
    }

    fn parse(sql: &str) -> Result<Index, String> {
        Index::parse("x", sql, "metadata_items", &columns())
    }

    #[test]
    fn both_layouts_of_plex_are_understood() {
        let outside = parse("CREATE VIRTUAL TABLE x USING fts4(content='metadata_items', title, title_sort, original_title, tokenize=collating 'root@colStrength=primary;colAlternate=shifted')").expect("known");
        assert!(!outside.keeps_text);
        assert_eq!(outside.columns, ["title", "title_sort", "original_title"]);
        let inside =
            parse("CREATE VIRTUAL TABLE x USING fts4(title, title_sort, original_title, tokenize=collating 'a,b')")
                .expect("known");
        assert!(inside.keeps_text);
    }

    #[test]
    fn other_layouts_are_not_guessed() {
        for sql in [
            "CREATE VIRTUAL TABLE x USING fts4(title, prefix='2,3')",
            "CREATE VIRTUAL TABLE x USING fts5(title)",
            "CREATE VIRTUAL TABLE x USING fts4(content='other', title)",
            "CREATE VIRTUAL TABLE x USING fts4(show_title)",
            "CREATE VIRTUAL TABLE x USING fts4(title, order=desc)",
        ] {
            assert!(parse(sql).is_err(), "{sql}");
        }
    }
}
