//! The schema that readers rely on, and the migrations that make it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::pg::TestDb;
use rib_ingester::store::{Error, migrate};

const ADJ_RIB: &str = "router_id text !, peer_address inet !, peer_asn bigint !, peer_bgp_id text !, is_post_policy boolean !, \
      table_name text !, afi smallint !, prefix cidr !, path_id bigint !, nexthop inet, \
      as_path text, origin text, localpref bigint, med bigint, origin_asn bigint, communities_std text[], \
      communities_ext text[], communities_large text[], attrs jsonb, first_seen timestamptz !, updated_at timestamptz !";
const ADJ_RIB_SYNC: &str = "router_id text !, peer_address inet !, is_post_policy boolean !, table_name text !, afi smallint !, \
      session_start_time timestamptz, eor_seen boolean !, eor_time timestamptz, updated_at timestamptz !, \
      last_parsed_msg_time timestamptz, last_raw_msg_time timestamptz, synced_at timestamptz, stale_since timestamptz";
const ADJ_RIB_SUMMARY: &str = "router_id text, peer_address inet, peer_asn bigint, is_post_policy boolean, table_name text, \
      afi smallint, route_count bigint, unique_prefixes bigint, unique_nexthops bigint, last_update timestamptz";

/// The columns of the contract, in order: name, type, whether NULL is allowed.
const COLUMNS: &[(&str, &str)] = &[
    (
        "routers",
        "router_id text !, router_ip inet, hostname text, as_number bigint, description text, \
      first_seen timestamptz !, last_seen timestamptz !, display_name text, location text",
    ),
    (
        "current_routes",
        "router_id text !, table_name text !, afi smallint !, prefix cidr !, path_id bigint !, nexthop inet, \
      as_path text, origin text, localpref bigint, med bigint, origin_asn bigint, communities_std text[], \
      communities_ext text[], communities_large text[], attrs jsonb, first_seen timestamptz !, updated_at timestamptz !",
    ),
    (
        "route_events",
        "event_id bytea !, ingest_time timestamptz !, router_id text !, table_name text !, afi smallint !, \
      prefix cidr !, path_id bigint, action character(1) !, nexthop inet, as_path text, origin text, localpref bigint, \
      med bigint, origin_asn bigint, communities_std text[], communities_ext text[], communities_large text[], \
      attrs jsonb, bmp_raw bytea, received_at timestamptz, router_time timestamptz, peer_address inet, \
      peer_asn bigint, peer_bgp_id text, is_post_policy boolean, rib text",
    ),
    ("adj_rib_in", ADJ_RIB),
    ("adj_rib_out", ADJ_RIB),
    ("adj_rib_in_sync_status", ADJ_RIB_SYNC),
    ("adj_rib_out_sync_status", ADJ_RIB_SYNC),
    ("adj_rib_in_summary", ADJ_RIB_SUMMARY),
    ("adj_rib_out_summary", ADJ_RIB_SUMMARY),
    (
        "peers_overview",
        "router_id text, router_hostname text, peer_address inet, peer_asn bigint, peer_bgp_id text, \
      pre_policy_routes bigint, post_policy_routes bigint, total_routes bigint, unique_prefixes bigint, \
      last_update timestamptz",
    ),
    (
        "routers_overview",
        "router_id text, router_ip inet, hostname text, as_number bigint, description text, first_seen timestamptz, \
      last_seen timestamptz, display_name text, location text, route_count bigint, unique_prefixes bigint, \
      adj_rib_in_route_count bigint, adj_rib_in_peer_count bigint, all_afis_synced boolean, \
      session_start_time timestamptz, sync_updated_at timestamptz, reported_loc_rib_routes bigint, \
      reported_adj_rib_in_routes bigint, loc_rib_drift bigint, adj_rib_in_drift bigint",
    ),
    (
        "peers",
        "router_id text !, peer_type text !, distinguisher text !, peer_address inet !, peer_asn bigint !, \
      peer_bgp_id text !, local_address inet, local_port integer, remote_port integer, hold_time integer, \
      capabilities jsonb, description text, state text !, since timestamptz !, last_reason text, flap_count bigint !, \
      first_seen timestamptz !, updated_at timestamptz !",
    ),
    (
        "peer_statistics",
        "router_id text !, peer_type text !, distinguisher text !, peer_address inet !, peer_asn bigint !, \
      stat_type integer !, afi integer !, safi integer !, name text !, value numeric(20,0), updated_at timestamptz !",
    ),
    (
        "rib_sync_status",
        "router_id text !, table_name text !, afi smallint !, last_parsed_msg_time timestamptz, \
      last_raw_msg_time timestamptz, eor_seen boolean !, eor_time timestamptz, session_start_time timestamptz, \
      updated_at timestamptz !, synced_at timestamptz, stale_since timestamptz",
    ),
    (
        "route_summary",
        "router_id text, table_name text, afi smallint, route_count bigint, unique_prefixes bigint, \
      unique_nexthops bigint, last_update timestamptz",
    ),
    (
        "session_events",
        "id bigint !, event_time timestamptz !, router_id text, table_name text, peer_address inet, \
      afi smallint, kind text !, reason text, routes bigint",
    ),
    ("snapshots", "day date !, router_id text !, table_name text !, taken_at timestamptz !, routes bigint !"),
    (
        "route_snapshots",
        "day date !, router_id text !, table_name text !, afi smallint !, prefix cidr !, path_id bigint !, nexthop inet, \
      as_path text, origin text, localpref bigint, med bigint, origin_asn bigint, communities_std text[], \
      communities_ext text[], communities_large text[], attrs jsonb, updated_at timestamptz !",
    ),
    (
        "router_owner",
        "router_id text !, collector_id text !, epoch bigint !, since timestamptz !, handed_to text, handed_until timestamptz",
    ),
    (
        "collectors",
        "collector_id text !, instance uuid !, alive_until timestamptz !, started_at timestamptz !, version text !, host text, \
         process_id bigint, stale_routes_secs integer, mass_loss_stale_secs integer, watch boolean !, trie_version bigint",
    ),
    (
        "bmp_sessions",
        "session uuid !, router_id text !, collector_id text !, source inet, state text !, since timestamptz !, reason text, \
      began_at timestamptz !, heard_until timestamptz, lag_secs double precision, \
         waiting_octets bigint",
    ),
    (
        "add_path_evidence",
        "router_id text !, rib text !, is_post_policy boolean !, peer_type text !, distinguisher text !, peer_address inet !, \
      peer_asn bigint !, peer_bgp_id inet !, afi integer !, safi smallint !, is_sent boolean !, is_announced boolean !, \
      closed_at timestamptz, updated_at timestamptz !",
    ),
    ("detached_partitions", "oid oid !, name text !, detached_at timestamptz !"),
    ("index_sizes", "name text !, bytes bigint !, rows bigint !, noted_at timestamptz !, tried_at timestamptz"),
];

