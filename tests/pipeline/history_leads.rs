//! History leads: no stored route lacks its event, and a writer that waits for that holds no lock and can be stopped.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::Ingester;
use crate::common::pg::TestDb;
use crate::common::rows;
use crate::common::rows::{Writers, announce, event, table, wait_for};
use postgres::Client;
use rib_ingester::model::{Afi, Table};
use rib_ingester::pipeline::{EventBatch, NotSent, Ownership, RouteEvent};

const ROUTES: &str = "SELECT count(*) FROM current_routes";

/// The state of the state writers' connections.
const STATES: &str = "SELECT DISTINCT state FROM pg_stat_activity
                      WHERE datname = current_database() AND application_name LIKE 'rib-ingester/state-%'";

/// Blocks all writes of history until the client is dropped or commits.
fn hold_history(db: &TestDb) -> Client {
    let mut client = db.client();
    client.batch_execute("BEGIN; LOCK TABLE route_events IN EXCLUSIVE MODE").unwrap();
    client
}

/// A piece of history.
fn piece(owner: &Arc<Ownership>, events: Vec<RouteEvent>) -> EventBatch {
    EventBatch { owner: owner.clone(), events, tables: vec![], read_at: Instant::now(), upto: 0, stored: None }
}

/// Waits until an event writer waits for the lock.
fn history_stands(db: &TestDb) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name LIKE 'rib-ingester/events-%' AND wait_event_type = 'Lock'";
    wait_for("the event writer to meet the lock", || db.rows(waiting) == ["1"]);
}

#[test]
fn routes_wait_for_their_events_without_a_transaction() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let (owner, other) = (writers.claim("10.0.0.1").owner, writers.claim("10.0.0.2").owner);
    let (t, u) = (table("10.0.0.1", "global", Afi::Ipv4), table("10.0.0.2", "global", Afi::Ipv4));
    writers.start_sync(&owner, &t);
    let mut lock = hold_history(&db);
    writers.send_events(&owner, vec![event(&t, "10.1.0.0/16", 1)]);
    writers.send(&owner, vec![announce(&t, "10.1.0.0/16", 1)]);
    history_stands(&db);
    // Far longer than a batch is gathered. A router whose routes need no history, on whichever writer, measures that:
    // its writer has had its turn.
    wait_for("the state writers to be idle", || db.rows(STATES) == ["idle"]);
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        assert_eq!((db.rows(ROUTES), db.rows(STATES)), (vec!["0".to_owned()], vec!["idle".to_owned()]));
    }
    lock.batch_execute("COMMIT").unwrap();
    wait_for("the route", || db.rows(ROUTES) == ["1"]);
    // Nothing waits where no event was sent to history.
    let _lock = hold_history(&db);
    writers.send(&other, vec![announce(&u, "10.2.0.0/16", 1)]);
    wait_for("the other's route", || db.rows(ROUTES) == ["2"]);
    drop(_lock);
    assert_eq!(writers.finish(), 0);
    let early = "SELECT count(*) FROM current_routes c JOIN route_events e USING (router_id, prefix)
                 WHERE c.updated_at < e.ingest_time";
    assert_eq!(db.rows(early), ["0"]);
}

#[test]
fn a_stop_ends_the_wait_and_nothing_is_acknowledged() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    let stored = owner.progress.state.count_stored();
    let mut lock = hold_history(&db);
    writers.send_events(&owner, vec![event(&t, "10.1.0.0/16", 1)]);
    writers.send(&owner, vec![announce(&t, "10.1.0.0/16", 1)]);
    history_stands(&db);
    writers.stop.begin();
    writers.stop.give_up();
    // The state writer ends by itself; the statement of the other one is ended for it here.
    let killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name LIKE 'rib-ingester/events-%'";
    lock.simple_query(killed).unwrap();
    assert_eq!(writers.finish(), 2);
    assert_eq!(owner.progress.state.count_stored(), stored);
    assert_eq!(db.rows(ROUTES), ["0"]);
}

