//! Event writers against a real PostgreSQL: every event once, in order, in the partition of its day.

use crate::common::rows;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;
use crate::common::rows::{Writers, event, nlri, session_event, table, wait_for};
use jiff::ToSpan;
use rib_ingester::model::{AdjRibKey, Afi, Policy, RibKind, SessionEventKind, Table, Timestamp, View};
use rib_ingester::pipeline::{EventBatch, RouteChange, RouteEvent, StateOp, WithdrawReason};
use rib_ingester::store::events::{self, Action, Check, EventRow};
use rib_ingester::store::partitions::{day_of, ensure, name_of, today};
use rib_ingester::store::{EncodedRoute, Recovery};

const NUMBERS: &str = "SELECT med FROM route_events ORDER BY router_id, ingest_time";

#[test]
fn events_are_rows_in_order_and_make_their_partition() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    let raw: Arc<[u8]> = vec![3; 1000].into();
    let mut announced = event(&t, "10.1.0.0/16", 1);
    announced.raw = Some(raw.clone());
    announced.received_at = Timestamp::from_unix_micros(1_000_000_000_123_456);
    announced.router_time = Some(Timestamp::from_unix_micros(1));
    let with = |number, change, path_id| RouteEvent {
        change,
        nlri: nlri("10.1.0.0/16", path_id),
        ..event(&t, "10.1.0.0/16", number)
    };
    let withdrawn = with(2, RouteChange::Withdraw(WithdrawReason::Withdrawn), Some(0));
    let stale = with(3, RouteChange::Withdraw(WithdrawReason::Stale), Some(u32::MAX));
    writers.send_events(&owner, vec![announced, withdrawn, stale]);
    assert_eq!(writers.finish(), 0);
    assert_eq!(
        db.rows(
            "SELECT get_byte(event_id, 3), action, prefix, path_id, nexthop, med, attrs, received_at, router_time,
                    tableoid::regclass::text = to_char(ingest_time, '\"route_events_\"YYYYMMDD'), octet_length(event_id)
             FROM route_events ORDER BY ingest_time"
        ),
        [
            "1|A|10.1.0.0/16|-|192.0.2.1|1|-|2001-09-09 01:46:40.123456+00|1970-01-01 00:00:00.000001+00|t|32"
                .to_owned(),
            "2|D|10.1.0.0/16|0|-|-|-|".to_owned()
                + &db.rows("SELECT received_at FROM route_events ORDER BY ingest_time")[1]
                + "|-|t|32",
            "3|D|10.1.0.0/16|4294967295|-|-|{\"reason\": \"stale\"}|".to_owned()
                + &db.rows("SELECT received_at FROM route_events ORDER BY ingest_time")[2]
                + "|-|t|32",
        ]
    );
    let row = db.client().query_one("SELECT bmp_raw FROM route_events WHERE bmp_raw IS NOT NULL", &[]).unwrap();
    let stored: Vec<u8> = row.get(0);
    assert_eq!(stored[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    assert_eq!(zstd::decode_all(&stored[..]).unwrap(), *raw);
    assert_eq!(db.rows("SELECT last_raw_msg_time IS NOT NULL FROM rib_sync_status"), ["t"]);
}

#[test]
fn times_increase_per_router_even_over_restarts() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    // Seven microseconds before tomorrow, as if the clock had been there before it stepped back.
    let day = today(&mut client).unwrap();
    ensure(&mut client, day).unwrap();
    let tomorrow = day.tomorrow().unwrap();
    client
        .batch_execute(&format!(
            "INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, med)
             VALUES ('x', timestamptz '{tomorrow} 00:00:00+00' - interval '7 microseconds', '10.0.0.1', 'global', 4, '10.0.0.0/8', 'A', 0)"
        ))
        .unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    writers.start_sync(&owner, &t);
    for batch in 0..4u32 {
        let of_batch = (1 + batch * 5..=5 + batch * 5).map(|i| event(&t, "10.1.0.0/16", i));
        writers.send_events(&owner, of_batch.collect());
    }
    writers.finish();
    let want: Vec<String> = (0..=20).map(|i| i.to_string()).collect();
    assert_eq!(db.rows(NUMBERS), want);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT ingest_time) FROM route_events"), ["21|21"]);
    // The batch crosses midnight: 6 events before it, the rest after it, in a partition just made.
    let per_day = "SELECT tableoid::regclass::text, count(*) FROM route_events GROUP BY 1 ORDER BY 1";
    assert_eq!(db.rows(per_day), [format!("{}|7", name_of(day)), format!("{}|14", name_of(tomorrow))]);
}

