//! RPKI for watches: VRPs validate the routes that watches judge (RFC 6811), and their changes are reported.
//!
//! Without a set, and with one that is too old, every state is unknown: nothing opens, nothing closes. One that is too
//! old and that no collector loads any more is no set: the conditions of RPKI are over.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{Asn, Prefix, Timestamp};
use crate::store::watch::routes::RouteRow;
use crate::store::watch::rpki::{self, VrpChange, VrpRow, VrpSet};
use crate::store::{Result, Transaction};

use super::detail::Detail;
use super::index::{Watches, host};
use super::judge::{Finding, Sender, add};
use super::known_routers::after;

/// The time before its end at which a VRP expires soon.
const EXPIRES_WITHIN: Duration = Duration::from_secs(2 * 60 * 60);

/// The interval at which a VRP that expires soon is looked at: a validator renews it without a change of the set.
const EXPIRING_EVERY: Duration = Duration::from_secs(60);

/// The time for which a VRP that went is remembered.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The time for which a change of VRPs is news.
pub const NEWS: Duration = Duration::from_secs(15 * 60);

/// The prefixes that one statement asks for.
const PREFIXES_AT_ONCE: usize = 20_000;

/// The conditions that the VRPs decide at vantages.
const JUDGED: [Condition; 3] = [Condition::RpkiInvalid, Condition::RpkiUncovered, Condition::RoaExpiring];

/// Returns whether the VRPs decide a condition: while they are too old, it is unknown.
pub fn is_of_rpki(condition: Condition) -> bool {
    JUDGED.contains(&condition) || condition == Condition::RoaChanged
}

/// Returns whether a watch asks for the validity of routes.
pub fn asks(watch: &Watch) -> bool {
    JUDGED.iter().any(|condition| watch.judges(*condition))
}

/// The state between rounds.
#[derive(Debug, Default)]
pub struct Memory {
    set: Option<VrpSet>,
    news: Vec<VrpChange>,
    /// When watches are looked at again because of a clock.
    due: HashMap<WatchId, Timestamp>,
}

impl Memory {
    /// Reads the state of the set. Where it has changed, the watches concerned are looked at.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn read(
        &mut self,
        transaction: &mut Transaction<'_>,
        watches: &Watches,
        scope: &mut HashSet<WatchId>,
        now: Timestamp,
    ) -> Result<()> {
        let set = rpki::set(transaction)?;
        let old = self.set.replace(set.clone());
        let old = old.as_ref();
        if old.is_some_and(|old| old.is_in_use && !set.is_in_use) {
            scope.extend(watches.all().map(|row| row.watch.id));
        }
        if self.set().is_none() {
            self.news.clear();
            return Ok(());
        }
        let is_new = old.is_none_or(|old| old.version != set.version);
        if is_new {
            let news = Timestamp::from_unix_micros(now.unix_micros() - micros(NEWS));
            // At the start, everything is evaluated anyway.
            let seen = old.map_or(i64::MAX, |old| old.version);
            let changes = rpki::changes(transaction, news, seen)?;
            scope.extend(concerned(watches, changes.iter().filter(|change| change.version > seen)));
            self.news = changes;
        }
        // A first set is not a change of another, and what was unknown may be anything.
        if old.is_some_and(|old| !old.is_usable && set.is_usable) {
            scope.extend(watches.all().map(|row| row.watch.id));
        }
        if set.is_usable {
            let is_due = |at: &Timestamp| *at <= now;
            scope.extend(self.due.iter().filter(|(_, at)| is_due(at)).map(|(watch, _)| *watch));
            self.due.retain(|_, at| !is_due(at));
        }
        Ok(())
    }

    /// Returns the set in force; `None`: none was ever taken, or nobody loads it any more.
    pub fn set(&self) -> Option<&VrpSet> {
        self.set.as_ref().filter(|set| set.version > 0 && set.is_in_use)
    }

    /// Returns the changes that are news, or were shortly before.
    pub fn news(&self) -> &[VrpChange] {
        &self.news
    }

    /// Returns whether anything can be said.
    pub fn is_usable(&self) -> bool {
        self.set.as_ref().is_some_and(|set| set.is_usable)
    }

    /// Notes when watches are looked at again.
    pub fn remind(&mut self, due: HashMap<WatchId, Timestamp>) {
        for (watch, at) in due {
            let known = self.due.entry(watch).or_insert(at);
            *known = at.min(*known);
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Returns the watches whose routes these changes may concern. Where an AS originates is not known here: all of its
/// watches are.
fn concerned<'a>(watches: &Watches, changes: impl Iterator<Item = &'a VrpChange>) -> HashSet<WatchId> {
    let prefixes: HashSet<Prefix> = changes.map(|change| change.prefix).collect();
    let mut found: HashSet<WatchId> = HashSet::new();
    if prefixes.is_empty() {
        return found;
    }
    for prefix in &prefixes {
        found.extend(watches.covering(prefix).map(|watch| watch.id));
    }
    let is_inside = |watch: &&Watch| {
        let watched = watch.prefix.or_else(|| watch.address.map(host));
        watched.is_some_and(|watched| covering(&watched).any(|above| prefixes.contains(&above)))
            || watch.kind == Kind::Origin
    };
    found.extend(watches.all().map(|row| &row.watch).filter(is_inside).map(|watch| watch.id));
    found
}

/// Returns a prefix and all that cover it, the longest first.
pub(super) fn covering(prefix: &Prefix) -> impl Iterator<Item = Prefix> + '_ {
    (0..=prefix.length()).rev().map(|length| Prefix::fitting(prefix.afi(), prefix.octets(), length))
}

