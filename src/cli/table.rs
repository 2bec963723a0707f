//! Text in columns.
//!
//! On a terminal, a table is at most as wide as the terminal (`line_width`): lists wrap at their spaces and free text
//! is cut, the widest column first, with a `…` in it. Addresses, prefixes and numbers are never cut: half of one means
//! something else. If standard output is not a terminal (a pipe, a file), nothing is cut or wrapped. Text from routers
//! is escaped, so that it cannot move the cursor.

use console::Term;

use crate::config;
use crate::config::print::wrap;
use crate::model::text::printable;

/// The minimum width to which free text is cut, in characters.
const TEXT_MIN: usize = 10;

/// The separator between two columns.
const GAP: &str = "  ";

/// The content of a column, which determines its alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Names that routers chose: left-aligned, cut where space is short.
    Text,
    /// Words separated by spaces, such as AS paths: left-aligned, wrapped where space is short, never inside a word.
    List,
    /// Addresses, prefixes, ages: left-aligned, never cut.
    Word,
    /// Numbers: right-aligned, never cut.
    Number,
}

/// Returns the width of the terminal that standard output is connected to, in characters; `COLUMNS` overrides it.
/// `None` if it is not a terminal.
pub(crate) fn line_width() -> Option<usize> {
    let out = Term::stdout();
    let asked = || out.size_checked().map(|(_, columns)| usize::from(columns));
    out.is_term().then(|| config::terminal_columns().or_else(asked)).flatten().filter(|columns| *columns > 0)
}

/// A table of rows under a header.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Column)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table without rows.
    pub fn new(columns: &[(&'static str, Column)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| printable(&cell).into_owned()).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Returns whether the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Formats the header and rows in lines of at most `width` characters, as far as columns can be wrapped or cut;
    /// `None`: without a limit.
    pub fn render(&self, width: Option<usize>) -> String {
        self.blocks(width).concat()
    }

    /// Like [`render`](Table::render), but returns the header and then each row, which may have several lines, as
    /// separate blocks.
    pub fn blocks(&self, width: Option<usize>) -> Vec<String> {
        let widths = self.widths(width);
        let header: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_string()).collect();
        std::iter::once(&header).chain(&self.rows).map(|row| self.block(row, &widths)).collect()
    }

    fn block(&self, row: &[String], widths: &[usize]) -> String {
        let cells: Vec<Vec<String>> = (row.iter().zip(&self.columns).zip(widths))
            .map(|((cell, (_, column)), width)| match column {
                Column::List => wrap(cell, *width),
                Column::Text => vec![cut(cell, *width)],
                Column::Word | Column::Number => vec![cell.clone()],
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        let line = |i: usize| {
            let line = cells.iter().map(|lines| lines.get(i).map_or("", String::as_str));
            self.line(line, widths)
        };
        (0..height).map(line).collect()
    }

    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
        let cells = cells.zip(&self.columns).zip(widths).map(|((cell, (_, column)), width)| match column {
            Column::Text | Column::List | Column::Word => format!("{cell:<width$}"),
            Column::Number => format!("{cell:>width$}"),
        });
        format!("{}\n", cells.collect::<Vec<_>>().join(GAP).trim_end())
    }

    /// Returns the widths of the columns: those of the contents; if that is too wide, the widest column that may shrink
    /// loses one character at a time until the table fits.
    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let cells = |i: usize| self.rows.iter().map(move |row| row[i].as_str());
        let mut widths: Vec<usize> = (self.columns.iter().enumerate())
            .map(|(i, (name, _))| cells(i).map(length).max().unwrap_or(0).max(length(name)))
            .collect();
        let Some(width) = width else { return widths };
        let least: Vec<usize> = (self.columns.iter().enumerate())
            .map(|(i, (name, column))| match column {
                Column::Text => TEXT_MIN.max(length(name)),
                Column::List => {
                    cells(i).flat_map(|cell| cell.split(' ')).map(length).max().unwrap_or(0).max(length(name))
                }
                Column::Word | Column::Number => usize::MAX,
            })
            .collect();
        let room = width.saturating_sub(GAP.len() * widths.len().saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            let yielding = widths.iter_mut().zip(&least).filter(|(width, least)| **width > **least);
            match yielding.map(|(width, _)| width).max() {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        widths
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Cuts the middle out: names in a column usually differ at their ends.
fn cut(text: &str, width: usize) -> String {
    let all = length(text);
    if all <= width {
        return text.to_string();
    }
    let kept = width.saturating_sub(1);
    let tail = kept / 3;
    text.chars().take(kept - tail).chain(['…']).chain(text.chars().skip(all - tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_ends_are_trimmed() {
        let mut table = Table::new(&[("router", Column::Word), ("routes", Column::Number), ("note", Column::Text)]);
        table.push(["10.0.0.1".to_string(), "941223".to_string()]);
        table.push(["r2".to_string(), "7".to_string(), "x".to_string()]);
        let text = "router    routes  note\n10.0.0.1  941223\nr2             7  x\n";
        assert_eq!((table.render(None).as_str(), table.render(Some(100)).as_str()), (text, text));
    }

    #[test]
    fn only_free_text_is_cut_to_the_terminals_width() {
        let mut table = Table::new(&[("a", Column::Text), ("b", Column::Word), ("c", Column::Number)]);
        table.push(["ü".repeat(90), "b".repeat(60), "123".to_string()]);
        let text = table.render(Some(100));
        assert_eq!(text.lines().map(length).max(), Some(100), "{text}");
        assert!(text.contains(&format!("ü…{}  {}  123", "ü".repeat(10), "b".repeat(60))), "{text}");
        assert_eq!(table.render(Some(120)).lines().map(length).max(), Some(120));

        let narrow = table.render(Some(40));
        assert!(narrow.contains(&format!("üüüüüü…üüü  {}  123", "b".repeat(60))), "{narrow}");
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_terminal() {
        let mut table = Table::new(&[("a", Column::Text), ("path", Column::List), ("b", Column::Word)]);
        let path = vec!["4200000001"; 90].join(" ");
        table.push(["ü".repeat(90), path.clone(), "b".repeat(600)]);
        assert!(table.render(None).ends_with(&format!("\n{}  {path}  {}\n", "ü".repeat(90), "b".repeat(600))));
    }

    #[test]
    fn lists_wrap_at_spaces() {
        let mut table = Table::new(&[("hop", Column::Word), ("AS path", Column::List), ("n", Column::Number)]);
        table.push(["10.0.0.1".to_string(), "4200000001 64500 64501 {64502,4200000002}".to_string(), "7".to_string()]);
        table.push(["10.0.0.2".to_string(), "64500".to_string(), "12".to_string()]);
        let wrapped = "hop       AS path              n\n\
                       10.0.0.1  4200000001 64500     7\n          64501\n          {64502,4200000002}\n\
                       10.0.0.2  64500               12\n";
        assert_eq!(table.render(Some(32)), wrapped);
        assert_eq!(table.blocks(Some(32)).iter().map(|row| row.lines().count()).collect::<Vec<_>>(), [1, 3, 1]);
        // A list column is never narrower than its longest word.
        assert_eq!(table.render(Some(5)), table.render(Some(32)));
    }

    #[test]
    fn hostile_text_stays_in_its_cell() {
        let mut table = Table::new(&[("hostname", Column::Text)]);
        table.push(["a\nb\u{1b}[31m".to_string()]);
        assert_eq!(table.render(None), "hostname\na\\nb\\u{1b}[31m\n");
    }
}
