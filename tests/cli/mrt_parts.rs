//! `export mrt` of labeled unicast and VPN routes, and `replay` of such files.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Attributes, Open, Peer, attribute};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use crate::mrt::{ATTRIBUTES, done, read_by_bgpdump, read_by_bgpkit};

/// The families of the scene.
const FAMILIES: [(u16, u8); 6] = [(1, 1), (2, 1), (1, 4), (2, 4), (1, 128), (2, 128)];

/// The Multiple Labels Capability of IPv4 labeled unicast and VPN (RFC 8277 section 2.1).
const MULTIPLE_LABELS: [u8; 10] = [8, 8, 0, 1, 4, 5, 0, 1, 128, 5];

/// The distinguishers 0:65000:7 and 1:192.0.2.1:8.
const RD_7: [u8; 8] = [0, 0, 0xfd, 0xe8, 0, 0, 0, 7];
const RD_8: [u8; 8] = [0, 1, 192, 0, 2, 1, 0, 8];

/// NLRI with labels (RFC 8277 section 2), a distinguisher or none, and a path identifier or none.
pub(crate) fn labeled(prefix: &str, labels: &[u32], rd: &[u8], path_id: Option<u32>) -> Vec<u8> {
    let plain = bmp::nlri(prefix, None);
    let mut stack: Vec<u8> = labels.iter().flat_map(|label| (label << 4).to_be_bytes().into_iter().skip(1)).collect();
    *stack.last_mut().unwrap() |= 1;
    let bits = plain[0] + u8::try_from(8 * (stack.len() + rd.len())).unwrap();
    [
        path_id.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
        vec![bits],
        stack,
        rd.to_vec(),
        plain[1..].to_vec(),
    ]
    .concat()
}

/// The UPDATE that announces NLRI of a family.
pub(crate) fn announce(med: u32, (afi, safi): (u16, u8), next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = u8::try_from(next_hop.len()).unwrap();
    let reach = [&afi.to_be_bytes()[..], &[safi, length], next_hop, &[0], nlri].concat();
    let attributes =
        Attributes { med: Some(med), communities: vec![0xfbf0_0001], ..Attributes::path(&[64_501, 65_536]) };
    bmp::update(&[], &[attributes.bytes(), attribute(0x80, 14, &reach)].concat(), &[])
}

/// The UPDATE that withdraws NLRI of a family.
pub(crate) fn withdraw((afi, safi): (u16, u8), nlri: &[u8]) -> Vec<u8> {
    bmp::update(&[], &attribute(0x80, 15, &[&afi.to_be_bytes()[..], &[safi], nlri].concat()), &[])
}

