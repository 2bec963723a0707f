//! State writers against a real PostgreSQL: the changes that sessions send become rows, in order, once.

use crate::common::rows;
use std::time::Duration;

use crate::common::pg::TestDb;
use crate::common::rows::{Writers, announce, nlri, route, session_event, table, wait_for, withdraw};
use postgres::IsolationLevel;
use rib_ingester::model::{Afi, RouterId, SessionEventKind, SessionState, TableKey, View};
use rib_ingester::pipeline::{Existing, RouteChange, StateOp, WithdrawReason};
use rib_ingester::store::stale;

const ROUTES: &str = "SELECT prefix, med FROM current_routes ORDER BY router_id, table_name, prefix, path_id";

#[test]
fn a_session_becomes_rows() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let claimed = writers.claim("10.0.0.1");
    assert_eq!((claimed.owner.epoch, claimed.tables.len()), (1, 0));
    let owner = claimed.owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    assert_eq!(writers.start_sync(&owner, &t), Some(vec![]));
    writers.send(
        &owner,
        vec![
            announce(&t, "10.2.0.0/16", u32::MAX),
            announce(&t, "10.1.0.0/16", 1),
            announce(&t, "10.1.0.0/16", 2),
            announce(&t, "10.3.0.0/16", 3),
            withdraw(&t, "10.3.0.0/16"),
            withdraw(&t, "10.4.0.0/16"),
            StateOp::TableSeen(t.clone()),
            StateOp::SessionEvent(session_event(SessionEventKind::SessionUp, None)),
            StateOp::EndOfRib { table: t.clone(), stale: vec![] },
        ],
    );
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows(ROUTES), ["10.1.0.0/16|2", "10.2.0.0/16|4294967295"]);
    assert_eq!(
        db.rows(
            "SELECT nexthop, as_path, origin, localpref, origin_asn, communities_std, attrs FROM current_routes LIMIT 1"
        ),
        ["192.0.2.1|64496 4200000000|IGP|-|4200000000|-|-"]
    );
    assert_eq!(
        db.rows(
            "SELECT eor_seen, eor_time >= session_start_time, last_parsed_msg_time IS NOT NULL FROM rib_sync_status"
        ),
        ["t|t|t"]
    );
    assert_eq!(
        db.rows("SELECT router_id, router_ip, hostname, as_number, description FROM routers"),
        ["10.0.0.1|127.0.0.1|edge1|4200000000|-"]
    );
    assert_eq!(db.rows("SELECT router_id, kind, reason FROM session_events"), ["10.0.0.1|session_up|test"]);
}

#[test]
fn a_writer_has_the_staging_tables_it_used() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    let staging = "SELECT DISTINCT relname FROM pg_class WHERE relpersistence = 't' AND relname LIKE 'staged%'";
    // Each COMMIT that uses one of a connection's staging tables empties all of them.
    for med in [1, 2] {
        writers.send(&owner, vec![announce(&t, "10.1.0.0/16", med)]);
        wait_for("the change", || db.rows(ROUTES) == [format!("10.1.0.0/16|{med}")]);
    }
    assert_eq!(db.rows(staging), ["staged_routes"]);
    writers.send(&owner, vec![withdraw(&t, "10.1.0.0/16")]);
    wait_for("the withdrawal", || db.rows(ROUTES).is_empty());
    let mut both = db.rows(staging);
    both.sort();
    assert_eq!(both, ["staged_keys", "staged_routes"]);
    writers.finish();
}

#[test]
fn an_upsert_keeps_first_seen_and_moves_updated_at() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.send(&owner, vec![announce(&t, "10.1.0.0/16", 1)]);
    let times = || db.rows("SELECT first_seen, updated_at FROM current_routes");
    wait_for("the route", || times().len() == 1);
    let before = times();
    writers.send(&owner, vec![announce(&t, "10.1.0.0/16", 2)]);
    wait_for("the change", || db.rows(ROUTES) == ["10.1.0.0/16|2"]);
    let (before, after) = (before[0].split_once('|').unwrap(), times());
    let after = after[0].split_once('|').unwrap();
    assert_eq!(before.0, after.0);
    assert!(before.1 < after.1, "{before:?} {after:?}");
    writers.finish();
}

