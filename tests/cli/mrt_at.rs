//! `export mrt --at` of an Adj-RIB-In: the tables of the past, as they were stored then.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use crate::mrt::{ATTRIBUTES, done};
use crate::mrt_parts::{announce, labeled, withdraw};

/// The families that peers have.
const FAMILIES: [(u16, u8); 3] = [(1, 1), (2, 1), (1, 4)];

fn peers() -> [Peer; 3] {
    [
        Peer::global_instance("203.0.113.1", 64_501),
        Peer::global_instance("203.0.113.2", 64_502),
        Peer::global_instance("203.0.113.3", 64_503),
    ]
}

/// The Peer Up of a peer; the second one has path identifiers.
fn up(peer: Peer) -> Vec<u8> {
    let add_path = if peer.asn == 64_502 { vec![(1, 1)] } else { Vec::new() };
    let open =
        |asn, id: &str| Open { families: FAMILIES.to_vec(), add_path: add_path.clone(), ..Open::of(asn, id) }.bytes();
    bmp::peer_up_of(peer, &open(64_500, "192.0.2.1"), &open(peer.asn, &peer.address.unwrap().to_string()), &[])
}

fn route(peer: Peer, med: u32, prefix: &str, path_id: Option<u32>) -> Vec<u8> {
    let attributes = Attributes { med: Some(med), ..Attributes::path(&[peer.asn, 64_510]) };
    let next_hop = if prefix.contains(':') { "2001:db8::9".to_owned() } else { peer.address.unwrap().to_string() };
    bmp::route_monitoring(peer, &bmp::announce_paths(&attributes, &next_hop, &[(prefix, path_id)]))
}

fn ends(peer: Peer) -> Vec<u8> {
    let others = FAMILIES[1..].iter().map(|(afi, safi)| bmp::end_of_rib(*afi, *safi));
    std::iter::once(bmp::end_of_rib_ipv4()).chain(others).flat_map(|bgp| bmp::route_monitoring(peer, &bgp)).collect()
}

/// The messages of three spans of time, each with the number of routes and events after it.
fn spans() -> [(Vec<u8>, &'static str); 3] {
    let [one, two, three] = peers();
    let label = |prefix, label| labeled(prefix, &[label], &[], None);
    let of_label =
        |prefix, number| bmp::route_monitoring(one, &announce(1, (1, 4), &[192, 0, 2, 9], &label(prefix, number)));
    let first = [
        bmp::initiation(b"rs1", b"test"),
        up(one),
        up(two),
        route(one, 1, "198.51.100.0/24", None),
        route(one, 2, "203.0.113.0/24", None),
        route(one, 3, "2001:db8:1::/48", None),
        of_label("198.51.100.0/24", 100),
        of_label("203.0.113.0/24", 101),
        ends(one),
        route(two, 1, "198.51.100.0/24", Some(1)),
        route(two, 2, "198.51.100.0/24", Some(2)),
        ends(two),
    ];
    // A change, withdrawals of a route and a labeled one, a new route; a peer goes, another one comes.
    let second = [
        route(one, 11, "198.51.100.0/24", None),
        bmp::route_monitoring(one, &bmp::withdraw(&["203.0.113.0/24"])),
        bmp::route_monitoring(one, &withdraw((1, 4), &label("203.0.113.0/24", 524_288))),
        route(one, 12, "192.0.2.0/24", None),
        bmp::peer_down(two, 4),
        up(three),
        route(three, 13, "198.51.100.0/24", None),
        ends(three),
    ];
    // The peer comes back with one of its paths, and another prefix.
    let third = [
        up(two),
        route(two, 21, "198.51.100.0/24", Some(2)),
        route(two, 22, "192.0.2.0/24", Some(7)),
        ends(two),
        route(one, 23, "203.0.113.0/24", None),
    ];
    [(first.concat(), "7|7"), (second.concat(), "5|12"), (third.concat(), "8|15")]
}

/// The routes of a router's peers.
fn adj_rib_in(db: &TestDb, router: &str) -> Vec<String> {
    db.rows(&format!(
        "SELECT peer_address, peer_asn, peer_bgp_id, table_name, afi, prefix, path_id, {ATTRIBUTES} FROM adj_rib_in
         WHERE router_id = '{router}' ORDER BY 1, 4, 5, 6, 7"
    ))
}

fn now(db: &TestDb) -> String {
    db.rows("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").remove(0)
}

#[test]
fn an_adj_rib_in_is_exported_as_it_was() {
    let (from, into, folder) = (TestDb::create(), TestDb::create(), Folder::new());
    let source = Ingester::start(&from.url(), &[("STORED_RIBS", "adj-rib-in-pre")]);
    let mut router = source.connect();
    let mut states = Vec::new();
    for (number, (messages, stored)) in spans().into_iter().enumerate() {
        router.send(&messages);
        let count = "SELECT (SELECT count(*) FROM adj_rib_in), (SELECT count(*) FROM route_events)";
        eventually_equal(vec![stored.to_owned()], || from.rows(count));
        // The rows about peers are written after those of routes.
        let downs = if number == 0 { "0" } else { "1" };
        eventually_equal(vec![downs.to_owned()], || {
            from.rows("SELECT count(*) FROM session_events WHERE kind = 'peer_down'")
        });
        states.push((now(&from), adj_rib_in(&from, &router_id(&from))));
    }
    let id = router_id(&from);
    let export = |at: &str, file: &str| {
        let arguments = ["export", "mrt", "--router", &id, "--rib", "adj-rib-in", "--at", at, file];
        done(&from.url(), &arguments)
    };
    let collector = Ingester::start(&into.url(), &[("STORED_RIBS", "adj-rib-in-pre")]);
    let to = collector.address().to_string();
    for (number, (at, state)) in states.iter().enumerate() {
        let file = folder.file(&format!("rib{number}.gz"));
        let (printed, said) = export(at, &file);
        assert!(said.is_empty(), "the history is complete: {said}");
        assert!(printed.starts_with(&format!("wrote {} routes of ", state.len())), "{printed}");
        let replayed = format!("192.0.2.{}", 11 + number);
        done(&into.url(), &["replay", &file, "--to", &to, "--router-id", &replayed]);
        eventually_equal(state.clone(), || adj_rib_in(&into, &replayed));
    }

    // Lost events make the time after them unknown, and no time before them. Nothing is known before the history.
    from.rows(&format!("INSERT INTO session_events (router_id, kind) VALUES ('{id}', 'gap') RETURNING kind"));
    let file = folder.file("incomplete");
    let unknown =
        |table: &str| format!("the history of table {table} is incomplete at that time: routes may be missing");
    let (printed, said) = export(&now(&from), &file);
    assert!(said.contains(&unknown("UNKNOWN")) && said.contains(&unknown("UNKNOWN|labelled")), "{said}");
    assert!(printed.starts_with("wrote 8 routes of "), "{printed}");
    assert_eq!(export(&states[2].0, &file).1, "");
    let (printed, said) = export("2026-01-01T00:00:00Z", &file);
    assert!(said.contains(&unknown("UNKNOWN")) && printed.starts_with("wrote 0 routes of 0 peers"), "{said} {printed}");
}

fn router_id(db: &TestDb) -> String {
    db.rows("SELECT router_id FROM routers").remove(0)
}
