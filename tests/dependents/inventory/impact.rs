//! What would be lost, where a vantage is a VRF, where routes are stored after policy, and where it cannot be told.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde_json::Value;

use super::scene::run;
use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually_equal};
use crate::common::pg::TestDb;

/// Three sites, each judged by a table of its own; the private addresses mean something there only.
const INVENTORY: &str = "
    INSERT INTO inventory.settings VALUES ('watch_settle_secs', '0');
    INSERT INTO inventory.sites (id, name) VALUES (1, 'post'), (2, 'vrf'), (3, 'blind');
    INSERT INTO inventory.site_vantages VALUES
        (1, '10.255.0.1', 'UNKNOWN'), (2, '10.255.0.2', 'vpn1'), (3, '10.255.0.3', 'global');
    INSERT INTO inventory.nodes (id, name, site_id) VALUES (1, 'n1', 1), (2, 'n2', 2), (3, 'n3', 3);
    INSERT INTO inventory.containers (id, hostname, node_id, ipv4_address, status) VALUES
        (1, 'kept', 1, '10.1.0.7', 'running'), (2, 'alone', 1, '10.1.1.7', 'running'), (3, 'vpn', 2, '10.2.0.7', 'running'),
        (4, 'somehow', 3, '10.3.0.7', 'running'), (5, 'byhop', 3, '10.3.1.7', 'running');
    INSERT INTO inventory.services (id, container_id, type, container_port) SELECT id, id, 'transport', 443 FROM inventory.containers;
    INSERT INTO inventory.transport_services (service_id, protocol) SELECT id, 'tcp' FROM inventory.containers";

/// The route distinguisher 65000:7 (RFC 4364 section 4.2).
const RD: u64 = 0x0000_fde8_0000_0007;

/// The L flag of the per-peer header (RFC 7854 section 4.2).
const POST_POLICY: u8 = 0x40;

fn up(router: &mut FakeRouter, id: &str, peer: Peer, table: Option<&str>) {
    router.send(&bmp::peer_up(peer, &Open::of(64_500, id), table));
}

/// Routes of a RIB, each with the next hop, and its End-of-RIBs.
fn rib(router: &mut FakeRouter, peer: Peer, asn: u32, routes: &[(&str, &str)]) {
    for (prefix, next_hop) in routes {
        router.send(&bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[asn]), next_hop, &[prefix])));
    }
    router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
}

fn connect(ingester: &Ingester, source: &str, name: &str) -> FakeRouter {
    let mut router = ingester.connect_from(source);
    router.send(&bmp::initiation(name.as_bytes(), b""));
    router
}

