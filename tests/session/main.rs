//! Routers' sessions, through the socket into SQL.

#[path = "../common/mod.rs"]
mod common;

mod add_path;
mod adj_rib;
mod balancers;
mod clocks;
mod connect;
mod corpus;
mod drift;
mod gaps;
mod healing;
mod identity;
mod journal;
mod kill_between;
mod kill_nine;
mod kills;
mod limits;
mod md5;
mod nlri_events;
mod nlri_text;
mod poison;
mod relay;
mod sessions;
mod station_router;
mod station_scene;
mod station_views;
mod stations_at_random;
mod stored_families;
mod take_over;
mod take_overs;
mod tls;
mod two_sessions;
mod two_stations;
mod unnamed;
mod watching;
