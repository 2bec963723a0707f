//! Imports of teams: a list of prefixes, the documents of a document store, another database.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::common::pg::TestDb;

/// A file with this text, in a folder of the process.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rib-ingester-tenants-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// Runs an import and returns its output, or its errors where it fails.
fn import(db: &TestDb, source: &str, options: &[&str]) -> Result<String, String> {
    let mut run = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    run.args(["import", "tenants", source]).args(options).env_clear().env("RIB_INGESTER_DATABASE_URL", db.url());
    let output = run.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Returns the lines of tables that say that something was written.
fn written(output: &str) -> Vec<&str> {
    output.lines().filter(|line| !line.contains(": 0 added, 0 changed, 0 removed")).collect()
}

#[test]
fn teams_are_imported_from_lists_documents_databases() {
    let db = TestDb::migrated();
    let list = file(
        "customers.csv",
        "asn,prefixes,team,mail\nAS64496,198.51.100.0/24;2001:db8:1::/48,blue,noc@blue.example\n\
         64497,203.0.113.0/24,green,\n,192.0.2.0/25 192.0.2.128/25,green,x@green.example\n",
    );
    let list = list.to_str().unwrap();
    let dry = import(&db, list, &["--dry-run"]).unwrap();
    assert!(dry.contains("192.0.2.128/25") && dry.contains("nothing was written"), "{dry}");
    assert_eq!(db.rows("SELECT count(*) FROM tenant.teams"), ["0"]);
    let output = import(&db, list, &[]).unwrap();
    assert!(output.contains("tenant.resources: 5 added"), "{output}");
    let resources = "SELECT team_id, prefix, origin_asn, mail FROM tenant.resources ORDER BY prefix";
    let stored = db.rows(resources);
    assert_eq!(
        stored,
        [
            "green|192.0.2.0/25|-|x@green.example",
            "green|192.0.2.128/25|-|x@green.example",
            "blue|198.51.100.0/24|64496|noc@blue.example",
            "green|203.0.113.0/24|64497|-",
            "blue|2001:db8:1::/48|64496|noc@blue.example",
        ]
    );
    assert_eq!(written(&import(&db, list, &[]).unwrap()), Vec::<&str>::new());
    let wrong = file("wrong.csv", "asn,prefixes,team,mail\n1,198.51.100.1/24,blue,\n");
    let error = import(&db, wrong.to_str().unwrap(), &[]).unwrap_err();
    assert!(error.contains("line 2: prefix:") && error.contains("nothing was imported"), "{error}");
    documents(&db);
    another_database(&db);
}

fn documents(db: &TestDb) {
    let id = |text: &str| json!({"$oid": format!("{text:0>24}")});
    let export = json!({
        "teams": [{"_id": id("1"), "name": "Blue Hosting", "__v": 0}],
        "users": [{"_id": id("2"), "email": "ada@blue.example", "username": "ada", "password": "hunter2",
                   "teams": [id("1")]}],
        "domains": [{"_id": id("3"), "team": id("1"), "domain": "www.blue.example", "tlsStatus": "Active",
                     "createdAt": {"$date": "2026-11-26T03:04:06Z"}}],
        "dnsrecords": [{"_id": id("4"), "domainId": id("3"), "type": "A", "name": "@", "value": "198.51.100.10"},
                       {"_id": id("5"), "domainId": id("3"), "type": "CNAME", "name": "shop", "value": "www.blue.example"}],
        "proxyconfigs": [{"_id": id("6"), "domainId": id("3"), "waf": {"rules": [{"deny": null}]}}],
        "alerts": [{"_id": id("7"), "domainId": id("3"), "message": "502 streak"}],
        "analyticsdatas": [{"_id": id("8"), "requests": 1}],
    });
    let path = file("export.json", &export.to_string());
    let path = path.to_str().unwrap();
    import(db, path, &[]).unwrap();
    let blue = format!("{:0>24}", "1");
    assert_eq!(
        db.rows(&format!(
            "SELECT d.team_id = '{blue}', d.hostname, d.tls_state, r.type, r.address, p.config, a.message, u.name, m.team_id = d.team_id
             FROM tenant.domains d JOIN tenant.dns_records r ON r.domain_id = d.id AND r.type = 'A' JOIN tenant.proxy_configs p ON p.domain_id = d.id
             JOIN tenant.alerts a ON a.domain_id = d.id JOIN tenant.members m ON m.team_id = d.team_id JOIN tenant.users u ON u.id = m.user_id"
        )),
        ["t|www.blue.example|active|A|198.51.100.10|{\"waf\": {\"rules\": [{\"deny\": null}]}}|502 streak|ada|t"]
    );
    assert_eq!(written(&import(db, path, &[]).unwrap()), Vec::<&str>::new());
    let fewer = export.to_string().replace("198.51.100.10", "x");
    let error = import(db, file("export.json", &fewer).to_str().unwrap(), &[]).unwrap_err();
    assert!(error.contains("item 1") && error.contains("needs an IPv4 address, not \"x\""), "{error}");
    let mut fewer = export;
    fewer["dnsrecords"].as_array_mut().unwrap().pop();
    let output =
        import(db, file("export.json", &fewer.to_string()).to_str().unwrap(), &["--prune", "--table", "x"]).unwrap();
    assert!(output.contains("tenant.dns_records: 0 added, 0 changed, 1 removed, 1 equal"), "{output}");
    // An import gives no role to a team.
    let members = json!([{"teamId": blue, "userId": format!("{:0>24}", "2"), "db_role": "t1"}]);
    let error = import(db, file("members.json", &members.to_string()).to_str().unwrap(), &[]).unwrap_err();
    assert!(error.contains("tenant.members: item 1") && error.contains("db_role"), "{error}");
}

/// The tables under the names of the text, in a database of another system.
fn another_database(db: &TestDb) {
    let other = TestDb::create();
    other
        .client()
        .batch_execute(
            "CREATE TABLE teams (id TEXT PRIMARY KEY, name TEXT);
             CREATE TABLE domains (id TEXT PRIMARY KEY, \"teamId\" TEXT, hostname TEXT);
             CREATE TABLE dns_records (id TEXT PRIMARY KEY, \"domainId\" TEXT, type TEXT, name TEXT, content TEXT);
             CREATE TABLE sessions (token TEXT);
             INSERT INTO teams VALUES ('red', 'Red');
             INSERT INTO domains VALUES ('rd', 'red', 'www.red.example');
             INSERT INTO dns_records VALUES ('rr', 'rd', 'AAAA', '@', '2001:db8:3::1')",
        )
        .unwrap();
    // A URL, as a command line takes it.
    let (host, port) = other.server();
    let user: postgres::Config = other.url().parse().unwrap();
    let password = String::from_utf8_lossy(user.get_password().unwrap_or_default()).into_owned();
    let url = format!(
        "postgresql://{}:{password}@{}:{port}/{}",
        user.get_user().unwrap(),
        host.replace('/', "%2F"),
        other.name()
    );
    let output = import(db, &url, &[]).unwrap();
    assert!(output.contains("tenant.dns_records: 1 added"), "{output}");
    assert_eq!(db.rows("SELECT team_id, address FROM tenant.dns_records WHERE id = 'rr'"), ["red|2001:db8:3::1"]);
    assert_eq!(written(&import(db, &url, &[]).unwrap()), Vec::<&str>::new());
}
