//! A table for a terminal: columns as wide as their widest cell, numbers to the right.

use std::fmt;

/// Rows of text under a header.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|s| (*s).to_owned()).collect()],
        }
    }

    /// Adds a row; it should have as many cells as the header.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        // A column is one of numbers when nothing else stands under its title.
        let is_number = |column: usize| {
            self.rows[1..]
                .iter()
                .filter_map(|row| row.get(column))
                .all(|cell| cell.chars().all(|c| c.is_ascii_digit() || "+-.,".contains(c)))
        };
        let shape: Vec<(usize, bool)> = (0..columns).map(|c| (width(c), is_number(c))).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, (width, right)) in row.iter().zip(&shape) {
                let pad = " ".repeat(width - cell.chars().count());
                if *right {
                    line.push_str(&pad);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&pad);
                }
                line.push_str("  ");
            }
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                let rule = shape.iter().map(|(w, _)| w + 2).sum::<usize>().saturating_sub(2);
                writeln!(f, "{}", "─".repeat(rule))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_text_left() {
        let mut t = Table::new(&["section", "tracks"]);
        t.row(["Music".into(), "7".into()]);
        t.row(["Été".into(), "1200".into()]);
        assert_eq!(
            t.to_string(),
            "section  tracks\n───────────────\nMusic         7\nÉté        1200\n"
        );
    }
}
