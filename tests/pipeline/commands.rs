//! Commands of state writers: many of them are a few statements, and nothing is reordered.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::rows;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::pg::TestDb;
use crate::common::rows::{Writers, announce, nlri, route, session_event, table, wait_for, withdraw};
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use rib_ingester::model::{
    AdjRibKey, Afi, Asn, PeerIds, PeerRecord, PeerState, Policy, RouterId, SessionEvent, SessionEventKind, Table,
    TableKey, Timestamp, View,
};
use rib_ingester::pipeline::{Existing, PeersOf, RouteChange, StateOp};
use rib_ingester::store::sync;

/// Names that the templates of our statements, quoting or COPY could take for something else.
const NAMES: [&str; 8] = [
    "blue",
    "staged_customers",
    "current_routes",
    "rib_sync_status",
    "x/*adj y*/",
    "it's \\ 'a' \"name\"",
    "tab\tand\nline",
    "\\N",
];

/// The table of this name in each kind of RIB.
fn of_each_rib(router: &str, name: &str) -> [Arc<Table>; 3] {
    let peer = |policy| AdjRibKey { address: "192.0.2.9".parse().unwrap(), policy };
    let speaker = PeerIds { asn: Asn(64_501), bgp_id: "192.0.2.9".parse().unwrap() };
    let views = [View::LocRib, View::AdjRibIn(peer(Policy::Pre)), View::AdjRibOut(peer(Policy::Post))];
    views.map(|view| {
        let speaker = if view == View::LocRib { PeerIds::NONE } else { speaker };
        Arc::new(Table { view, router: RouterId::new(router), name: name.into(), afi: Afi::Ipv4, speaker })
    })
}

fn fingerprints(stored: &[rib_ingester::model::StoredRoute]) -> Vec<(String, u64)> {
    let mut all: Vec<_> = stored.iter().map(|route| (route.prefix.to_string(), route.fingerprint)).collect();
    all.sort();
    all
}

#[test]
fn names_that_are_words_of_our_sql_are_only_names() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("staged_'router").owner;
    let tables: Vec<_> = NAMES.iter().flat_map(|name| of_each_rib("staged_'router", name)).collect();
    assert_eq!(writers.start_all(&owner, &tables), Some(vec![vec![]; tables.len()]));
    for t in &tables {
        writers.send(&owner, vec![announce(t, "10.1.0.0/16", 1), announce(t, "10.2.0.0/16", 2)]);
    }
    let stored = writers.start_all(&owner, &tables).unwrap();
    let want =
        vec![("10.1.0.0/16".to_owned(), route(1).fingerprint()), ("10.2.0.0/16".to_owned(), route(2).fingerprint())];
    for (t, stored) in tables.iter().zip(&stored) {
        assert_eq!(fingerprints(stored), want, "{t}");
    }
    // One route is deleted as stale, one is counted, and at last half of the tables are deleted.
    let over = |t: &Arc<Table>| StateOp::EndOfRib { table: t.clone(), stale: vec![nlri("10.2.0.0/16", None)] };
    writers.send(&owner, tables.iter().map(over).collect());
    let count = "SELECT count(*), count(*) FILTER (WHERE prefix = '10.1.0.0/16'), count(DISTINCT table_name) FROM";
    writers.send(&owner, tables.iter().map(|t| StateOp::Audit { table: t.clone(), routes: 1 }).collect());
    let down = |t: &Arc<Table>| StateOp::TablesDown { tables: vec![(t.view, t.name.clone())], routes: 0, event: None };
    writers.send(&owner, tables[12..].iter().map(down).collect());
    assert_eq!(writers.finish(), 0);
    assert!(!owner.is_out_of_step() && owner.refusal().is_none());
    for rib in ["current_routes", "adj_rib_in", "adj_rib_out"] {
        assert_eq!(db.rows(&format!("{count} {rib}")), ["4|4|4"], "{rib}");
    }
    for sync in ["rib_sync_status", "adj_rib_in_sync_status", "adj_rib_out_sync_status"] {
        assert_eq!(db.rows(&format!("SELECT count(*), bool_and(eor_seen) FROM {sync}")), ["4|t"], "{sync}");
    }
}

