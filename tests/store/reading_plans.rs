//! The functions for readers use the right indexes, whatever the statistics are.
//!
//! With 30,000 routes; `RIB_INGESTER_TEST_ROUTES=1000000` tests with that many. The times that it prints are in
//! `docs/measurements.md`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Instant;

use crate::common::pg::TestDb;
use crate::common::rows::nlri;
use postgres::Client;
use rib_ingester::store::lookup::longest_match;
use rib_ingester::store::pages::{self, COUNTED_MAX};
use rib_ingester::store::slice::Slice;

fn routes() -> usize {
    std::env::var("RIB_INGESTER_TEST_ROUTES").map_or(30_000, |text| text.parse().expect("a number of routes"))
}

/// Four routers, prefixes of 16 to 24 bits and a default route.
fn fill_routes(client: &mut Client, routes: usize) {
    let sql = format!(
        "INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path)
         SELECT '10.0.0.' || r, 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 64, 16 + i % 9)), '192.0.2.1'::inet, '64496'
         FROM generate_series(1, 4) r, generate_series(1, {routes} / 4) i
         UNION ALL SELECT '10.0.0.' || r, 'global', 4, '0.0.0.0/0'::cidr, '192.0.2.1'::inet, '' FROM generate_series(1, 4) r
         ON CONFLICT DO NOTHING"
    );
    client.batch_execute("SET statement_timeout = 0").unwrap();
    client.batch_execute(&sql).unwrap();
}

/// The number of scans of the table's indexes, by access method.
fn scans(client: &mut Client, table: &str) -> (i64, i64) {
    client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    let row = client
        .query_one(
            "SELECT COALESCE(sum(s.idx_scan) FILTER (WHERE a.amname = 'btree'), 0)::bigint,
                    COALESCE(sum(s.idx_scan) FILTER (WHERE a.amname <> 'btree'), 0)::bigint
             FROM pg_stat_user_indexes s JOIN pg_class c ON c.oid = s.indexrelid JOIN pg_am a ON a.oid = c.relam
             WHERE s.relname LIKE $1 || '%'",
            &[&table],
        )
        .unwrap();
    (row.get(0), row.get(1))
}

fn plan(client: &mut Client, sql: &str) -> String {
    let rows = client.query_typed(&format!("EXPLAIN {sql}"), &[]).unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

#[test]
fn lookup_asks_the_b_tree_and_nothing_else() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client.batch_execute("ALTER TABLE current_routes SET (autovacuum_enabled = off)").unwrap_or_default();
    let mut check = |when: &str, want: usize| {
        let (btree, other) = scans(&mut client, "current_routes");
        for address in ["10.1.2.3", "10.1.0.0/16", "2001:db8::1", "192.0.2.1"] {
            // By constant and by parameter, since they are planned apart.
            client.batch_execute(&format!("SELECT * FROM lookup('{address}')")).unwrap();
            client.query("SELECT * FROM lookup($1::text::inet)", &[&address]).unwrap();
        }
        assert_eq!(client.query("SELECT * FROM lookup('192.0.2.1')", &[]).unwrap().len(), want, "{when}");
        // The statement of page and command does the same for all kinds of RIB.
        for (target, want) in [("192.0.2.1/32", want), ("10.1.2.3/32", want), ("2001:db8::1/128", 0)] {
            let found = longest_match(&mut client, &nlri(target, None).prefix, None, Slice::ALL).unwrap();
            assert_eq!(found.rows.len(), want, "{when}: {target}");
        }
        let (btree_after, other_after) = scans(&mut client, "current_routes");
        assert!(btree_after > btree && other_after == other, "{when}: {btree_after} {other_after}");
    };
    check("empty, never analyzed", 0);
    let routes = routes();
    let mut filler = db.client();
    filler.batch_execute("ANALYZE current_routes").unwrap();
    fill_routes(&mut filler, routes);
    check("analyzed when it was empty", 4);
    filler.batch_execute("ANALYZE current_routes").unwrap();
    check("analyzed", 4);

    let lookups = 2_000;
    let begin = Instant::now();
    let sql = format!("SELECT count(*) FROM generate_series(1, {lookups}) i, lookup('10.1.0.0'::inet + i)");
    assert!(filler.query_one(&sql, &[]).unwrap().get::<_, i64>(0) >= lookups);
    println!("{routes} routes: {:?} a lookup", begin.elapsed() / u32::try_from(lookups).unwrap());
}

