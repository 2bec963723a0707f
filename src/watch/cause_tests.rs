//! Tables of cases of common [causes](super).

use super::super::detail::Detail;
use super::super::life::{Tally, Terms};
use super::*;
use crate::model::Asn;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(seconds * 1_000_000)
}

fn candidate(condition: Condition, router: &str, since: i64, detail: Detail) -> Candidate {
    Candidate {
        watch: None,
        condition,
        subject: String::new(),
        prefix: None,
        tally: Tally { affected: 1, unknown: 0, known: 4, since: Some(at(since)), cause_at: None },
        terms: Terms { min_vantages: 1, open_after: Duration::ZERO, close_after: Duration::ZERO },
        severity: condition.default_severity(false),
        routers: [RouterId::new(router)].into(),
        detail,
    }
}

fn down(router: &str, peer: &str, at_second: i64) -> PeerDownRow {
    PeerDownRow {
        router: RouterId::new(router),
        address: peer.parse().unwrap(),
        asn: Some(Asn(64500)),
        description: None,
        at: at(at_second),
        reason: Some("Hold Timer Expired".to_owned()),
        routes: Some(7),
    }
}

/// Checks the causes of openings, `recent` of whose kind were told one by one.
#[track_caller]
fn check(candidates: &[Candidate], downs: &[PeerDownRow], recent: usize, want: &[Option<Cause>]) {
    let keys: Vec<Key> = (0..candidates.len()).map(|i| (None, format!("site/{i}"))).collect();
    let is_flapping = candidates.iter().any(|candidate| candidate.condition == Condition::Flapping);
    let opening = |(key, candidate)| Opening { key, candidate, source: "import", is_flapping };
    let openings: Vec<Opening<'_>> = keys.iter().zip(candidates).map(opening).collect();
    assert_eq!(of(&openings, downs, |_, _| false, |_, _, _| recent), want);
}

#[test]
fn a_peer_down_takes_what_goes_after_it() {
    let gone = |since| candidate(Condition::Missing, "r1", since, Detail::default());
    let cause = Some(Cause::Peer(RouterId::new("r1"), "192.0.2.1".parse().unwrap()));
    let downs = [down("r1", "192.0.2.1", 100)];
    check(&[gone(100), gone(150)], &downs, 0, &[cause.clone(), cause.clone()]);
    // One alone is told itself; one that went long before or after it has another cause.
    check(&[gone(100)], &downs, 0, &[None]);
    check(&[gone(100), gone(90)], &downs, 0, &[None, None]);
    check(&[gone(100), gone(161)], &downs, 0, &[None, None]);
    check(&[gone(100), gone(101)], &[down("r2", "192.0.2.1", 100)], 0, &[None, None]);
    // A hijack at the same time is no consequence.
    let hijack = candidate(Condition::Origin, "r1", 100, Detail::default());
    check(&[gone(100), gone(101), hijack], &downs, 0, &[cause.clone(), cause.clone(), None]);
    // The session that is down belongs to it.
    let detail = Detail { peer: Some("192.0.2.1".parse().unwrap()), ..Detail::default() };
    check(&[gone(100), candidate(Condition::SessionDown, "r1", 100, detail)], &downs, 0, &[cause.clone(), cause]);
}

#[test]
fn what_did_not_come_back_belongs_to_the_router() {
    let detail = Detail { is_after_reload: true, ..Detail::default() };
    let gone = |router| candidate(Condition::Missing, router, 100, detail.clone());
    let cause = Some(Cause::Reload(RouterId::new("r1")));
    check(&[gone("r1"), gone("r1"), gone("r2")], &[], 0, &[cause.clone(), cause, None]);
}

