//! The evaluator and its database: its lock, the outbox, and the watches.

use std::net::IpAddr;
use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, Row, Transaction};

use super::super::error::{Error, Result};
use crate::model::watch::path_match::PathMatch;
use crate::model::watch::{CLOSE_AFTER, Condition, DROP_PERCENT, Kind, RISE_PERCENT, SETTLE, Severity, Watch, WatchId};
use crate::model::{Afi, Asn, Prefix, RouterId, Timestamp};

/// The longest time that one statement of a full evaluation may take.
const TIMEOUT: &str = "5min";

/// The most rows of the outbox that are taken one by one. Beyond it they are dropped, and everything is evaluated.
pub const OUTBOX_MAX: i64 = 1_000_000;

/// The age of a change at which all are dropped, too, and everything is evaluated: that is sooner done.
pub const OUTBOX_AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// The rows of the outbox that one transaction takes.
pub const OUTBOX_CHUNK: usize = 20_000;

/// Takes the lock of the one evaluator of this database, on this connection. `false` if another one has it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn lock(client: &mut Client) -> Result<bool> {
    let row = client.query_typed_one("SELECT pg_try_advisory_lock(hashtext('rib_watch'))", &[])?;
    client.batch_execute(&format!("SET statement_timeout = '{TIMEOUT}'"))?;
    Ok(row.get(0))
}

/// Returns the version of the watches and whether any is enabled.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn version(transaction: &mut Transaction<'_>) -> Result<i64> {
    Ok(transaction.query_typed_one("SELECT version FROM watch.trie_version", &[])?.get(0))
}

/// Returns whether the writers of every live collector match this version of the watches.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn is_matched(transaction: &mut Transaction<'_>, version: i64) -> Result<bool> {
    let row = transaction.query_typed_one(
        "SELECT COALESCE(bool_and(COALESCE(trie_version >= $1, false)), true) FROM collectors WHERE alive_until > now()",
        &[(&version, Type::INT8)],
    )?;
    Ok(row.get(0))
}

/// Returns the time of the transaction.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn now(transaction: &mut Transaction<'_>) -> Result<Timestamp> {
    let row = transaction.query_typed_one("SELECT (extract(epoch FROM now()) * 1000000)::bigint", &[])?;
    Ok(Timestamp::from_unix_micros(row.get(0)))
}

/// Has all that the transaction does from here on find its rows by an index. What checks a foreign key is planned once for a
/// connection, when the table may have had ten rows, and reads them from one end to the other as long as nobody analyzes
/// the table, for each of the ten thousand rows of a mass change.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn prefer_indexes(transaction: &mut Transaction<'_>) -> Result<()> {
    Ok(transaction.batch_execute("SET LOCAL enable_seqscan = off")?)
}

/// One change that state writers noted for the evaluator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxChange {
    /// The router.
    pub router: RouterId,
    /// The prefix; `None`: anything of the router may have changed.
    pub prefix: Option<Prefix>,
    /// True if a peer or a session changed, or more than routes may have.
    pub is_of_session: bool,
    /// When it arrived from the router.
    pub received_at: Timestamp,
}

