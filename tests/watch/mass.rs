//! A mass change is one message. How long it takes: `scripts/bench watches`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Instant;

use rib_ingester::store::watch::trie::{self, Matched};

use super::world::World;

#[test]
fn a_peer_down_with_2_000_watches_below() {
    let mut world = World::new();
    world.router(1);
    world.peer(1, "198.51.100.1", "up", "");
    world.sql(
        "INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path, origin_asn)
         SELECT '10.0.0.1', 'global', 4, set_masklen('20.0.0.0'::inet + i * 256, 24)::cidr, '64500 64496', 64496
         FROM generate_series(1, 100000) AS i;
         ANALYZE current_routes;
         INSERT INTO watch.watches (name, kind, prefix, expected_origins, open_after_secs, close_after_secs, settle_secs)
         SELECT 'w' || i, 'prefix', set_masklen('20.0.0.0'::inet + i * 256, 24)::cidr, '{64496}', 0, 0, 0
         FROM generate_series(1, 2000) AS i",
    );
    let began = Instant::now();
    assert!(world.round().lines.is_empty());
    eprintln!("full evaluation: {:?}", began.elapsed());
    world.sql("DELETE FROM current_routes");
    world.peer(1, "198.51.100.1", "down", "Hold Timer Expired");
    let began = Instant::now();
    world.round();
    eprintln!("Peer Down: {:?}", began.elapsed());
    assert_eq!(world.told().len(), 1, "{:?}", world.told());
    assert_eq!(world.rows("SELECT count(*) FROM watch.incidents WHERE parent_id IS NOT NULL"), ["2000"]);
    world.sql(
        "INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path, origin_asn)
         SELECT '10.0.0.1', 'global', 4, prefix, '64500 64496', 64496 FROM watch.watches",
    );
    world.restart();
    assert_eq!(world.rows("SELECT DISTINCT state FROM watch.incidents"), ["closed"]);
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
}

#[test]
fn an_outbox_of_an_hour_is_emptied() {
    let mut world = World::new();
    world.router(1);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.watch_prefix("192.0.2.0/24");
    assert!(world.round().is_full);
    let waiting = "SELECT count(*) FROM watch.outbox";
    // The change itself is nowhere: only who looks at everything finds it.
    world.sql("UPDATE current_routes SET as_path = '64500 64511', origin_asn = 64511");
    let note = "INSERT INTO watch.outbox (router_id, table_name, afi, prefix, cause, received_at)
                SELECT '10.0.0.1', 'global', 1, '198.51.100.0/24', 'route', now() - ";
    let within = format!("{note} interval '59 minutes' FROM generate_series(1, 20001)");
    world.sql(&within);
    let report = world.round();
    assert!(!report.is_emptied && !report.is_full && report.has_more, "{report:?}");
    assert!(!world.round().has_more);
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    world.sql(&format!("{within}; {note} interval '61 minutes'"));
    let reports = [world.round(), world.round()];
    assert!(reports[1].is_emptied && reports[1].is_full && reports[1].missed == 1, "{reports:?}");
    assert_eq!((world.rows(waiting), world.told().len()), (vec!["0".to_owned()], 1));
}

#[test]
fn an_outbox_of_a_million_rows_is_emptied() {
    let mut world = World::new();
    world.router(1);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.watch_prefix("192.0.2.0/24");
    assert!(world.round().is_full);
    world.sql("UPDATE collectors SET watch = true");
    let wanted = |world: &World| trie::wanted(&mut world.db.client()).unwrap().unwrap();
    assert!(matches!(wanted(&world), Matched::Version(_)));
    world.sql(
        "UPDATE current_routes SET as_path = '64500 64511', origin_asn = 64511;
         INSERT INTO watch.outbox (router_id, table_name, afi, prefix, cause)
         SELECT '10.0.0.1', 'global', 1, '198.51.100.0/24', 'route' FROM generate_series(1, 1050000)",
    );
    // Writers match nothing any more: everything will be evaluated.
    assert_eq!(wanted(&world), Matched::Nothing);
    let report = world.round();
    assert!(report.is_emptied && report.is_full, "{report:?}");
    assert_eq!((world.rows("SELECT count(*) FROM watch.outbox"), world.told().len()), (vec!["0".to_owned()], 1));
    assert!(matches!(wanted(&world), Matched::Version(_)));
    assert_eq!(world.restart().missed, 0);
}
