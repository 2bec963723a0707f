//! Differences between routers, policies and times for the `compare` command, and whether they are known.

use std::net::IpAddr;
use std::time::SystemTime;

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{ToSql, Type};
use postgres::{Client, IsolationLevel, Row, Transaction};

use super::error::Result;
use super::router_state::{self, RouterState};
use super::table_columns::read_afi;
use super::time::{read_time, system_time};
use crate::model::{Afi, Timestamp};

/// Begins a transaction that reads one state of the database, and has the time that whole tables take.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    let mut transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()?;
    transaction.batch_execute(include_str!("../../sql/statements/compare_settings.sql"))?;
    Ok(transaction)
}

/// A router, and whether it is connected.
#[derive(Clone, Debug)]
pub struct ComparedRouter {
    /// `router_id`.
    pub router_id: String,
    /// The name that operators gave it, else its sysName.
    pub name: Option<String>,
    /// The state of its BMP session.
    pub state: RouterState,
    /// The start of that state.
    pub since: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
}

/// Returns these routers; all of them for `None`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routers(transaction: &mut Transaction<'_>, ids: Option<&[String]>) -> Result<Vec<ComparedRouter>> {
    let rows = transaction
        .query_typed(include_str!("../../sql/statements/compare_routers.sql"), &[(&ids, Type::TEXT_ARRAY)])?;
    let read = |row: &Row| {
        Ok(ComparedRouter {
            router_id: row.get("router_id"),
            name: row.get("name"),
            state: router_state::read_state(row)?,
            since: row.get::<_, Option<SystemTime>>("since").map(read_time).transpose()?,
            reason: row.get("reason"),
        })
    };
    rows.iter().map(read).collect()
}

/// A family of a table of a router.
#[derive(Clone, Debug)]
pub struct ComparedTable {
    /// The router.
    pub router_id: String,
    /// The peer and whether it is the view after policy; `None` for a Loc-RIB.
    pub adj_rib_in: Option<(IpAddr, bool)>,
    /// The table's name.
    pub name: String,
    /// The family.
    pub afi: Afi,
    /// True if the router has sent all of it in the present session.
    pub is_synced: bool,
}

/// Returns the Loc-RIBs and Adj-RIBs-In of routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn tables(transaction: &mut Transaction<'_>, routers: &[String]) -> Result<Vec<ComparedTable>> {
    let rows = transaction
        .query_typed(include_str!("../../sql/statements/compare_tables.sql"), &[(&routers, Type::TEXT_ARRAY)])?;
    let read = |row: &Row| {
        let peer: Option<IpAddr> = row.get("peer_address");
        let is_post: Option<bool> = row.get("is_post_policy");
        Ok(ComparedTable {
            router_id: row.get("router_id"),
            adj_rib_in: peer.zip(is_post),
            name: row.get("table_name"),
            afi: read_afi(row.get("afi"))?,
            is_synced: row.get("is_synced"),
        })
    };
    rows.iter().map(read).collect()
}

/// The history of a Loc-RIB table at two moments.
#[derive(Clone, Debug)]
pub struct TableHistory {
    /// The table's name.
    pub name: String,
    /// True if it is complete at the first moment.
    pub knows_before: bool,
    /// True if it is complete at the second one.
    pub knows_after: bool,
    /// One of the moments, at which the router had no BMP session.
    pub down_at: Option<Timestamp>,
    /// One of the moments, at which the router had not sent the whole table.
    pub dumping_at: Option<Timestamp>,
}