/// A router with labeled routes and those of two VPNs in its Loc-RIB, and a peer with path identifiers.
fn scene() -> Vec<u8> {
    let loc_rib = Peer::loc_rib("192.0.2.1");
    let peer = Peer::global_instance("203.0.113.3", 65_550);
    let open = |asn, id, add_path: &[(u16, u8)]| Open {
        families: FAMILIES.to_vec(),
        add_path: add_path.to_vec(),
        further: MULTIPLE_LABELS.to_vec(),
        ..Open::of(asn, id)
    };
    let with_paths = |asn, id| open(asn, id, &[(1, 4), (1, 128)]).bytes();
    let v4 = [192, 0, 2, 2];
    let global: [u8; 16] = "2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let local: [u8; 16] = "fe80::2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let (rd4, rd6) = ([&[0; 8][..], &v4].concat(), [&[0; 8][..], &global].concat());
    let both = [&rd6[..], &[0; 8], &local].concat();
    let of = |prefix, labels: &[u32], rd: &[u8]| labeled(prefix, labels, rd, None);
    let with_id = |prefix, labels: &[u32], rd: &[u8], id| labeled(prefix, labels, rd, Some(id));
    let route = |peer, bgp: &[u8]| bmp::route_monitoring(peer, bgp);
    let loc_rib_routes = [
        bmp::announce(&Attributes::path(&[64_501]), "192.0.2.2", &["198.51.100.0/24"]),
        announce(1, (1, 4), &v4, &of("198.51.100.0/24", &[100], &[])),
        announce(2, (1, 4), &v4, &of("198.51.100.128/25", &[100, 200], &[])),
        announce(3, (2, 4), &global, &of("2001:db8:1::/48", &[0xf_ffff], &[])),
        announce(4, (1, 4), &v4, &of("203.0.113.0/24", &[5], &[])),
        announce(
            5,
            (1, 128),
            &rd4,
            &[of("10.0.0.0/8", &[16], &RD_7), of("10.1.0.0/16", &[17, 18, 19], &RD_7)].concat(),
        ),
        announce(6, (1, 128), &rd4, &of("10.0.0.0/8", &[16], &RD_8)),
        announce(7, (2, 128), &both, &of("2001:db8:2::/48", &[20], &RD_8)),
        announce(8, (1, 128), &rd4, &of("10.2.0.0/16", &[16], &RD_8)),
        withdraw((1, 4), &of("203.0.113.0/24", &[524_288], &[])),
        withdraw((1, 128), &of("10.2.0.0/16", &[524_288], &RD_8)),
    ];
    let peer_routes = [
        announce(1, (1, 4), &v4, &with_id("198.51.100.0/24", &[100], &[], 1)),
        announce(2, (1, 4), &v4, &with_id("198.51.100.0/24", &[101], &[], 2)),
        announce(3, (1, 128), &rd4, &with_id("10.0.0.0/8", &[16], &RD_7, 1)),
        announce(4, (1, 128), &rd4, &with_id("10.0.0.0/8", &[17, 18], &RD_7, 70_000)),
        announce(5, (2, 128), &rd6, &of("2001:db8:3::/48", &[18], &RD_7)),
        announce(6, (1, 128), &rd4, &with_id("10.3.0.0/16", &[16], &RD_7, 9)),
        withdraw((1, 128), &with_id("10.3.0.0/16", &[524_288], &RD_7, 9)),
    ];
    let ends = |peer| {
        FAMILIES[1..].iter().flat_map(move |(afi, safi)| bmp::route_monitoring(peer, &bmp::end_of_rib(*afi, *safi)))
    };
    [
        bmp::initiation(b"edge1", b"test"),
        bmp::peer_up(loc_rib, &open(64_500, "192.0.2.1", &[]), Some("global")),
        bmp::peer_up_of(peer, &with_paths(64_500, "192.0.2.1"), &with_paths(65_550, "203.0.113.3"), &[]),
        loc_rib_routes.iter().flat_map(|bgp| route(loc_rib, bgp)).collect(),
        route(loc_rib, &bmp::end_of_rib_ipv4()),
        ends(loc_rib).collect(),
        peer_routes.iter().flat_map(|bgp| route(peer, bgp)).collect(),
        route(peer, &bmp::end_of_rib_ipv4()),
        ends(peer).collect(),
    ]
    .concat()
}

/// The routes of a router's Loc-RIB.
fn loc_rib(db: &TestDb, router: &str) -> Vec<String> {
    db.rows(&format!(
        "SELECT table_name, afi, prefix, path_id, {ATTRIBUTES} FROM current_routes WHERE router_id = '{router}' ORDER BY 1, 2, 3, 4"
    ))
}

/// The routes of its peer.
fn adj_rib_in(db: &TestDb, router: &str) -> Vec<String> {
    db.rows(&format!(
        "SELECT peer_address, peer_asn, table_name, afi, prefix, path_id, {ATTRIBUTES} FROM adj_rib_in
         WHERE router_id = '{router}' ORDER BY 1, 3, 4, 5, 6"
    ))
}