#[test]
fn a_commit_without_an_answer_is_stored_once() {
    let db = TestDb::migrated();
    let (host, port) = db.server();
    let proxy = Proxy::start(&host, port);
    let writers = Writers::start_at(&db, &db.url_at("127.0.0.1", proxy.port));
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    let count = |n: u32| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
    for i in 0..10 {
        proxy.swallow.fetch_add(1, Ordering::SeqCst);
        writers.send_events(&owner, vec![event(&t, "10.1.0.0/16", i)]);
        wait_for("the event, and the cut", || {
            db.rows(NUMBERS) == count(i + 1) && proxy.swallow.load(Ordering::SeqCst) == 0
        });
        proxy.swallow.fetch_add(1, Ordering::SeqCst);
        let mut up = session_event(SessionEventKind::PeerUp, None);
        up.routes = Some(i.into());
        writers.send(&owner, vec![StateOp::SessionEvent(up)]);
        wait_for("the session event, and the cut", || {
            db.rows("SELECT count(*) FROM session_events") == [(i + 1).to_string()]
                && proxy.swallow.load(Ordering::SeqCst) == 0
        });
    }
    assert!(writers.pipeline.health().retries.load(Ordering::Relaxed) >= 10);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows(NUMBERS), count(10));
    assert_eq!(db.rows("SELECT routes FROM session_events ORDER BY id"), count(10));
}

#[test]
fn killed_connections_lose_and_double_no_event() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    let mut admin = db.client();
    for i in 0..60u32 {
        writers.send_events(&owner, (i * 100..(i + 1) * 100).map(|j| event(&t, "10.1.0.0/16", j)).collect());
        if i % 6 == 3 {
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE application_name LIKE 'rib-ingester/events-%' AND datname = current_database()";
            admin.simple_query(kill).unwrap();
        }
    }
    assert_eq!(writers.finish(), 0);
    let want: Vec<String> = (0..6000).map(|i| i.to_string()).collect();
    assert_eq!(db.rows(NUMBERS), want);
}

#[test]
fn stored_events_are_found_by_the_reason_for_doubt() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let now = events::clock(&mut client).unwrap();
    let (day, t) = (day_of(now), table("10.0.0.1", "global", Afi::Ipv4));
    ensure(&mut client, day).unwrap();
    ensure(&mut client, day.checked_sub(1.days()).unwrap()).unwrap();
    let at = |micros: i64| Timestamp::from_unix_micros(now.unix_micros() + micros);
    let stamp = Some(Timestamp::from_wire(1_000, 0));
    let (withdrawn, keys) = (EncodedRoute::withdrawn(), ["10.0.0.0/8", "11.0.0.0/8"].map(|prefix| nlri(prefix, None)));
    let (plain, other) = (rows::route(1), rows::route(2));
    let ids: Vec<[u8; 32]> = (0..10).map(|i| [i; 32]).collect();
    let row = |key: usize, id: usize, action, time: Timestamp, received_at| EventRow {
        id: &ids[id],
        time,
        table: &t,
        nlri: &keys[key],
        action,
        route: if action == Action::Announce { &plain } else { &withdrawn },
        raw: None,
        received_at,
        router_time: stamp,
    };
    let (a, d) = (Action::Announce, Action::Withdraw);
    let mut transaction = client.transaction().unwrap();
    // Of the first key: announced, gone, announced again within one second. Of the second: announced and gone.
    let stored = [
        row(0, 0, a, at(-90_000_000_000), at(0)),
        row(0, 1, d, at(-2), at(1)),
        row(0, 2, a, at(-1), at(2)),
        row(1, 3, a, at(-2), at(0)),
        row(1, 4, d, at(-1), at(1)),
    ];
    // A day and an hour ago there is no partition.
    let stored = stored.map(|row| EventRow { time: row.time.max(at(-80_000_000_000)), ..row });
    events::copy(&mut transaction, stored.into_iter()).unwrap();
    transaction.commit().unwrap();
    // The direct path finds the same id at the same time, and reports it.
    let mut transaction = client.transaction().unwrap();
    let error = events::copy(&mut transaction, [row(0, 1, d, at(-2), now)].into_iter()).unwrap_err();
    assert_eq!(error.verdict(), Recovery::Duplicate, "{error}");
    transaction.rollback().unwrap();

    let none = Check::none(at(10));
    let dumped = |from| Check { from, dumped_from: Some(from), ..none };
    let replayed = Check { from: at(-86_400_000_000), is_replayed: true, ..none };
    let shared = Check { from: at(-86_400_000_000), is_shared: true, ..none };
    let from = at(-86_400_000_000);
    let changed = EventRow { route: &other, ..row(0, 9, a, at(10), now) };
    for (what, row, check, is_new) in [
        ("the batch of an attempt that got through", row(0, 1, d, at(-2), at(1)), none, false),
        ("a dump: the newest says the same, as the flap's second time", row(0, 0, a, at(10), now), dumped(from), false),
        ("a dump: the same id", row(0, 2, a, at(10), now), dumped(from), false),
        ("a dump: behind a removal none of them counts", row(0, 2, a, at(10), now), dumped(at(0)), true),
        ("a dump: the route was gone", row(1, 3, a, at(10), now), dumped(from), true),
        ("a dump: another route", changed, dumped(from), true),
        ("a replay: received at the same time", row(1, 3, a, at(10), at(0)), replayed, false),
        ("a replay: said once more", row(1, 3, a, at(10), at(9)), replayed, true),
        (
            "a replayed dump: stored by the killed process",
            row(1, 3, a, at(10), at(0)),
            Check { dumped_from: Some(from), ..replayed },
            false,
        ),
        (
            "a replayed dump: stored before that",
            row(0, 2, a, at(10), now),
            Check { dumped_from: Some(from), ..replayed },
            false,
        ),
        ("another collector: the newest says the same", row(0, 9, a, at(10), now), shared, false),
        ("another collector: gone as well", row(1, 9, d, at(10), now), shared, false),
        ("another collector: the route was gone", row(1, 3, a, at(10), now), shared, true),
        ("another collector: another route", changed, shared, true),
        ("another collector: gone since", row(0, 9, d, at(10), now), shared, true),
    ] {
        let mut transaction = client.transaction().unwrap();
        let new =
            events::copy_checked(&mut transaction, RibKind::LocRib, &["10.0.0.1"], [(row, check)].into_iter()).unwrap();
        assert_eq!(new == 1, is_new, "{what}");
        transaction.rollback().unwrap();
    }
}

