//! The example of docs/registry.md, run as it is printed.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::Path;
use std::process::Command;

use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;

use super::scene::{TOLD, connect, down, peer, sql, wait_for};

/// Runs a command on a database: its exit code and what it printed, standard output before standard error.
fn run(db: &TestDb, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output = command.args(words).env_clear().env("RIB_INGESTER_DATABASE_URL", db.url()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

/// The block of docs/registry.md after this line.
fn block(begin: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/registry.md")).unwrap();
    let (_, rest) = page.split_once(&format!("{begin}\n")).unwrap_or_else(|| panic!("no {begin}"));
    rest.split("```").next().unwrap().to_owned()
}

#[test]
fn the_example_of_the_page() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = connect(&ingester, "edge1", "192.0.2.1", &[1]);
    eventually_equal(vec!["up".to_owned()], || db.rows("SELECT state FROM peers"));
    let file = std::env::temp_dir().join(format!("rib-ingester-registry-{}.json", std::process::id()));
    let path = file.to_str().unwrap();
    let exported = block("```json");
    std::fs::write(&file, &exported).unwrap();
    assert_eq!(run(&db, &["import", "registry", path]), (0, block("$ rib-ingester import registry registry.json")));
    let (code, again) = run(&db, &["import", "registry", path]);
    assert!(code == 0 && again.matches(" 0 added, 0 changed, 0 removed").count() == 3, "{again}");
    // Numbers that cannot be right: the import is refused as a whole, and the collector writes nothing.
    wait_for(&db, &["1 1 up -"]);
    let wrong = "'DISABLED=1,ACTIVE=2,ERROR=6'";
    sql(&db, &format!("INSERT INTO registry.settings VALUES ('write_status', 'on'), ('status_codes', {wrong})"));
    std::fs::write(&file, exported.replace("EXAMPLE-MNT", "OTHER-MNT")).unwrap();
    let (code, said) = run(&db, &["import", "registry", path]);
    let why = "of 1 sessions that are up, 1 have a status such as 1, which means DISABLED; no status is written";
    assert!(
        code == 2 && said.contains(why) && said.contains("these numbers fit, for status_codes: documented"),
        "{said}"
    );
    assert_eq!(db.rows("SELECT person FROM registry.users"), ["EXAMPLE-MNT"]);
    ingester.logged("registry: not kept up to date: ");
    assert!(ingester.get("/readyz").2.contains(why));
    std::fs::remove_file(&file).unwrap();
    sql(&db, "DELETE FROM registry.settings");
    sql(&db, &block("```sql"));
    down(&mut router, peer(1), "bye");
    wait_for(&db, &[&format!("1 2 down {TOLD}")]);
    let (_, bad) = run(&db, &["sessions", "--bad"]);
    assert_eq!(without_ages(&bad), without_ages(&block("$ rib-ingester sessions --bad")), "{bad}");
    let (code, json) = run(&db, &["sessions", "--router", "EDGE1", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, rows.as_array().unwrap().len(), rows[0]["last_error"].as_str()), (0, 2, Some(TOLD)));
    let (_, uptime) = run(&db, &["sessions", "--uptime", "1d", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&uptime).unwrap();
    assert_eq!((rows[0]["peer_address"].as_str(), rows[0]["downs"].as_i64()), (Some("198.51.100.1"), Some(1)));
    let available = rows[0]["availability"].as_f64().unwrap();
    assert!(available > 0.0 && available < 1.0, "{uptime}");
    assert_eq!(run(&db, &["sessions", "--router", "edge9"]), (0, "no session\n".to_owned()));
    // The page has the same.
    let page = ingester.browse("/sessions?bad=yes").2;
    assert!(page.contains("AS65537 at edge1") && page.contains("Administrative Shutdown"), "{page}");
    // Where the operator wants incidents, a session is a watch that goes with it.
    sql(&db, "INSERT INTO registry.settings VALUES ('watches', 'on'), ('settle_secs', '0')");
    let watch = "SELECT w.kind, w.router_id, w.peer_address, w.severity, w.source FROM watch.watches w
                 JOIN registry.session_watches s ON s.watch_id = w.id";
    eventually_equal(vec!["session|192.0.2.1|198.51.100.1|warning|registry".to_owned()], || db.rows(watch));
    let incident =
        "SELECT DISTINCT condition, incident_state FROM registry.session_causes WHERE incident_id IS NOT NULL";
    eventually_equal(vec!["session_down|open".to_owned()], || db.rows(incident));
    sql(&db, "DELETE FROM registry.bgp_sessions");
    eventually_equal(vec!["0".to_owned()], || db.rows("SELECT count(*) FROM watch.watches"));
    drop(router);
    assert!(ingester.stop().success());
}

/// A table without its ages, and with single spaces.
fn without_ages(text: &str) -> String {
    let words = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_unit = |i: usize| i > 0 && words.get(i) == Some(&"s") && words[i - 1].parse::<u64>().is_ok();
        let kept = (0..words.len()).filter(|i| !is_unit(*i) && !is_unit(*i + 1));
        kept.map(|i| words[i]).collect::<Vec<_>>().join(" ")
    };
    text.trim().lines().map(words).collect::<Vec<_>>().join("\n")
}
