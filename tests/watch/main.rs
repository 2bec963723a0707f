//! Watches from the outside: what routers send, and what receivers are told.

#[path = "../common/mod.rs"]
mod common;

mod callbacks;
