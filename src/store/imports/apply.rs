//! The differences between staging tables and ours, and their writing.
//!
//! Rows that are gone are removed first, so that what was unique of them is free; foreign keys that can be deferred are
//! checked at the end, so that rows can move from one that goes to one that comes.

use postgres::types::Type;
use postgres::{Row, Transaction};
use serde_json::Value;

use super::records::{Difference, Gone, ImportTable, Imported, REFUSED_MAX, TableDifferences};
use super::shape::quoted;
use super::stage::{NUMBER, PLACE, list, same_key};
use crate::store::error::{Error, Result};

/// The differences of one table that are listed.
const LISTED_MAX: usize = 1_000;

/// Writes the differences of all tables, or returns the rows that are refused.
pub(super) fn apply(transaction: &mut Transaction<'_>, tables: &[ImportTable], gone: Gone) -> Result<Imported> {
    let mut results = Vec::new();
    for table in tables {
        results.push(differences(transaction, table, gone)?);
    }
    transaction.batch_execute("SET CONSTRAINTS ALL DEFERRED")?;
    if gone == Gone::Removed {
        for (table, result) in tables.iter().zip(&mut results).rev() {
            match remove(transaction, table)? {
                Ok(removed) => result.removed = removed,
                Err(refused) => return Ok(Imported::Refused(vec![refused])),
            }
        }
    }
    let mut refused = Vec::new();
    for (table, result) in tables.iter().zip(&mut results) {
        result.changed = write(transaction, table, &update_statement(table), &mut refused)?;
        result.added = write(transaction, table, &insert_statement(table), &mut refused)?;
        result.equal = table.rows.len().saturating_sub(result.changed + result.added);
        if refused.len() >= REFUSED_MAX {
            break;
        }
    }
    if refused.is_empty() {
        let checked = transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE");
        refused.extend(checked.err().map(Error::from).map(|error| of_row(&error).ok_or(error)).transpose()?);
    }
    Ok(if refused.is_empty() { Imported::Done(results) } else { Imported::Refused(refused) })
}

/// Sets the sequences of imported columns after the largest value, for rows that are inserted by SQL afterwards.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn advance_sequences(transaction: &mut Transaction<'_>, tables: &[ImportTable]) -> Result<()> {
    for table in tables {
        for column in table.shape.columns.iter().filter(|column| table.columns.contains(&column.name)) {
            let Some(sequence) = &column.sequence else { continue };
            let text = format!(
                "SELECT setval($1::text::regclass, largest) FROM (SELECT max({}) AS largest FROM {}) AS stored \
                 WHERE largest >= (SELECT last_value FROM {sequence})",
                quoted(&column.name),
                table.shape.quoted(),
            );
            transaction.query_typed(&text, &[(sequence, Type::TEXT)])?;
        }
    }
    Ok(())
}

/// Returns the value that a column of a stored row `t` gets from the staged row `s`. A column that accepts no NULL keeps
/// what it has where the source says nothing.
fn updated_value(table: &ImportTable, name: &str) -> String {
    let column = quoted(name);
    if table.shape.column(name).is_some_and(|shape| shape.is_required) {
        return format!("COALESCE(s.{column}, t.{column})");
    }
    format!("s.{column}")
}

/// Returns the value that a column of a new row gets from the staged row `s`.
fn inserted_value(table: &ImportTable, name: &str) -> String {
    let column = quoted(name);
    match table.shape.column(name) {
        Some(shape) if shape.is_required => match &shape.default_value {
            Some(default_value) => format!("COALESCE(s.{column}, {default_value})"),
            None => format!("s.{column}"),
        },
        Some(_) | None => format!("s.{column}"),
    }
}

/// Returns the columns of the source that are not of the key.
fn values_of(table: &ImportTable) -> Vec<&String> {
    table.columns.iter().filter(|column| !table.shape.key.contains(column)).collect()
}

/// Returns the condition that a stored row `t` differs from the staged row `s`.
fn differs(table: &ImportTable) -> String {
    let conditions = values_of(table).into_iter().map(|column| {
        let new = updated_value(table, column);
        format!("t.{} IS DISTINCT FROM {new}", quoted(column))
    });
    let any = conditions.collect::<Vec<_>>().join(" OR ");
    if any.is_empty() { "false".to_owned() } else { format!("({any})") }
}

