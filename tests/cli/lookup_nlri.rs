//! `lookup --family`: routes of families that are not prefixes, by their keys.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::{Command, Output};

use crate::common::pg::TestDb;

/// Three MAC addresses at one router, two of them at a peer of another, and a route target.
const ROUTES: &str = "
    INSERT INTO routers (router_id, hostname) VALUES ('10.0.0.1', 'edge1'), ('10.0.0.2', 'edge2');
    INSERT INTO nlri_loc_rib (router_id, table_name, afi, prefix, nexthop, as_path, updated_at, attrs)
    SELECT '10.0.0.1', 'global|nlri:25/70', 6, ('2001:db8::' || i)::cidr, '192.0.2.9', '64500', '2026-11-21 07:45:12+00',
           jsonb_build_object('nlri', jsonb_build_object('type', 2), 'nlri_key', 'evpn:2:mac=02:00:00:00:00:0' || i, 'nlri_afi', 25, 'nlri_safi', 70)
    FROM generate_series(1, 3) i;
    INSERT INTO nlri_adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, attrs)
    SELECT '10.0.0.2', '203.0.113.1', 64511, true, 'UNKNOWN|nlri:25/70', 6, prefix, attrs FROM nlri_loc_rib WHERE nlri_key ~ '[12]$';
    INSERT INTO nlri_loc_rib (router_id, table_name, afi, prefix, attrs)
    VALUES ('10.0.0.1', 'global|nlri:1/132', 6, '2001:db8::9', '{\"nlri_key\": \"rtc:origin_as=64511\", \"nlri_afi\": 1, \"nlri_safi\": 132}')";

fn lookup(db: &TestDb, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().arg("lookup").args(arguments).env("RIB_INGESTER_DATABASE_URL", db.url());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn other_families_are_looked_up_by_key() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    let found = |arguments: &[&str]| {
        let (code, text, why) = lookup(&db, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {why}");
        let lines = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>()
    };
    let loc_rib = |i: u8| {
        format!(
            "10.0.0.1 loc-rib - global|nlri:25/70 evpn:2:mac=02:00:00:00:00:0{i} 0 192.0.2.9 64500 2026-11-21 07:45"
        )
    };
    let lines = found(&["--family", "evpn"]);
    assert_eq!((lines.len(), &lines[..3]), (5, &[loc_rib(1), loc_rib(2), loc_rib(3)][..]));
    assert!(lines[3].starts_with("10.0.0.2 adj-rib-in-post 203.0.113.1 UNKNOWN|nlri:25/70 evpn:2:"), "{}", lines[3]);
    // The whole key, or a part of it.
    assert_eq!(found(&["--family", "evpn", "--key", "evpn:2:mac=02:00:00:00:00:03"]), [loc_rib(3)]);
    assert_eq!(found(&["--family", "evpn", "--key", "00:02"]).len(), 2);
    assert_eq!(found(&["--family", "evpn", "--key", "00:02", "--router", "edge1"]), [loc_rib(2)]);
    assert_eq!(found(&["--family", "evpn", "--view", "adj-rib-in-post"]).len(), 2);
    assert_eq!(found(&["--family", "rtc"]).len(), 1);
}

#[test]
fn lookups_of_other_families_are_cut_and_refused() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    let (code, text, why) = lookup(&db, &["--family", "evpn", "--json", "--limit", "2"]);
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, rows.as_array().unwrap().len()), (Some(0), 2));
    assert_eq!((&rows[1]["nlri"]["type"], &rows[1]["afi"]), (&2.into(), &25.into()));
    assert!(why.contains("there are more than 2 such routes"), "{why}");
    let (code, text, why) = lookup(&db, &["--family", "evpn", "--limit", "5"]);
    assert_eq!((code, text.lines().count(), why.as_str()), (Some(0), 6, ""));
    let check = |arguments: &[&str], want: i32, says: &str| {
        let (code, text, why) = lookup(&db, arguments);
        assert!(code == Some(want) && why.contains(says), "{arguments:?}: {code:?} {text}{why}");
    };
    check(&["--family", "mvpn"], 1, "no such route of the family is stored");
    check(&["--family", "evpn", "--key", "ff:ff", "--json"], 1, "no such route");
    check(&["--family", "evpn", "--router", "edge9"], 1, "no router is called edge9");
    check(&["--family", "vpn"], 2, "possible values: evpn");
    check(&["--family", "evpn", "10.0.0.1"], 2, "cannot be used with");
    check(&["--key", "mac"], 2, "--family");
    check(&[], 2, "<ADDRESS|PREFIX>");
}