/// bgpdump and bgpkit go through the files, and find nothing but the unicast route of the Loc-RIB.
fn others_read_unicast_alone(files: &[&str; 4]) {
    let want = |number: usize, line: &str| if number.is_multiple_of(2) { vec![line.to_owned()] } else { Vec::new() };
    for (number, file) in files.iter().enumerate() {
        if let Some(found) = read_by_bgpdump(file) {
            assert_eq!(found, want(number, "A 198.51.100.0/24 64501 192.0.2.2"), "{file}");
        }
    }
    for (number, found) in read_by_bgpkit(files).into_iter().flatten().enumerate() {
        assert_eq!(found, want(number, "A 198.51.100.0/24 64501 192.0.2.2"), "{number}");
    }
}

#[test]
fn labeled_and_vpn_routes_come_back_by_replay() {
    let (from, into, folder) = (TestDb::create(), TestDb::create(), Folder::new());
    let source = Ingester::start(&from.url(), &[("STORED_RIBS", "loc-rib,adj-rib-in-pre")]);
    let mut router = source.connect();
    router.send(&scene());
    eventually_equal(vec!["8|5|19".to_owned()], || {
        from.rows("SELECT (SELECT count(*) FROM current_routes), (SELECT count(*) FROM adj_rib_in), (SELECT count(*) FROM route_events)")
    });
    let url = from.url();
    let export = |more: &[&str]| done(&url, &[&["export", "mrt", "--router", "edge1"], more].concat());
    let [table, adj, updates, peers, one] = ["rib", "adj", "updates.gz", "peers", "one"].map(|name| folder.file(name));
    assert_eq!(export(&[&table]), (format!("wrote 8 routes of 1 peer to {table}\n"), String::new()));
    assert_eq!(export(&["--rib", "adj-rib-in", &adj]), (format!("wrote 5 routes of 1 peer to {adj}\n"), String::new()));
    let part = ["--table", "global|rd:0:65000:7", &one];
    assert_eq!(export(&part), (format!("wrote 2 routes of 1 peer to {one}\n"), String::new()));
    let events = ["--events", "--from", "2026-01-01T00:00:00Z"];
    let (printed, said) = export(&[&events[..], &[&updates]].concat());
    assert_eq!((&*said, printed.split(',').next()), ("", Some("wrote 12 changes")), "{printed}");
    let (printed, said) = export(&[&events[..], &["--rib", "adj-rib-in", &peers]].concat());
    assert_eq!((&*said, printed.split(',').next()), ("", Some("wrote 7 changes")), "{printed}");
    others_read_unicast_alone(&[&table, &adj, &updates, &peers]);

    let collector = Ingester::start(&into.url(), &[("STORED_RIBS", "loc-rib,adj-rib-in-pre")]);
    let to = collector.address().to_string();
    let replay = |file: &str, id: &str| done(&into.url(), &["replay", file, "--to", &to, "--router-id", id]);
    for (number, file) in [&table, &adj, &updates, &peers, &one].into_iter().enumerate() {
        replay(file, &format!("192.0.2.{}", 11 + number));
    }
    let want = loc_rib(&from, "192.0.2.1");
    assert_eq!(want.len(), 8);
    eventually_equal(want.clone(), || loc_rib(&into, "192.0.2.11"));
    // Messages name no table.
    let unnamed = want.iter().map(|row| row.replacen("global", "UNKNOWN", 1)).collect();
    eventually_equal(unnamed, || loc_rib(&into, "192.0.2.13"));
    let of_one: Vec<String> = want.into_iter().filter(|row| row.starts_with("global|rd:0:65000:7|")).collect();
    eventually_equal(of_one, || loc_rib(&into, "192.0.2.15"));
    let want = adj_rib_in(&from, "192.0.2.1");
    assert_eq!(want.len(), 5);
    eventually_equal(want.clone(), || adj_rib_in(&into, "192.0.2.12"));
    eventually_equal(want, || adj_rib_in(&into, "192.0.2.14"));
}