/// Takes the oldest changes out of the outbox; `None`: there were too many or too old ones, and all are gone.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn take_outbox(transaction: &mut Transaction<'_>) -> Result<Option<Vec<OutboxChange>>> {
    let rows = transaction.query_typed(
        "DELETE FROM watch.outbox WHERE id IN (SELECT id FROM watch.outbox ORDER BY id LIMIT $1)
         RETURNING router_id, prefix::text, cause, (extract(epoch FROM received_at) * 1000000)::bigint, id",
        &[(&i64::try_from(OUTBOX_CHUNK).unwrap_or(i64::MAX), Type::INT8)],
    )?;
    let change = |row: &Row| {
        let prefix: Option<String> = row.get(1);
        Ok(OutboxChange {
            router: RouterId::new(row.get(0)),
            prefix: prefix.as_deref().map(prefix_of).transpose()?,
            is_of_session: row.get::<_, &str>(2) != "route",
            received_at: Timestamp::from_unix_micros(row.get(3)),
        })
    };
    let changes = rows.iter().map(change).collect::<Result<Vec<_>>>()?;
    if changes.is_empty() {
        return Ok(Some(changes));
    }
    let row = transaction.query_typed_one(
        "SELECT (extract(epoch FROM now()) * 1000000)::bigint,
                CASE WHEN $1 THEN (SELECT count(*) FROM (SELECT FROM watch.outbox LIMIT $2) AS waiting) ELSE 0 END",
        &[(&(rows.len() >= OUTBOX_CHUNK), Type::BOOL), (&OUTBOX_MAX, Type::INT8)],
    )?;
    let age_max = i64::try_from(OUTBOX_AGE_MAX.as_micros()).unwrap_or(i64::MAX);
    let oldest = row.get::<_, i64>(0).saturating_sub(age_max);
    let is_old = changes.iter().any(|change| change.received_at.unix_micros() < oldest);
    if is_old || row.get::<_, i64>(1) >= OUTBOX_MAX {
        transaction.execute_typed("DELETE FROM watch.outbox", &[])?;
        return Ok(None);
    }
    Ok(Some(changes))
}

/// A watch, and what decides whether it has changed since it was judged.
#[derive(Clone, Debug)]
pub struct WatchRow {
    /// The watch.
    pub watch: Watch,
    /// `updated_at`.
    pub updated_at: Timestamp,
    /// `accepted_at`.
    pub accepted_at: Timestamp,
    /// `created_at`.
    pub created_at: Timestamp,
    /// Its prefix or address, or the AS that originates.
    pub target: String,
    /// The reason why a part of it cannot be judged, in a sentence.
    pub fault: Option<String>,
    /// The version that was judged last: `updated_at`, `accepted_at`, prefix or address.
    pub judged: Option<(Timestamp, Timestamp, String)>,
}

/// Returns all enabled watches by number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn watches(transaction: &mut Transaction<'_>) -> Result<Vec<WatchRow>> {
    let rows = transaction.query_typed(include_str!("../../../sql/statements/watch_watches.sql"), &[])?;
    rows.iter().map(watch_row).collect()
}

