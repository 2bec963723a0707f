//! Rows of a statement that are read while they are used: the memory that they take does not grow with their number.

use std::ops::ControlFlow;

use postgres::types::{ToSql, Type};
use postgres::{Row, Transaction};

use super::error::Result;

/// The number of rows that are fetched at a time: a few megabytes. Each time costs two switches between processes, which are
/// slow on a busy machine.
const FETCH_ROWS: i32 = 4_000;

/// Calls `take` with each row, until it breaks off. Returns whether it did.
///
/// # Errors
/// When the query fails or takes too long, the connection is lost, or `take` fails.
pub(super) fn each_row(
    transaction: &mut Transaction<'_>,
    text: &str,
    parameters: Vec<(&(dyn ToSql + Sync), Type)>,
    take: &mut dyn FnMut(&Row) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let (values, types): (Vec<&(dyn ToSql + Sync)>, Vec<Type>) = parameters.into_iter().unzip();
    let statement = transaction.prepare_typed(text, &types)?;
    let portal = transaction.bind(&statement, &values)?;
    loop {
        let rows = transaction.query_portal(&portal, FETCH_ROWS)?;
        for row in &rows {
            if take(row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if rows.len() < usize::try_from(FETCH_ROWS).unwrap_or(usize::MAX) {
            return Ok(ControlFlow::Continue(()));
        }
    }
}
