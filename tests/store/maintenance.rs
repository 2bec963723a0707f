//! Maintenance against a real PostgreSQL: partitions, retention, the summary; nothing waits for any of it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::{Duration, Instant};

use crate::common::pg::TestDb;
use jiff::ToSpan;
use rib_ingester::maintenance::run_once;
use rib_ingester::store::index_sizes::{Smallest, rebuild_outgrown};
use rib_ingester::store::partitions::{ensure, name_of, today};

const ATTACHED: &str =
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'route_events'::regclass ORDER BY 1";

#[test]
fn partitions_have_their_indexes_and_utc_bounds() {
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
    // Left by a run that ended too early: one detached and not dropped.
    let nine = name_of(ago(9));
    client
        .batch_execute(&format!(
            "INSERT INTO detached_partitions (oid, name) VALUES ('{nine}'::regclass, '{nine}');
             ALTER TABLE route_events DETACH PARTITION {nine}; CREATE TABLE route_events_2020 ()"
        ))
        .unwrap();
    assert_eq!(run_once(&mut client, 0).unwrap().dropped, Vec::<String>::new());
    let report = run_once(&mut client, 2).unwrap();
    assert_eq!(report.dropped, [name_of(ago(4)), name_of(ago(3)), nine]);
    assert_eq!(db.rows("SELECT count(*) FROM detached_partitions"), ["0"]);
    assert_eq!(db.rows(ATTACHED), [name_of(ago(2)), name_of(day), name_of(day.tomorrow().unwrap())]);
    assert_eq!(db.rows("SELECT to_regclass('route_events_2020') IS NOT NULL"), ["t"]);
}

