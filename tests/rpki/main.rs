//! RPKI: where VRPs come from, when they are taken and held, and what they say of stored routes.

#[path = "../common/mod.rs"]
mod common;

mod lookup;
mod scan;
mod served;
mod sets;
mod world;
