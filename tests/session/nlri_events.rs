//! The history of families whose NLRI are not prefixes: as that of routes, in a table of its own.

#![allow(missing_docs, clippy::unwrap_used)]

use rib_ingester::store::partitions::{NLRI_EVENTS, ensure_in, today};

use crate::common::bmp::{self, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use crate::stored_families::{ALL, EVPN, ROUTER, announce, end_of_rib, greet, loc_rib, mac, mac_key, withdraw};

/// The events in their order: action, key, label and reason.
const STORY: &str =
    "SELECT action, nlri_key, nlri -> 'labels' ->> 0, attrs ->> 'reason' FROM nlri_events ORDER BY ingest_time";

/// The number of changes that are sent while history is held back.
const CHANGES: u8 = 100;

fn story(db: &TestDb) -> Vec<String> {
    db.rows(STORY)
}

/// A line of the story about this MAC address.
fn of_mac(action: &str, last: u8, label: &str, reason: &str) -> String {
    format!("{action}|{}|{label}|{reason}", mac_key(last))
}

#[test]
fn announcements_withdrawals_and_purges_are_events() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL]);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &[mac(1, 0x10), mac(2, 0x20)].concat());
    end_of_rib(&mut router, loc_rib(), EVPN);
    let mut want = vec![of_mac("A", 1, "1", "-"), of_mac("A", 2, "2", "-")];
    eventually_equal(want.clone(), || story(&db));
    eventually_equal(vec!["2".to_owned()], || db.rows("SELECT count(*) FROM nlri_routes"));
    announce(&mut router, loc_rib(), EVPN, &mac(1, 0x30));
    // The label of a withdrawal says nothing.
    withdraw(&mut router, loc_rib(), EVPN, &mac(2, 0));
    // It has not been announced.
    withdraw(&mut router, loc_rib(), EVPN, &mac(9, 0));
    want.extend([of_mac("A", 1, "3", "-"), of_mac("D", 2, "2", "-"), "D|-|-|-".to_owned()]);
    eventually_equal(want.clone(), || story(&db));
    // A dump that repeats a route, has another one anew, and lacks one.
    announce(&mut router, loc_rib(), EVPN, &mac(3, 0x10));
    want.push(of_mac("A", 3, "1", "-"));
    eventually_equal(want.clone(), || story(&db));
    drop(router);
    eventually_equal(vec!["t".to_owned()], || db.rows("SELECT stale_since IS NOT NULL FROM nlri_sync_status"));
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &[mac(3, 0x10), mac(2, 0x20)].concat());
    end_of_rib(&mut router, loc_rib(), EVPN);
    want.extend([of_mac("A", 2, "2", "-"), of_mac("D", 1, "3", "stale")]);
    eventually_equal(want.clone(), || story(&db));
    let columns =
        "SELECT rib, table_name, peer_address, afi, safi, path_id, nexthop, origin, attrs, received_at IS NULL
                   FROM nlri_events WHERE action = 'A' LIMIT 1";
    assert_eq!(db.rows(columns), ["loc-rib|global|nlri:25/70|-|25|70|-|192.0.2.1|IGP|-|f"]);
    assert_eq!(db.rows("SELECT DISTINCT afi, safi FROM nlri_events"), ["25|70"]);
    assert_eq!(db.rows("SELECT count(*) FROM route_events"), ["0"]);
    let raw = "SELECT last_raw_msg_time IS NOT NULL FROM nlri_loc_rib_sync_status";
    assert_eq!(db.rows(raw), ["t"]);
    // A table that goes as a whole is a row of session_events.
    router.send(&bmp::peer_down(loc_rib(), 6));
    eventually_equal(vec![], || db.rows("SELECT nlri_key FROM nlri_routes"));
    assert_eq!(story(&db), want);
    assert!(ingester.stop().success());
}

