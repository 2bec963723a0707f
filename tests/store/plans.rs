//! Joins by key use the primary key, whatever the statistics are: over the GiST index they take thirty times as long,
//! and a scan of the whole router per batch longer still.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::pg::TestDb;
use postgres::{Client, Transaction};
use rib_ingester::model::RibKind;
use rib_ingester::store::partitions::{NLRI_EVENTS, ensure_in};
use rib_ingester::store::statement::render;
use rib_ingester::store::watch::{evaluate, routes as watch_routes};

const FILL: &str = "INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop)
    SELECT '10.0.0.' || r, 'global', 4, ('10.' || i / 256 || '.' || i % 256 || '.0/24')::cidr, '192.0.2.1'
    FROM generate_series(1, 3) r, generate_series(0, 9999) i";

const STAGE: &str = "INSERT INTO staged_keys SELECT router_id, table_name, afi, prefix, path_id FROM current_routes
    WHERE router_id = '10.0.0.2' LIMIT 1000";

fn explain(transaction: &mut Transaction<'_>, sql: &str) -> String {
    transaction.batch_execute(include_str!("../../sql/statements/key_join_settings.sql")).unwrap();
    let rows = transaction.query_typed(&format!("EXPLAIN {sql}"), &[]).unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

fn check(client: &mut Client, when: &str) {
    for sql in [
        include_str!("../../sql/statements/delete_routes.sql"),
        include_str!("../../sql/statements/delete_stale_routes.sql"),
    ] {
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute(STAGE).unwrap();
        let plan = explain(&mut transaction, &render(sql, RibKind::LocRib));
        let by_key = plan.contains("Index Scan using current_routes_pkey on current_routes")
            && plan.contains("Tid Scan on current_routes")
            && plan.contains("ROW(")
            && !plan.contains("idx_current_routes")
            && !plan.contains("Sort");
        assert!(by_key, "{when}:\n{plan}");
    }
}

#[test]
fn deletes_use_the_primary_key_with_any_statistics() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client.batch_execute(&render(include_str!("../../sql/statements/staging_keys.sql"), RibKind::LocRib)).unwrap();
    client.batch_execute("ALTER TABLE current_routes SET (autovacuum_enabled = off)").unwrap();
    check(&mut client, "empty, never analyzed");
    client.batch_execute("ANALYZE current_routes").unwrap();
    client.batch_execute(FILL).unwrap();
    check(&mut client, "30,000 rows, analyzed when it was empty");
    client.batch_execute("ANALYZE current_routes").unwrap();
    check(&mut client, "30,000 rows, analyzed");
    client.batch_execute("DELETE FROM current_routes WHERE router_id <> '10.0.0.1'; ANALYZE current_routes").unwrap();
    client.batch_execute("DELETE FROM current_routes").unwrap();
    client.batch_execute(FILL).unwrap();
    check(&mut client, "30,000 rows, the router unknown to the statistics");
}

#[test]
fn the_check_for_stored_events_uses_keys_and_prunes() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client.batch_execute(include_str!("../../sql/statements/staging_events.sql")).unwrap();
    rib_ingester::maintenance::run_once(&mut client, 30).unwrap();
    client.batch_execute("ALTER TABLE session_events SET (autovacuum_enabled = off)").unwrap();
    let new = &render(include_str!("../../sql/statements/store_new_events.sql"), RibKind::LocRib);
    let reach = render(include_str!("../../sql/statements/history_reach.sql"), RibKind::LocRib)
        .replace("$1::text[]", "ARRAY['r', 'r']")
        .replace("$2::text[]", "ARRAY['t', 'u|rd:1']")
        .replace("$3::smallint[]", "ARRAY[4, 4]::smallint[]")
        .replace("$4::inet[]", "ARRAY[NULL, '192.0.2.1']::inet[]");
    for fill in [0, 20_000] {
        client
            .batch_execute(&format!(
                "INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, rib, received_at)
                 SELECT decode(md5(i::text), 'hex'), now(), 'r', 't', 4, ('10.' || i / 256 % 256 || '.' || i % 256 || '.0/24')::cidr, 'A', 'loc-rib', now()
                 FROM generate_series(1, {fill}) i;
                 INSERT INTO session_events (router_id, table_name, kind) SELECT 'r', 't', 'end_of_rib' FROM generate_series(1, {fill});"
            ))
            .unwrap();
        let mut transaction = client.transaction().unwrap();
        transaction
            .batch_execute(
                "INSERT INTO staged_events SELECT e.*, now() - interval '1 hour', now() - interval '1 hour', false, false
                 FROM route_events e LIMIT 1000",
            )
            .unwrap();
        let plan = explain(&mut transaction, new);
        assert!(
            plan.contains("_pkey on route_events_")
                && plan.contains("_prefix_history on route_events_")
                && !plan.contains("Seq Scan on route_events"),
            "{fill} rows:\n{plan}"
        );
        let plan = explain(&mut transaction, &reach);
        assert!(
            plan.contains("idx_session_events_removals on session_events")
                && plan.contains("_router_churn on route_events_")
                && !plan.contains("Seq Scan on route_events")
                && !plan.contains("Seq Scan on session_events"),
            "{fill} rows:\n{plan}"
        );
        if fill > 0 {
            // Partitions of tomorrow and later, and those before the hour, are not scanned.
            let rows = transaction.query_typed(&format!("EXPLAIN ANALYZE {new}"), &[]).unwrap();
            let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
            assert!(plan.contains("never executed"), "{plan}");
        }
    }
}

