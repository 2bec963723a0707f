//! `kill -9`: every event that was read before it is stored once, and nothing that was stored is told again.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;

const ROUTER: &str = "10.255.0.1";

/// The number of changes that are sent while history is held back.
const CHANGES: u32 = 200;

fn change(peer: Peer, number: u32) -> Vec<u8> {
    let attributes = Attributes { med: Some(number), ..Attributes::path(&[64_500, 64_501]) };
    let peer = peer.at(1_700_000_000 + number);
    bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", &["198.51.100.0/24"]))
}

/// The changes of `sent`, all of which the collector has read when it is killed, are stored once after its next start.
fn survives_a_kill(sent: impl Fn(Peer, u32) -> Vec<u8>, want: &[String]) {
    let (db, state_dir) = (TestDb::create(), Folder::new());
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap())];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib(ROUTER);
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global")));
    router.send(&change(peer, 0));
    router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM route_events"));
    let mut holder = db.client();
    let mut transaction = holder.transaction().unwrap();
    transaction.batch_execute("LOCK TABLE route_events IN SHARE MODE").unwrap();
    for number in 1..=CHANGES {
        router.send(&sent(peer, number));
    }
    // Initiation, Peer Up, the dump and its End-of-RIB are counted too, but for what came before the name.
    let read = |page: &str| {
        let line = page.lines().find(|line| line.starts_with("rib_ingester_messages_total{"))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    eventually("all to be read", || {
        let (_, _, page) = ingester.get("/metrics");
        read(&page).filter(|messages| *messages >= f64::from(CHANGES) + 2.0)
    });
    ingester.kill();
    transaction.commit().unwrap();
    let ingester = Ingester::start(&db.url(), &settings);
    let meds = "SELECT med FROM route_events ORDER BY router_time, action";
    eventually_equal(want.to_vec(), || db.rows(meds));
    assert!(ingester.stop().success());
}

#[test]
fn kill_nine_loses_no_event_that_was_read() {
    let want: Vec<String> = (0..=CHANGES).map(|number| number.to_string()).collect();
    survives_a_kill(change, &want);
}

#[test]
fn kill_nine_keeps_flaps_within_a_second_apart() {
    // The same change again and again, in one second: event ids differ by their occurrence alone.
    let flap = |peer: Peer, number: u32| {
        if number % 2 == 1 {
            bmp::route_monitoring(peer.at(1_700_000_001), &bmp::withdraw(&["198.51.100.0/24"]))
        } else {
            let attributes = Attributes { med: Some(0), ..Attributes::path(&[64_500, 64_501]) };
            let update = bmp::announce(&attributes, "192.0.2.1", &["198.51.100.0/24"]);
            bmp::route_monitoring(peer.at(1_700_000_001), &update)
        }
    };
    let announced = CHANGES / 2 + 1;
    let want: Vec<String> =
        (0..announced).map(|_| "0".to_owned()).chain((0..CHANGES / 2).map(|_| "-".to_owned())).collect();
    survives_a_kill(flap, &want);
}

#[test]
fn what_was_stored_before_the_kill_is_not_told_again() {
    let (db, state_dir) = (TestDb::create(), Folder::new());
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap())];
    let ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib(ROUTER);
    let up = bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global"));
    let end_of_rib = bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4());
    router.send(&bmp::initiation(b"edge1", b""));
    for round in 0..3 {
        if round > 0 {
            router.send(&bmp::peer_down(peer, 6));
        }
        router.send(&up).send(&change(peer, round)).send(&change(peer, round + 10)).send(&end_of_rib);
    }
    let told = "SELECT kind, count(*) FROM session_events WHERE kind <> 'session_lost' GROUP BY 1 ORDER BY 1";
    eventually_equal(vec!["6".to_owned()], || db.rows("SELECT count(*) FROM route_events"));
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT count(*) FROM session_events WHERE kind = 'end_of_rib'"));
    eventually("its position", || {
        let rows = db
            .rows("SELECT count(*) FROM journal_positions p WHERE octet = (SELECT max(octet) FROM journal_positions)");
        (rows == ["2"]).then_some(())
    });
    let before = db.rows(told);
    ingester.kill();
    let ingester = Ingester::start(&db.url(), &settings);
    eventually_equal(vec!["1".to_owned()], || {
        db.rows("SELECT count(*) FROM session_events WHERE kind = 'session_lost'")
    });
    assert_eq!(db.rows(told), before);
    assert_eq!(db.rows("SELECT count(*) FROM route_events"), ["6"]);
    assert_eq!(db.rows("SELECT med FROM current_routes"), ["12"]);
    let known = format!("SELECT med, complete FROM routes_as_of('{ROUTER}', 'global', now())");
    assert_eq!(db.rows(&known), ["12|t"]);
    assert!(ingester.stop().success());
}

