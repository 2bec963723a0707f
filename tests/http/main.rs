//! The HTTP port: health, metrics, pages, and the monitoring that is built on them.

#[path = "../common/mod.rs"]
mod common;

mod accessibility;
mod alice;
mod api;
mod api_document;
mod api_incidents;
mod birdwatcher;
mod bounds;
mod buttons;
mod endpoints;
mod monitoring;
mod no_loc_rib;
mod pages;
mod screenshots;
mod watch;
