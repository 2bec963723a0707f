//! `docs/schema.md`, the reference for readers of the database, is generated from the database itself: its tables,
//! columns, keys, indexes and functions with their comments.
//!
//! `RIB_INGESTER_TEST_GOLDEN=write cargo test --test store schema_page::` writes that part of the page anew: review the
//! difference.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::pg::TestDb;
use postgres::Client;

const BEGIN: &str = "<!-- schema: written by tests/store/schema_page.rs from the comments of the database -->\n";
const END: &str = "<!-- end of schema -->\n";

/// The width of prose, in characters.
const WIDTH: usize = 120;

/// The order in which readers meet them; those in none of these are last.
const TOPICS: &[(&str, &[&str])] = &[
    ("Routers and sessions", &["routers", "router_states", "bmp_sessions", "collectors", "session_events"]),
    ("The present", &["current_routes", "adj_rib_in", "adj_rib_out"]),
    ("How complete the present is", &["rib_sync_status", "adj_rib_in_sync_status", "adj_rib_out_sync_status"]),
    ("The past", &["route_events", "snapshots", "route_snapshots", "history_reach", "archives"]),
    ("Peers and names", &["peers", "peer_statistics", "table_names"]),
    (
        "Watches and incidents",
        &[
            "watch.watches",
            "watch.incidents",
            "watch.incident_events",
            "watch.silences",
            "watch.conditions",
            "watch.seen",
            "watch.vantages",
            "watch.accepted_prefixes",
            "watch.change_windows",
        ],
    ),
    (
        "Callbacks",
        &[
            "watch.callbacks_public",
            "watch.callbacks",
            "watch.callback_secrets",
            "watch.deliveries",
            "watch.team_roles",
        ],
    ),
    (
        "RPKI",
        &[
            "invalid_routes",
            "rpki.route_validity",
            "rpki.router_states",
            "rpki.lost_validity",
            "rpki.vrp_set",
            "rpki.trust_anchors",
            "rpki.vrps",
            "rpki.filtered_vrps",
            "rpki.vrp_changes",
            "rpki.aspas",
        ],
    ),
    (
        "Inventory",
        &[
            "inventory.services_overview",
            "inventory.owners_overview",
            "inventory.reachability",
            "inventory.causes",
            "inventory.sites",
            "inventory.site_vantages",
            "inventory.nodes",
            "inventory.containers",
            "inventory.services",
            "inventory.http_services",
            "inventory.transport_services",
            "inventory.dns_services",
            "inventory.external_domains",
            "inventory.addresses",
            "inventory.service_addresses",
            "inventory.owner_reachability",
            "inventory.address_states",
            "inventory.jobs",
            "inventory.job_statuses",
            "inventory.users",
            "inventory.groups",
            "inventory.user_groups",
            "inventory.settings",
        ],
    ),
    (
        "Registry",
        &[
            "registry.sessions_overview",
            "registry.bgp_sessions",
            "registry.session_observations",
            "registry.session_peers",
            "registry.session_causes",
            "registry.session_watches",
            "registry.unregistered_peers",
            "registry.overdue_sessions",
            "registry.policy_misfits",
            "registry.routers",
            "registry.router_bindings",
            "registry.monitored_peers",
            "registry.users",
            "registry.settings",
        ],
    ),
    (
        "Tenants",
        &[
            "tenant.teams",
            "tenant.users",
            "tenant.members",
            "tenant.resources",
            "tenant.domains",
            "tenant.dns_records",
            "tenant.record_addresses",
            "tenant.proxy_configs",
            "tenant.alerts",
            "tenant.incidents",
            "tenant.analytics_data",
        ],
    ),
    ("Names", &["names.as_names", "names.communities", "names.well_known"]),
    ("Counts", &["route_summary", "adj_rib_in_summary", "adj_rib_out_summary", "peers_overview", "routers_overview"]),
];

/// Comments of objects that readers do not need begin with this.
const INTERNAL: &str = "Internal: ";

struct Relation {
    oid: u32,
    name: String,
    kind: &'static str,
    comment: String,
}