fn update_statement(table: &ImportTable) -> Option<String> {
    let sets =
        values_of(table).into_iter().map(|column| format!("{} = {}", quoted(column), updated_value(table, column)));
    let sets = sets.collect::<Vec<_>>().join(", ");
    if sets.is_empty() {
        return None;
    }
    Some(format!(
        "UPDATE {} t SET {sets} FROM {} s WHERE {} AND {} AND s.{NUMBER} BETWEEN $1 AND $2",
        table.shape.quoted(),
        table.shape.staging(),
        same_key(&table.shape, "t", "s"),
        differs(table),
    ))
}

fn insert_statement(table: &ImportTable) -> Option<String> {
    let values: Vec<String> = table.columns.iter().map(|column| inserted_value(table, column)).collect();
    Some(format!(
        "INSERT INTO {} ({}) SELECT {} FROM {} s WHERE NOT EXISTS (SELECT FROM {} t WHERE {}) \
         AND s.{NUMBER} BETWEEN $1 AND $2 ORDER BY s.{NUMBER}",
        table.shape.quoted(),
        list(&table.columns),
        values.join(", "),
        table.shape.staging(),
        table.shape.quoted(),
        same_key(&table.shape, "t", "s"),
    ))
}

/// Runs a statement on all staged rows, in halves where rows are refused. Returns the number of rows that it wrote.
fn write(
    transaction: &mut Transaction<'_>,
    table: &ImportTable,
    statement: &Option<String>,
    refused: &mut Vec<String>,
) -> Result<usize> {
    let (Some(statement), Some(last)) = (statement, table.rows.len().checked_sub(1)) else { return Ok(0) };
    let mut written = 0;
    let mut parts = vec![(0, last)];
    while let Some((from, to)) = parts.pop() {
        let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let mut attempt = transaction.transaction()?;
        let parameters: [(&(dyn postgres::types::ToSql + Sync), Type); 2] =
            [(&number(from), Type::INT4), (&number(to), Type::INT4)];
        match attempt.execute_typed(statement, &parameters) {
            Ok(rows) => {
                attempt.commit()?;
                written += usize::try_from(rows).unwrap_or(usize::MAX);
            }
            Err(error) => {
                let error = Error::from(error);
                if attempt.rollback().is_err() {
                    return Err(error);
                }
                let Some(why) = of_row(&error) else { return Err(error) };
                if from < to {
                    let middle = from + (to - from) / 2;
                    // The first half is taken first: lines come in the order of the source.
                    parts.extend([(middle + 1, to), (from, middle)]);
                    continue;
                }
                let columns = columns_of(transaction, table, &error)?;
                let place = table.rows.get(from).map_or("", |row| row.place.as_str());
                refused.push(format!("{}: {place}: {columns}{why}", table.shape.full_name()));
                if refused.len() >= REFUSED_MAX {
                    break;
                }
            }
        }
    }
    Ok(written)
}

/// Returns the words of an error that a row has caused.
fn of_row(error: &Error) -> Option<String> {
    const RAISED: &str = "P0001";
    let Error::Database(database) = error else { return None };
    let refusal = database.as_db_error()?;
    let code = refusal.code().code();
    if !(code.starts_with("22") || code.starts_with("23") || code == RAISED) {
        return None;
    }
    Some(match refusal.detail().filter(|detail| detail.starts_with("Key ")) {
        Some(detail) => format!("{} ({detail})", refusal.message()),
        None => refusal.message().to_owned(),
    })
}

/// Returns the columns that an error is about, as the beginning of a line.
fn columns_of(transaction: &mut Transaction<'_>, table: &ImportTable, error: &Error) -> Result<String> {
    let Error::Database(database) = error else { return Ok(String::new()) };
    let Some(refusal) = database.as_db_error() else { return Ok(String::new()) };
    let columns: Vec<String> = match (refusal.column(), refusal.constraint()) {
        (Some(column), _) => vec![column.to_owned()],
        (None, Some(constraint)) => {
            let text = include_str!("../../../sql/statements/import_constraint_columns.sql");
            let shape = &table.shape;
            let parameters: [(&(dyn postgres::types::ToSql + Sync), Type); 3] =
                [(&shape.schema, Type::TEXT), (&shape.name, Type::TEXT), (&constraint, Type::TEXT)];
            transaction.query_typed(text, &parameters)?.iter().map(|row| row.get(0)).collect()
        }
        (None, None) => Vec::new(),
    };
    Ok(if columns.is_empty() { String::new() } else { format!("{}: ", columns.join(", ")) })
}

