//! The validity of stored routes: what is stored, by router, and what a scan says of it.

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::super::copy_fields::FieldReader;
use super::super::error::Result;
use super::super::load::read_rows;
use super::fields;
use crate::model::rpki::RouteState;
use crate::model::rpki::table::VrpTable;
use crate::model::{Asn, Prefix, Timestamp};

/// The rows of one statement.
const CHUNK: usize = 20_000;

/// A prefix and the AS that originates it; 0: none can be told (RFC 6811 section 2).
pub type Pair = (Prefix, Asn);

/// Returns the VRPs in force, for validation.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn vrp_table(transaction: &mut Transaction<'_>) -> Result<VrpTable> {
    let mut vrps = Vec::new();
    let reader = transaction
        .copy_out("COPY (SELECT prefix, max_length::bigint, asn FROM rpki.vrps) TO STDOUT (FORMAT binary)")?;
    read_rows(reader, 3, |row| {
        let mut row = FieldReader::new(row);
        let prefix = fields::prefix(&mut row)?;
        let max_length = fields::max_length(&mut row)?;
        let asn = fields::asn(&mut row)?;
        vrps.push((prefix, max_length, asn));
        Ok(())
    })?;
    Ok(VrpTable::of(vrps))
}

/// Returns the routers that have tables, and when the last of their dumps was over; `None`: none is yet.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn routers(client: &mut Client) -> Result<Vec<(String, Option<Timestamp>)>> {
    let rows = client.query_typed(include_str!("../../../sql/statements/rpki_routers.sql"), &[])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get::<_, Option<i64>>(1).map(Timestamp::from_unix_micros))).collect())
}

/// Calls `take` with prefix and origin of each stored route of a router: of its Loc-RIB, and of its Adj-RIB-In before
/// and after policy. Routes whose origin cannot be known are left out.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn read_pairs(transaction: &mut Transaction<'_>, router: &str, mut take: impl FnMut(Pair)) -> Result<()> {
    // COPY takes no parameters.
    transaction.query_typed("SELECT set_config('rib_ingester.router', $1, true)", &[(&router, Type::TEXT)])?;
    let reader = transaction.copy_out(include_str!("../../../sql/statements/rpki_copy_routes.sql"))?;
    read_rows(reader, 2, |row| {
        let mut row = FieldReader::new(row);
        // A prefix or an AS number that no router can send is nobody's route.
        if let (Some(prefix), Some(asn)) = (row.prefix(), row.bigint().and_then(|asn| u32::try_from(asn).ok())) {
            take((prefix, Asn(asn)));
        }
        Ok(())
    })
}

/// Pairs and their states in the order of the pairs, each once.
pub type Validated = Vec<(Pair, RouteState)>;

/// The changes of a scan.
#[derive(Debug, Default)]
pub struct Changes {
    /// Pairs that are valid or invalid and are not stored so.
    pub set: Vec<(Pair, RouteState)>,
    /// Pairs that are neither any more, or are nobody's route any more.
    pub removed: Vec<Pair>,
    /// Those of them that are routes still and were valid.
    pub lost: Vec<Pair>,
}

/// Compares what a scan found with what is stored. A scan of some routers removes nothing: others may have the route.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn compare(transaction: &mut Transaction<'_>, found: &Validated, is_of_all: bool) -> Result<Changes> {
    let mut stored: Validated = Vec::new();
    let reader = transaction.copy_out(include_str!("../../../sql/statements/rpki_copy_validity.sql"))?;
    read_rows(reader, 3, |row| {
        let mut row = FieldReader::new(row);
        let prefix = fields::prefix(&mut row)?;
        let asn = fields::asn(&mut row)?;
        let state = if row.bigint() == Some(1) { RouteState::Valid } else { RouteState::Invalid };
        stored.push(((prefix, asn), state));
        Ok(())
    })?;
    stored.sort_unstable();
    Ok(changes(found, &stored, is_of_all))
}

