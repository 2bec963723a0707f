//! One `COLLECTOR_ID`, one collector: the lock that `serve` holds, the processes that wait for it, and the effects of
//! its loss.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::Command;
use std::thread;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use postgres::Client;

/// The lock of the collectors that tests start.
const KEY: &str = "hashtextextended('test', 'collectors'::regclass::oid::bigint)";

const ROUTER: &str = "10.255.0.1";

/// Ends the session that holds it, as a restarting server or an administrator does.
const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name = 'rib-ingester/identity' AND datname = current_database()";

fn dump(med: u32) -> Vec<u8> {
    let peer = Peer::loc_rib(ROUTER);
    let up = bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global"));
    [bmp::initiation(b"edge1", b""), up, announce(med), bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4())].concat()
}

fn announce(med: u32) -> Vec<u8> {
    let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
    let prefixes = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];
    bmp::route_monitoring(Peer::loc_rib(ROUTER), &bmp::announce(&attributes, "192.0.2.1", &prefixes))
}

/// Another session has the lock from here on; `ends` runs when it waits for it.
fn steal(db: &TestDb, ends: &str) -> Client {
    let mut thief = db.client();
    let waits = thread::spawn(move || {
        thief.batch_execute(&format!("SELECT pg_advisory_lock({KEY})")).unwrap();
        thief
    });
    if !ends.is_empty() {
        let waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        eventually("a session that waits for the lock", || (!db.rows(waiting).is_empty()).then_some(()));
        db.client().batch_execute(ends).unwrap();
    }
    waits.join().unwrap()
}

fn instance(db: &TestDb) -> String {
    db.rows("SELECT instance FROM collectors WHERE collector_id = 'test'").remove(0)
}

fn readiness(ingester: &mut Ingester) -> (u16, String) {
    let (status, _, body) = ingester.get("/readyz");
    (status, body)
}

/// The number of messages of the router that were read.
fn messages(ingester: &mut Ingester) -> u64 {
    let (_, _, metrics) = ingester.get("/metrics");
    let name = format!("rib_ingester_messages_total{{router=\"{ROUTER}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

#[test]
fn of_two_collectors_with_one_identifier_one_serves() {
    let db = TestDb::migrated();
    let mut both = [Ingester::spawn(&db.url(), &[]), Ingester::spawn(&db.url(), &[])];
    let ended = eventually("one of them ends", || both.iter_mut().position(|one| one.has_ended()));
    let [first, second] = both;
    let (mut serves, ended) = if ended == 0 { (second, first) } else { (first, second) };
    let number = serves.id();
    let (status, said) = ended.ended();
    assert_eq!(status.code(), Some(1), "{said:#?}");
    let last = said.last().unwrap();
    assert!(last.contains("COLLECTOR_ID test is in use") && last.contains("RIB_INGESTER_COLLECTOR_ID"), "{last}");
    assert!(last.contains(&instance(&db)) && last.contains(&format!("process {number}")), "{last}");
    // Nothing of the collector that ended blocks the other.
    serves.logged("waiting for routers on ");
    assert_eq!(db.rows("SELECT process_id FROM collectors"), [number.to_string()]);
    // The commands need no lock.
    for command in ["migrate", "maintenance", "status", "doctor"] {
        let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
            .arg(command)
            .env_clear()
            .env("RIB_INGESTER_DATABASE_URL", db.url())
            .env("RIB_INGESTER_COLLECTOR_ID", "test")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("lock"), "{command}: {said}");
        assert!(command == "doctor" || output.status.success(), "{command}: {said}");
    }
    assert!(serves.stop().success());
}

#[test]
fn a_killed_collector_is_back_at_once() {
    let db = TestDb::migrated();
    let first = Ingester::start(&db.url(), &[]);
    let before = instance(&db);
    first.kill();
    let second = Ingester::start(&db.url(), &[]);
    assert_ne!(instance(&db), before);
    assert!(second.stop().success());
}

/// The server has not noticed yet that a killed process is gone: its session has the lock until its time is over.
#[test]
fn a_start_waits_for_a_dead_holder_not_a_living_one() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version, host, process_id)
             VALUES ('test', gen_random_uuid(), now() + interval '5 seconds', now(), '1', 'elsewhere', 7)",
        )
        .unwrap();
    let thief = steal(&db, "");
    let mut waits = Ingester::spawn(&db.url(), &[]);
    let line = waits.logged("waits for the lock of COLLECTOR_ID test");
    assert!(line.contains("rib-ingester/test") && line.contains("elsewhere") && line.contains("process 7"), "{line}");
    let said = eventually("/readyz says so", || {
        let (status, said) = readiness(&mut waits);
        (status == 503 && said.contains("waits for the lock")).then_some(said)
    });
    assert!(said.contains("writers: not started"), "{said}");
    drop(thief);
    waits.logged("waiting for routers on ");
    assert!(waits.stop().success());

    // A holder that keeps reporting that it is alive.
    let thief = steal(&db, "");
    let mut refused = Ingester::spawn(&db.url(), &[]);
    eventually("the second one ends", || {
        let beat = "UPDATE collectors SET alive_until = clock_timestamp() + interval '6 seconds', host = 'elsewhere'";
        db.client().batch_execute(beat).unwrap();
        refused.has_ended().then_some(())
    });
    let (status, said) = refused.ended();
    assert_eq!(status.code(), Some(1), "{said:#?}");
    assert!(said.last().unwrap().contains("on host elsewhere"), "{said:#?}");
    drop(thief);
}