#[test]
fn peers_and_paths_are_told_apart() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL, ("STORED_RIBS", "adj-rib-in-pre,adj-rib-in-post")]);
    let mut router = ingester.connect();
    greet(&mut router);
    let peers = ["192.0.2.1", "192.0.2.2"].map(|address| Peer::global_instance(address, 64_501));
    for (label, peer) in [0x10, 0x20].into_iter().zip(peers) {
        router.send(&bmp::peer_up(peer, &Open::of(64_501, "192.0.2.1"), None));
        announce(&mut router, peer, EVPN, &mac(1, label));
    }
    let routes = "SELECT count(*) FROM nlri_routes";
    eventually_equal(vec!["2".to_owned()], || db.rows(routes));
    for peer in peers {
        withdraw(&mut router, peer, EVPN, &mac(1, 0));
    }
    let all = "SELECT rib, peer_address, is_post_policy, action, nlri_key, nlri -> 'labels' ->> 0
               FROM nlri_events ORDER BY peer_address, ingest_time";
    let line = |peer: u8, action: &str| format!("adj-rib-in|192.0.2.{peer}|f|{action}|{}|{peer}", mac_key(1));
    let want = [line(1, "A"), line(1, "D"), line(2, "A"), line(2, "D")].to_vec();
    eventually_equal(want, || db.rows(all));
    assert!(ingester.stop().success());
}

/// Sends changes of one NLRI: label 1 to CHANGES, each announced and every second one withdrawn.
fn flap(router: &mut FakeRouter) -> Vec<String> {
    let mut want = Vec::new();
    for number in 1..=CHANGES {
        let peer = loc_rib().at(1_700_000_000 + u32::from(number));
        if number % 2 == 0 {
            withdraw(router, peer, EVPN, &mac(1, 0));
            want.push("D".to_owned());
        } else {
            announce(router, peer, EVPN, &mac(1, number << 1));
            want.push("A".to_owned());
        }
    }
    want
}

#[test]
fn kill_nine_loses_no_event_of_other_families() {
    let (db, state_dir) = (TestDb::migrated(), Folder::new());
    let settings = [ALL, ("STATE_DIR", state_dir.path().to_str().unwrap())];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &mac(7, 0x10));
    end_of_rib(&mut router, loc_rib(), EVPN);
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM nlri_events"));
    let mut holder = db.client();
    let mut transaction = holder.transaction().unwrap();
    transaction.batch_execute("LOCK TABLE nlri_route_events IN SHARE MODE").unwrap();
    let want = flap(&mut router);
    let read = |page: &str| {
        let line = page.lines().find(|line| line.starts_with("rib_ingester_messages_total{"))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    eventually("all to be read", || {
        let (_, _, page) = ingester.get("/metrics");
        read(&page).filter(|messages| *messages >= f64::from(CHANGES) + 2.0)
    });
    assert_eq!(db.rows("SELECT nlri_key FROM nlri_routes"), [mac_key(7)], "history leads");
    ingester.kill();
    transaction.commit().unwrap();
    let ingester = Ingester::start(&db.url(), &settings);
    let actions = format!("SELECT action FROM nlri_events WHERE nlri_key = '{}' ORDER BY ingest_time", mac_key(1));
    eventually_equal(want.clone(), || db.rows(&actions));
    assert!(ingester.stop().success());
    assert_eq!(db.rows(&actions), want);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT event_id) FROM nlri_events"), ["101|101"]);
}

#[test]
fn a_dump_after_a_lost_journal_repeats_no_event() {
    let db = TestDb::migrated();
    let learned = loc_rib().at(1_700_000_000);
    for round in 0..2 {
        // A folder of its own: the second one knows nothing of the first.
        let ingester = Ingester::start(&db.url(), &[ALL]);
        let mut router = ingester.connect();
        greet(&mut router);
        announce(&mut router, learned, EVPN, &[mac(1, 0x10), mac(2, 0x20)].concat());
        if round == 1 {
            withdraw(&mut router, learned, EVPN, &mac(1, 0));
        }
        end_of_rib(&mut router, learned, EVPN);
        eventually_equal(vec!["t".to_owned()], || db.rows("SELECT eor_seen FROM nlri_sync_status"));
        ingester.kill();
        // As if history had been ahead of the routes.
        db.client()
            .batch_execute("DELETE FROM nlri_loc_rib; UPDATE nlri_loc_rib_sync_status SET eor_seen = false")
            .unwrap();
    }
    assert_eq!(story(&db), [of_mac("A", 1, "1", "-"), of_mac("A", 2, "2", "-"), of_mac("D", 1, "1", "-")]);
}