#[test]
fn what_is_stored_is_not_applied_again_after_a_kill() {
    let (db, state_dir) = (TestDb::create(), Folder::new());
    // Segments of 256 KiB.
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap()), ("JOURNAL_MAX_BYTES", "100000000")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib(ROUTER);
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global")));
    let mut sent = 0;
    for number in 1..=16_000 {
        let message = change(peer, number);
        sent += message.len();
        router.send(&message);
    }
    assert!(sent > 1 << 20, "{sent}");
    let stored = "SELECT count(*) FROM route_events";
    eventually_equal(vec!["16000".to_owned()], || db.rows(stored));
    eventually_equal(vec!["16000".to_owned()], || db.rows("SELECT med FROM current_routes"));
    eventually("both positions to be at the end", || {
        let behind = format!("SELECT count(*) FROM journal_positions WHERE octet < {sent}");
        (db.rows(&behind) == ["0"]).then_some(())
    });
    ingester.kill();
    ingester = Ingester::start(&db.url(), &settings);
    assert!(ingester.logged("bytes of input since").contains(": 0 bytes of input since"));
    let lost = "SELECT count(*) FROM session_events WHERE kind = 'session_lost'";
    eventually_equal(vec!["1".to_owned()], || db.rows(lost));
    assert_eq!(
        (db.rows(stored), db.rows("SELECT med FROM current_routes")),
        (vec!["16000".to_owned()], vec!["16000".to_owned()])
    );
    eventually("its journal to be gone", || stream(&state_dir).is_none().then_some(()));
    // No stored route is read, and the tables are stale as after any loss.
    assert_eq!(ingester.count_logged("dump begins"), 0);
    let stale = "SELECT afi, eor_seen, synced_at IS NULL, stale_since IS NOT NULL FROM rib_sync_status ORDER BY afi";
    assert_eq!(db.rows(stale), ["4|f|t|t", "6|f|t|t"]);
    assert!(ingester.stop().success());
}

/// The only stream of the journal.
fn stream(state_dir: &Folder) -> Option<PathBuf> {
    let entries = std::fs::read_dir(state_dir.path().join("journal")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).find(|path| path.is_dir())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn a_termination_before_the_kill_is_not_repeated() {
    let (db, state_dir) = (TestDb::create(), Folder::new());
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap())];
    let ingester = Ingester::start(&db.url(), &settings);
    let peer = Peer::loc_rib(ROUTER);
    let dump = |number: u32| {
        let mut router = ingester.connect();
        router.send(&bmp::initiation(b"edge1", b""));
        router.send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global"))).send(&change(peer, number));
        router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
        router
    };
    let mut router = dump(1);
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT med FROM current_routes"));
    // The collector dies after all of it is stored, and before the journal of this session is removed: as if it had
    // died a moment earlier, its folder is there again.
    let mut holder = db.client();
    let mut transaction = holder.transaction().unwrap();
    transaction.batch_execute("LOCK TABLE route_events IN SHARE MODE").unwrap();
    let folder = stream(&state_dir).unwrap();
    let size = || std::fs::metadata(folder.join(format!("{:020}.segment", 1))).map_or(0, |of| of.len());
    let before = size();
    let last = [change(peer, 2), bmp::termination(0)].concat();
    router.send(&last);
    let all = before + u64::try_from(last.len()).unwrap();
    eventually("its last messages are in the journal", || (size() >= all).then_some(()));
    let kept = Folder::new();
    copy(&folder, kept.path());
    transaction.commit().unwrap();
    eventually_equal(vec!["0".to_owned()], || db.rows("SELECT count(*) FROM current_routes"));
    let _router = dump(3);
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT med FROM current_routes"));
    let told = "SELECT kind, count(*) FROM session_events WHERE kind <> 'session_lost' GROUP BY 1 ORDER BY 1";
    eventually_equal(vec!["2".to_owned()], || db.rows("SELECT count(*) FROM session_events WHERE kind = 'end_of_rib'"));
    let (before, events) = (db.rows(told), db.rows("SELECT count(*) FROM route_events"));
    ingester.kill();
    copy(kept.path(), &folder);
    let ingester = Ingester::start(&db.url(), &settings);
    eventually("both are applied", || stream(&state_dir).is_none().then_some(()));
    assert_eq!(db.rows("SELECT med FROM current_routes"), ["3"]);
    assert_eq!((db.rows(told), db.rows("SELECT count(*) FROM route_events")), (before, events));
    assert!(ingester.stop().success());
}

