//! The inventory from other systems: their JSON, CSV and database, NetBox, and the member export of an exchange.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::scene::{command, run};
use crate::common::pg::TestDb;

/// The tables of the program that the inventory comes from, under its names.
const THEIRS: &str = r#"
    CREATE TABLE "Sites" (id int, name text, "externalIp" text, "createdAt" timestamptz);
    CREATE TABLE "Nodes" (id int, name text, "ipv4Address" text, "apiTokenSecretOrPassword" text, "siteId" int);
    CREATE TABLE "Containers" (id int, hostname text, status text, "nodeId" int, "containerId" int, "macAddress" text,
                               "ipv4Address" text, "creationJobId" int);
    CREATE TABLE "Users" ("uidNumber" int, username text, mail text, "userPassword" text, status text);
    CREATE TABLE "SessionSecrets" (id int, secret text);
    INSERT INTO "Sites" VALUES (1, 'fra1', '203.0.113.10', now());
    INSERT INTO "Nodes" VALUES (1, 'n1', '198.51.100.5', 'hunter2', 1);
    INSERT INTO "Containers" VALUES (1, 'web1', 'running', 1, 100, '00:00:5e:00:53:01', '198.51.100.9', 17);
    INSERT INTO "Users" VALUES (2000, 'ada', 'ada@example.com', 'hunter2', 'active');
    INSERT INTO "SessionSecrets" VALUES (1, 'hunter2')"#;

