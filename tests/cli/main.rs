//! The commands, from the outside.

#[path = "../common/mod.rs"]
mod common;

mod archive;
mod callbacks;
mod capture;
mod change;
mod compare;
mod compare_page;
mod config;
mod database;
mod env_file;
mod forget;
mod incidents;
mod layout;
mod lookup_nlri;
mod mrt;
mod mrt_at;
mod mrt_parts;
mod replay;
mod serve;
mod status;
mod watch;
mod watch_page;
