//! `routers_overview`, which other programs read: its columns, the figures in them, and that a million routes do not
//! make it slow.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::{Duration, Instant};

use crate::common::pg::TestDb;

/// The columns that other programs read, in their order; ours after them.
const COLUMNS: [&str; 20] = [
    "router_id text",
    "router_ip inet",
    "hostname text",
    "as_number bigint",
    "description text",
    "first_seen timestamp with time zone",
    "last_seen timestamp with time zone",
    "display_name text",
    "location text",
    "route_count bigint",
    "unique_prefixes bigint",
    "adj_rib_in_route_count bigint",
    "adj_rib_in_peer_count bigint",
    "all_afis_synced boolean",
    "session_start_time timestamp with time zone",
    "sync_updated_at timestamp with time zone",
    "reported_loc_rib_routes bigint",
    "reported_adj_rib_in_routes bigint",
    "loc_rib_drift bigint",
    "adj_rib_in_drift bigint",
];

#[test]
fn the_columns_are_those_that_readers_know() {
    let db = TestDb::migrated();
    let columns = "SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod)) FROM pg_attribute
                   WHERE attrelid = 'routers_overview'::regclass AND attnum > 0 ORDER BY attnum";
    assert_eq!(db.rows(columns), COLUMNS);
}

#[test]
fn each_column_counts_what_it_says() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO routers (router_id, hostname, display_name, location) VALUES ('a', 'edge-a', 'A', 'here'), ('idle', NULL, NULL, NULL);
             INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id) VALUES
                 ('a', 'global', 4, '10.0.0.0/8', 1), ('a', 'global', 4, '10.0.0.0/8', 2), ('a', 'global', 4, '10.1.0.0/16', 1),
                 ('a', 'blue', 4, '10.0.0.0/8', 0), ('a', 'global', 6, '2001:db8::/32', 0), ('routes', 'global', 4, '10.0.0.0/8', 0);
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix) VALUES
                 ('a', '192.0.2.1', 64501, false, 'UNKNOWN', 4, '10.0.0.0/8'), ('a', '192.0.2.1', 64501, true, 'UNKNOWN', 4, '10.0.0.0/8'),
                 ('in', '192.0.2.2', 64502, false, 'UNKNOWN', 4, '10.0.0.0/8');
             INSERT INTO adj_rib_out (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix) VALUES
                 ('out', '192.0.2.2', 64502, false, 'UNKNOWN', 4, '10.0.0.0/8');
             REFRESH MATERIALIZED VIEW adj_rib_in_summary;
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix)
                 VALUES ('new', '192.0.2.2', 64502, false, 'UNKNOWN', 4, '10.0.0.0/8');
             INSERT INTO route_counts (router_id, rib, peer_address, is_post_policy, table_name, afi, routes) VALUES
                 ('a', 'adj-rib-in', '192.0.2.1', false, 'UNKNOWN', 4, 1), ('a', 'adj-rib-in', '192.0.2.1', true, 'UNKNOWN', 4, 1),
                 ('a', 'adj-rib-in', '192.0.2.9', true, 'UNKNOWN', 4, 0), ('a', 'adj-rib-out', '192.0.2.9', true, 'UNKNOWN', 4, 7),
                 ('new', 'adj-rib-in', '192.0.2.2', false, 'UNKNOWN', 4, 1), ('new', 'adj-rib-in', '192.0.2.2', false, 'red', 4, 1);
             INSERT INTO table_names (router_id, rib, peer_type, distinguisher, peer_address, peer_asn, name, table_name, unicast_table_name) VALUES
                 ('new', 'adj-rib-in', 'global', '', '192.0.2.2', 64502, 'UNKNOWN', 'UNKNOWN', 'UNKNOWN'),
                 ('new', 'adj-rib-in', 'vrf', '65000:1', '192.0.2.2', 64502, 'red', 'red', 'red');
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state) VALUES ('a', 'global', '192.0.2.1', 64501, 'up');
             INSERT INTO rib_sync_status (router_id, table_name, afi, session_start_time, eor_seen, synced_at) VALUES
                 ('a', 'global', 4, '2026-01-01 00:00+00', true, now()), ('a', 'blue', 4, '2026-01-01 00:00+00', false, now()),
                 ('dumping', 'global', 4, '2026-01-01 00:00+00', true, now()), ('dumping', 'global', 6, NULL, false, NULL);
             INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, session_start_time) VALUES
                 ('a', '192.0.2.1', false, 'UNKNOWN', 4, '2026-02-02 00:00+00'), ('no-loc-rib', '192.0.2.1', false, 'UNKNOWN', 4, '2026-03-03 00:00+00')",
        )
        .unwrap();
    let overview = "SELECT router_id, display_name, location, route_count, unique_prefixes, adj_rib_in_route_count,
                        adj_rib_in_peer_count, all_afis_synced, to_char(session_start_time, 'MM-DD')
                    FROM routers_overview ORDER BY router_id";
    let want = [
        "a|A|here|5|4|2|1|t|02-02",
        "dumping|-|-|0|0|0|0|f|01-01",
        "idle|-|-|0|0|0|0|-|-",
        "in|-|-|0|0|1|1|-|-",
        "new|-|-|0|0|2|2|-|-",
        "no-loc-rib|-|-|0|0|0|0|-|03-03",
        "out|-|-|0|0|0|0|-|-",
        "routes|-|-|1|1|0|0|-|-",
    ];
    assert_eq!(db.rows(overview), want);
    // No router reports anything.
    let reported =
        "SELECT DISTINCT reported_loc_rib_routes, reported_adj_rib_in_routes, adj_rib_in_drift FROM routers_overview";
    assert_eq!(db.rows(reported), ["-|-|-"]);
    // Live: no maintenance run in between.
    client.batch_execute("DELETE FROM current_routes WHERE router_id = 'a' AND table_name = 'global'").unwrap();
    assert_eq!(db.rows("SELECT route_count, unique_prefixes FROM routers_overview WHERE router_id = 'a'"), ["1|1"]);
}