#[test]
fn a_router_that_moved_leaves_no_gap_if_all_is_stored() {
    let (db, state_dir) = (TestDb::create(), Folder::new());
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap())];
    let ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib(ROUTER);
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global"))).send(&change(peer, 1));
    let positions = "SELECT count(*), count(DISTINCT octet), min(octet) > 250 FROM journal_positions";
    eventually_equal(vec!["2|1|t".to_owned()], || db.rows(positions));
    ingester.kill();
    db.client().batch_execute("UPDATE router_owner SET collector_id = 'other', epoch = epoch + 1").unwrap();
    let ingester = Ingester::start(&db.url(), &settings);
    eventually("nothing is left", || stream(&state_dir).is_none().then_some(()));
    assert_eq!(db.rows("SELECT FROM session_events WHERE kind = 'gap'").len(), 0);
    assert!(ingester.stop().success());
}

#[test]
fn what_the_database_lost_is_stored_again_or_a_gap() {
    const MANY: u32 = 6_000;
    let (db, state_dir) = (TestDb::create(), Folder::new());
    // Segments of 256 KiB, and more than half full: what is stored goes at once.
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap()), ("JOURNAL_MAX_BYTES", "1000000")];
    let ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib(ROUTER);
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global")));
    router.send(&(0..MANY).flat_map(|number| change(peer, number)).collect::<Vec<u8>>());
    eventually_equal(vec![MANY.to_string()], || db.rows("SELECT count(*) FROM route_events"));
    let folder = stream(&state_dir).unwrap();
    let first = folder.join(format!("{:020}.segment", 1));
    eventually("the first segment to be removed", || (!first.exists()).then_some(()));
    let positions = "SELECT min(octet) FROM journal_positions HAVING min(octet) = max(octet)";
    let before = eventually("one position", || db.rows(positions).pop());
    let update = bmp::announce(&Attributes::path(&[64_500, 64_502]), "192.0.2.1", &["203.0.113.0/24"]);
    router.send(&bmp::route_monitoring(peer, &update));
    eventually("another", || db.rows(positions).pop().filter(|now| *now != before));
    ingester.kill();
    let kept = Folder::new();
    copy(&folder, kept.path());
    // A standby is promoted that does not have the last commits.
    let lose = format!(
        "DELETE FROM route_events WHERE prefix = '203.0.113.0/24'; DELETE FROM current_routes WHERE prefix = '203.0.113.0/24';
         UPDATE journal_positions SET octet = {before}"
    );
    db.client().batch_execute(&lose).unwrap();
    let last = "SELECT (SELECT count(*) FROM current_routes WHERE prefix = '203.0.113.0/24'), count(*),
                       count(*) FILTER (WHERE prefix = '203.0.113.0/24') FROM route_events";
    let all = vec![format!("1|{}|1", MANY + 1)];
    let gaps = "SELECT reason FROM session_events WHERE kind = 'gap'";
    let ingester = Ingester::start(&db.url(), &settings);
    eventually("it is applied", || stream(&state_dir).is_none().then_some(()));
    assert_eq!((db.rows(last), db.rows(gaps)), (all.clone(), vec![]));
    ingester.kill();
    // One that lacks more than the journal still has.
    copy(kept.path(), &folder);
    db.client().batch_execute("UPDATE journal_positions SET octet = 10").unwrap();
    let ingester = Ingester::start(&db.url(), &settings);
    eventually("it is applied", || stream(&state_dir).is_none().then_some(()));
    assert_eq!(db.rows(last), all);
    let (told, lost) = (db.rows(gaps), "the database has lost");
    assert!(told.len() == 1 && told[0].starts_with("octets 10 to ") && told[0].contains(lost), "{told:?}");
    ingester.kill();
    // One that lacks the first commits too.
    copy(kept.path(), &folder);
    db.client().batch_execute("DELETE FROM journal_positions").unwrap();
    let ingester = Ingester::start(&db.url(), &settings);
    eventually("it is applied", || stream(&state_dir).is_none().then_some(()));
    assert_eq!(db.rows(last), all);
    let told = db.rows(gaps);
    assert!(told.len() == 2 && told[1].starts_with("octets 0 to ") && told[1].contains(lost), "{told:?}");
    assert!(ingester.stop().success());
}