#[test]
fn withdrawn_nlri_are_named_by_keys() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let day = rib_ingester::store::partitions::today(&mut client).unwrap();
    ensure_in(&mut client, &NLRI_EVENTS, day).unwrap();
    client.batch_execute(include_str!("../../sql/statements/staging_nlri_events.sql")).unwrap();
    let name = include_str!("../../sql/statements/name_nlri_events.sql");
    let new = &render(include_str!("../../sql/statements/store_new_events.sql"), RibKind::NlriLocRib);
    let mut transaction = client.transaction().unwrap();
    let plan = explain(&mut transaction, name) + &explain(&mut transaction, new);
    for index in [
        "using nlri_loc_rib_pkey",
        "using nlri_adj_rib_in_pkey",
        "using nlri_adj_rib_out_pkey",
        "_nlri_history on nlri_route_events_",
        "staged_nlri_events_router_id_prefix_action",
    ] {
        assert!(plan.contains(index), "{index}:\n{plan}");
    }
    assert!(!plan.contains("Seq Scan on nlri_"), "{plan}");
}

/// A join may scan a table for each row of the list, once there are thousands of either.
#[test]
fn status_rows_are_found_by_key_with_any_statistics() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client.batch_execute("ALTER TABLE rib_sync_status SET (autovacuum_enabled = off)").unwrap();
    let fill = |router: &str, tables: usize| {
        format!(
            "INSERT INTO rib_sync_status (router_id, table_name, afi) SELECT '{router}', 't' || i, 4 FROM generate_series(1, {tables}) i;"
        )
    };
    for (when, before) in [
        ("analyzed with few tables", format!("{} ANALYZE rib_sync_status; {}", fill("r", 10), fill("s", 5_000))),
        ("analyzed", "ANALYZE rib_sync_status".to_owned()),
        (
            "analyzed without the router",
            format!("DELETE FROM rib_sync_status WHERE router_id = 's'; ANALYZE rib_sync_status; {}", fill("s", 5_000)),
        ),
    ] {
        client.batch_execute(&before).unwrap();
        for sql in [
            include_str!("../../sql/statements/tables_seen_raw.sql"),
            include_str!("../../sql/statements/sync_complete.sql"),
            include_str!("../../sql/statements/sync_stale.sql"),
        ] {
            let tables = "ARRAY(SELECT 't' || i FROM generate_series(1, 3000) i)";
            let sql = render(sql, RibKind::LocRib)
                .replace("$1::text[]", "array_fill('s'::text, ARRAY[3000])")
                .replace("$2::text[]", tables)
                .replace("$3::smallint[]", "array_fill(4::smallint, ARRAY[3000])")
                .replace("$4::inet[], $5::boolean[]", "NULL::inet[], NULL::boolean[]");
            let rows = client.query_typed(&format!("EXPLAIN {sql}"), &[]).unwrap();
            let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
            let key = plan.lines().find(|line| line.contains("Index Cond")).unwrap_or_default();
            let by_key = ["router_id", "table_name", "afi"].iter().all(|column| key.contains(column));
            assert!(by_key && !plan.contains("Join") && !plan.contains("Seq Scan"), "{when}:\n{plan}");
        }
    }
}

#[test]
fn what_watches_ask_for_is_read_by_prefix() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let sql = include_str!("../../sql/statements/watch_routes_in.sql")
        .replace("$1", "false")
        .replace("$2", "ARRAY(SELECT id FROM watch.watches)")
        .replace("$3", "NULL")
        .replace("$4", "'{65535:666}'");
    client
        .batch_execute(
            "ALTER TABLE current_routes SET (autovacuum_enabled = off); ALTER TABLE adj_rib_in SET (autovacuum_enabled = off);
             INSERT INTO watch.watches (name, kind, prefix, expected_origins)
             SELECT 'w' || i, 'prefix', ('10.' || i || '.0.0/16')::cidr, '{64496}' FROM generate_series(0, 99) i",
        )
        .unwrap();
    let mut check = |when: &str| {
        let mut transaction = client.transaction().unwrap();
        evaluate::prefer_indexes(&mut transaction).unwrap();
        watch_routes::prefer_order(&mut transaction).unwrap();
        let rows = transaction.query_typed(&format!("EXPLAIN {sql}"), &[]).unwrap();
        let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
        for table in ["current_routes", "adj_rib_in"] {
            assert!(plan.contains(&format!("using idx_{table}_prefix_btree on {table}")), "{when}:\n{plan}");
        }
        assert!(!plan.contains("_gist") && !plan.contains("Seq Scan on current_routes"), "{when}:\n{plan}");
    };
    check("empty, never analyzed");
    let adj_rib_in =
        "INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix)
                      SELECT router_id, '192.0.2.1', 64500, true, table_name, afi, prefix FROM current_routes";
    db.client().batch_execute(&format!("{FILL}; {adj_rib_in}")).unwrap();
    check("30,000 rows, never analyzed");
    db.client().batch_execute("ANALYZE current_routes; ANALYZE adj_rib_in; ANALYZE watch.watches").unwrap();
    check("30,000 rows, analyzed");
    db.client().batch_execute("DELETE FROM adj_rib_in; ANALYZE adj_rib_in").unwrap();
    check("one of them empty");
}