#[test]
fn stored_routes_return_with_their_fingerprints() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("it's \\ a router").owner;
    for (afi, prefix) in [(Afi::Ipv4, "10.0.0.0/8"), (Afi::Ipv6, "2001:db8::/32")] {
        let t = table("it's \\ a router", "n'ame", afi);
        let mut want = Vec::new();
        let mut ops = Vec::new();
        for (i, route) in (u32::MAX - 9..).zip(rows::nasty_routes()) {
            let nlri = nlri(prefix, Some(i));
            want.push((nlri.prefix, i, route.fingerprint()));
            ops.push(StateOp::Route {
                table: t.clone(),
                nlri,
                change: RouteChange::Announce(route),
                was: Existing::No,
            });
        }
        writers.send(&owner, ops);
        // A row that no router can have sent is skipped.
        let foreign = "INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id)
            SELECT router_id, table_name, afi, prefix, -1 FROM current_routes";
        writers.start_sync(&owner, &t).unwrap();
        db.client()
            .batch_execute(&format!("{foreign} WHERE path_id > 0 ORDER BY path_id DESC, afi DESC LIMIT 1"))
            .unwrap();
        let stored = writers.start_sync(&owner, &t).unwrap();
        let mut got: Vec<_> = stored.iter().map(|route| (route.prefix, route.path_id, route.fingerprint)).collect();
        got.sort_unstable();
        assert_eq!(got, want);
    }
    writers.finish();
}

#[test]
fn end_of_rib_deletes_only_stale_routes() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    let all: Vec<_> = (0..=255).map(|i| announce(&t, &format!("10.{i}.0.0/16"), i)).collect();
    writers.send(&owner, all);
    assert_eq!(writers.start_sync(&owner, &t).unwrap().len(), 256);
    writers.send(&owner, vec![announce(&t, "10.7.0.0/16", 7)]);
    // 10.7.0.0/16 is named by mistake: a route that this session wrote must stay anyway.
    let stale: Vec<_> = (7..=255).rev().map(|i| nlri(&format!("10.{i}.0.0/16"), None)).collect();
    let eor = || StateOp::EndOfRib { table: t.clone(), stale: stale.clone() };
    writers.send(&owner, vec![eor(), eor(), StateOp::PurgeStale { table: t.clone(), stale: vec![] }]);
    writers.finish();
    assert_eq!(db.rows("SELECT count(*), max(med) FROM current_routes"), ["8|7"]);
    assert_eq!(
        db.rows(
            "SELECT eor_seen, eor_time IS NOT NULL, synced_at = eor_time, stale_since IS NULL FROM rib_sync_status"
        ),
        ["t|t|t|t"]
    );
}

#[test]
fn table_down_removes_one_table_and_hold_keeps_rows() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let (a4, a6) = (table("10.0.0.1", "a", Afi::Ipv4), table("10.0.0.1", "a", Afi::Ipv6));
    let b4 = table("10.0.0.1", "b", Afi::Ipv4);
    for t in [&a4, &a6, &b4] {
        writers.start_sync(&owner, t);
    }
    let many: Vec<_> = (0..45_000u32).map(|i| announce(&a4, &format!("10.{}.{}.0/24", i >> 8, i & 0xff), i)).collect();
    for ops in many.into_iter().collect::<Vec<_>>().chunks_mut(2000) {
        writers.send(&owner, ops.iter_mut().map(|op| std::mem::replace(op, StateOp::MarkStale(vec![]))).collect());
    }
    wait_for("the routes", || db.rows("SELECT count(*) FROM current_routes") == ["45000"]);
    // A long reader keeps its snapshot, and blocks nothing.
    let mut reader = db.client();
    let mut reading = reader.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().unwrap();
    let count = "SELECT count(*) FROM current_routes";
    assert_eq!(reading.query_one(count, &[]).unwrap().get::<_, i64>(0), 45_000);
    let down = StateOp::TablesDown {
        tables: vec![(View::LocRib, "a".into())],
        routes: 0,
        event: Some(session_event(SessionEventKind::PeerDown, Some("a"))),
    };
    writers.send(
        &owner,
        vec![
            announce(&a6, "2001:db8::/32", 1),
            announce(&b4, "10.0.0.0/8", 1),
            StateOp::EndOfRib { table: b4.clone(), stale: vec![] },
            StateOp::TableSeen(a4.clone()),
            down,
            StateOp::MarkStale(vec![TableKey::loc_rib("b", Afi::Ipv4)]),
        ],
    );
    writers.finish();
    assert_eq!(reading.query_one(count, &[]).unwrap().get::<_, i64>(0), 45_000);
    reading.commit().unwrap();
    assert_eq!(db.rows(ROUTES), ["10.0.0.0/8|1"]);
    assert_eq!(
        db.rows("SELECT table_name, afi, eor_seen, synced_at IS NULL, stale_since IS NOT NULL FROM rib_sync_status"),
        ["b|4|f|t|t"]
    );
    assert_eq!(db.rows("SELECT kind, table_name, routes FROM session_events"), ["peer_down|a|45001"]);
}

