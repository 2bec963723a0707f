//! Tables of cases of the [life](super) of incidents.

use super::*;
use crate::model::watch::{Condition, WatchId};

const MINUTE: i64 = 60;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(seconds * 1_000_000)
}

/// An incident that opened at 0 and was told.
fn incident() -> IncidentRow {
    let told = Told { severity: Severity::Warning, affected: 1, at: at(0) };
    IncidentRow {
        id: 7,
        team: None,
        cause_key: "site/ours/missing".to_owned(),
        watch: Some(WatchId(1)),
        condition: Condition::Missing,
        subject: String::new(),
        severity: Severity::Warning,
        state: State::Open,
        opened_at: at(0),
        cause_at: at(0),
        snoozed_until: None,
        over_since: None,
        frozen_since: None,
        closed_at: None,
        affected: 1,
        known: 4,
        silence: None,
        is_baseline: false,
        summary: String::new(),
        detail: "{}".to_owned(),
        parent: None,
        reopened: 0,
        told: Some(told),
        is_frozen_told: false,
    }
}

fn terms() -> Terms {
    Terms { min_vantages: 1, open_after: Duration::from_secs(60), close_after: Duration::from_secs(300) }
}

fn tally(affected: u32, unknown: u32) -> Tally {
    Tally { affected, unknown, known: 4 - unknown, since: (affected > 0).then(|| at(0)), cause_at: None }
}

/// Steps `incident` to the second `now` and checks the events, a told one with `!`, and the state.
#[track_caller]
fn check(incident: &mut IncidentRow, tally: &Tally, now: i64, is_silenced: bool, want: &str) {
    let events = step(incident, tally, &terms(), (Severity::Warning, is_silenced), at(now));
    let mut text: Vec<String> = events
        .iter()
        .map(|event| format!("{}{}", event.event.as_str(), if event.is_told { "!" } else { "" }))
        .collect();
    text.push(incident.state.as_str().to_owned());
    assert_eq!(text.join(" "), want);
}

#[test]
fn it_opens_when_it_has_held_long_enough() {
    let check = |affected, since: i64, min_vantages, now, want| {
        let tally = Tally { affected, since: Some(at(since)), ..Tally::default() };
        assert_eq!(tally.opens(&Terms { min_vantages, ..terms() }, at(now)), want);
    };
    check(1, 0, 1, 59, false);
    check(1, 0, 1, 60, true);
    check(1, 0, 2, 60, false);
    check(2, 10, 2, 69, false);
    assert!(!Tally::default().opens(&terms(), at(100)));
}

#[test]
fn it_closes_when_it_has_been_over_long_enough() {
    let mut one = incident();
    check(&mut one, &tally(1, 0), 100, false, "open");
    check(&mut one, &tally(0, 0), 200, false, "open");
    check(&mut one, &tally(1, 0), 300, false, "open");
    assert_eq!(one.over_since, None);
    check(&mut one, &tally(0, 0), 400, false, "open");
    check(&mut one, &tally(0, 0), 699, false, "open");
    check(&mut one, &tally(0, 0), 700, false, "closed! closed");
    assert_eq!(one.closed_at, Some(at(700)));
}

#[test]
fn who_was_not_told_of_it_is_not_told_of_its_end() {
    let mut one = IncidentRow { told: None, parent: Some(1), ..incident() };
    check(&mut one, &tally(0, 0), 0, false, "open");
    check(&mut one, &tally(0, 0), 300, false, "closed closed");
}

#[test]
fn unknown_is_neither_over_nor_worse() {
    let mut one = incident();
    check(&mut one, &tally(0, 1), 100, false, "frozen open");
    check(&mut one, &tally(0, 1), 100 + 23 * 60 * MINUTE, false, "open");
    check(&mut one, &tally(0, 1), 100 + 24 * 60 * MINUTE, false, "frozen! open");
    check(&mut one, &tally(0, 1), 100 + 48 * 60 * MINUTE, false, "open");
    check(&mut one, &tally(1, 0), 200 + 48 * 60 * MINUTE, false, "thawed open");
    let mut one = incident();
    check(&mut one, &tally(0, 1), 100, false, "frozen open");
    check(&mut one, &tally(0, 0), 200, false, "thawed open");
    check(&mut one, &tally(0, 0), 500, false, "closed! closed");
}

