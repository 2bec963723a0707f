//! `watch.outbox`: what the writers have changed that some watch may care about, until the evaluator has looked.
//!
//! Rows are written in the transaction of the change, and no change waits for them: a savepoint and a short
//! `lock_timeout` keep a locked or broken outbox from everything else. Then the caller has to leave a row with the
//! cause `lost` later.

use std::net::IpAddr;
use std::sync::Arc;

use postgres::types::Type;
use postgres::{Client, Transaction};

use crate::model::as_path::RouteOrigin;
use crate::model::{Afi, Asn, Prefix, RouterId, Table};
use crate::store::copy_encoding::EncodedRoute;
use crate::store::copy_fields::FieldReader;
use crate::store::error::{Recovery, Result};

/// The reason for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A route came, went or changed.
    Route,
    /// Many routes of a table did at once.
    Removal,
    /// A peer went up or down.
    Peer,
    /// A session of the router began or ended, or a dump did.
    Session,
    /// Changes of the router could not be listed.
    Lost,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Cause::Route => "route",
            Cause::Removal => "removal",
            Cause::Peer => "peer",
            Cause::Session => "session",
            Cause::Lost => "lost",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutboxRow {
    /// The router.
    pub router: RouterId,
    /// Its table; `None`: all of them.
    pub table: Option<Arc<str>>,
    /// The peer, where the change is one of an Adj-RIB or of a peer, with its AS where that is known.
    pub peer: Option<(IpAddr, Option<Asn>)>,
    /// The address family; `None`: both.
    pub afi: Option<Afi>,
    /// The prefix; `None`: everything of the table is to be looked at.
    pub prefix: Option<Prefix>,
    /// The reason.
    pub cause: Cause,
}

impl OutboxRow {
    /// Returns the change of everything of a router.
    pub fn of_router(router: RouterId, cause: Cause) -> OutboxRow {
        OutboxRow { router, table: None, peer: None, afi: None, prefix: None, cause }
    }

    /// Returns the change of one route of a table, or of all its routes.
    pub fn of_table(table: &Table, prefix: Option<Prefix>, cause: Cause) -> OutboxRow {
        let asn = Some(table.speaker.asn).filter(|asn| *asn != Asn(0));
        OutboxRow {
            router: table.router.clone(),
            table: Some(Arc::clone(&table.name)),
            peer: table.view.peer().map(|peer| (peer.address, asn)),
            afi: Some(table.afi),
            prefix,
            cause,
        }
    }
}

/// Returns the AS that a route comes from.
pub fn origin_of(route: &EncodedRoute) -> RouteOrigin {
    // The first piece has all columns before `attrs`: next hop, AS path, ORIGIN, LOCAL_PREF, MED, origin AS.
    let mut fields = FieldReader::new(route.pieces()[0]);
    fields.skip(1);
    let path = fields.value().and_then(|path| std::str::from_utf8(path).ok());
    fields.skip(3);
    let asn = fields.bigint().and_then(|asn| u32::try_from(asn).ok()).map(Asn);
    RouteOrigin::of_columns(asn, path)
}

/// Returns the text of a route's AS path.
pub fn path_of(route: &EncodedRoute) -> Option<&str> {
    let mut fields = FieldReader::new(route.pieces()[0]);
    fields.skip(1);
    fields.value().and_then(|path| std::str::from_utf8(path).ok())
}

/// Inserts rows as the last thing that a transaction does. `false`: they could not be inserted; the transaction goes on
/// without them.
///
/// # Errors
/// The connection is lost.
pub fn insert<'a>(transaction: &mut Transaction<'_>, rows: impl Iterator<Item = &'a OutboxRow>) -> Result<bool> {
    // The time limit lasts until the end of the transaction, which has no other lock to wait for.
    transaction.batch_execute("SAVEPOINT outbox; SET LOCAL lock_timeout = '100ms'")?;
    let inserted = insert_all(transaction, rows);
    go_on(transaction, inserted)
}

