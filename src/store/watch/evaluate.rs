//! What the evaluator reads: watches, vantages, routes, peers, the outbox; and the truth it writes: conditions, seen.

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

/// The newly accepted prefixes from which statistics are made anew: the next statement joins them, and PostgreSQL's own
/// ones come a minute later.
const ANALYZE_MIN: usize = 1_000;

/// Takes the lock of the one evaluator of this database, on this connection. `false` if another one has it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn lock(client: &mut Client) -> Result<bool> {
    let row = client.query_typed_one("SELECT pg_try_advisory_lock(hashtext('rib_watch'))", &[])?;
    client.batch_execute(&format!("SET statement_timeout = '{TIMEOUT}'; SET jit = off"))?;
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
pub struct Change {
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
pub fn take_outbox(transaction: &mut Transaction<'_>) -> Result<Option<Vec<Change>>> {
    let rows = transaction.query_typed(
        "DELETE FROM watch.outbox WHERE id IN (SELECT id FROM watch.outbox ORDER BY id LIMIT $1)
         RETURNING router_id, prefix::text, cause, (extract(epoch FROM received_at) * 1000000)::bigint, id",
        &[(&i64::try_from(OUTBOX_CHUNK).unwrap_or(i64::MAX), Type::INT8)],
    )?;
    let change = |row: &Row| {
        let prefix: Option<String> = row.get(1);
        Ok(Change {
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
    /// What cannot be judged, in a sentence.
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

/// Routes of one prefix in one table that differ in nothing that watches ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRow {
    /// The router.
    pub router: RouterId,
    /// The table.
    pub table: String,
    /// The prefix.
    pub prefix: Prefix,
    /// The column `origin_asn`.
    pub origin: Option<Asn>,
    /// An AS path of them; `None`: they have none.
    pub path: Option<String>,
    /// True if one is in the Loc-RIB.
    pub in_loc_rib: bool,
    /// True if one is in an Adj-RIB-In after the policy.
    pub after_policy: bool,
    /// True if one is in an Adj-RIB-In before the policy.
    pub before_policy: bool,
    /// A peer that sent one.
    pub peer: Option<IpAddr>,
    /// The communities of theirs, with spaces between, by which they ask to be dropped, drained or diverted.
    pub mitigation: Option<String>,
}

fn route_row(row: &Row) -> Result<RouteRow> {
    let told_path: Option<String> = row.get(4);
    Ok(RouteRow {
        router: RouterId::new(row.get(0)),
        table: row.get(1),
        prefix: prefix_of(row.get(2))?,
        origin: row.get::<_, Option<i64>>(3).and_then(asn),
        path: told_path.or_else(|| row.get(5)),
        in_loc_rib: row.get(6),
        after_policy: row.get(7),
        before_policy: row.get(8),
        peer: row.get(9),
        mitigation: row.get(10),
    })
}

/// What tells routes apart beside their origin.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// True if each path is a row of its own.
    pub paths: bool,
    /// The communities that say that a route is mitigated.
    pub mitigation: &'a [String],
}

/// Returns the routes of exactly these prefixes at these routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes_of(
    transaction: &mut Transaction<'_>,
    cells: &[(&RouterId, Prefix)],
    told: Told<'_>,
) -> Result<Vec<RouteRow>> {
    let routers: Vec<&str> = cells.iter().map(|(router, _)| router.as_str()).collect();
    let prefixes: Vec<String> = cells.iter().map(|(_, prefix)| prefix.to_string()).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_routes_of.sql"),
        &[
            (&told.paths, Type::BOOL),
            (&routers, Type::TEXT_ARRAY),
            (&prefixes, Type::TEXT_ARRAY),
            (&told.mitigation, Type::TEXT_ARRAY),
        ],
    )?;
    rows.iter().map(route_row).collect()
}

/// Returns the routes of the prefixes of these watches and those inside them, at these routers or at all. Routes inside
/// with an expected origin are left out where no watch judges them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes_in(
    transaction: &mut Transaction<'_>,
    watches: &[WatchId],
    routers: Option<&[&RouterId]>,
    told: Told<'_>,
) -> Result<Vec<RouteRow>> {
    let ids: Vec<i64> = watches.iter().map(|id| id.0).collect();
    let routers: Option<Vec<&str>> = routers.map(|all| all.iter().map(|router| router.as_str()).collect());
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_routes_in.sql"),
        &[
            (&told.paths, Type::BOOL),
            (&ids, Type::INT8_ARRAY),
            (&routers, Type::TEXT_ARRAY),
            (&told.mitigation, Type::TEXT_ARRAY),
        ],
    )?;
    rows.iter().map(route_row).collect()
}