/// Another server answers while the collector runs, and lacks the last commits: two changes of a router that goes on, and
/// the last one of a router that is silent from then on.
#[test]
fn what_a_promoted_standby_lacks_is_stored_again() {
    const OTHER: &str = "10.255.0.2";
    let (db, state_dir) = (TestDb::create(), Folder::new());
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap())];
    let ingester = Ingester::start(&db.url(), &settings);
    let routers = [ROUTER, OTHER].map(|address| {
        let mut router = ingester.connect();
        let peer = Peer::loc_rib(address);
        router.send(&bmp::initiation(address.as_bytes(), b""));
        router.send(&bmp::peer_up(peer, &Open::of(64_500, address), Some("global")));
        router.send(&change(peer, 0)).send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
        (router, peer)
    });
    let events = "SELECT router_id, med FROM route_events ORDER BY router_id, router_time";
    let settled = "SELECT count(*), count(*) FILTER (WHERE writer = 'state') FROM journal_positions";
    let positions = "SELECT session::text, writer, octet FROM journal_positions ORDER BY session, writer";
    eventually_equal(vec![format!("{ROUTER}|0"), format!("{OTHER}|0")], || db.rows(events));
    eventually_equal(vec!["4|2".to_owned()], || db.rows(settled));
    let settled = || {
        let before = db.rows(positions);
        let one_each = "SELECT count(*) FROM journal_positions GROUP BY session HAVING min(octet) = max(octet)";
        (db.rows(one_each) == ["2", "2"]).then_some(before)
    };
    let then = eventually("both writers to be at the same octet", settled);
    let [(mut router, peer), (mut silent, its_peer)] = routers;
    router.send(&change(peer, 1)).send(&change(peer, 2));
    silent.send(&change(its_peer, 1));
    let all = [
        format!("{ROUTER}|0"),
        format!("{ROUTER}|1"),
        format!("{ROUTER}|2"),
        format!("{OTHER}|0"),
        format!("{OTHER}|1"),
    ];
    eventually_equal(all.to_vec(), || db.rows(events));
    eventually("both writers again", || settled().filter(|now| now.iter().zip(&then).all(|(now, then)| now != then)));
    let back: String = then
        .iter()
        .map(|row| {
            let [session, writer, octet] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
            format!("UPDATE journal_positions SET octet = {octet} WHERE session = '{session}' AND writer = '{writer}';")
        })
        .collect();
    let lose = "DELETE FROM route_events WHERE med > 0; UPDATE current_routes SET med = 0";
    db.client().batch_execute(&format!("BEGIN; {lose}; {back} COMMIT")).unwrap();
    router.send(&change(peer, 3));
    let (status, log) = ingester.ended();
    assert_eq!(status.code(), Some(1));
    assert!(
        log.iter().any(|line| line.contains("the database lacks what it had committed: input of router")),
        "{log:?}"
    );
    let ingester = Ingester::start(&db.url(), &settings);
    let mut want = all.to_vec();
    want.insert(3, format!("{ROUTER}|3"));
    eventually_equal(want, || db.rows(events));
    let routes = "SELECT router_id, med FROM current_routes ORDER BY router_id";
    eventually_equal(vec![format!("{ROUTER}|3"), format!("{OTHER}|1")], || db.rows(routes));
    assert_eq!(db.rows("SELECT FROM session_events WHERE kind = 'gap'").len(), 0);
    assert!(ingester.stop().success());
}

