//! Every cell of the table of statuses, and what goes before it.

use super::*;
use crate::store::registry::sessions::Peers;

const NOW: i64 = 100_000;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_unix_micros(secs * 1_000_000)
}

fn rules() -> Rules {
    let secs = Duration::from_secs;
    Rules { down_after: secs(60), settle: secs(300), overdue_after: secs(900) }
}

/// A session of a router that is known, changed by its owner long ago, with the peers `up` of `count`.
pub(crate) fn row(up: i64, count: i64) -> SessionRow {
    let went_down = up < count;
    SessionRow {
        uuid: "u".to_owned(),
        status: 0,
        updated_at: at(1_000),
        asn: 64_500,
        router: "r".to_owned(),
        router_name: Some("edge1".to_owned()),
        router_id: Some("192.0.2.1".to_owned()),
        problem: None,
        last_error: None,
        began: Some(at(2_000)),
        known: Some(at(2_010)),
        peers: Peers {
            count,
            up,
            is_up_by_address: up > 0,
            up_since: (up > 0).then(|| at(NOW - 500)),
            down_since: went_down.then(|| at(NOW - 61)),
            reason: went_down.then(|| "Hold Timer Expired".to_owned()),
            ..Peers::default()
        },
        routes: None,
        before: None,
        written_at: Vec::new(),
    }
}

/// The same, observed before with this many peers expected.
pub(crate) fn expecting(row: SessionRow, expected: i32) -> SessionRow {
    let before = Observed {
        verdict: Some("up".to_owned()),
        since: at(3_000),
        up: expected,
        expected,
        flaps: 0,
        routes: None,
        reason: None,
        changed_at: at(3_000),
        row_updated_at: row.updated_at,
        is_own: false,
    };
    SessionRow { before: Some(before), ..row }
}

/// The verdict, and what is written: the status and its error.
#[track_caller]
fn check(row: &SessionRow, status: Option<Status>, verdict: Option<&str>, write: Option<(Written, Option<&str>)>) {
    let got = judge(row, status, &rules(), at(NOW));
    let written = got.write.as_ref().map(|(status, error)| (*status, error.as_deref()));
    assert_eq!((got.observed.verdict.as_deref(), written), (verdict, write), "{:?}", got.observed);
}

#[test]
fn every_cell_of_the_table() {
    use Status::*;
    let (up, down, half) = (row(1, 1), row(0, 1), expecting(row(1, 2), 2));
    let unknown = SessionRow { began: None, known: None, ..row(1, 1) };
    let reason = Some("Hold Timer Expired");
    check(&up, Some(Active), Some("up"), None);
    check(&down, Some(Active), Some("down"), Some((Written::Error, reason)));
    check(&half, Some(Active), Some("partial"), None);
    check(&up, Some(Error), Some("up"), Some((Written::Active, None)));
    check(&down, Some(Error), Some("down"), Some((Written::Error, reason)));
    let current = SessionRow { last_error: reason.map(str::to_owned), ..row(0, 1) };
    check(&current, Some(Error), Some("down"), None);
    check(&half, Some(Error), Some("partial"), None);
    check(&up, Some(QueuedForSetup), Some("up"), None);
    check(&down, Some(QueuedForSetup), Some("overdue"), None);
    check(&SessionRow { updated_at: at(NOW - 899), ..row(0, 1) }, Some(QueuedForSetup), None, None);
    check(&up, Some(SetupFailed), Some("up"), Some((Written::Active, None)));
    let mut by_asn = row(1, 1);
    by_asn.peers.is_up_by_address = false;
    check(&by_asn, Some(SetupFailed), Some("up"), None);
    check(&down, Some(SetupFailed), None, None);
    for status in [Disabled, PendingReview] {
        check(&up, Some(status), Some("unexpected_up"), None);
        check(&down, Some(status), None, None);
    }
    check(&up, Some(QueuedForDelete), Some("delete_pending"), None);
    check(&down, Some(QueuedForDelete), Some("gone"), None);
    for row in [&up, &down] {
        check(row, None, Some("other_status"), None);
    }
    for status in [Disabled, Active, Error, PendingReview, QueuedForSetup, QueuedForDelete, SetupFailed] {
        check(&unknown, Some(status), Some("unknown"), None);
    }
}