#[test]
fn the_past_of_a_table_begins_behind_its_last_removal() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let day = today(&mut client).unwrap();
    ensure(&mut client, day).unwrap();
    let loc = table("10.0.0.1", "global", Afi::Ipv4);
    let of = |address: &str| {
        let peer = AdjRibKey { address: address.parse().unwrap(), policy: Policy::Pre };
        Table { view: View::AdjRibIn(peer), ..Table::clone(&loc) }
    };
    let labeled = Table { name: "global|labelled".into(), ..of("192.0.2.1") };
    let tables =
        [Table::clone(&loc), of("192.0.2.1"), of("192.0.2.2"), labeled, Table { afi: Afi::Ipv6, ..Table::clone(&loc) }];
    let tables: Vec<&Table> = tables.iter().collect();
    let mut reaches = |sql: &str| {
        client.batch_execute(sql).unwrap();
        let found = events::reach(&mut client, &tables).unwrap();
        found.iter().map(|time| u8::from(time.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(reaches(""), [0, 0, 0, 0, 0]);
    let event = |name: &str, peer: &str| {
        format!(
            "INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, rib, peer_address)
             VALUES (gen_random_uuid()::text::bytea, clock_timestamp(), '10.0.0.1', '{name}', 4, '10.0.0.0/8', 'A', 'loc-rib', {peer});"
        )
    };
    let removal = |kind: &str, name: &str, peer: &str| {
        format!(
            "INSERT INTO session_events (event_time, router_id, table_name, kind, peer_address)
             VALUES (clock_timestamp(), '10.0.0.1', {name}, '{kind}', {peer});"
        )
    };
    assert_eq!(reaches(&(event("global", "NULL") + &event("global|labelled", "'192.0.2.1'"))), [1, 1, 1, 1, 0]);
    assert_eq!(reaches(&removal("session_lost", "'global'", "NULL")), [1, 1, 1, 1, 0]);
    assert_eq!(reaches(&removal("peer_down", "'global'", "'192.0.2.1'")), [1, 0, 1, 0, 0]);
    assert_eq!(reaches(&removal("terminated", "'global'", "NULL")), [0, 0, 1, 0, 0]);
    assert_eq!(reaches(&event("global", "'192.0.2.1'")), [1, 1, 1, 0, 0]);
    assert_eq!(reaches(&removal("stale_expired", "NULL", "NULL")), [0, 0, 0, 0, 0]);
}

#[test]
fn a_refused_event_is_kept_in_a_file() {
    let db = TestDb::migrated();
    db.client().batch_execute("ALTER TABLE route_events ADD CONSTRAINT unlucky CHECK (med <> 13)").unwrap();
    let writers = Writers::start(&db);
    let other = writers.claim("10.0.0.2").owner;
    let u = table("10.0.0.2", "global", Afi::Ipv4);
    writers.send_events(&other, (11..15).map(|i| event(&u, "10.0.0.0/8", i)).collect());
    wait_for("the other's events", || db.rows(NUMBERS) == ["11", "12", "14"]);
    let text = std::fs::read_to_string(writers.state_dir.join("rejected/10.0.0.2.rows")).unwrap();
    assert!(text.lines().count() == 1 && text.contains("unlucky") && text.contains("23514"), "{text}");
    // Nor does history bring back a table that the state writer does not know.
    let batch = EventBatch {
        owner: other.clone(),
        events: vec![],
        tables: vec![u.clone()],
        read_at: Instant::now(),
        upto: 0,
        stored: None,
    };
    writers.sender.events(&other.router).unwrap().send(batch).unwrap();
    writers.finish();
    assert_eq!(db.rows("SELECT count(*) FROM rib_sync_status"), ["0"]);
}

#[test]
fn history_of_a_replaced_session_is_still_written() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let older = writers.claim("10.0.0.1").owner;
    let newer = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.send_events(&older, vec![event(&t, "10.0.0.0/8", 1)]);
    writers.send_events(&newer, vec![event(&t, "10.0.0.0/8", 2)]);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows(NUMBERS), ["1", "2"]);
}

