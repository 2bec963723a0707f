//! Every error that the database can return to a writer, one by one, through triggers that raise it: nothing is lost or
//! doubled, temporary errors are retried, batches that are too large are halved.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::rows;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::pg::TestDb;
use crate::common::rows::{Writers, announce, event, session_event, table, wait_for};
use rib_ingester::model::{AdjRibKey, Afi, PeerState, Policy, SessionEventKind, Table, View};
use rib_ingester::pipeline::{Denial, Ownership, Refusal, StateOp};
use rib_ingester::store::{Error, Recovery};

/// A writer's reaction to each SQLSTATE.
const VERDICTS: &[(&str, Recovery)] = &[
    ("57P01", Recovery::Reconnect),
    ("57P02", Recovery::Reconnect),
    ("57P03", Recovery::Reconnect),
    ("08006", Recovery::Reconnect),
    ("40P01", Recovery::Again),
    ("40001", Recovery::Again),
    ("55P03", Recovery::NeedsOperator),
    ("23514", Recovery::NoPartition),
    ("42P01", Recovery::NoPartition),
    ("23505", Recovery::Duplicate),
    ("22021", Recovery::BadRow),
    ("22003", Recovery::BadRow),
    ("23502", Recovery::BadRow),
    ("54000", Recovery::RowOrStatement),
    ("54001", Recovery::RowOrStatement),
    ("21000", Recovery::RowOrStatement),
    ("0A000", Recovery::RowOrStatement),
    ("57014", Recovery::TooLong),
    ("53100", Recovery::NeedsOperator),
    ("53300", Recovery::NeedsOperator),
    ("25006", Recovery::NeedsOperator),
    ("42501", Recovery::NeedsOperator),
    ("XX000", Recovery::NeedsOperator),
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
    assert_eq!((error.code(), error.verdict()), (Some("23514"), Recovery::BadRow));
    let gone = db.client().simple_query("SELECT pg_terminate_backend(pg_backend_pid())").unwrap_err();
    assert_eq!(Error::from(gone).verdict(), Recovery::Reconnect);
}

#[test]
fn temporary_refusals_are_retried_and_nothing_is_lost() {
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
            Recovery::Reconnect | Recovery::Again | Recovery::NeedsOperator => true,
            Recovery::NoPartition
            | Recovery::Duplicate
            | Recovery::BadRow
            | Recovery::RowOrStatement
            | Recovery::TooLong
            | Recovery::Restart => false,
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
    // The routes were written in several transactions, the table's row with the last of them.
    assert_eq!(db.rows("SELECT count(DISTINCT updated_at) FROM current_routes"), ["16"]);
    assert_eq!(
        db.rows("SELECT max(r.updated_at) = max(s.last_parsed_msg_time) FROM current_routes r, rib_sync_status s"),
        ["t"]
    );
}

