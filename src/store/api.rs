//! The queries of the API. Rows are JSON with the columns' names, which the database makes of pages and single rows, and
//! [`json_rows`] of all rows of a list; times are in UTC.

pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod incidents;
mod json_rows;
pub(crate) mod list;
pub(crate) mod nlri;
pub(crate) mod peers;
pub(crate) mod routers;
pub(crate) mod routes;
pub(crate) mod tables;

use postgres::Row;

/// One row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiRow {
    /// The row as a JSON object.
    pub(crate) json: String,
    /// The row's place in the order of the list, as a JSON array; `None` where the list has no pages.
    pub(crate) key: Option<String>,
}

/// Reads the columns `json` and `key`.
fn read(row: &Row) -> ApiRow {
    ApiRow { json: row.get("json"), key: row.try_get("key").unwrap_or_default() }
}
