//! Maintenance against a real PostgreSQL: partitions, retention, the summary, and nobody waits for any of it.

#[path = "common/pg.rs"]
mod pg;

use std::time::{Duration, Instant};

use jiff::ToSpan;
use pg::TestDb;
use rib_ingester::maintenance::run_once;
use rib_ingester::store::partitions::{ensure, name_of, today};

const ATTACHED: &str =
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'route_events'::regclass ORDER BY 1";

#[test]
fn partitions_of_today_and_tomorrow_with_their_indexes_and_utc_bounds() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client.batch_execute("SET TimeZone = 'Pacific/Auckland'").unwrap();
    let day = today(&mut client).unwrap();
    let names = [name_of(day), name_of(day.tomorrow().unwrap())];
    let report = run_once(&mut client, 30).unwrap();
    assert_eq!((report.created, report.failures, report.refreshed), (names.to_vec(), vec![], true));
    assert_eq!(db.rows(ATTACHED), names);
    let indexes = format!(
        "SELECT indexname, regexp_replace(indexdef, '^.* USING ', '') FROM pg_indexes WHERE tablename = '{}' ORDER BY 1",
        names[0]
    );
    assert_eq!(
        db.rows(&indexes),
        [
            format!("idx_{}_prefix_history|btree (router_id, table_name, afi, prefix, ingest_time DESC)", names[0]),
            format!("idx_{}_router_churn|btree (router_id, table_name, afi, ingest_time DESC)", names[0]),
            format!("{}_pkey|btree (event_id, ingest_time)", names[0]),
        ]
    );
    let bounds =
        db.rows(&format!("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = '{}'", names[0]));
    let want = format!("FOR VALUES FROM ('{day} 00:00:00+00') TO ('{} 00:00:00+00')", day.tomorrow().unwrap());
    assert_eq!(bounds, [want]);
    let again = run_once(&mut client, 30).unwrap();
    assert_eq!((again.created, again.dropped, again.failures), (vec![], vec![], vec![]));
}

#[test]
fn retention_keeps_today_and_so_many_days_before() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let day = today(&mut client).unwrap();
    let ago = |days: i64| day.checked_sub(days.days()).unwrap();
    for days in [0, 2, 3, 4, 9] {
        ensure(&mut client, ago(days)).unwrap();
    }
    // Left by runs that ended too early: one detached and not dropped, and a table of a name that is not ours.
    client.batch_execute(&format!("ALTER TABLE route_events DETACH PARTITION {}", name_of(ago(9)))).unwrap();
    client.batch_execute("CREATE TABLE route_events_2020 ()").unwrap();
    assert_eq!(run_once(&mut client, 0).unwrap().dropped, Vec::<String>::new());
    let report = run_once(&mut client, 2).unwrap();
    assert_eq!(report.dropped, [name_of(ago(9)), name_of(ago(4)), name_of(ago(3))]);
    assert_eq!(db.rows(ATTACHED), [name_of(ago(2)), name_of(day), name_of(day.tomorrow().unwrap())]);
    assert_eq!(db.rows("SELECT to_regclass('route_events_2020') IS NOT NULL"), ["t"]);
}

#[test]
fn an_interrupted_detach_is_finished_and_a_reader_delays_only_its_own_partition() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let day = today(&mut client).unwrap();
    let old = day.checked_sub(5.days()).unwrap();
    ensure(&mut client, old).unwrap();
    ensure(&mut client, day).unwrap();
    let mut reader = db.client();
    let mut reading = reader.transaction().unwrap();
    reading.query("SELECT * FROM route_events", &[]).unwrap();
    // A DETACH .. CONCURRENTLY that gives up in its second half leaves the partition half detached.
    client.batch_execute("SET lock_timeout = '100ms'").unwrap();
    let detach = format!("ALTER TABLE route_events DETACH PARTITION {} CONCURRENTLY", name_of(old));
    assert!(client.batch_execute(&detach).is_err());
    assert_eq!(db.rows("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), ["1"]);
    // Writers go on meanwhile, and so does the making of partitions.
    assert!(ensure(&mut client, day.tomorrow().unwrap()).unwrap());
    db.client()
        .batch_execute("INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action) VALUES ('x', now(), 'r', 't', 4, '10.0.0.0/8', 'A')")
        .unwrap();
    reading.rollback().unwrap();
    let report = run_once(&mut client, 3).unwrap();
    assert_eq!((report.dropped, report.failures), (vec![name_of(old)], vec![]));
}

#[test]
fn the_summary_counts_right_and_its_first_refresh_finds_it_unpopulated() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "REFRESH MATERIALIZED VIEW route_summary WITH NO DATA;
             INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id, nexthop) VALUES
                 ('r', 'paths', 4, '10.0.0.0/8', 1, '192.0.2.1'), ('r', 'paths', 4, '10.0.0.0/8', 2, '192.0.2.2'),
                 ('r', 'paths', 4, '11.0.0.0/8', 0, NULL), ('r', 'plain', 4, '10.0.0.0/8', 0, '192.0.2.1'),
                 ('r', 'plain', 4, '11.0.0.0/8', 0, '192.0.2.1'), ('r', 'plain', 6, '2001:db8::/32', 0, NULL)",
        )
        .unwrap();
    let view = "SELECT table_name, afi, route_count, unique_prefixes, unique_nexthops FROM route_summary ORDER BY 1, 2";
    for _ in 0..2 {
        assert!(run_once(&mut client, 30).unwrap().refreshed);
        assert_eq!(db.rows(view), ["paths|4|3|2|2", "plain|4|2|2|1", "plain|6|1|1|0"]);
    }
    let obvious =
        "SELECT router_id, table_name, afi, count(*), count(DISTINCT prefix), count(DISTINCT nexthop), max(updated_at)
                   FROM current_routes GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    assert_eq!(db.rows("SELECT * FROM route_summary ORDER BY 1, 2, 3"), db.rows(obvious));
}