/// The indexes of the contract as PostgreSQL prints them after `ON public.`.
const INDEXES: &[(&str, &str)] = &[
    ("current_routes_pkey", "current_routes USING btree (router_id, table_name, afi, prefix, path_id)"),
    ("idx_current_routes_comm_ext_gin", "current_routes USING gin (communities_ext)"),
    ("idx_current_routes_comm_large_gin", "current_routes USING gin (communities_large)"),
    ("idx_current_routes_comm_std_gin", "current_routes USING gin (communities_std)"),
    ("idx_current_routes_comparison", "current_routes USING btree (table_name, afi, prefix, router_id)"),
    ("idx_current_routes_nexthop", "current_routes USING btree (nexthop)"),
    ("idx_current_routes_origin_asn", "current_routes USING btree (origin_asn)"),
    ("idx_current_routes_prefix_btree", "current_routes USING btree (prefix)"),
    ("idx_current_routes_prefix_gist", "current_routes USING gist (prefix inet_ops)"),
    ("idx_current_routes_router_table_afi", "current_routes USING btree (router_id, table_name, afi)"),
    ("idx_current_routes_updated_at", "current_routes USING btree (updated_at DESC)"),
    ("rib_sync_status_pkey", "rib_sync_status USING btree (router_id, table_name, afi)"),
    ("route_events_pkey", "ONLY public.route_events USING btree (event_id, ingest_time)"),
    ("routers_pkey", "routers USING btree (router_id)"),
];

