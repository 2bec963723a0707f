//! The two roles of `docs/install.md` are enough: the collector runs with the one, readers read with the other and
//! cannot write.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::server::Server;
use postgres::{Client, NoTls, SimpleQueryMessage};

/// The page's SQL that makes the roles.
fn grants() -> String {
    on_page("docs/install.md", "CREATE ROLE rib_ingester")
}

/// The SQL of a page that begins so.
fn on_page(page: &str, begin: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let sql = page.split("```sql\n").find(|block| block.starts_with(begin)).unwrap();
    sql.split("```").next().unwrap().to_owned()
}

/// A server that is set up exactly as on the page.
fn server() -> Server {
    let server = Server::start("", &[]);
    server.super_script("postgres", "DROP DATABASE rib; DROP ROLE rib_reader; DROP ROLE rib;");
    server.super_script("postgres", &grants());
    server
}

fn url(server: &Server, role: &str, password: &str) -> String {
    format!("host=127.0.0.1 port={} dbname=rib user={role} password='{password}'", server.port())
}

fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("-").to_owned()),
        _ => None,
    });
    rows.collect()
}

fn announce(peer: Peer, prefix: &str) -> Vec<u8> {
    bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &[prefix]))
}

#[test]
fn the_collector_works_as_the_owner_of_a_database() {
    let server = server();
    let as_writer = url(&server, "rib_ingester", "kettle-7-granite");
    let ingester = Ingester::start(&as_writer, &[]);
    let mut writer: Client = as_writer.parse::<postgres::Config>().unwrap().connect(NoTls).unwrap();
    let may = "SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
                   pg_has_role('pg_monitor', 'member'))
               FROM pg_roles WHERE rolname = current_user";
    assert_eq!(rows(&mut writer, may), ["f f f f f f"]);

    // A dump, a change, routes that the next dump leaves out, and a Loc-RIB that goes down.
    let peer = Peer::loc_rib("10.255.0.1");
    let prefixes = "SELECT prefix FROM current_routes ORDER BY prefix";
    for (dump, left) in [
        (["10.1.0.0/16", "10.2.0.0/16"], ["10.1.0.0/16", "10.2.0.0/16"]),
        (["10.2.0.0/16", "10.3.0.0/16"], ["10.2.0.0/16", "10.3.0.0/16"]),
    ] {
        let mut router = ingester.connect();
        router.send(&bmp::initiation(b"edge1", b""));
        router.send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")));
        router.send(&dump.map(|prefix| announce(peer, prefix)).concat());
        router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
        eventually_equal(left.map(str::to_owned).to_vec(), || rows(&mut writer, prefixes));
        if dump[0] == "10.2.0.0/16" {
            router.send(&bmp::termination(0));
            eventually_equal(Vec::new(), || rows(&mut writer, prefixes));
        }
    }
    eventually_equal(vec!["4".to_owned()], || rows(&mut writer, "SELECT count(*) FROM route_events"));
    assert_eq!(ingester.count_logged("permission denied"), 0);
    assert!(ingester.stop().success());

    // Partitions made and dropped, the summary refreshed.
    rows(
        &mut writer,
        "CREATE TABLE route_events_20200101 PARTITION OF route_events
             FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00')",
    );
    let mut maintenance = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output =
        maintenance.arg("maintenance").env_clear().env("RIB_INGESTER_DATABASE_URL", &as_writer).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("denied"), "{said}");
    assert_eq!(rows(&mut writer, "SELECT to_regclass('route_events_20200101')"), ["-"]);
}

/// What readers have views of instead.
const SECRET: [&str; 4] = ["watch.callbacks", "watch.callback_secrets", "watch.deliveries", "watch.team_roles"];

