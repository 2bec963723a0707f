//! The statements of the JSON API on a large database: each page is read by an index, and reads little.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs;
use std::path::Path;

use postgres::Client;
use serde_json::Value;

use crate::common::pg::TestDb;
use rib_ingester::store::partitions::{NLRI_EVENTS, ensure, ensure_in, today};

/// The pages of 8 kB that an answer may read. A walk over all routes reads more than a thousand.
const PAGES_MAX: i64 = 450;

/// Four routers with 10,000 prefixes each, one of them with a peer's as well, and events of the same prefixes. The rare
/// community is that of routes at the end of the last table.
fn fill(client: &mut Client) {
    let day = today(client).unwrap();
    ensure(client, day).unwrap();
    let prefix = "network(set_masklen('10.0.0.0'::inet + i * 256, 24))";
    let sql = format!(
        "SET statement_timeout = 0;
         INSERT INTO routers (router_id, hostname) SELECT '10.0.0.' || r, 'edge' || r FROM generate_series(1, 4) r;
         INSERT INTO rib_sync_status (router_id, table_name, afi) SELECT '10.0.0.' || r, 'global', 4 FROM generate_series(1, 4) r;
         INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path, origin_asn, communities_std, communities_large)
         SELECT '10.0.0.' || r, 'global', 4, {prefix}, '192.0.2.0'::inet + i % 50 + CASE WHEN r = 4 AND i > 9900 THEN 100 ELSE 0 END,
                '64500 ' || 64501 + i % 10, CASE WHEN r = 4 AND i > 9900 THEN 65551 ELSE 64501 + i % 10 END,
                ARRAY['64500:' || i % 7, CASE WHEN r = 4 AND i > 9900 THEN '64501:1' ELSE '64501:2' END, CASE WHEN r = 4 AND i > 6000 THEN '64502:4' ELSE '64502:1' END],
                CASE WHEN r = 4 AND i > 9900 THEN ARRAY['64501:1:1'] END
         FROM generate_series(1, 4) r, generate_series(1, 10000) i;
         INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, origin_asn, communities_std)
         SELECT '10.0.0.1', '198.51.100.0'::inet + p, 64500, true, 'UNKNOWN', 4, {prefix}, 64501 + i % 10,
                ARRAY[CASE WHEN p = 4 AND i > 9900 THEN '64501:1' ELSE '64501:2' END]
         FROM generate_series(1, 4) p, generate_series(1, 10000) i;
         INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, as_path)
         SELECT decode(md5(r || ' ' || i), 'hex'), date_trunc('day', now(), 'UTC') + i * interval '1 ms',
                '10.0.0.' || r, 'global', 4, {prefix}, 'A', '64500'
         FROM generate_series(1, 4) r, generate_series(1, 10000) i;
         INSERT INTO session_events (event_time, router_id, kind)
         SELECT now() - i * interval '1 second', '10.0.0.' || i % 4 + 1, 'session_up' FROM generate_series(1, 20000) i"
    );
    client.batch_execute(&sql).unwrap();
}

/// A statement's text.
fn statement(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/statements").join(name)).unwrap()
}

/// A plan that ran: the pages that it read, and its text.
fn explain(client: &mut Client, settings: Option<&str>, name: &str, types: &str, values: &str) -> (i64, String) {
    let mut transaction = client.transaction().unwrap();
    if let Some(settings) = settings {
        transaction.batch_execute(&statement(settings)).unwrap();
    }
    // As the collector does: planned for the values, or once for all.
    if name != "longest_match.sql" {
        transaction.batch_execute("SET LOCAL plan_cache_mode = force_custom_plan").unwrap();
    }
    transaction.batch_execute(&format!("PREPARE q ({types}) AS {}", statement(name))).unwrap();
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE q ({values})");
    let plan: Value = transaction.query_typed(&sql, &[]).unwrap()[0].get(0);
    transaction.batch_execute("DEALLOCATE q").unwrap();
    let of = |key: &str| plan[0]["Plan"][key].as_i64().unwrap();
    (of("Shared Hit Blocks") + of("Shared Read Blocks"), format!("{plan:#}"))
}

const ROUTES: &str =
    "text, text, smallint, text, text, text, bigint[], text, text[], text[], text[], text, bigint, text";
const RARE: &str = "bigint[], text, text[], text[], text[], text, bigint";
const RARE_SETTINGS: Option<&str> = Some("api_rare_settings.sql");

/// The values of a page of routes: the first of them, `$7` to `$12`, and `$13` and `$14`.
fn page(first: [&str; 6], origins: &str, nexthop: &str, communities: &str, after: &str) -> String {
    format!("{}, {origins}, {nexthop}, {communities}, {after}, 101, NULL", first.join(", "))
}