#[test]
fn a_schema_with_any_name_takes_the_migrations() {
    let db = TestDb::create();
    let mut client = db.client();
    client.batch_execute("CREATE SCHEMA \"My'Schema\"; SET search_path = \"My'Schema\"").unwrap();
    assert!(!migrate(&mut client).unwrap().is_empty());
    // Each column has its comment, and the functions find their tables from elsewhere.
    let silent = "SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                  WHERE relnamespace = '\"My''Schema\"'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND attnum > 0
                    AND col_description(attrelid, attnum) IS NULL";
    assert_eq!(db.rows(silent), Vec::<String>::new());
    for call in [
        "lookup('192.0.2.1')",
        "routes_as_of('10.0.0.1', 'UNKNOWN', now())",
        "routes_between(now() - interval '1 day', now())",
        "flap_report()",
    ] {
        assert_eq!(db.rows(&format!("SELECT count(*) FROM \"My'Schema\".{call}")), ["0"], "{call}");
    }
}

#[test]
fn columns_are_those_of_the_contract() {
    let db = TestDb::migrated();
    for (table, want) in COLUMNS {
        let got = db.rows(&format!(
            "SELECT attname || ' ' || replace(format_type(atttypid, atttypmod), 'timestamp with time zone', 'timestamptz')
                 || CASE WHEN attnotnull THEN ' !' ELSE '' END
             FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
        ));
        assert_eq!(&got.join(", "), want, "{table}");
        let silent = db.rows(&format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0
             AND col_description(attrelid, attnum) IS NULL"
        ));
        assert_eq!(silent, Vec::<String>::new(), "columns of {table} without a comment");
    }
}

#[test]
fn indexes_are_those_of_the_contract() {
    let db = TestDb::migrated();
    let got = db.rows(
        "SELECT indexname, regexp_replace(indexdef, '^.* ON (public\\.)?', '') FROM pg_indexes
         WHERE schemaname = 'public' AND tablename IN ('routers', 'current_routes', 'route_events', 'rib_sync_status') ORDER BY indexname",
    );
    let want: Vec<String> = INDEXES.iter().map(|(name, text)| format!("{name}|{text}")).collect();
    assert_eq!(got, want);
    let unique = db.rows("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'route_summary'");
    assert_eq!(unique.len(), 1);
    assert!(
        unique[0].starts_with("CREATE UNIQUE INDEX") && unique[0].ends_with("(router_id, table_name, afi)"),
        "{unique:?}"
    );
}

#[test]
fn indexes_of_both_adj_ribs_are_those_of_the_contract() {
    let db = TestDb::migrated();
    for table in ["adj_rib_in", "adj_rib_out"] {
        let got = db.rows(&format!(
            "SELECT indexname, regexp_replace(indexdef, '^.* USING ', '') FROM pg_indexes WHERE tablename = '{table}'
             ORDER BY indexname"
        ));
        let want = [
            "adj_rib_pkey|btree (router_id, peer_address, is_post_policy, table_name, afi, prefix, path_id)",
            "idx_adj_rib_comm_ext_gin|gin (communities_ext)",
            "idx_adj_rib_comm_large_gin|gin (communities_large)",
            "idx_adj_rib_comm_std_gin|gin (communities_std)",
            "idx_adj_rib_nexthop|btree (nexthop)",
            "idx_adj_rib_origin_asn|btree (origin_asn)",
            "idx_adj_rib_prefix_btree|btree (prefix)",
            "idx_adj_rib_prefix_gist|gist (prefix inet_ops)",
            "idx_adj_rib_router_peer|btree (router_id, peer_address)",
            "idx_adj_rib_router_table_afi|btree (router_id, table_name, afi)",
            "idx_adj_rib_updated_at|btree (updated_at DESC)",
        ];
        assert_eq!(got, want.map(|line| line.replacen("adj_rib", table, 1)));
    }
}