/// Not by COPY: the client is out of step with the server after one that fails, and the transaction has to go on.
fn insert_all<'a>(transaction: &mut Transaction<'_>, rows: impl Iterator<Item = &'a OutboxRow>) -> Result<()> {
    let rows: Vec<&OutboxRow> = rows.collect();
    let routers: Vec<&str> = rows.iter().map(|row| row.router.as_str()).collect();
    let tables: Vec<Option<&str>> = rows.iter().map(|row| row.table.as_deref()).collect();
    let peers: Vec<Option<IpAddr>> = rows.iter().map(|row| row.peer.map(|(address, _)| address)).collect();
    let asn = |row: &&OutboxRow| row.peer.and_then(|(_, asn)| asn).map(|asn| i64::from(asn.0));
    let asns: Vec<Option<i64>> = rows.iter().map(asn).collect();
    let afis: Vec<Option<i16>> = rows.iter().map(|row| row.afi.map(Afi::column)).collect();
    let prefixes: Vec<Option<String>> = rows.iter().map(|row| row.prefix.map(|prefix| prefix.to_string())).collect();
    let causes: Vec<&str> = rows.iter().map(|row| row.cause.as_str()).collect();
    transaction.execute_typed(
        include_str!("../../../sql/statements/watch_insert_outbox.sql"),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&tables, Type::TEXT_ARRAY),
            (&peers, Type::INET_ARRAY),
            (&asns, Type::INT8_ARRAY),
            (&afis, Type::INT2_ARRAY),
            (&prefixes, Type::TEXT_ARRAY),
            (&causes, Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}

/// Inserts one row about all of a router, if there is a watch and someone who reads the outbox: for changes that are
/// made outside the state writers, as the last thing that a transaction does. `false`: it could not be inserted.
///
/// # Errors
/// The connection is lost.
pub fn insert_if_watched(transaction: &mut Transaction<'_>, router: &RouterId, cause: Cause) -> Result<bool> {
    transaction.batch_execute("SAVEPOINT outbox; SET LOCAL lock_timeout = '100ms'")?;
    let inserted = transaction.execute_typed(
        "INSERT INTO watch.outbox (router_id, cause) SELECT $1, $2
         WHERE EXISTS (SELECT FROM watch.watches WHERE enabled)
           AND EXISTS (SELECT FROM collectors WHERE watch AND alive_until > now())",
        &[(&router.as_str(), Type::TEXT), (&cause.as_str(), Type::TEXT)],
    );
    go_on(transaction, inserted.map(drop).map_err(Into::into))
}

/// Rolls back to the savepoint if `done` failed.
fn go_on(transaction: &mut Transaction<'_>, done: Result<()>) -> Result<bool> {
    let Err(error) = done else { return Ok(true) };
    if error.verdict() == Recovery::Reconnect {
        return Err(error);
    }
    log::debug!("database: changes for watches could not be listed: {error}");
    transaction.batch_execute("ROLLBACK TO SAVEPOINT outbox")?;
    Ok(false)
}

/// Inserts a row with the cause `lost` for each router, with a longer time limit. `false`: the outbox is locked.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn insert_lost(client: &mut Client, routers: &[RouterId]) -> Result<bool> {
    let names: Vec<&str> = routers.iter().map(RouterId::as_str).collect();
    super::unless_locked(client, |transaction| {
        transaction.execute_typed(
            "INSERT INTO watch.outbox (router_id, cause) SELECT router_id, 'lost' FROM unnest($1::text[]) AS of (router_id)",
            &[(&names, Type::TEXT_ARRAY)],
        )?;
        Ok(())
    })
    .map(|done| done.is_some())
}

/// Inserts a row with the cause `lost` for each router that `collector` owns. `false`: the outbox is locked.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn insert_lost_of(client: &mut Client, collector: &str) -> Result<bool> {
    super::unless_locked(client, |transaction| {
        transaction.execute_typed(
            "INSERT INTO watch.outbox (router_id, cause) SELECT router_id, 'lost' FROM router_owner WHERE collector_id = $1",
            &[(&collector, Type::TEXT)],
        )?;
        Ok(())
    })
    .map(|done| done.is_some())
}
