//! Days that end, clocks that leap and clocks that are wrong: no event is lost, doubled or out of order, and no route
//! stays that must be purged.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::SystemTime;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::clock::Clock;
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::server::Server;

const ROUTER: &str = "10.255.0.1";
const DAY: i64 = 86_400;

/// A server whose clock the test sets.
fn server(clock: &Clock) -> Server {
    let environment = clock.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // Far from UTC, so that a day taken in the wrong zone shows.
    Server::start("-c timezone=Pacific/Kiritimati", &environment)
}

fn rows(server: &Server, sql: &str) -> Vec<String> {
    server.super_sql("rib", sql).lines().map(str::to_owned).collect()
}

fn greet(router: &mut FakeRouter) {
    let peer_up = bmp::peer_up(Peer::loc_rib(ROUTER), &Open::of(64_500, ROUTER), Some("global"));
    router.send(&bmp::initiation(b"edge1", b"")).send(&peer_up);
}

/// One prefix with an attribute that is new each time.
fn announce(prefix: &str, generation: u32) -> Vec<u8> {
    let attributes = Attributes { med: Some(generation), ..Attributes::path(&[64_500]) };
    bmp::route_monitoring(Peer::loc_rib(ROUTER), &bmp::announce(&attributes, "192.0.2.1", &[prefix]))
}

fn end_of_rib() -> Vec<u8> {
    bmp::route_monitoring(Peer::loc_rib(ROUTER), &bmp::end_of_rib_ipv4())
}

/// The MEDs of all events in the order of their times: the router's messages, in their order.
fn history(server: &Server) -> Vec<String> {
    rows(server, "SELECT med FROM route_events WHERE action = 'A' ORDER BY ingest_time")
}

/// The number of events of each day, by the name of its partition; days are UTC.
fn days(server: &Server) -> Vec<(String, i64)> {
    let sql = "SELECT tableoid::regclass || ' ' || count(*) FROM route_events
               WHERE tableoid::regclass::text = 'route_events_' || to_char(ingest_time AT TIME ZONE 'UTC', 'YYYYMMDD')
               GROUP BY tableoid ORDER BY min(ingest_time)";
    let split = |row: &String| row.split_once(' ').map(|(name, count)| (name.to_owned(), count.parse().unwrap()));
    rows(server, sql).iter().filter_map(split).collect()
}

/// Seconds from now to this many seconds before a midnight: the next one, or `nights` nights later.
fn before_midnight(seconds: i64, nights: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    DAY - now % DAY + nights * DAY - seconds
}

#[test]
fn at_midnight_under_load_each_event_is_in_its_day() {
    let Some(clock) = Clock::new() else { return };
    clock.shift(before_midnight(3_600, 0));
    let server = server(&clock);
    // The next run of the maintenance is hours away: the first has made the next day's partition.
    let ingester = Ingester::start(&server.url, &[("MAINTENANCE_INTERVAL_SECS", "43200")]);
    let mut router = ingester.connect();
    greet(&mut router);
    let mut said = 0;
    let mut send = || {
        for _ in 0..50 {
            router.send(&announce(&format!("10.{}.0.0/16", said % 200), said));
            said += 1;
        }
        days(&server)
    };
    eventually("the first day has events", || (send().len() == 1).then_some(()));
    clock.shift(before_midnight(4, 0));
    eventually("both days have events", || Some(send()).filter(|days| days.len() == 2 && days[1].1 > 50));
    let all: Vec<String> = (0..said).map(|generation| generation.to_string()).collect();
    eventually_equal(all.len(), || history(&server).len());
    assert_eq!(history(&server), all);
    assert_eq!(days(&server).iter().map(|(_, count)| count).sum::<i64>(), i64::from(said));
    assert_eq!(ingester.count_logged("error"), 0);
    assert!(ingester.stop().success());
}

