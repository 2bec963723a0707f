//! Peers, the sessions that they belong to, and the routes that they may send.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Peer};
use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

use super::scene::{connect, down, registry, sql, up};

#[test]
fn peers_at_one_address_and_of_one_as() {
    let db = registry();
    let (first, second) = ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002");
    sql(
        &db,
        &format!(
            "INSERT INTO registry.routers (uuid, name) VALUES ('{second}', 'edge2');
             INSERT INTO registry.settings VALUES ('write_status', 'on'), ('status_codes', 'documented');
             INSERT INTO registry.bgp_sessions (router, asn, status, policy, ipv6_link_local, ipv4)
             VALUES ('{first}', 65537, 1, '0', 'fe80::1%wg0', NULL), ('{first}', 65538, 1, '0', 'fe80::1', NULL),
                    ('{second}', 65537, 1, '0', 'fe80::1%wg0', NULL),
                    ('{first}', 65539, 1, 'peer', NULL, '198.51.100.3'), ('{first}', 65539, 1, '0', NULL, '198.51.100.13'),
                    ('{first}', 65540, 1, '0', NULL, '198.51.100.4'), ('{first}', 65541, 1, '0', NULL, NULL),
                    ('{first}', 65542, 4, '0', NULL, '198.51.100.7')"
        ),
    );
    let mut ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "adj-rib-in-pre")]);
    let local = |number: u8| Peer::global_instance("fe80::1", 65_536 + u32::from(number));
    let at = |last: u8, number: u8| Peer::global_instance(&format!("198.51.100.{last}"), 65_536 + u32::from(number));
    let mut edges =
        [("edge1", "192.0.2.1"), ("edge2", "192.0.2.2")].map(|(name, id)| connect(&ingester, name, id, &[]));
    // Another AS at an address of a session, two peers of an AS whose session has no address, and one that nobody knows.
    for peer in [local(1), local(2), at(3, 3), at(13, 3), at(4, 14), at(5, 5), at(6, 5), at(9, 9)] {
        up(&mut edges[0], "192.0.2.1", peer);
    }
    up(&mut edges[1], "192.0.2.2", local(1));
    let sessions = |wanted: [&str; 8]| {
        let rows = "SELECT concat_ws(' ', r.name, s.asn - 65536, COALESCE(s.ipv6_link_local, s.ipv4), s.status, o.verdict)
                    FROM registry.bgp_sessions s JOIN registry.routers r ON r.uuid = s.router
                    LEFT JOIN registry.session_observations o ON o.session_uuid = s.uuid ORDER BY r.name, s.asn, s.ipv4";
        eventually_equal(wanted.map(str::to_owned).to_vec(), || db.rows(rows));
    };
    sessions([
        "edge1 1 fe80::1%wg0 1 up",
        "edge1 2 fe80::1 1 up",
        "edge1 3 198.51.100.13 1 up",
        "edge1 3 198.51.100.3 1 up",
        "edge1 4 198.51.100.4 1 wrong_asn",
        "edge1 5 1 ambiguous",
        "edge1 6 198.51.100.7 4 overdue",
        "edge2 1 fe80::1%wg0 1 up",
    ]);
    // A peer that goes is one session's: the others at its address, and the other of its AS, stay.
    down(&mut edges[0], local(2), "bye");
    down(&mut edges[0], at(13, 3), "bye");
    let default = bmp::announce(&bmp::Attributes::path(&[65_539]), "198.51.100.3", &["0.0.0.0/0"]);
    edges[0].send(&bmp::route_monitoring(at(3, 3), &default));
    sessions([
        "edge1 1 fe80::1%wg0 1 up",
        "edge1 2 fe80::1 2 down",
        "edge1 3 198.51.100.13 2 down",
        "edge1 3 198.51.100.3 1 up",
        "edge1 4 198.51.100.4 1 wrong_asn",
        "edge1 5 1 ambiguous",
        "edge1 6 198.51.100.7 4 overdue",
        "edge2 1 fe80::1%wg0 1 up",
    ]);
    for wanted in [
        "rib_ingester_registry_sessions{status=\"ACTIVE\",verdict=\"up\"} 3",
        "rib_ingester_registry_sessions{status=\"ERROR\",verdict=\"down\"} 2",
        "rib_ingester_registry_sessions{status=\"QUEUED_FOR_SETUP\",verdict=\"overdue\"} 1",
        "rib_ingester_registry_sessions_overdue 1",
        "rib_ingester_registry_unregistered_peers 1",
        "rib_ingester_registry_policy_misfits 1",
        "rib_ingester_dependents_last_round_timestamp_seconds{schema=\"registry\"}",
        "rib_ingester_dependents_last_round_timestamp_seconds{schema=\"inventory\"}",
        "rib_ingester_dependents_last_round_timestamp_seconds{schema=\"tenants\"}",
    ] {
        eventually(wanted, || ingester.get("/metrics").2.contains(wanted).then_some(()));
    }
    drop(edges);
    assert!(ingester.stop().success());
}