fn check(client: &mut Client, when: &str, questions: &[(Option<&str>, &str, &str, String)]) {
    let mut faults = Vec::new();
    for (settings, name, types, values) in questions {
        let (pages, plan) = explain(client, *settings, name, types, values);
        println!("{when}: {name} ({values}): {pages} pages");
        if pages > PAGES_MAX {
            faults.push(format!("{when}: {name} ({values}) reads {pages} pages: {plan}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pages_of_the_api_read_little_of_a_large_database() {
    let db = TestDb::migrated();
    let mut client = db.client();
    for table in ["current_routes", "adj_rib_in"] {
        let off = format!("ALTER TABLE {table} SET (autovacuum_enabled = off)");
        client.batch_execute(&off).unwrap_or_default();
    }
    fill(&mut client);
    let (none, no_communities) = (["NULL"; 6], "NULL, NULL, NULL");
    let (rare, rare_large, frequent) =
        ("'{64501:1}', NULL, NULL", "NULL, '{64501:1:1}', NULL", "'{64501:2}', NULL, NULL");
    let routes = |settings, values: String| (settings, "api_routes.sql", ROUTES, values);
    let adj_routes = |settings, values: String| {
        let types = "text, text, smallint, text, text, text, bigint[], text, text[], text[], text[], text, bigint, text, text, boolean, text";
        (settings, "api_adj_routes.sql", types, values)
    };
    let is_rare = |values: &str| (RARE_SETTINGS, "api_rare.sql", RARE, values.to_owned());
    let by_conditions = [
        // What is rare, wherever it is, is found by its index; that it is rare is found so too, and what is not soon seen.
        is_rare(&format!("NULL, NULL, {rare}, 'loc-rib', 200")),
        is_rare(&format!("NULL, NULL, {rare_large}, 'loc-rib', 200")),
        is_rare(&format!("NULL, NULL, {rare}, 'adj-rib-in', 200")),
        is_rare("'{65551}', NULL, NULL, NULL, NULL, 'loc-rib', 200"),
        is_rare("NULL, '192.0.2.120', NULL, NULL, NULL, 'loc-rib', 200"),
        is_rare(&format!("NULL, NULL, {frequent}, 'loc-rib', 200")),
        routes(RARE_SETTINGS, page(none, "NULL", "NULL", rare, "NULL")),
        routes(RARE_SETTINGS, page(none, "NULL", "NULL", rare_large, "NULL")),
        routes(RARE_SETTINGS, page(none, "'{65551}'", "NULL", no_communities, "NULL")),
        routes(RARE_SETTINGS, page(none, "NULL", "'192.0.2.120'", no_communities, "NULL")),
        routes(
            RARE_SETTINGS,
            page(["'10.0.0.4'", "NULL", "NULL", "NULL", "NULL", "NULL"], "NULL", "NULL", rare, "NULL"),
        ),
        adj_routes(RARE_SETTINGS, page(none, "NULL", "NULL", rare, "NULL") + ", NULL, true, 'adj-rib-in'"),
        // What many routes have, but only those of the last router.
        routes(RARE_SETTINGS, page(none, "NULL", "NULL", "'{64502:4}', NULL, NULL", "NULL")),
    ];
    check(&mut client, "never analyzed", &by_conditions);
    client.batch_execute("ANALYZE").unwrap();
    check(&mut client, "analyzed", &by_conditions);

    let at = |key: &str| format!("'{key}'");
    let middle = at("[\"10.0.0.3\", \"global\", 4, \"10.20.0.0/24\", 0]");
    let of_peer = at("[\"10.0.0.1\", \"198.51.100.3\", \"UNKNOWN\", 4, \"10.20.0.0/24\", 0]");
    let first = |which: usize, value: &'static str| {
        let mut first = ["NULL"; 6];
        first[which] = value;
        first
    };
    let history = "text[], text, text, text, text, text, bigint";
    let session_events = "text[], text, text, text, text, bigint";
    let peers = "text[], bigint[], text, text[], text, bigint";
    let lookup = "smallint, text, bigint, bigint, text, text[], text";
    let by_key = [
        routes(None, page(none, "NULL", "NULL", no_communities, "NULL")),
        routes(None, page(none, "NULL", "NULL", no_communities, &middle)),
        routes(None, page(none, "NULL", "NULL", frequent, &middle)),
        routes(None, page(first(0, "'10.0.0.4'"), "NULL", "NULL", no_communities, "NULL")),
        routes(None, page(first(3, "'10.20.0.0/24'"), "NULL", "NULL", no_communities, "NULL")),
        routes(None, page(first(5, "'10.20.0.0/19'"), "NULL", "NULL", no_communities, "NULL")),
        adj_routes(None, page(none, "NULL", "NULL", no_communities, &of_peer) + ", NULL, true, 'adj-rib-in'"),
        adj_routes(None, page(first(0, "'10.0.0.1'"), "NULL", "NULL", no_communities, "NULL") + ", '198.51.100.4', true, 'adj-rib-in'"),
        (
            None,
            "api_history.sql",
            history,
            "'{10.0.0.1,10.0.0.2}', '10.20.0.0/24', (now() - interval '1 day')::text, (now() + interval '1 day')::text, NULL, NULL, 101".to_owned(),
        ),
        (None, "api_session_events.sql", session_events, "NULL, NULL, NULL, NULL, NULL, 101".to_owned()),
        (None, "api_session_events.sql", session_events, "'{10.0.0.1}', NULL, NULL, NULL, NULL, 101".to_owned()),
        (None, "api_peers.sql", peers, "NULL, NULL, NULL, NULL, NULL, 101".to_owned()),
        (
            Some("longest_match_settings.sql"),
            "longest_match.sql",
            lookup,
            "4::smallint, '10.20.0.1', 101, 0, NULL, NULL, NULL".to_owned(),
        ),
        (
            Some("longest_match_settings.sql"),
            "longest_match.sql",
            lookup,
            "4::smallint, '10.20.0.1', 101, 0, NULL, '{10.0.0.2}', NULL".to_owned(),
        ),
    ];
    check(&mut client, "analyzed", &by_key);
}

#[test]
fn a_page_of_the_past_reads_little_of_its_tables() {
    let db = TestDb::migrated();
    let mut client = db.client();
    fill(&mut client);
    // Few sessions, as routers have; and a table that is as it was in a snapshot.
    client
        .batch_execute(
            "TRUNCATE session_events;
             INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, as_path)
             SELECT decode(md5('more ' || i), 'hex'), date_trunc('day', now(), 'UTC') + i * interval '1 ms',
                    '10.0.0.2', 'global', 4, network(set_masklen('12.0.0.0'::inet + i * 256, 24)), 'A', '64500'
             FROM generate_series(1, 80000) i;
             CREATE TABLE route_snapshots_x PARTITION OF route_snapshots DEFAULT;
             INSERT INTO snapshots VALUES (current_date, '10.0.0.3', 'global', now() + interval '5 minutes', 10000);
             INSERT INTO route_snapshots (day, router_id, table_name, afi, prefix, path_id, updated_at)
             SELECT current_date, router_id, table_name, afi, prefix, path_id, updated_at FROM current_routes WHERE router_id = '10.0.0.3';
             ANALYZE",
        )
        .unwrap();
    let mut pages = |name: &str, moment: &str, after: &str| {
        let types = "text[], text, text, text, text, bigint";
        let values = format!("'{{10.0.0.2,10.0.0.3}}', (now() + interval '{moment}')::text, NULL, NULL, {after}, 11");
        // The first time reads catalogs.
        explain(&mut client, None, name, types, &values);
        let (pages, plan) = explain(&mut client, None, name, types, &values);
        println!("{name} ({values}): {pages} pages");
        (pages, plan)
    };
    let of = |router: &str| format!("'[\"{router}\", \"global\", 4, \"10.20.0.0/24\", 0]'");
    for moment in ["0", "10 minutes"] {
        let (whole, _) = pages("api_at.sql", moment, "NULL");
        for after in ["NULL".to_owned(), of("10.0.0.2"), of("10.0.0.3")] {
            let (few, plan) = pages("api_at_page.sql", moment, &after);
            assert!(few * 3 < whole, "{moment} {after}: {few} pages, {whole} for all: {plan}");
        }
    }
}

#[test]
fn a_page_of_other_families_reads_no_span() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let day = today(&mut client).unwrap();
    let days = [day.checked_sub(jiff::ToSpan::days(1)).unwrap(), day];
    for day in days {
        ensure_in(&mut client, &NLRI_EVENTS, day).unwrap();
    }
    let [first, _] = days;
    client
        .batch_execute(&format!(
            "SET statement_timeout = 0;
             INSERT INTO nlri_route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, rib, attrs)
             SELECT sha256(i::text::bytea), '{first} 00:00+00'::timestamptz + i * interval '1 s', '10.0.0.' || i % 2 + 1, 'global|nlri:25/70',
                    6, ('2001:db8::' || to_hex(i % 9000))::cidr, 'A', 'nlri-loc-rib',
                    jsonb_build_object('nlri_afi', 25, 'nlri_safi', 70, 'nlri_key', 'evpn:2:' || i % 9000, 'nlri', jsonb_build_object('type', 2))
             FROM generate_series(1, 120000) i"
        ))
        .unwrap();
    let span = format!("'{first}', (now() + interval '2 days')::text");
    let after = format!("'[\"{first}T20:00:00+00:00\", \"00\"]'");
    let page = |routers: &str, conditions: &str, after: &str| {
        let types = "text[], text, text, text[], text, text, text, text, text, text, text, bigint";
        (None, "api_nlri_events.sql", types, format!("{routers}, {conditions}, {span}, {after}, 101"))
    };
    let (one, both) = ("'{10.0.0.1}'", "'{10.0.0.1,10.0.0.2}'");
    let (none, of_family) = ("NULL, NULL, NULL, NULL, NULL, NULL, NULL", "NULL, NULL, NULL, 'evpn', '2', NULL, 'evpn'");
    let of_key = "NULL, NULL, NULL, NULL, NULL, 'evpn:2:77', NULL";
    let pages = [
        page(one, none, "NULL"),
        page(both, none, "NULL"),
        page(both, none, &after),
        page(one, of_family, "NULL"),
        page(both, of_key, "NULL"),
    ];
    check(&mut client, "never analyzed", &pages);
    client.batch_execute("ANALYZE").unwrap();
    check(&mut client, "analyzed", &pages);
}