fn file(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rib-ingester-inventory-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Everything that an import has stored.
fn stored(db: &TestDb) -> Vec<String> {
    db.rows(
        "SELECT concat_ws(' ', 'site', id, name, external_ip) FROM inventory.sites
         UNION ALL SELECT concat_ws(' ', 'node', id, name, ipv4_address, site_id) FROM inventory.nodes
         UNION ALL SELECT concat_ws(' ', 'container', id, hostname, status, node_id, container_id, mac_address, ipv4_address,
                                    CASE WHEN creation_job_id IS NOT NULL THEN 'imported' END) FROM inventory.containers
         UNION ALL SELECT concat_ws(' ', 'user', uid_number, username, mail, status) FROM inventory.users",
    )
}

#[test]
fn an_inventory_is_imported_twice() {
    let (theirs, db) = (TestDb::create(), TestDb::migrated());
    theirs.client().batch_execute(THEIRS).unwrap();
    let (host, port) = theirs.server();
    let admin = std::env::var("RIB_INGESTER_TEST_DATABASE_URL").unwrap();
    let (login, _) = admin.trim_start_matches("postgresql://").split_once('@').unwrap();
    let url = format!("postgresql://{login}@{host}:{port}/{}", theirs.name());
    let want = [
        "site 1 fra1 203.0.113.10",
        "node 1 n1 198.51.100.5 1",
        "container 1 web1 running 1 100 00:00:5e:00:53:01 198.51.100.9 imported",
        "user 2000 ada ada@example.com active",
    ];
    assert_eq!(run(&db, &["import", "inventory", &url]).0, 0);
    assert_eq!(stored(&db), want);
    let jobs = "SELECT name || ' ' || associated_resource || ' ' || status FROM inventory.jobs";
    assert_eq!(db.rows(jobs), ["import a database success"]);
    assert_eq!(db.rows("SELECT count(*) FROM inventory.job_statuses"), ["4"]);

    // The same as JSON of its API writes nothing; CSV of one table changes that.
    let json = r#"{"sites": [{"id": 1, "name": "fra1", "externalIp": "203.0.113.10", "updatedAt": "2026-11-26"}],
                   "containers": [{"id": 1, "hostname": "web1", "status": "running", "nodeId": 1, "containerId": 100,
                                   "macAddress": "00:00:5e:00:53:01", "ipv4Address": "198.51.100.9"}]}"#;
    let json = file("inventory.json", json);
    assert_eq!(run(&db, &["import", "inventory", text(&json)]).0, 0);
    assert_eq!(db.rows(jobs).len(), 1, "an import that changes nothing leaves no trace");
    let csv = file("Nodes.csv", "id,name,ipv4Address,siteId,apiUrl\n1,n1,198.51.100.6,1,https://n1.example/\n");
    assert_eq!(run(&db, &["import", "inventory", text(&csv), "--dry-run"]).0, 0);
    assert_eq!(stored(&db), want);
    assert_eq!(run(&db, &["import", "inventory", text(&csv)]).0, 0);
    assert_eq!(stored(&db)[1], "node 1 n1 198.51.100.6 1");

    // Rows that are gone stay unless they are pruned, in the tables of the source. What others refer to is not removed.
    let none = file("none.json", r#"{"containers": []}"#);
    let no_sites = file("no-sites.json", r#"{"sites": []}"#);
    let site_stays = command(&db, &["import", "inventory", text(&no_sites), "--prune"]);
    let said = String::from_utf8(site_stays.stderr).unwrap();
    assert!(site_stays.status.code() == Some(2) && said.contains("inventory.sites"), "{said}");
    for (arguments, rows) in [(&["--prune", "--dry-run"][..], 4), (&[], 4), (&["--prune"], 3)] {
        assert_eq!(run(&db, &[&["import", "inventory", text(&none)], arguments].concat()).0, 0);
        assert_eq!(stored(&db).len(), rows, "{arguments:?}");
    }

    // A wrong row is refused with its place, and recorded.
    let wrong = file("containers.csv", "id,hostname,nodeId,ipv4Address,status\n2,db1,1,198.51.100.300,running\n");
    let output = command(&db, &["import", "inventory", text(&wrong)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("line 2: ipv4_address: "), "{said}");
    let secrets = db.rows("SELECT count(*) FROM inventory.users u WHERE u::text LIKE '%hunter2%'");
    assert_eq!(secrets, ["0"]);
}

const NETBOX: &str = r#"{
    "sites": [{"id": 21, "name": "fra1", "slug": "fra1"}, {"id": 22, "name": "ham1", "slug": "ham1"}],
    "devices": [{"id": 1, "name": "pve1", "site": {"id": 21, "name": "fra1"}, "cluster": {"id": 3, "name": "c1"},
                 "primary_ip4": {"id": 5, "address": "198.51.100.5/24"}}],
    "virtual_machines": [{"id": 7, "name": "web1", "site": {"id": 21, "name": "fra1"}, "device": {"id": 1, "name": "pve1"},
                          "status": {"value": "active", "label": "Active"},
                          "primary_ip4": {"id": 6, "address": "198.51.100.9/24"}},
                         {"id": 8, "name": "db1", "site": {"id": 21, "name": "fra1"}, "device": {"id": 1, "name": "pve1"},
                          "status": {"value": "active", "label": "Active"}, "primary_ip4": null, "primary_ip6": null}],
    "ip_addresses": [{"id": 6, "address": "198.51.100.9/24", "assigned_object": {"id": 1, "virtual_machine": {"id": 7}}},
                     {"id": 10, "address": "198.51.100.20/24", "assigned_object": {"id": 2, "virtual_machine": {"id": 8}}}],
    "services": [{"id": 9, "virtual_machine": {"id": 7, "name": "web1"}, "name": "https", "ports": [443],
                  "protocol": {"value": "tcp", "label": "TCP"}}]}"#;

/// A NetBox that answers in pages of one object, for whoever has the token. Returns its URL.
fn netbox_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let base = url.clone();
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap(), &base)));
    url
}

fn answer(mut stream: TcpStream, base: &str) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let target = head[0].split(' ').nth(1).unwrap().to_owned();
    let is_known = head.iter().any(|line| line.eq_ignore_ascii_case("authorization: Token letmein"));
    let objects: Value = serde_json::from_str(NETBOX).unwrap();
    let (path, query) = target.split_once('?').unwrap();
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap().replace('-', "_");
    let first = query.split("offset=").nth(1).map_or(0, |offset| offset.parse::<usize>().unwrap());
    let list = objects[&name].as_array().unwrap();
    let next = (first + 1 < list.len()).then(|| format!("{base}{path}?limit=1&offset={}", first + 1));
    let body = json!({"count": list.len(), "next": next, "previous": null, "results": [list[first]]}).to_string();
    let (status, body) = if is_known { ("200 OK", body) } else { ("403 Forbidden", String::new()) };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
}