#[test]
fn thousands_of_tables_are_a_few_statements() {
    const TABLES: usize = 3000;
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let health = writers.pipeline.health().clone();
    let owner = writers.claim("10.0.0.1").owner;
    let tables: Vec<_> = (0..TABLES).map(|i| table("10.0.0.1", &format!("rd:64500:{i}"), Afi::Ipv4)).collect();
    // A trigger for each statement counts how often the statement ran.
    db.client()
        .batch_execute(
            "CREATE SEQUENCE statements;
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('statements'); RETURN NULL; END $$;
             CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON rib_sync_status FOR EACH STATEMENT EXECUTE FUNCTION note();
             CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON current_routes FOR EACH STATEMENT EXECUTE FUNCTION note();
             CREATE TRIGGER note AFTER INSERT ON session_events FOR EACH STATEMENT EXECUTE FUNCTION note()",
        )
        .unwrap();
    // A first dump as a route reflector sends it: each table begins with its route, nothing waits.
    let begin = |t: &Arc<Table>| {
        let first = StateOp::Route {
            table: t.clone(),
            nlri: nlri("10.1.0.0/16", None),
            change: RouteChange::Announce(route(1)),
            was: Existing::No,
        };
        [
            StateOp::SyncStart { tables: vec![t.clone()], names: vec![], beside: vec![], stored: None },
            first,
            StateOp::TableSeen(t.clone()),
        ]
    };
    writers.send(&owner, tables.iter().flat_map(begin).collect());
    let end = |t: &Arc<Table>| {
        let event = session_event(SessionEventKind::EndOfRib, Some(&t.name));
        [StateOp::EndOfRib { table: t.clone(), stale: vec![] }, StateOp::SessionEvent(event)]
    };
    writers.send(&owner, tables.iter().flat_map(end).collect());
    wait_for("all dumps to be over", || {
        db.rows("SELECT count(*) FROM rib_sync_status WHERE eor_seen") == [TABLES.to_string()]
    });
    assert_eq!(
        db.rows("SELECT bool_and(c.updated_at > s.session_start_time) FROM current_routes c JOIN rib_sync_status s USING (router_id, table_name, afi)"),
        ["t"],
        "a dump begins before its first route"
    );
    // The next session: all are begun with one answer, and then deleted.
    let stored = writers.start_all(&owner, &tables).unwrap();
    assert!(stored.iter().all(|stored| stored.len() == 1), "{:?}", stored.iter().find(|stored| stored.len() != 1));
    let down = |t: &Arc<Table>| StateOp::TablesDown {
        tables: vec![(t.view, t.name.clone())],
        routes: 0,
        event: Some(session_event(SessionEventKind::PeerDown, Some(&t.name))),
    };
    writers.send(&owner, tables.iter().map(down).collect());
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["0"]);
    assert_eq!(db.rows("SELECT count(*) FROM rib_sync_status"), ["0"]);
    let told = "SELECT kind, count(*), count(DISTINCT table_name), sum(routes),
                    bool_and(table_name = 'rd:64500:' || number) FROM
                    (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY id) - 1 AS number FROM session_events) AS events
                GROUP BY kind ORDER BY kind";
    assert_eq!(
        db.rows(told),
        [format!("end_of_rib|{TABLES}|{TABLES}|-|t"), format!("peer_down|{TABLES}|{TABLES}|{TABLES}|t")]
    );
    let statements: u32 = db.rows("SELECT last_value FROM statements")[0].parse().unwrap();
    assert!(statements <= 60, "{statements} statements, {} batches", health.state_batches.load(Ordering::Relaxed));
}