#[test]
fn lookup_finds_what_the_covering_query_finds() {
    let db = TestDb::migrated();
    let mut client = db.client();
    fill_routes(&mut client, 4_000);
    client
        .batch_execute(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id) VALUES
             ('10.0.0.1', 'blue', 4, '10.0.3.0/24', 1), ('10.0.0.1', 'blue', 4, '10.0.3.0/24', 2),
             ('10.0.0.1', 'blue', 6, '::/0', 0), ('10.0.0.1', 'blue', 6, '2001:db8::/127', 0)",
        )
        .unwrap();
    let differences = db.rows(
        "WITH address AS (
             SELECT '10.0.0.0'::inet + i * 37 AS a FROM generate_series(0, 1500) i
             UNION ALL VALUES ('2001:db8::1'::inet), ('2001:db8::2'), ('2001:db8::/64'), ('10.0.3.0/24'), ('10.0.0.0/15'), ('0.0.0.0/0')
         ), slow AS (
             SELECT a.a, c.router_id, c.table_name, c.prefix, c.path_id
             FROM address a JOIN current_routes c ON c.prefix >>= a.a
             WHERE NOT EXISTS (SELECT FROM current_routes o
                               WHERE o.router_id = c.router_id AND o.table_name = c.table_name
                                 AND o.prefix >>= a.a AND masklen(o.prefix) > masklen(c.prefix))
         ), fast AS (
             SELECT a.a, l.router_id, l.table_name, l.prefix, l.path_id FROM address a, lookup(a.a) l
         )
         (SELECT 'missing', * FROM (TABLE slow EXCEPT TABLE fast) m) UNION ALL (SELECT 'too many', * FROM (TABLE fast EXCEPT TABLE slow) m)",
    );
    assert_eq!(differences, Vec::<String>::new());
    for target in ["10.0.3.9/32", "10.0.3.0/24", "10.0.0.0/15", "0.0.0.0/0", "2001:db8::1/128", "2001:db8::/64"] {
        let found = longest_match(&mut client, &nlri(target, None).prefix, Some("loc-rib"), Slice::ALL).unwrap();
        let found =
            found.rows.iter().map(|row| format!("{}|{}|{}|{}", row.router_id, row.table_name, row.prefix, row.path_id));
        let same = format!("SELECT router_id, table_name, prefix, path_id FROM lookup('{target}')");
        assert_eq!(found.collect::<Vec<_>>(), db.rows(&same), "{target}");
    }
    assert_eq!(db.rows("SELECT count(*) FROM lookup('10.0.3.9') WHERE table_name = 'blue'"), ["2"]);
}

#[test]
fn the_past_is_read_through_the_partitions_indexes() {
    let db = TestDb::migrated();
    let mut client = db.client();
    rib_ingester::maintenance::run_once(&mut client, 30).unwrap();
    let fill = "INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action)
        SELECT decode(md5(r || ' ' || i), 'hex'), now() - interval '1 hour' * (i % 3) / 1000, '10.0.0.' || r, 'global', 4,
               ('10.' || i / 256 || '.' || i % 256 || '.0/24')::cidr, 'A'
        FROM generate_series(1, 4) r, generate_series(0, 9999) i";
    let queries = [
        "SELECT * FROM routes_as_of('10.0.0.2', 'global', now(), ARRAY['10.1.1.0/24'::cidr])",
        "SELECT * FROM routes_as_of('10.0.0.2', 'global', now() - interval '1 hour', '{10.1.1.0/24,10.1.2.0/24}')",
        "SELECT * FROM history_tables(now() - interval '1 hour')",
        "SELECT history_is_complete('10.0.0.2', 'global', now(), '{10.1.1.0/24}')",
    ];
    // The query for the history of a prefix at a peer in `docs/measurements.md`.
    let at_peer = "SELECT action FROM route_events
         WHERE router_id = '10.0.0.2' AND table_name = 'global' AND afi = 4 AND rib = 'adj-rib-in' AND peer_address = '192.0.2.1'
           AND prefix = '10.1.1.0/24' ORDER BY ingest_time DESC LIMIT 100";
    client.batch_execute(fill).unwrap();
    for when in ["not analyzed since it was filled", "analyzed"] {
        for sql in queries {
            let plan = plan(&mut client, sql);
            assert!(!plan.contains("Seq Scan on route_events"), "{when}: {sql}\n{plan}");
        }
        let plan = plan(&mut client, at_peer);
        // Maintenance has analyzed the partitions: tomorrow's is known to be empty, and reading all of nothing is free.
        let whole: Vec<&str> = plan.lines().filter(|line| line.contains("Seq Scan on route_events")).collect();
        assert!(whole.iter().all(|line| line.contains("(cost=0.00..0.00 ")), "{when}: {at_peer}\n{plan}");
        assert!(plan.contains("Index Scan"), "{when}: {at_peer}\n{plan}");
        client.batch_execute("ANALYZE route_events").unwrap();
    }
    let plan = plan(&mut client, queries[0]);
    assert!(plan.contains("_prefix_history") && plan.contains("10.1.1.0/24"), "{plan}");
    // One entry of the churn index for each table: 4 tables, not 40,000 events.
    let sql = "SELECT COALESCE(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE indexrelname LIKE '%router_churn'";
    let read = |client: &mut Client| {
        client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
        client.query_one(sql, &[]).unwrap().get::<_, i64>(0)
    };
    let before = read(&mut client);
    assert_eq!(client.query(queries[2], &[]).unwrap().len(), 4);
    let entries = read(&mut client) - before;
    assert!(entries < 100, "{entries} entries read");
}