/// The exit code, and outcome, address, other routes and reason of each address.
fn impact(db: &TestDb, target: &str) -> (i32, Vec<String>) {
    let (code, output) = run(db, &["impact", target, "--json"]);
    let json: Value = serde_json::from_str(&output).unwrap();
    let shown = json["addresses"].as_array().unwrap().iter().map(|loss| {
        let text = |field: &str| loss[field].as_str().unwrap_or_default().to_owned();
        let others: Vec<&str> = loss["other_routes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        [text("outcome"), text("address"), others.join("; "), text("reason")].join(" ").trim_end().to_owned()
    });
    (code, shown.collect())
}

#[test]
fn losses_in_a_vrf_after_policy_and_untold() {
    let db = TestDb::migrated();
    db.client().batch_execute(INVENTORY).unwrap();
    let ribs = "loc-rib,127.0.0.2/32=adj-rib-in-pre+adj-rib-in-post,127.0.0.3/32=loc-rib+adj-rib-in-pre";
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", ribs)]);

    // Both peers send both routes; policy keeps one of the second peer's.
    let mut post = connect(&ingester, "127.0.0.2", "edge1");
    for (address, asn, kept) in [("192.0.2.1", 64_501, 2), ("192.0.2.2", 64_502, 1)] {
        let peer = Peer::global_instance(address, asn);
        let routes = [("10.1.0.0/24", address), ("10.1.1.0/24", address)];
        up(&mut post, "10.255.0.1", peer, None);
        rib(&mut post, peer, asn, &routes);
        rib(&mut post, Peer { flags: POST_POLICY, ..peer }, asn, &routes[..kept]);
    }
    // The same prefix in another routing instance.
    let mut vrf = connect(&ingester, "127.0.0.3", "edge2");
    let (instance, of_vpn) = (Peer::loc_rib("10.255.0.2").with_rd(RD), Peer::global_instance("192.0.2.3", 64_503));
    let (of_vpn, of_global) = (Peer { kind: 1, ..of_vpn.with_rd(RD) }, Peer::global_instance("192.0.2.4", 64_504));
    up(&mut vrf, "10.255.0.2", instance, Some("vpn1"));
    up(&mut vrf, "10.255.0.2", of_vpn, None);
    up(&mut vrf, "10.255.0.2", of_global, None);
    rib(&mut vrf, of_vpn, 64_503, &[("10.2.0.0/24", "192.0.2.3")]);
    rib(&mut vrf, of_global, 64_504, &[("10.2.0.0/24", "192.0.2.4")]);
    rib(&mut vrf, instance, 64_503, &[("10.2.0.0/24", "192.0.2.3")]);
    // Two peers whose routes are not stored; one of them is the next hop of one route in use.
    let mut blind = connect(&ingester, "127.0.0.4", "edge3");
    let loc_rib = Peer::loc_rib("10.255.0.3");
    up(&mut blind, "10.255.0.3", loc_rib, Some("global"));
    up(&mut blind, "10.255.0.3", Peer::global_instance("192.0.2.6", 64_506), None);
    up(&mut blind, "10.255.0.3", Peer::global_instance("192.0.2.7", 64_507), None);
    rib(&mut blind, loc_rib, 64_506, &[("10.3.0.0/24", "192.0.2.30"), ("10.3.1.0/24", "192.0.2.6")]);

    let states = "SELECT host(address), state FROM inventory.address_states ORDER BY address";
    let reachable = ["10.1.0.7", "10.1.1.7", "10.2.0.7", "10.3.0.7", "10.3.1.7"].map(|one| format!("{one}|reachable"));
    eventually_equal(reachable.to_vec(), || db.rows(states));
    let peers = "SELECT count(*) FROM peers WHERE state = 'up'";
    eventually_equal(vec!["6".to_owned()], || db.rows(peers));

    let other = "covered 10.1.0.7 AS64502 via 192.0.2.2, 10.1.0.0/24";
    assert_eq!(impact(&db, "192.0.2.1"), (3, vec!["lost 10.1.1.7".to_owned(), other.to_owned()]));
    assert_eq!(impact(&db, "192.0.2.3"), (3, vec!["lost 10.2.0.7".to_owned()]));
    assert_eq!(impact(&db, "192.0.2.4"), (0, vec![]), "what another routing instance has is not used");
    let untold = [
        "cannot_tell 10.3.0.7  the Adj-RIB-In of 192.0.2.6 is not stored",
        "cannot_tell 10.3.1.7  the Adj-RIB-In of 1 other peers is not stored",
    ];
    assert_eq!(impact(&db, "192.0.2.6"), (4, untold.map(str::to_owned).to_vec()));
    // Another peer of the routing instance has a route too.
    let second = Peer { kind: 1, ..Peer::global_instance("192.0.2.5", 64_505).with_rd(RD) };
    up(&mut vrf, "10.255.0.2", second, None);
    rib(&mut vrf, second, 64_505, &[("10.2.0.0/24", "192.0.2.5")]);
    let covered = "covered 10.2.0.7 AS64505 via 192.0.2.5, 10.2.0.0/24, before policy".to_owned();
    eventually_equal((0, vec![covered]), || impact(&db, "192.0.2.3"));
    drop((post, vrf, blind));
    assert!(ingester.stop().success());
}
