//! The example of docs/inventory.md and of `scripts/run --example inventory`: what the page shows is what comes out.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs;
use std::path::Path;

use super::scene::{Router, run};
use crate::common::bmp;
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;

/// The output that the page shows for a command.
fn shown(command: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/inventory.md")).unwrap();
    let (_, rest) =
        page.split_once(&format!("$ {command}\n")).unwrap_or_else(|| panic!("{command} is not on the page"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// Replaces the times of lines, which are as long as each other.
fn without_times(text: &str) -> String {
    let mut out = text.to_owned();
    while let Some(end) = out.find(" UTC ") {
        let start = end - "2026-11-26 16:04:55".len();
        out.replace_range(start..end + " UTC".len(), &"T".repeat(23));
    }
    out
}

#[test]
fn the_page_shows_what_comes_out() {
    let db = TestDb::migrated();
    let json = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/example-inventory.json");
    assert_eq!(run(&db, &["import", "inventory", json.to_str().unwrap()]).0, 0);
    let settings = "INSERT INTO inventory.settings VALUES ('watch_settle_secs', '0'), ('watch_open_after_secs', '0')";
    db.client().batch_execute(settings).unwrap();
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "adj-rib-in-pre")]);
    let mut edge1 = Router { socket: ingester.connect(), loc_rib: bmp::Peer::loc_rib("192.0.2.1") };
    edge1.socket.send(&bmp::initiation(b"edge1", b""));
    let (web, database) = ("198.51.100.0/24", "203.0.113.0/24");
    let one = edge1.peer("192.0.2.11", 64_501, &[(web, &[64_501, 64_496]), (database, &[64_501, 64_496])]);
    edge1.peer("192.0.2.12", 64_502, &[(database, &[64_502, 64_496])]);
    let states = || db.rows("SELECT state FROM inventory.services_overview ORDER BY service_id");
    eventually_equal(["reachable", "reachable", "unknown"].map(str::to_owned).to_vec(), states);
    eventually_equal((3, shown("rib-ingester impact 192.0.2.11")), || run(&db, &["impact", "192.0.2.11"]));
    edge1.socket.send(&bmp::route_monitoring(one, &bmp::withdraw(&[web])));
    eventually_equal(["unreachable", "reachable", "unknown"].map(str::to_owned).to_vec(), states);
    let (code, bad) = run(&db, &["inventory", "--bad"]);
    assert_eq!((code, without_times(&bad)), (0, without_times(&shown("rib-ingester inventory --bad"))));
}
