//! Rows of other systems, written into the schemas beside the routes: what differs from what is stored, in one
//! transaction.
//!
//! Rows travel as JSON, which the database converts by the types of the table's columns.

mod apply;
mod foreign_keys;
mod records;
mod shape;
mod stage;

use postgres::types::Type;
use postgres::{Client, Transaction};
use serde_json::Value;

pub(crate) use self::apply::advance_sequences;
use self::records::REFUSED_MAX;
pub(crate) use self::records::{Difference, Gone, ImportRow, ImportTable, Imported, TableDifferences};
pub(crate) use self::shape::{ColumnShape, TableShape, shape};
use super::error::Result;

/// Writes the rows into their tables, each table after those that its foreign keys refer to.
///
/// # Errors
/// When a statement fails for another reason than a row, or the connection is lost.
pub(crate) fn import(transaction: &mut Transaction<'_>, tables: &[ImportTable], gone: Gone) -> Result<Imported> {
    let mut refused = Vec::new();
    for table in tables {
        stage::stage(transaction, table)?;
    }
    for table in tables {
        refused.extend(stage::repeated_keys(transaction, table)?);
        refused.extend(foreign_keys::broken(transaction, table, tables, gone)?);
        refused.truncate(REFUSED_MAX);
    }
    if !refused.is_empty() {
        return Ok(Imported::Refused(refused));
    }
    apply::apply(transaction, tables, gone)
}

/// Returns the rows of a table in a database of another system, as JSON.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn read_table(client: &mut Client, schema: &str, table: &str, rows_max: i64) -> Result<Vec<Value>> {
    let text = format!("SELECT to_jsonb(t) FROM {}.{} t LIMIT $1", shape::quoted(schema), shape::quoted(table));
    let rows = client.query_typed(&text, &[(&rows_max, Type::INT8)])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Returns schema and name of the tables and views of a database, those of `schema` first, those of the system left
/// out.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn tables_of(client: &mut Client, schema: &str) -> Result<Vec<(String, String)>> {
    let rows =
        client.query_typed(include_str!("../../sql/statements/import_source_tables.sql"), &[(&schema, Type::TEXT)])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