/// The state of a route (RFC 6811 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteValidity {
    /// A VRP matches.
    Valid,
    /// One covers it, and none matches.
    Invalid,
    /// None covers it.
    NotFound,
    /// There is no set, or it is too old.
    Unknown,
}

/// The VRPs that matter for the routes of a round.
#[derive(Debug, Default)]
pub struct Vrps {
    is_usable: bool,
    by_prefix: HashMap<Prefix, Vec<VrpRow>>,
    gone: HashMap<Prefix, Vec<VrpChange>>,
}

impl Vrps {
    /// Reads the VRPs that cover these prefixes.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn read(
        transaction: &mut Transaction<'_>,
        memory: &Memory,
        prefixes: impl Iterator<Item = Prefix>,
    ) -> Result<Vrps> {
        if !memory.is_usable() {
            return Ok(Vrps::default());
        }
        let routes: HashSet<Prefix> = prefixes.collect();
        let above: HashSet<Prefix> = routes.iter().flat_map(covering).collect();
        let above: Vec<String> = above.iter().map(Prefix::to_string).collect();
        let mut vrps = Vrps { is_usable: true, ..Vrps::default() };
        for some in above.chunks(PREFIXES_AT_ONCE) {
            for vrp in rpki::vrps(transaction, some)? {
                vrps.by_prefix.entry(vrp.prefix).or_default().push(vrp);
            }
            for change in rpki::gone(transaction, some)? {
                vrps.gone.entry(change.prefix).or_default().push(change);
            }
        }
        Ok(vrps)
    }

    /// Returns VRPs as they are, of a set that is not too old.
    #[cfg(test)]
    fn of(vrps: &[VrpRow], gone: &[VrpChange]) -> Vrps {
        let mut all = Vrps { is_usable: true, ..Vrps::default() };
        vrps.iter().for_each(|vrp| all.by_prefix.entry(vrp.prefix).or_default().push(vrp.clone()));
        gone.iter().for_each(|change| all.gone.entry(change.prefix).or_default().push(change.clone()));
        all
    }

    fn covering(&self, prefix: &Prefix) -> Vec<&VrpRow> {
        covering(prefix).flat_map(|above| self.by_prefix.get(&above).into_iter().flatten()).collect()
    }

    /// Validates a prefix and its origin. `None`: the path ends in an AS_SET, which no VRP matches.
    pub fn validate(&self, prefix: &Prefix, origin: Option<Asn>) -> RouteValidity {
        if !self.is_usable {
            return RouteValidity::Unknown;
        }
        let covering = self.covering(prefix);
        match covering.iter().any(|vrp| is_match(vrp.asn, vrp.max_length, prefix, origin)) {
            true => RouteValidity::Valid,
            false if covering.is_empty() => RouteValidity::NotFound,
            false => RouteValidity::Invalid,
        }
    }

    /// Adds what the VRPs say to an alarm about an origin.
    pub fn describe(&self, condition: Condition, prefix: &Prefix, detail: &mut Detail) {
        if matches!(condition, Condition::Origin | Condition::MoreSpecific | Condition::NewOriginPrefix) {
            detail.rpki = detail.origin.as_deref().and_then(|origin| self.words(prefix, origin));
        }
    }

    /// Returns the words for an origin; `None`: nothing can be said, or no VRP covers it.
    fn words(&self, prefix: &Prefix, origin: &str) -> Option<String> {
        let origin = origin.strip_prefix("AS").and_then(|asn| asn.parse().ok()).map(Asn);
        match self.validate(prefix, origin) {
            RouteValidity::Valid => Some("RPKI valid".to_owned()),
            RouteValidity::Invalid => Some("RPKI invalid".to_owned()),
            RouteValidity::NotFound | RouteValidity::Unknown => None,
        }
    }

    /// Returns why a route is invalid, shortly.
    fn reason(&self, prefix: &Prefix, origin: Option<Asn>) -> String {
        let covering = self.covering(prefix);
        let longest = covering.iter().filter(|vrp| Some(vrp.asn) == origin && vrp.asn.0 != 0).map(|vrp| vrp.max_length);
        if let Some(longest) = longest.max() {
            return format!("longer than maxLength {longest}");
        }
        let mut asns: Vec<Asn> = covering.iter().map(|vrp| vrp.asn).collect();
        asns.sort_unstable();
        asns.dedup();
        format!("ROA for {}", super::summary::list(&asns))
    }
}

