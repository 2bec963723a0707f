//! Common causes: which openings of one round belong together, and the line of what they belong to. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::watch::{Condition, Severity, WatchId};
use crate::model::{RouterId, Timestamp};
use crate::store::watch::peers::PeerDownRow;

use super::candidates::{Candidate, Key};
use super::detail::clean;
use super::known_routers::after;
use super::summary::{grouped, some, some_of};

/// The time within which what is missing goes after a Peer Down: routers look for other paths first.
const PEER_DOWN_WITHIN: Duration = Duration::from_secs(60);

/// The clock difference and the order of writers that a Peer Down may be after what it caused.
const PEER_DOWN_AFTER: Duration = Duration::from_secs(5);

/// The openings of one condition, severity and team that are told one by one.
const SINGLE_MAX: usize = 5;

/// The names in the line of many openings, which has their number first.
const MANY_NAMES: usize = 2;

/// A common cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Conditions that held already when watches of this source were made.
    Baseline(String),
    /// The router came back without it.
    Reload(RouterId),
    /// A peer went down.
    Peer(RouterId, IpAddr),
    /// The watched route or session flaps: the incident of that is the parent.
    Flaps(WatchId),
    /// Many at once, and nobody knows why.
    Many(Condition, Severity),
}

impl Cause {
    /// Returns the cause key of the parent without its end, the time: what comes later has a parent of its own.
    pub fn stem(&self, site: &str, team: Option<&str>) -> String {
        let team = team.map(|team| format!("{team}:")).unwrap_or_default();
        match self {
            Cause::Baseline(source) => format!("{site}/{team}baseline/{source}/"),
            Cause::Reload(router) => format!("{site}/{team}router/{router}/reload/"),
            Cause::Peer(router, peer) => format!("{site}/{team}peer/{router}/{peer}/"),
            Cause::Flaps(watch) => format!("{site}/{team}flaps/{watch}/"),
            Cause::Many(condition, severity) => format!("{site}/{team}many/{condition}/{}/", severity.as_str()),
        }
    }

    /// Returns the least number of openings that make it a parent.
    fn least(&self) -> usize {
        match self {
            Cause::Baseline(_) | Cause::Flaps(_) => 1,
            Cause::Reload(_) | Cause::Peer(..) => 2,
            Cause::Many(..) => SINGLE_MAX + 1,
        }
    }
}

/// Something that opens now and is told, unless it belongs to a cause.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Its team and key.
    pub key: &'a Key,
    /// The condition and its vantages.
    pub candidate: &'a Candidate,
    /// The thing that made its watch.
    pub source: &'a str,
    /// True if what its watch is about flaps.
    pub is_flapping: bool,
}

/// Returns the cause of each opening that belongs to one. `has_parent`: the parent is open already; `recent`: how many
/// openings of a condition and severity of a team were told one by one lately.
pub fn of(
    openings: &[Opening<'_>],
    downs: &[PeerDownRow],
    has_parent: impl Fn(Option<&str>, &Cause) -> bool,
    recent: impl Fn(Option<&str>, Condition, Severity) -> usize,
) -> Vec<Option<Cause>> {
    let mut causes: Vec<Option<Cause>> = openings.iter().map(|opening| cause_of(opening, downs)).collect();
    let team = |i: usize| openings[i].key.0.as_deref();
    let mut counts: BTreeMap<(Option<&str>, Cause), usize> = BTreeMap::new();
    for (i, cause) in causes.iter().enumerate() {
        if let Some(cause) = cause {
            *counts.entry((team(i), cause.clone())).or_default() += 1;
        }
    }
    let is_shared = |i: usize, cause: &Cause| {
        counts.get(&(team(i), cause.clone())).is_some_and(|count| *count >= cause.least()) || has_parent(team(i), cause)
    };
    for (i, cause) in causes.iter_mut().enumerate() {
        if cause.as_ref().is_some_and(|cause| !is_shared(i, cause)) {
            *cause = None;
        }
    }
    let mut single: BTreeMap<(Option<&str>, Condition, Severity), Vec<usize>> = BTreeMap::new();
    for i in (0..openings.len()).filter(|i| causes[*i].is_none()) {
        let candidate = openings[i].candidate;
        single.entry((team(i), candidate.condition, candidate.severity)).or_default().push(i);
    }
    for ((team, condition, severity), members) in single {
        let many = Cause::Many(condition, severity);
        // The others wait for more: `gathered` decides about them.
        let is_many = !waits(severity) && members.len() + recent(team, condition, severity) >= many.least();
        if is_many || has_parent(team, &many) {
            members.into_iter().for_each(|i| causes[i] = Some(many.clone()));
        }
    }
    causes
}

/// Returns whether an opening is told only when there was time for more of its kind.
pub fn waits(severity: Severity) -> bool {
    severity < Severity::Critical
}

/// Returns whether this many openings that have waited are told as one.
pub fn gathered(openings: usize) -> bool {
    openings > SINGLE_MAX
}

/// Returns whether a condition is told whatever else is wrong: a foreign origin has no harmless cause.
pub fn stands_alone(condition: Condition) -> bool {
    matches!(condition, Condition::Origin | Condition::MoreSpecific | Condition::Flapping)
}

fn cause_of(opening: &Opening<'_>, downs: &[PeerDownRow]) -> Option<Cause> {
    let candidate = opening.candidate;
    let router = candidate.routers.first()?;
    if candidate.detail.is_baseline {
        return Some(Cause::Baseline(opening.source.to_owned()));
    }
    if let Some(watch) = candidate.watch.filter(|_| opening.is_flapping && !stands_alone(candidate.condition)) {
        return Some(Cause::Flaps(watch));
    }
    if candidate.detail.is_after_reload {
        return Some(Cause::Reload(router.clone()));
    }
    match candidate.condition {
        Condition::Missing | Condition::DefaultOnly => {
            let since = candidate.tally.since?;
            let is_before = |down: &&PeerDownRow| {
                candidate.routers.contains(&down.router)
                    && down.at <= after(since, PEER_DOWN_AFTER)
                    && since <= after(down.at, PEER_DOWN_WITHIN)
            };
            let down = downs.iter().filter(is_before).max_by_key(|down| (down.routes.unwrap_or(0) > 0, down.at))?;
            Some(Cause::Peer(down.router.clone(), down.address))
        }
        Condition::SessionDown => Some(Cause::Peer(router.clone(), candidate.detail.peer?)),
        Condition::Origin
        | Condition::MoreSpecific
        | Condition::MoreSpecificOwn
        | Condition::Upstream
        | Condition::Downstream
        | Condition::Path
        | Condition::Mitigated
        | Condition::RpkiInvalid
        | Condition::RpkiUncovered
        | Condition::RoaExpiring
        | Condition::RoaChanged
        | Condition::VrpsStale
        | Condition::VrpsReduced
        | Condition::NewOriginPrefix
        | Condition::Flapping
        | Condition::RouteCount
        | Condition::BmpDown
        | Condition::Isolated => None,
    }
}

/// The facts of a parent's line.
#[derive(Clone, Copy, Debug)]
pub struct ParentFacts<'a> {
    /// The targets of its children: prefixes, addresses, peers.
    pub targets: &'a [String],
    /// The number of them that are BGP sessions.
    pub sessions: usize,
    /// The number of peers and of watched prefixes that the cause's router had.
    pub had: (usize, usize),
    /// The number of affected routers, and of known ones.
    pub routers: (u32, u32),
    /// The name of the cause's router.
    pub router: &'a str,
    /// When it began.
    pub since: Timestamp,
    /// The Peer Down.
    pub down: Option<&'a PeerDownRow>,
}

