//! `registry.bgp_sessions` and `registry.session_observations`: what a session should be, what its router says, and what
//! is written.

use postgres::types::Type;
use postgres::{Client, Row, Transaction};

use super::super::error::Result;
use crate::model::Timestamp;

/// A session, with what its router says of it and what was observed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    /// Its key.
    pub(crate) uuid: String,
    /// The number of its status.
    pub(crate) status: i16,
    /// When somebody changed it last.
    pub(crate) updated_at: Timestamp,
    /// The AS of the peer.
    pub(crate) asn: i64,
    /// The router of the registry.
    pub(crate) router: String,
    /// Its name.
    pub(crate) router_name: Option<String>,
    /// The monitored router.
    pub(crate) router_id: Option<String>,
    /// Why there is none: `unknown` or `ambiguous`.
    pub(crate) problem: Option<String>,
    /// Its error.
    pub(crate) last_error: Option<String>,
    /// When the live BMP session of the router began; `None`: it has none.
    pub(crate) began: Option<Timestamp>,
    /// Since when the first dumps of that session are complete.
    pub(crate) known: Option<Timestamp>,
    /// Its peers.
    pub(crate) peers: Peers,
    /// The number of routes that its peers have sent.
    pub(crate) routes: Option<i64>,
    /// The last observation.
    pub(crate) before: Option<Observed>,
    /// When the collector wrote it in the last hour.
    pub(crate) written_at: Vec<Timestamp>,
}

/// The peers of a session together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peers {
    /// The number of them that was ever reported.
    pub(crate) count: i64,
    /// The number that is up.
    pub(crate) up: i64,
    /// The number that the live BMP session has not reported.
    pub(crate) unreported: i64,
    /// True if one that is up has an address of the session.
    pub(crate) is_up_by_address: bool,
    /// True if one may belong to another session too.
    pub(crate) is_ambiguous: bool,
    /// The other AS of a peer with an address of the session.
    pub(crate) other_asn: Option<i64>,
    /// When the last one came up.
    pub(crate) up_since: Option<Timestamp>,
    /// When the last one went down.
    pub(crate) down_since: Option<Timestamp>,
    /// Why it did.
    pub(crate) reason: Option<String>,
    /// The number of times that they went down.
    pub(crate) flaps: i64,
}

/// A row of `registry.session_observations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The verdict.
    pub(crate) verdict: Option<String>,
    /// Since when.
    pub(crate) since: Timestamp,
    /// The number of peers that are up.
    pub(crate) up: i32,
    /// The number of peers that should be.
    pub(crate) expected: i32,
    /// The number of times that peers went down.
    pub(crate) flaps: i64,
    /// The number of routes that they have sent.
    pub(crate) routes: Option<i64>,
    /// Why it is as it is.
    pub(crate) reason: Option<String>,
    /// When this was written.
    pub(crate) changed_at: Timestamp,
    /// When the session was changed that it was made of.
    pub(crate) row_updated_at: Timestamp,
    /// True if the collector made that change.
    pub(crate) is_own: bool,
}

/// A change of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    /// The session.
    pub(crate) uuid: String,
    /// The status that was seen.
    pub(crate) seen: i16,
    /// The change that was seen.
    pub(crate) seen_at: Timestamp,
    /// The new status.
    pub(crate) status: i16,
    /// The new error.
    pub(crate) error: Option<String>,
}

/// Returns all sessions.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn all(transaction: &mut Transaction<'_>) -> Result<Vec<SessionRow>> {
    let rows = transaction.query_typed(include_str!("../../../sql/statements/registry_sessions.sql"), &[])?;
    Ok(rows.iter().map(read).collect())
}

fn read(row: &Row) -> SessionRow {
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(Timestamp::from_unix_micros);
    let before = row.get::<_, bool>(22).then(|| Observed {
        verdict: row.get(23),
        since: Timestamp::from_unix_micros(row.get(24)),
        up: row.get(25),
        expected: row.get(26),
        flaps: row.get(27),
        routes: row.get(28),
        reason: row.get(29),
        changed_at: Timestamp::from_unix_micros(row.get(30)),
        row_updated_at: Timestamp::from_unix_micros(row.get(31)),
        is_own: row.get(32),
    });
    SessionRow {
        uuid: row.get(0),
        status: row.get(1),
        updated_at: Timestamp::from_unix_micros(row.get(2)),
        asn: row.get(3),
        router: row.get(4),
        router_name: row.get(5),
        router_id: row.get(6),
        problem: row.get(7),
        last_error: row.get(8),
        began: time(9),
        known: time(10),
        peers: Peers {
            count: row.get(11),
            up: row.get(12),
            unreported: row.get(13),
            is_up_by_address: row.get(14),
            is_ambiguous: row.get(15),
            other_asn: row.get(16),
            up_since: time(17),
            down_since: time(18),
            reason: row.get(19),
            flaps: row.get(20),
        },
        routes: row.get(21),
        before,
        written_at: row.get::<_, Vec<i64>>(33).into_iter().map(Timestamp::from_unix_micros).collect(),
    }
}

