//! The tables of teams, column by column, and the rules that keep a constraint from telling one team of another.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::pg::TestDb;

/// Columns in order: `!` is NOT NULL, `+` has a part in the primary key.
const COLUMNS: &[(&str, &str)] = &[
    (
        "teams",
        "id text !+, name text !, mail text, max_watches integer !, created_at timestamptz !, updated_at timestamptz !",
    ),
    ("users", "id text !+, name text, email text, created_at timestamptz !, updated_at timestamptz !"),
    ("members", "team_id text !+, user_id text !+, role text, db_role text"),
    (
        "domains",
        "team_id text !+, id text !+, hostname text !, tls_state text, is_verified boolean, waf_state text, \
         created_at timestamptz !, updated_at timestamptz !",
    ),
    (
        "dns_records",
        "team_id text !+, id text !+, domain_id text !, type text !, name text !, content text !, ttl integer, \
         priority integer, address inet, state text, created_at timestamptz !, updated_at timestamptz !",
    ),
    ("record_addresses", "team_id text !+, record_id text !+, address inet !+, watch_id bigint"),
    (
        "proxy_configs",
        "team_id text !+, id text !+, domain_id text !, config jsonb !, created_at timestamptz !, \
         updated_at timestamptz !",
    ),
    (
        "alerts",
        "team_id text !+, id text !+, domain_id text !, type text, severity text, message text, detail jsonb, \
         created_at timestamptz !, resolved_at timestamptz",
    ),
    (
        "resources",
        "team_id text !+, id text !+, prefix cidr !, origin_asn bigint, mail text, is_watched boolean !, \
         created_at timestamptz !, updated_at timestamptz !",
    ),
    (
        "incidents",
        "team_id text !+, id text !+, domain_id text, resource_id text, incident_id bigint, condition text, \
         severity text !, state text !, title text !, text text, summary text, opened_at timestamptz !, \
         acknowledged_at timestamptz, acknowledged_by text, resolved_at timestamptz, acknowledge_asked_by text, \
         edited_at timestamptz, edited_by text",
    ),
    (
        "analytics_data",
        "team_id text !, domain_id text, resource_id text, bucket timestamptz !, width text !, announcements integer !, \
         withdrawals integer !, path_changes integer !, unreachable_secs integer !, has_history boolean !",
    ),
];

/// The tables that teams have no rights on.
const OWNERS: [&str; 4] = ["teams", "users", "changes", "progress"];

#[test]
fn tables_of_teams_have_the_columns_of_the_text() {
    let db = TestDb::migrated();
    for (table, expected) in COLUMNS {
        let columns = db.rows(&format!(
            "SELECT a.attname || ' ' || replace(format_type(a.atttypid, NULL), 'timestamp with time zone', 'timestamptz')
                    || CASE WHEN a.attnotnull THEN ' !' ELSE '' END || CASE WHEN a.attnum = ANY (i.indkey) THEN '+' ELSE '' END
             FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
             WHERE a.attrelid = 'tenant.{table}'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        ));
        let expected: Vec<&str> = expected.split(", ").map(str::trim).collect();
        assert_eq!(columns, expected, "{table}");
    }
    // Relations: a member belongs to a team and a user, a record, a configuration and an alert to a domain of their team.
    let keys = db.rows(
        "SELECT c.conrelid::regclass::text, pg_get_constraintdef(c.oid) FROM pg_constraint c
         WHERE c.connamespace = 'tenant'::regnamespace AND c.contype = 'f' ORDER BY 1, 2",
    );
    for table in ["dns_records", "proxy_configs", "alerts", "incidents", "analytics_data"] {
        let wanted = format!(
            "tenant.{table}|FOREIGN KEY (team_id, domain_id) REFERENCES tenant.domains(team_id, id) ON DELETE CASCADE"
        );
        assert!(keys.contains(&wanted), "{wanted}: {keys:#?}");
    }
    for key in &keys {
        assert!(key.contains("team_id") || key.contains("(user_id)"), "{key}");
    }
    for unique in ["domains|(team_id, hostname)", "proxy_configs|(team_id, domain_id)"] {
        let (table, columns) = unique.split_once('|').unwrap();
        let found = db.rows(&format!(
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'tenant.{table}'::regclass AND contype = 'u'
                 AND pg_get_constraintdef(oid) = 'UNIQUE {columns}'"
        ));
        assert_eq!(found, ["1"], "{unique}");
    }
    no_key_and_no_index_is_of_all_teams(&db);
}

fn no_key_and_no_index_is_of_all_teams(db: &TestDb) {
    let owners = OWNERS.map(|table| format!("'tenant.{table}'::regclass")).join(", ");
    let others = db.rows(&format!(
        "SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
         WHERE c.relnamespace = 'tenant'::regnamespace AND c.oid NOT IN ({owners}) AND a.attname <> 'team_id'"
    ));
    assert_eq!(others, Vec::<String>::new());
    let open = db.rows(
        "SELECT c.oid::regclass FROM pg_class c WHERE NOT c.relrowsecurity AND c.relkind = 'r'
             AND (c.relnamespace = 'tenant'::regnamespace
                  OR c.relnamespace = 'watch'::regnamespace
                     AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'team'))",
    );
    assert_eq!(open, Vec::<String>::new());
    // Who runs with the rights of the owner takes no name from the caller's path.
    let loose = db.rows(
        "SELECT p.oid::regprocedure FROM pg_proc p
         WHERE p.prosecdef AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
           AND p.prosqlbody IS NULL AND NOT 'search_path=pg_catalog, pg_temp' = ANY (COALESCE(p.proconfig, '{}'))",
    );
    assert_eq!(loose, Vec::<String>::new());
}
