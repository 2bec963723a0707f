//! The scan of stored routes against `rov()`, which answers by other means.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fmt::Write as _;

use crate::common::dice::Dice;
use crate::common::ingester::eventually_equal;
use crate::common::pg::TestDb;
use crate::world::{Folder, start, text};

/// A prefix in a small part of the address space, so that many of them cover each other.
fn prefix(dice: &mut Dice, length_min: u32) -> (String, u32) {
    if dice.roll(4) == 0 {
        let length = 20 + length_min + dice.roll(29 - length_min);
        let bits = u128::from(dice.roll(1 << 16)) << 80 | 0x2001_0db8 << 96;
        let address = bits & !(u128::MAX >> length);
        (format!("{}/{length}", std::net::Ipv6Addr::from(address)), length)
    } else {
        let length = length_min + dice.roll(27 - length_min);
        let address = (0x0a00_0000 | dice.roll(1 << 20) << 4) & !(u32::MAX >> length);
        (format!("{}/{length}", std::net::Ipv4Addr::from(address)), length)
    }
}

#[test]
fn a_scan_finds_what_rov_says() {
    let (db, folder) = (TestDb::migrated(), Folder::new());
    let mut dice = Dice(6811);
    let mut set = String::from("ASN,IP Prefix,Max Length,Trust Anchor\n");
    for _ in 0..2_000 {
        let (prefix, length) = prefix(&mut dice, 17);
        let max = length + dice.roll(5);
        writeln!(set, "AS{},{prefix},{max},ripe", dice.roll(20)).unwrap();
    }
    let mut routes = Vec::new();
    for number in 0..4_000 {
        let (prefix, _) = prefix(&mut dice, 12);
        let afi = if prefix.contains(':') { 6 } else { 4 };
        let (asn, path) = match dice.roll(10) {
            0 => ("NULL".to_owned(), String::new()),
            1 => ("NULL".to_owned(), "5 {1,2}".to_owned()),
            2 => ("NULL".to_owned(), "5 (65001 65002)".to_owned()),
            _ => (dice.roll(20).to_string(), "5".to_owned()),
        };
        let router = if number % 3 == 0 { "a" } else { "b" };
        routes.push(format!("('{router}', 'global', {afi}, '{prefix}', {number}, {asn}, '{path}')"));
    }
    db.client()
        .batch_execute(&format!(
            "INSERT INTO routers (router_id, as_number) VALUES ('a', 7);
             INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id, origin_asn, as_path) VALUES {};
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, origin_asn, as_path)
             SELECT DISTINCT ON (router_id, afi, prefix) router_id, '192.0.2.1'::inet, 5, false, 'global', afi, prefix, origin_asn + 1, as_path
             FROM current_routes WHERE path_id % 7 = 0;
             INSERT INTO rib_sync_status (router_id, table_name, afi, synced_at) VALUES ('a', 'global', 4, now()), ('b', 'global', 4, now());",
            routes.join(", ")
        ))
        .unwrap();
    folder.write("vrps.csv", &set);
    let file = folder.path("vrps.csv");
    let _ingester = start(&db, text(&file), &[]);
    let pairs = "SELECT DISTINCT prefix, rpki.route_origin(r.origin_asn, r.as_path, o.as_number) AS origin
                 FROM (SELECT router_id, prefix, origin_asn, as_path FROM current_routes
                       UNION SELECT router_id, prefix, origin_asn, as_path FROM adj_rib_in) AS r LEFT JOIN routers o USING (router_id)";
    let difference = format!(
        "WITH pairs AS ({pairs}), asked AS (SELECT prefix, origin, rov(prefix, origin) AS state FROM pairs WHERE origin IS NOT NULL)
         SELECT count(*) FILTER (WHERE a.state IS DISTINCT FROM v.state AND (a.state <> 'not-found' OR v.state IS NOT NULL)),
                count(*) FILTER (WHERE a.state = 'valid') > 10, count(*) FILTER (WHERE a.state = 'invalid') > 100,
                count(*) FILTER (WHERE a.state = 'not-found') > 100, count(*) FILTER (WHERE v.prefix IS NOT NULL AND a.prefix IS NULL)
         FROM asked a FULL JOIN rpki.route_validity v ON v.prefix = a.prefix AND v.origin_asn = a.origin"
    );
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM rpki.vrp_set WHERE scanned_version = 1"));
    assert_eq!(db.rows(&difference), ["0|t|t|t|0"]);
    // Counts are of each router's own pairs.
    let counted = "SELECT (SELECT sum(routes) FROM rpki.router_states WHERE router_id = 'b'), count(*)
                   FROM (SELECT prefix, rpki.route_origin(origin_asn, as_path, NULL) AS origin FROM current_routes WHERE router_id = 'b'
                         UNION SELECT prefix, origin_asn FROM adj_rib_in WHERE router_id = 'b') AS of_b WHERE origin IS NOT NULL";
    let counts = db.rows(counted)[0].clone();
    let (stored, own) = counts.split_once('|').unwrap();
    assert_eq!(stored, own);
    // Routes and VRPs change: what is written follows.
    db.client().batch_execute("DELETE FROM current_routes WHERE path_id % 5 = 0; UPDATE current_routes SET origin_asn = 3 WHERE path_id % 5 = 1").unwrap();
    let half: Vec<&str> = set.lines().enumerate().filter(|(number, _)| number % 3 != 1).map(|(_, line)| line).collect();
    folder.write("vrps.csv", &(half.join("\n") + "\n"));
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM rpki.vrp_set WHERE scanned_version = 2"));
    eventually_equal(vec!["0|t|t|t|0".to_owned()], || db.rows(&difference));
    let lost =
        "SELECT count(*) > 0, count(*) FILTER (WHERE rov(prefix, origin_asn) <> 'not-found') FROM rpki.lost_validity";
    assert_eq!(db.rows(lost), ["t|0"]);
}
