//! Routes and events of the families that are not prefixes.

use postgres::types::Type;

use super::list::ListQuery;

/// Which NLRI are asked for. Every condition that is given holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct NlriFilter {
    pub(crate) routers: Option<Vec<String>>,
    /// `loc-rib`, `adj-rib-in-pre` and so on.
    pub(crate) view: Option<String>,
    pub(crate) table_name: Option<String>,
    /// These peers, of an Adj-RIB.
    pub(crate) peers: Option<Vec<String>>,
    /// The name with which keys begin.
    pub(crate) family: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) key: Option<String>,
    /// Text that is somewhere in the key.
    pub(crate) contains: Option<String>,
}

impl NlriFilter {
    fn list(self, statement: &'static str) -> ListQuery {
        ListQuery::new(statement)
            .with(self.routers, Type::TEXT_ARRAY)
            .with(self.view, Type::TEXT)
            .with(self.table_name, Type::TEXT)
            .with(self.peers, Type::TEXT_ARRAY)
            .with(self.family, Type::TEXT)
            .with(self.kind, Type::TEXT)
            .with(self.key, Type::TEXT)
            .with(self.contains, Type::TEXT)
    }
}

/// Returns the list of the routes as they are now.
pub(crate) fn routes(filter: NlriFilter) -> ListQuery {
    filter.list(include_str!("../../../sql/statements/api_nlri_routes.sql"))
}

/// Returns the list of the events between two times (RFC 3339), the latest first.
pub(crate) fn events(filter: NlriFilter, from: String, to: String) -> ListQuery {
    filter.list(include_str!("../../../sql/statements/api_nlri_events.sql")).with(from, Type::TEXT).with(to, Type::TEXT)
}

/// Returns the list of the tables, with their numbers of routes; of these routers, or of all.
pub(crate) fn tables(routers: Option<Vec<String>>) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_nlri_tables.sql")).with(routers, Type::TEXT_ARRAY)
}

/// Returns the list of the numbers of routes of peers between two times (RFC 3339), the latest first.
pub(crate) fn counts(routers: Option<Vec<String>>, peers: Option<Vec<String>>, from: String, to: String) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_nlri_counts.sql"))
        .with(routers, Type::TEXT_ARRAY)
        .with(peers, Type::TEXT_ARRAY)
        .with(from, Type::TEXT)
        .with(to, Type::TEXT)
}
