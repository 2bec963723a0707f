//! What the evaluator of watches takes: everything evaluated, one change, many, and a peer that takes all routes along.
//!
//! ```text
//! scripts/bench watches [ROUTES [WATCHES ...]]
//! cargo run --release --example watch_rounds DATABASE_URL [ROUTES [WATCHES ...]]
//! ```
//!
//! In an empty database: one router with `ROUTES` (1,000,000) routes in its Loc-RIB, and for each number of `WATCHES`
//! (10,000 and 100,000) as many watches of prefixes, spread over all routes, then the first of these numbers of watches of
//! addresses inside them. One route of five covers the four after it. A round's time is that of the whole transaction; the rest of what is not this process's CPU is the server's.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a measurement")]

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rib_ingester::store::{self, Client};
use rib_ingester::watch::{Evaluator, Report};

/// The single changes whose times are told.
const SINGLE: usize = 200;

struct Bench {
    client: Client,
    evaluator: Evaluator,
    routes: u32,
    watches: u32,
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap())
}

/// Returns the highest use of memory so far, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

impl Bench {
    fn sql(&mut self, sql: &str) {
        self.client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    fn count(&mut self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).unwrap().get(0)
    }

    fn round(&mut self) -> (Duration, Report) {
        let began = Instant::now();
        let report = self.evaluator.round(&mut self.client).unwrap();
        (began.elapsed(), report)
    }

    /// Runs one round and prints what it took.
    fn measure(&mut self, what: &str) -> Report {
        let before = cpu();
        let (took, report) = self.round();
        let own = cpu() - before;
        println!(
            "{:>7} watches  {what:<34} {:>8.3} s, own CPU {:>7.3} s, peak {:>4} MiB",
            self.watches,
            took.as_secs_f64(),
            own.as_secs_f64(),
            peak()
        );
        report
    }

    fn fill(&mut self) {
        self.sql(
            "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version)
             VALUES ('c1', gen_random_uuid(), now() + interval '1 day', now(), 'bench');
             INSERT INTO routers (router_id, hostname, as_number) VALUES ('10.0.0.1', 'edge1', 64496);
             INSERT INTO bmp_sessions (router_id, collector_id, state) VALUES ('10.0.0.1', 'c1', 'up');
             INSERT INTO rib_sync_status (router_id, table_name, afi, session_start_time, synced_at)
             VALUES ('10.0.0.1', 'global', 4, now(), now());
             CREATE TABLE bench_routes (prefix cidr)",
        );
        let routes = self.routes;
        self.sql(&format!(
            "INSERT INTO bench_routes
             SELECT network(set_masklen('20.0.0.0'::inet + i / 5 * 1024 + greatest(i % 5 - 1, 0) * 256, CASE WHEN i % 5 = 0 THEN 22 ELSE 24 END))
             FROM generate_series(0, {routes} - 1) AS i"
        ));
        self.load();
        self.peer("up");
    }

