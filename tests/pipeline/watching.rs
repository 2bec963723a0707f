//! State writers list what watches may care about, and wait for nobody who keeps them from it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use crate::common::ingester::eventually_equal;
use crate::common::pg::TestDb;
use crate::common::rows::{Writers, announce, nlri, peer, session_event, table, wait_for, withdraw};
use rib_ingester::model::watch::trie::{Trie, WatchTarget};
use rib_ingester::model::{
    AdjRibKey, Afi, Asn, PeerIds, PeerState, Policy, RouterId, SessionEventKind, SessionState, Table, View,
};
use rib_ingester::pipeline::{PeersOf, StateOp, Watching};

const OUTBOX: &str =
    "SELECT concat_ws(' ', router_id, table_name, host(peer_address), peer_asn, afi, prefix, cause) COLLATE \"C\"
                      FROM watch.outbox ORDER BY 1";

fn watch(watching: &Watching, prefixes: &[&str]) {
    let inside = |prefix: &&str| {
        let prefix = nlri(prefix, None).prefix;
        WatchTarget::Inside(prefix, prefix.afi().max_prefix_length())
    };
    drop(watching.replace(Some(Trie::of(prefixes.iter().map(inside)))));
}

#[test]
fn changes_that_matter_are_listed() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("r1").owner;
    assert!(writers.watching.take_lost().is_empty(), "nothing is watched yet");
    watch(&writers.watching, &["10.1.0.0/16"]);
    let other = writers.claim("r2").owner;
    assert_eq!(writers.watching.take_lost(), std::slice::from_ref(&other.router));
    let global = table("r1", "global", Afi::Ipv4);
    let key = AdjRibKey { address: "192.0.2.1".parse().unwrap(), policy: Policy::Pre };
    let speaker = PeerIds { asn: Asn(64_501), bgp_id: [192, 0, 2, 1].into() };
    let adj_rib = Arc::new(Table { view: View::AdjRibIn(key), speaker, ..(*global).clone() });
    writers.start_all(&owner, &[global.clone(), adj_rib.clone()]);
    wait_for("the begin of the dumps", || db.rows(OUTBOX) == ["r1 session"]);
    let emptied = |ops: Vec<StateOp>, want: &[&str]| {
        db.client().batch_execute("DELETE FROM watch.outbox").unwrap();
        writers.send(&owner, ops);
        eventually_equal(want.iter().map(|row| (*row).to_owned()).collect(), || db.rows(OUTBOX));
    };
    emptied(
        vec![
            announce(&global, "10.1.0.0/16", 1),
            announce(&global, "10.1.2.0/24", 1),
            announce(&global, "10.2.0.0/16", 1),
            withdraw(&global, "10.1.3.0/24"),
            withdraw(&global, "10.3.3.0/24"),
            announce(&adj_rib, "10.1.0.0/16", 1),
        ],
        &[
            "r1 global 192.0.2.1 64501 4 10.1.0.0/16 route",
            "r1 global 4 10.1.0.0/16 route",
            "r1 global 4 10.1.2.0/24 route",
            "r1 global 4 10.1.3.0/24 route",
        ],
    );
    assert!(writers.watching.woken().try_recv().is_ok());
    let over = StateOp::EndOfRib { table: global.clone(), stale: vec![nlri("10.9.0.0/16", None)] };
    emptied(vec![over], &["r1 global 4 session"]);
    let peers = vec![StateOp::PeerSeen(Box::new(peer("192.0.2.1", PeerState::Up)))];
    emptied(peers, &["r1 192.0.2.1 64501 peer"]);
    let down = StateOp::TablesDown {
        tables: vec![(View::AdjRibIn(key), "global".into()), (View::LocRib, "global".into())],
        routes: 0,
        event: Some(session_event(SessionEventKind::Terminated, None)),
    };
    emptied(vec![down], &["r1 global 192.0.2.1 removal", "r1 global removal"]);
    let end = vec![
        StateOp::PeersUnknown(PeersOf::Router),
        StateOp::SessionState { state: SessionState::Ended, reason: None },
        StateOp::MarkStale(vec![]),
    ];
    emptied(end, &["r1 session", "r1 session"]);
    // Nothing more is watched.
    drop(writers.watching.replace(None));
    db.client().batch_execute("DELETE FROM watch.outbox").unwrap();
    writers.send(&owner, vec![announce(&global, "10.1.0.0/16", 2)]);
    let watching = Arc::clone(&writers.watching);
    assert_eq!(writers.finish(), 0);
    assert_eq!((db.rows(OUTBOX).len(), watching.take_lost().len()), (0, 0));
}

#[test]
fn routes_do_not_wait_for_a_locked_outbox() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    watch(&writers.watching, &["10.0.0.0/8"]);
    let owner = writers.claim("r1").owner;
    assert_eq!(writers.watching.take_lost(), [RouterId::new("r1")]);
    let global = table("r1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &global);
    wait_for("the begin of the dump", || db.rows(OUTBOX) == ["r1 session"]);
    let mut reader = db.client();
    let mut lock = reader.transaction().unwrap();
    lock.batch_execute("LOCK TABLE watch.outbox IN ACCESS EXCLUSIVE MODE").unwrap();
    for number in 0..50 {
        writers.send(&owner, vec![announce(&global, &format!("10.{number}.0.0/16"), 1)]);
        let stored = format!("SELECT FROM current_routes WHERE prefix = '10.{number}.0.0/16'");
        wait_for("the route", || db.rows(&stored).len() == 1);
    }
    wait_for("the router", || writers.watching.take_lost() == [RouterId::new("r1")]);
    lock.rollback().unwrap();
    // Until the other thread says so, no writer tries again.
    assert!(writers.watching.unblock());
    writers.send(&owner, vec![announce(&global, "10.99.0.0/16", 1)]);
    eventually_equal(vec!["r1 global 4 10.99.0.0/16 route".to_owned(), "r1 session".to_owned()], || db.rows(OUTBOX));
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["51"]);
}

#[test]
fn routes_are_stored_without_an_outbox() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    watch(&writers.watching, &["10.0.0.0/8"]);
    let owner = writers.claim("r1").owner;
    db.client().batch_execute("DROP TABLE watch.outbox").unwrap();
    let global = table("r1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &global);
    writers.send(&owner, vec![announce(&global, "10.1.0.0/16", 1)]);
    let watching = Arc::clone(&writers.watching);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["1"]);
    assert_eq!((watching.take_lost(), watching.unblock()), (vec![RouterId::new("r1")], true));
}
