//! Watches: what opens incidents, what closes them, and what opens none.

#[path = "../common/mod.rs"]
mod common;

mod callbacks;
mod incidents;
mod quiet;
mod world;