/// The number of sequential scans of a table of the present or the past that has rows.
fn whole_reads(client: &mut Client) -> i64 {
    client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    let sql = "SELECT COALESCE(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables
               WHERE relname ~ '^(route_events|current_routes|route_snapshots)' AND pg_relation_size(relid) > 0";
    client.query_one(sql, &[]).unwrap().get(0)
}

/// Prefixes that change after the first dump.
const CHANGED: i32 = 200;

/// Four routers whose tables arrived six seconds before a moment; two seconds before it, some routes of each changed or
/// flapped. Returns the moment.
fn fill_history(client: &mut Client, routes: usize) -> String {
    client.batch_execute("SET statement_timeout = 0").unwrap();
    let moment: String = client.query_one("SELECT now()::text", &[]).unwrap().get(0);
    let event = |kind: &str, at: &str, action: &str, path: &str, rows: &str| {
        format!(
            "INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, as_path)
             SELECT decode(md5('{kind}' || r || ' ' || i), 'hex'), '{moment}'::timestamptz - interval '{at}', '10.0.0.' || r, 'global', 4,
                    network(set_masklen('10.0.0.0'::inet + i * 64, 26)), '{action}', {path}
             FROM generate_series(1, 4) r, generate_series(1, {rows}) i;"
        )
    };
    let all = format!("{routes} / 4");
    let changed = CHANGED.to_string();
    let sql = [
        format!(
            "INSERT INTO routers (router_id, first_seen, last_seen)
             SELECT '10.0.0.' || r, '{moment}'::timestamptz - interval '7 s', now() FROM generate_series(1, 4) r;
             INSERT INTO rib_sync_status (router_id, table_name, afi) SELECT '10.0.0.' || r, 'global', 4 FROM generate_series(1, 4) r;
             INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path)
             SELECT '10.0.0.' || r, 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 64, 26)), '192.0.2.1'::inet, '64496'
             FROM generate_series(1, 4) r, generate_series(1, {all}) i;"
        ),
        event("first", "6 s", "A", "'64496'", &all),
        event("gone", "2 s", "D", "NULL", &changed),
        event("back", "1 s", "A", "'64497'", &changed),
    ]
    .concat();
    client.batch_execute(&sql).unwrap();
    moment
}

#[test]
fn changes_and_flaps_are_read_through_indexes() {
    let db = TestDb::migrated();
    let mut client = db.client();
    rib_ingester::maintenance::run_once(&mut client, 30).unwrap();
    let routes = routes();
    let moment = fill_history(&mut client, routes);
    let before = format!("'{moment}'::timestamptz - interval '4 s'");
    let changed = i64::from(CHANGED);
    let queries = [
        (format!("routes_between({before}, '{moment}')"), 4 * changed),
        (format!("routes_between({before}, '{moment}', '10.0.0.2', 'global')"), changed),
        (format!("flap_report(now() - ({before}))"), 4 * changed),
        (format!("routes_as_of('10.0.0.2', 'global', {before}, '{{10.0.0.64/26,10.0.0.128/26}}')"), 2),
        ("lookup('10.0.1.1')".to_owned(), 4),
    ];
    client.batch_execute("ANALYZE route_events, current_routes").unwrap();
    for (query, rows) in &queries {
        let whole = whole_reads(&mut client);
        let sql = format!("SELECT count(*) FROM {query}");
        assert_eq!(client.query_one(&sql, &[]).unwrap().get::<_, i64>(0), *rows, "{query}");
        assert_eq!(whole_reads(&mut client), whole, "{query} reads a table from one end to the other");
        time(&mut client, routes, query);
    }
    time(&mut client, routes, &format!("routes_as_of('10.0.0.2', 'global', {before})"));
}