/// All of them but the partitions; those of our other schemas with its name.
fn relations(client: &mut Client) -> Vec<Relation> {
    let rows = client.query(
        "SELECT oid, CASE relnamespace WHEN 'public'::regnamespace THEN '' ELSE relnamespace::regnamespace || '.' END || relname, relkind::text,
                obj_description(oid, 'pg_class')
         FROM pg_class
         WHERE relnamespace::regnamespace::text = ANY ('{public,watch,rpki,registry,inventory,tenant,names}') AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
         ORDER BY array_position('{public,watch,rpki,registry,inventory,tenant,names}', relnamespace::regnamespace::text), relname",
        &[],
    );
    let kind = |letter: &str| match letter {
        "r" => "Table",
        "p" => "Partitioned table",
        "v" => "View",
        _ => "Materialized view",
    };
    let relation = |row: &postgres::Row| {
        let name: String = row.get(1);
        let comment = row.get::<_, Option<String>>(3).unwrap_or_else(|| panic!("{name} has no comment"));
        Relation { oid: row.get(0), kind: kind(row.get(2)), comment, name }
    };
    rows.unwrap().iter().map(relation).collect()
}

fn write_relation(client: &mut Client, relation: &Relation, out: &mut String) {
    let Relation { oid, name, kind, comment } = relation;
    writeln!(out, "### `{name}`\n\n{}", wrapped(&format!("{kind}. {}", sentence(comment)))).unwrap();
    out.push_str("| column | type | NULL | default | meaning |\n|---|---|---|---|---|\n");
    let columns = client
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull OR c.relkind IN ('v', 'm'),
                    COALESCE(pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.attidentity IN ('a', 'd') THEN 'identity' END, ''),
                    col_description(a.attrelid, a.attnum)
             FROM pg_attribute a
             JOIN pg_class c ON c.oid = a.attrelid
             LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[oid],
        )
        .unwrap();
    for column in &columns {
        let column_name: &str = column.get(0);
        let data_type = column.get::<_, &str>(1).replace("timestamp with time zone", "timestamptz");
        let null = if column.get(2) { "" } else { "yes" };
        let default = match column.get::<_, &str>(3) {
            "" => String::new(),
            text => format!("`{text}`"),
        };
        let meaning = column.get::<_, Option<&str>>(4).unwrap_or_else(|| panic!("{name}.{column_name} has no comment"));
        let meaning = meaning.replace('|', "\\|").replace('<', "&lt;");
        writeln!(out, "| `{column_name}` | `{data_type}` | {null} | {default} | {meaning} |").unwrap();
    }
    out.push('\n');
    let indexes = client.query(
        "SELECT i.indisprimary, i.indisunique, c.relname::text, regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '')
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE i.indrelid = $1 ORDER BY NOT i.indisprimary, NOT i.indisunique, c.relname",
        &[oid],
    );
    let indexes = indexes.unwrap();
    for index in &indexes {
        let what = match (index.get(0), index.get(1)) {
            (true, _) => "Primary key",
            (false, true) => "Unique",
            (false, false) => "Index",
        };
        let (name, columns): (&str, &str) = (index.get(2), index.get(3));
        out.push_str(&wrapped(&format!("* {what} `{name}`: `{columns}`")));
    }
    if !indexes.is_empty() {
        out.push('\n');
    }
}

/// Our functions: for readers, or not.
fn write_functions(client: &mut Client, is_internal: bool, out: &mut String) {
    let functions = client.query(
        "SELECT CASE p.pronamespace WHEN 'public'::regnamespace THEN '' ELSE p.pronamespace::regnamespace || '.' END || p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), obj_description(p.oid, 'pg_proc')
         FROM pg_proc p
         WHERE p.pronamespace::regnamespace::text = ANY ('{public,watch,rpki,registry,inventory,tenant,names}')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
         ORDER BY array_position('{public,watch,rpki,registry,inventory,tenant,names}', p.pronamespace::regnamespace::text), p.proname, p.oid",
        &[],
    );
    for function in &functions.unwrap() {
        let [name, arguments, result] = [0, 1, 2].map(|i| {
            let text = function.get::<_, &str>(i).replace("timestamp with time zone", "timestamptz");
            // A default value's type is the argument's.
            ["::interval", "::text", "::cidr[]"].iter().fold(text, |text, cast| text.replace(cast, ""))
        });
        let comment = function.get::<_, Option<&str>>(3).unwrap_or_else(|| panic!("{name} has no comment"));
        if comment.starts_with(INTERNAL) == is_internal {
            writeln!(out, "### `{name}`\n\n{}", wrapped(&sentence(comment))).unwrap();
            let result = result.replacen("TABLE(", "table (", 1).replacen("SETOF ", "rows of ", 1);
            writeln!(out, "{}", wrapped(&format!("`{name}({arguments})` returns `{result}`."))).unwrap();
        }
    }
}