/// One router with a registry's sessions and the peers of it, without a collector.
fn still(peers: &str, sessions: &str) -> TestDb {
    let db = registry();
    sql(
        &db,
        &format!(
            "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version)
             VALUES ('c1', gen_random_uuid(), now() + interval '1 day', now(), 'test');
             INSERT INTO routers (router_id, hostname, as_number, router_ip)
             VALUES ('192.0.2.1', 'edge1', 64496, '203.0.113.1'), ('192.0.2.2', 'edge2', 64496, '203.0.113.2');
             INSERT INTO bmp_sessions (router_id, collector_id, state, began_at)
             VALUES ('192.0.2.1', 'c1', 'up', now() - interval '1 hour'), ('192.0.2.2', 'c1', 'up', now() - interval '1 hour');
             INSERT INTO registry.routers (uuid, name, ipv4) VALUES ('00000000-0000-0000-0000-000000000002', 'paris', '203.0.113.2');
             INSERT INTO peers (router_id, peer_type, state, peer_address, peer_asn) VALUES {peers};
             INSERT INTO registry.bgp_sessions (router, status, asn, ipv6_link_local, ipv4) VALUES {sessions}"
        ),
    );
    db
}

#[test]
fn peers_belong_to_sessions_by_address_and_as() {
    let db = still(
        "('192.0.2.1', 'global', 'up', 'fe80::1', 65537), ('192.0.2.1', 'global', 'up', 'fe80::1', 65538),
         ('192.0.2.2', 'global', 'up', 'fe80::1', 65537), ('192.0.2.1', 'global', 'up', '198.51.100.1', 65539),
         ('192.0.2.1', 'global', 'up', '198.51.100.9', 65540), ('192.0.2.1', 'global', 'up', '198.51.100.5', 65541),
         ('192.0.2.1', 'global', 'up', '198.51.100.6', 65541), ('192.0.2.1', 'global', 'up', '198.51.100.7', 65542),
         ('192.0.2.1', 'global', 'up', '198.51.100.8', 64496), ('192.0.2.1', 'global', 'down', '198.51.100.10', 65543)",
        "('00000000-0000-0000-0000-000000000001', 1, 65537, 'fe80::1%wg0', NULL),
         ('00000000-0000-0000-0000-000000000001', 1, 65538, 'fe80::1/64', NULL),
         ('00000000-0000-0000-0000-000000000002', 1, 65537, 'fe80::1', NULL),
         ('00000000-0000-0000-0000-000000000001', 1, 65551, NULL, '198.51.100.1'),
         ('00000000-0000-0000-0000-000000000001', 1, 65540, NULL, 'none'),
         ('00000000-0000-0000-0000-000000000001', 1, 65541, NULL, '198.51.100.5'),
         ('00000000-0000-0000-0000-000000000001', 1, 65541, NULL, NULL),
         ('00000000-0000-0000-0000-000000000001', 1, 65544, NULL, '198.51.100.44'),
         ('00000000-0000-0000-0000-000000000001', 0, 65544, NULL, NULL)",
    );
    let fits = "SELECT s.asn, COALESCE(s.ipv6_link_local, s.ipv4), p.router_id, p.fit, p.peer_address, p.peer_asn
                FROM registry.bgp_sessions s LEFT JOIN registry.session_peers p ON p.session_uuid = s.uuid ORDER BY 1, 2, 3";
    assert_eq!(
        db.rows(fits),
        [
            "65537|fe80::1|192.0.2.2|address|fe80::1|65537",
            "65537|fe80::1%wg0|192.0.2.1|address|fe80::1|65537",
            "65538|fe80::1/64|192.0.2.1|address|fe80::1|65538",
            "65540|none|192.0.2.1|asn|198.51.100.9|65540",
            "65541|198.51.100.5|192.0.2.1|address|198.51.100.5|65541",
            "65541|-|192.0.2.1|ambiguous|198.51.100.6|65541",
            "65544|198.51.100.44|-|-|-|-",
            "65544|-|-|-|-|-",
            "65551|198.51.100.1|192.0.2.1|wrong_asn|198.51.100.1|65539",
        ]
    );
    // Two rows for one peer: nobody can tell whose it is.
    sql(&db, "UPDATE registry.bgp_sessions SET ipv4 = '198.51.100.5' WHERE asn = 65541");
    let both = "SELECT DISTINCT fit FROM registry.session_peers WHERE peer_address = '198.51.100.5'";
    assert_eq!(db.rows(both), ["ambiguous"]);
    // Peers that nobody registered: without iBGP, and what is ignored.
    let unregistered = "SELECT router_name, peer_address, peer_asn FROM registry.unregistered_peers ORDER BY 2";
    let sixth = "edge1|198.51.100.6|65541";
    assert_eq!(db.rows(unregistered), [sixth, "edge1|198.51.100.7|65542"]);
    sql(&db, "INSERT INTO registry.settings VALUES ('ignore_peers', 'AS65542, 2001:db8::/32')");
    assert_eq!(db.rows(unregistered), [sixth]);
    sql(&db, "UPDATE registry.settings SET value = '198.51.100.0/29' WHERE key = 'ignore_peers'");
    assert_eq!(db.rows(unregistered), [""; 0]);
    // Two monitored routers of one name.
    sql(&db, "UPDATE routers SET hostname = 'edge1'");
    let bound = "SELECT name, router_id, bound_by, problem FROM registry.router_bindings ORDER BY 1";
    assert_eq!(db.rows(bound), ["edge1|-|name|ambiguous", "paris|192.0.2.2|address|-"]);
    sql(&db, "UPDATE registry.routers SET router_id = '192.0.2.2' WHERE name = 'edge1'");
    assert_eq!(db.rows(bound), ["edge1|192.0.2.2|router_id|-", "paris|-|address|ambiguous"]);
}