    fn load(&mut self) {
        self.sql(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path, origin_asn)
             SELECT '10.0.0.1', 'global', 4, prefix, '64500 64496', 64496 FROM bench_routes",
        );
        self.sql("VACUUM ANALYZE current_routes");
    }

    /// The peer of all routes goes up or down, and the writers say so.
    fn peer(&mut self, state: &str) {
        let routes = self.routes;
        self.sql(&format!(
            "INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, last_reason)
             VALUES ('10.0.0.1', 'global', '198.51.100.1', 64500, '{state}', 'Hold Timer Expired')
             ON CONFLICT (router_id, peer_type, distinguisher, peer_address, peer_asn)
             DO UPDATE SET state = EXCLUDED.state, since = now(), updated_at = now();
             INSERT INTO session_events (router_id, peer_address, kind, reason, routes)
             VALUES ('10.0.0.1', '198.51.100.1', 'peer_{state}', 'Hold Timer Expired', {routes});
             INSERT INTO watch.outbox (router_id, peer_address, cause) VALUES ('10.0.0.1', '198.51.100.1', 'peer');
             INSERT INTO watch.outbox (router_id, table_name, cause) VALUES ('10.0.0.1', 'global', 'removal')"
        ));
    }

    fn watch(&mut self) {
        let (watches, step) = (self.watches, (self.routes / self.watches).max(1));
        self.sql(&format!(
            "INSERT INTO watch.watches (name, kind, prefix, expected_origins, open_after_secs, close_after_secs, settle_secs)
             SELECT 'w' || i / {step}, 'prefix', prefix, '{{64496}}', 0, 0, 0
             FROM (SELECT prefix, row_number() OVER (ORDER BY prefix) - 1 AS i FROM bench_routes) AS r
             WHERE i % {step} = i / {step} % least({step}, 5) AND i / {step} < {watches}"
        ));
        self.sql("ANALYZE watch.watches");
    }

    /// Nothing of earlier watches is left.
    fn clear(&mut self, watches: u32) {
        self.watches = watches;
        self.evaluator.forget();
        self.sql(
            "TRUNCATE watch.incidents, watch.incident_events, watch.conditions, watch.seen, watch.judged, watch.outbox CASCADE;
             DELETE FROM watch.watches; UPDATE collectors SET trie_version = 9000000",
        );
    }

    /// Notes 20,000 routes as changed.
    fn note_routes(&mut self) {
        self.sql(
            "INSERT INTO watch.outbox (router_id, table_name, afi, prefix, cause)
             SELECT '10.0.0.1', 'global', 1, prefix, 'route' FROM bench_routes LIMIT 20000",
        );
    }

    /// Watches of addresses: each asks for the longest route that covers it.
    fn run_addresses(&mut self, watches: u32) {
        self.clear(watches);
        self.watch();
        self.sql(
            "UPDATE watch.watches SET kind = 'address', address = host(prefix)::inet + 1, prefix = NULL;
             ANALYZE watch.watches",
        );
        let _ = self.measure("addresses, all for the first time");
        self.evaluator.forget();
        let report = self.measure("addresses, all after a restart");
        assert!(report.is_full && report.missed == 0 && report.lines.is_empty(), "{report:?}");
        self.note_routes();
        let _ = self.measure("addresses, 20,000 routes changed");
        let seen = self.count("SELECT count(DISTINCT watch_id) FROM watch.seen");
        assert_eq!(seen, i64::from(watches), "every address has a route");
    }

    /// One route with another origin, and back: an incident that opens, and one that closes.
    fn single(&mut self) {
        let change = "UPDATE current_routes SET as_path = '64500 ' || $1, origin_asn = $1 WHERE prefix =
                      (SELECT prefix FROM watch.watches WHERE name = $2)";
        let note = "INSERT INTO watch.outbox (router_id, table_name, afi, prefix, cause)
                    SELECT '10.0.0.1', 'global', 1, prefix, 'route' FROM watch.watches WHERE name = $1";
        let mut times = Vec::new();
        for i in 0..SINGLE {
            let (name, origin) = (format!("w{}", i / 2), if i % 2 == 0 { 64_511_i64 } else { 64_496 });
            let change = change.replace("$1", &origin.to_string()).replace("$2", &format!("'{name}'"));
            self.sql(&change);
            self.sql(&note.replace("$1", &format!("'{name}'")));
            let (took, report) = self.round();
            assert_eq!(report.lines.len(), 1, "{:?}", report.lines);
            times.push(took.as_secs_f64() * 1000.0);
        }
        times.sort_unstable_by(f64::total_cmp);
        let at = |share: usize| times[(SINGLE * share / 100).min(SINGLE - 1)];
        println!(
            "{:>7} watches  {:<34} {:>8.1} ms, 99 of 100 {:.1} ms, longest {:.1} ms",
            self.watches,
            "one route, incident opens or closes",
            at(50),
            at(99),
            at(100)
        );
    }

    fn run(&mut self, watches: u32) {
        self.clear(watches);
        self.watch();
        let _ = self.measure("all, for the first time");
        self.evaluator.forget();
        let report = self.measure("all, after a restart");
        assert!(report.is_full && report.missed == 0 && report.lines.is_empty(), "{report:?}");
        self.single();
        self.note_routes();
        let _ = self.measure("20,000 routes that changed");
        self.sql("DELETE FROM current_routes");
        self.peer("down");
        let report = self.measure("Peer Down of all routes");
        assert_eq!(report.lines.len(), 1, "{:?}", report.lines);
        let children =
            self.count("SELECT count(*) FROM watch.incidents WHERE parent_id IS NOT NULL AND state = 'open'");
        assert_eq!(children, i64::from(watches));
        self.load();
        self.peer("up");
        let _ = self.measure("all routes back");
        assert_eq!(self.count("SELECT count(*) FROM watch.incidents WHERE state <> 'closed'"), 0);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("a connection URL of an empty database");
    let mut numbers: Vec<u32> = arguments.map(|word| word.parse().expect("a number")).collect();
    let routes = if numbers.is_empty() { 1_000_000 } else { numbers.remove(0) };
    if numbers.is_empty() {
        numbers = vec![10_000, 100_000];
    }
    let mut client = store::connect(&url, "bench").unwrap();
    store::migrate(&mut client).unwrap();
    client.batch_execute("SET statement_timeout = '5min'; SET jit = off").unwrap();
    let mut bench = Bench { client, evaluator: Evaluator::new("bench"), routes, watches: 0 };
    bench.fill();
    println!("{routes} routes of one router");
    for watches in &numbers {
        bench.run(*watches);
    }
    bench.run_addresses(numbers[0]);
}
