//! The numbers of the rows that the inventory has, by their names.

use postgres::Client;

use super::super::error::Result;

/// Returns the kind, name and number of each site, node, container, transport service and its port.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn numbers(client: &mut Client) -> Result<Vec<(String, String, i32)>> {
    let rows = client.query_typed(include_str!("../../../sql/statements/inventory_numbers.sql"), &[])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}