#[test]
fn many_without_a_cause_are_one() {
    let hijack = || candidate(Condition::Origin, "r1", 100, Detail::default());
    let many = Some(Cause::Many(Condition::Origin, Severity::Critical));
    check(&vec![hijack(); 5], &[], 0, &vec![None; 5]);
    check(&vec![hijack(); 6], &[], 0, &vec![many.clone(); 6]);
    check(&vec![hijack(); 2], &[], 4, &vec![many; 2]);
    let mixed = [vec![hijack(); 5], vec![candidate(Condition::MoreSpecific, "r1", 100, Detail::default()); 5]].concat();
    check(&mixed, &[], 0, &vec![None; 10]);
}

#[test]
fn what_can_wait_is_gathered_later() {
    let gone = || candidate(Condition::Missing, "r1", 100, Detail::default());
    check(&vec![gone(); 200], &[], 200, &vec![None; 200]);
    assert_eq!([5, 6].map(gathered), [false, true]);
    let waiting = Severity::ALL.map(waits);
    assert_eq!(waiting, [true, true, true, false], "critical ones are never delayed");
}

#[test]
fn what_flaps_explains_what_else_its_watch_finds() {
    let of_watch =
        |condition| Candidate { watch: Some(WatchId(7)), ..candidate(condition, "r1", 100, Detail::default()) };
    let cause = Some(Cause::Flaps(WatchId(7)));
    let all =
        [Condition::Flapping, Condition::Missing, Condition::Upstream, Condition::Origin, Condition::MoreSpecific];
    // A foreign origin has no harmless cause.
    check(&all.map(of_watch), &[], 0, &[None, cause.clone(), cause, None, None]);
    check(&[of_watch(Condition::Missing)], &[], 0, &[None]);
}

#[test]
fn what_held_before_is_one_digest() {
    let detail = Detail { is_baseline: true, ..Detail::default() };
    let cause = Some(Cause::Baseline("import".to_owned()));
    check(&[candidate(Condition::Origin, "r1", 100, detail)], &[], 0, &[cause]);
}

#[test]
fn lines_of_parents() {
    let targets: Vec<String> = (0..200).map(|i| format!("10.0.{i}.0/24")).collect();
    let down = down("r1", "198.51.100.1", 0);
    let family = ParentFacts {
        targets: &targets,
        sessions: 0,
        had: (0, 0),
        routers: (38, 40),
        router: "edge1",
        since: Timestamp::from_unix_micros(1_795_662_245_000_000),
        down: Some(&down),
    };
    let check = |cause: Cause, family: &ParentFacts<'_>, want: &str| assert_eq!(line(&cause, family), want);
    let peer = Cause::Peer(RouterId::new("r1"), "198.51.100.1".parse().unwrap());
    check(
        peer,
        &family,
        "PEER DOWN edge1 198.51.100.1 AS64500: Hold Timer Expired, since 2026-11-26 03:04:05 UTC, 7 routes gone: \
         10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24 and 197 more",
    );
    check(
        Cause::Many(Condition::Missing, Severity::Warning),
        &family,
        "200 prefixes missing, on 38 of 40 routers, since 2026-11-26 03:04:05 UTC: 10.0.0.0/24, 10.0.1.0/24 and 198 \
         more",
    );
    check(
        Cause::Reload(RouterId::new("r1")),
        &ParentFacts { targets: &targets[..5], sessions: 2, had: (38, 410), ..family },
        "edge1 is back since 2026-11-26 03:04:05 UTC: 2 of 38 peers and 3 of 410 watched prefixes did not come back: \
         10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24 and 2 more",
    );
    check(
        Cause::Reload(RouterId::new("r1")),
        &ParentFacts { targets: &targets[..1], had: (0, 1), ..family },
        "edge1 is back since 2026-11-26 03:04:05 UTC: 1 of 1 watched prefix did not come back: 10.0.0.0/24",
    );
    check(
        Cause::Baseline("manual".to_owned()),
        &ParentFacts { targets: &targets[..1], ..family },
        "BASELINE manual: 1 condition holds already, since 2026-11-26 03:04:05 UTC: 10.0.0.0/24",
    );
}
