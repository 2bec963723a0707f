//! Families whose NLRI are not prefixes, through the socket into SQL: the binary, a fake router, a real PostgreSQL.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Open, Peer, attribute, route_monitoring};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;

pub(crate) const ROUTER: &str = "10.255.0.1";
pub(crate) const ALL: (&str, &str) = ("STORED_FAMILIES", "evpn,flowspec,bgp-ls,sr-policy,rtc,mvpn,bgp-ls-spf,vpls");
const RD: &str = "0000fde800000001";

pub(crate) type Family = (u16, u8);
pub(crate) const EVPN: Family = (25, 70);
const RTC: Family = (1, 132);

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|digit| *digit != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// EVPN type 2 of a MAC address that ends so, with this label.
pub(crate) fn mac(last: u8, label: u8) -> Vec<u8> {
    octets(&format!("02 21 {RD} 00000000000000000000 00000000 30 0200000000{last:02x} 00 0000{label:02x}"))
}

fn target(number: u8) -> Vec<u8> {
    octets(&format!("60 0000fde8 0002fde8000000{number:02x}"))
}

fn mp(code: u8, (afi, safi): Family, field: &[u8]) -> Vec<u8> {
    let [high, low] = afi.to_be_bytes();
    let before = if code == 14 { &[high, low, safi, 4, 192, 0, 2, 1, 0][..] } else { &[high, low, safi] };
    attribute(0x80, code, &[before, field].concat())
}

pub(crate) fn announce(router: &mut FakeRouter, peer: Peer, family: Family, field: &[u8]) {
    let attributes = [attribute(0x40, 1, &[0]), attribute(0x40, 2, &[]), mp(14, family, field)].concat();
    router.send(&route_monitoring(peer, &bmp::update(&[], &attributes, &[])));
}

pub(crate) fn withdraw(router: &mut FakeRouter, peer: Peer, family: Family, field: &[u8]) {
    router.send(&route_monitoring(peer, &bmp::update(&[], &mp(15, family, field), &[])));
}

pub(crate) fn end_of_rib(router: &mut FakeRouter, peer: Peer, (afi, safi): Family) {
    router.send(&route_monitoring(peer, &bmp::end_of_rib(afi, safi)));
}

pub(crate) fn loc_rib() -> Peer {
    Peer::loc_rib(ROUTER)
}

pub(crate) fn greet(router: &mut FakeRouter) {
    let open = Open { families: vec![(1, 1), EVPN, RTC], ..Open::of(64_500, ROUTER) };
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(loc_rib(), &open, Some("global")));
}

/// The keys, with their labels.
fn keys(db: &TestDb) -> Vec<String> {
    db.rows("SELECT concat_ws(' ', nlri_key, nlri -> 'labels' ->> 0) FROM nlri_routes ORDER BY nlri_key")
}

pub(crate) fn mac_key(last: u8) -> String {
    format!("evpn:2:rd=0:65000:1:ethernet_tag=0:mac=02:00:00:00:00:{last:02x}")
}

fn target_key(number: u8) -> String {
    format!("rtc:prefix_length=96:origin_as=65000:route_target=RT:65000:{number}")
}

/// The rows with these MAC addresses and labels, and these route targets.
fn want(macs: &[(u8, u8)], targets: &[u8]) -> Vec<String> {
    let macs = macs.iter().map(|(last, label)| format!("{} {}", mac_key(*last), label >> 4));
    macs.chain(targets.iter().map(|number| target_key(*number))).collect()
}

