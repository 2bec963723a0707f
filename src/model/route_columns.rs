//! A route as its row has it: what is left of its path attributes once they are stored.

use std::net::IpAddr;

use serde_json::Value;

/// The attribute columns of a route.
#[derive(Clone, Debug, Default)]
pub struct RouteColumns<'a> {
    /// The next hop.
    pub nexthop: Option<IpAddr>,
    /// The AS path; empty is an empty path.
    pub as_path: Option<&'a str>,
    /// `IGP`, `EGP` or `INCOMPLETE`.
    pub origin: Option<&'a str>,
    /// LOCAL_PREF.
    pub localpref: Option<i64>,
    /// MULTI_EXIT_DISC.
    pub med: Option<i64>,
    /// Communities.
    pub communities_std: Option<Vec<&'a str>>,
    /// Extended communities.
    pub communities_ext: Option<Vec<&'a str>>,
    /// Large communities.
    pub communities_large: Option<Vec<&'a str>>,
    /// All other attributes.
    pub attrs: Option<Value>,
}

impl RouteColumns<'_> {
    /// Returns the labels of the route, top first; empty where it has none.
    pub(crate) fn labels(&self) -> Vec<u32> {
        let all = self.attrs.as_ref().and_then(|attrs| attrs.get("labels")?.as_array());
        let label = |label: &Value| u32::try_from(label.as_u64()?).ok();
        all.map(|all| all.iter().filter_map(label).collect()).unwrap_or_default()
    }
}
