//! Imports into schemas beside the routes, on the tables of the registry.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::PathBuf;
use std::process::Command;

use crate::common::pg::TestDb;

const EDGE: &str = "00000000-0000-0000-0000-000000000001";
const SESSION: &str = "00000000-0000-0000-0000-00000000000a";

/// The files of one test.
struct Files(PathBuf);

impl Files {
    fn of(db: &TestDb) -> Files {
        let folder = std::env::temp_dir().join(format!("rib-ingester-import-{}", db.name()));
        std::fs::create_dir_all(&folder).unwrap();
        Files(folder)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Imports into the registry; returns the exit code and the lines of both outputs.
fn import(db: &TestDb, arguments: &[&str]) -> (i32, Vec<String>) {
    let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
        .args(["import", "registry"])
        .args(arguments)
        .env("RIB_INGESTER_DATABASE_URL", db.url())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap().lines().map(str::to_owned).collect())
}

/// Imports, and checks that it succeeds and that these lines are among those it prints.
fn imported(db: &TestDb, arguments: &[&str], want: &[&str]) {
    let (code, lines) = import(db, arguments);
    assert_eq!(code, 0, "{arguments:?}: {lines:#?}");
    for line in want {
        assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
    }
}

/// Imports, and checks that exactly these lines say why nothing was.
fn refused(db: &TestDb, arguments: &[&str], want: &[&str]) {
    let (code, lines) = import(db, arguments);
    assert_eq!(code, 2, "{arguments:?}: {lines:#?}");
    let want: Vec<String> = want.iter().map(|line| format!("rib-ingester: {line}")).collect();
    assert_eq!(lines, [want, vec!["rib-ingester: nothing was imported".to_owned()]].concat());
}

fn users(db: &TestDb) -> Vec<String> {
    db.rows(
        "SELECT id || ' ' || asn || ' ' || COALESCE(person, '-') || ' ' || is_admin FROM registry.users ORDER BY id",
    )
}

#[test]
fn a_second_import_writes_nothing() {
    let db = TestDb::migrated();
    let files = Files::of(&db);
    let source = files.write(
        "all.json",
        &format!(
            r#"{{"sessions": [{{"UUID": "{SESSION}", "router": "{EDGE}", "asn": 64500, "status": 0, "data": {{"a": [1]}}}}],
                "routers": [{{"uuid": "{EDGE}", "name": "edge1"}}],
                "users": [{{"id": 7, "asn": "64500", "person": "EXAMPLE-MNT", "isAdmin": true, "nick": "x"}},
                          {{"id": 8, "asn": 64501, "isAdmin": null}}],
                "unknown": []}}"#
        ),
    );
    imported(
        &db,
        &[&source, "--dry-run"],
        &[
            "rib-ingester: unknown: registry has no such table, ignored",
            "rib-ingester: registry.users: nick: no such column, ignored",
            "registry.users: 2 added, 0 changed, 0 removed, 0 equal",
            "  + id 7: asn 64500, is_admin true, person \"EXAMPLE-MNT\"",
            "nothing was written: --dry-run",
        ],
    );
    assert_eq!(users(&db), Vec::<String>::new());
    imported(&db, &[&source], &["registry.users: 2 added, 0 changed, 0 removed, 0 equal"]);
    assert_eq!(users(&db), ["7 64500 EXAMPLE-MNT true", "8 64501 - false"]);
    let versions =
        || db.rows("SELECT xmin::text FROM registry.users UNION ALL SELECT xmin::text FROM registry.bgp_sessions");
    let before = versions();
    imported(
        &db,
        &[&source],
        &[
            "registry.users: 0 added, 0 changed, 0 removed, 2 equal",
            "registry.bgp_sessions: 0 added, 0 changed, 0 removed, 1 equal",
        ],
    );
    assert_eq!(versions(), before);
    // A number that the database gives is behind those that came.
    db.client().batch_execute("INSERT INTO registry.users (asn) VALUES (64502)").unwrap();
    assert_eq!(users(&db)[2], "9 64502 - false");
}