#[test]
fn nothing_of_a_table_overtakes_anything_of_it() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let [a, b] = ["a", "b"].map(|name| table("10.0.0.1", name, Afi::Ipv4));
    let begin =
        |t: &Arc<Table>| StateOp::SyncStart { tables: vec![t.clone()], names: vec![], beside: vec![], stored: None };
    let eor = |t: &Arc<Table>, prefix| StateOp::EndOfRib { table: t.clone(), stale: vec![nlri(prefix, None)] };
    let down = |t: &Arc<Table>| StateOp::TablesDown {
        tables: vec![(t.view, t.name.clone())],
        routes: 0,
        event: Some(session_event(SessionEventKind::PeerDown, Some(&t.name))),
    };
    let event = |kind, t: &Arc<Table>| StateOp::SessionEvent(session_event(kind, Some(&t.name)));
    writers.send(
        &owner,
        vec![
            begin(&a),
            event(SessionEventKind::PeerUp, &a),
            announce(&a, "10.1.0.0/16", 1),
            announce(&a, "10.2.0.0/16", 1),
            begin(&b),
            announce(&b, "10.1.0.0/16", 1),
            down(&a),
            event(SessionEventKind::PeerUp, &b),
            // Again, with another route.
            begin(&a),
            announce(&a, "10.3.0.0/16", 2),
            announce(&a, "10.4.0.0/16", 2),
            // A new dump: it has 10.3.0.0/16 only.
            begin(&a),
            announce(&a, "10.3.0.0/16", 3),
            eor(&a, "10.4.0.0/16"),
            // After the End-of-RIB: the stale routes are there again.
            announce(&a, "10.4.0.0/16", 4),
            StateOp::Audit { table: a.clone(), routes: 2 },
            withdraw(&a, "10.3.0.0/16"),
            StateOp::Audit { table: a.clone(), routes: 1 },
            down(&b),
            event(SessionEventKind::PeerUp, &a),
            StateOp::MarkStale(vec![TableKey::loc_rib("a", Afi::Ipv4)]),
            begin(&a),
        ],
    );
    assert_eq!(writers.finish(), 0);
    assert!(!owner.is_out_of_step());
    assert_eq!(db.rows("SELECT table_name, prefix, med FROM current_routes"), ["a|10.4.0.0/16|4"]);
    assert_eq!(db.rows("SELECT table_name, eor_seen, synced_at, stale_since FROM rib_sync_status"), ["a|f|-|-"]);
    assert_eq!(
        db.rows("SELECT kind, table_name, routes FROM session_events ORDER BY id"),
        ["peer_up|a|-", "peer_down|a|2", "peer_up|b|-", "peer_down|b|1", "peer_up|a|-"]
    );
}

#[test]
fn a_peer_that_flaps_is_one_row_that_counts() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let said = |address: &str, states: &[PeerState]| -> Vec<StateOp> {
        states.iter().map(|state| StateOp::PeerSeen(Box::new(rows::peer(address, *state)))).collect()
    };
    let state = "SELECT host(peer_address), state, flap_count, since = updated_at FROM peers ORDER BY peer_address";
    let (up, down) = (PeerState::Up, PeerState::Down);
    let full = PeerRecord { description: Some("first".to_owned()), hold_time: Some(90), ..rows::peer("192.0.2.1", up) };
    let mut ops = vec![StateOp::PeerSeen(Box::new(full))];
    ops.extend(said("192.0.2.1", &[down, up, down, up]));
    ops.extend(said("192.0.2.2", &[down, down]));
    ops.extend(said("192.0.2.3", &[up, up]));
    writers.send(&owner, ops);
    wait_for("the first batch", || db.rows(state).len() == 3);
    assert_eq!(db.rows(state), ["192.0.2.1|up|2|t", "192.0.2.2|down|0|t", "192.0.2.3|up|0|t"]);
    // The first is down immediately, the second stays down, the third goes down and comes back.
    let ops = [said("192.0.2.1", &[down]), said("192.0.2.2", &[down]), said("192.0.2.3", &[down, up])];
    writers.send(&owner, ops.into_iter().flatten().collect());
    wait_for("the second batch", || db.rows("SELECT sum(flap_count) FROM peers") == ["4"]);
    assert_eq!(db.rows(state), ["192.0.2.1|down|3|t", "192.0.2.2|down|0|f", "192.0.2.3|up|1|t"]);
    assert_eq!(db.rows("SELECT description, hold_time FROM peers WHERE peer_address = '192.0.2.1'"), ["first|90"]);
    // No session reports them any more, but then one does.
    let mut ops = vec![StateOp::PeersUnknown(PeersOf::Router)];
    ops.extend(said("192.0.2.3", &[up]));
    writers.send(&owner, ops);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT state FROM peers ORDER BY peer_address"), ["unknown", "unknown", "up"]);
}

