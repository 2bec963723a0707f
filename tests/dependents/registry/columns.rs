//! The tables of the registry.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::pg::TestDb;

use super::scene::sql;

/// The columns of the registry: table, column, type, and what else holds.
const COLUMNS: &str = "
bgp_sessions asn bigint
bgp_sessions created_at timestamp with time zone
bgp_sessions credential jsonb
bgp_sessions data jsonb
bgp_sessions endpoint character varying(100)
bgp_sessions extensions jsonb
bgp_sessions interface character varying(50)
bgp_sessions ipv4 character varying(50)
bgp_sessions ipv6 character varying(100)
bgp_sessions ipv6_link_local character varying(100)
bgp_sessions last_error text
bgp_sessions mtu integer 1420
bgp_sessions policy character varying(50)
bgp_sessions router uuid
bgp_sessions status smallint
bgp_sessions type character varying(20)
bgp_sessions updated_at timestamp with time zone
bgp_sessions uuid uuid
routers callback_url character varying(200)
routers created_at timestamp with time zone
routers ipv4 character varying(50)
routers ipv6 character varying(100)
routers location character varying(200)
routers name character varying(100)
routers updated_at timestamp with time zone
routers uuid uuid
settings key character varying(100)
settings value text
users asn bigint
users created_at timestamp with time zone
users id integer nextval('registry.users_id_seq'::regclass)
users is_admin boolean
users is_blocked boolean
users person character varying(200)
users telegram_id bigint
users updated_at timestamp with time zone";

#[test]
fn tables_have_the_columns_of_the_registry() {
    let db = TestDb::migrated();
    let columns = db.rows(
        "SELECT c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                || CASE WHEN a.attname IN ('mtu', 'id') THEN ' ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE c.relnamespace = 'registry'::regnamespace AND c.relname IN ('users', 'routers', 'bgp_sessions', 'settings')
           AND a.attnum > 0 AND NOT a.attisdropped AND (c.relname, a.attname) <> ('routers', 'router_id')
         ORDER BY c.relname, a.attname",
    );
    assert_eq!(columns, COLUMNS.trim().lines().collect::<Vec<_>>());
    let keys = db.rows(
        "SELECT c.relname || CASE WHEN i.indisprimary THEN ' key ' WHEN i.indisunique THEN ' unique ' ELSE ' index ' END
                || (SELECT string_agg(a.attname, ',') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey))
         FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         WHERE c.relnamespace = 'registry'::regnamespace AND c.relname IN ('users', 'routers', 'bgp_sessions', 'settings') ORDER BY 1",
    );
    assert_eq!(
        keys,
        [
            "bgp_sessions index asn",
            "bgp_sessions index router",
            "bgp_sessions index status",
            "bgp_sessions key uuid",
            "routers key uuid",
            "routers unique router_id",
            "settings key key",
            "users key id",
            "users unique asn",
            "users unique telegram_id",
        ]
    );
    let references = "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                      WHERE contype = 'f' AND conrelid = 'registry.bgp_sessions'::regclass";
    assert_eq!(db.rows(references), ["registry.bgp_sessions FOREIGN KEY (router) REFERENCES registry.routers(uuid)"]);
    for (key, value, allowed) in [
        ("write_status", "yes", "on, off"),
        ("status_codes", "ACTIVE=1", "documented, or a list"),
        ("status_codes", "ACTIVE=1,ERROR=01", "documented, or a list"),
        ("callback", "get:sync", "off, post, get:/PATH"),
        ("ignore_peers", "edge1", "addresses, prefixes and AS numbers"),
        ("settle_secs", "604801", "0 to 604800"),
    ] {
        let text = format!("INSERT INTO registry.settings VALUES ('{key}', '{value}')");
        let error = db.client().batch_execute(&text).unwrap_err();
        let why = error.as_db_error().unwrap().message().to_owned();
        let begin = format!("registry setting {key}: \"{value}\" is not allowed; allowed: {allowed}");
        assert!(why.starts_with(&begin), "{why}");
    }
    // Settings of the registry's own are its own.
    sql(
        &db,
        "INSERT INTO registry.settings VALUES ('status_codes', 'ACTIVE=2, DISABLED=1,ERROR=6'), ('motd', 'hello')",
    );
    assert_eq!(db.rows("SELECT code, name FROM registry.status_codes()"), ["2|ACTIVE", "1|DISABLED", "6|ERROR"]);
}
