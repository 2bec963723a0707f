//! Changes that watches may care about reach `watch.outbox`. The collector under test has no evaluator; another one, of
//! which there is only a row, would read the outbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;

/// A database with a collector that is alive and evaluates watches, and with these watches.
fn watched(watches: &str) -> TestDb {
    let db = TestDb::migrated();
    let reader = "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version, watch)
                  VALUES ('reader', gen_random_uuid(), now() + interval '1 day', now(), '', true)";
    db.client().batch_execute(reader).unwrap();
    db.client().batch_execute(watches).unwrap();
    db
}

fn start(db: &TestDb) -> Ingester {
    Ingester::start(&db.url(), &[("WATCH", "off")])
}

const MATCHED: &str =
    "SELECT t.version = c.trie_version FROM watch.trie_version t, collectors c WHERE collector_id = 'test'";

#[test]
fn a_collector_reports_what_its_writers_match() {
    let db = watched("INSERT INTO watch.watches (name, kind, prefix) VALUES ('ours', 'prefix', '192.0.2.0/24')");
    let ingester = start(&db);
    eventually_equal(vec!["t".to_owned()], || db.rows(MATCHED));
    let watch = "INSERT INTO watch.watches (name, kind, address) VALUES ('server', 'address', '198.51.100.1')";
    db.client().batch_execute(watch).unwrap();
    eventually_equal(vec!["t".to_owned()], || db.rows(MATCHED));
    // No one reads the outbox.
    let set = |watch| format!("UPDATE collectors SET watch = {watch} WHERE collector_id = 'reader'");
    db.client().batch_execute(&set(false)).unwrap();
    eventually_equal(vec!["-".to_owned()], || db.rows(MATCHED));
    db.client().batch_execute(&set(true)).unwrap();
    eventually_equal(vec!["t".to_owned()], || db.rows(MATCHED));
    assert!(ingester.stop().success());
}
