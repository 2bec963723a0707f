//! The past: the events of a prefix, tables as they were, and what is different between two moments.

use postgres::Client;
use postgres::types::Type;

use super::list::ListQuery;
use crate::store::error::Result;

/// A part of the history. Times are RFC 3339.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistoryFilter {
    pub(crate) routers: Vec<String>,
    pub(crate) table_name: Option<String>,
    pub(crate) prefix: Option<String>,
    /// The beginning, or the only moment.
    pub(crate) from: String,
    /// The end.
    pub(crate) to: String,
}

/// Returns the list of the events of the prefix, the latest first.
pub(crate) fn events(filter: HistoryFilter) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_history.sql"))
        .with(filter.routers, Type::TEXT_ARRAY)
        .with(filter.prefix, Type::TEXT)
        .with(filter.from, Type::TEXT)
        .with(filter.to, Type::TEXT)
        .with(filter.table_name, Type::TEXT)
}

/// Returns whether the history tells all of the tables at each of these moments; `None`: there is no such table.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn is_complete(client: &mut Client, filter: &HistoryFilter, moments: &[&str]) -> Result<Option<bool>> {
    let row = client.query_typed_one(
        include_str!("../../../sql/statements/api_history_complete.sql"),
        &[
            (&filter.routers, Type::TEXT_ARRAY),
            (&filter.table_name, Type::TEXT),
            (&moments, Type::TEXT_ARRAY),
            (&filter.prefix, Type::TEXT),
        ],
    )?;
    Ok(row.get("complete"))
}

/// The same of the Adj-RIB-In tables, about the prefix; `None`: there is no such table.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn is_complete_of_peers(
    client: &mut Client,
    filter: &HistoryFilter,
    moments: &[&str],
) -> Result<Option<bool>> {
    let row = client.query_typed_one(
        include_str!("../../../sql/statements/api_history_complete_adj.sql"),
        &[
            (&filter.routers, Type::TEXT_ARRAY),
            (&filter.table_name, Type::TEXT),
            (&moments, Type::TEXT_ARRAY),
            (&filter.prefix, Type::TEXT),
        ],
    )?;
    Ok(row.get("complete"))
}

/// Returns from when to when there are days in files, as RFC 3339.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn archived(client: &mut Client) -> Result<[Option<String>; 2]> {
    let row = client.query_typed_one(include_str!("../../../sql/statements/api_archived.sql"), &[])?;
    Ok(["archived_from", "archived_until"].map(|name| row.get(name)))
}

/// Returns the list of the routes as they were at the beginning.
pub(crate) fn routes_at(filter: HistoryFilter) -> ListQuery {
    let query = ListQuery::new(include_str!("../../../sql/statements/api_at.sql"));
    // A prefix has few routes, whichever way.
    let query = match filter.prefix {
        Some(_) => query,
        None => query.with_pages_by(include_str!("../../../sql/statements/api_at_page.sql")),
    };
    query
        .with(filter.routers, Type::TEXT_ARRAY)
        .with(filter.from, Type::TEXT)
        .with(filter.table_name, Type::TEXT)
        .with(filter.prefix, Type::TEXT)
}

/// Returns the list of the differences between the beginning and the end.
pub(crate) fn differences(filter: HistoryFilter) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_between.sql"))
        .with(filter.routers, Type::TEXT_ARRAY)
        .with(filter.from, Type::TEXT)
        .with(filter.to, Type::TEXT)
        .with(filter.table_name, Type::TEXT)
}
