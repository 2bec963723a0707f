//! Real routers: FRR, GoBGP and BIRD speak BMP to the collector.

#[path = "../common/mod.rs"]
mod common;

mod adj_rib;
mod documented;
mod registry;
mod relay;
mod routers;
mod stations;
