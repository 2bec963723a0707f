//! One line for people: its first 60 characters are enough to act on.

use std::time::Duration;

use crate::model::watch::{Condition, Kind, Watch};
use crate::model::{Asn, Prefix, Timestamp};

use super::detail::Detail;
use super::route_fault::RouteFault;

/// The names of routers that a line has at most.
const ROUTERS_MAX: usize = 3;

/// The characters of a path or an expression that a line has at most before the routers. The whole path is at its end.
const PATH_MAX: usize = 40;

/// The characters of an AS's name that a line has at most.
const NAME_MAX: usize = 24;

/// The facts of a line.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The condition.
    pub condition: Condition,
    /// The watch; `None`: it is about a router or a collector, which `subject` names.
    pub watch: Option<&'a Watch>,
    /// The subject of the condition.
    pub subject: &'a str,
    /// The names of the affected routers.
    pub routers: &'a [String],
    /// Their number.
    pub affected: u32,
    /// The number of routers that were asked.
    pub known: u32,
    /// The findings.
    pub detail: &'a Detail,
    /// Since when it holds.
    pub since: Timestamp,
}

/// Returns the line of an incident that holds.
pub fn line(facts: &Facts<'_>) -> String {
    let since = format!("since {}", facts.since.to_utc());
    let prefix = facts.subject.split(' ').next().unwrap_or_default();
    let watched = facts.watch.map(target).unwrap_or_default();
    let origin = named(facts.detail, facts.detail.origin.as_deref().unwrap_or("AS?"));
    let value = facts.detail.value.as_deref().unwrap_or("?");
    let reason = facts.detail.reason.as_deref().unwrap_or("?");
    let right = facts.detail.expected.as_deref().unwrap_or("?");
    // Incidents of earlier versions have no such value.
    let known = || facts.watch.map(|watch| list(&watch.expected_origins)).unwrap_or_default();
    let expected = || facts.detail.expected.clone().unwrap_or_else(known);
    let seen = || {
        let policy = if facts.detail.is_before_policy { ", before policy only" } else { "" };
        let path = facts.detail.path.as_deref().filter(|path| !path.is_empty());
        let path = path.map(|path| format!(", path {path}")).unwrap_or_default();
        let rpki = facts.detail.rpki.as_deref().map(|words| format!(", {words}")).unwrap_or_default();
        format!("{}{policy}{path}{rpki}, {since}", routers(facts))
    };
    match facts.condition {
        Condition::Origin => format!("HIJACK? {prefix} origin {origin}, expected {}; {}", expected(), seen()),
        Condition::MoreSpecific => {
            format!("MORE SPECIFIC {prefix} of {watched} origin {origin}, expected {}; {}", expected(), seen())
        }
        Condition::MoreSpecificOwn => format!("MORE SPECIFIC {prefix} of {watched} by its own {origin}; {}", seen()),
        Condition::Upstream => {
            format!("UPSTREAM {} behind {}, expected {right}; {}", at(facts), named(facts.detail, value), seen())
        }
        Condition::Downstream => {
            let value = named(facts.detail, value);
            format!("DOWNSTREAM {value} in the path of {}, expected {right}; {}", at(facts), seen())
        }
        Condition::Path => format!("PATH {} is {}, {}; {}", at(facts), cut(value), cut(right), seen()),
        Condition::Mitigated => format!("MITIGATED {} {value}; {}", at(facts), seen()),
        Condition::NewOriginPrefix => format!("NEW PREFIX {prefix} from {origin}; {}", seen()),
        Condition::Missing => format!("GONE {watched} at {}, {since}", routers(facts)),
        Condition::DefaultOnly => format!("DEFAULT ONLY {watched} at {}, {since}", routers(facts)),
        Condition::SessionDown => peer_down(facts, &since),
        Condition::Flapping => flapping(facts, &since),
        Condition::RouteCount => route_count(facts, &since),
        Condition::BmpDown => {
            let reason = facts.detail.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let watches = facts.detail.watches.unwrap_or(0);
            let plural = if watches == 1 { "" } else { "es" };
            format!("NOT WATCHED {}, {} watch{plural} unknown, {since}{reason}", facts.subject, grouped(watches))
        }
        Condition::Isolated => {
            format!("ISOLATED collector {} lost {} routers at once, {since}", facts.subject, facts.affected)
        }
        Condition::RpkiInvalid => format!("RPKI INVALID {prefix} origin {origin}, {reason}; {}", seen()),
        Condition::RpkiUncovered => format!("ROA GONE {prefix} origin {origin}, {reason}; {}", seen()),
        Condition::RoaExpiring => format!("ROA EXPIRES {prefix} origin {origin} at {reason}; {}", seen()),
        Condition::RoaChanged if facts.subject.is_empty() => format!("ROAS CHANGED {watched}: {value}, {since}"),
        Condition::RoaChanged => format!("ROA {value} {}, watch {watched}, {since}", facts.subject),
        Condition::VrpsStale => format!("VRPS STALE: no RPKI state of a route is known; set of {reason}, {since}"),
        Condition::VrpsReduced => format!("VRPS REDUCED: taken after its hold: {reason}, {since}"),
    }
}