#[test]
fn one_collector_does_it_and_old_session_events_go() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO session_events (event_time, kind) VALUES (now() - interval '401 days', 'old'), (now() - interval '399 days', 'new')",
        )
        .unwrap();
    let mut other = db.client();
    assert!(rib_ingester::store::upkeep::begin(&mut other).unwrap());
    let elsewhere = run_once(&mut client, 30).unwrap();
    assert!(elsewhere.is_elsewhere && !elsewhere.refreshed && elsewhere.created.len() == 2);
    rib_ingester::store::upkeep::end(&mut other).unwrap();
    let report = run_once(&mut client, 30).unwrap();
    assert_eq!((report.is_elsewhere, report.forgotten), (false, 1));
    assert_eq!(db.rows("SELECT kind FROM session_events"), ["new"]);
    // Statistics of the partitioned parent are made once, not at each run.
    let analysed = "SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'route_events'";
    let first = db.rows(analysed);
    assert_ne!(first, ["-"]);
    run_once(&mut client, 30).unwrap();
    assert_eq!(db.rows(analysed), first);
}

#[test]
fn peers_and_sessions_that_are_long_gone_are_forgotten() {
    let db = TestDb::migrated();
    let mut client = db.client();
    // One row for each reason to stay, and one without any.
    client
        .batch_execute(
            "INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, since, updated_at)
             SELECT router, 'global', address::inet, 64500, state, now() - changed * interval '1 day',
                    now() - changed * interval '1 day'
             FROM (VALUES ('r1', '192.0.2.1', 'down', 401), ('r1', '192.0.2.2', 'up', 401), ('r1', '192.0.2.3', 'down', 399),
                          ('r1', '192.0.2.4', 'unknown', 401), ('r2', '192.0.2.5', 'down', 401), ('r3', '192.0.2.6', 'down', 401))
                  AS p (router, address, state, changed);
             INSERT INTO peer_statistics (router_id, peer_type, peer_address, peer_asn, stat_type, name)
             SELECT router_id, peer_type, peer_address, peer_asn, 7, 'routes' FROM peers;
             INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
             VALUES ('r1', '192.0.2.2', false, 'UNKNOWN', 4, now()), ('r2', '192.0.2.5', false, 'UNKNOWN', 4, NULL),
                    ('r3', '192.0.2.6', false, 'UNKNOWN', 4, now() - interval '402 days');
             INSERT INTO bmp_sessions (router_id, collector_id, state, since, reason)
             VALUES ('r1', 'c', 'ended', now() - interval '25 hours', 'old'), ('r1', 'c', 'ended', now() - interval '23 hours', 'new'),
                    ('r1', 'c', 'up', now() - interval '25 hours', 'alive')",
        )
        .unwrap();
    // Days to keep history for say nothing about these.
    assert_eq!(run_once(&mut client, 0).unwrap().failures, Vec::<String>::new());
    let left = ["192.0.2.2", "192.0.2.3", "192.0.2.5", "192.0.2.6"];
    assert_eq!(db.rows("SELECT host(peer_address) FROM peers ORDER BY 1"), left);
    assert_eq!(db.rows("SELECT host(peer_address) FROM peer_statistics ORDER BY 1"), left);
    assert_eq!(db.rows("SELECT reason FROM bmp_sessions ORDER BY 1"), ["alive", "new"]);
}

#[test]
fn the_thread_runs_at_once_and_ends_with_the_collector() {
    let db = TestDb::migrated();
    let stop = rib_ingester::stop::Stop::new();
    let interval = Duration::from_secs(3600);
    let options = rib_ingester::maintenance::MaintenanceOptions {
        database_url: db.url(),
        retention_days: 30,
        daily_snapshots: false,
        interval,
        meters: Default::default(),
        health: Default::default(),
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| rib_ingester::maintenance::run(&options, &stop));
        let until = Instant::now() + Duration::from_secs(30);
        while db.rows(ATTACHED).len() < 2 {
            assert!(Instant::now() < until, "no partitions");
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.begin();
        thread.join().unwrap();
    });
}
