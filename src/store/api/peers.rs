//! Peers with their state, why they last went down, and how many routes are stored of them.

use postgres::types::Type;

use super::list::ListQuery;

/// Which peers are asked for. Every condition that is given holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerFilter {
    pub(crate) routers: Option<Vec<String>>,
    pub(crate) asns: Option<Vec<i64>>,
    /// `up`, `down` or `unknown`.
    pub(crate) state: Option<String>,
    pub(crate) addresses: Option<Vec<String>>,
}

/// Returns the list of peers, by router, type, distinguisher, address and AS.
pub(crate) fn peers(filter: PeerFilter) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_peers.sql"))
        .with(filter.routers, Type::TEXT_ARRAY)
        .with(filter.asns, Type::INT8_ARRAY)
        .with(filter.state, Type::TEXT)
        .with(filter.addresses, Type::TEXT_ARRAY)
}
