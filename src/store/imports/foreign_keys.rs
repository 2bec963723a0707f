//! Foreign keys of imported rows: what they refer to is in the source or stored.

use postgres::Transaction;
use postgres::types::Type;

use super::records::{Gone, ImportTable, REFUSED_MAX};
use super::shape::quoted;
use super::stage::{NUMBER, PLACE, as_text};
use crate::store::error::Result;

/// A foreign key.
struct ForeignKey {
    columns: Vec<String>,
    schema: String,
    table: String,
    referred: Vec<String>,
}

/// Returns a line for each row that refers to a row that is neither in the source nor stored.
pub(super) fn broken(
    transaction: &mut Transaction<'_>,
    table: &ImportTable,
    tables: &[ImportTable],
    gone: Gone,
) -> Result<Vec<String>> {
    let shape = &table.shape;
    let text = include_str!("../../../sql/statements/import_foreign_keys.sql");
    let rows = transaction.query_typed(text, &[(&shape.schema, Type::TEXT), (&shape.name, Type::TEXT)])?;
    let keys = rows.iter().map(|row| ForeignKey {
        columns: row.get("columns"),
        schema: row.get("schema"),
        table: row.get("table"),
        referred: row.get("referred"),
    });
    let mut lines = Vec::new();
    for key in keys.filter(|key| key.columns.iter().all(|column| table.columns.contains(column))) {
        lines.extend(broken_key(transaction, table, &key, tables, gone)?);
    }
    Ok(lines)
}

fn broken_key(
    transaction: &mut Transaction<'_>,
    table: &ImportTable,
    key: &ForeignKey,
    tables: &[ImportTable],
    gone: Gone,
) -> Result<Vec<String>> {
    let imported = tables.iter().find(|other| other.shape.schema == key.schema && other.shape.name == key.table);
    let mut places = Vec::new();
    match imported {
        // The source does not have the columns that are referred to: only the database can tell.
        Some(other) if !key.referred.iter().all(|column| other.columns.contains(column)) => return Ok(Vec::new()),
        Some(other) => places.push(other.shape.staging()),
        None => {}
    }
    if imported.is_none() || gone == Gone::Stay {
        places.push(format!("{}.{}", quoted(&key.schema), quoted(&key.table)));
    }
    let pairs = key.columns.iter().zip(&key.referred);
    let equal = pairs.map(|(own, referred)| format!("s.{} = r.{}", quoted(own), quoted(referred)));
    let equal = equal.collect::<Vec<_>>().join(" AND ");
    let given = key.columns.iter().map(|column| format!("s.{} IS NOT NULL", quoted(column)));
    let absent = places.iter().map(|place| format!("NOT EXISTS (SELECT FROM {place} r WHERE {equal})"));
    let conditions = given.chain(absent).collect::<Vec<_>>().join(" AND ");
    let text = format!(
        "SELECT s.{PLACE}, {} FROM {} s WHERE {conditions} ORDER BY s.{NUMBER} LIMIT {REFUSED_MAX}",
        as_text("s.", &key.columns),
        table.shape.staging(),
    );
    let rows = transaction.query_typed(&text, &[])?;
    let line = |row: &postgres::Row| {
        let (place, value): (String, String) = (row.get(0), row.get(1));
        let (name, columns) = (table.shape.full_name(), key.columns.join(", "));
        format!("{name}: {place}: {columns}: {value} is in no row of {}.{}", key.schema, key.table)
    };
    Ok(rows.iter().map(line).collect())
}