/// What a watch of an AS asks for.
#[derive(Clone, Debug)]
pub struct AskedOrigin {
    /// The watch.
    pub watch: WatchId,
    /// An expression for paths whose neighbor before the origin is expected; `None`: any is.
    pub fine_paths: Option<String>,
    /// An expression for paths whose neighbor behind the AS is not expected; `None`: any is.
    pub odd_paths: Option<String>,
    /// True if it judges prefixes that were not accepted.
    pub for_new: bool,
    /// True if it judges other origins of accepted prefixes.
    pub for_origin: bool,
    /// True if it judges the state of routes by the VRPs.
    pub for_rpki: bool,
}

/// Returns the routes that watches of ASes have to judge, at these routers or all. Most that are as they should be are
/// left out.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes_from(
    transaction: &mut Transaction<'_>,
    asked: &[AskedOrigin],
    routers: Option<&[&RouterId]>,
    told: Told<'_>,
) -> Result<Vec<RouteRow>> {
    let routers: Option<Vec<&str>> = routers.map(|all| all.iter().map(|router| router.as_str()).collect());
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_routes_from.sql"),
        &[
            (&told.paths, Type::BOOL),
            (&asked.iter().map(|one| one.watch.0).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&routers, Type::TEXT_ARRAY),
            (&told.mitigation, Type::TEXT_ARRAY),
            (&asked.iter().map(|one| one.fine_paths.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&asked.iter().map(|one| one.odd_paths.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&asked.iter().map(|one| one.for_new).collect::<Vec<_>>(), Type::BOOL_ARRAY),
            (&asked.iter().map(|one| one.for_origin).collect::<Vec<_>>(), Type::BOOL_ARRAY),
            (&asked.iter().map(|one| one.for_rpki).collect::<Vec<_>>(), Type::BOOL_ARRAY),
        ],
    )?;
    rows.iter().map(route_row).collect()
}

/// Returns which enabled watches of ASes have accepted these prefixes.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn accepted(transaction: &mut Transaction<'_>, prefixes: &[Prefix]) -> Result<Vec<(WatchId, Prefix)>> {
    let prefixes: Vec<String> = prefixes.iter().map(Prefix::to_string).collect();
    let rows = transaction.query_typed(
        "SELECT watch_id, prefix::text FROM watch.accepted_prefixes WHERE prefix = ANY ($1::text[]::cidr[])",
        &[(&prefixes, Type::TEXT_ARRAY)],
    )?;
    rows.iter().map(accepted_row).collect()
}

fn accepted_row(row: &Row) -> Result<(WatchId, Prefix)> {
    Ok((WatchId(row.get(0)), prefix_of(row.get(1))?))
}

/// Accepts what the ASes of these watches originate in these tables, and returns it. What is mitigated is left out.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn accept_originated(
    transaction: &mut Transaction<'_>,
    first: &[(WatchId, &RouterId, &str)],
    mitigation: &[String],
) -> Result<Vec<(WatchId, Prefix)>> {
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_accept_originated.sql"),
        &[
            (&first.iter().map(|(id, ..)| id.0).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&first.iter().map(|(_, router, _)| router.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&first.iter().map(|(.., table)| *table).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&mitigation, Type::TEXT_ARRAY),
        ],
    )?;
    if rows.len() >= ANALYZE_MIN {
        transaction.batch_execute("ANALYZE watch.accepted_prefixes")?;
    }
    rows.iter().map(accepted_row).collect()
}

/// Forgets what these watches have accepted: they are about another AS now.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget_accepted(transaction: &mut Transaction<'_>, watches: &[WatchId]) -> Result<()> {
    let ids: Vec<i64> = watches.iter().map(|id| id.0).collect();
    transaction
        .execute_typed("DELETE FROM watch.accepted_prefixes WHERE watch_id = ANY ($1)", &[(&ids, Type::INT8_ARRAY)])?;
    Ok(())
}

/// Returns the routes that cover these addresses at these routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes_over(
    transaction: &mut Transaction<'_>,
    asked: &[(&RouterId, IpAddr)],
    told: Told<'_>,
) -> Result<Vec<RouteRow>> {
    let routers: Vec<&str> = asked.iter().map(|(router, _)| router.as_str()).collect();
    let addresses: Vec<IpAddr> = asked.iter().map(|(_, address)| *address).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_routes_over.sql"),
        &[
            (&false, Type::BOOL),
            (&routers, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&told.mitigation, Type::TEXT_ARRAY),
        ],
    )?;
    rows.iter().map(route_row).collect()
}