#[test]
fn received_routes_that_do_not_fit_the_policy() {
    let db = still(
        "('192.0.2.1', 'global', 'up', '198.51.100.1', 65537), ('192.0.2.1', 'global', 'up', '198.51.100.2', 65538),
         ('192.0.2.1', 'global', 'up', '198.51.100.3', 65539)",
        "('00000000-0000-0000-0000-000000000001', 1, 65537, NULL, '198.51.100.1'),
         ('00000000-0000-0000-0000-000000000001', 1, 65538, NULL, '198.51.100.2'),
         ('00000000-0000-0000-0000-000000000001', 1, 65539, NULL, '198.51.100.3')",
    );
    sql(
        &db,
        "UPDATE registry.bgp_sessions SET policy = '3', data = '{\"downstreams\": [65550]}' WHERE asn = 65537;
         UPDATE registry.bgp_sessions SET policy = 'peer' WHERE asn = 65538;
         UPDATE registry.bgp_sessions SET policy = 'upstream', data = '{\"max_prefix\": 10}' WHERE asn = 65539;
         INSERT INTO registry.session_observations (session_uuid, since, peers_up, peers_expected, flaps, routes_received, changed_at,
             row_updated_at, is_own)
         SELECT uuid, now(), 1, 1, 0, 11, now(), now(), false FROM registry.bgp_sessions WHERE data ? 'max_prefix';
         INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, as_path, origin_asn)
         VALUES ('192.0.2.1', '198.51.100.1', 65537, false, 'UNKNOWN', 4, '203.0.113.0/26', '65537', 65537),
                ('192.0.2.1', '198.51.100.1', 65537, false, 'UNKNOWN', 4, '203.0.113.64/26', '65537 65550', 65550),
                ('192.0.2.1', '198.51.100.1', 65537, false, 'UNKNOWN', 4, '203.0.113.128/26', '65537 65551', 65551),
                ('192.0.2.1', '198.51.100.1', 65537, true, 'UNKNOWN', 4, '203.0.113.128/26', '65537 65551', 65551),
                ('192.0.2.1', '198.51.100.2', 65538, false, 'UNKNOWN', 4, '0.0.0.0/0', '65538', 65538),
                ('192.0.2.1', '198.51.100.2', 65538, false, 'UNKNOWN', 4, '203.0.113.0/24', '65538 65551', 65551),
                ('192.0.2.1', '198.51.100.3', 65539, false, 'UNKNOWN', 4, '0.0.0.0/0', '65539', 65539)",
    );
    let misfits = "SELECT asn, policy, misfit, COALESCE(prefix::TEXT, routes || ' of ' || agreed) FROM registry.policy_misfits ORDER BY 1, 4";
    assert_eq!(
        db.rows(misfits),
        ["65537|downstream|origin|203.0.113.128/26", "65538|peer|default|0.0.0.0/0", "65539|upstream|routes|11 of 10",]
    );
}
