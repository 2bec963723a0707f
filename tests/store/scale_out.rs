//! The scripts under `sql/scale-out/` fit the schema. Neither extension is here: their functions are stand-ins that
//! check the conditions that the extension's manual sets for the table, and the rest runs unchanged. The script for
//! heap-only updates needs no extension and is tested as it is.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;
use postgres::error::SqlState;

const CITUS: &str = include_str!("../../sql/scale-out/citus.sql");
const HOT_UPDATES: &str = include_str!("../../sql/scale-out/hot_updates.sql");
const TIMESCALEDB: &str = include_str!("../../sql/scale-out/timescaledb.sql");

/// Fails unless the table has the column in each of its unique keys: both extensions demand that. Records the call.
const CHECKED: &str = "
    CREATE TABLE calls (number SERIAL, call TEXT);
    CREATE FUNCTION checked(name TEXT, relation REGCLASS, wanted NAME) RETURNS VOID LANGUAGE plpgsql AS $$
    DECLARE number SMALLINT;
    BEGIN
        SELECT attnum INTO number FROM pg_attribute WHERE attrelid = relation AND attname = wanted AND attnum > 0;
        IF number IS NULL THEN
            RAISE EXCEPTION '% has no column %', relation, wanted USING ERRCODE = 'undefined_column';
        END IF;
        IF EXISTS (SELECT FROM pg_index WHERE indrelid = relation AND indisunique AND number <> ALL (indkey)) THEN
            RAISE EXCEPTION 'a unique key of % is without %', relation, wanted USING ERRCODE = 'invalid_table_definition';
        END IF;
        INSERT INTO calls (call) VALUES (concat_ws(' ', name, relation, wanted));
    END $$;";

const CITUS_FUNCTIONS: &str = "
    CREATE FUNCTION create_distributed_table(table_name REGCLASS, distribution_column TEXT, colocate_with TEXT DEFAULT 'default')
    RETURNS VOID LANGUAGE sql AS $$ SELECT checked('distributed', table_name, distribution_column::name) $$;";

/// A hypertable is neither partitioned by PostgreSQL nor full.
const TIMESCALEDB_FUNCTIONS: &str = "
    CREATE FUNCTION create_hypertable(relation REGCLASS, time_column_name NAME, chunk_time_interval INTERVAL,
                                      create_default_indexes BOOLEAN)
    RETURNS VOID LANGUAGE plpgsql AS $$
    DECLARE rows BIGINT;
    BEGIN
        IF (SELECT relkind FROM pg_class WHERE oid = relation) <> 'r' THEN
            RAISE EXCEPTION '% is already partitioned', relation;
        END IF;
        EXECUTE format('SELECT count(*) FROM %s', relation) INTO rows;
        IF rows > 0 THEN RAISE EXCEPTION '% is not empty', relation; END IF;
        PERFORM checked('hypertable', relation, time_column_name);
    END $$;
    CREATE FUNCTION add_compression_policy(hypertable REGCLASS, compress_after INTERVAL)
    RETURNS VOID LANGUAGE sql AS $$ INSERT INTO calls (call) VALUES (concat_ws(' ', 'compressed', hypertable)) $$;
    CREATE FUNCTION add_retention_policy(relation REGCLASS, drop_after INTERVAL)
    RETURNS VOID LANGUAGE sql AS $$ INSERT INTO calls (call) VALUES (concat_ws(' ', 'dropped', relation)) $$;";

/// A session with two changes and one that is reverted; waits for its history.
fn live(db: &TestDb, settings: &[(&str, &str)]) {
    let collector = Ingester::start(&db.url(), settings);
    let peer = Peer::loc_rib("10.255.0.1");
    let announce = |prefixes: &[&str]| {
        bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", prefixes))
    };
    let mut router = collector.connect();
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")))
        .send(&announce(&["10.1.0.0/16", "10.2.0.0/16"]))
        .send(&bmp::route_monitoring(peer, &bmp::withdraw(&["10.1.0.0/16"])));
    let events = "SELECT action, prefix FROM route_events ORDER BY ingest_time, prefix";
    eventually_equal(["A|10.1.0.0/16", "A|10.2.0.0/16", "D|10.1.0.0/16"].map(str::to_owned).to_vec(), || {
        db.rows(events)
    });
    eventually_equal(vec!["10.2.0.0/16".to_owned()], || db.rows("SELECT prefix FROM current_routes"));
    drop(router);
    assert!(collector.stop().success());
}

/// Index definitions of a table without its and their names, sorted.
fn indexes(db: &TestDb, table: &str) -> Vec<String> {
    db.rows(&format!("SELECT DISTINCT regexp_replace(indexdef, '^.* USING', '') FROM pg_indexes WHERE tablename = '{table}' ORDER BY 1"))
}

