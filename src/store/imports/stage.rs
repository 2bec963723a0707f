//! The staging tables: the rows of the source as the columns of ours.

use postgres::Transaction;
use postgres::types::Type;
use serde_json::Value;

use super::records::{ImportTable, REFUSED_MAX};
use super::shape::{TableShape, quoted};
use crate::store::error::Result;

/// The column of a staging table that has the row's place in the source.
pub(super) const PLACE: &str = "import_place";

/// The column of a staging table that has the row's number, from 0.
pub(super) const NUMBER: &str = "import_number";

/// The rows that one statement stages.
const STEP_ROWS: usize = 1_000;

/// Fills the staging table of `table`.
pub(super) fn stage(transaction: &mut Transaction<'_>, table: &ImportTable) -> Result<()> {
    let staging = table.shape.staging();
    transaction.batch_execute(&format!(
        "CREATE TEMPORARY TABLE {staging} ON COMMIT DROP AS SELECT {}, '' AS {PLACE}, 0 AS {NUMBER} FROM {} WITH NO DATA",
        list(&table.columns),
        table.shape.quoted(),
    ))?;
    let text = format!("INSERT INTO {staging} SELECT * FROM jsonb_populate_recordset(NULL::{staging}, $1)");
    for (step, rows) in table.rows.chunks(STEP_ROWS).enumerate() {
        let rows = rows.iter().enumerate().map(|(i, row)| {
            let mut values = row.values.clone();
            values.insert(PLACE.to_owned(), row.place.as_str().into());
            values.insert(NUMBER.to_owned(), (step * STEP_ROWS + i).into());
            Value::Object(values)
        });
        transaction.execute_typed(&text, &[(&Value::Array(rows.collect()), Type::JSONB)])?;
    }
    let key = list(&table.shape.key);
    transaction.batch_execute(&format!("CREATE INDEX ON {staging} ({key}); ANALYZE {staging}"))?;
    Ok(())
}

/// Returns a line for each key that several rows have.
pub(super) fn repeated_keys(transaction: &mut Transaction<'_>, table: &ImportTable) -> Result<Vec<String>> {
    let key = list(&table.shape.key);
    let text = format!(
        "SELECT (array_agg({PLACE} ORDER BY {NUMBER}))[1], (array_agg({PLACE} ORDER BY {NUMBER}))[2], {} \
         FROM {} GROUP BY {key} HAVING count(*) > 1 ORDER BY min({NUMBER}) LIMIT {REFUSED_MAX}",
        as_text("", &table.shape.key),
        table.shape.staging(),
    );
    let name = table.shape.full_name();
    let rows = transaction.query_typed(&text, &[])?;
    let line = |row: &postgres::Row| {
        let (first, second, value): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        format!("{name}: {second}: {}: {value} is given twice, first in {first}", table.shape.key.join(", "))
    };
    Ok(rows.iter().map(line).collect())
}

/// Returns names as a list in a statement.
pub(super) fn list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// Returns an expression for the values of columns as one text; `of` is the table's alias with its dot, or empty.
pub(super) fn as_text(of: &str, names: &[String]) -> String {
    let values: Vec<String> = names.iter().map(|name| format!("{of}{}", quoted(name))).collect();
    format!("concat_ws(', ', {})", values.join(", "))
}

/// Returns the condition that two rows have the same key.
pub(super) fn same_key(shape: &TableShape, one: &str, other: &str) -> String {
    let equal = |name: &String| format!("{one}.{name} = {other}.{name}", name = quoted(name));
    shape.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
}