#[test]
fn nlri_are_announced_replaced_and_withdrawn() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL]);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &[mac(1, 0x10), mac(2, 0x20)].concat());
    announce(&mut router, loc_rib(), RTC, &target(7));
    eventually_equal(want(&[(1, 0x10), (2, 0x20)], &[7]), || keys(&db));
    let columns = "SELECT router_id, rib, peer_address, table_name, afi, safi, path_id, nexthop, as_path, origin, attrs
                   FROM nlri_routes WHERE safi = 132";
    assert_eq!(db.rows(columns), ["10.255.0.1|loc-rib|-|global|nlri:1/132|1|132|0|192.0.2.1||IGP|-"]);
    let fields = db.rows("SELECT nlri FROM nlri_routes WHERE safi = 132");
    let want_fields = r#"{"origin_as": 65000, "route_target": "RT:65000:7", "prefix_length": 96}"#;
    assert_eq!(fields, [want_fields]);
    // Nothing has to be counted to know how many there are.
    let tables =
        "SELECT rib, peer_address, table_name, afi, safi, routes, eor_seen, stale_since FROM nlri_tables ORDER BY afi";
    let of = |afi: u8, safi: u8, routes: u8| format!("loc-rib|-|global|nlri:{afi}/{safi}|{afi}|{safi}|{routes}|f|-");
    eventually_equal(vec![of(1, 132, 1), of(25, 70, 2)], || db.rows(tables));
    // The label is not part of the key: the row is replaced.
    announce(&mut router, loc_rib(), EVPN, &mac(1, 0x30));
    withdraw(&mut router, loc_rib(), EVPN, &mac(2, 0));
    eventually_equal(want(&[(1, 0x30)], &[7]), || keys(&db));
    // Nothing of it is among the routes to prefixes.
    let elsewhere = "SELECT count(*) FROM (SELECT FROM current_routes UNION ALL SELECT FROM route_events
                     UNION ALL SELECT FROM route_counts) AS all_rows";
    assert_eq!(db.rows(elsewhere), ["0"]);
    assert_eq!((db.rows(tables), db.wrong_counts()), (vec![of(1, 132, 1), of(25, 70, 1)], vec![]));
    assert!(ingester.stop().success());
}

#[test]
fn each_family_of_the_setting_is_stored() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL]);
    let mut router = ingester.connect();
    greet(&mut router);
    let all: [(Family, &str); 8] = [
        ((1, 133), "03 03 81 06"),
        ((2, 133), "03 03 81 06"),
        ((16_388, 71), "0001 0011 02 0000000000000000 0100 0004 0203 0000"),
        ((1, 73), "60 00000001 00000064 c0000201"),
        ((1, 5), &format!("02 0c {RD} 0000fde8")),
        ((16_388, 80), "0001 0011 07 0000000000000000 0100 0004 0204 0000"),
        ((25, 65), &format!("0011 {RD} 0003 0001 0008 186a01")),
        // A type that is not known.
        (EVPN, "c8 02 0102"),
    ];
    for (family, field) in all {
        announce(&mut router, loc_rib(), family, &octets(field));
    }
    let want = [
        "bgp-ls-spf:1:protocol_id=7:identifier=0:local_node=(516=)",
        "bgp-ls:1:protocol_id=2:identifier=0:local_node=(igp_router_id=)",
        "evpn:200:0102",
        "flowspec:4:Proto:=6",
        "flowspec:6:Proto:=6",
        "mvpn:4:2:rd=0:65000:1:source_as=65000",
        "sr-policy:4:distinguisher=1:color=100:endpoint=192.0.2.1",
        "vpls:label_block:rd=0:65000:1:ve_id=3:ve_block_offset=1",
    ];
    eventually_equal(want.map(str::to_owned).to_vec(), || db.rows("SELECT nlri_key FROM nlri_routes ORDER BY 1"));
    assert!(ingester.stop().success());
}

