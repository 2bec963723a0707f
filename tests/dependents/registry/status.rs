//! The status of sessions, and the agents that are told of it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Duration;

use postgres::fallible_iterator::FallibleIterator as _;

use crate::common::bmp::Peer;
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::receiver::{Receiver, Reply};

use super::scene::{TOLD, addressed, connect, down, peer, registry, session, sql, up, wait_for};

#[test]
fn the_status_follows_the_router() {
    let db = registry();
    for (number, status) in [(1, 1), (3, 4), (4, 6), (6, 0), (7, 3), (8, 5), (9, 1)] {
        addressed(&db, number, status);
    }
    session(&db, 2, 1, "'198.51.100.2', '198.51.100.12'");
    session(&db, 5, 6, "NULL, NULL");
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = connect(&ingester, "EDGE1", "192.0.2.1", &[1, 2, 4, 5, 6, 7, 8, 9]);
    let second = Peer { address: Some("198.51.100.12".parse().unwrap()), ..peer(2) };
    up(&mut router, "192.0.2.1", second);
    // Nothing is written before the numbers are chosen.
    down(&mut router, peer(1), "bye");
    wait_for(&db, &["1 1 down -", "2 1 up -", "3 4 overdue -", "4 6 up -", "5 6 up -", "6 0 unexpected_up -"]);
    wait_for(&db, &["7 3 unexpected_up -", "8 5 delete_pending -", "9 1 up -"]);
    sql(&db, "INSERT INTO registry.settings VALUES ('write_status', 'on')");
    sql(&db, "UPDATE registry.bgp_sessions SET updated_at = now() WHERE asn = 65537");
    let seen =
        "SELECT count(*) FROM registry.bgp_sessions s JOIN registry.session_observations o ON o.session_uuid = s.uuid
                WHERE s.asn = 65537 AND o.row_updated_at = s.updated_at";
    eventually_equal(vec!["1".to_owned()], || db.rows(seen));
    wait_for(&db, &["1 1 down -", "4 6 up -"]);
    sql(&db, "INSERT INTO registry.settings VALUES ('status_codes', 'documented')");
    wait_for(&db, &[&format!("1 2 down {TOLD}"), "2 1 up -", "3 4 overdue -", "4 1 up -", "5 6 up -"]);
    // One of two is down, both are, one is back, both are.
    down(&mut router, second, "bye");
    wait_for(&db, &["2 1 partial -"]);
    down(&mut router, peer(2), "bye");
    wait_for(&db, &[&format!("2 2 down {TOLD}")]);
    up(&mut router, "192.0.2.1", second);
    wait_for(&db, &[&format!("2 2 partial {TOLD}")]);
    up(&mut router, "192.0.2.1", peer(2));
    // The rest of the table; what the owner wants is never touched.
    for number in [6, 7, 8] {
        down(&mut router, peer(number), "bye");
    }
    up(&mut router, "192.0.2.1", peer(1));
    up(&mut router, "192.0.2.1", peer(3));
    wait_for(&db, &["1 1 up -", "2 1 up -", "3 4 up -", "6 0 - -", "7 3 - -", "8 5 gone -"]);
    // A third change: the next one waits.
    down(&mut router, peer(1), "bye");
    wait_for(&db, &[&format!("1 2 flapping {TOLD}")]);
    up(&mut router, "192.0.2.1", peer(1));
    let up_again =
        "SELECT peers_up FROM registry.session_observations o JOIN registry.bgp_sessions s ON s.uuid = o.session_uuid
                    WHERE s.asn = 65537";
    eventually_equal(vec!["1".to_owned()], || db.rows(up_again));
    wait_for(&db, &[&format!("1 2 flapping {TOLD}")]);
    // The router is lost: nobody knows, and nothing changes.
    drop(router);
    wait_for(
        &db,
        &[&format!("1 2 unknown {TOLD}"), "2 1 unknown -", "6 0 unknown -", "8 5 unknown -", "9 1 unknown -"],
    );
    // What does not come back after a reload counts.
    let router = connect(&ingester, "edge1", "192.0.2.1", &[2, 4]);
    wait_for(&db, &["2 1 partial -", "4 1 up -"]);
    let error =
        "SELECT status || ' ' || split_part(last_error, ' at ', 1) FROM registry.bgp_sessions WHERE asn = 65545";
    eventually_equal(vec!["2 not up since the BMP session began".to_owned()], || db.rows(error));
    // Its cause can be followed.
    let causes =
        "SELECT c.kind, c.reason FROM registry.session_causes c JOIN registry.bgp_sessions s ON s.uuid = c.session_uuid
                  WHERE s.asn = 65542 AND c.kind = 'peer_down'";
    eventually_equal(vec![format!("peer_down|{TOLD}")], || db.rows(causes));
    drop(router);
    assert!(ingester.stop().success());
}

