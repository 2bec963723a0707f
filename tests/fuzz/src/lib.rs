//! What holds for any octets a router, or a validator of the RPKI, may send: one check per part of the path from the
//! socket to the database.
//!
//! Each `check` takes any input and panics if an invariant is broken. cargo-fuzz makes inputs up; `tests/memory.rs`
//! and `tests/wire/recordings.rs` include this file and give it every prefix and every changed octet of recordings.
#![allow(missing_docs, clippy::unwrap_used, dead_code)]

pub mod capture;
pub mod frames;
pub mod journal;
pub mod lines;
pub mod message;
pub mod mrt;
pub mod nlri;
pub mod open;
pub mod rows;
pub mod rpki;
pub mod seeds;
pub mod session;
pub mod trickle;
pub mod update;

/// The longest BMP message accepted: the collector's default.
pub const MESSAGE_MAX: usize = 1 << 20;