#[test]
fn history_is_distributed_by_its_key_not_by_router() {
    let db = TestDb::migrated();
    db.client().batch_execute(&format!("{CHECKED} {CITUS_FUNCTIONS}")).unwrap();
    db.client().batch_execute(CITUS).unwrap();
    assert_eq!(db.rows("SELECT call FROM calls ORDER BY number"), ["distributed route_events event_id"]);
    // As the script's comment on the contract's keys says.
    let by_router = db.client().batch_execute("SELECT create_distributed_table('route_events', 'router_id')");
    assert_eq!(by_router.unwrap_err().code(), Some(&SqlState::INVALID_TABLE_DEFINITION));
    live(&db, &[]);
}

#[test]
fn history_can_become_a_hypertable() {
    let db = TestDb::migrated();
    rib_ingester::maintenance::run_once(&mut db.client(), 30).unwrap();
    let day = db.rows("SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'route_events'::regclass LIMIT 1");
    let of_a_day = indexes(&db, &day[0]);
    db.client().batch_execute(&format!("{CHECKED} {TIMESCALEDB_FUNCTIONS}")).unwrap();

    // PostgreSQL alone has no settings of the extension's name: their columns are checked instead.
    let (begin, rest) = TIMESCALEDB.split_once("ALTER TABLE route_events SET (").unwrap();
    let (settings, end) = rest.split_once(");").unwrap();
    assert!(settings.split('\n').all(|line| line.trim_start().starts_with("timescaledb.")), "{settings}");
    db.client().batch_execute(&format!("{begin}{end}")).unwrap();
    for (setting, query) in
        [("compress_segmentby", "SELECT"), ("compress_orderby", "SELECT FROM route_events ORDER BY")]
    {
        let (_, value) = settings.split_once(&format!("timescaledb.{setting} = '")).unwrap();
        let (columns, _) = value.split_once('\'').unwrap();
        let from = if query == "SELECT" { "FROM route_events" } else { "" };
        db.client().batch_execute(&format!("{query} {columns} {from}")).unwrap();
    }
    let calls = ["hypertable route_events ingest_time", "compressed route_events", "dropped route_events"];
    assert_eq!(db.rows("SELECT call FROM calls ORDER BY number"), calls);
    assert_eq!(indexes(&db, "route_events"), of_a_day, "the whole table has the indexes that a day has");

    // The functions over the history were dropped with the old table; their statements make them again.
    db.client().batch_execute(include_str!("../../sql/migrations/0007_history.sql")).unwrap();
    live(&db, &[("RETENTION_DAYS", "0"), ("MAINTENANCE_INTERVAL_SECS", "1")]);
    let report = rib_ingester::maintenance::run_once(&mut db.client(), 0).unwrap();
    assert_eq!((report.failures, report.created), (vec![], vec![]));
    assert_eq!(db.rows("SELECT count(*) FROM flap_report()"), ["0"]);
}

#[test]
fn updates_of_routes_can_be_heap_only() {
    // Another path to the same origin AS: none of the attributes that have an index.
    for (script, counts) in [("", "1|0"), (HOT_UPDATES, "1|1")] {
        let db = TestDb::migrated();
        db.client().batch_execute(script).unwrap();
        let collector = Ingester::start(&db.url(), &[]);
        let peer = Peer::loc_rib("10.255.0.1");
        let mut router = collector.connect();
        router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(
            peer,
            &Open::of(64_500, "10.255.0.1"),
            Some("global"),
        ));
        for path in [[64_501, 64_500], [64_502, 64_500]] {
            let update = bmp::announce(&Attributes::path(&path), "192.0.2.1", &["10.1.0.0/16"]);
            router.send(&bmp::route_monitoring(peer, &update));
            eventually_equal(vec![format!("{} {}", path[0], path[1])], || {
                db.rows("SELECT as_path FROM current_routes")
            });
        }
        drop(router);
        assert!(collector.stop().success());
        eventually_equal(vec![counts.to_owned()], || {
            db.rows("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'current_routes'")
        });
    }
}

#[test]
fn heap_only_updates_leave_a_summarizing_index() {
    let db = TestDb::migrated();
    db.client().batch_execute(HOT_UPDATES).unwrap();
    let summarizes = db.rows("SELECT current_setting('server_version_num')::int >= 160000")[0] == "t";
    let left = if summarizes { ["adj_rib_in|brin", "adj_rib_out|brin", "current_routes|brin"].as_slice() } else { &[] };
    let found = "SELECT tablename, substring(indexdef FROM 'USING ([a-z]+)') FROM pg_indexes
                 WHERE indexname = 'idx_' || tablename || '_updated_at' ORDER BY 1";
    assert_eq!(db.rows(found), left);
}