#[test]
fn writers_with_the_same_rows_do_not_stop_each_other() {
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
fn a_lasting_deadlock_makes_the_collector_not_ready() {
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

/// The lines in the rejected file of a router.
fn rejected(writers: &Writers, router: &str) -> Vec<String> {
    let text = std::fs::read_to_string(writers.state_dir.join(format!("rejected/{router}.rows"))).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Refuses rows of `table` by `condition`, with this SQLSTATE.
fn refuse(db: &TestDb, table: &str, when: &str, condition: &str, code: &str) {
    db.client()
        .batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'on purpose' USING ERRCODE = TG_ARGV[0];
             END $$;
             CREATE OR REPLACE TRIGGER refuse {when} ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse('{code}')"
        ))
        .unwrap();
}

#[test]
fn a_plan_that_is_outdated_needs_a_new_connection() {
    let db = TestDb::create();
    let mut client = db.client();
    client.batch_execute("CREATE TABLE t (i INT)").unwrap();
    let statement = client.prepare("SELECT * FROM t").unwrap();
    client.query(&statement, &[]).unwrap();
    client.batch_execute("ALTER TABLE t ADD COLUMN j INT").unwrap();
    let error = Error::from(client.query(&statement, &[]).unwrap_err());
    assert_eq!((error.code(), error.verdict()), (Some("0A000"), Recovery::Reconnect));
}

#[test]
fn a_row_over_a_limit_costs_itself_alone() {
    for code in ["54000", "21000", "0A000"] {
        let db = TestDb::migrated();
        rib_ingester::maintenance::run_once(&mut db.client(), 30).unwrap();
        refuse(&db, "current_routes", "BEFORE INSERT", "NEW.med = 13", code);
        refuse(&db, "route_events", "BEFORE INSERT", "NEW.med = 13", code);
        let writers = Writers::start(&db);
        let owner = writers.claim("10.0.0.1").owner;
        let t = table("10.0.0.1", "global", Afi::Ipv4);
        let seen = StateOp::TableSeen(t.clone());
        let among = (10..20).map(|i| announce(&t, &format!("10.{i}.0.0/16"), i)).chain([seen]);
        writers.send(&owner, among.collect());
        writers.send_events(&owner, (10..20).map(|i| event(&t, "10.0.0.0/8", i)).collect());
        let count = || db.rows("SELECT (SELECT count(*) FROM current_routes), (SELECT count(*) FROM route_events)");
        wait_for("the others", || count() == ["9|9"] && rejected(&writers, "10.0.0.1").len() == 2);
        // A single row has nothing to be compared with but a row that cannot be at fault.
        writers.send(&owner, vec![announce(&t, "10.13.0.0/16", 13)]);
        wait_for("the one alone", || rejected(&writers, "10.0.0.1").len() == 3);
        assert!(rejected(&writers, "10.0.0.1").iter().all(|line| line.contains(code)), "{code}");
        assert!(writers.pipeline.health().is_ready());
        assert_eq!(db.rows("SELECT count(*) FROM routers"), ["1"]);
        assert_eq!(writers.finish(), 0);
        assert_eq!(db.rows("SELECT last_parsed_msg_time IS NOT NULL FROM rib_sync_status"), ["t"]);
    }
}

#[test]
fn a_statement_at_fault_is_tried_until_it_works() {
    let db = TestDb::migrated();
    let mut admin = db.client();
    admin
        .batch_execute(
            "CREATE TABLE obstacle AS SELECT 1;
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF EXISTS (SELECT FROM obstacle) THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '54000'; END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER fail AFTER INSERT ON current_routes FOR EACH STATEMENT EXECUTE FUNCTION fail();
             CREATE TRIGGER fail AFTER INSERT ON peers FOR EACH STATEMENT EXECUTE FUNCTION fail();
             CREATE TRIGGER fail AFTER INSERT ON adj_rib_in_sync_status FOR EACH STATEMENT EXECUTE FUNCTION fail()",
        )
        .unwrap();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    let mut ops: Vec<_> = (0..8).map(|i| announce(&t, &format!("10.{i}.0.0/16"), i)).collect();
    ops.push(StateOp::PeerSeen(Box::new(rows::peer("192.0.2.9", PeerState::Up))));
    writers.send(&owner, ops);
    let health = writers.pipeline.health().clone();
    wait_for("the writer not to be ready", || !health.is_ready());
    wait_for("some tries", || health.retries.load(Ordering::Relaxed) > 4);
    assert_eq!(rejected(&writers, "10.0.0.1"), [""; 0]);
    admin.batch_execute("DELETE FROM obstacle").unwrap();
    wait_for("the routes", || db.rows("SELECT count(*) FROM current_routes") == ["8"]);
    wait_for("the writer to be ready", || health.is_ready());
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*) FROM peers"), ["1"]);
}

#[test]
fn what_goes_along_with_routes_is_refused_one_by_one() {
    let db = TestDb::migrated();
    refuse(&db, "peers", "BEFORE INSERT", "NEW.peer_address = '192.0.2.13'", "22003");
    refuse(&db, "session_events", "BEFORE INSERT", "NEW.table_name = 'bad'", "22023");
    refuse(&db, "peer_statistics", "BEFORE INSERT", "NEW.stat_type = 13", "54000");
    let writers = Writers::start(&db);
    let names: Vec<String> = (1..9).map(|i| format!("10.0.0.{i}")).collect();
    let owners: Vec<_> = names.iter().map(|name| writers.claim(name).owner).collect();
    let note = |name: &str| StateOp::SessionEvent(session_event(SessionEventKind::PeerUp, Some(name)));
    for owner in &owners {
        let t = table(owner.router.as_str(), "global", Afi::Ipv4);
        let mut ops = vec![announce(&t, "10.1.0.0/16", 1), note("good"), StateOp::TableSeen(t.clone())];
        for last in [12, 13, 14] {
            ops.push(StateOp::PeerSeen(Box::new(rows::peer(&format!("192.0.2.{last}"), PeerState::Up))));
        }
        ops.push(StateOp::Statistics([12, 13, 14].map(|code| rows::statistic("192.0.2.12", code)).to_vec()));
        ops.extend([note("bad"), note("better")]);
        writers.send(owner, ops);
    }
    wait_for("the last rows", || {
        db.rows("SELECT count(*) FROM rib_sync_status WHERE last_parsed_msg_time IS NOT NULL") == ["8"]
    });
    wait_for("all refusals", || names.iter().all(|name| rejected(&writers, name).len() == 3));
    assert!(writers.pipeline.health().is_ready() && owners.iter().all(|owner| owner.refusal().is_none()));
    assert_eq!(writers.finish(), 0);
    for (rows, count) in [("current_routes", 8), ("peers", 16), ("peer_statistics", 16), ("session_events", 16)] {
        assert_eq!(db.rows(&format!("SELECT count(*) FROM {rows}")), [count.to_string()], "{rows}");
    }
    let order = "SELECT DISTINCT string_agg(table_name, ' ' ORDER BY id) FROM session_events GROUP BY router_id";
    assert_eq!(db.rows(order), ["good better"]);
}

