//! The peers of a router and the routes of their Adj-RIBs, for birdwatcher's API.

use std::collections::HashMap;
use std::ops::ControlFlow;

use postgres::types::{ToSql, Type};
use postgres::{Client, GenericClient, IsolationLevel, Row, Transaction};

use super::error::Result;
use super::portal::each_row;
use super::table_columns::read_afi;
use super::time::read_time;
use crate::model::{Afi, RibKind, Timestamp};

/// A peer by the AS, address and identifier that it has, and its VRF.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BirdPeer {
    /// Its AS.
    pub(crate) asn: i64,
    /// Its address.
    pub(crate) address: String,
    /// The distinguisher of its VRF; empty outside of VRFs.
    pub(crate) distinguisher: String,
}

/// A BGP session of the router.
#[derive(Clone, Debug)]
pub(crate) struct BirdSession {
    pub(crate) peer: BirdPeer,
    /// `up`, `down` or `unknown`.
    pub(crate) state: String,
    /// The start of that state.
    pub(crate) since: Timestamp,
    /// Its name for people.
    pub(crate) description: Option<String>,
    /// The reason why it was last down.
    pub(crate) last_reason: Option<String>,
}

/// One Adj-RIB table of a peer, both views together.
#[derive(Clone, Debug)]
pub(crate) struct PeerTable {
    pub(crate) peer: BirdPeer,
    /// `table_name`.
    pub(crate) name: String,
    /// The family.
    pub(crate) afi: Afi,
    /// The number of routes before policy; `None` where that view is not stored.
    pub(crate) pre: Option<i64>,
    /// The number of routes after policy; `None` where that view is not stored.
    pub(crate) post: Option<i64>,
}

impl PeerTable {
    /// Returns the number of routes that the router accepts, as far as anybody can tell.
    pub(crate) fn accepted(&self) -> i64 {
        self.post.or(self.pre).unwrap_or(0)
    }

    /// Returns whether what the policy rejects is known.
    pub(crate) fn has_both(&self) -> bool {
        self.pre.is_some() && self.post.is_some()
    }
}

/// One route.
#[derive(Debug)]
pub(crate) struct BirdRoute<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) nexthop: Option<&'a str>,
    pub(crate) as_path: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) localpref: Option<i64>,
    pub(crate) med: Option<i64>,
    pub(crate) communities_std: Vec<&'a str>,
    pub(crate) communities_ext: Vec<&'a str>,
    pub(crate) communities_large: Vec<&'a str>,
    /// Only to Customer (RFC 9234).
    pub(crate) otc: Option<&'a str>,
    /// The link-local next hop beside the global one.
    pub(crate) link_local: Option<&'a str>,
    /// True if the router marks the path as its best.
    pub(crate) is_best: bool,
    /// The time of the last change.
    pub(crate) updated_at: Timestamp,
    /// True if the VRPs make it invalid; false if not, or if nobody asked.
    pub(crate) is_rpki_invalid: bool,
}

/// The routes of a table that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteSet {
    /// Those that the import policy accepts.
    Accepted,
    /// Those of networks of which it accepts no path.
    Rejected {
        /// True if the VRPs are asked.
        with_rpki: bool,
    },
    /// Those that the export policy keeps from the peer.
    NotExported,
}

impl RouteSet {
    /// Returns the direction of the Adj-RIBs.
    pub(crate) fn rib(self) -> RibKind {
        match self {
            RouteSet::Accepted | RouteSet::Rejected { .. } => RibKind::AdjRibIn,
            RouteSet::NotExported => RibKind::AdjRibOut,
        }
    }
}

/// Returns the BGP sessions of a router.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn sessions(client: &mut Client, router: &str) -> Result<Vec<BirdSession>> {
    let rows =
        client.query_typed(include_str!("../../sql/statements/birdwatcher_peers.sql"), &[(&router, Type::TEXT)])?;
    let read = |row: &Row| {
        Ok(BirdSession {
            peer: read_peer(row),
            state: row.get("state"),
            since: read_time(row.get("since"))?,
            description: row.get("description"),
            last_reason: row.get("last_reason"),
        })
    };
    rows.iter().map(read).collect()
}

/// Returns the Adj-RIB tables of a router, received or to be sent.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn tables(client: &mut impl GenericClient, router: &str, rib: RibKind) -> Result<Vec<PeerTable>> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/birdwatcher_tables.sql"),
        &[(&router, Type::TEXT), (&rib.as_str(), Type::TEXT)],
    )?;
    let read = |row: &Row| {
        let routes = |has: &str, routes: &str| row.get::<_, bool>(has).then(|| row.get(routes));
        Ok(PeerTable {
            peer: read_peer(row),
            name: row.get("table_name"),
            afi: read_afi(row.get("afi"))?,
            pre: routes("has_pre", "pre"),
            post: routes("has_post", "post"),
        })
    };
    rows.iter().map(read).collect()
}

