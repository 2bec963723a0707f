//! Routers, as `routers_overview` has them, and one of them with its tables and sessions.

use postgres::Client;
use postgres::types::Type;

use super::list::ListQuery;
use super::{ApiRow, read};
use crate::store::error::Result;

/// Returns the list of routers, by identifier.
pub(crate) fn routers() -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_routers.sql")).with(None::<String>, Type::TEXT)
}

/// Returns the identifiers of the routers that are called so, in order, or the first name that no router has.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn named(client: &mut Client, names: &[String]) -> Result<std::result::Result<Vec<String>, String>> {
    let rows = client
        .query_typed(include_str!("../../../sql/statements/api_routers_named.sql"), &[(&names, Type::TEXT_ARRAY)])?;
    let found: std::result::Result<Vec<String>, String> =
        rows.iter().map(|row| row.get::<_, Option<String>>("router_id").ok_or_else(|| row.get("name"))).collect();
    Ok(found.map(|mut routers| {
        routers.sort();
        routers.dedup();
        routers
    }))
}

/// Returns the router with this identifier, or the only one with this host name or display name.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn router(client: &mut Client, name: &str) -> Result<Option<ApiRow>> {
    let named =
        client.query_typed(include_str!("../../../sql/statements/api_router_named.sql"), &[(&name, Type::TEXT)])?;
    let [only] = named.as_slice() else { return Ok(None) };
    let router_id: String = only.get("router_id");
    let rows =
        client.query_typed(include_str!("../../../sql/statements/api_router.sql"), &[(&router_id, Type::TEXT)])?;
    let overview = client.query_typed(
        include_str!("../../../sql/statements/api_routers.sql"),
        &[(&router_id, Type::TEXT), (&None::<&str>, Type::TEXT), (&1_i64, Type::INT8)],
    )?;
    let (Some(detail), Some(overview)) = (rows.first().map(read), overview.first().map(read)) else { return Ok(None) };
    // Both are objects: the members of one go after those of the other.
    let members = detail.json.strip_prefix('{').unwrap_or_default();
    let json = format!("{},{members}", overview.json.trim_end_matches('}'));
    Ok(Some(ApiRow { json, key: None }))
}