#[test]
fn a_clock_wrong_by_days_does_not_date_later_history() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let far = today(&mut client).unwrap().checked_add(400.days()).unwrap();
    ensure(&mut client, far).unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    client
        .batch_execute(&format!(
            "INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action)
             VALUES ('x', '{far} 12:00:00+00', '10.0.0.1', 'global', 4, '10.0.0.0/8', 'A')"
        ))
        .unwrap();
    writers.send_events(&owner, vec![event(&t, "10.0.0.0/8", 1), event(&t, "10.0.0.0/8", 2)]);
    writers.finish();
    assert_eq!(db.rows("SELECT med FROM route_events WHERE ingest_time <= now() ORDER BY ingest_time"), ["1", "2"]);
}

#[test]
fn history_that_has_no_daily_partitions_is_written() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "ALTER TABLE route_events RENAME TO by_day; CREATE TABLE route_events (LIKE by_day INCLUDING ALL); DROP TABLE by_day CASCADE",
        )
        .unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    writers.send_events(&owner, vec![event(&t, "10.0.0.0/8", 1), event(&t, "10.0.0.0/8", 2)]);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows(NUMBERS).len(), 2);
    let report = rib_ingester::maintenance::run_once(&mut db.client(), 0).unwrap();
    assert_eq!((report.created, report.dropped, report.failures), (vec![], vec![], vec![]));
}

#[test]
fn a_database_outage_delays_events_and_keeps_order() {
    let db = TestDb::migrated();
    let (host, port) = db.server();
    let proxy = Proxy::start(&host, port);
    let writers = Writers::start_at(&db, &db.url_at("127.0.0.1", proxy.port));
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    writers.send_events(&owner, vec![event(&t, "10.0.0.0/8", 0)]);
    wait_for("the first event", || db.rows(NUMBERS).len() == 1);
    proxy.is_down.store(true, Ordering::SeqCst);
    for i in 1..50 {
        writers.send(&owner, vec![rows::announce(&t, &format!("10.{i}.0.0/16"), i)]);
        writers.send_events(&owner, vec![event(&t, "10.0.0.0/8", i)]);
    }
    let health = writers.pipeline.health().clone();
    wait_for("both writers to try again and again", || health.retries.load(Ordering::Relaxed) >= 8);
    assert!(!health.is_ready());
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["0"]);
    proxy.is_down.store(false, Ordering::SeqCst);
    wait_for("both writers to be ready", || health.is_ready());
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows(NUMBERS), (0..50).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(db.rows("SELECT count(*), sum(med) FROM current_routes"), ["49|1225"]);
    // Times are those of the first contact after the outage, not of our own clock.
    assert_eq!(db.rows("SELECT max(ingest_time) <= now() FROM route_events"), ["t"]);
}