#[test]
fn families_that_are_not_listed_are_counted_only() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("STORED_FAMILIES", "rtc")]);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &mac(1, 0x10));
    end_of_rib(&mut router, loc_rib(), EVPN);
    announce(&mut router, loc_rib(), RTC, &target(7));
    eventually_equal(want(&[], &[7]), || keys(&db));
    let (_, _, page) = ingester.get("/metrics");
    assert!(page.contains(r#"kind="family_not_stored""#), "{page}");
    assert_eq!(db.rows("SELECT count(*) FROM nlri_sync_status"), ["1"]);
    assert!(ingester.stop().success());
}

#[test]
fn an_end_of_rib_purges_its_own_family() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL]);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &[mac(1, 0x10), mac(2, 0x20)].concat());
    announce(&mut router, loc_rib(), RTC, &[target(7), target(8)].concat());
    for family in [EVPN, RTC] {
        end_of_rib(&mut router, loc_rib(), family);
    }
    let synced = "SELECT table_name, eor_seen, stale_since IS NULL FROM nlri_sync_status ORDER BY 1";
    let both = ["global|nlri:1/132|t|t", "global|nlri:25/70|t|t"].map(str::to_owned).to_vec();
    eventually_equal(both.clone(), || db.rows(synced));
    let before = db.rows("SELECT nlri_key, updated_at FROM nlri_routes ORDER BY 1");
    drop(router);
    let stale = ["global|nlri:1/132|f|f", "global|nlri:25/70|f|f"].map(str::to_owned).to_vec();
    eventually_equal(stale, || db.rows(synced));
    assert_eq!(keys(&db), want(&[(1, 0x10), (2, 0x20)], &[7, 8]), "stale rows stay");
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &mac(1, 0x10));
    end_of_rib(&mut router, loc_rib(), EVPN);
    eventually_equal(want(&[(1, 0x10)], &[7, 8]), || keys(&db));
    announce(&mut router, loc_rib(), RTC, &target(8));
    end_of_rib(&mut router, loc_rib(), RTC);
    eventually_equal(want(&[(1, 0x10)], &[8]), || keys(&db));
    // What was announced again unchanged was not written again.
    let after = db.rows("SELECT nlri_key, updated_at FROM nlri_routes ORDER BY 1");
    assert!(after.iter().all(|row| before.contains(row)), "{before:?} {after:?}");
    eventually_equal(both, || db.rows(synced));
    assert!(ingester.stop().success());
}

#[test]
fn a_peer_down_removes_what_the_peer_sent() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL, ("STORED_RIBS", "loc-rib,adj-rib-in-pre")]);
    let mut router = ingester.connect();
    greet(&mut router);
    let peers = ["192.0.2.1", "192.0.2.2"].map(|address| Peer::global_instance(address, 64_501));
    for peer in peers {
        router.send(&bmp::peer_up(peer, &Open::of(64_501, "192.0.2.1"), None));
        announce(&mut router, peer, EVPN, &mac(1, 0x10));
    }
    announce(&mut router, loc_rib(), EVPN, &mac(1, 0x10));
    let ribs = "SELECT rib, peer_address, peer_asn, is_post_policy FROM nlri_routes ORDER BY rib DESC, 2";
    let all = ["loc-rib|-|-|-", "adj-rib-in|192.0.2.1|64501|f", "adj-rib-in|192.0.2.2|64501|f"];
    eventually_equal(all.map(str::to_owned).to_vec(), || db.rows(ribs));
    router.send(&bmp::peer_down(peers[0], 1));
    eventually_equal([all[0], all[2]].map(str::to_owned).to_vec(), || db.rows(ribs));
    router.send(&bmp::peer_down(loc_rib(), 6));
    eventually_equal(vec![all[2].to_owned()], || db.rows(ribs));
    let left = db.rows("SELECT rib, peer_address FROM nlri_sync_status");
    assert_eq!(left, ["adj-rib-in|192.0.2.2"]);
    router.send(&bmp::termination(0));
    eventually_equal(vec![], || db.rows(ribs));
    eventually_equal(vec!["0".to_owned()], || db.rows("SELECT count(*) FROM table_names"));
    assert!(ingester.stop().success());
}

