//! Tables of rows as other systems give them: JSON, CSV, or a database of theirs.

use serde_json::{Map, Value};

use super::names::is_same;
use super::{Schema, csv_text};
use crate::store::{self, Client, imports};

/// The most rows of one table.
const ROWS_MAX: usize = 1_000_000;

/// A table of a source.
#[derive(Debug, PartialEq)]
pub(crate) struct SourceTable {
    /// The name that the source has for it.
    pub name: String,
    /// Its rows.
    pub rows: Vec<SourceRow>,
}

/// A row of a source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceRow {
    /// Its place, for messages: `line 3`.
    pub place: String,
    /// Its values by the source's names.
    pub values: Map<String, Value>,
    /// True if every value is text that has to be read by the type of its column, and an empty one is none.
    pub is_text: bool,
}

/// Reads JSON: an object of tables, each an array of objects, or one array of objects, the rows of table `name`.
///
/// # Errors
/// A sentence, when it is neither.
pub(crate) fn read_json(text: &str, name: Option<&str>) -> Result<Vec<SourceTable>, String> {
    match serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))? {
        Value::Array(items) => {
            let name = name.ok_or("is an array of rows: name their table with --table")?;
            Ok(vec![json_table(name, items)?])
        }
        Value::Object(tables) => {
            let tables = tables.into_iter().map(|(name, rows)| match rows {
                Value::Array(items) => json_table(&name, items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                    Err(format!("{name}: is not an array of rows"))
                }
            });
            tables.collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err("is neither an object of tables nor an array of rows".to_owned())
        }
    }
}

fn json_table(name: &str, items: Vec<Value>) -> Result<SourceTable, String> {
    let rows = items.into_iter().enumerate().map(|(i, item)| match item {
        Value::Object(values) => Ok(SourceRow { place: format!("item {}", i + 1), values, is_text: false }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(format!("{name}: item {}: is not an object", i + 1))
        }
    });
    checked(SourceTable { name: name.to_owned(), rows: rows.collect::<Result<_, _>>()? })
}

/// Reads CSV: the rows of table `name`.
///
/// # Errors
/// A sentence, when it is not CSV with a header, or a record is not as long as the header.
pub(crate) fn read_csv(text: &str, name: &str) -> Result<SourceTable, String> {
    let content = csv_text::read(text)?;
    let rows = content.records.into_iter().map(|(line, record)| {
        if record.len() != content.header.len() {
            return Err(format!("line {line}: {} values, the header has {}", record.len(), content.header.len()));
        }
        let values = content.header.iter().zip(&record).map(|(column, text)| (column.clone(), text.into()));
        Ok(SourceRow { place: format!("line {line}"), values: values.collect(), is_text: true })
    });
    checked(SourceTable { name: name.to_owned(), rows: rows.collect::<Result<_, _>>()? })
}

/// Reads the tables of a schema that another system's database has.
///
/// # Errors
/// When a statement fails, the connection is lost or a table has more rows than can be imported.
pub(crate) fn read_database(client: &mut Client, schema: &Schema) -> store::Result<Vec<SourceTable>> {
    let names = schema.source_names();
    let mut tables: Vec<SourceTable> = Vec::new();
    for (place, name) in imports::tables_of(client, schema.name)? {
        let is_known = names.iter().any(|known| is_same(known, &name)) || schema.leaves_out(&name);
        if !is_known || tables.iter().any(|table| is_same(&table.name, &name)) {
            continue;
        }
        // What is left out holds secrets: it is not even read.
        let rows = if schema.leaves_out(&name) {
            Vec::new()
        } else {
            imports::read_table(client, &place, &name, i64::try_from(ROWS_MAX + 1).unwrap_or(i64::MAX))?
        };
        let rows = rows.into_iter().enumerate().map(|(i, row)| match row {
            Value::Object(values) => SourceRow { place: format!("row {}", i + 1), values, is_text: false },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                SourceRow { place: format!("row {}", i + 1), values: Map::new(), is_text: false }
            }
        });
        let table = SourceTable { name, rows: rows.collect() };
        tables.push(checked(table).map_err(store::Error::Unexpected)?);
    }
    Ok(tables)
}

fn checked(table: SourceTable) -> Result<SourceTable, String> {
    if table.rows.len() > ROWS_MAX {
        return Err(format!("{}: has more than {ROWS_MAX} rows", table.name));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_tables_of_rows_or_rows_of_one() {
        let tables = read_json(r#"{"users": [{"id": 1}], "routers": []}"#, None).unwrap();
        assert_eq!(
            tables.iter().map(|table| (table.name.as_str(), table.rows.len())).collect::<Vec<_>>(),
            [("routers", 0), ("users", 1)]
        );
        let one = read_json(r#"[{"id": 1}]"#, Some("users")).unwrap();
        assert_eq!((one[0].name.as_str(), one[0].rows[0].place.as_str()), ("users", "item 1"));
        let check = |text, want: &str| assert!(read_json(text, None).unwrap_err().starts_with(want), "{text}");
        check("[]", "is an array of rows: name their table with --table");
        check(r#"{"users": 1}"#, "users: is not an array of rows");
        check(r#"{"users": [1]}"#, "users: item 1: is not an object");
        check("7", "is neither an object of tables nor an array of rows");
        check("{", "is not JSON: ");
    }

    #[test]
    fn csv_rows_know_their_lines() {
        let table = read_csv("id,name\n# a comment\n1,a\n\n2,\n", "users").unwrap();
        let places: Vec<_> = table.rows.iter().map(|row| row.place.as_str()).collect();
        assert_eq!(places, ["line 3", "line 5"]);
        assert_eq!(read_csv("id,name\n1\n", "users").unwrap_err(), "line 2: 1 values, the header has 2");
    }
}