#[test]
fn a_lost_router_ends_the_wait_for_its_history() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    // One on the same writer, whose routes follow.
    let other = (2..50)
        .map(|i| format!("10.0.0.{i}"))
        .find(|other| {
            writers.sender.state(&rows::record(other).router).same_channel(writers.sender.state(&owner.router))
        })
        .unwrap();
    let other = writers.claim(&other).owner;
    let (t, u) = (table("10.0.0.1", "global", Afi::Ipv4), table(other.router.as_str(), "global", Afi::Ipv4));
    writers.start_sync(&owner, &t);
    let mut lock = hold_history(&db);
    writers.send_events(&owner, vec![event(&t, "10.1.0.0/16", 1)]);
    writers.send(&owner, vec![announce(&t, "10.1.0.0/16", 1)]);
    writers.send(&other, vec![announce(&u, "10.2.0.0/16", 1)]);
    history_stands(&db);
    owner.set_lost();
    wait_for("the other's route", || db.rows("SELECT prefix FROM current_routes") == ["10.2.0.0/16"]);
    lock.batch_execute("COMMIT").unwrap();
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows(ROUTES), ["1"]);
}

#[test]
fn history_alone_in_trouble_is_suspended() {
    let db = TestDb::migrated();
    let writers = Writers::start_waiting(&db, &db.url(), Duration::from_millis(20), Duration::from_secs(1));
    let [first, second] = ["10.0.0.1", "10.0.0.2"].map(|router| writers.claim(router).owner);
    let [t, u] = ["10.0.0.1", "10.0.0.2"].map(|router| table(router, "global", Afi::Ipv4));
    let tell = |owner: &Arc<Ownership>, t: &Arc<Table>, prefix: &str| {
        writers.send_events(owner, vec![event(t, prefix, 1)]);
        writers.send(owner, vec![announce(t, prefix, 1)]);
    };
    let events = || db.rows("SELECT prefix FROM route_events ORDER BY ingest_time");
    writers.start_sync(&first, &t);
    writers.start_sync(&second, &u);
    tell(&first, &t, "10.1.0.0/16");
    wait_for("the first event", || events() == ["10.1.0.0/16"]);
    let lock = hold_history(&db);
    tell(&first, &t, "10.2.0.0/16");
    history_stands(&db);
    tell(&first, &t, "10.3.0.0/16");
    tell(&second, &u, "10.4.0.0/16");
    wait_for("all routes", || db.rows(ROUTES) == ["4"]);
    let off = "SELECT router_id, reason FROM session_events WHERE kind = 'history_off' ORDER BY 1";
    let rows = db.rows(off);
    assert!(
        rows.len() == 2 && rows[0].starts_with("10.0.0.1|suspended: events-0 waits for a lock on route_"),
        "{rows:?}"
    );
    // What was taken before is stored. The rest would say what is not so once other events are missing.
    let batch = piece(&first, vec![event(&t, "10.5.0.0/16", 1)]);
    assert_eq!(writers.sender.events(&first.router).unwrap().send(batch), Err(NotSent::Suspended));
    drop(lock);
    wait_for("what was taken before", || events() == ["10.1.0.0/16", "10.2.0.0/16"]);
    // The next session has its history again.
    let next = writers.claim("10.0.0.2").owner;
    tell(&next, &u, "10.6.0.0/16");
    wait_for("the next session's events", || events().last().is_some_and(|last| last == "10.6.0.0/16"));
    assert_eq!(writers.finish(), 0);
    assert_eq!((events().len(), db.rows(ROUTES)), (3, vec!["5".to_owned()]));
    // The hole begins after the last event that is stored.
    let early = "SELECT count(*) FROM route_events e JOIN session_events s USING (router_id)
                 WHERE s.kind = 'history_off' AND e.router_id = '10.0.0.1' AND e.ingest_time >= s.event_time";
    assert_eq!(db.rows(early), ["0"]);
}

/// `doctor`'s results for these checks, and its remedies.
fn doctor(url: &str, check: &str) -> String {
    let mut run = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    run.env_clear().args(["doctor", "--json"]).env("RIB_INGESTER_DATABASE_URL", url);
    let output = run.env("RIB_INGESTER_HTTP_LISTEN", "off").output().unwrap();
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of_check = checks.iter().filter(|one| one["check"] == check);
    of_check.map(|one| format!("{}: {} -> {}\n", one["state"], one["found"], one["remedy"])).collect()
}

