//! Which collector may have a router, where several have a session of it.
//!
//! `collectors.alive_until` is a collector's lease of all its routers. Another collector may claim a router when that
//! lease is over, when the owner has no live session of the router any more, or when the router is handed over to it.

use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, GenericClient, Row};

use super::error::Result;
use crate::model::RouterId;

/// The time after which a heartbeat expires, and with it the lease of all routers of the collector.
pub const LEASE: Duration = Duration::from_secs(6);

/// The time that a claim waits for the lock of a router before those who hold it are ended.
pub const CLAIM_WAIT_MAX: Duration = Duration::from_secs(2);

/// The right of a collector to a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimGround {
    /// Nobody has it, or the collector itself does.
    Own,
    /// Another collector had it; the text names it and says why it does not any more.
    Taken(String),
    /// This collector has it, or is about to take it.
    Denied(String),
}

/// Returns the right of `collector` to each of `routers`. `may_expire`: leases that are over count as such, which they
/// do not while the database could not be reached.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn grounds(
    client: &mut impl GenericClient,
    collector: &str,
    routers: &[&str],
    may_expire: bool,
) -> Result<Vec<(RouterId, ClaimGround)>> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/claim_rights.sql"),
        &[(&collector, Type::TEXT), (&routers, Type::TEXT_ARRAY), (&LEASE.as_secs_f64(), Type::FLOAT8)],
    )?;
    Ok(rows.iter().map(|row| (RouterId::new(row.get("router_id")), ground(row, collector, may_expire))).collect())
}

fn ground(row: &Row, collector: &str, may_expire: bool) -> ClaimGround {
    let Some(owner) = row.get::<_, Option<String>>("owner") else { return ClaimGround::Own };
    let (is_alive, has_session): (bool, bool) = (row.get("is_alive"), row.get("has_session"));
    match row.get::<_, Option<String>>("handed_to") {
        Some(taker) if taker != collector => ClaimGround::Denied(taker),
        _ if row.get("is_ours") => ClaimGround::Own,
        Some(_) if !has_session => ClaimGround::Taken(format!("collector {owner}, which handed it over")),
        _ if !has_session => ClaimGround::Taken(format!("collector {owner}, which has no session of it")),
        _ if !is_alive && may_expire => ClaimGround::Taken(format!("collector {owner}, which is not alive")),
        _ => ClaimGround::Denied(owner),
    }
}

/// Ends the server processes that keep claims to routers of other collectors waiting for their locks. Returns their
/// names.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn end_holders(client: &mut Client) -> Result<Vec<String>> {
    let seconds = CLAIM_WAIT_MAX.as_secs_f64();
    let rows = client.query_typed(include_str!("../../sql/statements/end_holders.sql"), &[(&seconds, Type::FLOAT8)])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Marks the connection as one of `collector`, for [`end_frozen`].
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn mark_connection(client: &mut Client, collector: &str) -> Result<()> {
    client.query_typed(include_str!("../../sql/statements/mark_connection.sql"), &[(&collector, Type::TEXT)])?;
    Ok(())
}

/// Ends the marked connections of collectors whose lease is over, and with them the locks that they hold. Returns their
/// names.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn end_frozen(client: &mut Client) -> Result<Vec<String>> {
    let rows = client.query_typed(include_str!("../../sql/statements/end_frozen.sql"), &[])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Returns the routers that `collector` has and that are connected to another one that is alive, since less than `time`
/// if that is given.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn connected_elsewhere(
    client: &mut Client,
    collector: &str,
    time: Option<Duration>,
) -> Result<Vec<RouterId>> {
    let rows = client.query_typed(
        "SELECT DISTINCT o.router_id
         FROM bmp_sessions s JOIN router_owner o USING (router_id) JOIN collectors c ON c.collector_id = s.collector_id
         WHERE s.state = 'standby' AND s.collector_id <> $1 AND ($2::float8 IS NULL OR s.since > now() - make_interval(secs => $2))
           AND o.collector_id = $1 AND c.alive_until > now()",
        &[(&collector, Type::TEXT), (&time.map(|time| time.as_secs_f64()), Type::FLOAT8)],
    )?;
    Ok(rows.iter().map(|row| RouterId::new(row.get(0))).collect())
}

/// Returns the routers that `collector` has and that are to be taken by another collector that is alive, and its name.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn handed(client: &mut Client, collector: &str) -> Result<Vec<(RouterId, String)>> {
    let rows = client.query_typed(
        "SELECT o.router_id, o.handed_to FROM router_owner o JOIN collectors c ON c.collector_id = o.handed_to
         WHERE o.collector_id = $1 AND o.handed_to <> $1 AND o.handed_until > now() AND c.alive_until > now()",
        &[(&collector, Type::TEXT)],
    )?;
    Ok(rows.iter().map(|row| (RouterId::new(row.get(0)), row.get(1))).collect())
}