#[test]
fn an_as_is_found_through_indexes_with_any_statistics() {
    const PAGE: Slice = Slice { size: 100, page: 0 };
    let db = TestDb::migrated();
    let mut client = db.client();
    let routes = routes();
    // Half of all routes are of one AS, and the statistics do not have the other one yet.
    client.batch_execute("SET statement_timeout = 0").unwrap();
    client
        .batch_execute(&format!(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix, origin_asn)
             SELECT '10.0.0.1', 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 64, 26)), 64500 + i % 2
             FROM generate_series(1, {routes}) i;
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, origin_asn)
             SELECT '10.0.0.1', '192.0.2.1', 64500, true, 'UNKNOWN', 4, network(set_masklen('10.0.0.0'::inet + i * 64, 26)), 64500 + i % 2
             FROM generate_series(1, {routes}) i;
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state)
             SELECT '10.0.0.1', 'global', '10.0.0.0'::inet + i, 64500 + i % 2, 'up' FROM generate_series(1, {routes}) i;
             ANALYZE current_routes, adj_rib_in, peers;
             INSERT INTO current_routes (router_id, table_name, afi, prefix, origin_asn)
             SELECT '10.0.0.2', 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 64, 26)), 64999 FROM generate_series(1, 50) i"
        ))
        .unwrap();
    let whole = |client: &mut Client| -> i64 {
        client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
        let sql = "SELECT COALESCE(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables
                   WHERE relname IN ('current_routes', 'adj_rib_in', 'peers')";
        client.query_one(sql, &[]).unwrap().get(0)
    };
    let half = i64::try_from(routes / 2).unwrap();
    for (asn, prefixes, peers) in [(64_500, half, half), (64_999, 50, 0), (4711, 0, 0)] {
        let before = whole(&mut client);
        let begin = Instant::now();
        let found = pages::origins(&mut client, asn, PAGE).unwrap();
        println!("{routes} routes: {:?} prefixes of AS{asn}", begin.elapsed());
        assert_eq!((found.prefixes, found.is_cut), (prefixes.min(COUNTED_MAX), prefixes > COUNTED_MAX), "AS{asn}");
        assert_eq!(found.rows.len(), usize::try_from(prefixes.min(PAGE.size)).unwrap());
        let found = pages::peers_of_as(&mut client, asn, PAGE).unwrap();
        assert_eq!((found.peers, found.is_cut), (peers.min(COUNTED_MAX), peers > COUNTED_MAX), "AS{asn}");
        assert_eq!(whole(&mut client), before, "AS{asn}: a table is read from one end to the other");
    }
    // As many as are counted are all of them; with one more they are not.
    let last = Slice { size: 100, page: i64::MAX };
    for (asn, number) in [(65_001, COUNTED_MAX), (65_002, COUNTED_MAX + 1)] {
        client
            .batch_execute(&format!(
                "INSERT INTO current_routes (router_id, table_name, afi, prefix, origin_asn)
                 SELECT '{asn}', 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 64, 26)), {asn}
                 FROM generate_series(1, {number}) i;
                 INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state)
                 SELECT '{asn}', 'global', '10.0.0.0'::inet + i, {asn}, 'up' FROM generate_series(1, {number}) i"
            ))
            .unwrap();
        let found = pages::origins(&mut client, asn, last).unwrap();
        assert_eq!((found.prefixes, found.is_cut, found.rows.len()), (COUNTED_MAX, number > COUNTED_MAX, 100));
        let found = pages::peers_of_as(&mut client, asn, last).unwrap();
        assert_eq!((found.peers, found.is_cut, found.rows.len()), (COUNTED_MAX, number > COUNTED_MAX, 100));
    }
    let found = pages::peers(&mut client, "10.0.0.1", Slice { size: 100, page: 3 }).unwrap();
    assert_eq!((found.peers, found.rows.len()), (i64::try_from(routes).unwrap(), 100));
}

/// Prints the time of a query whose tables are in memory.
fn time(client: &mut Client, routes: usize, query: &str) {
    let begin = Instant::now();
    client.batch_execute(&format!("SELECT count(*) FROM {query}")).unwrap();
    println!("{routes} routes: {:?} {query}", begin.elapsed());
}
