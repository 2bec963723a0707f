//! The status of registered sessions follows real routers: FRR and GoBGP lose a peer and the BMP session.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::lab::{Lab, Views, free_address};
use crate::common::pg::TestDb;

/// Sessions by router and AS: status, verdict, and the error up to its first colon.
const SESSIONS: &str =
    "SELECT concat_ws(' ', r.name, 'AS' || s.asn, s.status, o.verdict, split_part(s.last_error, ':', 1))
     FROM registry.bgp_sessions s JOIN registry.routers r ON r.uuid = s.router
     LEFT JOIN registry.session_observations o ON o.session_uuid = s.uuid ORDER BY r.name, s.asn";

#[test]
fn registered_sessions_follow_real_routers() {
    if !Lab::is_possible() {
        return;
    }
    let db = TestDb::migrated();
    let address = free_address();
    let listen = address.to_string();
    let collector =
        Ingester::start(&db.url(), &[("BMP_LISTEN", &listen), ("EOR_TIMEOUT_SECS", "2"), ("STALE_ROUTES_SECS", "600")]);
    let lab = Lab::start(address, &["gobgp", "frr10"], Views::Chosen);
    lab.run(&["base"], &[]);
    eventually("both routers have reported both feeders", || {
        let up = "SELECT count(*)::text FROM peers WHERE state = 'up' AND peer_asn IN (65010, 4200000010)";
        (db.rows(up) == ["4"]).then_some(())
    });
    db.client()
        .batch_execute(
            "INSERT INTO registry.routers (name) SELECT hostname FROM routers;
             INSERT INTO registry.bgp_sessions (router, asn, status, ipv4)
             SELECT r.uuid, p.peer_asn, 1, host(p.peer_address)
             FROM peers p JOIN routers m USING (router_id) JOIN registry.routers r ON r.name = m.hostname
             WHERE p.peer_asn IN (65010, 4200000010);
             INSERT INTO registry.settings
             VALUES ('down_after_secs', '0'), ('settle_secs', '0'), ('status_codes', 'documented'), ('write_status', 'on')",
        )
        .unwrap();
    let sessions = |wanted: [&str; 4]| eventually_equal(wanted.map(str::to_owned).to_vec(), || db.rows(SESSIONS));
    let all_up = ["frr10 AS65010 1 up", "frr10 AS4200000010 1 up", "gobgp AS65010 1 up", "gobgp AS4200000010 1 up"];
    sessions(all_up);

    // The feeder sends a NOTIFICATION as it ends; each router reports what it saw of that in its own way.
    lab.run(&["stop"], &["feeder1"]);
    eventually("both sessions with the feeder are in error, with a reason", || {
        let rows = db.rows(SESSIONS);
        let lost: Vec<&String> = rows.iter().filter(|row| row.contains("AS65010 2 down ")).collect();
        let kept = rows.iter().filter(|row| row.ends_with("AS4200000010 1 up")).count();
        (lost.len() == 2 && kept == 2).then_some(())
    });
    lab.run(&["flap"], &["1"]);
    sessions(all_up);

    // Without BMP nobody can say: the status stays.
    lab.run(&["stop"], &["frr10"]);
    sessions([
        "frr10 AS65010 1 unknown",
        "frr10 AS4200000010 1 unknown",
        "gobgp AS65010 1 up",
        "gobgp AS4200000010 1 up",
    ]);
    assert!(collector.stop().success());
}
