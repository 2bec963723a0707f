//! `routes_diff` and `policy_diff`: sets of paths, attribute by attribute.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::pg::TestDb;

const DIFF: &str = "SELECT prefix, difference, attributes FROM routes_diff('a', 't', 'b', 't'";

fn diff(db: &TestDb, more: &str) -> Vec<String> {
    db.rows(&format!("{DIFF}{more}) ORDER BY prefix"))
}

fn put(db: &TestDb, router: &str, prefix: &str, path_id: u32, columns: &str, values: &str) {
    let family = if prefix.contains(':') { 6 } else { 4 };
    let sql = format!(
        "INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id, {columns})
         VALUES ('{router}', 't', {family}, '{prefix}', {path_id}, {values})"
    );
    db.client().batch_execute(&sql).unwrap();
}

#[test]
fn every_attribute_is_compared_and_ignored() {
    let db = TestDb::migrated();
    assert!(diff(&db, "").is_empty());
    let cases = [
        ("nexthop", "'192.0.2.1'", "nexthop", "nexthop"),
        ("as_path", "''", "as_path", "as_path"),
        ("origin", "'IGP'", "origin", "origin"),
        ("localpref", "0", "localpref", "localpref"),
        ("med", "0", "med", "med"),
        ("communities_std", "'{64500:1}'", "communities_std", "communities"),
        ("communities_ext", "'{RT:1:1}'", "communities_ext", "communities"),
        ("communities_large", "'{1:2:3}'", "communities_large", "communities_large"),
        ("attrs", "'{\"aigp\": 1}'", "aigp", "aigp"),
        ("attrs", "'{\"aigp\": 1}'", "aigp", "attrs"),
    ];
    for (column, value, want, ignored) in cases {
        for (router, value) in [("a", value), ("b", "NULL")] {
            put(&db, router, "10.0.0.0/8", 0, column, value);
        }
        // A value is not the same as none, in neither direction.
        assert_eq!(diff(&db, ""), [format!("10.0.0.0/8|paths|{{{want}}}")], "{column}");
        assert!(diff(&db, &format!(", '{{{ignored}}}'")).is_empty(), "{column}");
        assert_eq!(diff(&db, ", '{other}'").len(), 1);
        assert_eq!(db.rows("SELECT attributes FROM routes_diff('b', 't', 'a', 't')"), [format!("{{{want}}}")]);
        db.client().batch_execute("DELETE FROM current_routes").unwrap();
    }
}

#[test]
fn paths_are_a_set_whatever_their_identifiers() {
    let db = TestDb::migrated();
    let path = |router, prefix, id, nexthop| {
        put(&db, router, prefix, id, "nexthop, communities_std", &format!("'192.0.2.{nexthop}', '{{1:1,2:2}}'"))
    };
    for (id, nexthop) in [(1, 1), (2, 2)] {
        path("a", "10.0.0.0/8", id, nexthop);
        path("b", "10.0.0.0/8", 30 - id, nexthop);
    }
    assert!(diff(&db, "").is_empty());
    // The same path twice is one, and the order of communities means nothing.
    path("b", "10.0.0.0/8", 40, 2);
    db.client().batch_execute("UPDATE current_routes SET communities_std = '{2:2,1:1}' WHERE router_id = 'b'").unwrap();
    assert!(diff(&db, "").is_empty());
    // One more path; another next hop of one of two.
    path("b", "10.0.0.0/8", 41, 3);
    path("a", "172.16.0.0/12", 1, 1);
    path("a", "172.16.0.0/12", 2, 2);
    path("b", "172.16.0.0/12", 2, 1);
    path("b", "172.16.0.0/12", 1, 9);
    // One side only, and another family.
    path("a", "192.0.2.0/24", 0, 1);
    put(&db, "b", "2001:db8::/32", 0, "med", "1");
    let want =
        ["10.0.0.0/8|paths|{}", "172.16.0.0/12|paths|{nexthop}", "192.0.2.0/24|only_a|{}", "2001:db8::/32|only_b|{}"];
    assert_eq!(diff(&db, ""), want);
    assert_eq!(diff(&db, ", inside => '192.0.0.0/16'"), &want[2..3]);
    assert_eq!(diff(&db, ", '{nexthop}'"), &want[2..]);
    assert_eq!(
        db.rows("SELECT a, b FROM routes_diff('a', 't', 'b', 't') WHERE prefix = '2001:db8::/32'"),
        ["[]|[{\"med\": 1}]"]
    );
    // A table that is not there has no routes.
    assert_eq!(db.rows("SELECT count(*), min(difference) FROM routes_diff('a', 't', 'b', 'x')"), ["3|only_a"]);
}

#[test]
fn a_policy_is_compared_table_by_table() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, path_id, med)
             VALUES ('a', '192.0.2.1', 1, false, 'UNKNOWN', 4, '10.0.0.0/8', 1, 1),
                    ('a', '192.0.2.1', 1, true, 'UNKNOWN', 4, '10.0.0.0/8', 2, 1),
                    ('a', '192.0.2.1', 1, false, 'UNKNOWN|rd:0:1:1', 4, '10.0.0.0/8', 0, 1),
                    ('a', '192.0.2.1', 1, true, 'UNKNOWN|rd:0:1:2', 4, '10.0.0.0/8', 0, 1),
                    ('a', '192.0.2.1', 1, false, 'UNKNOWN', 6, '2001:db8::/32', 0, 1),
                    ('a', '192.0.2.1', 1, true, 'UNKNOWN', 6, '2001:db8::/32', 0, 2),
                    ('a', '192.0.2.9', 1, true, 'UNKNOWN', 4, '11.0.0.0/8', 0, 2)",
        )
        .unwrap();
    let sql = "SELECT table_name, prefix, difference, attributes FROM policy_diff('a', '192.0.2.1') ORDER BY 1, 2";
    assert_eq!(
        db.rows(sql),
        [
            "UNKNOWN|2001:db8::/32|changed|{med}",
            "UNKNOWN|rd:0:1:1|10.0.0.0/8|dropped|{}",
            "UNKNOWN|rd:0:1:2|10.0.0.0/8|added|{}"
        ]
    );
}

#[test]
fn whole_tables_are_joined_as_a_whole() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix)
             SELECT r, 't', 4, set_masklen('10.0.0.0'::inet + n * 256, 24)::cidr FROM generate_series(1, 20000) n, unnest('{a,b}'::text[]) r;
             ANALYZE current_routes",
        )
        .unwrap();
    let plan = db.rows("EXPLAIN SELECT * FROM routes_diff('a', 't', 'b', 't')").join("\n");
    assert!(plan.contains("Hash Full Join") || plan.contains("Merge Full Join"), "{plan}");
    assert!(!plan.contains("Nested Loop") && !plan.contains("Function Scan on routes_diff"), "{plan}");
}