/// The comment as it is under a heading that names its readers already.
fn sentence(comment: &str) -> String {
    let Some(rest) = comment.strip_prefix(INTERNAL) else { return comment.to_owned() };
    let mut letters = rest.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

/// A paragraph of lines that are not too long.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width > 0 && width + 1 + word.chars().count() > WIDTH {
            out.push('\n');
            width = 0;
        }
        if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.chars().count();
    }
    out.push('\n');
    out
}

/// The text between the two marks.
fn generated(client: &mut Client) -> String {
    let relations = relations(client);
    let (internal, others): (Vec<_>, Vec<_>) =
        relations.iter().partition(|relation| relation.comment.starts_with(INTERNAL));
    let mut out = String::from("\n");
    for (topic, names) in TOPICS {
        write!(out, "## {topic}\n\n").unwrap();
        for name in *names {
            let relation = others.iter().find(|relation| relation.name == *name);
            write_relation(client, relation.unwrap_or_else(|| panic!("there is no {name} for readers")), &mut out);
        }
    }
    let is_listed = |relation: &&&Relation| TOPICS.iter().any(|(_, names)| names.contains(&relation.name.as_str()));
    let rest: Vec<_> = others.iter().filter(|relation| !is_listed(relation)).collect();
    if !rest.is_empty() {
        out.push_str("## Others\n\n");
        rest.iter().for_each(|relation| write_relation(client, relation, &mut out));
    }
    out.push_str("## Functions for readers\n\n");
    write_functions(client, false, &mut out);
    out.push_str("## Internal\n\nReaders do not need these, and they may change with any version.\n\n");
    internal.iter().for_each(|relation| write_relation(client, relation, &mut out));
    write_functions(client, true, &mut out);
    out
}

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema.md")
}

#[test]
fn the_page_is_what_a_fresh_database_says_of_itself() {
    let db = TestDb::migrated();
    let want = generated(&mut db.client());
    let page = fs::read_to_string(page_path()).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page marks where the generated part begins");
    let (got, after) = rest.split_once(END).expect("the page marks where the generated part ends");
    if std::env::var_os("RIB_INGESTER_TEST_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(page_path(), [before, BEGIN, &want, END, after].concat()).unwrap();
        return;
    }
    for (got, want) in got.lines().zip(want.lines()) {
        assert_eq!(got, want, "RIB_INGESTER_TEST_GOLDEN=write cargo test --test store schema_page::");
    }
    assert_eq!(got.lines().count(), want.lines().count());
}

/// The names in the first column of the table under a heading; several may share a row.
fn first_column(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) = page.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    cells.flat_map(|cell| cell.split(", ")).map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn every_kind_of_session_event_is_explained() {
    let db = TestDb::migrated();
    let comment: String = db
        .client()
        .query_one(
            "SELECT col_description(attrelid, attnum) FROM pg_attribute
             WHERE attrelid = 'session_events'::regclass AND attname = 'kind'",
            &[],
        )
        .unwrap()
        .get(0);
    let kinds: BTreeSet<String> = comment.trim_end_matches('.').split(", ").map(str::to_owned).collect();
    assert!(kinds.len() > 10, "{comment}");
    let page = fs::read_to_string(page_path()).unwrap();
    assert_eq!(first_column(&page, "\n## Kinds of session events\n"), kinds);
}

#[test]
fn every_key_of_attrs_is_explained() {
    let source = include_str!("../../src/model/attrs.rs");
    let (_, names) = source.split_once("\nfn name(code: u8)").unwrap();
    let (names, _) = names.split_once("\n}\n").unwrap();
    let mut keys: BTreeSet<String> = names.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(keys.len() > 20, "{keys:?}");
    let beside = ["link_local_next_hop", "path_status", "labels", "rd"];
    for key in beside {
        assert!(source.contains(&format!("(\"{key}\".into()")), "{key}");
        keys.insert(key.to_owned());
    }
    let page = fs::read_to_string(page_path()).unwrap();
    assert_eq!(first_column(&page, "\n## Keys of attrs\n"), keys);
}