#[test]
fn a_lost_router_is_written_no_more_and_others_are() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let mut others = (2..40).map(|i| format!("10.0.0.{i}"));
    // One that shares the writer, so that both are in one transaction.
    let writer = writers.sender.state(&owner.router);
    let shared = others.find(|other| writers.sender.state(&RouterId::new(other)).same_channel(writer)).unwrap();
    let other = writers.claim(&shared).owner;
    let (t, u) = (table("10.0.0.1", "global", Afi::Ipv4), table(&shared, "global", Afi::Ipv4));
    db.client().batch_execute("UPDATE router_owner SET epoch = epoch + 1 WHERE router_id = '10.0.0.1'").unwrap();
    writers.send(&owner, vec![announce(&t, "10.1.0.0/16", 1)]);
    writers.send(&other, vec![announce(&u, "10.2.0.0/16", 2), StateOp::TableSeen(u.clone())]);
    wait_for("the other's route", || db.rows(ROUTES) == ["10.2.0.0/16|2"]);
    wait_for("the loss to be known", || owner.is_lost());
    assert!(!other.is_lost());
    // A command of the lost session deletes nothing either, and gets no answer.
    db.client().batch_execute("INSERT INTO current_routes (router_id, table_name, afi, prefix) VALUES ('10.0.0.1', 'global', 4, '10.9.0.0/16')").unwrap();
    assert_eq!(writers.start_sync(&owner, &t), None);
    writers.send(
        &owner,
        vec![
            StateOp::TablesDown {
                tables: vec![(View::LocRib, "global".into())],
                routes: 0,
                event: Some(session_event(SessionEventKind::PeerDown, None)),
            },
            StateOp::SessionEvent(session_event(SessionEventKind::SessionClosed, None)),
        ],
    );
    writers.finish();
    assert_eq!(db.rows(ROUTES), ["10.9.0.0/16|-", "10.2.0.0/16|2"]);
    // The end of the session is reported anyway.
    assert_eq!(db.rows("SELECT router_id, kind FROM session_events"), ["10.0.0.1|session_closed"]);
    assert_eq!(db.rows("SELECT router_id FROM rib_sync_status"), [shared]);
}

