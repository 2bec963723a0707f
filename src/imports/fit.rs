//! Tables of a source, brought to the columns of ours.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::names::is_same;
use super::source::SourceTable;
use super::{Schema, Table, value};
use crate::store::imports::{ImportRow, ImportTable, TableShape};

/// The lines about wrong values that one import reports.
const REFUSED_MAX: usize = 20;

/// A source's tables as ours.
#[derive(Debug, Default)]
pub(crate) struct Fitted {
    /// The tables, in the order of the schema.
    pub tables: Vec<ImportTable>,
    /// Names of the source that are not stored, one line each.
    pub left_out: Vec<String>,
    /// Values that no column takes, one line each, with table, place and column.
    pub refused: Vec<String>,
}

/// Returns the tables of the schema that the source has, each with the source's rows.
///
/// # Errors
/// A sentence, when the source has a table twice.
pub(crate) fn matched(schema: &Schema, sources: Vec<SourceTable>) -> Result<(Matched, Vec<String>), String> {
    let mut left_out = Vec::new();
    let mut matched: Matched = Vec::new();
    for source in sources {
        match schema.table(&source.name) {
            Some(table) if matched.iter().any(|(known, _)| known.name == table.name) => {
                return Err(format!("has the table {} twice", table.name));
            }
            Some(table) => matched.push((table, source)),
            None if schema.leaves_out(&source.name) => left_out.push(format!("{}: not stored", source.name)),
            None => left_out.push(format!("{}: {} has no such table, ignored", source.name, schema.name)),
        }
    }
    matched.sort_by_key(|(table, _)| schema.tables.iter().position(|known| known.name == table.name));
    Ok((matched, left_out))
}

/// Tables of a schema and what the source has for them.
pub(crate) type Matched = Vec<(&'static Table, SourceTable)>;

impl Fitted {
    /// Adds a table.
    pub(crate) fn add(&mut self, table: &Table, shape: TableShape, source: &SourceTable) {
        let mut columns = BTreeSet::new();
        let mut left_out = BTreeSet::new();
        let mut rows = Vec::with_capacity(source.rows.len());
        for row in &source.rows {
            let mut values = Map::new();
            let mut wrong = BTreeSet::new();
            for (name, given) in &row.values {
                let own = table.own_name(name);
                let column = shape.columns.iter().find(|column| is_same(&column.name, own));
                // Our own column of that name may mean something else.
                let Some(column) = column.filter(|_| !table.leaves_out(name)) else {
                    let why = if table.leaves_out(name) { "not stored" } else { "no such column, ignored" };
                    left_out.insert(format!("{}: {name}: {why}", shape.full_name()));
                    continue;
                };
                columns.insert(column.name.clone());
                match value::read(column, given, row.is_text) {
                    Ok(value) => drop(values.insert(column.name.clone(), value)),
                    Err(why) => {
                        self.refuse(format!("{}: {}: {}: {why}", shape.full_name(), row.place, column.name));
                        wrong.insert(column.name.as_str());
                    }
                }
            }
            self.require(&shape, &values, &wrong, &row.place);
            rows.push(ImportRow { place: row.place.clone(), values });
        }
        self.left_out.extend(left_out);
        if source.rows.is_empty() {
            columns.extend(shape.key.iter().cloned());
        }
        // In the order of the table.
        let columns = shape.columns.iter().map(|column| column.name.clone()).filter(|name| columns.contains(name));
        let columns: Vec<String> = columns.collect();
        if let Some(missing) = shape.key.iter().find(|name| !columns.contains(name)) {
            return self.refuse(format!("{}: the source has no column {missing}", shape.full_name()));
        }
        self.tables.push(ImportTable { shape, columns, rows });
    }

    /// Refuses a row without a value that its table requires, unless it is refused for that value already.
    fn require(&mut self, shape: &TableShape, values: &Map<String, Value>, wrong: &BTreeSet<&str>, place: &str) {
        for column in &shape.columns {
            let is_missing = values.get(&column.name).is_none_or(Value::is_null);
            let is_needed = column.is_required && !column.has_default || shape.key.contains(&column.name);
            if is_missing && is_needed && !wrong.contains(column.name.as_str()) {
                self.refuse(format!("{}: {place}: {}: is missing", shape.full_name(), column.name));
            }
        }
    }

    fn refuse(&mut self, line: String) {
        if self.refused.len() < REFUSED_MAX {
            self.refused.push(line);
        }
    }
}