/// Removes the rows that the source does not have.
fn remove(transaction: &mut Transaction<'_>, table: &ImportTable) -> Result<std::result::Result<usize, String>> {
    let text = format!(
        "DELETE FROM {} t WHERE NOT EXISTS (SELECT FROM {} s WHERE {})",
        table.shape.quoted(),
        table.shape.staging(),
        same_key(&table.shape, "t", "s"),
    );
    match transaction.execute_typed(&text, &[]) {
        Ok(rows) => Ok(Ok(usize::try_from(rows).unwrap_or(usize::MAX))),
        Err(error) => {
            let error = Error::from(error);
            let Some(why) = of_row(&error) else { return Err(error) };
            Ok(Err(format!("{}: a row cannot be removed: {why}", table.shape.full_name())))
        }
    }
}

/// Lists the rows that differ, and counts those that stay though the source does not have them.
fn differences(transaction: &mut Transaction<'_>, table: &ImportTable, gone: Gone) -> Result<TableDifferences> {
    let (target, staging, same) = (table.shape.quoted(), table.shape.staging(), same_key(&table.shape, "t", "s"));
    let key = |of: &str| {
        let pairs = table.shape.key.iter().map(|name| format!("{}, {of}.{}", literal(name), quoted(name)));
        format!("jsonb_build_object({})", pairs.collect::<Vec<_>>().join(", "))
    };
    let row = |of: &str| format!("to_jsonb({of}) - '{PLACE}' - '{NUMBER}'");
    let mut result = TableDifferences { table: table.shape.full_name(), ..TableDifferences::default() };
    let mut collect = |transaction: &mut Transaction<'_>, text: String| -> Result<()> {
        let left = LISTED_MAX.saturating_sub(result.differences.len());
        let rows = transaction.query_typed(&format!("{text} LIMIT {left}"), &[])?;
        result.differences.extend(rows.iter().map(|row| difference(table, row)));
        Ok(())
    };
    let stored = format!(
        "SELECT {}, {} AS stored, NULL::jsonb AS given FROM {target} t WHERE NOT EXISTS (SELECT FROM {staging} s WHERE {same})",
        key("t"),
        row("t")
    );
    if gone == Gone::Removed {
        collect(transaction, stored)?;
    }
    let changed = format!(
        "SELECT {}, {}, {} FROM {target} t JOIN {staging} s ON {same} WHERE {} ORDER BY s.{NUMBER}",
        key("s"),
        row("t"),
        row("s"),
        differs(table),
    );
    collect(transaction, changed)?;
    let added = format!(
        "SELECT {}, NULL::jsonb, {} FROM {staging} s WHERE NOT EXISTS (SELECT FROM {target} t WHERE {same}) ORDER BY s.{NUMBER}",
        key("s"),
        row("s"),
    );
    collect(transaction, added)?;
    if gone == Gone::Stay {
        let text = format!("SELECT count(*) FROM {target} t WHERE NOT EXISTS (SELECT FROM {staging} s WHERE {same})");
        let stay: i64 = transaction.query_typed_one(&text, &[])?.get(0);
        result.stay = usize::try_from(stay).unwrap_or(usize::MAX);
    }
    Ok(result)
}

fn literal(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

/// Reads a difference: of a changed row the columns that differ, of others those with a value.
fn difference(table: &ImportTable, row: &Row) -> Difference {
    let (key, stored, given): (Value, Option<Value>, Option<Value>) = (row.get(0), row.get(1), row.get(2));
    let (mut stored, mut given) = (stored, given);
    let is_kept = |name: &String, stored: Option<&Value>, given: Option<&Value>| {
        let is_value = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
        let is_required = table.shape.column(name).is_some_and(|shape| shape.is_required);
        let differs = stored != given && !(is_required && stored.is_some() && !is_value(given));
        table.columns.contains(name)
            && !table.shape.key.contains(name)
            && differs
            && (is_value(stored) || is_value(given))
    };
    let (old, new) = (stored.clone(), given.clone());
    let field = |row: &Option<Value>, name: &str| row.as_ref().and_then(|row| row.get(name)).cloned();
    for side in [&mut stored, &mut given].into_iter().flatten() {
        if let Value::Object(fields) = side {
            fields.retain(|name, _| is_kept(name, field(&old, name).as_ref(), field(&new, name).as_ref()));
        }
    }
    Difference { key, stored, given }
}