#[test]
fn a_clock_that_leaps_ahead_makes_its_partition() {
    let Some(clock) = Clock::new() else { return };
    let server = server(&clock);
    let mut ingester = Ingester::start(&server.url, &[("MAINTENANCE_INTERVAL_SECS", "43200")]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce("10.1.0.0/16", 0));
    eventually_equal(1, || history(&server).len());
    clock.shift(5 * DAY);
    router.send(&announce("10.1.0.0/16", 1)).send(&announce("10.2.0.0/16", 2));
    eventually_equal(3, || history(&server).len());
    assert_eq!(history(&server), ["0", "1", "2"]);
    assert_eq!(days(&server).len(), 2);
    ingester.logged("created by the event writer");
    assert!(ingester.stop().success());
}

#[test]
fn a_database_clock_set_back_keeps_order_and_purges() {
    let Some(clock) = Clock::new() else { return };
    clock.shift(3 * 3_600);
    let server = server(&clock);
    let ingester = Ingester::start(&server.url, &[("MAINTENANCE_INTERVAL_SECS", "1")]);
    let mut router = ingester.connect();
    greet(&mut router);
    for (generation, prefix) in ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"].iter().enumerate() {
        router.send(&announce(prefix, u32::try_from(generation).unwrap()));
    }
    router.send(&end_of_rib());
    eventually_equal(3, || history(&server).len());
    eventually_equal(vec!["t".to_owned()], || rows(&server, "SELECT eor_seen FROM rib_sync_status WHERE afi = 4"));

    // Three hours back, as when a wrong clock is corrected.
    clock.shift(0);
    router.send(&announce("10.1.0.0/16", 3));
    eventually_equal(4, || history(&server).len());
    assert_eq!(history(&server), ["0", "1", "2", "3"]);

    // The rows are younger than the session that does not have them any more.
    drop(router);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce("10.1.0.0/16", 3)).send(&announce("10.4.0.0/16", 4)).send(&end_of_rib());
    let prefixes = || rows(&server, "SELECT prefix FROM current_routes ORDER BY prefix");
    eventually_equal(vec!["10.1.0.0/16".to_owned(), "10.4.0.0/16".to_owned()], prefixes);
    let gone = "SELECT prefix FROM route_events WHERE action = 'D' ORDER BY prefix";
    eventually_equal(vec!["10.2.0.0/16".to_owned(), "10.3.0.0/16".to_owned()], || rows(&server, gone));
    assert_eq!(history(&server), ["0", "1", "2", "3", "4"]);
    assert!(ingester.stop().success());
}

#[test]
fn a_wrong_collector_clock_writes_the_databases_time() {
    for shift in [-7 * 3_600, 400 * DAY] {
        let Some(clock) = Clock::new() else { return };
        clock.shift(shift);
        let db = crate::common::pg::TestDb::migrated();
        let environment = clock.environment();
        let vars: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ingester = Ingester::start_with(&db.url(), &[("STALE_ROUTES_SECS", "2")], &vars);
        let mut router = ingester.connect();
        greet(&mut router);
        router.send(&announce("10.1.0.0/16", 0)).send(&announce("10.2.0.0/16", 1));
        eventually_equal(vec!["2".to_owned()], || db.rows("SELECT count(*) FROM route_events"));
        drop(router);
        let mut router = ingester.connect();
        greet(&mut router);
        router.send(&announce("10.1.0.0/16", 0)).send(&end_of_rib());
        eventually_equal(vec!["10.1.0.0/16".to_owned()], || db.rows("SELECT prefix FROM current_routes"));
        let right = "SELECT bool_and(abs(extract(epoch FROM now() - at)) < 600) FROM (
            SELECT ingest_time FROM route_events UNION ALL SELECT updated_at FROM current_routes
            UNION ALL SELECT session_start_time FROM rib_sync_status UNION ALL SELECT event_time FROM session_events
            UNION ALL SELECT last_seen FROM routers) AS times (at)";
        assert_eq!(db.rows(right), ["t"], "{shift}");
        // Only the time when the collector read it is by its own clock.
        let own = "SELECT DISTINCT round(extract(epoch FROM received_at - ingest_time) / 3600) FROM route_events";
        assert_eq!(db.rows(own), [(shift / 3_600).to_string()]);
        // The stale time is counted and not read from a clock.
        drop(router);
        eventually_equal(Vec::<String>::new(), || db.rows("SELECT prefix FROM current_routes"));
        assert!(ingester.stop().success());
    }
}

