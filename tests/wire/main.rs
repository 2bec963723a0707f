//! The decoder: octets in, messages and columns out.

#[path = "../common/mod.rs"]
mod common;

mod corpus;
mod golden;
mod other_families;
mod properties;
mod recordings;
mod roundtrip;
mod texts;
mod vpls_and_spf;