/// Returns how many routes of each table are of networks of which the policy accepts no path: by address, name and
/// family.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn rejected_counts(client: &mut Client, router: &str) -> Result<HashMap<(String, String, Afi), i64>> {
    let mut transaction = client.transaction()?;
    transaction.batch_execute(include_str!("../../sql/statements/api_stream_settings.sql"))?;
    transaction.batch_execute(include_str!("../../sql/statements/birdwatcher_settings.sql"))?;
    let rows = transaction
        .query_typed(include_str!("../../sql/statements/birdwatcher_rejected_counts.sql"), &[(&router, Type::TEXT)])?;
    transaction.commit()?;
    let read = |row: &Row| {
        let key = (row.get("peer_address"), row.get("table_name"), read_afi(row.get("afi"))?);
        Ok((key, row.get("routes")))
    };
    rows.iter().map(read).collect()
}

/// Calls `deliver` with the routes of those tables that are `wanted`, until it breaks off. All of them are of one moment.
///
/// # Errors
/// When a query fails or takes too long, or the connection is lost.
pub(crate) fn routes(
    client: &mut Client,
    router: &str,
    set: RouteSet,
    wanted: &dyn Fn(&PeerTable) -> bool,
    deliver: &mut dyn FnMut(&PeerTable, &BirdRoute<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let mut transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()?;
    transaction.batch_execute(include_str!("../../sql/statements/api_stream_settings.sql"))?;
    for table in tables(&mut transaction, router, set.rib())? {
        let is_known = set == RouteSet::Accepted || table.has_both();
        if is_known && wanted(&table) && stream(&mut transaction, router, set, &table, deliver)?.is_break() {
            return Ok(());
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Delivers the routes of one table.
fn stream(
    transaction: &mut Transaction<'_>,
    router: &str,
    set: RouteSet,
    table: &PeerTable,
    deliver: &mut dyn FnMut(&PeerTable, &BirdRoute<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let (afi, is_post, rib) = (table.afi.column(), table.post.is_some(), set.rib().as_str());
    let with_rpki = set == RouteSet::Rejected { with_rpki: true };
    let (peer, name) = (table.peer.address.as_str(), table.name.as_str());
    type Parameters<'a> = Vec<(&'a (dyn ToSql + Sync), Type)>;
    let (text, parameters): (&str, Parameters<'_>) = match set {
        RouteSet::Accepted => (
            include_str!("../../sql/statements/birdwatcher_routes.sql"),
            vec![
                (&router, Type::TEXT),
                (&peer, Type::TEXT),
                (&is_post, Type::BOOL),
                (&name, Type::TEXT),
                (&afi, Type::INT2),
            ],
        ),
        RouteSet::Rejected { .. } | RouteSet::NotExported => (
            include_str!("../../sql/statements/birdwatcher_rejected.sql"),
            vec![
                (&router, Type::TEXT),
                (&peer, Type::TEXT),
                (&name, Type::TEXT),
                (&afi, Type::INT2),
                (&rib, Type::TEXT),
                (&with_rpki, Type::BOOL),
            ],
        ),
    };
    each_row(transaction, text, parameters, &mut |row| Ok(deliver(table, &read_route(row)?)))
}

/// Calls `deliver` with the accepted routes to one prefix.
///
/// # Errors
/// When a query fails or takes too long, or the connection is lost.
pub(crate) fn routes_to(
    client: &mut Client,
    router: &str,
    prefix: &str,
    deliver: &mut dyn FnMut(&PeerTable, &BirdRoute<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let tables = tables(client, router, RibKind::AdjRibIn)?;
    let rows = client.query_typed(
        include_str!("../../sql/statements/birdwatcher_prefix.sql"),
        &[(&router, Type::TEXT), (&prefix, Type::TEXT)],
    )?;
    for row in &rows {
        let (address, name): (&str, &str) = (row.get("peer_address"), row.get("table_name"));
        let afi = read_afi(row.get("afi"))?;
        let is_its = |table: &&PeerTable| table.peer.address == address && table.name == name && table.afi == afi;
        // Tables of other kinds of routes have prefixes too.
        let Some(table) = tables.iter().find(is_its) else { continue };
        if deliver(table, &read_route(row)?).is_break() {
            break;
        }
    }
    Ok(())
}

fn read_peer(row: &Row) -> BirdPeer {
    BirdPeer { asn: row.get("peer_asn"), address: row.get("peer_address"), distinguisher: row.get("distinguisher") }
}

fn read_route(row: &Row) -> Result<BirdRoute<'_>> {
    let list = |column| row.get::<_, Option<Vec<&str>>>(column).unwrap_or_default();
    Ok(BirdRoute {
        prefix: row.get("prefix"),
        nexthop: row.get("nexthop"),
        as_path: row.get("as_path"),
        origin: row.get("origin"),
        localpref: row.get("localpref"),
        med: row.get("med"),
        communities_std: list("communities_std"),
        communities_ext: list("communities_ext"),
        communities_large: list("communities_large"),
        otc: row.get("otc"),
        link_local: row.get("link_local"),
        is_best: row.get::<_, Option<bool>>("is_best").unwrap_or(false),
        updated_at: read_time(row.get("updated_at"))?,
        is_rpki_invalid: row.get::<_, Option<bool>>("is_rpki_invalid").unwrap_or(false),
    })
}