#[test]
fn a_history_stall_is_reported_with_its_reason() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("MAINTENANCE_INTERVAL_SECS", "43200")]);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    let up = bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global"));
    router.send(&bmp::initiation(b"edge1", b"")).send(&up);
    let mut say = |prefix: &str| {
        let update = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &[prefix]);
        router.send(&bmp::route_monitoring(peer, &update));
    };
    say("10.1.0.0/16");
    wait_for("the first route", || db.rows(ROUTES) == ["1"]);
    wait_for("the days to be there", || ingester.count_logged("created") == 2);

    // Another session holds a lock, which blocks doctor's own reading of partitions too.
    let mut holder = db.client();
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    holder
        .batch_execute(
            "SET application_name = 'nightly report'; BEGIN; LOCK TABLE route_events IN ACCESS EXCLUSIVE MODE",
        )
        .unwrap();
    say("10.2.0.0/16");
    let who = format!("held by process {pid} of the server (nightly report)");
    let waits = format!("events-0 waits for a lock on route_events, {who}");
    let line = ingester.logged("waits for history, which has stored nothing for ");
    assert!(line.ends_with(&format!(" s: {waits}")), "{line}");
    wait_for("readyz to say so", || {
        let (status, _, text) = ingester.get("/readyz");
        status == 503 && text.contains(&format!("state waits for history, which is stalled: {waits}"))
    });
    let said = doctor(&db.url(), "locks");
    assert!(said.contains(&waits) && said.contains("pg_terminate_backend"), "{said}");
    holder.batch_execute("COMMIT").unwrap();
    ingester.logged("history: stored, state-");
    wait_for("the second route", || db.rows(ROUTES) == ["2"]);

    // A right is missing.
    let role = holder.query_one("SELECT current_user::text", &[]).unwrap().get::<_, String>(0);
    holder.batch_execute(&format!("REVOKE INSERT ON route_events FROM {role}")).unwrap();
    say("10.3.0.0/16");
    let denied = "s: events-0: not usable: ";
    wait_for("the log to say so", || ingester.log().iter().any(|line| line.contains(denied) && line.contains("42501")));
    let said = doctor(&db.url(), "history");
    assert!(said.contains(&format!("GRANT INSERT ON route_events TO {role}")), "{said}");
    wait_for("readyz to name what the event writer met", || {
        let (status, _, text) = ingester.get("/readyz");
        status == 503 && text.contains("which is stalled: events-0: not usable: ")
    });
    holder.batch_execute(&format!("GRANT INSERT ON route_events TO {role}")).unwrap();
    wait_for("the third route", || db.rows(ROUTES) == ["3"]);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT event_id) FROM route_events"), ["3|3"]);
    wait_for("readyz to be well", || ingester.get("/readyz").0 == 200);
    assert_eq!((doctor(&db.url(), "history"), doctor(&db.url(), "locks")), (String::new(), String::new()));
    assert!(ingester.stop().success());
}

#[test]
fn a_batch_with_history_does_not_wait_for_later_input() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    // Exactly enough to make a batch full.
    let prefixes = |piece: u32| (0..1000).map(move |i| format!("10.{piece}.{}.{}/32", i / 256, i % 256));
    let tell = |piece: u32| {
        writers.send_events(&owner, prefixes(piece).zip(piece * 1000..).map(|(p, i)| event(&t, &p, i)).collect());
    };
    let change = |piece: u32| writers.send(&owner, prefixes(piece).map(|p| announce(&t, &p, 1)).collect());
    tell(0);
    tell(1);
    wait_for("the history of the first two", || owner.progress.events.has_stored(2));
    let mut routes = db.client();
    routes.batch_execute("BEGIN; LOCK TABLE current_routes IN EXCLUSIVE MODE").unwrap();
    // The writers are far behind the session.
    owner.waiting.add(1_000_000);
    change(0);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name LIKE 'rib-ingester/state-%' AND wait_event_type = 'Lock'";
    wait_for("the state writer to meet the lock", || db.rows(waiting) == ["1"]);
    change(1);
    let mut history = hold_history(&db);
    tell(2);
    history_stands(&db);
    change(2);
    routes.batch_execute("COMMIT").unwrap();
    wait_for("the routes that have their history", || db.rows(ROUTES) == ["2000"]);
    history.batch_execute("COMMIT").unwrap();
    wait_for("all routes", || db.rows(ROUTES) == ["3000"]);
    assert_eq!(writers.finish(), 0);
}
