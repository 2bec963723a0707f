//! Text of a router at its longest, and at lengths between, through the collector to rows: it is bounded, affects no
//! other router, and two long names stay distinct.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::dice::Dice;
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;

/// Octets: around the bounds of keys and notes, the limits of a B-tree and a NOTIFY, and as many as a TLV has.
const LENGTHS: [usize; 8] = [255, 256, 512, 1_024, 2_704, 7_999, 16_000, 65_000];

/// Texts of this many octets: those that compress well, those that do not, of one and of four octets a character, with
/// an end that splits a character, and those that are longer once escaped.
fn texts(length: usize, dice: &mut Dice) -> Vec<Vec<u8>> {
    const WORDS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut roll = |sides: usize| dice.roll(u32::try_from(sides).unwrap());
    let noise: Vec<u8> = (0..length).map(|_| WORDS[usize::try_from(roll(WORDS.len())).unwrap()]).collect();
    let wide: String = (0..length / 4 + 1).map(|_| char::from_u32(0x20000 + roll(0xa000)).unwrap()).collect();
    let cut = |text: String| text.into_bytes()[..length].to_vec();
    vec![noise, cut(wide), vec![b'a'; length], cut("\u{1}|".repeat(length))]
}

fn tlv(type_code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&type_code.to_be_bytes()[..], &length.to_be_bytes(), value].concat()
}

/// A Route Monitoring message of version 4 that names its table (draft-ietf-grow-bmp-tlv-20).
fn named_route_monitoring(peer: Peer, table: &[u8], update: &[u8]) -> Vec<u8> {
    let indexed = |type_code: u16, value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap();
        [&type_code.to_be_bytes()[..], &length.to_be_bytes(), &[0, 0], value].concat()
    };
    let mut message = bmp::message(0, &[peer.bytes(), indexed(7, update), indexed(5, table)].concat());
    message[0] = 4;
    message
}

fn count(db: &TestDb, of: &str) -> usize {
    db.rows(&format!("SELECT count(*) FROM {of}"))[0].parse().unwrap()
}

#[test]
fn each_text_of_a_router_is_bounded_when_stored() {
    let db = TestDb::migrated();
    let settings = [("ROUTER_ID_FROM", "sysname"), ("STORED_RIBS", "loc-rib,adj-rib-in-pre"), ("STATE_WRITERS", "1")];
    let ingester = Ingester::start(&db.url(), &settings);
    let mut dice = Dice(12);
    let texts: Vec<Vec<u8>> = LENGTHS.into_iter().flat_map(|length| texts(length, &mut dice)).collect();
    let attributes = Attributes::path(&[64_500]);
    let announce = |prefix| bmp::announce(&attributes, "192.0.2.1", &[prefix]);
    // 10.1.0.0/16 of distinguisher 0:64500:7 with label 16.
    let vpn = {
        let nlri = [104, 0, 1, 1, 0, 0, 0xfb, 0xf4, 0, 0, 0, 7, 10, 1];
        let reach = [&[0, 1, 128, 12][..], &[0; 8], &[192, 0, 2, 1, 0], &nlri].concat();
        bmp::update(&[], &[attributes.bytes(), bmp::attribute(0x80, 14, &reach)].concat(), &[])
    };
    let mut routers = Vec::new();
    for text in &texts {
        let mut router = ingester.connect();
        let open = Open::of(64_500, "10.255.0.1").bytes();
        let loc_rib = Peer::loc_rib("10.255.0.1");
        let peer = Peer { kind: 1, ..Peer::global_instance("192.0.2.1", 64_501).with_rd(7) };
        let mut other_name = text.clone();
        other_name[0] = b'v';
        router
            .send(&bmp::initiation(text, text))
            .send(&bmp::peer_up_of(loc_rib, &open, &open, &tlv(3, text)))
            .send(&bmp::route_monitoring(loc_rib, &announce("10.0.0.0/8")))
            .send(&named_route_monitoring(loc_rib, &other_name, &announce("11.0.0.0/8")))
            .send(&bmp::route_monitoring(loc_rib, &vpn))
            .send(&bmp::peer_up_of(peer, &open, &open, &[tlv(0, text), tlv(3, text)].concat()))
            .send(&bmp::route_monitoring(peer, &announce("12.0.0.0/8")));
        routers.push(router);
    }
    let all = texts.len();
    eventually_equal(all, || count(&db, "routers"));
    eventually_equal(3 * all, || count(&db, "current_routes"));
    eventually_equal(all, || count(&db, "adj_rib_in"));
    eventually_equal(4 * all, || count(&db, "route_events"));
    let longest = "SELECT max(length(router_id)), max(length(hostname)), max(octet_length(table_name)) > 512,
                          max(octet_length(router_id)) <= 512, max(octet_length(table_name)) <= 950,
                          max(octet_length(description)) <= 1024
                   FROM routers JOIN current_routes USING (router_id)";
    assert_eq!(db.rows(longest), ["255|255|t|t|t|t"]);
    for (router, text) in routers.iter_mut().zip(&texts) {
        router.send(&bmp::message(5, &[tlv(0, text).repeat(15), tlv(1, &[0, 0])].concat()));
    }
    eventually_equal(0, || count(&db, "current_routes") + count(&db, "adj_rib_in"));
    let terminated = "(SELECT DISTINCT router_id FROM session_events WHERE kind = 'terminated') AS terminated";
    eventually_equal(all, || count(&db, terminated));
    assert_eq!(count(&db, "session_events WHERE octet_length(reason) > 1100"), 0);
    let log = ingester.log();
    assert!(log.iter().all(|line| line.len() < 6_000 && !line.contains(" error ")), "{log:?}");
    assert!(ingester.stop().success());
}