#[test]
fn each_committed_event_is_one_notice() {
    let db = TestDb::migrated();
    let mut listener = db.client();
    listener.batch_execute("LISTEN rib_session").unwrap();
    let writers = Writers::start(&db);
    let long = |text: &str, octets: usize| text.chars().cycle().take(octets / text.len()).collect::<String>();
    let texts = [long("\u{1}", 2000), long("\"", 60_000), long("\u{10ffff}", 9000), long("a", 500), String::new()];
    let mut sent = 0;
    for router in &texts {
        let owner = writers.claim(&format!("r{}", router.chars().take(250).collect::<String>())).owner;
        for name in texts.iter().map(|name| name.chars().take(2000).collect::<String>()) {
            for reason in &texts {
                let mut event = session_event(SessionEventKind::PeerDown, Some(&name));
                event.reason = Some(reason.clone());
                let down = StateOp::TablesDown {
                    tables: vec![(View::LocRib, "a".into())],
                    routes: 0,
                    event: Some(event.clone()),
                };
                writers.send(&owner, vec![StateOp::SessionEvent(event), down]);
                sent += 2;
            }
        }
    }
    let notices = Arc::clone(&writers.notices);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*), max(octet_length(reason)) FROM session_events"), [format!("{sent}|1000")]);
    let mut events: Vec<i64> = notices.receiver().try_iter().flatten().collect();
    // A gap is an event like any other, at a time of its own.
    let from = Timestamp::from_unix_micros(1_700_000_000_000_000);
    let router = RouterId::new(&long("\u{1}", 2000));
    let gap = session_event(SessionEventKind::Gap, None);
    let gap = SessionEvent { reason: Some(long("\u{1}", 2000)), routes: Some(7), ..gap };
    events.extend(sync::insert_event(&mut db.client(), &router, &gap, Some(from)).unwrap());
    let gap = "SELECT extract(epoch FROM event_time)::bigint, kind, octet_length(reason), routes FROM session_events WHERE kind = 'gap'";
    assert_eq!(db.rows(gap), ["1700000000|gap|1000|7"]);
    events.sort_unstable();
    let events: Vec<String> = events.iter().map(i64::to_string).collect();
    assert_eq!(events, db.rows("SELECT id FROM session_events ORDER BY id"));
    // No writer has notified; a statement reads what was.
    let heard = |listener: &mut Client| {
        listener.batch_execute("SELECT 1").unwrap();
        let mut heard = listener.notifications();
        let mut payloads = Vec::new();
        while let Ok(Some(notification)) = FallibleIterator::next(&mut heard.iter()) {
            payloads.push(notification.payload().to_owned());
        }
        payloads
    };
    assert_eq!(heard(&mut listener), Vec::<String>::new());
    sync::notify(&mut db.client(), &[7, 8]).unwrap();
    assert_eq!(heard(&mut listener), ["7", "8"]);
}

/// Returns another router that has the same state writer.
fn sharing_its_writer(writers: &Writers, router: &str) -> String {
    let writer = writers.sender.state(&RouterId::new(router));
    let mut others = (2..40).map(|i| format!("10.0.0.{i}"));
    others.find(|other| writers.sender.state(&RouterId::new(other)).same_channel(writer)).unwrap()
}

