//! `kill -9` between the transactions of one batch: the position moves with the last of them, and what that one writes is
//! stored once.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use postgres::Client;

const ROUTER: &str = "10.255.0.1";

/// What holds up the transactions of a batch that ends a dump, in their order.
const STEPS: [&str; 4] = [
    "SELECT FROM current_routes WHERE prefix = '10.1.0.0/16' FOR UPDATE",
    "SELECT FROM current_routes WHERE prefix = '10.3.0.0/16' FOR UPDATE",
    "SELECT FROM rib_sync_status WHERE afi = 4 FOR UPDATE",
    "LOCK TABLE session_events IN SHARE MODE",
];

/// All that is stored, but for what a restart tells.
const STORED: [&str; 5] = [
    "SELECT kind, table_name, peer_address, routes, count(*) FROM session_events
     WHERE kind <> 'session_lost' AND reason IS DISTINCT FROM 'input of an earlier session'
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    "SELECT peer_address, state, flap_count FROM peers ORDER BY 1",
    "SELECT prefix, med FROM current_routes ORDER BY 1",
    "SELECT prefix, action, med FROM route_events ORDER BY 1, ingest_time",
    "SELECT table_name, afi, eor_seen, stale_since IS NULL FROM rib_sync_status ORDER BY 1, 2",
];

struct Scene {
    db: TestDb,
    state_dir: Folder,
}

fn announce(peer: Peer, prefix: &str, med: u32) -> Vec<u8> {
    let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
    bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", &[prefix]))
}

/// A lock, and the process of the server that holds it.
fn hold(db: &TestDb, lock: &str) -> (Client, i32) {
    let mut client = db.client();
    client.batch_execute(&format!("BEGIN; {lock}")).unwrap();
    let process = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    (client, process)
}

impl Scene {
    /// A router's routes are stored, and its session is lost.
    fn new() -> Scene {
        let scene = Scene { db: TestDb::create(), state_dir: Folder::new() };
        let ingester = scene.start();
        let mut router = scene.greet(&ingester);
        let loc_rib = Peer::loc_rib(ROUTER);
        router.send(&["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"].map(|prefix| announce(loc_rib, prefix, 1)).concat());
        router.send(&bmp::route_monitoring(loc_rib, &bmp::end_of_rib_ipv4()));
        scene.is_told("end_of_rib", 1);
        drop(router);
        scene.is_told("session_lost", 1);
        eventually("its journal to be gone", || scene.is_stored().then_some(()));
        assert!(ingester.stop().success());
        scene
    }

    fn start(&self) -> Ingester {
        Ingester::start(&self.db.url(), &[("STATE_DIR", self.state_dir.path().to_str().unwrap())])
    }

    fn greet(&self, ingester: &Ingester) -> FakeRouter {
        let mut router = ingester.connect();
        router.send(&bmp::initiation(b"edge1", b""));
        router.send(&bmp::peer_up(Peer::loc_rib(ROUTER), &Open::of(64_500, ROUTER), Some("global")));
        router
    }

    fn is_told(&self, kind: &str, times: u32) {
        let count = format!("SELECT count(*) FROM session_events WHERE kind = '{kind}'");
        eventually_equal(vec![times.to_string()], || self.db.rows(&count));
    }

    /// Whether nothing is left in the journal.
    fn is_stored(&self) -> bool {
        let streams = std::fs::read_dir(self.state_dir.path().join("journal")).unwrap().flatten();
        streams.filter(|entry| entry.path().is_dir()).count() == 0
    }

    /// The next dump, which leaves a route out, and a peer that comes and goes, all in one write.
    fn dump(router: &mut FakeRouter) {
        let (loc_rib, peer) = (Peer::loc_rib(ROUTER), Peer::global_instance("192.0.2.1", 64_501));
        let mut all = ["10.1.0.0/16", "10.2.0.0/16"].map(|prefix| announce(loc_rib, prefix, 2)).concat();
        let flap = [bmp::peer_up(peer, &Open::of(64_500, ROUTER), None), bmp::peer_down(peer, 1)].concat();
        all.extend(&flap);
        all.extend(bmp::route_monitoring(loc_rib, &bmp::end_of_rib_ipv4()));
        all.extend(&flap);
        router.send(&all);
    }

    /// Stands until a state writer waits for the lock of this process.
    fn stands_at(&self, process: i32) {
        let waits = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE application_name LIKE 'rib-ingester/state-%' AND {process} = ANY (pg_blocking_pids(pid))"
        );
        eventually("a state writer to stand there", || (self.db.rows(&waits) != ["0"]).then_some(()));
    }

    /// All that is stored when nothing is left in the journal.
    fn stored(&self) -> Vec<Vec<String>> {
        eventually("its journal to be gone", || self.is_stored().then_some(()));
        STORED.iter().map(|rows| self.db.rows(rows)).collect()
    }
}

/// What is stored of a dump whose batch is killed at a step, after the next start; without a step nothing is killed.
fn killed_at(step: Option<usize>) -> Vec<Vec<String>> {
    let scene = Scene::new();
    let mut ingester = scene.start();
    let mut router = scene.greet(&ingester);
    ingester.logged("table global IPv4: dump begins, 3 routes stored");
    let Some(step) = step else {
        Scene::dump(&mut router);
        scene.is_told("end_of_rib", 2);
        drop(router);
        scene.is_told("session_lost", 2);
        let stored = scene.stored();
        assert!(ingester.stop().success());
        return stored;
    };
    let mut held = hold(&scene.db, STEPS[step.min(1)]);
    Scene::dump(&mut router);
    scene.stands_at(held.1);
    if step > 1 {
        // The next lock is there before this one goes.
        held = hold(&scene.db, STEPS[step]);
        scene.stands_at(held.1);
    }
    ingester.kill();
    drop(held);
    let ingester = scene.start();
    let stored = scene.stored();
    assert!(ingester.stop().success());
    stored
}

#[test]
fn a_kill_between_the_parts_of_a_batch_repeats_none() {
    let want = killed_at(None);
    assert!(want[0].iter().any(|row| row.starts_with("end_of_rib|")), "{want:#?}");
    for (step, lock) in STEPS.iter().enumerate() {
        assert_eq!(killed_at(Some(step)), want, "{lock}");
    }
}