#[test]
fn an_interrupted_detach_ends_and_a_reader_delays_one() {
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
    let name = name_of(old);
    let mark = format!("INSERT INTO detached_partitions (oid, name) VALUES ('{name}'::regclass, '{name}')");
    client.batch_execute(&mark).unwrap();
    let detach = format!("ALTER TABLE route_events DETACH PARTITION {name} CONCURRENTLY");
    assert!(client.batch_execute(&detach).is_err());
    assert_eq!(db.rows("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), ["1"]);
    // Writers continue meanwhile, and so does the making of partitions.
    assert!(ensure(&mut client, day.tomorrow().unwrap()).unwrap());
    db.client()
        .batch_execute("INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action) VALUES ('x', now(), 'r', 't', 4, '10.0.0.0/8', 'A')")
        .unwrap();
    reading.rollback().unwrap();
    let report = run_once(&mut client, 3).unwrap();
    assert_eq!((report.dropped, report.failures), (vec![name_of(old)], vec![]));
}

#[test]
fn the_summary_is_right_from_its_first_refresh() {
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
    assert!(rib_ingester::store::maintenance::begin(&mut other).unwrap());
    let elsewhere = run_once(&mut client, 30).unwrap();
    assert!(elsewhere.is_elsewhere && !elsewhere.refreshed && elsewhere.created.len() == 2);
    rib_ingester::store::maintenance::end(&mut other).unwrap();
    let report = run_once(&mut client, 30).unwrap();
    assert_eq!((report.is_elsewhere, report.forgotten), (false, 1));
    assert_eq!(db.rows("SELECT kind FROM session_events"), ["new"]);
    // Statistics of the partitioned parent are made once, not at each run.
    let analyzed = "SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'route_events'";
    let first = db.rows(analyzed);
    assert_ne!(first, ["-"]);
    run_once(&mut client, 30).unwrap();
    assert_eq!(db.rows(analyzed), first);
}

#[test]
fn peers_and_sessions_that_ended_long_ago_are_deleted() {
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
                    ('r1', 'c', 'up', now() - interval '25 hours', 'alive');
             INSERT INTO collectors (collector_id, instance, alive_until, started_at, version, watch)
             VALUES ('c', gen_random_uuid(), now() + interval '1 hour', now(), '0', true);
             INSERT INTO watch.watches (name, kind, peer_address) VALUES ('w', 'session', '192.0.2.1')",
        )
        .unwrap();
    // The days that history is kept for do not affect these.
    assert_eq!(run_once(&mut client, 0).unwrap().failures, Vec::<String>::new());
    let left = ["192.0.2.2", "192.0.2.3", "192.0.2.5", "192.0.2.6"];
    assert_eq!(db.rows("SELECT host(peer_address) FROM peers ORDER BY 1"), left);
    assert_eq!(db.rows("SELECT host(peer_address) FROM peer_statistics ORDER BY 1"), left);
    assert_eq!(db.rows("SELECT reason FROM bmp_sessions ORDER BY 1"), ["alive", "new"]);
    // Once for the router whose peers are gone: a later run has nothing to tell.
    assert_eq!(run_once(&mut client, 0).unwrap().failures, Vec::<String>::new());
    assert_eq!(db.rows("SELECT router_id || ' ' || cause FROM watch.outbox"), ["r1 peer"]);
}

#[test]
fn the_thread_runs_immediately_and_then_ends() {
    let db = TestDb::migrated();
    let stop = rib_ingester::stop::Stop::new();
    let interval = Duration::from_secs(3600);
    let options = rib_ingester::maintenance::MaintenanceOptions {
        collector: "test".to_owned(),
        pool: std::sync::Arc::new(rib_ingester::store::Pool::new(&db.url())),
        retention_days: 30,
        incident_retention_days: 0,
        archive_dir: None,
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

/// An old partition with these bounds, of one event.
fn old_partition(client: &mut postgres::Client, name: &str, from: &str, to: &str) {
    client
        .batch_execute(&format!(
            "CREATE TABLE {name} PARTITION OF route_events FOR VALUES FROM ('{from}') TO ('{to}');
             INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action)
                 VALUES ('x', '{from}', 'r', 't', 4, '10.0.0.0/8', 'A')"
        ))
        .unwrap();
}

fn exists(db: &TestDb, name: &str) -> bool {
    db.rows(&format!("SELECT to_regclass('{name}') IS NOT NULL")) == ["t"]
}

#[test]
fn a_table_that_somebody_else_detached_is_theirs() {
    let db = TestDb::migrated();
    let mut client = db.client();
    old_partition(&mut client, "route_events_20201001", "2020-10-01 00:00+00", "2020-10-02 00:00+00");
    old_partition(&mut client, "route_events_20201002", "2020-10-02 00:00+00", "2020-10-03 00:00+00");
    client
        .batch_execute(
            "ALTER TABLE route_events DETACH PARTITION route_events_20201001;
             CREATE TABLE route_events_20201003 (LIKE route_events);
             INSERT INTO detached_partitions (oid, name) VALUES ('route_events_20201002'::regclass, 'route_events_20201002');
             ALTER TABLE route_events DETACH PARTITION route_events_20201002;
             ALTER TABLE route_events_20201002 RENAME TO kept",
        )
        .unwrap();
    let report = run_once(&mut client, 30).unwrap();
    assert_eq!((report.dropped, report.failures), (vec![], vec![]));
    for name in ["route_events_20201001", "route_events_20201003", "kept"] {
        assert!(exists(&db, name), "{name}");
    }
    assert_eq!(db.rows("SELECT count(*) FROM detached_partitions"), ["0"]);
}

#[test]
fn bounds_decide_and_holes_of_today_are_filled() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let day = today(&mut client).unwrap();
    // Local time, an hour ahead of UTC; a month long past; and today's name for another relation.
    let (start, next) = (day.yesterday().unwrap(), day.tomorrow().unwrap());
    old_partition(&mut client, "local_day", &format!("{start} 23:00+00"), &format!("{day} 23:00+00"));
    old_partition(&mut client, "october", "2020-10-01 00:00+02", "2020-11-01 00:00+01");
    client.batch_execute(&format!("CREATE TABLE {} ()", name_of(day))).unwrap();
    let report = run_once(&mut client, 30).unwrap();
    assert_eq!(report.created, [format!("{}_2", name_of(day)), name_of(next)]);
    assert_eq!((report.dropped, report.failures), (vec!["october".to_owned()], vec![]));
    let bounds = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname LIKE '%\\_2' AND relispartition";
    assert_eq!(db.rows(bounds), [format!("FOR VALUES FROM ('{day} 23:00:00+00') TO ('{next} 00:00:00+00')")]);
    let again = run_once(&mut client, 30).unwrap();
    assert_eq!((again.created, again.failures), (vec![], vec![]));
}

#[test]
fn a_default_partition_or_a_view_is_named_with_advice() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client.batch_execute("CREATE TABLE rest PARTITION OF route_events DEFAULT").unwrap();
    old_partition(&mut client, "first", "2020-10-01 00:00+00", "2020-10-02 00:00+00");
    old_partition(&mut client, "second", "2020-10-02 00:00+00", "2020-10-03 00:00+00");
    old_partition(&mut client, "third", "2020-10-03 00:00+00", "2020-10-04 00:00+00");
    client.batch_execute("CREATE VIEW v AS SELECT * FROM second").unwrap();
    let report = run_once(&mut client, 30).unwrap();
    assert_eq!(report.dropped, ["first", "third"]);
    let [failure] = report.failures.as_slice() else { panic!("{:?}", report.failures) };
    assert!(failure.starts_with("dropping second: v reads it by name: DROP VIEW v"), "{failure}");
    assert!(db.rows(ATTACHED).contains(&"second".to_owned()), "its readers see it until then");
    let [remark] = report.remarks.as_slice() else { panic!("{:?}", report.remarks) };
    assert!(remark.contains("DEFAULT partition") && remark.contains("DETACH PARTITION rest"), "{remark}");
    client.batch_execute("DROP VIEW v; ALTER TABLE route_events DETACH PARTITION rest").unwrap();
    let report = run_once(&mut client, 30).unwrap();
    assert_eq!((report.dropped, report.failures, report.remarks), (vec!["second".to_owned()], vec![], vec![]));
}