#[test]
fn a_long_purge_leaves_room_for_other_routers() {
    const ROUTES: u32 = 130_000;
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let (owner, shared) = (writers.claim("10.0.0.1").owner, sharing_its_writer(&writers, "10.0.0.1"));
    let other = writers.claim(&shared).owner;
    let (t, u) = (table("10.0.0.1", "global", Afi::Ipv4), table(&shared, "global", Afi::Ipv4));
    let prefix = |i: u32| format!("10.{}.{}.{}/28", i >> 12 & 0xff, i >> 4 & 0xff, (i & 0xf) << 4);
    db.client()
        .batch_execute(&format!(
            "ALTER TABLE current_routes SET (autovacuum_enabled = off);
             INSERT INTO current_routes (router_id, table_name, afi, prefix)
             SELECT '10.0.0.1', 'global', 4, set_masklen('10.0.0.0'::inet + i * 16, 28)::cidr FROM generate_series(0, {ROUTES} - 1) i"
        ))
        .unwrap();
    assert_eq!(writers.start_sync(&owner, &t).map(|stored| stored.len()), usize::try_from(ROUTES).ok());
    let stale: Vec<_> = (0..ROUTES).map(|i| nlri(&prefix(i), None)).collect();
    // Held up at its first slice, until the other router has sent something too.
    let mut locker = db.client();
    let mut lock = locker.transaction().unwrap();
    lock.execute("SELECT FROM current_routes WHERE prefix = '10.0.0.0/28' FOR UPDATE", &[]).unwrap();
    let end = StateOp::EndOfRib { table: t.clone(), stale };
    writers.send(&owner, vec![end, announce(&t, "192.0.2.0/24", 1), StateOp::TableSeen(t.clone())]);
    writers.send(&owner, vec![withdraw(&t, "192.0.2.0/24"), announce(&t, "198.51.100.0/24", 2)]);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_for("the writer at the lock", || db.rows(waits) == ["1"]);
    writers.send(&other, vec![announce(&u, "203.0.113.0/24", 3)]);
    lock.commit().unwrap();
    wait_for("the other router's route", || db.rows("SELECT 1 FROM current_routes WHERE med = 3").len() == 1);
    assert_eq!(writers.finish(), 0);
    let is_first = "SELECT c.updated_at < s.eor_time FROM current_routes c, rib_sync_status s
                    WHERE c.med = 3 AND s.router_id = '10.0.0.1'";
    assert_eq!(db.rows(is_first), ["t"], "it did not wait for all of the purge");
    assert_eq!(
        db.rows("SELECT prefix, med FROM current_routes ORDER BY prefix"),
        ["198.51.100.0/24|2", "203.0.113.0/24|3"]
    );
    assert_eq!(db.rows("SELECT eor_seen FROM rib_sync_status WHERE router_id = '10.0.0.1'"), ["t"]);
}

