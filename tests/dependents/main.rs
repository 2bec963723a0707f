//! Schemas of what depends on routes: the sessions of a peering registry, the services of an inventory, tenants.

#[path = "../common/mod.rs"]
mod common;

mod examples;
mod imports;
mod inventory;
mod names;
mod registry;
mod rights;
mod tenants;