#[test]
fn netbox_and_an_exchange_fill_what_they_know() {
    let db = TestDb::migrated();
    let sites =
        "INSERT INTO inventory.sites (id, name, external_ip) VALUES (5, 'fra1', '203.0.113.10'), (9, 'ham1', NULL)";
    db.client().batch_execute(sites).unwrap();
    let (netbox, token, url) = (file("netbox.json", NETBOX), file("token", "letmein\n"), netbox_server());
    let output = command(&db, &["import", "netbox", &url]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && said.contains("dcim/sites/: HTTP 403: it wants another token"),
        "{said}"
    );
    for (source, added) in [(url.as_str(), "1 added"), (text(&netbox), "0 added")] {
        let (code, report) = run(&db, &["import", "netbox", source, "--token-file", text(&token)]);
        assert!(code == 0 && report.contains(&format!("inventory.services: {added}")), "{report}");
    }
    let want = [
        "site 5 fra1 203.0.113.10",
        "site 9 ham1",
        "node 1 pve1 198.51.100.5 5",
        "container 1 web1 running 1 198.51.100.9 imported",
        "container 2 db1 running 1 198.51.100.20 imported",
    ];
    assert_eq!(stored(&db), want);
    let services = db.rows(
        "SELECT protocol, container_port, external_port, use_tls FROM inventory.services s
                            JOIN inventory.transport_services t ON t.service_id = s.id",
    );
    assert_eq!(services, ["tcp|443|-|t"]);
    // Of a NetBox with less, the rest stays until it is pruned: what came from elsewhere too, but not what depends on
    // nothing of NetBox.
    let mut less: Value = serde_json::from_str(NETBOX).unwrap();
    less["virtual_machines"].as_array_mut().unwrap().pop();
    less["sites"].as_array_mut().unwrap().pop();
    less["services"] = json!([]);
    db.client().batch_execute("INSERT INTO inventory.users (uid_number, username) VALUES (2000, 'ada')").unwrap();
    let less = file("less.json", &less.to_string());
    for (arguments, rows) in [(&["--prune", "--dry-run"][..], 6), (&[], 6), (&["--prune"], 4)] {
        assert_eq!(run(&db, &[&["import", "netbox", text(&less)], arguments].concat()).0, 0);
        assert_eq!(stored(&db).len(), rows, "{arguments:?}");
    }
    assert_eq!(stored(&db)[..3], [want[0], want[2], want[3]]);
    assert_eq!(db.rows("SELECT count(*) FROM inventory.services"), ["0"]);

    let export = r#"{"version": "1.0", "timestamp": "2026-11-26T00:00:00Z",
        "ixp_list": [{"ixp_id": 1, "ixf_id": 1, "shortname": "EX-IX"}],
        "member_list": [{"asnum": 64500, "name": "Example Networks", "connection_list": [{"ixp_id": 1, "state": "active",
            "vlan_list": [{"vlan_id": 1, "ipv4": {"address": "192.0.2.1", "routeserver": true, "max_prefix": 100}}]}]}]}"#;
    let export = file("members.json", export);
    for report in
        ["watches: 2 added, 0 changed, 0 removed, 0 equal\n", "watches: 0 added, 0 changed, 0 removed, 2 equal\n"]
    {
        assert_eq!(run(&db, &["import", "ix-f", text(&export), "--prune"]), (0, report.to_owned()));
    }
    let watches = db.rows(
        "SELECT name, kind, host(peer_address), max_routes, source, note FROM watch.watches WHERE source LIKE 'ix-f%' ORDER BY id",
    );
    let note = "ix-f EX-IX|Example Networks, AS64500, at EX-IX";
    assert_eq!(
        watches,
        [
            format!("EX-IX AS64500 192.0.2.1|session|192.0.2.1|-|{note}"),
            format!("EX-IX AS64500 192.0.2.1 routes|peer_routes|192.0.2.1|100|{note}"),
        ]
    );
}
