//! Tables that the API gives as they are: how complete each RIB is, summaries, session events, flaps.

use postgres::types::Type;

use super::list::ListQuery;

/// Returns the list of tables with how complete they are; of these routers, or of all.
pub(crate) fn sync(routers: Option<Vec<String>>) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_sync.sql")).with(routers, Type::TEXT_ARRAY)
}

/// Returns the list of the rows of `route_summary`; of these routers, or of all.
pub(crate) fn summary(routers: Option<Vec<String>>) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_summary.sql")).with(routers, Type::TEXT_ARRAY)
}

/// Which session events are asked for. Every condition that is given holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    pub(crate) routers: Option<Vec<String>>,
    pub(crate) kind: Option<String>,
    /// RFC 3339.
    pub(crate) from: Option<String>,
    /// RFC 3339.
    pub(crate) to: Option<String>,
}

/// Returns the list of session events, the latest first.
pub(crate) fn session_events(filter: EventFilter) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_session_events.sql"))
        .with(filter.routers, Type::TEXT_ARRAY)
        .with(filter.kind, Type::TEXT)
        .with(filter.from, Type::TEXT)
        .with(filter.to, Type::TEXT)
}

/// Returns the list of the routes that flapped or changed within the last `minutes` minutes, the worst first.
pub(crate) fn flaps(routers: Option<Vec<String>>, table_name: Option<String>, minutes: i64) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_flaps.sql"))
        .without_pages()
        .with(routers, Type::TEXT_ARRAY)
        .with(table_name, Type::TEXT)
        .with(minutes, Type::INT8)
}