#[test]
fn what_is_stale_longer_than_the_hold_goes() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let router = RouterId::new("10.0.0.1");
    let mut client = db.client();
    let hour = Duration::from_secs(3600);
    let expire = |client: &mut postgres::Client| {
        stale::due(client, "c1", hour).unwrap();
        stale::expire(client, "c1", &router, hour).unwrap()
    };
    let age = |sql: &str| {
        let sql = format!("UPDATE rib_sync_status SET stale_since = stale_since - interval '61 minutes' WHERE {sql}");
        db.client().batch_execute(&sql).unwrap();
    };
    let owner = writers.claim("10.0.0.1").owner;
    let keys: Vec<TableKey> = ["a", "b", "c"].iter().map(|name| TableKey::loc_rib(*name, Afi::Ipv4)).collect();
    for key in &keys {
        let t = table("10.0.0.1", &key.name, Afi::Ipv4);
        writers.start_sync(&owner, &t);
        writers.send(&owner, vec![announce(&t, "10.0.0.0/8", 1)]);
    }
    // Nothing is stale while its session is there.
    assert_eq!(stale::due(&mut client, "c1", Duration::ZERO).unwrap(), []);
    writers.send(&owner, vec![StateOp::MarkStale(keys[..2].to_vec())]);
    let since = || db.rows("SELECT table_name FROM rib_sync_status WHERE stale_since IS NOT NULL ORDER BY 1");
    wait_for("two to be stale", || since() == ["a", "b"]);
    age("table_name = 'a'");
    // A later loss does not change the time.
    writers.send(&owner, vec![StateOp::MarkStale(keys[..2].to_vec())]);
    writers.start_sync(&owner, &table("10.0.0.1", "c", Afi::Ipv4));
    assert_eq!(stale::due(&mut client, "c2", hour).unwrap(), []);
    assert_eq!(stale::due(&mut client, "c1", hour).unwrap(), std::slice::from_ref(&router));
    let expired = expire(&mut client);
    assert_eq!((expired.tables, expired.routes, expired.is_whole), (1, 1, false));
    assert_eq!(db.rows("SELECT table_name FROM current_routes ORDER BY 1"), ["b", "c"]);
    // A table that begins again gets the whole time.
    age("table_name = 'b'");
    writers.start_sync(&owner, &table("10.0.0.1", "b", Afi::Ipv4));
    assert_eq!(expire(&mut client).tables, 0);
    let state = StateOp::SessionState { state: SessionState::Stale, reason: None };
    writers.send(&owner, vec![StateOp::MarkStale(keys.clone()), state]);
    wait_for("all to be stale", || since() == ["b", "c"]);
    writers.finish();
    assert_eq!(expire(&mut client).tables, 0);
    age("true");
    // Another collector has the router now.
    client.batch_execute("UPDATE router_owner SET collector_id = 'c2'").unwrap();
    assert_eq!(expire(&mut client).tables, 0);
    client.batch_execute("UPDATE router_owner SET collector_id = 'c1'").unwrap();
    // With very many routes by their kept number, each table goes in a transaction of its own.
    client.batch_execute("UPDATE route_counts SET routes = 2000000 WHERE table_name = 'b'").unwrap();
    let expired = expire(&mut client);
    assert_eq!((expired.tables, expired.routes, expired.is_whole), (1, 1, false));
    assert_eq!(db.rows("SELECT table_name FROM current_routes"), ["c"]);
    client.batch_execute("DELETE FROM route_counts WHERE table_name = 'b'").unwrap();
    let expired = expire(&mut client);
    assert_eq!((expired.tables, expired.routes, expired.is_whole), (1, 1, true));
    assert_eq!(
        db.rows("SELECT router_id, kind, table_name, routes FROM session_events ORDER BY id"),
        ["10.0.0.1|stale_expired|a|1", "10.0.0.1|stale_expired|b|1", "10.0.0.1|stale_expired|-|1"]
    );
}

#[test]
fn a_refused_row_is_quarantined_and_the_rest_stored() {
    let db = TestDb::migrated();
    db.client().batch_execute("ALTER TABLE current_routes ADD CHECK (med <> 13)").unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    let mut ops: Vec<_> = (0..100).map(|i| announce(&t, &format!("10.{i}.0.0/16"), i)).collect();
    ops.push(StateOp::TableSeen(t.clone()));
    writers.send(&owner, ops);
    wait_for("the table's row", || db.rows("SELECT 1 FROM rib_sync_status").len() == 1);
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["99"]);
    let text = std::fs::read_to_string(writers.state_dir.join("rejected/10.0.0.1.rows")).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains("23514") && text.contains("10.13.0.0/16"), "{text}");
    assert!(writers.pipeline.health().is_ready());
    writers.finish();
}

#[test]
fn killed_connections_lose_and_double_nothing() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    let mut admin = db.client();
    for i in 0..100u32 {
        let ops = (0..50).map(|j| announce(&t, &format!("10.{i}.{j}.0/24"), i));
        writers.send(&owner, ops.collect());
        if i % 10 == 5 {
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE application_name LIKE 'rib-ingester/state-%' AND datname = current_database()";
            admin.simple_query(kill).unwrap();
        }
    }
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*), sum(med) FROM current_routes"), [format!("5000|{}", 50 * (99 * 100 / 2))]);
}

