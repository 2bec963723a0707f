//! Two stations of a router with every RIB, in one session and in two; and take-overs that are cut short.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::ingester::{eventually, eventually_equal};
use crate::station_scene::{Scene, Setup};

/// The owner is killed while peers go down and come up, before and after.
fn owner_of_all_is_killed(setup: Setup) {
    let mut scene = Scene::of(setup);
    (0..40).for_each(|_| scene.live(None));
    // One that the owner stores, and that is up again.
    scene.router.peer_goes_down(7);
    scene.router.peers_come_up();
    scene.settle();
    // At the address of these two is another peer.
    scene.router.peer_goes_down(8);
    scene.settle();
    scene.kill(0);
    scene.router.peer_goes_down(0);
    (0..20).for_each(|_| scene.live(None));
    scene.router.peer_goes_down(9);
    scene.taken_by(1, None);
    scene.settle();
    scene.router.peers_come_up();
    (0..40).for_each(|_| scene.live(None));
    scene.settle();
    assert_eq!(usize::try_from(scene.router.sessions[1]).unwrap(), scene.router.session_count());
    scene.start(0);
    scene.live(None);
    scene.standby_at(0);
    (0..20).for_each(|_| scene.live(None));
    scene.settle();
    scene.stop();
}

#[test]
fn all_ribs_of_a_router_are_taken_over() {
    owner_of_all_is_killed(Setup::all_ribs(true, 1));
}

#[test]
fn all_ribs_are_taken_over_without_time_stamps() {
    owner_of_all_is_killed(Setup::all_ribs(false, 1));
}

#[test]
fn two_sessions_of_a_router_are_taken_over() {
    owner_of_all_is_killed(Setup::all_ribs(true, 2));
}

#[test]
fn a_router_without_history_is_taken_over() {
    owner_of_all_is_killed(Setup::all_ribs(true, 1).with("HISTORY", "off"));
}

#[test]
fn a_router_without_a_journal_is_taken_over() {
    owner_of_all_is_killed(Setup::all_ribs(true, 2).with("JOURNAL", "off"));
}

/// The owner is killed in the middle of the router's first dump, of which the standby has so many messages.
fn owner_dies_in_a_dump(setup: Setup, of_standby: usize) {
    let mut scene = Scene::before(setup);
    scene.router.quiet = true;
    let dump = scene.router.dump(0);
    let half = dump.len() / 2;
    scene.router.begin(0, 0, scene.collectors[0].as_ref().unwrap(), &dump[..half]);
    let stored = "SELECT (SELECT count(*) FROM current_routes) + (SELECT count(*) FROM adj_rib_in) > 10";
    eventually("half of it is stored", || (scene.db.rows(stored) == ["t"]).then_some(()));
    let part = of_standby.min(dump.len());
    scene.router.begin(1, 0, scene.collectors[1].as_ref().unwrap(), &dump[..part]);
    scene.standby_at(1);
    scene.kill(0);
    scene.taken_by(1, Some(0));
    scene.router.go_on(1, 0, &dump[part..]);
    scene.settle();
    scene.router.quiet = false;
    (0..30).for_each(|_| scene.live(Some(0)));
    scene.settle();
    assert_eq!(scene.router.sessions, [1, 1]);
    assert_eq!(scene.db.rows("SELECT history_is_complete(router_id, 'global', now()) FROM routers"), ["t"]);
    scene.stop();
}

#[test]
fn a_dump_goes_on_at_the_other_station() {
    owner_dies_in_a_dump(Setup::all_ribs(true, 1), 40);
}

#[test]
fn a_dump_that_the_standby_has_whole_is_stored() {
    owner_dies_in_a_dump(Setup::all_ribs(true, 1), usize::MAX);
}

#[test]
fn a_first_dump_is_taken_over_without_time_stamps() {
    let setup = Setup::loc_rib(false);
    owner_dies_in_a_dump(setup, 10);
}

/// The collector that takes the router over is killed while its statements wait for a lock of this table.
fn taker_is_killed(table: &str, mode: &str) {
    let mut scene = Scene::new(true);
    (0..20).for_each(|_| scene.live(None));
    scene.settle();
    scene.kill(0);
    (0..20).for_each(|_| scene.live(None));
    scene.router.quiet = true;
    let mut holder = scene.db.client();
    holder.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN {mode} MODE")).unwrap();
    scene.taken_by(1, None);
    let waits = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%{table}%'
           AND application_name ~ '^rib-ingester/(state|events|load)-'"
    );
    eventually("the take-over waits", || (scene.db.rows(&waits) == ["t"]).then_some(()));
    scene.kill(1);
    holder.batch_execute("ROLLBACK").unwrap();
    scene.start(1);
    scene.live(None);
    // Its changes of the last seconds were in its memory alone: the row says so, and the dump ends the gap.
    let gap = "SELECT count(*) FROM session_events WHERE kind = 'gap'";
    eventually_equal(vec!["1".to_owned()], || scene.db.rows(gap));
    scene.settle();
    let complete = "SELECT history_is_complete(router_id, 'global', now()) FROM routers";
    eventually_equal(vec!["t".to_owned()], || scene.db.rows(complete));
    scene.router.quiet = false;
    (0..20).for_each(|_| scene.live(None));
    scene.settle();
    scene.stop();
}

#[test]
fn a_taker_killed_before_it_has_loaded_leaves_a_gap() {
    taker_is_killed("current_routes", "ACCESS EXCLUSIVE");
}

#[test]
fn a_taker_killed_before_it_has_written_leaves_a_gap() {
    taker_is_killed("route_events", "EXCLUSIVE");
}

#[test]
fn a_killed_taker_is_followed_by_the_first_owner() {
    let mut scene = Scene::new(true);
    (0..20).for_each(|_| scene.live(None));
    scene.kill(0);
    (0..20).for_each(|_| scene.live(None));
    let mut holder = scene.db.client();
    holder.batch_execute("BEGIN; LOCK TABLE route_events IN EXCLUSIVE MODE").unwrap();
    scene.taken_by(1, None);
    scene.start(0);
    scene.live(None);
    scene.standby_at(0);
    scene.kill(1);
    (0..20).for_each(|_| scene.live(None));
    holder.batch_execute("ROLLBACK").unwrap();
    scene.taken_by(0, None);
    scene.settle();
    scene.start(1);
    scene.live(None);
    scene.standby_at(1);
    scene.settle();
    scene.stop();
}