/// Stores what was observed of sessions.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn observe(transaction: &mut Transaction<'_>, changed: &[(&str, &Observed)]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let column = |read: &dyn Fn(&Observed) -> i64| changed.iter().map(|(_, one)| read(one)).collect::<Vec<_>>();
    let uuids: Vec<&str> = changed.iter().map(|(uuid, _)| *uuid).collect();
    let verdicts: Vec<Option<&str>> = changed.iter().map(|(_, one)| one.verdict.as_deref()).collect();
    let up: Vec<i32> = changed.iter().map(|(_, one)| one.up).collect();
    let expected: Vec<i32> = changed.iter().map(|(_, one)| one.expected).collect();
    let routes: Vec<Option<i64>> = changed.iter().map(|(_, one)| one.routes).collect();
    let reasons: Vec<Option<&str>> = changed.iter().map(|(_, one)| one.reason.as_deref()).collect();
    let is_own: Vec<bool> = changed.iter().map(|(_, one)| one.is_own).collect();
    transaction.execute_typed(
        include_str!("../../../sql/statements/registry_observe.sql"),
        &[
            (&uuids, Type::TEXT_ARRAY),
            (&verdicts, Type::TEXT_ARRAY),
            (&column(&|one| one.since.unix_micros()), Type::INT8_ARRAY),
            (&up, Type::INT4_ARRAY),
            (&expected, Type::INT4_ARRAY),
            (&column(&|one| one.flaps), Type::INT8_ARRAY),
            (&routes, Type::INT8_ARRAY),
            (&reasons, Type::TEXT_ARRAY),
            (&column(&|one| one.row_updated_at.unix_micros()), Type::INT8_ARRAY),
            (&is_own, Type::BOOL_ARRAY),
        ],
    )?;
    Ok(())
}

/// Writes sessions that nobody else has changed since. Returns the keys of those that were written.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn write(transaction: &mut Transaction<'_>, writes: &[Write]) -> Result<Vec<String>> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    let uuids: Vec<&str> = writes.iter().map(|write| write.uuid.as_str()).collect();
    let seen: Vec<i16> = writes.iter().map(|write| write.seen).collect();
    let seen_at: Vec<i64> = writes.iter().map(|write| write.seen_at.unix_micros()).collect();
    let status: Vec<i16> = writes.iter().map(|write| write.status).collect();
    let errors: Vec<Option<&str>> = writes.iter().map(|write| write.error.as_deref()).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/registry_write.sql"),
        &[
            (&uuids, Type::TEXT_ARRAY),
            (&seen, Type::INT2_ARRAY),
            (&seen_at, Type::INT8_ARRAY),
            (&status, Type::INT2_ARRAY),
            (&errors, Type::TEXT_ARRAY),
        ],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Writes a delivery to the agents of the routers for sessions whose status has changed: key and status before. `format`
/// and `path` are those of the callbacks. Returns the names of routers whose URL cannot be sent to.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn deliver(
    transaction: &mut Transaction<'_>,
    changed: &[(&str, i16)],
    format: &str,
    path: &str,
) -> Result<Vec<String>> {
    let uuids: Vec<&str> = changed.iter().map(|(uuid, _)| *uuid).collect();
    let before: Vec<i16> = changed.iter().map(|(_, before)| *before).collect();
    let refused = transaction.query_typed(
        include_str!("../../../sql/statements/registry_callbacks.sql"),
        &[(&uuids, Type::TEXT_ARRAY), (&format, Type::TEXT), (&path, Type::TEXT)],
    )?;
    transaction.execute_typed(
        include_str!("../../../sql/statements/registry_deliver.sql"),
        &[(&uuids, Type::TEXT_ARRAY), (&before, Type::INT2_ARRAY)],
    )?;
    Ok(refused.iter().map(|row| row.get(0)).collect())
}

/// Forgets the callbacks of routers' agents, with what is on its way to them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn forget_callbacks(client: &mut Client) -> Result<u64> {
    Ok(client.execute_typed("DELETE FROM watch.callbacks WHERE team = '@registry'", &[])?)
}

/// Notifies the listeners of `rib_registry` of sessions that were written, each by its key alone.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn notify(transaction: &mut Transaction<'_>, uuids: &[String]) -> Result<()> {
    if !uuids.is_empty() {
        transaction.query_typed(
            "SELECT pg_notify('rib_registry', uuid) FROM unnest($1::TEXT[]) AS of (uuid)",
            &[(&uuids, Type::TEXT_ARRAY)],
        )?;
    }
    Ok(())
}
