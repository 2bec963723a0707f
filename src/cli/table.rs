//! Text in columns for a terminal.
//!
//! A table is never wider than [`WIDTH_MAX`]: columns of free text give way first, the widest before the others, and what
//! is cut has a `…` in it. Text from routers is escaped, so that none of it can move the cursor.

use std::time::Duration;

use crate::model::text::printable;

/// Characters of a line.
pub const WIDTH_MAX: usize = 100;

/// Free text is not cut below this before words are, characters.
const TEXT_MIN: usize = 10;

/// Nothing is cut below this, characters.
const WORD_MIN: usize = 4;

/// What stands between two columns.
const GAP: &str = "  ";

/// What a column holds, and so how it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Names that routers chose, AS paths: to the left, cut where space is short.
    Text,
    /// Addresses, prefixes, ages: to the left. Half of one means something else, so they are cut as a last resort.
    Word,
    /// To the right, cut as a last resort.
    Number,
}

/// Rows under a header.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Column)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[(&'static str, Column)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| printable(&cell).into_owned()).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Header and rows, a line each.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let header: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_string()).collect();
        std::iter::once(&header).chain(&self.rows).map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, (_, column)), width) in row.iter().zip(&self.columns).zip(widths) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let cell = cut(cell, *width);
            match column {
                Column::Text | Column::Word => line.push_str(&format!("{cell:<width$}")),
                Column::Number => line.push_str(&format!("{cell:>width$}")),
            }
        }
        format!("{}\n", line.trim_end())
    }

    /// As wide as the contents; where that is too much, one character less for the widest column until it fits.
    fn widths(&self) -> Vec<usize> {
        let cells = |i: usize| self.rows.iter().map(move |row| length(&row[i]));
        let mut widths: Vec<usize> = (self.columns.iter().enumerate())
            .map(|(i, (name, _))| cells(i).max().unwrap_or(0).max(length(name)))
            .collect();
        let room = WIDTH_MAX.saturating_sub(GAP.len() * widths.len().saturating_sub(1));
        self.shrink(&mut widths, room, &[Column::Text], TEXT_MIN);
        self.shrink(&mut widths, room, &[Column::Text, Column::Word, Column::Number], WORD_MIN);
        widths
    }

    fn shrink(&self, widths: &mut [usize], room: usize, kinds: &[Column], min: usize) {
        while widths.iter().sum::<usize>() > room {
            let candidates = widths.iter_mut().zip(&self.columns).filter(|(_, (_, kind))| kinds.contains(kind));
            match candidates.map(|(width, _)| width).max() {
                Some(widest) if *widest > min => *widest -= 1,
                Some(_) | None => return,
            }
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Leaves out the middle: of names in a row, the ends tell them apart.
fn cut(text: &str, width: usize) -> String {
    let all = length(text);
    if all <= width {
        return text.to_string();
    }
    let kept = width.saturating_sub(1);
    let tail = kept / 3;
    text.chars().take(kept - tail).chain(['…']).chain(text.chars().skip(all - tail)).collect()
}

/// How long ago, in one unit: `12 s`, `3 min`, `5 h`, `20 d`.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A number of bytes in one unit: `512 B`, `3.4 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    // Tenths in whole numbers: no rounding surprises, no conversion to floating point.
    let mut tenths = u128::from(count) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_ends_are_trimmed() {
        let mut table = Table::new(&[("router", Column::Word), ("routes", Column::Number), ("note", Column::Text)]);
        table.push(["10.0.0.1".to_string(), "941223".to_string()]);
        table.push(["r2".to_string(), "7".to_string(), "x".to_string()]);
        assert_eq!(table.render(), "router    routes  note\n10.0.0.1  941223\nr2             7  x\n");
    }

    #[test]
    fn no_line_is_wider_than_100_columns_and_text_gives_way_first() {
        let mut table = Table::new(&[("a", Column::Text), ("b", Column::Word), ("c", Column::Number)]);
        table.push(["ü".repeat(90), "b".repeat(60), "123".to_string()]);
        let text = table.render();
        assert_eq!(text.lines().map(length).max(), Some(WIDTH_MAX), "{text}");
        assert!(text.contains(&format!("ü…{}  {}  123", "ü".repeat(10), "b".repeat(60))), "{text}");

        table.push(["ü".to_string(), "b".repeat(200), "12345".to_string()]);
        let text = table.render();
        assert_eq!(text.lines().map(length).max(), Some(WIDTH_MAX), "{text}");
        assert!(text.contains("b…b") && text.contains("b  12345"), "{text}");
    }

    #[test]
    fn hostile_text_stays_in_its_cell() {
        let mut table = Table::new(&[("hostname", Column::Text)]);
        table.push(["a\nb\u{1b}[31m".to_string()]);
        assert_eq!(table.render(), "hostname\na\\nb\\u{1b}[31m\n");
    }

    #[test]
    fn units() {
        let check = |seconds, text| assert_eq!(age(Duration::from_secs(seconds)), text);
        check(0, "0 s");
        check(119, "119 s");
        check(120, "2 min");
        check(7_200, "2 h");
        check(172_800, "2 d");
        assert_eq!(
            [bytes(1023), bytes(1024), bytes(1536), bytes(10 << 20)],
            ["1023 B", "1.0 KiB", "1.5 KiB", "10.0 MiB"]
        );
        assert_eq!(bytes(u64::MAX), "16777215.9 TiB");
    }
}