#[test]
fn a_refused_event_of_other_families_is_alone() {
    let db = TestDb::migrated();
    let day = today(&mut db.client()).unwrap();
    assert!(ensure_in(&mut db.client(), &NLRI_EVENTS, day).unwrap());
    db.client()
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.attrs -> 'nlri' ->> 'mac' = '02:00:00:00:00:07' THEN
                     RAISE EXCEPTION 'on purpose' USING ERRCODE = '22021';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON nlri_route_events FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .unwrap();
    let mut ingester = Ingester::start(&db.url(), &[ALL]);
    let mut router = ingester.connect();
    greet(&mut router);
    let all: Vec<u8> = (0..20).flat_map(|last| mac(last, 0x10)).collect();
    announce(&mut router, loc_rib(), EVPN, &all);
    end_of_rib(&mut router, loc_rib(), EVPN);
    eventually_equal(vec!["20".to_owned()], || db.rows("SELECT count(*) FROM nlri_routes"));
    assert_eq!(db.rows("SELECT count(*) FROM nlri_events"), ["19"]);
    let file = ingester.state_dir().join("rejected/10.255.0.1.rows");
    let lines = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        lines.lines().filter(|line| line.contains("22021") && line.contains("on purpose")).count(),
        1,
        "{lines}"
    );
    assert_eq!(ingester.get("/readyz").0, 200);
    assert!(ingester.stop().success());
}

#[test]
fn history_off_has_no_events_of_other_families() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL, ("HISTORY", "off")]);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &mac(1, 0x10));
    end_of_rib(&mut router, loc_rib(), EVPN);
    eventually_equal(vec!["t".to_owned()], || db.rows("SELECT eor_seen FROM nlri_sync_status"));
    assert_eq!(db.rows("SELECT count(*) FROM nlri_events"), ["0"]);
    assert!(ingester.stop().success());
}

#[test]
fn days_of_other_families_come_and_go() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'nlri_route_events'::regclass";
    // Where no family is stored there is nothing to keep.
    rib_ingester::maintenance::run_once(&mut client, 30).unwrap();
    assert_eq!(db.rows(days), ["0"]);
    let ingester = Ingester::start(&db.url(), &[ALL]);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &mac(1, 0x10));
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM nlri_routes"));
    assert!(ingester.stop().success());
    let day = today(&mut client).unwrap();
    let old = day.checked_sub(jiff::ToSpan::days(40)).unwrap();
    assert!(ensure_in(&mut client, &NLRI_EVENTS, old).unwrap());
    let name = NLRI_EVENTS.name_of(old);
    let is_gone = format!("SELECT to_regclass('{name}') IS NULL");
    // Nothing is in it that the archive would lack.
    let folder = Folder::new();
    let mut ingester = Ingester::start(&db.url(), &[ALL, ("ARCHIVE_DIR", folder.path().to_str().unwrap())]);
    ingester.logged(&format!("partition {name}: dropped at the end of its retention"));
    assert!(ingester.stop().success());
    let report = rib_ingester::maintenance::run_once(&mut client, 30).unwrap();
    assert_eq!(report.failures, [""; 0]);
    assert_eq!(db.rows(days), ["2"], "today and tomorrow");
    assert_eq!(db.rows(&is_gone), ["t"]);
    drop(router);
    let (router, whole) = (rib_ingester::model::RouterId::new(ROUTER), rib_ingester::store::forget::Past::Goes);
    rib_ingester::store::forget::forget(&mut client, &router, whole, |_, _| {}).unwrap();
    assert_eq!(db.rows("SELECT count(*) FROM nlri_events"), ["0"]);
}
