//! The HTTP port: health, metrics, pages, and what monitoring makes of them.

#[path = "../common/mod.rs"]
mod common;

mod accessibility;
mod bounds;
mod endpoints;
mod monitoring;
mod pages;
mod screenshots;
