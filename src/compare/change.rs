//! Decides whether a planned change went well: compares the state of the routers before it with the state now.

use std::collections::HashMap;

use super::check::{Check, Outcome};
use crate::store::change_windows::{ChangePeer, ChangeState, ChangedRoute, RouteCount};

/// The accepted difference of a peer's number of routes, in percent.
const TOLERANCE_PERCENT: i64 = 2;

/// The largest number of lines of a check.
const LINES_MAX: usize = 100;

/// Judges a change by the state before it, the state now and the own routes that are not as they were. The last check is
/// all other churn, which decides only if `is_strict`; `churn` are further lines of it.
pub(crate) fn verify(
    before: &ChangeState,
    now: &ChangeState,
    own: &[ChangedRoute],
    churn: &[String],
    is_strict: bool,
) -> Vec<Check> {
    let all: Vec<String> = other_churn(before, now).into_iter().chain(churn.iter().cloned()).collect();
    let mut churn = check("churn", all, "nothing else changed".to_owned(), "changes beside these");
    if !is_strict {
        churn.outcome = Outcome::Good;
    }
    vec![peers(before, now), watches(before, now), route_counts(before, now), own_routes(before, own), churn]
}

fn check(name: &str, mut lines: Vec<String>, good: String, bad: &str) -> Check {
    let count = lines.len();
    let (outcome, summary) = match count {
        0 => (Outcome::Good, good),
        _ => (Outcome::Bad, format!("{count} {bad}")),
    };
    if count > LINES_MAX {
        lines.truncate(LINES_MAX);
        lines.push(format!("and {} more", count - LINES_MAX));
    }
    Check { name: name.to_owned(), outcome, summary, lines }
}

type ComparedPeer<'a> = (&'a str, &'a str, &'a str, std::net::IpAddr, i64);

fn peer_key(peer: &ChangePeer) -> ComparedPeer<'_> {
    (&peer.router_id, &peer.peer_type, &peer.distinguisher, peer.address, peer.asn)
}

fn peer_name(peer: &ChangePeer) -> String {
    let description = peer.description.as_ref().map_or(String::new(), |text| format!(" ({text})"));
    format!("{} peer {} AS{}{description}", peer.router_id, peer.address, peer.asn)
}

fn peers(before: &ChangeState, now: &ChangeState) -> Check {
    let known: HashMap<_, _> = now.peers.iter().map(|peer| (peer_key(peer), peer)).collect();
    let were_up: Vec<&ChangePeer> = before.peers.iter().filter(|peer| peer.is_up).collect();
    let lines = were_up.iter().filter_map(|peer| match known.get(&peer_key(peer)) {
        Some(now) if now.is_up => None,
        Some(now) => {
            let reason = now.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            Some(format!("{} was up and is not{reason}", peer_name(peer)))
        }
        None => Some(format!("{} was up and is not reported any more", peer_name(peer))),
    });
    check("peers", lines.collect(), format!("all that were up are up: {}", were_up.len()), "that were up are not")
}

fn watches(before: &ChangeState, now: &ChangeState) -> Check {
    let were: HashMap<_, _> = before.troubles.iter().map(|trouble| (&trouble.key, trouble.severity)).collect();
    let is_worse = |key, severity| were.get(key).is_none_or(|before| severity > *before);
    let worse = now.troubles.iter().filter(|trouble| is_worse(&trouble.key, trouble.severity));
    check("watches", worse.map(|trouble| trouble.text.clone()).collect(), "none is worse".to_owned(), "worse")
}

type CountKey<'a> = (&'a str, Option<std::net::IpAddr>, Option<i64>, Option<bool>, &'a str, i16);

fn count_key(count: &RouteCount) -> CountKey<'_> {
    (&count.router_id, count.peer, count.asn, count.is_post_policy, &count.table_name, count.afi)
}

fn count_name(count: &RouteCount) -> String {
    let of = match (count.peer, count.asn) {
        (Some(peer), Some(asn)) => format!("peer {peer} AS{asn}"),
        (_, _) => "Loc-RIB".to_owned(),
    };
    let view = match count.is_post_policy {
        Some(true) => " after policy",
        Some(false) => " before policy",
        None => "",
    };
    format!("{} {of} table {} IPv{}{view}", count.router_id, count.table_name, count.afi)
}

/// Every count of before or of now, with both numbers.
fn both_counts<'a>(before: &'a ChangeState, now: &'a ChangeState) -> Vec<(&'a RouteCount, i64, i64)> {
    let routes = |state: &'a ChangeState| -> HashMap<CountKey<'a>, i64> {
        state.counts.iter().map(|count| (count_key(count), count.routes)).collect()
    };
    let (old, new) = (routes(before), routes(now));
    let number = |of: &HashMap<CountKey<'_>, i64>, count| of.get(&count_key(count)).copied().unwrap_or(0);
    let added = now.counts.iter().filter(|count| !old.contains_key(&count_key(count)));
    before.counts.iter().chain(added).map(|count| (count, number(&old, count), number(&new, count))).collect()
}

fn is_outside(before: i64, now: i64) -> bool {
    (now - before).abs().saturating_mul(100) > before.saturating_mul(TOLERANCE_PERCENT)
}

/// Returns whether a peer was up before the change and is up now: the routes of others are no news.
fn is_up_in_both(before: &ChangeState, now: &ChangeState, count: &RouteCount) -> bool {
    let is_up = |state: &ChangeState| {
        state.peers.iter().any(|peer| {
            peer.is_up
                && peer.router_id == count.router_id
                && Some(peer.address) == count.peer
                && Some(peer.asn) == count.asn
        })
    };
    is_up(before) && is_up(now)
}

