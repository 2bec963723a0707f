//! The records of what depends on routes: sessions of a peering registry, services of an inventory, tenants.
//!
//! They are schemas beside the routes, filled by their owners or by `rib-ingester import`. A round of each makes watches
//! of its rows, reads what the evaluator of watches found for them, and writes what follows into the rows. None of them
//! evaluates routes itself. Where a schema is empty, its rounds are a statement each that finds no row.

mod inventory;
pub(crate) mod registry;
pub mod run;
mod tenants;