#[test]
fn it_is_worse_at_twice_as_many_routers() {
    let mut one = incident();
    check(&mut one, &tally(2, 0), 100, false, "worse! open");
    check(&mut one, &tally(3, 0), 100, false, "open");
    check(&mut one, &tally(4, 0), 100, false, "worse! open");
    let mut one = incident();
    let events = step(&mut one, &tally(1, 0), &terms(), (Severity::Critical, false), at(1));
    assert_eq!((events.len(), one.severity), (1, Severity::Critical));
    assert!(step(&mut one, &tally(1, 0), &terms(), (Severity::Info, false), at(2)).is_empty());
    assert_eq!(one.severity, Severity::Critical);
    // Also while somebody takes care of it, but never of a child.
    let mut one = IncidentRow { state: State::Acknowledged, ..incident() };
    check(&mut one, &tally(2, 0), 100, false, "worse! acknowledged");
    let mut one = IncidentRow { parent: Some(1), ..incident() };
    check(&mut one, &tally(2, 0), 100, false, "open");
}

#[test]
fn a_snoozed_one_wakes() {
    let mut one = IncidentRow { state: State::Snoozed, snoozed_until: Some(at(500)), ..incident() };
    check(&mut one, &tally(1, 0), 499, false, "snoozed");
    check(&mut one, &tally(1, 0), 500, false, "woke! open");
}

#[test]
fn a_silence_that_ends_tells_what_still_holds() {
    let quiet = || IncidentRow { silence: Some(3), told: None, ..incident() };
    let mut one = quiet();
    check(&mut one, &tally(1, 0), 100, true, "open");
    check(&mut one, &tally(1, 0), 200, false, "unsilenced! open");
    check(&mut one, &tally(0, 0), 300, false, "open");
    check(&mut one, &tally(0, 0), 600, false, "closed! closed");
    let mut one = quiet();
    check(&mut one, &tally(0, 0), 100, true, "open");
    check(&mut one, &tally(0, 0), 400, true, "closed closed");
    // What was told before a silence began is told to be over, but nothing more.
    let mut one = incident();
    check(&mut one, &tally(4, 0), 100, true, "open");
    check(&mut one, &tally(0, 0), 100, true, "open");
    check(&mut one, &tally(0, 0), 400, true, "closed! closed");
}

#[test]
fn what_comes_back() {
    let closed = |at_second| IncidentRow { state: State::Closed, closed_at: Some(at(at_second)), ..incident() };
    let check = |closed: Option<&IncidentRow>, since, now, want| assert_eq!(returns(closed, at(since), at(now)), want);
    check(None, 0, 0, Return::Anew);
    check(Some(&closed(100)), 200, 260, Return::Same);
    check(Some(&closed(100)), 200, 100 + 30 * MINUTE, Return::Anew);
    check(Some(&closed(100)), 50, 200, Return::Dismissed);
}

#[test]
fn the_third_return_is_flapping() {
    let mut one = IncidentRow { reopened: 1, ..incident() };
    let text = |events: &[NewEvent]| -> Vec<(&str, bool)> {
        events.iter().map(|event| (event.event.as_str(), event.is_told)).collect()
    };
    assert_eq!(text(&reopen(&mut one, &tally(1, 0), true, at(100))), [("reopened", true)]);
    assert_eq!(text(&reopen(&mut one, &tally(1, 0), true, at(200))), [("reopened", false), ("flapping", true)]);
    // It is told again half an hour later, and is over when it has been quiet for as long.
    check(&mut one, &tally(0, 0), 300, false, "open");
    check(&mut one, &tally(1, 0), 900, false, "open");
    check(&mut one, &tally(0, 0), 1_000, false, "open");
    check(&mut one, &tally(1, 0), 200 + 30 * MINUTE, false, "flapping! open");
    check(&mut one, &tally(0, 0), 3_000, false, "open");
    check(&mut one, &tally(0, 0), 3_000 + 29 * MINUTE, false, "open");
    check(&mut one, &tally(0, 0), 3_000 + 30 * MINUTE, false, "closed! closed");
}