fn route_counts(before: &ChangeState, now: &ChangeState) -> Check {
    let judged: Vec<_> = both_counts(before, now)
        .into_iter()
        .filter(|(count, ..)| count.peer.is_some() && is_up_in_both(before, now, count))
        .collect();
    let lines = judged.iter().filter(|(_, old, new)| is_outside(*old, *new));
    let lines = lines.map(|(count, old, new)| format!("{}: {old} routes before, {new} now", count_name(count)));
    let good = format!("all within {TOLERANCE_PERCENT} %: {}", judged.len());
    check("routes per peer", lines.collect(), good, &format!("outside {TOLERANCE_PERCENT} %"))
}

fn own_routes(before: &ChangeState, own: &[ChangedRoute]) -> Check {
    let line = |route: &ChangedRoute| {
        let what = match (route.is_gone, route.attributes.as_slice()) {
            (true, _) => "is gone".to_owned(),
            (false, []) => "has another number of paths".to_owned(),
            (false, attributes) => format!("changed: {}", attributes.join(", ")),
        };
        format!("{} table {} {} {what}", route.router_id, route.table_name, route.prefix)
    };
    let more = if before.has_more_own { ", the first of more" } else { "" };
    let good = format!("all as they were: {}{more}", before.own.len());
    check("own routes", own.iter().map(line).collect(), good, "went or changed")
}

/// Returns the changes that decide nothing.
fn other_churn(before: &ChangeState, now: &ChangeState) -> Vec<String> {
    let old: HashMap<_, _> = before.peers.iter().map(|peer| (peer_key(peer), peer.is_up)).collect();
    let peers = now.peers.iter().filter_map(|peer| match old.get(&peer_key(peer)) {
        None => Some(format!("{} is new", peer_name(peer))),
        Some(false) if peer.is_up => Some(format!("{} was down and is up", peer_name(peer))),
        Some(_) => None,
    });
    let counts = both_counts(before, now).into_iter().filter(|(count, old, new)| {
        let is_judged = count.peer.is_some() && is_up_in_both(before, now, count) && is_outside(*old, *new);
        old != new && !is_judged
    });
    let counts = counts.map(|(count, old, new)| format!("{}: {old} routes before, {new} now", count_name(count)));
    let known: std::collections::HashSet<_> =
        before.own.iter().map(|route| (&route.router_id, &route.table_name, route.afi, &route.prefix)).collect();
    let own = now.own.iter().filter(|route| {
        !before.has_more_own && !known.contains(&(&route.router_id, &route.table_name, route.afi, &route.prefix))
    });
    let own =
        own.map(|route| format!("{} table {} {} is a new own route", route.router_id, route.table_name, route.prefix));
    peers.chain(counts).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::change_windows::Trouble;

    fn peer(last: u8, is_up: bool) -> ChangePeer {
        ChangePeer {
            router_id: "r".to_owned(),
            peer_type: "global".to_owned(),
            distinguisher: String::new(),
            address: [192, 0, 2, last].into(),
            asn: 64_500,
            description: None,
            reason: None,
            is_up,
        }
    }

    fn count(last: u8, routes: i64) -> RouteCount {
        RouteCount {
            router_id: "r".to_owned(),
            peer: Some([192, 0, 2, last].into()),
            asn: Some(64_500),
            is_post_policy: Some(true),
            table_name: "t".to_owned(),
            afi: 4,
            routes,
        }
    }

    fn outcomes(before: &ChangeState, now: &ChangeState, is_strict: bool) -> Vec<Outcome> {
        verify(before, now, &[], &[], is_strict).iter().map(|check| check.outcome).collect()
    }

    #[test]
    fn two_percent_are_no_change() {
        for (before, now, want) in [
            (0, 0, false),
            (0, 1, true),
            (1, 0, true),
            (100, 98, false),
            (100, 102, false),
            (100, 103, true),
            (49, 48, true),
        ] {
            assert_eq!(is_outside(before, now), want, "{before} {now}");
        }
    }

    #[test]
    fn each_kind_decides_alone() {
        use Outcome::{Bad, Good};
        let before = ChangeState {
            peers: vec![peer(1, true), peer(2, false)],
            counts: vec![count(1, 100)],
            troubles: vec![Trouble { key: "a".to_owned(), text: "a".to_owned(), severity: 1 }],
            ..ChangeState::default()
        };
        assert_eq!(outcomes(&before, &before, true), [Good; 5]);
        let mut now = before.clone();
        now.peers[0].is_up = false;
        now.counts.clear();
        // The routes of a peer that is down say nothing more.
        assert_eq!(outcomes(&before, &now, false), [Bad, Good, Good, Good, Good]);
        let mut now = before.clone();
        now.troubles[0].severity = 2;
        assert_eq!(outcomes(&before, &now, false), [Good, Bad, Good, Good, Good]);
        let mut now = before.clone();
        now.counts[0].routes = 90;
        assert_eq!(outcomes(&before, &now, true), [Good, Good, Bad, Good, Good]);
        let mut now = before.clone();
        now.counts[0].routes = 99;
        now.peers[1].is_up = true;
        assert_eq!(outcomes(&before, &now, false), [Good; 5]);
        assert_eq!(outcomes(&before, &now, true), [Good, Good, Good, Good, Bad]);
        let lines = verify(&before, &now, &[], &[], false).remove(4).lines;
        assert_eq!(
            lines,
            [
                "r peer 192.0.2.2 AS64500 was down and is up",
                "r peer 192.0.2.1 AS64500 table t IPv4 after policy: 100 routes before, 99 now"
            ]
        );
    }
}