#[test]
fn any_number_that_a_router_reports_is_borne() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state)
                 SELECT 'a', 'global', '192.0.2.1'::inet + i, 64500 + i, 'up' FROM generate_series(1, 3) i;
             INSERT INTO peer_statistics (router_id, peer_type, peer_address, peer_asn, stat_type, name, value)
                 SELECT 'a', 'global', '192.0.2.1'::inet + i, 64500 + i, t, t::text, 18446744073709551615
                 FROM generate_series(1, 3) i, generate_series(7, 8) t
                 UNION ALL SELECT 'b', 'loc_rib', '0.0.0.0', i, 8, '8', 18446744073709551615 FROM generate_series(1, 3) i;
             INSERT INTO current_routes (router_id, table_name, afi, prefix) VALUES ('a', 'g', 4, '10.0.0.0/8'), ('b', 'g', 4, '10.0.0.0/8');
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix)
                 VALUES ('a', '192.0.2.2', 64501, false, 'UNKNOWN', 4, '10.0.0.0/8');
             REFRESH MATERIALIZED VIEW adj_rib_in_summary; REFRESH MATERIALIZED VIEW route_summary",
        )
        .unwrap();
    let max = i64::MAX;
    assert_eq!(
        db.rows("SELECT router_id, reported_loc_rib_routes, reported_adj_rib_in_routes, loc_rib_drift, adj_rib_in_drift FROM routers_overview ORDER BY 1"),
        [format!("a|{max}|{max}|0|{}", 1 - max), format!("b|{max}|-|{}|-", 1 - max)]
    );
    // No view fails for its readers.
    let views =
        db.rows("SELECT relname FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace");
    assert!(views.len() >= 4, "{views:?}");
    views.iter().for_each(|view| drop(db.rows(&format!("SELECT * FROM {view}"))));
}

#[test]
fn one_router_does_not_cost_a_look_at_all_others() {
    let routes = std::env::var("RIB_INGESTER_TEST_ROUTES").map_or(40_000, |text| text.parse::<usize>().unwrap());
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(&format!(
            "SET statement_timeout = 0;
             INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop)
             SELECT '10.0.0.' || i % 40, 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 64, 26)), '192.0.2.1'
             FROM generate_series(1, {routes}) i ON CONFLICT DO NOTHING;
             INSERT INTO routers (router_id) SELECT '10.0.0.' || i FROM generate_series(0, 39) i"
        ))
        .unwrap();
    client.batch_execute("VACUUM ANALYZE current_routes").unwrap();
    let plan = |client: &mut postgres::Client, sql: &str| -> String {
        let rows = client.query_typed(&format!("EXPLAIN {sql}"), &[]).unwrap();
        rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
    };
    let of_one = plan(&mut client, "SELECT * FROM routers_overview WHERE router_id = '10.0.0.7'");
    assert!(!of_one.contains("Seq Scan on current_routes"), "{of_one}");
    let begun = Instant::now();
    let rows = db.rows("SELECT count(*), sum(route_count), sum(unique_prefixes) FROM routers_overview");
    println!("{routes} routes: all routers in {:?}", begun.elapsed());
    assert_eq!(rows, [format!("40|{routes}|{routes}")]);
    assert!(begun.elapsed() < Duration::from_secs(20));
}