#[test]
fn rows_survive_a_kill_and_expire() {
    let (db, state_dir) = (TestDb::migrated(), Folder::new());
    let settings = [ALL, ("STATE_DIR", state_dir.path().to_str().unwrap())];
    let ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &[mac(1, 0x10), mac(2, 0x20)].concat());
    end_of_rib(&mut router, loc_rib(), EVPN);
    let eor = "SELECT eor_seen FROM nlri_sync_status";
    eventually_equal(vec!["t".to_owned()], || db.rows(eor));
    let before = db.rows("SELECT nlri_key, updated_at FROM nlri_routes ORDER BY 1");
    ingester.kill();
    drop(router);
    let ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    greet(&mut router);
    announce(&mut router, loc_rib(), EVPN, &[mac(2, 0x20), mac(3, 0x30)].concat());
    eventually_equal(want(&[(1, 0x10), (2, 0x20), (3, 0x30)], &[]), || keys(&db));
    end_of_rib(&mut router, loc_rib(), EVPN);
    eventually_equal(want(&[(2, 0x20), (3, 0x30)], &[]), || keys(&db));
    let after = db.rows("SELECT nlri_key, updated_at FROM nlri_routes ORDER BY 1");
    assert!(before.contains(&after[0]), "unchanged: not written again: {before:?} {after:?}");
    assert!(ingester.stop().success());
    // A router that does not come back.
    let short = [ALL, ("STATE_DIR", state_dir.path().to_str().unwrap()), ("STALE_ROUTES_SECS", "1")];
    let ingester = Ingester::start(&db.url(), &short);
    eventually_equal(vec![], || keys(&db));
    eventually_equal(vec!["0".to_owned()], || db.rows("SELECT count(*) FROM nlri_sync_status"));
    assert!(ingester.stop().success());
}

#[test]
fn malformed_nlri_of_stored_families_are_counted() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[ALL]);
    let mut router = ingester.connect();
    greet(&mut router);
    // The second NLRI is malformed between its ends; the third message has one without an end.
    announce(&mut router, loc_rib(), EVPN, &[mac(1, 0x10), octets("03 02 0000"), mac(2, 0x20)].concat());
    announce(&mut router, loc_rib(), EVPN, &[mac(3, 0x30), octets("03 11 00")].concat());
    announce(&mut router, loc_rib(), RTC, &target(7));
    eventually_equal(want(&[(1, 0x10), (2, 0x20)], &[7]), || keys(&db));
    let count = |page: &str, kind: &str| {
        let line = page.lines().find(|line| line.contains(&format!(r#"kind="{kind}""#)))?;
        line.rsplit(' ').next().map(str::to_owned)
    };
    eventually("the counts", || {
        let (_, _, page) = ingester.get("/metrics");
        let counts = (count(&page, "malformed_nlri")?, count(&page, "rejected")?);
        (counts == ("1".to_owned(), "1".to_owned())).then_some(())
    });
    let rejected = std::fs::read_dir(ingester.state_dir().join("rejected")).unwrap().count();
    assert_eq!(rejected, 1, "its bytes are kept");
    assert!(ingester.stop().success());
}

#[test]
fn path_identifiers_are_part_of_the_key() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL]);
    let mut router = ingester.connect();
    let open = Open { add_path: vec![EVPN], ..Open::of(64_500, ROUTER) };
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(loc_rib(), &open, Some("global")));
    let with_id = |id: u8, nlri: Vec<u8>| [vec![0, 0, 0, id], nlri].concat();
    announce(&mut router, loc_rib(), EVPN, &[with_id(1, mac(1, 0x10)), with_id(2, mac(1, 0x20))].concat());
    let ids = "SELECT path_id, nlri -> 'labels' FROM nlri_routes ORDER BY 1";
    eventually_equal(vec!["1|[1]".to_owned(), "2|[2]".to_owned()], || db.rows(ids));
    withdraw(&mut router, loc_rib(), EVPN, &with_id(1, mac(1, 0)));
    eventually_equal(vec!["2|[2]".to_owned()], || db.rows(ids));
    assert!(ingester.stop().success());
}
