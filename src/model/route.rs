//! Whose table a route is in.

use std::fmt;
use std::sync::Arc;

use super::Afi;

/// The `router_id` of the database, settled once per session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouterId(Arc<str>);

impl RouterId {
    /// Wraps an identifier that is already safe text.
    pub fn new(id: &str) -> RouterId {
        RouterId(id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One routing table of one router and family: what `rib_sync_status` has a row for.
///
/// Shared as `Arc<Table>`: a million routes name one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// The router.
    pub router: RouterId,
    /// The `table_name`.
    pub name: Arc<str>,
    /// The family.
    pub afi: Afi,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "router {} table {} {}", self.router, self.name, self.afi)
    }
}
