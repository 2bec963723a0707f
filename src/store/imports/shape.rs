//! The columns, types and keys of a table, out of the catalogs of the database.

use postgres::GenericClient;
use postgres::types::Type;

use crate::store::error::{Error, Result};

/// A table of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableShape {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns, but generated ones.
    pub columns: Vec<ColumnShape>,
    /// The columns of its primary key, in their order.
    pub key: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnShape {
    /// Its name.
    pub name: String,
    /// The name of its type in `pg_type`; of an array, that of its elements.
    pub type_name: String,
    /// True for an array.
    pub is_array: bool,
    /// The most characters of a text.
    pub length_max: Option<usize>,
    /// True if it accepts no NULL.
    pub is_required: bool,
    /// True if a row that lacks it gets a value anyway.
    pub has_default: bool,
    /// The expression of its default, unless a sequence gives it.
    pub default_value: Option<String>,
    /// The sequence that gives it.
    pub sequence: Option<String>,
}

impl TableShape {
    /// Returns the column of that name.
    pub(crate) fn column(&self, name: &str) -> Option<&ColumnShape> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns schema and name as they stand in statements.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// Returns schema and name as people write them.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Returns the name of the table that holds what is imported.
    pub(super) fn staging(&self) -> String {
        quoted(&format!("import_{}", self.name))
    }
}

/// Returns a name as it stands in statements.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the shape of a table.
///
/// # Errors
/// When there is no such table, it has no primary key, a statement fails or the connection is lost.
pub(crate) fn shape(client: &mut impl GenericClient, schema: &str, name: &str) -> Result<TableShape> {
    let text = include_str!("../../../sql/statements/import_shape.sql");
    let rows = client.query_typed(text, &[(&schema, Type::TEXT), (&name, Type::TEXT)])?;
    let mut key = Vec::new();
    let columns = rows.iter().map(|row| {
        let column = ColumnShape {
            name: row.get("name"),
            type_name: row.get("type"),
            is_array: row.get("is_array"),
            length_max: row.get::<_, Option<i32>>("length_max").and_then(|length| usize::try_from(length).ok()),
            is_required: row.get("is_required"),
            has_default: row.get("has_default"),
            default_value: row.get("default_value"),
            sequence: row.get("sequence"),
        };
        if let Some(place) = row.get::<_, Option<i32>>("key_place") {
            key.push((place, column.name.clone()));
        }
        column
    });
    let columns: Vec<_> = columns.collect();
    key.sort();
    if key.is_empty() {
        return Err(Error::Unexpected(format!("{schema}.{name} is missing or has no primary key")));
    }
    let key = key.into_iter().map(|(_, name)| name).collect();
    Ok(TableShape { schema: schema.to_owned(), name: name.to_owned(), columns, key })
}