#[test]
fn agents_are_told_and_others_changes_win() {
    let db = registry();
    let receiver = Receiver::start();
    sql(
        &db,
        &format!(
            "INSERT INTO registry.settings VALUES ('write_status', 'on'), ('status_codes', 'documented'), ('callback', 'post');
             UPDATE registry.routers SET callback_url = '{}';
             INSERT INTO registry.routers (uuid, name, callback_url)
             VALUES ('00000000-0000-0000-0000-000000000002', 'edge2', 'http://127.0.0.2:9/x'),
                    ('00000000-0000-0000-0000-000000000003', 'edge3', 'no URL')",
            receiver.url("/agent/")
        ),
    );
    for number in [1, 2, 3] {
        addressed(&db, number, 1);
    }
    for (router, number) in [(2, 4), (3, 5)] {
        sql(
            &db,
            &format!(
                "INSERT INTO registry.bgp_sessions (router, asn, status, ipv4)
                 VALUES ('00000000-0000-0000-0000-00000000000{router}', 65536 + {number}, 1, '198.51.100.{number}')"
            ),
        );
    }
    let mut ingester = Ingester::start(&db.url(), &[("CALLBACK_ALLOW", "127.0.0.1/32")]);
    let mut listener = db.client();
    listener.batch_execute("LISTEN rib_registry").unwrap();
    let mut router = connect(&ingester, "edge1", "192.0.2.1", &[1, 2, 3]);
    let mut others = [("edge2", "192.0.2.2", 4), ("edge3", "192.0.2.3", 5)]
        .map(|(name, id, number)| connect(&ingester, name, id, &[number]));
    wait_for(&db, &["1 1 up -", "2 1 up -", "3 1 up -", "4 1 up -", "5 1 up -"]);
    // Somebody else is about to disable the second one, and does.
    let mut other = db.client();
    let mut change = other.transaction().unwrap();
    change.batch_execute("UPDATE registry.bgp_sessions SET status = 0, updated_at = now() WHERE asn = 65538").unwrap();
    down(&mut router, peer(1), "bye");
    down(&mut router, peer(2), "bye");
    down(&mut others[0], peer(4), "bye");
    down(&mut others[1], peer(5), "bye");
    wait_for(
        &db,
        &[&format!("1 2 down {TOLD}"), "2 1 down -", &format!("4 2 down {TOLD}"), &format!("5 2 down {TOLD}")],
    );
    change.commit().unwrap();
    wait_for(&db, &["2 0 - -"]);
    let posted = receiver.wait_for(1).remove(0);
    let body = posted.json();
    assert_eq!((posted.method.as_str(), posted.path.as_str()), ("POST", "/agent"));
    let of = |name: &str| body["session"][name].to_string();
    assert_eq!([of("asn"), of("status"), of("status_before"), of("status_name")], ["65537", "2", "1", "\"ERROR\""]);
    assert_eq!(body["session"]["last_error"].as_str(), Some(TOLD));
    // The address rules of callbacks hold for the agents of a registry.
    let refused = "SELECT d.last_error FROM watch.deliveries d JOIN watch.callbacks c ON c.id = d.callback_id
                   WHERE c.name = '00000000-0000-0000-0000-000000000002'";
    let why = "the address 127.0.0.2 is not public, and RIB_INGESTER_CALLBACK_ALLOW does not list it";
    eventually_equal(vec![why.to_owned()], || db.rows(refused));
    ingester.logged("the agent of edge3 is not told");
    // The keys alone are in notifications.
    let keys = db.rows("SELECT uuid FROM registry.bgp_sessions WHERE status = 2 ORDER BY uuid");
    let mut notifications = listener.notifications();
    let heard =
        notifications.timeout_iter(Duration::from_secs(60)).take(keys.len()).map(|one| Ok(one.payload().to_owned()));
    let mut heard: Vec<String> = heard.collect().unwrap();
    heard.sort();
    assert_eq!(heard, keys);
    // An agent that polls is woken, once for what waits.
    receiver.answer_next(&[Reply::Status(500)]);
    sql(&db, "UPDATE registry.settings SET value = 'get:/sync' WHERE key = 'callback'");
    down(&mut router, peer(3), "bye");
    wait_for(&db, &[&format!("3 2 down {TOLD}")]);
    let woken = receiver.wait_for(3).pop().unwrap();
    assert_eq!((woken.method.as_str(), woken.path.as_str(), woken.body.len()), ("GET", "/agent/sync", 0));
    // Off: what was on its way is forgotten.
    sql(&db, "UPDATE registry.settings SET value = 'off' WHERE key = 'callback'");
    eventually_equal(vec!["0".to_owned()], || db.rows("SELECT count(*) FROM watch.callbacks WHERE team = '@registry'"));
    drop((router, others));
    assert!(ingester.stop().success());
}