/// The prefix that a condition of a path is about: that of the watch, or the one that the subject names.
fn at(facts: &Facts<'_>) -> String {
    if facts.subject.is_empty() { facts.watch.map(target).unwrap_or_default() } else { facts.subject.to_owned() }
}

/// `AS64511 (Example Networks)`, or without a name the AS alone.
fn named(detail: &Detail, asn: &str) -> String {
    detail.names.get(asn).map_or_else(|| asn.to_owned(), |name| format!("{asn} ({})", cut_at(name, NAME_MAX)))
}

/// A path or an expression as far as a line has room for it.
fn cut(text: &str) -> String {
    cut_at(text, PATH_MAX)
}

fn cut_at(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn flapping(facts: &Facts<'_>, since: &str) -> String {
    let detail = facts.detail;
    let watched = facts.watch.map(target).unwrap_or_default();
    let words = |what| detail.flaps.as_ref().map(|flaps| flaps.words(what)).unwrap_or_default();
    if facts.watch.is_some_and(|watch| watch.kind == Kind::Session) {
        let reason = detail.reason.as_deref().map(|reason| format!(", the last one: {reason}")).unwrap_or_default();
        let peer = peer_of(facts);
        return format!("FLAPPING {peer} at {}: {}{reason}, {since}", routers(facts), words("Peer Down"));
    }
    let peer = detail.peer.map(|peer| format!(", from {peer}")).unwrap_or_default();
    let path = detail.path.as_deref().map(|path| format!(", path {path}")).unwrap_or_default();
    format!("FLAPPING {watched}: {} at {}{peer}{path}, {since}", words("change"), routers(facts))
}

/// `ROUTES DOWN 40 % edge1 198.51.100.1 AS64500 (Example): 600 IPv4 routes, usually 1,000`.
fn route_count(facts: &Facts<'_>, since: &str) -> String {
    let detail = facts.detail;
    let (number, peer) = (detail.routes.unwrap_or(0), peer_of(facts));
    let percent = detail.against.and_then(|against| number.saturating_mul(100).checked_div(against)).unwrap_or(0);
    let fault = detail.fault.unwrap_or(RouteFault::NoRoutes);
    let against = detail.against.map(grouped);
    let (head, tail) = fault.words(&grouped(number), against.as_deref(), percent, detail.family);
    match facts.routers {
        [router] => format!("{head} {router} {peer}: {tail}, {since}"),
        [] | [_, ..] => format!("{head} {peer} at {}: {tail}, {since}", routers(facts)),
    }
}

/// `198.51.100.1 AS64500 (Example)`.
fn peer_of(facts: &Facts<'_>) -> String {
    let detail = facts.detail;
    let asn = detail.peer_asn.map(|asn| format!(" AS{asn}")).unwrap_or_default();
    let of_as = || detail.names.get(asn.trim_start()).map(|name| cut_at(name, NAME_MAX));
    let name = detail.description.clone().or_else(of_as).map(|name| format!(" ({name})")).unwrap_or_default();
    match (detail.peer, facts.watch) {
        (Some(peer), _) => format!("{peer}{asn}{name}"),
        (None, Some(watch)) => target(watch),
        (None, None) => facts.subject.to_owned(),
    }
}

fn peer_down(facts: &Facts<'_>, since: &str) -> String {
    let detail = facts.detail;
    let reason = detail.reason.as_deref().unwrap_or("no reason was reported");
    let gone = detail.routes.filter(|routes| *routes > 0);
    let gone = gone.map(|routes| format!(", {} routes gone", grouped(routes))).unwrap_or_default();
    let peer = peer_of(facts);
    match facts.routers {
        [router] => format!("PEER DOWN {router} {peer}: {reason}, {since}{gone}"),
        [] | [_, ..] => format!("PEER DOWN {peer} at {}: {reason}, {since}{gone}", routers(facts)),
    }
}

/// Returns what a watch is about.
pub fn target(watch: &Watch) -> String {
    let prefix = watch.prefix.map(|prefix| prefix.to_string());
    let address = watch.address.or(watch.peer).map(|address| address.to_string());
    let asn = watch.asn.map(|asn| format!("AS{asn}"));
    let router = watch.router.as_ref().map(|router| router.to_string());
    prefix.or(address).or(asn).or(router).unwrap_or_else(|| watch.name.clone())
}

/// `3 of 4 routers (edge1, edge2, edge3)`.
fn routers(facts: &Facts<'_>) -> String {
    let plural = if facts.known == 1 { "" } else { "s" };
    format!("{} of {} router{plural} ({})", facts.affected, facts.known, some(facts.routers))
}

/// The first of several names, and how many more there are.
pub fn some(names: &[String]) -> String {
    some_of(names, ROUTERS_MAX)
}

/// The first names, at most `max` of them, and how many more there are.
pub fn some_of(names: &[String], max: usize) -> String {
    let shown = names.iter().take(max).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(max) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The first of several ASes, and how many more there are.
pub fn list(asns: &[Asn]) -> String {
    let names: Vec<String> = asns.iter().map(|asn| format!("AS{asn}")).collect();
    if names.is_empty() { "no AS".to_owned() } else { some(&names) }
}

/// Returns the line of what watches of ASes accept at their beginning: of one its prefixes, of more the number of each.
pub fn accepted(source: &str, by_watch: &[(&Watch, &[Prefix])]) -> String {
    let count = |number: usize| grouped(i64::try_from(number).unwrap_or(i64::MAX));
    let prefixes = |number: usize| format!("{} prefix{}", count(number), if number == 1 { "" } else { "es" });
    if let [(watch, accepted)] = by_watch {
        let mut names: Vec<String> = accepted.iter().map(Prefix::to_string).collect();
        names.sort_unstable();
        let number = prefixes(accepted.len());
        return format!("BASELINE {} originates {number}, now accepted: {}", target(watch), some(&names));
    }
    let number = prefixes(by_watch.iter().map(|(_, accepted)| accepted.len()).sum());
    let names: Vec<String> =
        by_watch.iter().map(|(watch, accepted)| format!("{} {}", target(watch), count(accepted.len()))).collect();
    format!("BASELINE {source}: {} ASes originate {number}, now accepted: {}", by_watch.len(), some(&names))
}

/// Returns the line of an incident that is over.
pub fn over(summary: &str, lasted: Duration) -> String {
    format!("OVER after {}: {summary}", duration(lasted))
}

/// `40 s`, `12 min`, `3 h 5 min`, `2 d 3 h`.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

/// `941,223`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
