//! The number of a peer's routes: what opens an incident, and what opens none.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::world::World;

const PEER: &str = "198.51.100.1";

/// A router with a peer that has had `routes` routes for ten hours, before and after policy, and a watch of it.
fn watched(routes: i64, columns: &str, values: &str) -> World {
    let mut world = World::new();
    world.router(1);
    world.peer(1, PEER, "up", "");
    for is_post in [false, true] {
        world.sql(&format!(
            "INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
             VALUES ('10.0.0.1', '{PEER}', {is_post}, 'UNKNOWN', 4, now() - interval '1 hour')"
        ));
    }
    world.sql(&format!(
        "INSERT INTO peer_route_counts
         SELECT '10.0.0.1', '{PEER}', 'UNKNOWN', 4, now() - hours * interval '1 hour', {routes}, 1, true
         FROM generate_series(1, 10) AS hours"
    ));
    count(&mut world, routes);
    world.watch("transit", &format!("kind, {columns}"), &format!("'peer_routes', {values}"));
    assert_eq!(world.round().lines, [""; 0]);
    assert_eq!(world.incidents(), [""; 0]);
    world
}

fn count(world: &mut World, routes: i64) {
    world.sql(&format!(
        "INSERT INTO route_counts VALUES ('10.0.0.1', 'adj-rib-in', '{PEER}', false, 'UNKNOWN', 4, {routes}),
                                         ('10.0.0.1', 'adj-rib-in', '{PEER}', true, 'UNKNOWN', 4, 1)
         ON CONFLICT (router_id, rib, peer_address, is_post_policy, table_name, afi) DO UPDATE SET routes = EXCLUDED.routes"
    ));
}

/// Sets the number of routes and judges it.
fn judged(world: &mut World, routes: i64) -> Vec<String> {
    count(world, routes);
    world.note_session(1);
    world.round();
    world.incidents()
}

#[test]
fn a_peer_without_routes_and_one_with_few() {
    let mut world = watched(1_000, "peer_address", &format!("'{PEER}'"));
    let peer = "edge1 198.51.100.1 AS64500 (Example)";
    let want = format!("open warning NO ROUTES {peer}: session up, no routes, usually 1,000, since T");
    assert_eq!(judged(&mut world, 0), [want]);
    assert!(judged(&mut world, 1_000)[0].starts_with("closed warning OVER"), "{:?}", world.incidents());
    let want = format!("open warning ROUTES DOWN 40 % {peer}: 600 IPv4 routes, usually 1,000, since T");
    assert_eq!(judged(&mut world, 600), [want]);
    assert!(judged(&mut world, 900)[0].starts_with("closed warning OVER"), "{:?}", world.incidents());
    assert!(judged(&mut world, 1_500)[0].starts_with("open warning ROUTES UP 50 %"), "{:?}", world.incidents());
    assert!(world.restart().missed <= 1 && world.incidents().len() == 1);
}

#[test]
fn a_peer_beyond_its_bounds() {
    let columns = "asn, min_routes, max_routes, drop_percent, rise_percent, severity";
    let mut world = watched(1_000, columns, "64500, 500, 2000, 100, 10000, 'critical'");
    let peer = "edge1 198.51.100.1 AS64500 (Example)";
    let near = format!("open warning NEAR MAX ROUTES {peer}: 1,900 routes, 95 % of at most 2,000, since T");
    assert_eq!(judged(&mut world, 1_900), [near]);
    let above = format!("open critical TOO MANY ROUTES {peer}: 2,001 routes, at most 2,000 expected, since T");
    assert_eq!(judged(&mut world, 2_001), [above]);
    assert_eq!(world.rows("SELECT cause_key FROM watch.incidents"), ["test/transit/route_count/198.51.100.1"]);
    assert!(judged(&mut world, 1_000)[0].starts_with("closed critical OVER"), "{:?}", world.incidents());
    let below = format!("open critical TOO FEW ROUTES {peer}: 499 routes, at least 500 expected, since T");
    assert_eq!(judged(&mut world, 499), [below]);
}

#[test]
fn it_opens_when_it_has_lasted() {
    let mut world = watched(1_000, "peer_address", &format!("'{PEER}'"));
    world.sql("UPDATE watch.watches SET open_after_secs = NULL");
    world.round();
    assert_eq!(judged(&mut world, 10), [""; 0]);
    world.sql("UPDATE watch.conditions SET since = since - interval '61 seconds'");
    world.restart();
    assert_eq!(world.incidents().len(), 1);
}

#[test]
fn a_peer_that_is_down_or_dumps_is_not_judged() {
    let mut world = watched(1_000, "peer_address", &format!("'{PEER}'"));
    // Its Peer Down took everything along: that is what watches of sessions tell.
    world.peer(1, PEER, "down", "Hold Timer Expired");
    world.sql("DELETE FROM adj_rib_in_sync_status");
    assert_eq!(judged(&mut world, 0), [""; 0]);
    // It is back, and its dump is not complete.
    world.peer(1, PEER, "up", "");
    let table = format!("'10.0.0.1', '{PEER}', false, 'UNKNOWN', 4");
    world.sql(&format!(
        "INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi) VALUES ({table})"
    ));
    assert_eq!(judged(&mut world, 300), [""; 0]);
    // It is complete, but only just: more may come.
    world
        .sql("UPDATE watch.watches SET settle_secs = 300; UPDATE bmp_sessions SET began_at = now() - interval '1 day'");
    world.sql("UPDATE watch.vantages SET since = now() - interval '1 day'");
    world.sql("UPDATE adj_rib_in_sync_status SET synced_at = now() - interval '299 seconds'");
    assert_eq!(judged(&mut world, 300), [""; 0]);
}

#[test]
fn a_router_that_is_lost_or_dumps_again_is_not_judged() {
    let mut world = watched(1_000, "peer_address", &format!("'{PEER}'"));
    world.lose(1, "stale");
    assert_eq!(judged(&mut world, 0), [""; 0]);
    // The collector has restarted: the dump begins anew, and what is purged is not missing.
    world.sql("UPDATE bmp_sessions SET state = 'dumping', began_at = now()");
    world.peer(1, PEER, "up", "");
    world.sql("UPDATE adj_rib_in_sync_status SET synced_at = NULL, stale_since = NULL");
    world.restart();
    assert_eq!(judged(&mut world, 10), [""; 0]);
}

#[test]
fn a_peer_of_a_few_hours_has_no_usual_number() {
    let mut world = watched(1_000, "peer_address", &format!("'{PEER}'"));
    world.sql("DELETE FROM peer_route_counts WHERE at < now() - interval '5 hours'");
    world.restart();
    assert_eq!(judged(&mut world, 100), [""; 0]);
    assert_eq!(judged(&mut world, 3_000), [""; 0]);
    assert!(judged(&mut world, 0)[0].contains("session up, no routes, since T"), "{:?}", world.incidents());
}

#[test]
fn an_incident_stays_while_nobody_can_tell() {
    let mut world = watched(1_000, "peer_address", &format!("'{PEER}'"));
    assert_eq!(judged(&mut world, 10).len(), 1);
    world.sql("UPDATE adj_rib_in_sync_status SET synced_at = NULL");
    assert!(judged(&mut world, 1_000)[0].starts_with("open"), "{:?}", world.incidents());
    world.sql("UPDATE adj_rib_in_sync_status SET synced_at = now() - interval '1 hour'");
    assert!(judged(&mut world, 1_000)[0].starts_with("closed"), "{:?}", world.incidents());
}
