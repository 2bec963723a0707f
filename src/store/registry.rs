//! The schema `registry`: the sessions of a peering registry, and what routers say of them.

pub(crate) mod counts;
pub(crate) mod list;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod watches;
