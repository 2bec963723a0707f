//! The HTTP port: health, metrics, pages, and the monitoring that is built on them.

#[path = "../common/mod.rs"]
mod common;

mod accessibility;
mod bounds;
mod endpoints;
mod monitoring;
mod pages;
mod screenshots;
mod watch;