/// A BGP peer of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// The router.
    pub router: RouterId,
    /// The peer's address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// The router's name for it.
    pub description: Option<String>,
    /// True if a Peer Up arrived in the live BMP session, and no Peer Down since.
    pub is_up: bool,
    /// True if anything arrived about it in the live BMP session.
    pub is_reported: bool,
    /// The reason of the last Peer Down.
    pub reason: Option<String>,
    /// Since when it is as it is.
    pub since: Timestamp,
    /// The number of routes that went with the last Peer Down.
    pub routes: Option<i64>,
}

/// Returns the peers with these addresses or ASes, at every router.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn peers(transaction: &mut Transaction<'_>, addresses: &[IpAddr], asns: &[Asn]) -> Result<Vec<PeerRow>> {
    let asns: Vec<i64> = asns.iter().map(|asn| i64::from(asn.0)).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_peers.sql"),
        &[(&addresses, Type::INET_ARRAY), (&asns, Type::INT8_ARRAY)],
    )?;
    let peer = |row: &Row| PeerRow {
        router: RouterId::new(row.get(0)),
        address: row.get(1),
        asn: asn(row.get(2)).unwrap_or_default(),
        description: row.get(3),
        is_up: row.get(4),
        is_reported: row.get(5),
        reason: row.get(6),
        since: Timestamp::from_unix_micros(row.get(7)),
        routes: row.get(8),
    };
    Ok(rows.iter().map(peer).collect())
}

/// Returns the number of peers of a router that are up.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn peers_up(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<usize> {
    let row = transaction.query_typed_one(
        "SELECT count(DISTINCT peer_address) FROM peers
         WHERE router_id = $1 AND state = 'up' AND peer_address IS NOT NULL
           AND updated_at >= (SELECT max(began_at) FROM bmp_sessions WHERE router_id = $1 AND state IN ('dumping', 'up'))",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// A Peer Down that took routes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDownRow {
    /// The router.
    pub router: RouterId,
    /// The peer.
    pub address: IpAddr,
    /// Its AS, if it is known.
    pub asn: Option<Asn>,
    /// The router's name for it.
    pub description: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// The reason, in words.
    pub reason: Option<String>,
    /// The number of routes.
    pub routes: Option<i64>,
}

/// Returns the Peer Downs of routers since `since`, oldest first.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn peer_downs(transaction: &mut Transaction<'_>, routers: &[&str], since: Timestamp) -> Result<Vec<PeerDownRow>> {
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_peer_downs.sql"),
        &[(&routers, Type::TEXT_ARRAY), (&since.unix_micros(), Type::INT8)],
    )?;
    let down = |row: &Row| PeerDownRow {
        router: RouterId::new(row.get(0)),
        address: row.get(1),
        asn: row.get::<_, Option<i64>>(2).and_then(asn),
        description: row.get(3),
        at: Timestamp::from_unix_micros(row.get(4)),
        reason: row.get(5),
        routes: row.get(6),
    };
    Ok(rows.iter().map(down).collect())
}

/// A row of `watch.conditions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRow {
    /// The watch.
    pub watch: WatchId,
    /// Its team.
    pub team: Option<String>,
    /// The router.
    pub router: RouterId,
    /// Its table.
    pub table: Option<String>,
    /// The condition.
    pub condition: Condition,
    /// What it is about where a watch can have several.
    pub subject: String,
    /// The prefix that it was found at.
    pub prefix: Option<Prefix>,
    /// Since when it holds.
    pub since: Timestamp,
    /// What was found, as JSON.
    pub detail: String,
}

impl ConditionRow {
    fn vantage(&self) -> String {
        crate::model::watch::Vantage { router: self.router.clone(), table: self.table.clone() }.to_string()
    }
}