#[test]
fn a_stop_without_a_database_counts_what_it_discards() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    // The error that a writer gets when an operator locks the tables.
    db.client().batch_execute("ALTER TABLE current_routes RENAME TO gone").unwrap();
    writers.send(&owner, (0..7).map(|i| announce(&t, &format!("10.{i}.0.0/16"), i)).collect());
    wait_for("the trouble to be noticed", || !writers.pipeline.health().is_ready());
    writers.stop.begin();
    writers.stop.give_up();
    assert_eq!(writers.finish(), 7);
}

#[test]
fn an_expired_grace_ends_the_wait_for_the_database() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.stop.begin();
    writers.stop.give_up();
    writers.send(&owner, (0..7).map(|i| announce(&t, &format!("10.{i}.0.0/16"), i)).collect());
    writers.send_events(&owner, vec![rows::event(&t, "10.0.0.0/8", 1)]);
    assert_eq!(writers.finish(), 8);
    assert_eq!(db.rows(ROUTES), Vec::<String>::new());
}

#[test]
fn an_existing_row_taken_for_new_is_updated() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    let new = |prefix, med| {
        let change = RouteChange::Announce(route(med));
        StateOp::Route { table: t.clone(), nlri: nlri(prefix, None), change, was: Existing::No }
    };
    writers.send(&owner, vec![new("10.1.0.0/16", 1)]);
    wait_for("the first row", || db.rows("SELECT med FROM current_routes") == ["1"]);
    let born = db.rows("SELECT first_seen FROM current_routes");
    writers.send(&owner, vec![new("10.0.0.0/16", 2), new("10.1.0.0/16", 3), new("10.2.0.0/16", 4)]);
    // Announced and withdrawn within one batch: nothing is left of it.
    let gone = RouteChange::Withdraw(WithdrawReason::Withdrawn);
    let gone = StateOp::Route { table: t.clone(), nlri: nlri("10.9.0.0/16", None), change: gone, was: Existing::Maybe };
    writers.send(&owner, vec![new("10.9.0.0/16", 5), gone]);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT med FROM current_routes ORDER BY prefix"), ["2", "3", "4"]);
    assert_eq!(db.rows("SELECT first_seen FROM current_routes WHERE prefix = '10.1.0.0/16'"), born);
}

#[test]
fn a_busy_writer_writes_a_row_once_for_many_changes() {
    const ITEMS: u32 = 60;
    const CHANGES: u32 = 500;
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let health = writers.pipeline.health().clone();
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.send(&owner, vec![announce(&t, "10.1.0.0/16", 1)]);
    wait_for("the route", || db.rows(ROUTES) == ["10.1.0.0/16|1"]);
    let times = || db.rows("SELECT first_seen FROM current_routes WHERE prefix = '10.1.0.0/16'");
    let first_seen = times();

    // Another session holds the row, so the writer waits, and the changes that the session sends meanwhile queue up.
    let mut locker = db.client();
    let mut lock = locker.transaction().unwrap();
    lock.execute("SELECT FROM current_routes FOR UPDATE", &[]).unwrap();
    let say = |ops: Vec<StateOp>| {
        owner.waiting.add(ops.len());
        writers.send(&owner, ops);
    };
    say(vec![announce(&t, "10.1.0.0/16", 2)]);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_for("the writer at the lock", || db.rows(waits) == ["1"]);
    let batches = || health.state_batches.load(std::sync::atomic::Ordering::Relaxed);
    let before = batches();
    for item in 0..ITEMS {
        let changes = (0..CHANGES).map(|i| announce(&t, &format!("10.{}.0.0/16", i % 100), item * CHANGES + i));
        say(changes.collect());
    }
    lock.commit().unwrap();
    let last = (ITEMS - 1) * CHANGES + CHANGES - 100;
    let all_last = format!("SELECT count(*), min(med) >= {last} FROM current_routes");
    wait_for("the last change of each route", || db.rows(&all_last) == ["100|t"]);
    // Batches that are full at 1,000 changes each would be 30.
    let batches = batches() - before;
    assert!(batches <= 15, "{batches} batches of 30,000 changes");
    assert_eq!(times(), first_seen);
    assert_eq!(writers.finish(), 0);
    wait_for("nothing more to be written", || health.waiting.count() == 0);
}

