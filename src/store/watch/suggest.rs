//! The prefixes that ASes originate now, from which watches are suggested.

use postgres::Client;
use postgres::types::Type;

use super::super::error::Result;

/// The largest number of routes that are read.
pub const ROUTES_MAX: i64 = 1_000_000;

/// A prefix with one of its paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginatedRoute {
    /// The prefix, as text.
    pub prefix: String,
    /// Its origin.
    pub origin: i64,
    /// The AS path; empty for a router's own.
    pub path: String,
}

/// A BGP session of a router of the ASes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSession {
    /// The peer's address.
    pub address: String,
    /// The peer's AS.
    pub asn: i64,
    /// The router's description of it.
    pub description: Option<String>,
}

/// A VRP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVrp {
    /// Its prefix, as text.
    pub prefix: String,
    /// The longest prefix that it allows.
    pub max_length: i16,
    /// The AS that it allows.
    pub asn: i64,
}

/// The set of VRPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VrpSetState {
    /// There is none.
    Empty,
    /// It is older than `RIB_INGESTER_VRPS_MAX_AGE_SECS`, or past its own end.
    Stale,
    /// It can be used.
    Fresh,
}

/// Returns the prefixes that `ases` originate, with each distinct path; at most [`ROUTES_MAX`].
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes(client: &mut Client, ases: &[i64]) -> Result<Vec<OriginatedRoute>> {
    let sql = include_str!("../../../sql/statements/suggest_routes.sql");
    let rows = client.query_typed(sql, &[(&ases, Type::INT8_ARRAY), (&ROUTES_MAX, Type::INT8)])?;
    let route = |row: &postgres::Row| OriginatedRoute { prefix: row.get(0), origin: row.get(1), path: row.get(2) };
    Ok(rows.iter().map(route).collect())
}

/// Returns which of these prefixes have an origin that is none of `ases`, and these origins.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn other_origins(client: &mut Client, prefixes: &[&str], ases: &[i64]) -> Result<Vec<(String, Vec<i64>)>> {
    let rows = client.query_typed(
        include_str!("../../../sql/statements/suggest_other_origins.sql"),
        &[(&prefixes, Type::TEXT_ARRAY), (&ases, Type::INT8_ARRAY)],
    )?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Returns the eBGP sessions of the routers of `ases` that are up.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn sessions(client: &mut Client, ases: &[i64]) -> Result<Vec<OwnSession>> {
    let sql = include_str!("../../../sql/statements/suggest_sessions.sql");
    let rows = client.query_typed(sql, &[(&ases, Type::INT8_ARRAY)])?;
    Ok(rows.iter().map(|row| OwnSession { address: row.get(0), asn: row.get(1), description: row.get(2) }).collect())
}

/// Returns the VRPs of `ases`, and the state of the set that they are from.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn vrps(client: &mut Client, ases: &[i64]) -> Result<(VrpSetState, Vec<StoredVrp>)> {
    let sql = "SELECT COALESCE(bool_or(vrps > 0), false), NOT rpki.is_usable() FROM rpki.vrp_set";
    let set = client.query_typed_one(sql, &[])?;
    let state = match (set.get(0), set.get(1)) {
        (false, _) => VrpSetState::Empty,
        (true, true) => VrpSetState::Stale,
        (true, false) => VrpSetState::Fresh,
    };
    let rows = client.query_typed(
        "SELECT DISTINCT prefix::text, max_length, asn FROM rpki.vrps WHERE asn = ANY ($1) ORDER BY 1, 2, 3",
        &[(&ases, Type::INT8_ARRAY)],
    )?;
    let vrps =
        rows.iter().map(|row| StoredVrp { prefix: row.get(0), max_length: row.get(1), asn: row.get(2) }).collect();
    Ok((state, vrps))
}