#[test]
fn a_session_is_in_error_after_its_time() {
    let since = |secs: i64| {
        let mut row = row(0, 1);
        row.peers.down_since = Some(at(NOW - secs));
        row
    };
    check(&since(59), Some(Status::Active), Some("down"), None);
    check(&since(60), Some(Status::Active), Some("down"), Some((Written::Error, Some("Hold Timer Expired"))));
    // An owner's change is given its time, our own is not.
    let changed = SessionRow { updated_at: at(NOW - 10), ..since(1_000) };
    check(&changed, Some(Status::Active), Some("down"), None);
    let mut own = expecting(changed, 1);
    own.before.as_mut().unwrap().is_own = true;
    check(&own, Some(Status::Active), Some("down"), Some((Written::Error, Some("Hold Timer Expired"))));
}

#[test]
fn what_a_new_session_has_not_reported_may_still_come() {
    let reported = |known: i64, count: i64| {
        let mut row = SessionRow { known: Some(at(known)), ..row(0, count) };
        row.peers = Peers { count, unreported: count, ..Peers::default() };
        row
    };
    check(&reported(NOW - 299, 1), Some(Status::Active), Some("unknown"), None);
    check(&reported(NOW - 359, 1), Some(Status::Active), Some("down"), None);
    let why = "not up since the BMP session began at 1970-01-01 00:33:20 UTC";
    check(&reported(NOW - 360, 1), Some(Status::Active), Some("down"), Some((Written::Error, Some(why))));
    check(&reported(NOW - 360, 0), Some(Status::Active), Some("down"), Some((Written::Error, Some("never reported"))));
    // Its first dumps are not over.
    check(&SessionRow { known: None, ..row(0, 1) }, Some(Status::Active), Some("unknown"), None);
}

#[test]
fn nothing_is_written_where_the_peer_is_not_certain() {
    let none = SessionRow { router_id: None, problem: Some("ambiguous".to_owned()), ..row(0, 1) };
    check(&none, Some(Status::Active), Some("unbound"), None);
    let mut ambiguous = row(0, 0);
    ambiguous.peers.is_ambiguous = true;
    check(&ambiguous, Some(Status::Active), Some("ambiguous"), None);
    let mut other = row(0, 0);
    other.peers.other_asn = Some(64_501);
    check(&other, Some(Status::Active), Some("wrong_asn"), None);
    let got = judge(&other, Some(Status::Active), &rules(), at(NOW));
    assert_eq!(got.observed.reason.as_deref(), Some("its address at edge1 has AS64501, not AS64500"));
}

#[test]
fn expected_peers_begin_anew_with_an_owners_change() {
    let expected = |row: &SessionRow| judge(row, Some(Status::Active), &rules(), at(NOW)).observed.expected;
    assert_eq!(expected(&row(0, 2)), 1);
    assert_eq!(expected(&row(2, 2)), 2);
    assert_eq!(expected(&expecting(row(1, 2), 2)), 2);
    let changed = SessionRow { updated_at: at(NOW - 10), ..expecting(row(1, 2), 2) };
    assert_eq!(expected(&changed), 1);
}

#[test]
fn a_flapping_session_is_written_each_quarter_hour() {
    let written = |secs: &[i64]| SessionRow {
        written_at: secs.iter().map(|secs| at(NOW - secs)).collect(),
        ..expecting(row(0, 1), 1)
    };
    let error = Some((Written::Error, Some("Hold Timer Expired")));
    check(&written(&[300, 200]), Some(Status::Active), Some("down"), error);
    check(&written(&[3_000, 2_000, 899]), Some(Status::Active), Some("flapping"), None);
    check(&written(&[3_000, 2_000, 900]), Some(Status::Active), Some("flapping"), error);
    check(&written(&[3_601, 200, 100]), Some(Status::Active), Some("down"), error);
    // What is to be deleted is that, however often it flapped.
    check(&written(&[300, 200, 100]), Some(Status::QueuedForDelete), Some("gone"), None);
}

#[test]
fn routes_alone_are_stored_each_minute() {
    let seen = |routes, changed_at| Observed {
        routes: Some(routes),
        changed_at: at(changed_at),
        ..expecting(row(1, 1), 1).before.unwrap()
    };
    assert!(is_news(None, &seen(1, NOW), at(NOW)));
    assert!(!is_news(Some(&seen(1, NOW - 100)), &seen(1, NOW), at(NOW)));
    assert!(!is_news(Some(&seen(1, NOW - 59)), &seen(2, NOW), at(NOW)));
    assert!(is_news(Some(&seen(1, NOW - 60)), &seen(2, NOW), at(NOW)));
    assert!(is_news(Some(&seen(1, NOW - 1)), &Observed { up: 2, ..seen(1, NOW) }, at(NOW)));
}