/// Returns what the history knows of the Loc-RIB tables of a router at two moments.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn history(
    transaction: &mut Transaction<'_>,
    router: &str,
    (before, after): (Timestamp, Timestamp),
    inside: Option<&str>,
) -> Result<Vec<TableHistory>> {
    let (before, after) = (system_time(before), system_time(after));
    let rows = transaction.query_typed(
        include_str!("../../sql/statements/compare_history.sql"),
        &[(&router, Type::TEXT), (&before, Type::TIMESTAMPTZ), (&after, Type::TIMESTAMPTZ), (&inside, Type::TEXT)],
    )?;
    let read = |row: &Row| {
        let time = |column| row.get::<_, Option<SystemTime>>(column).map(read_time).transpose();
        Ok(TableHistory {
            name: row.get("table_name"),
            knows_before: row.get("knows_before"),
            knows_after: row.get("knows_after"),
            down_at: time("down_at")?,
            dumping_at: time("dumping_at")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Two sides that are compared.
#[derive(Clone, Debug)]
pub enum Sides {
    /// A Loc-RIB table of a router and one of another: router, table, router, table.
    Routers([String; 4]),
    /// The Adj-RIBs-In of two routers, true after policy: router, router.
    Peers([String; 2], bool),
    /// The Adj-RIB-In of a peer before and after policy: router, peer.
    Policy(String, IpAddr),
    /// A Loc-RIB table of a router at two moments: router, table.
    Times(String, String, Timestamp, Timestamp),
}

/// The compared part of two sides.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Attributes that are not compared.
    pub ignored: Vec<String>,
    /// Only this prefix.
    pub prefix: Option<String>,
    /// And what it covers.
    pub is_longer: bool,
}

/// A prefix whose paths differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The peer, where the sides have several.
    pub peer: Option<String>,
    /// The table, where the sides have several.
    pub table: Option<String>,
    /// The prefix.
    pub prefix: String,
    /// `only_a`, `only_b`, `paths`; `dropped`, `changed`, `added`; `gone`, `changed`, `added`.
    pub kind: String,
    /// The attributes that differ; none where only the number of paths does.
    pub attributes: Vec<String>,
    /// The paths of the first side, as a JSON array.
    pub first: String,
    /// The paths of the second side, as a JSON array.
    pub second: String,
}

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Counts the prefixes that differ, by kind of difference.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn count(transaction: &mut Transaction<'_>, sides: &Sides, selection: &Selection) -> Result<Vec<(String, i64)>> {
    let texts = parameters(sides, selection);
    let source = source(sides);
    let sql =
        format!("SELECT difference, count(*) FROM {source} d WHERE {WANTED} GROUP BY difference ORDER BY difference");
    let rows = transaction.query_typed(&sql, &typed(&texts, selection))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// A part of a comparison.
#[derive(Clone, Debug)]
pub enum Compared {
    /// The number of prefixes that differ, by kind of difference. It comes first.
    Counts(Vec<(String, i64)>),
    /// One of them.
    Difference(Difference),
}

/// Calls `found` with the numbers of prefixes that differ and then with the prefixes, at most `limit`, in their order,
/// as they arrive. One statement gives both: it reads two whole tables.
///
/// # Errors
/// When a statement fails or the connection is lost, or `found` fails.
pub fn differences<E: From<super::Error>>(
    transaction: &mut Transaction<'_>,
    sides: &Sides,
    selection: &Selection,
    limit: i64,
    mut found: impl FnMut(Compared) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let failed = |error: postgres::Error| E::from(super::Error::from(error));
    let texts = parameters(sides, selection);
    let sql = differences_sql(sides);
    let mut parameters = typed(&texts, selection);
    parameters.push((&limit, Type::INT8));
    let mut rows = transaction.query_typed_raw(&sql, parameters).map_err(failed)?;
    let mut counts = Some(Vec::new());
    while let Some(row) = rows.next().map_err(failed)? {
        if let (Some(counts), Some(count)) = (&mut counts, row.get::<_, Option<i64>>(7)) {
            counts.push((row.get(3), count));
            continue;
        }
        if let Some(counts) = counts.take() {
            found(Compared::Counts(counts))?;
        }
        found(Compared::Difference(Difference {
            peer: row.get(0),
            table: row.get(1),
            prefix: row.get(2),
            kind: row.get(3),
            attributes: row.get(4),
            first: row.get(5),
            second: row.get(6),
        }))?;
    }
    counts.map_or(Ok(()), |counts| found(Compared::Counts(counts)))
}

/// The numbers by kind, and then the prefixes, of one reading of both sides.
fn differences_sql(sides: &Sides) -> String {
    let (peer, table, first, second) = match sides {
        Sides::Routers(_) => ("NULL::text", "NULL::text", "a", "b"),
        Sides::Peers(..) => ("host(peer_address)", "table_name", "a", "b"),
        Sides::Policy(..) => ("NULL::text", "table_name", "before", "after"),
        Sides::Times(..) => ("NULL::text", "NULL::text", "before", "after"),
    };
    let source = source(sides);
    format!(
        "WITH found AS MATERIALIZED (
             SELECT {peer} AS peer, {table} AS named, d.afi, d.prefix, d.difference, d.attributes, {first}::text AS first, {second}::text AS second
             FROM {source} d WHERE {WANTED}
         )
         (SELECT NULL, NULL, NULL, difference, NULL::text[], NULL, NULL, count(*) FROM found GROUP BY difference ORDER BY difference)
         UNION ALL
         (SELECT peer, named, prefix::text, difference, attributes, first, second, NULL FROM found ORDER BY peer, named, afi, found.prefix LIMIT $8)"
    )
}

/// The condition for the prefixes: all of those that the function gives, or exactly one.
const WANTED: &str = "($3 OR $2::cidr IS NULL OR d.prefix = $2::cidr)";

/// The function that compares two sides. Its parameters are those of [`typed`].
fn source(sides: &Sides) -> &'static str {
    match sides {
        Sides::Routers(_) => "routes_diff($4, $5, $6, $7, $1, $2::cidr)",
        Sides::Peers(..) => "adj_rib_in_diff($4, $5, $6::boolean, $1, $2::cidr)",
        Sides::Policy(..) => "policy_diff($4, $5::inet, $1, $2::cidr)",
        Sides::Times(..) => "prefixes_between($6::timestamptz, $7::timestamptz, $4, $5, $1, $2::cidr)",
    }
}

fn parameters(sides: &Sides, selection: &Selection) -> [Option<String>; 5] {
    let prefix = selection.prefix.clone();
    match sides {
        Sides::Routers([a, table_a, b, table_b]) => {
            [prefix, Some(a.clone()), Some(table_a.clone()), Some(b.clone()), Some(table_b.clone())]
        }
        Sides::Peers([a, b], is_post) => [prefix, Some(a.clone()), Some(b.clone()), Some(is_post.to_string()), None],
        Sides::Policy(router, peer) => [prefix, Some(router.clone()), Some(peer.to_string()), None, None],
        Sides::Times(router, table, before, after) => {
            [prefix, Some(router.clone()), Some(table.clone()), Some(before.to_string()), Some(after.to_string())]
        }
    }
}

fn typed<'a>([prefix, texts @ ..]: &'a [Option<String>; 5], selection: &'a Selection) -> Vec<Parameter<'a>> {
    let mut all: Vec<Parameter<'a>> =
        vec![(&selection.ignored, Type::TEXT_ARRAY), (prefix, Type::TEXT), (&selection.is_longer, Type::BOOL)];
    all.extend(texts.iter().map(|text| -> Parameter<'a> { (text, Type::TEXT) }));
    all
}