#[test]
fn a_refused_command_ends_its_session_and_no_other() {
    let db = TestDb::migrated();
    refuse(&db, "rib_sync_status", "BEFORE INSERT", "NEW.table_name = 'bad start'", "22003");
    refuse(&db, "adj_rib_in_sync_status", "BEFORE DELETE", "OLD.table_name = 'bad down'", "23000");
    refuse(&db, "adj_rib_out_sync_status", "BEFORE UPDATE", "OLD.table_name = 'bad end'", "54000");
    refuse(&db, "routers", "BEFORE INSERT", "NEW.router_id = '10.0.0.13'", "22001");
    let writers = Writers::start(&db);
    let Err(Denial::Refused(Refusal(refused))) = writers.try_claim("10.0.0.13") else { panic!("it is refused") };
    assert!(refused.contains("22001"), "{refused}");
    let owners: Vec<_> = (1..5).map(|i| writers.claim(&format!("10.0.0.{i}")).owner).collect();
    let of = |owner: &Arc<Ownership>, view, name: &str| {
        Arc::new(Table { view, ..Table::loc_rib(owner.router.clone(), name, Afi::Ipv4) })
    };
    let peer = AdjRibKey { address: "192.0.2.9".parse().unwrap(), policy: Policy::Pre };
    let begin =
        |t: &Arc<Table>| StateOp::SyncStart { tables: vec![t.clone()], names: vec![], beside: vec![], stored: None };
    let eor = |t: &Arc<Table>| StateOp::EndOfRib { table: t.clone(), stale: vec![] };
    let down = |t: &Arc<Table>| StateOp::TablesDown {
        tables: vec![(t.view, t.name.clone())],
        routes: 0,
        event: Some(session_event(SessionEventKind::PeerDown, Some(&t.name))),
    };
    // A thread that waits for an answer gets none, and finds out why.
    let bad = of(&owners[0], View::LocRib, "bad start");
    assert_eq!(writers.start_sync(&owners[0], &bad), None);
    let text = owners[0].refusal().unwrap().0.clone();
    assert!(text.contains("22003") && text.contains("10.0.0.1"), "{text}");
    let tables = [
        of(&owners[1], View::AdjRibIn(peer), "bad down"),
        of(&owners[2], View::AdjRibOut(peer), "bad end"),
        of(&owners[3], View::AdjRibIn(peer), "good"),
    ];
    for (owner, t) in owners[1..].iter().zip(&tables) {
        writers.send(owner, vec![begin(t), announce(t, "10.1.0.0/16", 1)]);
        writers.send(owner, vec![eor(t)]);
    }
    writers.send(&owners[1], vec![down(&tables[0])]);
    writers.send(&owners[3], vec![down(&tables[2])]);
    wait_for("the refusals", || owners[..3].iter().all(|owner| owner.refusal().is_some()));
    assert!(writers.pipeline.health().is_ready());
    assert_eq!(writers.finish(), 0);
    assert!(owners[3].refusal().is_none());
    // The routes that could not be removed are there, and no row reports their removal.
    assert_eq!(db.rows("SELECT router_id FROM adj_rib_in"), ["10.0.0.2"]);
    assert_eq!(db.rows("SELECT table_name, routes FROM session_events"), ["good|1"]);
    assert_eq!(db.rows("SELECT eor_seen FROM adj_rib_out_sync_status"), ["f"]);
}
