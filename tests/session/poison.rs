//! A row that the database refuses: it alone is written to the rejected file with the reason, the rest is stored, and
//! nothing is retried forever.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

/// Prefixes of the router's table.
const TABLE: u32 = 500;

/// The condition by which the database refuses rows, in both tables.
const REFUSE: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.prefix = '10.0.77.0/24' THEN
            RAISE EXCEPTION 'on purpose' USING ERRCODE = TG_ARGV[0];
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON current_routes FOR EACH ROW EXECUTE FUNCTION refuse('22003');
    CREATE TRIGGER refuse BEFORE INSERT ON route_events FOR EACH ROW EXECUTE FUNCTION refuse('22021')";

fn greet(router: &mut FakeRouter, peer: Peer) {
    let open = Open::of(64_500, &peer.bgp_id.to_string());
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(peer, &open, Some("global")));
}

/// The whole table, distinguished by its MED.
fn table(peer: Peer, med: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for first in (0..TABLE).step_by(10) {
        let prefixes: Vec<String> = (first..first + 10).map(|i| format!("10.{}.{}.0/24", i >> 8, i & 0xff)).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
        out.extend(bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", &prefixes)));
    }
    out.extend(bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    out
}

fn count(db: &TestDb, of: &str) -> i64 {
    db.rows(&format!("SELECT count(*) FROM {of}"))[0].parse().unwrap()
}

fn rejected(state_dir: &Path) -> PathBuf {
    state_dir.join("rejected/10.255.0.1.rows")
}

fn metric(ingester: &mut Ingester, name: &str) -> u64 {
    let (_, _, metrics) = ingester.get("/metrics");
    let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_refused_row_keeps_its_reason_the_rest_is_stored() {
    let db = TestDb::migrated();
    rib_ingester::maintenance::run_once(&mut db.client(), 30).unwrap();
    db.client().batch_execute(REFUSE).unwrap();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    greet(&mut router, peer);
    router.send(&table(peer, 1));
    let others = i64::from(TABLE) - 1;
    eventually_equal(others, || count(&db, "current_routes WHERE med = 1"));
    eventually_equal(others, || count(&db, "route_events"));
    eventually_equal(1, || count(&db, "rib_sync_status WHERE eor_seen"));
    let file = rejected(ingester.state_dir());
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    let of = |code: &str| lines().lines().filter(|line| line.contains(code)).count();
    eventually("both rows are in the file", || (of("22003") == 1 && of("22021") == 1).then_some(()));
    assert!(lines().lines().all(|line| line.contains("on purpose") && line.contains("10.0.77.0/24")), "{}", lines());
    assert_eq!(metric(&mut ingester, "rib_ingester_rejected_rows_total"), 2);
    // Nothing waits for it: it is not retried, the collector is ready, and later input is stored.
    assert_eq!(metric(&mut ingester, "rib_ingester_retries_total"), 0);
    assert_eq!(ingester.get("/readyz").0, 200);
    router.send(&table(peer, 2));
    eventually_equal(others, || count(&db, "current_routes WHERE med = 2"));
    eventually_equal(2 * others, || count(&db, "route_events"));
    eventually_equal(4, || lines().lines().count());
    // Rows that are no longer refused are stored.
    db.client().batch_execute("DROP FUNCTION refuse CASCADE").unwrap();
    router.send(&table(peer, 3));
    eventually_equal(others + 1, || count(&db, "current_routes WHERE med = 3"));
    assert_eq!(ingester.log().iter().filter(|line| line.contains(" error ")).count(), 0);
    assert!(ingester.stop().success());
}

#[test]
fn the_rejected_file_is_bounded() {
    let db = TestDb::migrated();
    db.client().batch_execute(REFUSE).unwrap();
    let mut ingester = Ingester::start(&db.url(), &[("HISTORY", "off")]);
    let file = rejected(ingester.state_dir());
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    // As if it had grown for years: 16 MiB, a sparse file.
    std::fs::File::create(&file).unwrap().set_len(16 << 20).unwrap();
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    greet(&mut router, peer);
    router.send(&table(peer, 1));
    ingester.logged("not kept, there is no room in the rejected folder");
    eventually_equal(i64::from(TABLE) - 1, || count(&db, "current_routes"));
    assert_eq!(file.metadata().unwrap().len(), 16 << 20);
    assert!(ingester.stop().success());
}
