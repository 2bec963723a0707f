//! NUL in texts of the wire: PostgreSQL has no place for it in `text` and `jsonb`, so what is stored never has one.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Open, Peer, attribute, route_monitoring};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;
use crate::stored_families::{ALL, EVPN, Family, ROUTER, end_of_rib, loc_rib};

/// An information TLV (RFC 7854 section 4.4).
fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

/// An UPDATE that announces a field of NLRI with further attributes.
fn announce((afi, safi): Family, field: &[u8], further: &[u8]) -> Vec<u8> {
    let [high, low] = afi.to_be_bytes();
    let reach = attribute(0x80, 14, &[&[high, low, safi, 4, 192, 0, 2, 1, 0], field].concat());
    bmp::update(&[], &[&attribute(0x40, 1, &[0])[..], &attribute(0x40, 2, &[]), &reach, further].concat(), &[])
}

/// Each family with NUL wherever its NLRI or an attribute that goes with it may have text or octets without a meaning here.
fn updates() -> Vec<Vec<u8>> {
    const RD: [u8; 8] = [0, 0, 0xfd, 0xe8, 0, 0, 0, 1];
    let node = [&[7, 0, 0, 0, 0, 0, 0, 0, 0][..], &tlv(256, &tlv(10_001, b"a\0b")), &tlv(10_000, b"\0")].concat();
    // Node name (RFC 9552 section 5.3.1.3), and an opaque attribute (section 5.3.1.5).
    let link_state = attribute(0x80, 29, &[tlv(1026, b"core\0router"), tlv(1025, b"\0x\0")].concat());
    // The names of a policy and of its candidate path (RFC 9830 sections 2.4.7 and 2.4.8): sub-TLVs 130 and 129.
    let names = [&[130, 0, 4, 0, b'p', 0, b'q', 129, 0, 4, 0, 0, b'c', 0][..]].concat();
    let tunnel = attribute(0xc0, 23, &[&[0, 15, 0, u8::try_from(names.len()).unwrap()][..], &names].concat());
    let unknown = attribute(0xc0, 99, b"x\0y");
    let l2vpn = [&[0, 19][..], &RD, &[0, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0]].concat();
    let mvpn = [&[6, 22][..], &RD, &[0, 0, 0xfd, 0xe8, 32, 192, 0, 2, 5, 4, 0, b'o', 0, b'p']].concat();
    vec![
        announce((16_388, 71), &tlv(1, &node), &link_state),
        announce((16_388, 80), &tlv(1, &node), &link_state),
        announce((16_388, 71), &tlv(5, b"\0\0"), &link_state),
        announce((1, 73), &[96, 0, 0, 0, 1, 0, 0, 0, 0, 192, 0, 2, 1], &tunnel),
        announce(EVPN, &[200, 2, 0, 0], &unknown),
        announce((25, 65), &l2vpn, &unknown),
        announce((1, 5), &mvpn, &unknown),
        announce((1, 133), &[3, 3, 0x81, 0], &unknown),
        announce((1, 132), &[96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &unknown),
    ]
}

#[test]
fn nul_in_texts_of_the_wire_is_stored_without_it() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[ALL, ("STORED_RIBS", "loc-rib,adj-rib-in-pre")]);
    let mut router = ingester.connect();
    let peer = Peer::global_instance("192.0.2.9", 64_501);
    let open = |asn, id| Open { families: vec![(1, 1), EVPN], ..Open::of(asn, id) };
    router.send(&bmp::initiation(b"edge\0one", b"de\0scription"));
    router.send(&bmp::peer_up(loc_rib(), &open(64_500, ROUTER), Some("red\0blue")));
    let (own, theirs) = (open(64_500, ROUTER).bytes(), open(64_501, "192.0.2.9").bytes());
    router.send(&bmp::peer_up_of(peer, &own, &theirs, &tlv(0, b"peer\0text")));
    let updates = updates();
    for bgp in &updates {
        for of in [loc_rib(), peer] {
            router.send(&route_monitoring(of, bgp));
        }
    }
    end_of_rib(&mut router, loc_rib(), EVPN);
    let count = "SELECT (SELECT count(*) FROM nlri_routes), (SELECT count(*) FROM nlri_events)";
    let all = 2 * updates.len();
    eventually_equal(vec![format!("{all}|{all}")], || db.rows(count));
    // The octets of what has no meaning here are stored, NUL included.
    let attrs = "SELECT DISTINCT attrs FROM nlri_routes WHERE afi = 16388 OR safi IN (73, 70) ORDER BY 1";
    let name = "0402000b636f726500726f75746572";
    let want = [
        r#"{"99": "780079"}"#.to_owned(),
        format!(r#"{{"bgp_ls_attribute": "{name}04010003007800"}}"#),
        r#"{"tunnel_encapsulation": [{"type": 15, "sub_tlvs": [{"hex": "00700071", "type": 130}, {"hex": "00006300", "type": 129}]}]}"#
            .to_owned(),
    ];
    assert_eq!(db.rows(attrs), want);
    let fields = "SELECT nlri -> 'local_node' -> 'tlvs' -> 0 ->> 'hex', nlri -> 'tlvs' -> 0 ->> 'hex'
                  FROM nlri_routes WHERE nlri ->> 'name' = 'node' GROUP BY 1, 2";
    assert_eq!(db.rows(fields), ["610062|00"]);
    // Names and descriptions, which are texts, show where it was.
    let texts = "SELECT DISTINCT table_name FROM nlri_routes WHERE rib = 'loc-rib' AND afi = 25 AND safi = 70
                 UNION ALL SELECT hostname FROM routers UNION ALL SELECT description FROM peers WHERE description <> ''";
    assert_eq!(db.rows(texts), ["red\u{fffd}blue|nlri:25/70", "edge\u{fffd}one", "peer\u{fffd}text"]);
    // A Cease with a shutdown communication (RFC 9003).
    let notification = bmp::bgp(3, &[&[6, 2, 6][..], b"by\0bye"].concat());
    router.send(&bmp::message(2, &[&peer.bytes()[..], &[3], &notification].concat()));
    eventually_equal(vec![updates.len().to_string()], || db.rows("SELECT count(*) FROM nlri_routes"));
    let reasons = "SELECT reason FROM session_events WHERE kind = 'peer_down' AND reason LIKE '%bye%'";
    let want = "NOTIFICATION received: Cease, Administrative Shutdown: \"by\u{fffd}bye\"";
    assert_eq!(db.rows(reasons), [want]);
    let (_, _, page) = ingester.get("/metrics");
    assert!(page.contains("\nrib_ingester_rejected_rows_total 0\n"), "no row was refused");
    assert!(ingester.stop().success());
}
