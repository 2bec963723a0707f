//! What the validation of all stored routes takes: the first scan, one that changes nothing, and one with other VRPs.
//!
//! ```text
//! scripts/bench rpki [ROUTES [VRPS]]
//! cargo run --release --example rpki_scan DATABASE_URL [ROUTES [VRPS]]
//! ```
//!
//! In an empty database: one router with `ROUTES` (1,000,000) distinct prefixes in its Loc-RIB, a fifth of them IPv6, and
//! `VRPS` (500,000). Three quarters of the VRPs are for the prefix of a route, the rest for one that covers four; one
//! of fifty names another AS. A scan's time is that of the whole transaction; the rest of what is not this process's CPU
//! is the server's.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a measurement")]

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rib_ingester::metrics::heartbeat::Heartbeat;
use rib_ingester::rpki::scan::{Scanned, scan};
use rib_ingester::store::{self, Client};

/// The scans of each kind.
const ROUNDS: usize = 5;

const ROUTER: &str = "10.0.0.1";

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap())
}

/// Scans, and prints what it took.
fn measure(client: &mut Client, what: &str) -> Scanned {
    let heartbeat = Heartbeat::new("bench", Duration::from_secs(600));
    let (began, before) = (Instant::now(), cpu());
    let scanned = scan(client, &[ROUTER.to_owned()], true, 1, &heartbeat).unwrap();
    println!(
        "{what:<24} {:>7.3} s, own CPU {:>6.3} s, {} changed",
        began.elapsed().as_secs_f64(),
        (cpu() - before).as_secs_f64(),
        scanned.changed
    );
    scanned
}

fn fill(client: &mut Client, routes: u32, vrps: u32) {
    let sql = format!(
        "INSERT INTO routers (router_id, hostname, as_number) VALUES ('{ROUTER}', 'edge1', 64496);
         CREATE TABLE bench_routes AS
         SELECT i, 65536 + i % 70000 AS asn,
                CASE WHEN i % 5 < 4 THEN network(set_masklen('20.0.0.0'::inet + i::bigint * 256, 24))
                     ELSE ('2a00:' || to_hex(i >> 16) || ':' || to_hex(i & 65535) || '::/48')::cidr END AS prefix
         FROM generate_series(0, {routes} - 1) AS i;
         INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path, origin_asn)
         SELECT '{ROUTER}', 'global', family(prefix), prefix, '64500 ' || asn, asn FROM bench_routes;
         INSERT INTO rpki.vrps (prefix, max_length, asn, trust_anchor)
         SELECT CASE WHEN i % 8 = 0 THEN network(set_masklen(prefix, masklen(prefix) - 2)) ELSE prefix END, masklen(prefix),
                CASE WHEN i % 100 = 0 THEN 64511 ELSE asn END, 'bench' || i % 5
         FROM bench_routes WHERE i % 2 = 0 ORDER BY i LIMIT {vrps};
         UPDATE rpki.vrp_set SET version = 1, generated = now(), vrps = {vrps}"
    );
    client.batch_execute(&sql).unwrap();
    client.batch_execute("VACUUM ANALYZE current_routes").unwrap();
    client.batch_execute("VACUUM ANALYZE rpki.vrps").unwrap();
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("a connection URL of an empty database");
    let mut number = |unless: u32| arguments.next().map_or(unless, |word| word.parse().expect("a number"));
    let (routes, vrps) = (number(1_000_000), number(500_000));
    let mut client = store::connect(&url, "bench").unwrap();
    store::migrate(&mut client).unwrap();
    client.batch_execute("SET statement_timeout = '5min'; SET jit = off").unwrap();
    fill(&mut client, routes, vrps);
    println!("{routes} routes of one router, {vrps} VRPs");
    let first = measure(&mut client, "first scan");
    assert_eq!(first.pairs, usize::try_from(routes).unwrap());
    println!("valid, invalid, not-found: {:?}", first.routers[0].1);
    for _ in 0..ROUNDS {
        assert_eq!(measure(&mut client, "nothing changed").changed, 0);
    }
    for round in 0..ROUNDS {
        let other = format!("UPDATE rpki.vrps SET asn = asn + 1 WHERE asn % 200 = {}", 2 * round);
        client.batch_execute(&other).unwrap();
        assert!(measure(&mut client, "1 of 200 VRPs changed").changed > 0);
    }
}