fn watch_row(row: &Row) -> Result<WatchRow> {
    let asns = |i: usize| {
        let list: Option<Vec<i64>> = row.get(i);
        list.unwrap_or_default().into_iter().filter_map(asn).collect::<Vec<_>>()
    };
    let seconds = |i: usize| {
        let value: Option<i32> = row.get(i);
        value.and_then(|value| u64::try_from(value).ok()).map(Duration::from_secs)
    };
    let count = |i: usize| row.get::<_, Option<i32>>(i).and_then(|value| u32::try_from(value).ok()).unwrap_or(1);
    let time = |i: usize| Timestamp::from_unix_micros(row.get(i));
    let percent = |i: usize| row.get::<_, Option<i16>>(i).and_then(|value| u16::try_from(value).ok());
    let kind: &str = row.get(3);
    let kind = Kind::parse(kind).ok_or_else(|| Error::Unexpected(format!("a watch of kind {kind}")))?;
    let prefix: Option<&str> = row.get(4);
    let conditions = match row.get::<_, Option<Vec<String>>>(18) {
        Some(listed) => listed.iter().filter_map(|one| Condition::parse(one)).collect(),
        None => kind.default_conditions().to_vec(),
    };
    // The expression is checked where a watch is added; one that came another way may be none.
    let path_match = row.get::<_, Option<&str>>(14).map(PathMatch::parse);
    let (path_match, fault) = match path_match.transpose() {
        Ok(path_match) => (path_match, None),
        Err(why) => (None, Some(format!("path_match {why}"))),
    };
    let watch = Watch {
        id: WatchId(row.get(0)),
        team: row.get(1),
        name: row.get(2),
        kind,
        prefix: prefix.map(prefix_of).transpose()?,
        address: row.get(5),
        asn: row.get::<_, Option<i64>>(6).and_then(asn),
        router: row.get::<_, Option<&str>>(7).map(RouterId::new),
        table: row.get(8),
        peer: row.get(9),
        expected_origins: asns(10),
        expected_upstreams: asns(11),
        expected_downstreams: asns(12),
        expected_via: asns(13),
        path_match,
        max_length: row.get::<_, Option<i16>>(15).and_then(|length| u8::try_from(length).ok()),
        min_routes: row.get(31),
        max_routes: row.get(32),
        drop_percent: percent(33).unwrap_or(DROP_PERCENT),
        rise_percent: percent(34).unwrap_or(RISE_PERCENT),
        min_up: count(16),
        min_vantages: count(17),
        conditions,
        open_after: seconds(19),
        close_after: seconds(20).unwrap_or(CLOSE_AFTER),
        settle: seconds(21).unwrap_or(SETTLE),
        severity: row.get::<_, Option<&str>>(22).and_then(Severity::parse),
        runbook_url: row.get(23),
        source: row.get(24),
    };
    let target = watch.prefix.map(|prefix| prefix.to_string()).or(watch.address.map(|address| address.to_string()));
    let target = target.or(watch.asn.filter(|_| watch.kind == Kind::Origin).map(|asn| format!("AS{asn}")));
    let judged: Option<i64> = row.get(28);
    Ok(WatchRow {
        target: target.unwrap_or_default(),
        fault,
        updated_at: time(25),
        accepted_at: time(26),
        created_at: time(27),
        judged: judged.map(|updated| (Timestamp::from_unix_micros(updated), time(29), row.get(30))),
        watch,
    })
}

/// Stores that these versions of watches are judged from now on. What earlier versions saw of another prefix is
/// forgotten.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn set_judged(transaction: &mut Transaction<'_>, watches: &[&WatchRow]) -> Result<()> {
    let ids: Vec<i64> = watches.iter().map(|row| row.watch.id.0).collect();
    let updated: Vec<i64> = watches.iter().map(|row| row.updated_at.unix_micros()).collect();
    let accepted: Vec<i64> = watches.iter().map(|row| row.accepted_at.unix_micros()).collect();
    let targets: Vec<&str> = watches.iter().map(|row| row.target.as_str()).collect();
    transaction.execute_typed(
        "INSERT INTO watch.judged (watch_id, updated_at, accepted_at, target)
         SELECT id, 'epoch'::timestamptz + updated * interval '1 microsecond',
                'epoch'::timestamptz + accepted * interval '1 microsecond', target
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS new (id, updated, accepted, target)
         WHERE EXISTS (SELECT FROM watch.watches w WHERE w.id = new.id)
         ON CONFLICT (watch_id) DO UPDATE SET updated_at = EXCLUDED.updated_at, accepted_at = EXCLUDED.accepted_at,
             target = EXCLUDED.target",
        &[
            (&ids, Type::INT8_ARRAY),
            (&updated, Type::INT8_ARRAY),
            (&accepted, Type::INT8_ARRAY),
            (&targets, Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}

/// Reads the text of a `cidr`.
pub(super) fn prefix_of(text: &str) -> Result<Prefix> {
    let wrong = || Error::Unexpected(format!("the prefix {text}"));
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let length = length.parse().map_err(|_| wrong())?;
    match address {
        IpAddr::V4(address) => Prefix::new(Afi::Ipv4, &address.octets(), length),
        IpAddr::V6(address) => Prefix::new(Afi::Ipv6, &address.octets(), length),
    }
    .map_err(|_| wrong())
}

pub(super) fn asn(value: i64) -> Option<Asn> {
    u32::try_from(value).ok().map(Asn)
}

pub(super) fn time(row: &Row, i: usize) -> Option<Timestamp> {
    row.get::<_, Option<i64>>(i).map(Timestamp::from_unix_micros)
}