/// Returns all conditions.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn conditions(transaction: &mut Transaction<'_>) -> Result<Vec<ConditionRow>> {
    let rows = transaction.query_typed(
        "SELECT watch_id, team, router_id, table_name, condition, subject, prefix::text,
                (extract(epoch FROM since) * 1000000)::bigint, detail::text FROM watch.conditions",
        &[],
    )?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        // A condition that a later version judges is none of ours.
        let Some(condition) = Condition::parse(row.get(4)) else { continue };
        let prefix: Option<&str> = row.get(6);
        found.push(ConditionRow {
            watch: WatchId(row.get(0)),
            team: row.get(1),
            router: RouterId::new(row.get(2)),
            table: row.get(3),
            condition,
            subject: row.get(5),
            prefix: prefix.map(prefix_of).transpose()?,
            since: Timestamp::from_unix_micros(row.get(7)),
            detail: row.get(8),
        });
    }
    Ok(found)
}

/// Stores new and changed conditions.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn set_conditions(transaction: &mut Transaction<'_>, rows: &[&ConditionRow]) -> Result<()> {
    let prefixes: Vec<Option<String>> = rows.iter().map(|row| row.prefix.map(|prefix| prefix.to_string())).collect();
    transaction.execute_typed(
        include_str!("../../../sql/statements/watch_set_conditions.sql"),
        &[
            (&rows.iter().map(|row| row.watch.0).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&rows.iter().map(|row| row.team.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.vantage()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.router.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.table.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.condition.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&prefixes, Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.since.unix_micros()).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&rows.iter().map(|row| row.detail.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}

/// Deletes conditions that no longer hold.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn delete_conditions(transaction: &mut Transaction<'_>, rows: &[&ConditionRow]) -> Result<()> {
    transaction.execute_typed(
        "DELETE FROM watch.conditions c
         USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS gone (watch_id, vantage, condition, subject)
         WHERE (c.watch_id, c.vantage, c.condition, c.subject)
             = (gone.watch_id, gone.vantage, gone.condition, gone.subject)",
        &[
            (&rows.iter().map(|row| row.watch.0).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&rows.iter().map(|row| row.vantage()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.condition.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}

/// Where a watch's route was seen: watch, router, table, and when last.
pub type SeenRow = (WatchId, RouterId, String, Timestamp);

/// Returns where the routes of enabled watches were seen.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn seen(transaction: &mut Transaction<'_>) -> Result<Vec<SeenRow>> {
    let rows = transaction.query_typed(
        "SELECT s.watch_id, s.router_id, s.table_name, (extract(epoch FROM s.last_at) * 1000000)::bigint
         FROM watch.seen s JOIN watch.watches w ON w.id = s.watch_id WHERE w.enabled",
        &[],
    )?;
    let seen = |row: &Row| {
        (WatchId(row.get(0)), RouterId::new(row.get(1)), row.get(2), Timestamp::from_unix_micros(row.get(3)))
    };
    Ok(rows.iter().map(seen).collect())
}

/// Stores that these watches' routes are there now, or were until now.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn set_seen(transaction: &mut Transaction<'_>, seen: &[(WatchId, &RouterId, &str)]) -> Result<()> {
    let ids: Vec<i64> = seen.iter().map(|(id, ..)| id.0).collect();
    let routers: Vec<&str> = seen.iter().map(|(_, router, _)| router.as_str()).collect();
    let tables: Vec<&str> = seen.iter().map(|(.., table)| *table).collect();
    transaction.execute_typed(
        "INSERT INTO watch.seen (watch_id, router_id, table_name, first_at, last_at)
         SELECT watch_id, router_id, table_name, now(), now()
         FROM unnest($1::bigint[], $2::text[], $3::text[]) AS new (watch_id, router_id, table_name)
         WHERE EXISTS (SELECT FROM watch.watches w WHERE w.id = new.watch_id)
         ON CONFLICT (watch_id, router_id, table_name) DO UPDATE SET last_at = now()",
        &[(&ids, Type::INT8_ARRAY), (&routers, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY)],
    )?;
    Ok(())
}

/// Forgets where the routes of these watches were seen: their prefix is another, or their state was accepted anew.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget_seen(transaction: &mut Transaction<'_>, watches: &[WatchId]) -> Result<()> {
    let ids: Vec<i64> = watches.iter().map(|id| id.0).collect();
    transaction.execute_typed("DELETE FROM watch.seen WHERE watch_id = ANY ($1)", &[(&ids, Type::INT8_ARRAY)])?;
    Ok(())
}

pub(super) fn asn(value: i64) -> Option<Asn> {
    u32::try_from(value).ok().map(Asn)
}

pub(super) fn time(row: &Row, i: usize) -> Option<Timestamp> {
    row.get::<_, Option<i64>>(i).map(Timestamp::from_unix_micros)
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
