//! Removal of tables that no session reports any more, after they have been stale for too long.
//!
//! A table is stale since `stale_since` of its status row. That row is locked here while its routes are deleted, and a
//! session that begins the table again waits for it; so the session then loads the remaining routes, and none that it
//! announces is deleted.

use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::counts::CountChanges;
use super::error::Result;
use super::statement::PerRib;
use super::table_columns::read_view;
use super::watch::outbox::{self, Cause};
use super::{counts, peers, routes, sync};
use crate::model::{RibKind, RouterId, SessionEvent, SessionEventKind, View};

/// The number of tables that one transaction deletes at most.
const CHUNK: i64 = 200;

/// The number of routes after which a transaction deletes no further table: a router with full tables of a hundred
/// peers would take longer than a statement may, every time.
const CHUNK_ROUTES: i64 = 1_000_000;

static STALE_TABLES: PerRib = PerRib::new(include_str!("../../sql/statements/stale_tables.sql"));

/// The result of [`expire`] for one router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// The number of tables deleted.
    pub tables: u64,
    /// The number of routes deleted.
    pub routes: u64,
    /// True if nothing else of the router was stored and it has no session.
    pub is_whole: bool,
    /// True if there may be more to delete.
    pub(crate) is_more: bool,
}

/// Returns the routers of `collector` with a table or a session that has been stale for at least `stale_time`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn due(client: &mut Client, collector: &str, stale_time: Duration) -> Result<Vec<RouterId>> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/stale_routers.sql"),
        &[(&collector, Type::TEXT), (&stale_time.as_secs_f64(), Type::FLOAT8)],
    )?;
    Ok(rows.iter().map(|row| RouterId::new(row.get(0))).collect())
}

/// Deletes the tables of a router of `collector` that have been stale for at least `stale_time`: all at once if there
/// are no others, they are not too large, and the router has no session; otherwise some of them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn expire(client: &mut Client, collector: &str, router: &RouterId, stale_time: Duration) -> Result<Expired> {
    let mut transaction = client.transaction()?;
    // A session that begins waits for this lock; writers of a live session take it as well, briefly.
    let is_ours = transaction.query_typed_opt(
        "SELECT FROM router_owner WHERE router_id = $1 AND collector_id = $2 FOR UPDATE",
        &[(&router.as_str(), Type::TEXT), (&collector, Type::TEXT)],
    )?;
    if is_ours.is_none() {
        return Ok(Expired::default());
    }
    let row = transaction.query_typed_one(
        include_str!("../../sql/statements/stale_is_all.sql"),
        &[(&router.as_str(), Type::TEXT), (&stale_time.as_secs_f64(), Type::FLOAT8), (&collector, Type::TEXT)],
    )?;
    let (has_session, has_other_tables): (bool, bool) = (row.get(0), row.get(1));
    if has_session || has_other_tables || counts::of_router(&mut transaction, router)? > CHUNK_ROUTES {
        drop(transaction);
        return expire_some(client, collector, router, stale_time);
    }
    let routes = routes::remove_router(&mut transaction, router)?;
    let tables = sync::remove_router(&mut transaction, router)?;
    let expired = Expired { tables, routes, is_whole: true, ..Expired::default() };
    let reason = "router did not come back within the stale time";
    let event = event(None, None, reason, expired.routes);
    let events = sync::insert_events(&mut transaction, &[(Some(router), &event)])?;
    sync::notify(&mut transaction, &events)?;
    peers::forget(&mut transaction, router)?;
    end_sessions(&mut transaction, collector, router, stale_time)?;
    // If it cannot be listed now, the next full evaluation finds it. The tables were unknown before.
    outbox::insert_if_watched(&mut transaction, router, Cause::Removal)?;
    transaction.commit()?;
    Ok(expired)
}

/// Expires some tables of a router that has a session, other tables that are not due yet, or many routes.
fn expire_some(client: &mut Client, collector: &str, router: &RouterId, stale_time: Duration) -> Result<Expired> {
    let mut expired = Expired::default();
    for kind in RibKind::ALL {
        let mut transaction = client.transaction()?;
        let rows = transaction.query_typed(
            STALE_TABLES.on(kind),
            &[
                (&router.as_str(), Type::TEXT),
                (&stale_time.as_secs_f64(), Type::FLOAT8),
                (&CHUNK, Type::INT8),
                (&collector, Type::TEXT),
                (&kind.as_str(), Type::TEXT),
                (&CHUNK_ROUTES, Type::INT8),
            ],
        )?;
        let mut stale: Vec<(View, &str)> = Vec::with_capacity(rows.len());
        for row in &rows {
            let (view, name) = (read_view(kind, row), row.get("table_name"));
            if sync::lock_stale(&mut transaction, (router, &view, name), stale_time)? {
                stale.push((view, name));
            }
        }
        let tables: Vec<routes::WholeTable<'_>> = stale.iter().map(|(view, name)| (router, view, *name)).collect();
        let mut changes = CountChanges::default();
        let gone = routes::remove(&mut transaction, &tables, &mut changes)?;
        expired.tables += sync::remove(&mut transaction, &tables)?;
        expired.routes += gone.iter().sum::<u64>();
        let reason = "table not seen again within the stale time";
        let events = stale.iter().zip(gone).map(|((view, name), gone)| event(Some(*name), Some(*view), reason, gone));
        let events: Vec<SessionEvent> = events.collect();
        let events: Vec<_> = events.iter().map(|event| (Some(router), event)).collect();
        let events = sync::insert_events(&mut transaction, &events)?;
        sync::notify(&mut transaction, &events)?;
        changes.write(&mut transaction)?;
        expired.is_more |= !tables.is_empty();
        transaction.commit()?;
    }
    let mut transaction = client.transaction()?;
    end_sessions(&mut transaction, collector, router, stale_time)?;
    outbox::insert_if_watched(&mut transaction, router, Cause::Removal)?;
    transaction.commit()?;
    Ok(expired)
}

fn event(table: Option<&str>, view: Option<View>, reason: &str, routes: u64) -> SessionEvent {
    SessionEvent {
        kind: SessionEventKind::StaleExpired,
        table_name: table.map(Into::into),
        peer_address: view.and_then(|view| view.peer()).map(|of| of.address),
        afi: None,
        reason: Some(reason.to_owned()),
        routes: i64::try_from(routes).ok(),
    }
}

/// Ends the sessions that were lost at least `stale_time` ago.
fn end_sessions(
    transaction: &mut Transaction<'_>,
    collector: &str,
    router: &RouterId,
    stale_time: Duration,
) -> Result<()> {
    transaction.execute_typed(
        "UPDATE bmp_sessions SET state = 'ended', since = now(), reason = 'the router did not come back in time'
         WHERE router_id = $1 AND collector_id = $2 AND state IN ('stale', 'isolated')
           AND since <= now() - make_interval(secs => $3)",
        &[(&router.as_str(), Type::TEXT), (&collector, Type::TEXT), (&stale_time.as_secs_f64(), Type::FLOAT8)],
    )?;
    Ok(())
}