#[test]
fn what_the_source_lacks_stays_unless_pruned() {
    let db = TestDb::migrated();
    let files = Files::of(&db);
    db.client()
        .batch_execute(&format!(
            "INSERT INTO registry.routers (uuid, name) VALUES ('{EDGE}', 'edge1');
             INSERT INTO registry.users (id, asn, person, is_admin) VALUES (1, 64500, 'A', true), (2, 64501, 'B', true)"
        ))
        .unwrap();
    // The columns is_admin and telegram_id are not in the source; user 3 takes the AS that user 2 had.
    let source = files.write("users.csv", "id,asn,person\n# ours\n1,64500,C\n3,64501,\n");
    refused(
        &db,
        &[&source],
        &[
            "registry.users: line 4: asn: duplicate key value violates unique constraint \"users_asn\" (Key (asn)=(64501) already exists.)",
        ],
    );
    let changes = ["  - id 2", "  ~ id 1: person \"A\" -> \"C\"", "  + id 3: asn 64501"];
    imported(&db, &[&source, "--prune", "--dry-run"], &changes);
    imported(&db, &[&source, "--prune"], &["registry.users: 1 added, 1 changed, 1 removed, 0 equal"]);
    assert_eq!(users(&db), ["1 64500 C true", "3 64501 - false"]);
    assert_eq!(db.rows("SELECT name FROM registry.routers"), ["edge1"], "a table that the source does not have");
    let only_one = files.write("one.csv", "id,asn\n1,64500\n");
    imported(
        &db,
        &[&only_one, "--table", "users"],
        &["registry.users: 0 added, 0 changed, 0 removed, 1 equal, 1 row not in the source (--prune removes them)"],
    );
}

#[test]
fn wrong_rows_are_named_and_nothing_is_imported() {
    let db = TestDb::migrated();
    let files = Files::of(&db);
    let json = |text: &str| files.write("wrong.json", text);
    refused(
        &db,
        &[&json(&format!(
            r#"{{"users": [{{"id": 1, "asn": "many"}}, {{"asn": 64500}}],
                "routers": [{{"uuid": "edge", "name": "{}"}}]}}"#,
            "x".repeat(101)
        ))],
        &[
            "registry.users: item 1: asn: \"many\" is not a whole number",
            "registry.users: item 2: id: is missing",
            "registry.routers: item 1: name: has 101 characters, the most are 100",
            "registry.routers: item 1: uuid: \"edge\" is not a UUID",
        ],
    );
    refused(
        &db,
        &[&json(&format!(
            r#"{{"users": [{{"id": 1}}, {{"id": 1}}],
                "bgp_sessions": [{{"uuid": "{SESSION}", "router": "{EDGE}", "asn": 64500, "status": 0}}]}}"#
        ))],
        &[
            "registry.users: item 2: id: 1 is given twice, first in item 1",
            &format!("registry.bgp_sessions: item 1: router: {EDGE} is in no row of registry.routers"),
        ],
    );
    // What only the database refuses: of many rows the one that is wrong.
    let mut rows: Vec<String> = (0..40).map(|i| format!(r#"{{"id": {i}, "asn": {}}}"#, 64_500 + i)).collect();
    rows.insert(17, r#"{"id": 100, "asn": 64505}"#.to_owned());
    let (code, lines) = import(&db, &[&json(&format!(r#"{{"users": [{}]}}"#, rows.join(",")))]);
    assert_eq!(code, 2);
    assert!(lines[0].starts_with("rib-ingester: registry.users: item 18: asn: duplicate key"), "{lines:#?}");
    for table in ["users", "routers", "bgp_sessions"] {
        assert_eq!(db.rows(&format!("SELECT count(*)::text FROM registry.{table} WHERE true")), ["0"], "{table}");
    }
}

#[test]
fn a_database_and_a_folder_are_sources() {
    let (db, other) = (TestDb::migrated(), TestDb::create());
    other
        .client()
        .batch_execute(&format!(
            "CREATE TABLE routers (uuid uuid, name varchar(100), \"createdAt\" timestamp);
             INSERT INTO routers VALUES ('{EDGE}', 'edge1', '2026-01-02 03:04:05');
             CREATE SCHEMA old; CREATE TABLE old.routers (uuid uuid); INSERT INTO old.routers VALUES (NULL);
             CREATE TABLE \"Users\" (id int, asn bigint); INSERT INTO \"Users\" VALUES (1, 64500)"
        ))
        .unwrap();
    imported(&db, &[&other.url()], &["registry.routers: 1 added, 0 changed, 0 removed, 0 equal"]);
    assert_eq!(db.rows("SELECT name || ' ' || created_at FROM registry.routers"), ["edge1 2026-01-02 03:04:05+00"]);
    assert_eq!(users(&db), ["1 64500 - false"]);
    // Out of a database of ours: its own schema, not the routers that are monitored.
    let copy = TestDb::migrated();
    imported(&copy, &[&db.url()], &["registry.routers: 1 added, 0 changed, 0 removed, 0 equal"]);
    let files = Files::of(&db);
    files.write("users.csv", "id,asn\n1,64501\n");
    files.write("routers.json", &format!(r#"[{{"uuid": "{EDGE}", "name": "edge2"}}]"#));
    imported(&db, &[files.0.to_str().unwrap()], &["registry.users: 0 added, 1 changed, 0 removed, 0 equal"]);
    assert_eq!(db.rows("SELECT name FROM registry.routers"), ["edge2"]);
    let (code, lines) = import(&db, &[&files.write("none.json", "{}")]);
    assert_eq!(code, 2);
    assert!(lines[0].ends_with("has none of the tables of registry: users, routers, bgp_sessions"), "{lines:?}");
}