#[test]
fn a_clock_that_leaps_does_not_expire_stale_routes() {
    let Some(clock) = Clock::new() else { return };
    let db = crate::common::pg::TestDb::migrated();
    let environment = clock.environment();
    let vars: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut ingester = Ingester::start_with(&db.url(), &[("STALE_ROUTES_SECS", "3600"), ("LOG", "debug")], &vars);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce("10.1.0.0/16", 0));
    eventually_equal(vec!["10.1.0.0/16".to_owned()], || db.rows("SELECT prefix FROM current_routes"));
    drop(router);
    ingester.logged("closed by the router without Termination");
    clock.shift(2 * DAY);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce("10.2.0.0/16", 1));
    eventually_equal(vec!["2".to_owned()], || db.rows("SELECT count(*) FROM current_routes"));
    assert_eq!(db.rows("SELECT count(*) FROM session_events WHERE kind = 'stale_expired'"), ["0"]);
    assert!(ingester.stop().success());
}

#[test]
fn events_are_written_while_a_days_drop_waits() {
    let db = crate::common::pg::TestDb::migrated();
    db.client()
        .batch_execute(
            "CREATE TABLE route_events_20200101 PARTITION OF route_events
                 FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00')",
        )
        .unwrap();
    let mut reader = db.client();
    let mut reading = reader.transaction().unwrap();
    reading.query("SELECT count(*) FROM route_events WHERE ingest_time < '2020-01-02'", &[]).unwrap();
    let mut ingester = Ingester::start(&db.url(), &[("MAINTENANCE_INTERVAL_SECS", "1")]);
    let mut router = ingester.connect();
    greet(&mut router);
    let exists = || db.rows("SELECT to_regclass('route_events_20200101') IS NOT NULL")[0] == "t";
    let mut said = 0;
    eventually("the drop is given up for now", || {
        router.send(&announce("10.1.0.0/16", said));
        said += 1;
        // It is tried at the start, by the first run, so events are written while it waits.
        let all = vec![said.to_string()];
        eventually_equal(all, || db.rows("SELECT count(*) FROM route_events WHERE router_id = '10.255.0.1'"));
        (ingester.count_logged("maintenance: dropping route_events_20200101: canceling") > 0).then_some(())
    });
    assert!(exists() && said > 3);
    reading.rollback().unwrap();
    eventually("the day goes once nobody reads it", || (!exists()).then_some(()));
    ingester.logged("partition route_events_20200101: dropped");
    assert!(ingester.stop().success());
}

#[test]
fn a_clock_wrong_by_years_does_not_age_all_history() {
    let Some(clock) = Clock::new() else { return };
    let server = server(&clock);
    let mut ingester = Ingester::start(&server.url, &[("MAINTENANCE_INTERVAL_SECS", "1")]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce("10.1.0.0/16", 0));
    eventually_equal(1, || history(&server).len());
    let of_today = days(&server);
    clock.shift(400 * DAY);
    ingester.logged("correct the wrong one");
    router.send(&announce("10.1.0.0/16", 1));
    eventually_equal(2, || history(&server).len());
    assert_eq!((history(&server), days(&server)[0].clone()), (vec!["0".into(), "1".into()], of_today[0].clone()));
    assert_eq!(ingester.count_logged("dropped at the end of its retention"), 0);
    let began = "SELECT count(*) FROM session_events WHERE kind = 'session_up'";
    assert_eq!(rows(&server, began), ["1"]);
    assert!(ingester.stop().success());
}