/// Another server answers while the collector runs, and lacks what `lose` deletes of a session from its first commit on:
/// all of it is still in the journal, and is written again.
fn first_commits_are_stored_again(lose: &str, said: &str) {
    let (db, state_dir) = (TestDb::create(), Folder::new());
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap())];
    let ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib(ROUTER);
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global")));
    router.send(&change(peer, 0)).send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    eventually_equal(vec!["2|1|1".to_owned()], || {
        db.rows(
            "SELECT count(*), count(DISTINCT octet), count(*) FILTER (WHERE writer = 'state') FROM journal_positions
             WHERE EXISTS (SELECT FROM session_events WHERE kind = 'end_of_rib')",
        )
    });
    let lost = "DELETE FROM route_events; DELETE FROM current_routes; DELETE FROM rib_sync_status;
                DELETE FROM session_events; DELETE FROM journal_positions;";
    db.client().batch_execute(&format!("BEGIN; {lost} {lose}; COMMIT")).unwrap();
    router.send(&change(peer, 1));
    let (status, log) = ingester.ended();
    assert_eq!(status.code(), Some(1));
    assert!(log.iter().any(|line| line.contains(said)), "{log:?}");
    let ingester = Ingester::start(&db.url(), &settings);
    eventually_equal(vec!["0".to_owned(), "1".to_owned()], || {
        db.rows("SELECT med FROM route_events ORDER BY router_time")
    });
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT med FROM current_routes"));
    let told =
        "SELECT count(*) FILTER (WHERE kind = 'end_of_rib'), count(*) FILTER (WHERE kind = 'gap') FROM session_events";
    eventually_equal(vec!["1|0".to_owned()], || db.rows(told));
    assert!(ingester.stop().success());
}

#[test]
fn a_session_without_its_first_commit_is_stored_again() {
    first_commits_are_stored_again("", "the database lacks what it had committed: input of router");
}

#[test]
fn a_session_without_its_claim_is_stored_again() {
    let claim = "DELETE FROM router_owner; DELETE FROM routers; DELETE FROM bmp_sessions";
    first_commits_are_stored_again(claim, "the database lacks what it had committed: router 10.255.0.1 was claimed");
}

#[test]
fn positions_of_open_sessions_are_not_forgotten() {
    let db = TestDb::create();
    let state_dir = Folder::new();
    let settings = [("STATE_DIR", state_dir.path().to_str().unwrap())];
    let ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib(ROUTER);
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global")));
    router.send(&change(peer, 0)).send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    let positions = "SELECT count(*) FROM journal_positions";
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM session_events WHERE kind = 'end_of_rib'"));
    eventually_equal(vec!["2".to_owned()], || db.rows(positions));
    // The session has been silent for 8 days, and one before it was over 9 days ago.
    let age = "UPDATE journal_positions SET updated_at = updated_at - interval '8 days';
               UPDATE bmp_sessions SET since = since - interval '8 days';
               INSERT INTO journal_positions (session, writer, octet, router_id, collector_id, updated_at)
               SELECT gen_random_uuid(), writer, octet, router_id, collector_id, updated_at - interval '1 day'
               FROM journal_positions";
    db.client().batch_execute(age).unwrap();
    assert_eq!(db.rows(positions), ["4"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output = command.arg("maintenance").env_clear().env("RIB_INGESTER_DATABASE_URL", db.url()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(db.rows(positions), ["2"]);
    router.send(&change(peer, 1));
    eventually_equal(vec!["2".to_owned()], || db.rows("SELECT count(*) FROM route_events"));
    assert!(ingester.stop().success());
}