/// This many routes of one table, not in key order, each identified by its MED.
fn many(t: &std::sync::Arc<rib_ingester::model::Table>, routes: u32) -> Vec<StateOp> {
    let number = |i: u32| i * 7919 % routes;
    (0..routes).map(|i| announce(t, &format!("10.{}.{}.0/24", number(i) / 256, number(i) % 256), number(i))).collect()
}

#[test]
fn an_idle_writer_shares_a_batch_and_the_next_waits() {
    const ROUTES: u32 = 20_000;
    let db = TestDb::migrated();
    db.client().batch_execute("ALTER TABLE current_routes ADD CHECK (med <> 13)").unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    owner.progress.state.count_sent();
    writers.start_sync(&owner, &t);
    let connected = "SELECT count(DISTINCT application_name) FROM pg_stat_activity
                     WHERE application_name LIKE 'rib-ingester/state-%' AND datname = current_database()";
    assert_eq!(db.rows(connected), ["1"], "the router's own writer");
    // Another session holds a row of the second part, which is the first that can be another writer's.
    writers.send(&owner, vec![announce(&t, "10.5.220.0/24", 0)]);
    wait_for("the row to be held", || db.rows("SELECT med FROM current_routes") == ["0"]);
    let mut locker = db.client();
    let mut lock = locker.transaction().unwrap();
    lock.execute("SELECT FROM current_routes FOR UPDATE", &[]).unwrap();
    owner.progress.state.count_sent();
    let mut ops = many(&t, ROUTES);
    ops.push(StateOp::EndOfRib { table: t.clone(), stale: vec![nlri("10.0.0.0/24", None)] });
    ops.extend([withdraw(&t, "10.0.1.0/24"), announce(&t, "10.0.2.0/24", 99_999)]);
    owner.progress.set_processed(1);
    owner.progress.state.count_sent();
    writers.send(&owner, ops);
    let rest = "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'),
                    count(*) FILTER (WHERE state = 'idle' AND state_change < clock_timestamp() - interval '300 ms')
                FROM pg_stat_activity
                WHERE application_name LIKE 'rib-ingester/state-%' AND datname = current_database()";
    wait_for("one writer at the lock and one at rest", || db.rows(rest) == ["1|1"]);
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), [(ROUTES - 1 - 999).to_string()], "all other parts");
    assert_eq!(db.rows("SELECT eor_seen FROM rib_sync_status"), ["f"]);
    assert_eq!(owner.progress.stored(), 0);
    lock.commit().unwrap();
    wait_for("all of it to be stored", || owner.progress.stored() == 1);
    assert_eq!(db.rows(connected), ["2"], "a writer connects when it has something to write");
    // One was refused, one withdrawn; one was listed as stale, but had been written since the dump began.
    let all = "SELECT count(*), count(DISTINCT med), max(med) FROM current_routes";
    assert_eq!(db.rows(all), [format!("{0}|{0}|99999", ROUTES - 2)]);
    let moved = "SELECT count(*) FROM current_routes WHERE med < 20000
                 AND (split_part(host(prefix), '.', 2)::int * 256 + split_part(host(prefix), '.', 3)::int) <> med";
    assert_eq!(db.rows(moved), ["0"]);
    assert_eq!(db.rows("SELECT eor_seen FROM rib_sync_status"), ["t"]);
    let text = std::fs::read_to_string(writers.state_dir.join("rejected/10.0.0.1.rows")).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let parts = db.rows("SELECT count(DISTINCT xmin::text) FROM current_routes WHERE med < 20000");
    assert!(parts[0].parse::<u32>().unwrap() >= 20, "{parts:?} transactions");
    assert_eq!(writers.finish(), 0);
}

#[test]
fn parts_that_are_given_up_are_the_sessions_to_keep() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    db.client().batch_execute("ALTER TABLE current_routes RENAME TO gone").unwrap();
    owner.progress.set_processed(1);
    owner.progress.state.count_sent();
    writers.send(&owner, many(&t, 5000));
    wait_for("the trouble to be noticed", || !writers.pipeline.health().is_ready());
    writers.stop.begin();
    writers.stop.give_up();
    assert_eq!(writers.finish(), 5000);
    assert_eq!(owner.progress.stored(), 0);
}