#[test]
fn the_column_comment_has_every_session_event_kind() {
    let source = include_str!("../../src/model/records.rs");
    let (_, names) = source.split_once("impl SessionEventKind").unwrap();
    let (names, _) = names.split_once("\n}\n").unwrap();
    let kinds: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    let db = TestDb::migrated();
    let comment = db.rows(
        "SELECT col_description('session_events'::regclass, attnum) FROM pg_attribute
         WHERE attrelid = 'session_events'::regclass AND attname = 'kind'",
    );
    let named: BTreeSet<&str> = comment[0].trim_end_matches('.').split(", ").collect();
    assert!(kinds.len() > 10);
    assert_eq!(named, kinds);
}

/// The names of the files `sql/migrations/0001_...sql`, in order.
fn migrations() -> Vec<String> {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = (names.filter_map(|name| name.strip_suffix(".sql").map(str::to_owned)))
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    names.sort();
    assert!(names[0] == "0001_routes");
    names
}

#[test]
fn a_second_migrate_does_nothing_others_are_refused() {
    let db = TestDb::create();
    let mut client = db.client();
    assert_eq!(migrate(&mut client).unwrap(), migrations());
    assert_eq!(migrate(&mut client).unwrap(), Vec::<&str>::new());
    client.batch_execute("UPDATE schema_migrations SET checksum = 'edited' WHERE name = '0001_routes'").unwrap();
    let error = migrate(&mut client).unwrap_err();
    assert!(matches!(&error, Error::EarlierLayout { name } if name == "0001_routes"), "{error}");
    assert!(error.is_configuration());
    // The lock is free again, and the earlier contents are unchanged.
    assert_eq!(db.rows("SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database() WHERE locktype = 'advisory'"), ["0"]);
    client.batch_execute("UPDATE schema_migrations SET name = '9999_newer' WHERE name = '0001_routes'").unwrap();
    let error = migrate(&mut client).unwrap_err();
    assert!(matches!(&error, Error::NewerSchema { name } if name == "9999_newer"), "{error}");
}

#[test]
fn collectors_that_start_together_migrate_once() {
    let db = TestDb::create();
    let applied: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| migrate(&mut db.client()).unwrap().len())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(applied, migrations().len());
}

#[test]
fn the_role_of_the_tests_is_not_superuser() {
    // Every other test here proves with the role that none of this needs a superuser.
    let db = TestDb::create();
    assert_eq!(db.rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"), ["f"]);
}

#[test]
fn bad_credentials_or_no_database_is_configuration() {
    let db = TestDb::create();
    let url = db.url().replace("dbname=rib_test", "dbname=no_such");
    let error = rib_ingester::store::connect(&url, "test").err().expect("there is no such database");
    assert_eq!(error.code(), Some("3D000"), "{error}");
    assert!(error.is_configuration());
    let nobody = rib_ingester::store::connect("host=127.0.0.1 port=1 user=x dbname=x", "test").err().unwrap();
    assert!(!nobody.is_configuration(), "{nobody}");
}

#[test]
fn connections_have_names_and_bounded_waits() {
    let db = TestDb::create();
    let mut client = rib_ingester::store::connect(&db.url(), "state-0").unwrap();
    let mut show = |name: &str| client.query_one(&format!("SHOW {name}"), &[]).unwrap().get::<_, String>(0);
    assert_eq!((show("application_name").as_str(), show("TimeZone").as_str()), ("rib-ingester/state-0", "UTC"));
    for timeout in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
        assert_ne!(show(timeout), "0", "{timeout}");
    }
}
