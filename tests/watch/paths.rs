//! Paths and mitigation: what opens an incident, and what does not.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::world::World;

const PREFIX: &str = "192.0.2.0/24";

/// One router with the watched prefix of AS 64496, judged once; `columns` and `values` say more of the watch.
fn watched(columns: &str, values: &str) -> World {
    let mut world = World::new();
    world.router(1);
    world.announce(1, PREFIX, "64500 64496");
    world.watch(
        "web",
        &format!("kind, prefix, expected_origins, {columns}"),
        &format!("'prefix', '{PREFIX}', '{{64496,64497}}', {values}"),
    );
    assert!(world.round().lines.is_empty());
    world
}

/// Announces a path, and then the one that is right; the incident opens and closes once each, also for an evaluator
/// that has just started.
#[track_caller]
fn check(world: &mut World, path: &str, want: &str) {
    let before = world.told().len();
    world.announce(1, PREFIX, path);
    world.round();
    assert_eq!(world.restart().missed, 0);
    world.announce(1, PREFIX, "64500 64496");
    world.round();
    assert_eq!(world.restart().missed, 0);
    let rest = "1 of 1 router (edge1), path";
    let told = world.told()[before..].to_vec();
    let line = format!("{want}; {rest} {path}, since T");
    assert_eq!(told, [format!("opened {line}"), format!("closed OVER after D: {line}")]);
}

#[test]
fn ases_beside_it_that_are_not_expected() {
    let mut world = watched("expected_upstreams", "'{64500}'");
    check(&mut world, "64500 64499 64496", "UPSTREAM 192.0.2.0/24 behind AS64499, expected AS64500");
    let mut world = watched("expected_downstreams", "'{64498}'");
    check(&mut world, "64500 64496 64497", "DOWNSTREAM AS64497 in the path of 192.0.2.0/24, expected AS64498");
}

#[test]
fn paths_that_do_not_match() {
    let mut world = watched("path_match", "'^64500( 64496)+$'");
    check(&mut world, "64500 64499 64496", "PATH 192.0.2.0/24 is 64500 64499 64496, must match ^64500( 64496)+$");
    world.announce(1, PREFIX, "(65001 65002) 64500 64496 64496");
    world.announce(1, "192.0.2.128/25", "64499 64496");
    world.announce(1, "192.0.0.0/16", "64499 64496");
    world.round();
    // A router's own route has no path.
    world.announce(1, PREFIX, "");
    world.round();
    world.restart();
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
}

#[test]
fn a_path_match_that_is_none_judges_nothing_else_away() {
    let mut world = watched("path_match", "'(64500'");
    world.announce(1, PREFIX, "64501 64496");
    assert!(world.round().lines.is_empty());
    world.announce(1, PREFIX, "64501 64511");
    assert_eq!(world.round().lines.len(), 1);
}

#[test]
fn mitigated_routes_are_no_leak() {
    let mut world = watched(
        "expected_upstreams, expected_via, conditions",
        "'{64500}', '{64510}', '{missing,origin,more_specific,more_specific_own,upstream,mitigated}'",
    );
    let tag = |world: &mut World, prefix: &str, path: &str, column: &str, value: &str| {
        world.announce(1, prefix, path);
        world.sql(&format!("UPDATE current_routes SET {column} = '{{{value}}}' WHERE prefix = '{prefix}'"));
        world.round();
    };
    tag(&mut world, "192.0.2.1/32", "64500 64496", "communities_std", "64496:1,65535:666");
    tag(&mut world, PREFIX, "64499 64496", "communities_std", "65535:0");
    world.announce(1, "192.0.2.128/25", "64499 64510 64496");
    world.round();
    assert_eq!(world.restart().missed, 0);
    let open = [
        "open info MITIGATED 192.0.2.1/32 BLACKHOLE; 1 of 1 router (edge1), path 64500 64496, since T",
        "open info MITIGATED 192.0.2.0/24 GRACEFUL_SHUTDOWN; 1 of 1 router (edge1), path 64499 64496, since T",
        "open info MITIGATED 192.0.2.128/25 via AS64510; 1 of 1 router (edge1), path 64499 64510 64496, since T",
    ];
    assert_eq!(world.incidents(), open);
    // A foreign origin is a hijack, whatever it asks for.
    tag(&mut world, "192.0.2.2/32", "64500 64511", "communities_std", "65535:666");
    tag(&mut world, "192.0.2.3/32", "64510 64511", "communities_large", "64496:0:666");
    assert_eq!(world.restart().missed, 0);
    let hijacks: Vec<String> = world.incidents()[3..].iter().map(|line| line[..50].to_owned()).collect();
    let want =
        ["open critical MORE SPECIFIC 192.0.2.2/32 of 192.0.", "open critical MORE SPECIFIC 192.0.2.3/32 of 192.0."];
    assert_eq!(hijacks, want);
}

#[test]
fn communities_of_the_network() {
    for (column, community) in
        [("std", "64496:666"), ("large", "64496:1:666"), ("ext", "RT:64496:666"), ("ext", "030b000000000064")]
    {
        let mut world = watched("conditions", "'{more_specific_own}'");
        world.mitigate_by(&[community.to_owned()]);
        world.announce(1, "192.0.2.1/32", "64500 64496");
        world.sql(&format!(
            "UPDATE current_routes SET communities_{column} = '{{1:1,{community}}}' WHERE prefix = '192.0.2.1/32'"
        ));
        world.round();
        world.restart();
        assert!(world.incidents().is_empty(), "{:?}", world.incidents());
        world.announce(1, "192.0.2.2/32", "64500 64496");
        world.round();
        assert_eq!(world.incidents().len(), 1, "{:?}", world.incidents());
    }
}