/// The output of a command of the collector.
fn run(server: &Server, command: &str) -> String {
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output = run.env_clear().arg(command).env("RIB_INGESTER_DATABASE_URL", &server.url).output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

#[test]
fn partitions_in_local_time_end_and_lose_no_event() {
    let Some(clock) = Clock::new() else { return };
    clock.shift(before_midnight(3_600, 0));
    let server = server(&clock);
    run(&server, "migrate");
    let [today, next] =
        [0, 1].map(|days| rows(&server, &format!("SELECT (now() AT TIME ZONE 'UTC')::date + {days}"))[0].clone());
    // Two hours ahead of UTC. The second one begins four hours late, as after a night's work on it.
    let of_operator = format!(
        "CREATE TABLE local_one PARTITION OF route_events FOR VALUES FROM ('{today} 00:00+02') TO ('{next} 00:00+02');
         CREATE TABLE local_two PARTITION OF route_events
             FOR VALUES FROM ('{next} 04:00+02') TO (('{next} 00:00+02'::timestamptz + interval '1 day'))"
    );
    postgres::Client::connect(&server.url, postgres::NoTls).unwrap().batch_execute(&of_operator).unwrap();
    let mut ingester = Ingester::start(&server.url, &[("MAINTENANCE_INTERVAL_SECS", "1")]);
    let mut router = ingester.connect();
    greet(&mut router);
    let (first, second) = (today.replace('-', ""), next.replace('-', ""));
    let partitions = [
        format!("route_events_{first}"),
        format!("route_events_{second}"),
        "local_two".to_owned(),
        format!("route_events_{second}_2"),
    ];
    let mut said = 0;
    // The clock leaps to just before midnight, which passes by itself, and to the beginning and the end of the operator's
    // partition.
    for (partition, at) in partitions.iter().zip([None, Some(10), Some(-3 * 3_600), Some(-23 * 3_600)]) {
        if let Some(at) = at {
            clock.shift(before_midnight(at, 0));
        }
        let count = format!("SELECT count(*) FROM route_events WHERE tableoid = to_regclass('{partition}')");
        eventually("events in the partition", || {
            router.send(&announce(&format!("10.{}.0.0/16", said % 200), said));
            said += 1;
            (rows(&server, &count)[0] != "0").then_some(())
        });
    }
    let all: Vec<String> = (0..said).map(|generation| generation.to_string()).collect();
    eventually_equal(all.len(), || history(&server).len());
    assert_eq!(history(&server), all);
    assert_eq!((ingester.count_logged("error"), ingester.count_logged("maintenance: ")), (0, 0));
    let status = run(&server, "status");
    assert!(
        status.contains("local_two") && status.contains(&format!("{next}T02:00:00Z to {next}T22:00:00Z")),
        "{status}"
    );

    // With a DEFAULT partition, events of a day past all others are in it: that day's own cannot be made any more, the
    // next one can.
    let rest = "CREATE TABLE rest PARTITION OF route_events DEFAULT";
    postgres::Client::connect(&server.url, postgres::NoTls).unwrap().batch_execute(rest).unwrap();
    clock.shift(5 * DAY);
    eventually("an event in the DEFAULT partition", || {
        router.send(&announce("10.1.0.0/16", said));
        said += 1;
        (rows(&server, "SELECT count(*) FROM rest")[0] != "0").then_some(())
    });
    let dates =
        "SELECT to_char((now() AT TIME ZONE 'UTC')::date + days, 'YYYYMMDD') FROM generate_series(0, 1) AS days";
    let days = rows(&server, dates);
    eventually("the next day to be made", || {
        let made = format!("SELECT to_regclass('route_events_{}') IS NOT NULL", days[1]);
        (rows(&server, &made) == ["t"]).then_some(())
    });
    let remedy = "rest is a DEFAULT partition of route_events: a day of which it has rows cannot be made: ALTER TABLE route_events \
                  DETACH PARTITION rest";
    ingester.logged(remedy);
    let status = run(&server, "status");
    assert!(status.contains("rest") && status.contains("DEFAULT: rows that fit no other partition"), "{status}");
    assert!(run(&server, "doctor").contains("rest is a DEFAULT partition"), "{}", run(&server, "doctor"));
    let all: Vec<String> = (0..said).map(|generation| generation.to_string()).collect();
    eventually_equal(all.len(), || history(&server).len());
    assert_eq!(history(&server), all);
    assert!(ingester.stop().success());
}