#[test]
fn without_its_lock_the_collector_writes_nothing() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    router.send(&dump(1));
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT count(*) FROM route_events WHERE med = 1"));
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT count(*) FROM current_routes WHERE med = 1"));
    let before = instance(&db);

    let thief = steal(&db, END);
    let said = eventually("/readyz says so", || {
        let (status, said) = readiness(&mut ingester);
        (status == 503 && said.contains("the lock of COLLECTOR_ID test is lost")).then_some(said)
    });
    assert!(said.contains("writers: cannot write") && said.contains("rib-ingester/test"), "{said}");
    let read = messages(&mut ingester);
    router.send(&announce(2));
    // The message was read, and waits.
    eventually("the message is read", || (messages(&mut ingester) > read).then_some(()));
    let released = db.rows("SELECT clock_timestamp()").remove(0);
    drop(thief);

    ingester.logged("acquired the lock of COLLECTOR_ID test again");
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT count(*) FROM current_routes WHERE med = 2"));
    let early = format!("SELECT count(*) FROM current_routes WHERE updated_at < '{released}'");
    assert_eq!(db.rows(&early), ["0"]);
    let events = format!("SELECT count(*), bool_and(ingest_time > '{released}') FROM route_events WHERE med = 2");
    assert_eq!(db.rows(&events), ["3|t"]);
    assert_eq!(instance(&db), before);
    eventually("/readyz is well again", || (readiness(&mut ingester).0 == 200).then_some(()));
    assert!(ingester.stop().success());
}

#[test]
fn a_collector_that_loses_its_identifier_keeps_input() {
    let db = TestDb::migrated();
    let state_dir = std::env::temp_dir().join(format!("rib-ingester-{}", db.name()));
    let settings = [("STATE_DIR", state_dir.to_str().unwrap())];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    router.send(&dump(1));
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT count(*) FROM current_routes WHERE med = 1"));
    let mut thief = steal(&db, END);
    eventually("/readyz says so", || (readiness(&mut ingester).0 == 503).then_some(()));
    let read = messages(&mut ingester);
    router.send(&announce(2));
    eventually("the message is read", || (messages(&mut ingester) > read).then_some(()));
    thief.batch_execute("UPDATE collectors SET instance = gen_random_uuid(), host = 'elsewhere'").unwrap();
    let (status, said) = ingester.ended();
    assert_eq!(status.code(), Some(1), "{said:#?}");
    let last = said.last().unwrap();
    assert!(last.contains("COLLECTOR_ID test is in use") && last.contains("on host elsewhere"), "{last}");
    assert_eq!(db.rows("SELECT count(*) FROM route_events WHERE med = 2"), ["0"]);

    // The other one is gone: the next start stores what was read.
    drop(thief);
    let again = Ingester::start(&db.url(), &settings);
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT count(*) FROM current_routes WHERE med = 2"));
    assert_eq!(db.rows("SELECT count(*) FROM route_events WHERE med = 2"), ["3"]);
    assert_eq!(db.rows("SELECT count(*) FROM session_events WHERE kind = 'gap'"), ["0"]);
    assert!(again.stop().success());
    let _ = std::fs::remove_dir_all(state_dir);
}
