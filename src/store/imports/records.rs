//! The input of an import, and its findings.

use serde_json::{Map, Value};

use super::shape::TableShape;

/// The lines about wrong rows that one import reports.
pub(super) const REFUSED_MAX: usize = 20;

/// The rows of a table to be imported.
#[derive(Debug)]
pub(crate) struct ImportTable {
    /// The table.
    pub shape: TableShape,
    /// The columns that the source has, of those of the table.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<ImportRow>,
}

/// A row to be imported.
#[derive(Clone, Debug)]
pub(crate) struct ImportRow {
    /// Its place in the source: `line 3`.
    pub place: String,
    /// Its values by the columns of the table.
    pub values: Map<String, Value>,
}

/// Tells what happens to rows that the source no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// They stay.
    Stay,
    /// They are removed.
    Removed,
}

/// A row that differs from what is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    /// The key, as the columns and values of a JSON object.
    pub key: Value,
    /// The stored row, if there is one: the columns that differ.
    pub stored: Option<Value>,
    /// The row of the source, if it has one: the columns that differ.
    pub given: Option<Value>,
}

/// The differences of one table.
#[derive(Debug, Default)]
pub(crate) struct TableDifferences {
    /// The table's name, with its schema.
    pub table: String,
    /// Rows that are new, changed and gone.
    pub added: usize,
    /// Rows that are changed.
    pub changed: usize,
    /// Rows that are removed.
    pub removed: usize,
    /// Rows that are equal.
    pub equal: usize,
    /// Rows that the source does not have and that stay.
    pub stay: usize,
    /// The first of the differences.
    pub differences: Vec<Difference>,
}

/// The result of an import that was not refused.
#[derive(Debug)]
pub(crate) enum Imported {
    /// The differences, which are written unless the transaction is rolled back.
    Done(Vec<TableDifferences>),
    /// Rows are wrong; one line each, with the table, the place and the column.
    Refused(Vec<String>),
}
