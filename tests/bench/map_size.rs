//! The memory that a collector needs to know what is stored: resident bytes per route of the stored-route map.
//!
//! ```text
//! cargo run --release --example map_size [PEERS [TABLES [ROUTES]]]
//! ```
//!
//! Each of `PEERS` peers (200) has `TABLES` tables (20: VRFs, views) of `ROUTES` routes (2500), a sixth of them IPv6,
//! all with attributes out of the same few sets. The sets cost nothing: the map keeps a fingerprint of a route's
//! attributes.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a measurement")]

use rib_ingester::model::{Afi, Nlri, Prefix};
use rib_ingester::session::route_map::RouteMap;

/// Routes of a table that share their attributes, as a full table has them.
const ROUTES_PER_SET: u64 = 6;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u32>().expect("a number"));
    let mut next = |default| arguments.next().unwrap_or(default);
    let (peers, tables, routes) = (next(200), next(20), next(2_500));
    let before = resident_bytes();
    let mut all = Vec::new();
    for _ in 0..peers * tables {
        let (v6, v4) = (routes / 6, routes - routes / 6);
        all.push(filled(Afi::Ipv4, v4));
        all.push(filled(Afi::Ipv6, v6));
    }
    let stored: usize = all.iter().map(RouteMap::len).sum();
    let taken = resident_bytes() - before;
    println!("{peers} peers, {tables} tables each, {routes} routes each: {stored} routes");
    println!("{:.0} MB resident, {} bytes a route", taken as f64 / 1e6, taken / stored as u64);
}

/// A table of `routes` different prefixes, filled as a dump fills it.
fn filled(afi: Afi, routes: u32) -> RouteMap {
    let mut rib = RouteMap::new(afi);
    for index in 0..routes {
        let (octets, length) = match afi {
            Afi::Ipv4 => ((index << 8).to_be_bytes().to_vec(), 24),
            Afi::Ipv6 => ([&[0x20, 1][..], &index.to_be_bytes()].concat(), 48),
        };
        let prefix = Prefix::new(afi, &octets, length).expect("no host bits");
        let set = u64::from(index) / ROUTES_PER_SET;
        rib.announce(&Nlri { prefix, path_id: None }, set.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    rib
}

/// Memory of this process in RAM.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).expect("a second field").parse().expect("a number");
    pages * 4_096
}