/// Returns the line of a parent.
pub fn line(cause: &Cause, family: &ParentFacts<'_>) -> String {
    let since = family.since.to_utc();
    let count = family.targets.len();
    let names = some(family.targets);
    match cause {
        Cause::Baseline(source) => {
            let plural = if count == 1 { " condition holds" } else { " conditions hold" };
            format!("BASELINE {source}: {count}{plural} already, since {since}: {names}")
        }
        Cause::Reload(_) => {
            let prefixes = count.saturating_sub(family.sessions);
            let of = |count: usize, had: usize, one: &str, many: &str| {
                let had = had.max(count);
                (count > 0).then(|| format!("{count} of {had} {}", if had == 1 { one } else { many }))
            };
            let parts = [
                of(family.sessions, family.had.0, "peer", "peers"),
                of(prefixes, family.had.1, "watched prefix", "watched prefixes"),
            ];
            let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
            format!("{} is back since {since}: {parts} did not come back: {names}", family.router)
        }
        Cause::Peer(_, peer) => {
            let asn = family.down.and_then(|down| down.asn).map(|asn| format!(" AS{asn}")).unwrap_or_default();
            let name = family.down.and_then(|down| down.description.as_deref());
            let name = name.map(|name| format!(" ({})", clean(name))).unwrap_or_default();
            let reason = family.down.and_then(|down| down.reason.as_deref());
            let reason = reason.map_or_else(|| "no reason was reported".to_owned(), clean);
            let routes = family.down.and_then(|down| down.routes).filter(|routes| *routes > 0);
            let routes = routes.map(|routes| format!(", {} routes gone", grouped(routes))).unwrap_or_default();
            format!("PEER DOWN {} {peer}{asn}{name}: {reason}, since {since}{routes}: {names}", family.router)
        }
        // The incident of the watch that flaps has a line of its own.
        Cause::Flaps(_) => format!("FLAPPING since {since}: {names}"),
        Cause::Many(condition, _) => {
            let names = some_of(family.targets, MANY_NAMES);
            let what = match condition {
                Condition::Missing if count == 1 => "prefix missing",
                Condition::Missing => "prefixes missing",
                Condition::SessionDown if count == 1 => "BGP session down",
                Condition::SessionDown => "BGP sessions down",
                Condition::BmpDown if count == 1 => "router not watched",
                Condition::BmpDown => "routers not watched",
                other => return format!("{count} {other}, on {}, since {since}: {names}", on(family.routers)),
            };
            format!("{count} {what}, on {}, since {since}: {names}", on(family.routers))
        }
    }
}

fn on((affected, known): (u32, u32)) -> String {
    let plural = if known == 1 { "" } else { "s" };
    format!("{affected} of {known} router{plural}")
}

#[cfg(test)]
#[path = "cause_tests.rs"]
mod tests;
