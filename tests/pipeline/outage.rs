//! An hour of 5,000 updates a second without a database, compressed in time: the routers send all of it as fast as the
//! collector accepts it while PostgreSQL is down; then PostgreSQL starts, and everything is stored, once and in order.
//!
//! `RIB_INGESTER_TEST_OUTAGE_UPDATES` sets the number of updates; `scripts/outage` sets it to 18 million.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester};
use crate::common::server::{Folder, Server, Shutdown};
use postgres::{Client, NoTls};

/// The number of routers that share the updates.
const ROUTERS: u32 = 4;

/// Of all routers together, by the timestamps that they send.
const UPDATES_PER_SECOND: u32 = 5000;

/// Prefixes of one router's table at most.
const TABLE_MAX: u32 = 100_000;

/// The number of updates that are written to one router's socket at a time.
const AT_ONCE: u32 = 1000;

fn number(url: &str, sql: &str) -> i64 {
    let mut client = Client::connect(url, NoTls).unwrap();
    client.query_one(&format!("SELECT ({sql})::bigint"), &[]).unwrap().get(0)
}

fn journaled(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |path: &Path| if path.is_dir() { journaled(path) } else { path.metadata().map_or(0, |file| file.len()) };
    entries.map(|entry| size(&entry.path())).sum()
}

/// Waits for a condition that may take as long as there is work: it goes on as long as `progress` moves.
fn wait_while_it_moves(what: &str, mut progress: impl FnMut() -> i64, target: i64) {
    let (mut last, mut moved) = (-1, Instant::now());
    loop {
        let now = progress();
        if now == target {
            return;
        }
        if now != last {
            (last, moved) = (now, Instant::now());
        }
        assert!(moved.elapsed() < Duration::from_secs(120), "{what}: stands at {now} of {target}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// One router's share of the updates: each changes the MED of one prefix.
fn feed(router: &mut FakeRouter, peer: Peer, updates: u32, table: u32) {
    let mut sent = 0;
    while sent < updates {
        let mut bytes = Vec::new();
        for i in sent..(sent + AT_ONCE).min(updates) {
            let place = i % table;
            let prefix = format!("10.{}.{}.0/24", place >> 8 & 0xff, place & 0xff);
            let prefix = if place >> 16 == 0 { prefix } else { prefix.replacen("10.", "11.", 1) };
            let attributes = Attributes { med: Some(i / table), ..Attributes::path(&[64_500, 64_501 + place % 500]) };
            let at = peer.at(1_700_000_000 + i * ROUTERS / UPDATES_PER_SECOND);
            bytes.extend(bmp::route_monitoring(at, &bmp::announce(&attributes, "192.0.2.1", &[&prefix])));
        }
        router.send(&bytes);
        sent += AT_ONCE;
    }
}

#[test]
fn an_hour_without_a_database_comes_through_complete() {
    let updates = std::env::var("RIB_INGESTER_TEST_OUTAGE_UPDATES").map_or(40_000, |text| text.parse::<u32>().unwrap());
    let each = updates / ROUTERS;
    let table = (each / 10).clamp(1, TABLE_MAX);
    let options =
        "-c fsync=on -c full_page_writes=on -c synchronous_commit=on -c shared_buffers=512MB -c max_wal_size=1GB";
    let mut server = Server::start(options, &[]);
    let url = server.url.clone();
    let state_dir = Folder::new();
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap()), ("FLUSH_MS", "200")];
    let mut ingester = Ingester::start(&url, &settings);
    let mut routers = Vec::new();
    for i in 1..=ROUTERS {
        let peer = Peer::loc_rib(&format!("10.255.0.{i}"));
        let mut router = ingester.connect();
        let open = Open::of(64_500, &peer.bgp_id.to_string());
        router.send(&bmp::initiation(b"edge", b"")).send(&bmp::peer_up(peer, &open, Some("global")));
        router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
        routers.push((peer, router));
    }
    let synchronized = "SELECT count(*) FROM rib_sync_status WHERE eor_seen";
    wait_while_it_moves("synchronized routers", || number(&url, synchronized), i64::from(ROUTERS));

    server.shut_down(Shutdown::Immediate);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for (peer, router) in &mut routers {
            scope.spawn(move || feed(router, *peer, each, table));
        }
    });
    let unread = || routers.iter().map(|(_, router)| i64::try_from(router.unread()).unwrap()).sum();
    wait_while_it_moves("octets that the collector has not read", unread, 0);
    let fed = begin.elapsed();
    let (peak, memory) = (journaled(&state_dir.path().join("journal")), ingester.proc_status("VmRSS"));
    println!(
        "{updates} updates read in {:.1} s, {peak} bytes in the journal, {memory} KiB of memory",
        fed.as_secs_f64()
    );

    server.start_again();
    let begin = Instant::now();
    let total = i64::from(each * ROUTERS);
    // Counted by the collector while they arrive: counting millions of rows repeatedly would be most of the work.
    wait_while_it_moves("events written", || events_written(&mut ingester), total);
    let took = begin.elapsed().as_secs_f64();
    let rate = f64::from(updates) / took;
    println!("all stored {took:.1} s after the start of the database, {rate:.0} a second");
    assert_eq!(number(&url, "SELECT count(*) FROM route_events"), total);
    assert_eq!(number(&url, "SELECT count(*) FROM (SELECT DISTINCT event_id FROM route_events) e"), total);
    let swapped =
        "SELECT count(*) FROM (SELECT med < lag(med) OVER (PARTITION BY router_id, prefix ORDER BY ingest_time)
                   AS swapped FROM route_events) e WHERE swapped";
    assert_eq!(number(&url, swapped), 0);
    // The last generation may be of a part of the table only.
    let last = (each - 1) / table;
    let of_last = i64::from((each - last * table) * ROUTERS);
    let routes = format!("SELECT count(*) FROM current_routes WHERE med >= {last} - 1");
    wait_while_it_moves("routes", || number(&url, &routes), i64::from(table * ROUTERS));
    let routes = format!("SELECT count(*) FROM current_routes WHERE med = {last}");
    wait_while_it_moves("routes of the last generation", || number(&url, &routes), of_last);
    let unstored = || metric(&mut ingester, "rib_ingester_journal_unstored_bytes");
    wait_while_it_moves("bytes that are not stored", unstored, 0);
    assert_eq!(number(&url, "SELECT count(*) FROM session_events WHERE kind IN ('gap', 'session_lost')"), 0);
    println!("memory {} KiB at the end", ingester.proc_status("VmRSS"));
    assert!(ingester.stop().success());
}

fn events_written(ingester: &mut Ingester) -> i64 {
    metric(ingester, "kind=\"event_written\"")
}

/// The value of the series whose line has this text.
fn metric(ingester: &mut Ingester, text: &str) -> i64 {
    let (_, _, metrics) = ingester.get("/metrics");
    let line = metrics.lines().find(|line| !line.starts_with('#') && line.contains(text)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
