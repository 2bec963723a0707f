//! The tables of a peering registry.

use super::{Schema, Table};

/// The schema `registry`.
pub(crate) const SCHEMA: Schema = Schema {
    name: "registry",
    tables: &[
        Table { name: "users", sources: &[], renamed: &[], left_out: &[] },
        Table { name: "routers", sources: &[], renamed: &[], left_out: &[] },
        // Keys of tunnels are for the agents.
        Table { name: "bgp_sessions", sources: &["sessions"], renamed: &[], left_out: &["credential"] },
    ],
    // Those of the registry may be secrets, and ours are set here.
    left_out: &["settings"],
};
