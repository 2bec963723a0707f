//! A database with the layout of a version from before the first release: it is refused, and its rows can be kept.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::Path;
use std::process::{Command, Output};

use crate::common::pg::TestDb;
use rib_ingester::model::Timestamp;
use rib_ingester::store::partitions::{EVENTS, SNAPSHOTS, day_of, ensure_in};

const BINARY: &str = env!("CARGO_BIN_EXE_rib-ingester");

/// Inserts a row into each table of that layout.
const FILL: &str = r#"
DO $$
DECLARE
    one RECORD;
BEGIN
    FOR one IN
        SELECT a.attrelid::regclass AS relation, string_agg(quote_ident(a.attname), ', ') AS columns,
               string_agg(CASE WHEN a.attname = 'afi' THEN '4' WHEN a.attname = 'safi' THEN '128'
                   WHEN a.attname = 'state' THEN '''up''' WHEN a.attname = 'rib' THEN '''adj-rib-in'''
                   ELSE CASE a.atttypid::regtype::text
                        WHEN 'text' THEN '''it''''s \ "a"''' WHEN 'character' THEN '''A''' WHEN 'text[]' THEN '''{a,"b c"}'''
                        WHEN 'inet' THEN '''192.0.2.1/24''' WHEN 'cidr' THEN '''192.0.2.0/24''' WHEN 'boolean' THEN 'true'
                        WHEN 'jsonb' THEN '''{"a": [1]}''' WHEN 'bytea' THEN '''\x00ff''' WHEN 'uuid' THEN 'gen_random_uuid()'
                        WHEN 'timestamp with time zone' THEN 'now()' WHEN 'date' THEN '(now() AT TIME ZONE ''UTC'')::date'
                        ELSE '7' END END, ', ') AS row
        FROM pg_attribute a
        WHERE a.attrelid = ANY (ARRAY['routers', 'current_routes', 'route_events', 'rib_sync_status', 'adj_rib_in', 'adj_rib_out',
            'adj_rib_in_sync_status', 'adj_rib_out_sync_status', 'collectors', 'bmp_sessions', 'router_owner', 'session_events',
            'peers', 'peer_statistics', 'table_names', 'add_path_evidence', 'snapshots', 'route_snapshots']::regclass[])
          AND a.attnum > 0 AND a.attidentity = ''
        GROUP BY a.attrelid
    LOOP
        EXECUTE format('INSERT INTO %s (%s) VALUES (%s)', one.relation, one.columns, one.row);
    END LOOP;
END;
$$;
INSERT INTO session_events (kind) SELECT 'refused' FROM generate_series(1, 5);
DROP SCHEMA IF EXISTS watch, rpki, registry, inventory, tenant CASCADE;
UPDATE schema_migrations SET checksum = 'other', name = CASE WHEN name = '0001_routes' THEN '0001_init' ELSE name END;
"#;

/// The tables, partitions included, except those whose rows belong to one database.
const TABLES: &str =
    "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND relname NOT IN ('schema_migrations', 'detached_partitions') ORDER BY relname";

fn migrate(db: &TestDb) -> Output {
    Command::new(BINARY).env_clear().arg("migrate").env("RIB_INGESTER_DATABASE_URL", db.url()).output().unwrap()
}

/// Runs commands as somebody who copied them into a shell.
fn shell(commands: &str, old: &TestDb, new: &TestDb) {
    let mut path = vec![Path::new(BINARY).parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let path = std::env::join_paths(path).unwrap();
    let mut sh = Command::new("sh");
    sh.arg("-ec").arg(commands).env("PATH", path).env("OLD", old.url()).env("NEW", new.url());
    let output = sh.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn an_earlier_layout_is_refused_and_its_rows_kept() {
    let old = TestDb::migrated();
    let today = day_of(Timestamp::now());
    for day in [today.yesterday().unwrap(), today, today.tomorrow().unwrap()] {
        assert!([&EVENTS, &SNAPSHOTS].iter().all(|series| ensure_in(&mut old.client(), series, day).unwrap()));
    }
    old.client().batch_execute(FILL).unwrap();

    let output = migrate(&old);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let (sentence, commands) = said.split_once(":\n\n").unwrap();
    assert!(sentence.contains("from before the first release (migration 0001_init)"), "{said}");
    assert!(!sentence.contains('\n') && !sentence.contains(". "), "{said}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    assert!(std::fs::read_to_string(page).unwrap().contains(&format!("```sh\n{}\n```\n", commands.trim_end())));

    let new = TestDb::create();
    shell(commands, &old, &new);
    let tables = old.rows(TABLES);
    assert!(tables.len() >= 24 && new.rows(TABLES) == tables, "{tables:?}");
    let mut filled = 0;
    for table in &tables {
        let all = format!("SELECT t::text FROM {table} t ORDER BY 1");
        let rows = old.rows(&all);
        assert_eq!(new.rows(&all), rows, "{table}");
        filled += usize::from(!rows.is_empty());
    }
    // Eighteen tables, and of both partitioned ones the partition of today.
    assert_eq!(filled, 20);
    let indexes = "SELECT indexdef, EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexname::regclass)
                   FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname";
    assert_eq!(new.rows(indexes), old.rows(indexes));
    let bounds = "SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class WHERE relispartition ORDER BY relname";
    assert_eq!(new.rows(bounds), old.rows(bounds));
    // The next row has the next number.
    let next = "INSERT INTO session_events (kind) VALUES ('refused') RETURNING id";
    assert_eq!(new.rows(next), ["7"]);

    // The counts come with the first run of maintenance.
    rib_ingester::maintenance::run_once(&mut new.client(), 30).unwrap();
    assert_eq!(new.rows("SELECT route_count FROM route_summary"), ["1"]);
    assert_eq!(String::from_utf8(migrate(&new).stdout).unwrap(), "the schema is up to date\n");
}