#[test]
fn large_removals_delay_no_other_router() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let (owner, shared) = (writers.claim("10.0.0.1").owner, sharing_its_writer(&writers, "10.0.0.1"));
    let other = writers.claim(&shared).owner;
    let tables = ["a", "b", "c"].map(|name| table("10.0.0.1", name, Afi::Ipv4));
    let u = table(&shared, "global", Afi::Ipv4);
    for t in &tables {
        writers.start_sync(&owner, t);
        writers.send(&owner, vec![announce(t, "10.0.0.0/8", 1), announce(t, "10.1.0.0/16", 1)]);
    }
    wait_for("all routes", || db.rows("SELECT count(*) FROM current_routes") == ["6"]);
    // Held up at the first table, as if it were very large.
    let mut locker = db.client();
    let mut lock = locker.transaction().unwrap();
    lock.execute("SELECT FROM current_routes WHERE table_name = 'a' AND prefix = '10.0.0.0/8' FOR UPDATE", &[])
        .unwrap();
    let down = |t: &Arc<Table>| StateOp::TablesDown {
        tables: vec![(t.view, t.name.clone())],
        routes: 1_000_000,
        event: Some(session_event(SessionEventKind::Terminated, Some(&t.name))),
    };
    // Something before the removals, in the same batch, and something after them.
    let first = std::iter::once(withdraw(&tables[0], "10.1.0.0/16"));
    writers.send(&owner, first.chain(tables.iter().map(down)).collect());
    let begin = StateOp::SyncStart { tables: vec![tables[0].clone()], names: vec![], beside: vec![], stored: None };
    writers.send(&owner, vec![begin, announce(&tables[0], "192.0.2.0/24", 2)]);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                 AND application_name LIKE 'rib-ingester/remove-%'";
    wait_for("the removal at the lock", || db.rows(waits) == ["1"]);
    for med in 3..6 {
        writers.send(&other, vec![announce(&u, "203.0.113.0/24", med)]);
        let stored = format!("SELECT count(*) FROM current_routes WHERE med = {med}");
        wait_for("the other router's route", || db.rows(&stored) == ["1"]);
    }
    let left = "SELECT table_name, count(*) FROM current_routes WHERE router_id = '10.0.0.1' GROUP BY 1 ORDER BY 1";
    assert_eq!(db.rows(left), ["a|1", "b|2", "c|2"], "each by itself, and what came later waits");
    lock.commit().unwrap();
    assert_eq!(writers.finish(), 0);
    let told = "SELECT table_name, routes FROM session_events WHERE kind = 'terminated' ORDER BY id";
    assert_eq!(db.rows(told), ["a|1", "b|2", "c|2"]);
    assert_eq!(
        db.rows("SELECT prefix, med FROM current_routes ORDER BY prefix"),
        ["192.0.2.0/24|2", "203.0.113.0/24|5"]
    );
}

#[test]
fn reading_a_stored_table_delays_no_other_router() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let other = writers.claim(&sharing_its_writer(&writers, "10.0.0.1")).owner;
    let peer = AdjRibKey { address: "192.0.2.1".parse().unwrap(), policy: Policy::Pre };
    let read = Table { view: View::AdjRibIn(peer), ..(*table("10.0.0.1", "global", Afi::Ipv4)).clone() };
    let written = table(other.router.as_str(), "global", Afi::Ipv4);
    // Reads of an Adj-RIB-In are blocked for now, as if it were very large.
    let mut lock = db.client();
    lock.batch_execute("BEGIN; LOCK TABLE adj_rib_in IN ACCESS EXCLUSIVE MODE").unwrap();
    let (reply, answer) = crossbeam_channel::bounded(1);
    writers.send(
        &owner,
        vec![StateOp::SyncStart { tables: vec![Arc::new(read)], names: vec![], beside: vec![], stored: Some(reply) }],
    );
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name LIKE 'rib-ingester/load-%' AND wait_event_type = 'Lock'";
    wait_for("the load to meet the lock", || db.rows(waiting) == ["1"]);
    writers.send(&other, vec![announce(&written, "10.1.0.0/16", 1)]);
    wait_for("the other's route", || db.rows("SELECT count(*) FROM current_routes") == ["1"]);
    assert!(answer.is_empty());
    lock.batch_execute("COMMIT").unwrap();
    assert_eq!(answer.recv_timeout(rows::DEADLINE).unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [0]);
    assert_eq!(writers.finish(), 0);
}

/// A session that begins one table after the other would wait for the gathering as often.
#[test]
fn a_session_that_asks_waits_for_nobodys_changes() {
    let db = TestDb::migrated();
    // Longer than any wait here lasts.
    let writers = Writers::start_gathering(&db, &db.url(), 4 * rows::DEADLINE);
    let owner = writers.claim("10.0.0.1").owner;
    for name in ["one", "two", "three"] {
        let table = table("10.0.0.1", name, Afi::Ipv4);
        assert!(writers.start_sync(&owner, &table).is_some(), "{name}");
        // Changes alone are gathered.
        writers.send(&owner, vec![announce(&table, "10.1.0.0/16", 1)]);
    }
    let gathered = db.rows("SELECT DISTINCT table_name FROM current_routes ORDER BY 1");
    assert!(!gathered.contains(&"three".to_owned()), "{gathered:?}");
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["3"]);
}
