//! What the database can say to a writer, one by one, through triggers that raise it: nothing is lost or doubled, what
//! passes is waited for, what is too much is halved.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

#[path = "common/pg.rs"]
mod pg;
#[path = "common/rows.rs"]
mod rows;

use std::sync::atomic::Ordering;

use pg::TestDb;
use rib_ingester::model::Afi;
use rib_ingester::pipeline::StateOp;
use rib_ingester::store::{Error, Verdict};
use rows::{Writers, announce, event, table, wait_for};

/// What each SQLSTATE makes a writer do.
const VERDICTS: &[(&str, Verdict)] = &[
    ("57P01", Verdict::Reconnect),
    ("57P02", Verdict::Reconnect),
    ("57P03", Verdict::Reconnect),
    ("08006", Verdict::Reconnect),
    ("40P01", Verdict::Again),
    ("40001", Verdict::Again),
    ("55P03", Verdict::Stuck),
    ("23514", Verdict::NoPartition),
    ("42P01", Verdict::NoPartition),
    ("23505", Verdict::Duplicate),
    ("22021", Verdict::BadRow),
    ("22003", Verdict::BadRow),
    ("23502", Verdict::BadRow),
    ("57014", Verdict::TooLong),
    ("53100", Verdict::Stuck),
    ("53300", Verdict::Stuck),
    ("25006", Verdict::Stuck),
    ("42501", Verdict::Stuck),
    ("XX000", Verdict::Stuck),
];

#[test]
fn each_sqlstate_has_its_consequence() {
    let db = TestDb::create();
    let mut client = db.client();
    for (code, verdict) in VERDICTS {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; END $$");
        let error = Error::from(client.batch_execute(&raise).unwrap_err());
        assert_eq!((error.code(), error.verdict()), (Some(*code), *verdict));
        assert_eq!(error.to_string(), format!("on purpose (SQLSTATE {code})"));
    }
    // A CHECK is a bad row, though its SQLSTATE is that of a missing partition.
    client.batch_execute("CREATE TABLE t (i INT CHECK (i > 0))").unwrap();
    let error = Error::from(client.batch_execute("INSERT INTO t VALUES (0)").unwrap_err());
    assert_eq!((error.code(), error.verdict()), (Some("23514"), Verdict::BadRow));
    let gone = db.client().simple_query("SELECT pg_terminate_backend(pg_backend_pid())").unwrap_err();
    assert_eq!(Error::from(gone).verdict(), Verdict::Reconnect);
}

#[test]
fn what_passes_is_waited_for_and_nothing_is_lost_or_doubled() {
    let db = TestDb::migrated();
    let mut admin = db.client();
    rib_ingester::maintenance::run_once(&mut admin, 30).unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    let count = || db.rows("SELECT (SELECT count(*) FROM current_routes), (SELECT count(*) FROM route_events)");
    let mut stored = 0u32;
    for (code, verdict) in VERDICTS {
        let passes = match verdict {
            Verdict::Reconnect | Verdict::Again | Verdict::Stuck => true,
            Verdict::NoPartition | Verdict::Duplicate | Verdict::BadRow | Verdict::TooLong => false,
        };
        if !passes {
            continue;
        }
        // The first three statements of each writer fail; sequences count on when a transaction rolls back.
        admin
            .batch_execute(&format!(
                "CREATE SEQUENCE routes_tries; CREATE SEQUENCE events_tries;
                 CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     IF nextval(TG_ARGV[0]) <= 3 THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; END IF;
                     RETURN NULL;
                 END $$;
                 CREATE OR REPLACE TRIGGER fail AFTER INSERT ON current_routes FOR EACH STATEMENT EXECUTE FUNCTION fail('routes_tries');
                 CREATE OR REPLACE TRIGGER fail AFTER INSERT ON route_events FOR EACH ROW EXECUTE FUNCTION fail('events_tries')"
            ))
            .unwrap();
        let retries = || writers.pipeline.health().retries.load(Ordering::Relaxed);
        let before = retries();
        writers.send(&owner, vec![announce(&t, &format!("10.{stored}.0.0/16"), stored)]);
        writers.send_events(&owner, vec![event(&t, "10.0.0.0/8", stored)]);
        stored += 1;
        wait_for(code, || count() == [format!("{stored}|{stored}")]);
        assert_eq!(retries() - before, 6, "{code}");
        wait_for("the writers to be ready", || writers.pipeline.health().is_ready());
        admin.batch_execute("DROP SEQUENCE routes_tries; DROP SEQUENCE events_tries").unwrap();
    }
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(DISTINCT event_id) FROM route_events"), [stored.to_string()]);
}

#[test]
fn what_takes_too_long_is_halved() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF (SELECT count(*) FROM new_rows) > 10 THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '57014'; END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER slow AFTER INSERT ON current_routes REFERENCING NEW TABLE AS new_rows
                 FOR EACH STATEMENT EXECUTE FUNCTION slow()",
        )
        .unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    let mut ops: Vec<_> = (0..100).map(|i| announce(&t, &format!("10.{i}.0.0/16"), i)).collect();
    ops.push(StateOp::TableSeen(t.clone()));
    writers.send(&owner, ops);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*), sum(med) FROM current_routes"), ["100|4950"]);
    // The routes came in several transactions, the table's row with the last of them.
    assert_eq!(db.rows("SELECT count(DISTINCT updated_at) FROM current_routes"), ["16"]);
    assert_eq!(
        db.rows("SELECT max(r.updated_at) = max(s.last_parsed_msg_time) FROM current_routes r, rib_sync_status s"),
        ["t"]
    );
}

#[test]
fn two_writers_with_the_same_history_and_state_rows_do_not_stop_each_other() {
    // State and event writers lock the same rows of rib_sync_status and router_owner in every transaction.
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let names: Vec<String> = (1..20).map(|i| format!("10.0.0.{i}")).collect();
    let owners: Vec<_> = names.iter().map(|name| writers.claim(name).owner).collect();
    for round in 0..50u32 {
        for (i, name) in names.iter().enumerate() {
            // Opposite orders in odd rounds.
            let i = if round % 2 == 0 { i } else { names.len() - 1 - i };
            let name = if round % 2 == 0 { name } else { &names[i] };
            let t = table(name, "global", Afi::Ipv4);
            let number = round * 100 + u32::try_from(i).unwrap();
            writers.send(&owners[i], vec![announce(&t, "10.0.0.0/8", number), StateOp::TableSeen(t.clone())]);
            writers.send_events(&owners[i], vec![event(&t, "10.0.0.0/8", number)]);
        }
    }
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), ["0"]);
    assert_eq!(db.rows("SELECT count(*), min(med / 100) FROM current_routes"), ["19|49"]);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT event_id) FROM route_events"), ["950|950"]);
}

#[test]
fn a_deadlock_that_does_not_pass_makes_the_collector_not_ready() {
    let db = TestDb::migrated();
    let mut admin = db.client();
    admin
        .batch_execute(
            "CREATE TABLE obstacle AS SELECT 1;
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF EXISTS (SELECT FROM obstacle) THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40P01'; END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER fail AFTER INSERT ON current_routes FOR EACH STATEMENT EXECUTE FUNCTION fail()",
        )
        .unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.send(&owner, vec![announce(&t, "10.0.0.0/8", 1)]);
    let health = writers.pipeline.health().clone();
    wait_for("the writer not to be ready", || !health.is_ready());
    // The first few pauses were silent.
    assert!(health.retries.load(Ordering::Relaxed) > 3);
    admin.batch_execute("DELETE FROM obstacle").unwrap();
    wait_for("the writer to be ready", || health.is_ready());
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["1"]);
}
