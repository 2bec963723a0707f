//! The queries of the command `hand-over`: routers that are to go from their collector to another one.

use std::time::Duration;

use postgres::Client;
use postgres::types::Type;

use super::error::Result;
use crate::model::RouterId;

/// A router, and what decides whether a collector can take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The router.
    pub router: RouterId,
    /// The collector that has it.
    pub owner: String,
    /// True if the other collector has a session of it that stands by.
    pub has_standby: bool,
}

/// Returns whether a collector of this name is alive; `None`: there is none.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn is_alive(client: &mut Client, collector: &str) -> Result<Option<bool>> {
    let sql = "SELECT alive_until > now() FROM collectors WHERE collector_id = $1";
    Ok(client.query_typed_opt(sql, &[(&collector, Type::TEXT)])?.map(|row| row.get(0)))
}

/// Returns the routers that have a collector, or these of them, and whether `taker` stands by for each.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn candidates(client: &mut Client, taker: &str, routers: Option<&[&str]>) -> Result<Vec<Candidate>> {
    let rows = client.query_typed(
        "SELECT o.router_id, o.collector_id,
                EXISTS (SELECT FROM bmp_sessions s
                        WHERE s.router_id = o.router_id AND s.collector_id = $1 AND s.state = 'standby') AS has_standby
         FROM router_owner o WHERE $2::text[] IS NULL OR o.router_id = ANY ($2) ORDER BY o.router_id",
        &[(&taker, Type::TEXT), (&routers, Type::TEXT_ARRAY)],
    )?;
    let read = |row: &postgres::Row| Candidate {
        router: RouterId::new(row.get(0)),
        owner: row.get(1),
        has_standby: row.get(2),
    };
    Ok(rows.iter().map(read).collect())
}

/// Asks the owners of routers to hand them over to `taker` within `time`.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn ask(client: &mut Client, taker: &str, routers: &[&str], time: Duration) -> Result<()> {
    client.execute_typed(
        "UPDATE router_owner SET handed_to = $1, handed_until = now() + make_interval(secs => $3)
         WHERE router_id = ANY ($2) AND collector_id <> $1",
        &[(&taker, Type::TEXT), (&routers, Type::TEXT_ARRAY), (&time.as_secs_f64(), Type::FLOAT8)],
    )?;
    Ok(())
}

/// Takes back what was asked for, as far as it has not happened.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn take_back(client: &mut Client, taker: &str, routers: &[&str]) -> Result<()> {
    client.execute_typed(
        "UPDATE router_owner SET handed_to = NULL, handed_until = NULL WHERE router_id = ANY ($2) AND handed_to = $1",
        &[(&taker, Type::TEXT), (&routers, Type::TEXT_ARRAY)],
    )?;
    Ok(())
}