#[test]
fn a_detach_that_somebody_else_began_is_left_to_them() {
    let db = TestDb::migrated();
    let mut client = db.client();
    old_partition(&mut client, "theirs", "2020-10-01 00:00+00", "2020-10-02 00:00+00");
    old_partition(&mut client, "due", "2020-10-02 00:00+00", "2020-10-03 00:00+00");
    let mut reader = db.client();
    let mut reading = reader.transaction().unwrap();
    reading.query("SELECT * FROM route_events", &[]).unwrap();
    client.batch_execute("SET lock_timeout = '100ms'").unwrap();
    assert!(client.batch_execute("ALTER TABLE route_events DETACH PARTITION theirs CONCURRENTLY").is_err());
    reading.rollback().unwrap();
    let report = run_once(&mut client, 30).unwrap();
    assert_eq!(report.dropped, ["due"], "{:?}", report.failures);
    let [failure] = report.failures.as_slice() else { panic!("{:?}", report.failures) };
    assert!(failure.contains("by someone else") && failure.contains("FINALIZE"), "{failure}");
    assert!(exists(&db, "theirs"));
}

#[test]
fn a_reader_in_the_way_is_named() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client.batch_execute("CREATE TABLE rest PARTITION OF route_events DEFAULT").unwrap();
    old_partition(&mut client, "due", "2020-10-01 00:00+00", "2020-10-02 00:00+00");
    let mut reader = db.client();
    reader.batch_execute("SET application_name = 'long report'; BEGIN; SELECT * FROM due").unwrap();
    let report = run_once(&mut client, 30).unwrap();
    let held = |failure: &String| failure.starts_with("dropping due: ") && failure.contains("(long report)");
    assert!(report.failures.iter().any(held), "{:?}", report.failures);
    reader.batch_execute("ROLLBACK").unwrap();
    assert_eq!(run_once(&mut client, 30).unwrap().dropped, ["due"]);
}

#[test]
fn index_entries_of_old_communities_go() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix, communities_std)
             SELECT 'r', 'global', 4, set_masklen(('10.0.0.0'::inet + 256 * n)::cidr, 24), ARRAY['64500:' || n]
             FROM generate_series(0, 1999) AS n;
             INSERT INTO route_counts VALUES ('r', 'loc-rib', '0.0.0.0', false, 'global', 4, 2000)",
        )
        .unwrap();
    client.batch_execute("VACUUM current_routes").unwrap();
    let smallest = Smallest { rows: 1_000, bytes: 200_000 };
    let index = "idx_current_routes_comm_std_gin";
    let size = || db.rows(&format!("SELECT pg_relation_size('{index}')"))[0].parse::<i64>().unwrap();
    let first = size();
    assert!(rebuild_outgrown(&mut client, smallest).unwrap().is_none());
    for day in 1..=10 {
        let change = format!(
            "UPDATE current_routes SET communities_std = ARRAY['6450{day}:' || random()]; VACUUM current_routes"
        );
        change.split("; ").for_each(|sql| client.batch_execute(sql).unwrap());
    }
    let grown = size();
    assert!(grown > 4 * first, "{first} {grown}");
    // An index that could not be finished, as an interrupted rebuild leaves it.
    let half = format!("CREATE UNIQUE INDEX CONCURRENTLY {index}_ccnew ON current_routes (router_id)");
    assert!(client.batch_execute(&half).is_err());
    let rebuilt = rebuild_outgrown(&mut client, smallest).unwrap().unwrap();
    assert_eq!((rebuilt.name.as_str(), rebuilt.before, rebuilt.after), (index, grown, size()));
    assert!(size() < 2 * first, "{first} {}", size());
    assert_eq!(db.rows("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), ["0"]);
    // What maintenance does later on the connection has its own limits again.
    let limit: String = client.query_one("SHOW lock_timeout", &[]).unwrap().get(0);
    assert_ne!(limit, "10min");
    // Others may have grown too; this one is not tried twice a day.
    while let Some(next) = rebuild_outgrown(&mut client, smallest).unwrap() {
        assert_ne!(next.name, index);
    }
}
