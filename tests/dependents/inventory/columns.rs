//! The tables of the inventory, column by column.

use crate::common::pg::TestDb;

/// Table, columns with their types (`!`: NOT NULL), keys.
const TABLES: &[(&str, &str, &str)] = &[
    (
        "sites",
        "id integer!, name text!, internal_domain text, dhcp_range text, subnet_mask text, gateway text, \
         dns_forwarders text, external_ip inet",
        "PRIMARY KEY (id)",
    ),
    (
        "nodes",
        "id integer!, name text!, ipv4_address inet, api_url text, disable_tls_verification boolean, image_storage text!, \
         volume_storage text!, network_bridge text!, nvidia_available boolean!, site_id integer!",
        "FOREIGN KEY (site_id) REFERENCES inventory.sites(id); PRIMARY KEY (id); UNIQUE (name)",
    ),
    (
        "containers",
        "id integer!, hostname text!, username text, status text!, template text, creation_job_id integer, \
         node_id integer!, container_id integer, mac_address text, ipv4_address inet, ai_container text, \
         nvidia_requested boolean!",
        "FOREIGN KEY (creation_job_id) REFERENCES inventory.jobs(id) ON DELETE SET NULL; \
         FOREIGN KEY (node_id) REFERENCES inventory.nodes(id); PRIMARY KEY (id); UNIQUE (hostname); \
         UNIQUE (ipv4_address); UNIQUE (mac_address); UNIQUE (node_id, container_id)",
    ),
    (
        "services",
        "id integer!, container_id integer!, type text!, container_port integer",
        "FOREIGN KEY (container_id) REFERENCES inventory.containers(id) ON DELETE CASCADE; PRIMARY KEY (id)",
    ),
    (
        "http_services",
        "id integer!, service_id integer!, external_hostname text!, external_domain_id integer, backend_protocol text!, \
         auth_required boolean!",
        "FOREIGN KEY (external_domain_id) REFERENCES inventory.external_domains(id); \
         FOREIGN KEY (service_id) REFERENCES inventory.services(id) ON DELETE CASCADE; PRIMARY KEY (id); \
         UNIQUE (external_hostname, external_domain_id); UNIQUE (service_id)",
    ),
    (
        "transport_services",
        "id integer!, service_id integer!, protocol text!, external_port integer, use_tls boolean",
        "FOREIGN KEY (service_id) REFERENCES inventory.services(id) ON DELETE CASCADE; PRIMARY KEY (id); \
         UNIQUE (protocol, external_port); UNIQUE (service_id)",
    ),
    (
        "dns_services",
        "id integer!, service_id integer!, record_type text!, service_name text",
        "FOREIGN KEY (service_id) REFERENCES inventory.services(id) ON DELETE CASCADE; PRIMARY KEY (id); UNIQUE (service_id)",
    ),
    (
        "external_domains",
        "id integer!, domain text!, site_id integer, auth_server text",
        "FOREIGN KEY (site_id) REFERENCES inventory.sites(id) ON DELETE SET NULL; PRIMARY KEY (id)",
    ),
    (
        "jobs",
        "id integer!, name text!, associated_resource text, status text!, created_at timestamp with time zone!",
        "PRIMARY KEY (id)",
    ),
    (
        "job_statuses",
        "id integer!, job_id integer!, message text!, created_at timestamp with time zone!",
        "FOREIGN KEY (job_id) REFERENCES inventory.jobs(id) ON DELETE CASCADE; PRIMARY KEY (id)",
    ),
    (
        "users",
        "uid_number integer!, username text!, cn text, sn text, given_name text, mail text, status text!",
        "PRIMARY KEY (uid_number); UNIQUE (mail); UNIQUE (username)",
    ),
    ("groups", "gid_number integer!, cn text!, is_administrator boolean!", "PRIMARY KEY (gid_number); UNIQUE (cn)"),
    (
        "user_groups",
        "uid_number integer!, gid_number integer!",
        "FOREIGN KEY (gid_number) REFERENCES inventory.groups(gid_number) ON DELETE CASCADE; \
         FOREIGN KEY (uid_number) REFERENCES inventory.users(uid_number) ON DELETE CASCADE; \
         PRIMARY KEY (uid_number, gid_number)",
    ),
    ("settings", "key text!, value text", "PRIMARY KEY (key)"),
    (
        "site_vantages",
        "site_id integer!, router_id text!, table_name text!",
        "FOREIGN KEY (site_id) REFERENCES inventory.sites(id) ON DELETE CASCADE; \
         PRIMARY KEY (site_id, router_id, table_name)",
    ),
    (
        "reachability",
        "address inet, router_id text, table_name text, prefix cidr, path text, origin_asn bigint, state text, \
         since timestamp with time zone",
        "-",
    ),
    ("addresses", "owner_kind text, owner_id integer, name text, address inet, site_id integer", "-"),
];

/// Columns that take only some texts, and those.
const ENUMS: &[(&str, &str)] = &[
    ("containers.status", "pending creating running failed"),
    ("services.type", "http transport dns"),
    ("http_services.backend_protocol", "http https"),
    ("transport_services.protocol", "tcp udp"),
    ("dns_services.record_type", "SRV"),
    ("jobs.status", "pending running success failure cancelled"),
    ("users.status", "pending active suspended"),
];

#[test]
fn the_inventory_has_the_columns_of_its_text() {
    let db = TestDb::migrated();
    for (table, columns, keys) in TABLES {
        let found = db.rows(&format!(
            "SELECT string_agg(concat(attname, ' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN '!' END), ', ' ORDER BY attnum)
             FROM pg_attribute WHERE attrelid = 'inventory.{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        ));
        assert_eq!(found, [*columns], "{table}");
        let found = db.rows(&format!(
            "SELECT string_agg(pg_get_constraintdef(oid), '; ' ORDER BY pg_get_constraintdef(oid))
             FROM pg_constraint WHERE conrelid = 'inventory.{table}'::regclass AND contype IN ('p', 'u', 'f')"
        ));
        assert_eq!(found, [*keys], "{table}");
    }
    for (column, texts) in ENUMS {
        let (table, column) = column.split_once('.').unwrap();
        let found = db.rows(&format!(
            "SELECT string_agg(m[1], ' ') FROM pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''(\\w+)''::text', 'g') m
             WHERE conrelid = 'inventory.{table}'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%({column} %'"
        ));
        assert_eq!(found, [*texts], "{table}.{column}");
    }
    let secret = db.rows(
        "SELECT table_name || '.' || column_name FROM information_schema.columns
         WHERE table_schema = 'inventory' AND column_name ~ 'password|secret|token|acme|cloudflare|ssh'",
    );
    assert!(secret.is_empty(), "{secret:?}");
}