/// Compares two lists that are in order.
fn changes(found: &Validated, stored: &Validated, is_of_all: bool) -> Changes {
    let mut changes = Changes::default();
    let mut stored = stored.iter().peekable();
    let gone = |changes: &mut Changes, pair: Pair| {
        if is_of_all {
            changes.removed.push(pair);
        }
    };
    for (pair, state) in found {
        while let Some((old, _)) = stored.next_if(|(old, _)| old < pair) {
            gone(&mut changes, *old);
        }
        let was = stored.next_if(|(old, _)| old == pair).map(|(_, was)| *was);
        match (state, was) {
            (RouteState::NotFound, None) => {}
            (RouteState::NotFound, Some(was)) => {
                changes.removed.push(*pair);
                if was == RouteState::Valid {
                    changes.lost.push(*pair);
                }
            }
            (_, was) if was == Some(*state) => {}
            (state, _) => changes.set.push((*pair, *state)),
        }
    }
    stored.for_each(|(old, _)| gone(&mut changes, *old));
    changes
}

/// Stores what a scan changes.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn write(transaction: &mut Transaction<'_>, changes: &Changes) -> Result<()> {
    for chunk in changes.removed.chunks(CHUNK) {
        let (prefixes, asns) = columns(chunk.iter().copied());
        transaction.execute_typed(
            include_str!("../../../sql/statements/rpki_delete_validity.sql"),
            &[(&prefixes, Type::TEXT_ARRAY), (&asns, Type::INT8_ARRAY)],
        )?;
    }
    for chunk in changes.set.chunks(CHUNK) {
        let (prefixes, asns) = columns(chunk.iter().map(|(pair, _)| *pair));
        let states: Vec<&str> = chunk.iter().map(|(_, state)| state.name()).collect();
        transaction.execute_typed(
            include_str!("../../../sql/statements/rpki_upsert_validity.sql"),
            &[(&prefixes, Type::TEXT_ARRAY), (&asns, Type::INT8_ARRAY), (&states, Type::TEXT_ARRAY)],
        )?;
    }
    for chunk in changes.lost.chunks(CHUNK) {
        let (prefixes, asns) = columns(chunk.iter().copied());
        transaction.execute_typed(
            include_str!("../../../sql/statements/rpki_insert_lost.sql"),
            &[(&prefixes, Type::TEXT_ARRAY), (&asns, Type::INT8_ARRAY)],
        )?;
    }
    Ok(())
}

/// Forgets lost validity that is over: the route is gone or covered again, or a week has passed. `found` is what a scan
/// of all routers found.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn prune_lost(transaction: &mut Transaction<'_>, found: &Validated) -> Result<()> {
    transaction.execute_typed("DELETE FROM rpki.lost_validity WHERE lost_at < now() - INTERVAL '7 days'", &[])?;
    let mut over = Vec::new();
    let reader =
        transaction.copy_out("COPY (SELECT prefix, origin_asn FROM rpki.lost_validity) TO STDOUT (FORMAT binary)")?;
    read_rows(reader, 2, |row| {
        let mut row = FieldReader::new(row);
        let prefix = fields::prefix(&mut row)?;
        let asn = fields::asn(&mut row)?;
        let pair = (prefix, asn);
        let state = found.binary_search_by_key(&pair, |(pair, _)| *pair).ok().map(|at| found[at].1);
        if state != Some(RouteState::NotFound) {
            over.push(pair);
        }
        Ok(())
    })?;
    for chunk in over.chunks(CHUNK) {
        let (prefixes, asns) = columns(chunk.iter().copied());
        transaction.execute_typed(
            include_str!("../../../sql/statements/rpki_delete_lost.sql"),
            &[(&prefixes, Type::TEXT_ARRAY), (&asns, Type::INT8_ARRAY)],
        )?;
    }
    Ok(())
}

/// Stores how many pairs of a router are in each state of [`RouteState::ALL`].
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn set_router_states(transaction: &mut Transaction<'_>, router: &str, counts: [u64; 3]) -> Result<()> {
    let names = RouteState::ALL.map(RouteState::name).to_vec();
    let counts: Vec<i64> = counts.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX)).collect();
    transaction.execute_typed(
        include_str!("../../../sql/statements/rpki_router_states.sql"),
        &[(&router, Type::TEXT), (&names, Type::TEXT_ARRAY), (&counts, Type::INT8_ARRAY)],
    )?;
    Ok(())
}

