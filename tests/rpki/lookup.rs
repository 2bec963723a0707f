//! `lookup` with VRPs: the state of each route, and the VRPs that decided.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::Command;

use crate::common::ingester::{Ingester, eventually};
use crate::common::pg::TestDb;

/// Routes of one prefix by the right AS and by two others, and one that nobody has signed.
const ROUTES: &str = "
    INSERT INTO routers (router_id, as_number) VALUES ('edge1', 64500), ('edge2', 64500);
    INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id, nexthop, as_path, origin_asn, origin, localpref, updated_at)
    SELECT 'edge' || n, 'global', 4, p::cidr, 0, ('192.0.2.' || n)::inet, path, asn, 'IGP', 100, '2026-11-21 07:45Z' FROM (VALUES
        (1, '198.51.100.0/24', '64510 64501', 64501), (2, '198.51.100.0/24', '64510 64666', 64666),
        (1, '203.0.113.0/24', '64510', 64510), (1, '10.1.0.0/16', '', NULL), (1, '10.2.0.0/16', '64510 {1,2}', NULL)
    ) AS r (n, p, path, asn)";

/// A set with two VRPs of one prefix, one of the router's own, and one that SLURM removed.
const SET: &str = "
    UPDATE rpki.vrp_set SET version = 1, source = '/vrps.json', generated = now(), vrps = 3;
    INSERT INTO rpki.vrps (prefix, max_length, asn, trust_anchor) VALUES
        ('198.51.100.0/22', 23, 64666, 'ripe'), ('198.51.100.0/24', 24, 64501, 'ripe'), ('10.0.0.0/8', 16, 64500, 'arin');
    INSERT INTO rpki.filtered_vrps (prefix, max_length, asn, trust_anchor, comment) VALUES ('203.0.113.0/24', 24, 64510, 'ripe', '<i>lab')";

fn lookup(db: &TestDb, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
        .env_clear()
        .env("RIB_INGESTER_DATABASE_URL", db.url())
        .arg("lookup")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of the table of states.
fn states(text: &str) -> Vec<String> {
    let from = text.lines().skip_while(|line| !line.starts_with("prefix "));
    from.skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn lookup_shows_state_and_reason_of_each_route() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    // Without a set nothing is said of RPKI.
    let before = lookup(&db, &["198.51.100.7"]);
    assert!(!before.contains("RPKI") && !lookup(&db, &["198.51.100.7", "--json"]).contains("rov"), "{before}");

    db.client().batch_execute(SET).unwrap();
    let text = lookup(&db, &["198.51.100.7"]);
    assert!(
        guide().contains(&format!("$ rib-ingester lookup 198.51.100.7\n{text}```\n")),
        "docs/rpki.md lacks\n{text}"
    );
    assert_eq!(
        states(&lookup(&db, &["203.0.113.1"])),
        ["203.0.113.0/24 AS64510 not-found 203.0.113.0/24-24 AS64510 ripe removed by SLURM: <i>lab"]
    );
    // The router's own route has the router's AS, and an AS_SET none.
    assert_eq!(states(&lookup(&db, &["10.1.0.0"])), ["10.1.0.0/16 AS64500 valid 10.0.0.0/8-16 AS64500 arin"]);
    assert_eq!(
        states(&lookup(&db, &["10.2.0.0"])),
        ["10.2.0.0/16 AS_SET invalid 10.0.0.0/8-16 AS64500 arin another AS"]
    );

    let json: serde_json::Value = serde_json::from_str(&lookup(&db, &["198.51.100.7", "--json"])).unwrap();
    assert_eq!((&json[0]["rov"], &json[1]["rov"]), (&"valid".into(), &"invalid".into()));
    let deciding = &json[1]["rov_reason"];
    assert_eq!((&deciding[0]["asn"], &deciding[0]["reason"]), (&64_501.into(), &"as".into()));
    assert_eq!((&deciding[1]["max_length"], &deciding[1]["reason"]), (&23.into(), &"length".into()));

    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut page = String::new();
    let mut shows = |target: &str, want: &str| {
        eventually(want, || {
            page = ingester.get(target).2;
            page.contains(want).then_some(())
        });
        page.clone()
    };
    let found = shows("/lookup?q=198.51.100.7", "<span class=\"state bad\">invalid</span>");
    assert!(
        found.contains("198.51.100.0/24-24 AS64501: another AS<")
            && found.contains("<span class=\"state ok\">valid</span>"),
        "{found}"
    );
    shows("/lookup?q=203.0.113.1", "removed by SLURM");

    shows("/", "3 VRPs, made ");
    // Too old: unknown, not nothing.
    db.client().batch_execute("UPDATE rpki.vrp_set SET generated = now() - INTERVAL '25 h'").unwrap();
    assert_eq!(states(&lookup(&db, &["10.1.0.0"])), ["10.1.0.0/16 AS64500 unknown the set of VRPs is too old"]);
    shows("/lookup?q=10.1.0.0", "<span class=\"state warn\">unknown</span>");
    // Who may read routes alone still finds them.
    db.client().batch_execute("REVOKE ALL ON SCHEMA rpki FROM CURRENT_USER").unwrap();
    assert_eq!(lookup(&db, &["198.51.100.7"]), before);
}

fn guide() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rpki.md");
    std::fs::read_to_string(path).unwrap()
}
