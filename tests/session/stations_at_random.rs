//! A router with two stations while anything may fail, in an order from a seed.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::Command;

use crate::common::dice::Dice;
use crate::station_scene::{NAMES, Scene, Setup};

/// Rounds without RIB_INGESTER_TEST_ROUNDS.
const ROUNDS: u32 = 3;

/// Something that happens to the owner of the router.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Stopped,
    Frozen,
    CutFromDatabase,
    CutFromRouter,
    HandsOver,
    NoDatabase,
}

const FAULTS: [Fault; 7] = [
    Fault::Killed,
    Fault::Stopped,
    Fault::Frozen,
    Fault::CutFromDatabase,
    Fault::CutFromRouter,
    Fault::HandsOver,
    Fault::NoDatabase,
];

/// Lets it happen to `owner`, whose router `other` takes if it does; then all is repaired. Returns the seconds of the
/// take-over.
fn happen(scene: &mut Scene, fault: Fault, owner: usize, other: usize) -> Option<f64> {
    match fault {
        Fault::Killed => {
            scene.kill(owner);
            let took = scene.taken_by(other, None);
            scene.start(owner);
            Some(took)
        }
        Fault::Stopped => {
            assert!(scene.collectors[owner].take().unwrap().stop().success());
            scene.router.cut(owner);
            let took = scene.taken_by(other, None);
            scene.start(owner);
            Some(took)
        }
        Fault::Frozen => {
            scene.collector(owner).signal("STOP");
            let took = scene.taken_by(other, Some(owner));
            scene.collector(owner).signal("CONT");
            Some(took)
        }
        Fault::CutFromDatabase => {
            scene.cut(owner, true);
            let took = scene.taken_by(other, None);
            (0..20).for_each(|_| scene.live(None));
            scene.cut(owner, false);
            Some(took)
        }
        Fault::CutFromRouter => {
            scene.router.cut(owner);
            Some(scene.taken_by(other, Some(owner)))
        }
        Fault::HandsOver => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
            command.args(["hand-over", "all", "--to", NAMES[other]]).env_clear();
            let mut command = command.env("RIB_INGESTER_DATABASE_URL", scene.db.url()).spawn().unwrap();
            scene.live_until("the command ends", None, |_| command.try_wait().unwrap().is_some());
            assert!(command.wait().unwrap().success());
            None
        }
        Fault::NoDatabase => {
            [0, 1].into_iter().for_each(|station| scene.cut(station, true));
            scene.live_until("every lease is over", None, |scene| {
                scene.db.rows("SELECT bool_and(alive_until < now()) FROM collectors") == ["t"]
            });
            [0, 1].into_iter().for_each(|station| scene.cut(station, false));
            None
        }
    }
}

/// A router with a Loc-RIB alone, or with all RIBs in one session or two, and collectors that may lack something.
fn setup(dice: &mut Dice) -> Setup {
    let has_clock = dice.roll(2) == 0;
    let setup = match dice.roll(3) {
        0 => Setup::loc_rib(has_clock),
        sessions => Setup::all_ribs(has_clock, sessions as usize),
    };
    match dice.roll(4) {
        0 => setup.with("HISTORY", "off"),
        1 => setup.with("JOURNAL", "off"),
        _ => setup,
    }
}

#[test]
fn whatever_fails_the_stored_table_is_the_routers() {
    let seed = std::env::var("RIB_INGESTER_TEST_SEED").map_or(20, |text| text.parse().expect("a number"));
    let rounds = std::env::var("RIB_INGESTER_TEST_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number"));
    let mut dice = Dice(seed);
    let mut scene = Scene::of(setup(&mut dice));
    for round in 0..rounds {
        let owner = NAMES.iter().position(|name| *name == scene.owner()).unwrap();
        let other = 1 - owner;
        (0..dice.roll(100)).for_each(|_| scene.live(None));
        // A peer goes down shortly before, and comes up after that, or is not seen by the owner any more.
        if dice.roll(2) == 0 {
            scene.router.peer_goes_down(dice.roll(100) as usize);
        }
        if dice.roll(2) == 0 {
            scene.router.peers_come_up();
        }
        let fault = FAULTS[dice.roll(7) as usize];
        let sessions = scene.router.sessions[other];
        let took = happen(&mut scene, fault, owner, other);
        eprintln!("seed {seed}, round {round}: {fault:?} {}: {took:?} s", NAMES[owner]);
        (0..dice.roll(50)).for_each(|_| scene.live(None));
        scene.router.peers_come_up();
        let is_moved = !matches!(fault, Fault::NoDatabase);
        let now = if is_moved { other } else { owner };
        scene.live_until("each has its place", None, |scene| {
            let standby = "SELECT collector_id FROM bmp_sessions WHERE state = 'standby'";
            scene.db.rows(standby) == vec![NAMES[1 - now]; scene.router.session_count()] && !scene.router.is_gone()
        });
        scene.settle();
        // It has taken the router over as it was.
        assert_eq!(scene.router.sessions[other], sessions);
        // Gaps are from before the take-over, and its dump has ended them.
        assert_eq!(scene.owner(), NAMES[now]);
        if scene.keeps_history() {
            let complete = "SELECT history_is_complete(router_id, 'global', now()) FROM routers";
            assert_eq!(scene.db.rows(complete), ["t"]);
        }
    }
    scene.stop();
}
