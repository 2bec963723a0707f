//! The rows that operators keep and that name a router or a peer: a removal lists them and leaves them.

use std::net::IpAddr;

use postgres::Client;
use postgres::types::Type;

use crate::model::RouterId;
use crate::store::error::Result;

/// The most rows that are returned of one kind.
const ROWS_MAX: i64 = 20;

/// The tables whose rows are listed.
pub const LISTED: [&str; 6] = [
    "inventory.site_vantages",
    "registry.routers",
    "watch.change_windows",
    "watch.silences",
    "watch.vantages",
    "watch.watches",
];

/// The tables that let go of a router or peer by themselves, and by what.
pub const BY_THEMSELVES: [(&str, &str); 7] = [
    ("inventory.address_states", "the round of the inventory keeps what watches see"),
    ("registry.session_watches", "goes with its watch"),
    ("rpki.router_states", "the scan keeps the routers that have routes"),
    ("watch.conditions", "the evaluator deletes those of forgotten routers"),
    ("watch.flap_counts", "kept for minutes"),
    ("watch.outbox", "deleted as it is read"),
    ("watch.seen", "the evaluator deletes those of forgotten routers"),
];

/// A row that names the router or the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `watch`, `silence`, `vantage`, `change window`, `registry`, `inventory`.
    pub kind: String,
    /// The row, in words.
    pub name: String,
    /// The number of rows of this kind, of which some are returned.
    pub of: i64,
}

/// Returns the rows that name a router; with an address, those that name its peer.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn references(client: &mut Client, router: &RouterId, peer: Option<IpAddr>) -> Result<Vec<Reference>> {
    let rows = client.query_typed(
        include_str!("../../../sql/statements/forget_references.sql"),
        &[(&router.as_str(), Type::TEXT), (&peer, Type::INET), (&ROWS_MAX, Type::INT8)],
    )?;
    let read = |row: &postgres::Row| Reference { kind: row.get("kind"), name: row.get("name"), of: row.get("of") };
    Ok(rows.iter().map(read).collect())
}