/// Stores that all routers were scanned with this version of the VRPs, and forgets the counts of all others.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn finish(transaction: &mut Transaction<'_>, routers: &[&str], version: i64) -> Result<()> {
    transaction
        .execute_typed("DELETE FROM rpki.router_states WHERE router_id <> ALL ($1)", &[(&routers, Type::TEXT_ARRAY)])?;
    transaction.execute_typed(
        "UPDATE rpki.vrp_set SET scanned_version = $1, scanned_at = clock_timestamp()",
        &[(&version, Type::INT8)],
    )?;
    Ok(())
}

fn columns(pairs: impl Iterator<Item = Pair>) -> (Vec<String>, Vec<i64>) {
    pairs.map(|(prefix, asn)| (prefix.to_string(), i64::from(asn.0))).unzip()
}

/// The routes of a router by state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterCounts {
    /// The router.
    pub router: String,
    /// The number of its routes that are valid.
    pub valid: i64,
    /// The number of its routes that are invalid.
    pub invalid: i64,
    /// The number of its routes that no VRP covers.
    pub not_found: i64,
    /// When they were counted.
    pub scanned_at: Timestamp,
}

/// Returns the routes of each router by state, as of its last scan.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn router_counts(client: &mut Client) -> Result<Vec<RouterCounts>> {
    let rows = client.query_typed(include_str!("../../../sql/statements/rpki_router_counts.sql"), &[])?;
    let counts = |row: &postgres::Row| RouterCounts {
        router: row.get(0),
        valid: row.get(1),
        invalid: row.get(2),
        not_found: row.get(3),
        scanned_at: Timestamp::from_unix_micros(row.get(4)),
    };
    Ok(rows.iter().map(counts).collect())
}

/// The invalid pairs that are looked up to know whether a router accepts them: a page waits for it.
const ACCEPTED_ASKED_MAX: i64 = 20_000;

/// The pairs of prefix and origin that are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPairs {
    /// All of them.
    pub count: i64,
    /// Those that a router accepts: in a Loc-RIB or after policy. `None`: too many to look at each.
    pub accepted: Option<i64>,
}

/// Returns how many pairs of prefix and origin are invalid, as of the last scan.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn invalid_pairs(client: &mut Client) -> Result<InvalidPairs> {
    let row = client.query_typed_one(
        include_str!("../../../sql/statements/rpki_invalid_pairs.sql"),
        &[(&ACCEPTED_ASKED_MAX, Type::INT8)],
    )?;
    let (count, asked): (i64, i64) = (row.get(0), row.get(1));
    Ok(InvalidPairs { count, accepted: (count == asked).then(|| row.get(2)) })
}

/// A stored route that a ROA would concern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcernedRoute {
    /// The prefix.
    pub prefix: String,
    /// The AS that originates it; 0: none.
    pub origin: i64,
    /// Its state now.
    pub state: String,
    /// The VRP that the ROA would make matches it.
    pub is_matched: bool,
    /// The routers that have it.
    pub routers: i64,
}

/// Returns the stored routes that a VRP would cover, and those of them that it would match.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn concerned(client: &mut Client, prefix: &Prefix, max_length: u8, asn: Asn) -> Result<Vec<ConcernedRoute>> {
    let rows = client.query_typed(
        include_str!("../../../sql/statements/rpki_concerned.sql"),
        &[(&prefix.to_string(), Type::TEXT), (&i32::from(max_length), Type::INT4), (&i64::from(asn.0), Type::INT8)],
    )?;
    let route = |row: &postgres::Row| ConcernedRoute {
        prefix: row.get(0),
        origin: row.get(1),
        state: row.get(2),
        is_matched: row.get(3),
        routers: row.get(4),
    };
    Ok(rows.iter().map(route).collect())
}