#[test]
fn a_reader_reads_everything_and_writes_nothing() {
    let server = server();
    let ingester = Ingester::start(&url(&server, "rib_ingester", "kettle-7-granite"), &[]);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b""));
    router
        .send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")))
        .send(&announce(peer, "10.1.0.0/16"));
    let as_reader = url(&server, "rib_reader", "basin-4-lantern");
    let mut reader: Client = as_reader.parse::<postgres::Config>().unwrap().connect(NoTls).unwrap();
    eventually_equal(vec!["10.1.0.0/16".to_owned()], || rows(&mut reader, "SELECT prefix FROM current_routes"));
    eventually_equal(vec!["1".to_owned()], || rows(&mut reader, "SELECT count(*) FROM route_events"));

    let mut of_kinds = |kinds: &str| {
        let sql = format!(
            "SELECT oid::regclass FROM pg_class
             WHERE relnamespace::regnamespace::text = ANY ('{{public,watch,rpki,registry,inventory,tenant,names}}') AND relkind IN ({kinds}) ORDER BY 1"
        );
        rows(&mut reader, &sql)
    };
    let (relations, tables) = (of_kinds("'r', 'p', 'v', 'm'"), of_kinds("'r', 'p'"));
    assert!(relations.len() >= 8 && relations.iter().any(|name| name == "watch.incidents"), "{relations:?}");
    let is_secret = |name: &&String| SECRET.contains(&name.as_str());
    assert_eq!(relations.iter().filter(is_secret).count(), SECRET.len());
    // Teams have views of their own rows, which say nothing to others.
    for relation in relations.iter().filter(|name| !is_secret(name) && !name.starts_with("tenant.own_")) {
        rows(&mut reader, &format!("SELECT count(*) FROM {relation}"));
    }
    let mut may_not = |sql: &str| {
        let error = reader.batch_execute(sql).expect_err(sql);
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{sql}: {error:?}");
    };
    assert!(tables.len() >= 7, "{tables:?}");
    for table in SECRET {
        may_not(&format!("SELECT FROM {table}"));
    }
    for table in &tables {
        may_not(&format!("DELETE FROM {table}"));
        may_not(&format!("TRUNCATE {table}"));
    }
    may_not("UPDATE current_routes SET med = 1");
    may_not("INSERT INTO routers (router_id) VALUES ('x')");
    may_not("CREATE TABLE public.mine (a int)");
    may_not("REFRESH MATERIALIZED VIEW route_summary");
    may_not("DROP TABLE current_routes");
    // The commands that only read need no other role either.
    for command in
        [["status"].as_slice(), &["lookup", "10.1.2.3"], &["watch", "list"], &["incidents"], &["silence", "list"]]
    {
        let mut run = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        let output = run.args(command).env_clear().env("RIB_INGESTER_DATABASE_URL", &as_reader).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    openbmp_views_give_no_more_than_the_tables(&server);
}

/// With the grants of `docs/openbmp.md` a reader of the tables reads the views, and somebody else does not.
fn openbmp_views_give_no_more_than_the_tables(server: &Server) {
    let connect = |role: &str, password: &str| -> Client {
        url(server, role, password).parse::<postgres::Config>().unwrap().connect(NoTls).unwrap()
    };
    let mut owner = connect("rib_ingester", "kettle-7-granite");
    owner.batch_execute(include_str!("../../sql/compat/openbmp.sql")).unwrap();
    let grants = on_page("docs/openbmp.md", "GRANT USAGE ON SCHEMA openbmp");
    let to_other = grants.replace("rib_reader", "other");
    server.super_script("rib", &format!("CREATE ROLE other LOGIN PASSWORD 'other'; {grants} {to_other}"));
    let (mut reader, mut other) = (connect("rib_reader", "basin-4-lantern"), connect("other", "other"));
    let views = rows(&mut reader, "SELECT relname FROM pg_class WHERE relnamespace = 'openbmp'::regnamespace");
    assert!(views.len() >= 15, "{views:?}");
    for view in &views {
        rows(&mut reader, &format!("SELECT count(*) FROM {view}"));
        let error = other.batch_execute(&format!("SELECT count(*) FROM {view}")).expect_err(view);
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{view}: {error:?}");
    }
    assert_eq!(rows(&mut reader, "SELECT prefix FROM ip_rib"), ["10.1.0.0/16"]);
}