fn is_match(asn: Asn, max_length: u8, prefix: &Prefix, origin: Option<Asn>) -> bool {
    asn.0 != 0 && origin == Some(asn) && prefix.length() <= max_length
}

/// The verdict of the VRPs on routes.
#[derive(Debug, Default)]
pub struct Judged {
    /// The faults.
    pub findings: Vec<Finding>,
    /// When it has to be looked at again.
    pub due: Option<Timestamp>,
}

impl Judged {
    fn remind(&mut self, at: Timestamp) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

/// Judges routes of one prefix in one table by the VRPs. `own`: the router's AS.
pub fn judge(vrps: &Vrps, watch: &Watch, routes: &[&RouteRow], own: Option<Asn>, now: Timestamp) -> Judged {
    let mut judged = Judged::default();
    if !vrps.is_usable || !asks(watch) {
        return judged;
    }
    for route in routes.iter().filter_map(|row| Sender::of(row, own)) {
        judge_one(vrps, watch, &route, now, &mut judged);
    }
    judged.findings.retain(|(condition, ..)| watch.judges(*condition));
    judged
}

fn judge_one(vrps: &Vrps, watch: &Watch, route: &Sender<'_>, now: Timestamp, judged: &mut Judged) {
    let prefix = route.row.prefix;
    let is_expected = is_expected(watch, route.asn);
    // A watch of an AS judges what that AS originates. A router's own route is configured there: it is no hijack.
    if !is_expected && (watch.kind == Kind::Origin || route.is_own()) {
        return;
    }
    let found = |judged: &mut Judged, condition, reason| {
        let subject = format!("{prefix} {}", route.origin_text());
        add(&mut judged.findings, condition, subject, Detail { reason: Some(reason), ..route.detail() });
    };
    match vrps.validate(&prefix, route.asn) {
        RouteValidity::Invalid if is_expected && route.mitigation(watch).is_some() => {}
        RouteValidity::Invalid => found(judged, Condition::RpkiInvalid, vrps.reason(&prefix, route.asn)),
        RouteValidity::NotFound if is_expected => {
            let gone = covering(&prefix).flat_map(|above| vrps.gone.get(&above).into_iter().flatten());
            let matched = gone.filter(|vrp| is_match(vrp.asn, vrp.max_length, &prefix, route.asn));
            if let Some(last) = matched.max_by_key(|vrp| vrp.at) {
                judged.remind(after(last.at, REMEMBERED));
                found(judged, Condition::RpkiUncovered, format!("valid until {}", last.at.to_utc()));
            }
        }
        RouteValidity::Valid if is_expected => {
            let covering = vrps.covering(&prefix);
            let matched = covering.iter().filter(|vrp| is_match(vrp.asn, vrp.max_length, &prefix, route.asn));
            // The last of them counts; one that says nothing does not expire.
            let ends = matched.map(|vrp| vrp.expires).reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
            if let Some(end) = ends {
                if end <= after(now, EXPIRES_WITHIN) {
                    judged.remind(after(now, EXPIRING_EVERY));
                    found(judged, Condition::RoaExpiring, end.to_utc());
                } else {
                    judged.remind(Timestamp::from_unix_micros(end.unix_micros() - micros(EXPIRES_WITHIN)));
                }
            }
        }
        RouteValidity::Valid | RouteValidity::NotFound | RouteValidity::Unknown => {}
    }
}

/// Returns whether a watch expects an origin, or says nothing of origins.
fn is_expected(watch: &Watch, origin: Option<Asn>) -> bool {
    match watch.kind {
        Kind::Origin => origin.is_some() && origin == watch.asn,
        _ => watch.expected_origins.is_empty() || origin.is_some_and(|asn| watch.expected_origins.contains(&asn)),
    }
}

/// Returns for how long a condition must hold. An invalid route with an unexpected origin is a hijack by all signs.
pub fn open_after(watch: &Watch, condition: Condition, subject: &str) -> Duration {
    match condition {
        Condition::RpkiInvalid if watch.open_after.is_none() && !is_expected(watch, origin_of(subject)) => {
            Duration::ZERO
        }
        _ => watch.open_after(condition),
    }
}

/// Returns the origin of a subject, which is a prefix and an origin.
fn origin_of(subject: &str) -> Option<Asn> {
    subject.split_once(" AS")?.1.parse().ok().map(Asn)
}

#[cfg(test)]
#[path = "rpki_tests.rs"]
mod tests;
