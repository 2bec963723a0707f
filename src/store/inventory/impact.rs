//! The loss of covering routes if a prefix, a peer or a router went.

use postgres::types::Type;
use postgres::{Client, Row};

use super::super::error::Result;

/// Something that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Every route to exactly this prefix.
    Prefix(String),
    /// The peer with this address, at every router that has it.
    Peer(String),
    /// The router with this identifier: its own tables, and what others learn from it.
    Router(String),
}

/// The loss of an address at a vantage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) address: String,
    pub(crate) router_id: String,
    /// The router's host name.
    pub(crate) hostname: Option<String>,
    pub(crate) table_name: String,
    /// The prefix that covers it now.
    pub(crate) prefix: String,
    /// The AS path of that route.
    pub(crate) path: Option<String>,
    /// The text of the outcome.
    pub(crate) outcome: String,
    /// The prefix that would cover it.
    pub(crate) next_prefix: Option<String>,
    /// The other routes that are known, in words.
    pub(crate) others: Vec<String>,
    /// The gap in what is known, in words.
    pub(crate) reason: Option<String>,
    /// Who has the address: `container web1`.
    pub(crate) owners: Vec<String>,
    /// The numbers of the services that need it.
    pub(crate) services: Vec<i32>,
}

impl Loss {
    /// Returns whether the covering route is lost: nothing is left, or the default route only.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self.outcome.as_str(), "lost" | "default_only")
    }
}

/// A service, and where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePlace {
    pub(crate) id: i32,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) hostname: String,
    pub(crate) node: String,
    pub(crate) site: String,
}

/// Returns what becomes of addresses, the worst first.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn impact(client: &mut Client, gone: &Gone) -> Result<Vec<Loss>> {
    let (kind, target) = match gone {
        Gone::Prefix(prefix) => ("prefix", prefix),
        Gone::Peer(peer) => ("peer", peer),
        Gone::Router(router) => ("router", router),
    };
    let rows = client.query_typed(
        include_str!("../../../sql/statements/inventory_impact.sql"),
        &[(&kind, Type::TEXT), (target, Type::TEXT)],
    )?;
    Ok(rows.iter().map(read).collect())
}

fn read(row: &Row) -> Loss {
    Loss {
        address: row.get("address"),
        router_id: row.get("router_id"),
        hostname: row.get("hostname"),
        table_name: row.get("table_name"),
        prefix: row.get("prefix"),
        path: row.get("path"),
        outcome: row.get("outcome"),
        next_prefix: row.get("next_prefix"),
        others: row.get("others"),
        reason: row.get("reason"),
        owners: row.get("owners"),
        services: row.get("services"),
    }
}

/// Returns services by number.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn services(client: &mut Client, ids: &[i32]) -> Result<Vec<ServicePlace>> {
    let rows = client
        .query_typed(include_str!("../../../sql/statements/inventory_services.sql"), &[(&ids, Type::INT4_ARRAY)])?;
    let service = |row: &Row| ServicePlace {
        id: row.get("service_id"),
        kind: row.get("type"),
        name: row.get("name"),
        hostname: row.get("hostname"),
        node: row.get("node"),
        site: row.get("site"),
    };
    Ok(rows.iter().map(service).collect())
}

/// Returns whether a prefix has a route, a peer is stored.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn is_known(client: &mut Client, gone: &Gone) -> Result<bool> {
    let (sql, target) = match gone {
        Gone::Prefix(prefix) => (
            "SELECT EXISTS (SELECT FROM current_routes WHERE prefix = $1::text::cidr)
                 OR EXISTS (SELECT FROM adj_rib_in WHERE prefix = $1::text::cidr)",
            prefix,
        ),
        Gone::Peer(peer) => ("SELECT EXISTS (SELECT FROM peers WHERE peer_address = $1::text::inet)", peer),
        Gone::Router(router) => ("SELECT EXISTS (SELECT FROM routers WHERE router_id = $1::text)", router),
    };
    Ok(client.query_typed_one(sql, &[(target, Type::TEXT)])?.get(0))
}
