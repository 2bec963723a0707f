//! Candidates, put together from the conditions of all vantages: one candidate is one incident, if it lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::model::watch::{CLOSE_AFTER, Condition, Kind, Severity, Watch, WatchId};
use crate::model::{Afi, Prefix, RouterId, Timestamp};
use crate::store::watch::conditions::ConditionRow;

use super::detail::Detail;
use super::index::{Watches, asks};
use super::known_routers::{KnownRouters, Router, after, is_settled};
use super::life::{Tally, Terms};
use super::route_fault::RouteFault;
use super::rpki::{self, Memory};
use super::seen::Seen;
use super::summary::{self, Facts};

/// The time after which a dump without an end is one that will have none.
const DUMP_MAX: Duration = Duration::from_secs(30 * 60);

/// The key of an incident: the team and the cause key.
pub type Key = (Option<String>, String);

/// Something that holds now.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The watch; `None`: every router and collector is watched by itself.
    pub watch: Option<WatchId>,
    /// The condition.
    pub condition: Condition,
    /// The subject.
    pub subject: String,
    /// The prefix that it was found at.
    pub prefix: Option<Prefix>,
    /// Where it holds and since when.
    pub tally: Tally,
    /// The watch's terms of time and number.
    pub terms: Terms,
    /// The severity.
    pub severity: Severity,
    /// The affected routers.
    pub routers: BTreeSet<RouterId>,
    /// The findings at the first of them.
    pub detail: Detail,
}

impl Candidate {
    /// Returns the line for people.
    pub fn summary(&self, watches: &Watches, known_routers: &KnownRouters) -> String {
        let name = |router: &RouterId| known_routers.get(router).map_or(router.as_str(), Router::display).to_owned();
        let routers: Vec<String> = self.routers.iter().map(name).collect();
        summary::line(&Facts {
            condition: self.condition,
            watch: self.watch.and_then(|id| watches.get(id)),
            subject: &self.subject,
            routers: &routers,
            affected: self.tally.affected,
            known: self.tally.known,
            detail: &self.detail,
            since: self.since(),
        })
    }

    /// Returns since when it is so, for people.
    pub fn since(&self) -> Timestamp {
        let zero = Timestamp::from_unix_micros(0);
        self.tally.cause_at.or(self.tally.since).unwrap_or(zero)
    }
}

/// Returns the cause key of a watch's condition.
pub fn key_of(site: &str, watch: &Watch, condition: Condition, subject: &str) -> Key {
    let team = watch.team.as_deref().map(|team| format!("{team}:")).unwrap_or_default();
    let mut key = format!("{site}/{team}{}/{condition}", watch.name);
    if !subject.is_empty() {
        key.push('/');
        key.push_str(subject);
    }
    (watch.team.clone(), key)
}

/// Returns all candidates.
pub fn all<'a>(
    site: &str,
    asked: &Asked<'_>,
    conditions: impl Iterator<Item = &'a ConditionRow>,
) -> BTreeMap<Key, Candidate> {
    let mut candidates = BTreeMap::new();
    let mut rows: Vec<&ConditionRow> = Vec::new();
    // The rows of one watch, condition and subject follow each other.
    for row in conditions {
        let same = |other: &&ConditionRow| {
            (other.watch, other.condition, other.subject.as_str()) == (row.watch, row.condition, row.subject.as_str())
        };
        if !rows.first().is_none_or(same) {
            add(&mut candidates, site, asked, &rows);
            rows.clear();
        }
        rows.push(row);
    }
    add(&mut candidates, site, asked, &rows);
    add_routers(&mut candidates, site, asked);
    candidates
}

fn add(candidates: &mut BTreeMap<Key, Candidate>, site: &str, asked: &Asked<'_>, rows: &[&ConditionRow]) {
    let watch = rows.first().and_then(|first| Some((*first, asked.watches.get(first.watch)?)));
    let Some((first, watch)) = watch else { return };
    let terms = Terms {
        min_vantages: if by_asn(watch) { 1 } else { watch.min_vantages },
        open_after: rpki::open_after(watch, first.condition, &first.subject),
        close_after: watch.close_after,
    };
    let mut known: BTreeMap<&RouterId, &ConditionRow> = BTreeMap::new();
    let mut unknown: BTreeSet<&RouterId> = BTreeSet::new();
    for row in rows {
        let router = asked.known_routers.get(&row.router);
        let can_tell = !rpki::is_of_rpki(row.condition) || asked.rpki.is_usable();
        if can_tell && router.is_some_and(|router| is_known(watch, row, router)) {
            let earliest = known.entry(&row.router).or_insert(row);
            if row.since < earliest.since {
                *earliest = row;
            }
        } else {
            unknown.insert(&row.router);
        }
    }
    unknown.retain(|router| !known.contains_key(router));
    let mut since: Vec<Timestamp> = known.values().map(|row| row.since).collect();
    since.sort_unstable();
    let nth = usize::try_from(terms.min_vantages).unwrap_or(usize::MAX).saturating_sub(1);
    let detail =
        known.values().next().map_or_else(|| Detail::from_json(&first.detail), |row| Detail::from_json(&row.detail));
    let known_routers = asked.known_routers(watch, first.condition);
    let affected = count(known.len());
    let tally = Tally {
        affected,
        unknown: count(unknown.len()),
        known: known_routers.max(affected),
        since: since.get(nth).copied(),
        cause_at: detail.cause_at.or(since.first().copied()),
    };
    let is_everywhere = affected >= tally.known && affected > 0;
    let candidate = Candidate {
        watch: Some(watch.id),
        condition: first.condition,
        subject: first.subject.clone(),
        prefix: first.prefix,
        severity: severity(watch.severity(first.condition, is_everywhere), &detail),
        tally,
        terms,
        routers: if known.is_empty() {
            unknown.into_iter().cloned().collect()
        } else {
            known.into_keys().cloned().collect()
        },
        detail,
    };
    candidates.insert(key_of(site, watch, first.condition, &first.subject), candidate);
}

/// Returns the severity of what was found: a number that is near its bound is not outside of it yet.
fn severity(severity: Severity, detail: &Detail) -> Severity {
    if detail.fault == Some(RouteFault::NearMax) { severity.min(Severity::Warning) } else { severity }
}

/// Returns whether a watch counts the sessions with an AS.
pub fn by_asn(watch: &Watch) -> bool {
    watch.kind == Kind::Session && watch.peer.is_none()
}

/// Returns whether what a condition says of a vantage is known to be so still.
fn is_known(watch: &Watch, row: &ConditionRow, router: &Router) -> bool {
    let Some(table) = &row.table else { return router.known.is_some() };
    let Some(afi) = row.prefix.or(watch.prefix).map(|prefix| prefix.afi()).or(watch.address.map(afi_of)) else {
        return router.known.is_some();
    };
    if is_of_tables(row.condition) {
        router.tables().get(table).is_some_and(|table| table.of(afi).known.is_some())
    } else {
        router.known_table(table, afi).is_some()
    }
}

/// Returns whether a condition is about what is not there: it is asked of the tables that decide.
pub fn is_of_tables(condition: Condition) -> bool {
    matches!(condition, Condition::Missing | Condition::DefaultOnly)
}

/// Returns the family of an address.
pub fn afi_of(address: IpAddr) -> Afi {
    if address.is_ipv4() { Afi::Ipv4 } else { Afi::Ipv6 }
}

/// Who is asked, and what was there.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The watches.
    pub watches: &'a Watches,
    /// The routers.
    pub known_routers: &'a KnownRouters,
    /// Where routes of watches were seen.
    pub seen: &'a Seen,
    /// The VRPs.
    pub rpki: &'a Memory,
    /// The time.
    pub now: Timestamp,
}

impl Asked<'_> {
    /// Returns the number of known routers that a watch asks; for what is not there, of those that had it.
    fn known_routers(&self, watch: &Watch, condition: Condition) -> u32 {
        let had = |router: &&Router| router.tables().keys().any(|table| self.seen.has(watch.id, &router.id, table));
        let is_asked = |router: &&Router| match watch.kind {
            Kind::Session | Kind::PeerRoutes | Kind::Router => is_settled(router.known, watch.settle, self.now),
            Kind::Prefix | Kind::Address | Kind::Origin => {
                router.is_settled(watch.settle, self.now) && (!is_of_tables(condition) || had(router))
            }
        };
        count(self.known_routers.values().filter(|router| asks(watch, &router.id)).filter(is_asked).count())
    }
}

/// Every router is watched by itself, unless a watch says more of it; a collector that lost most of them is one
/// candidate.
fn add_routers(candidates: &mut BTreeMap<Key, Candidate>, site: &str, asked: &Asked<'_>) {
    let Asked { watches, known_routers, now, .. } = *asked;
    let Some(first) = watches.all().map(|row| row.created_at).min() else { return };
    let mut isolated: BTreeMap<&str, Vec<&Router>> = BTreeMap::new();
    for router in known_routers.values() {
        if router.is_isolated {
            isolated.entry(router.collector.as_deref().unwrap_or_default()).or_default().push(router);
            continue;
        }
        let stuck = router.dumping.filter(|began| now >= after(*began, DUMP_MAX));
        let Some(since) = router.lost.or(stuck) else { continue };
        let watch = watches.of_kind(Kind::Router).find(|watch| watch.router.as_ref() == Some(&router.id));
        // A router that was gone before anybody watched anything is not expected.
        if watch.is_none() && since < first || watch.is_some_and(|watch| !watch.judges(Condition::BmpDown)) {
            continue;
        }
        let candidate = bmp_down(watch, router, watches, (since, stuck.is_some()));
        let key = match watch {
            Some(watch) => key_of(site, watch, Condition::BmpDown, ""),
            None => (None, format!("{site}/router/{}/{}", router.id, Condition::BmpDown)),
        };
        candidates.insert(key, candidate);
    }
    for (collector, routers) in isolated {
        let since = routers.iter().filter_map(|router| router.lost).min();
        let candidate = Candidate {
            watch: None,
            condition: Condition::Isolated,
            subject: collector.to_owned(),
            prefix: None,
            tally: Tally {
                affected: count(routers.len()),
                unknown: 0,
                known: count(known_routers.len()),
                since,
                cause_at: since,
            },
            terms: Terms {
                min_vantages: 1,
                open_after: Condition::Isolated.default_open_after(),
                close_after: CLOSE_AFTER,
            },
            severity: Condition::Isolated.default_severity(false),
            routers: routers.iter().map(|router| router.id.clone()).collect(),
            detail: Detail::default(),
        };
        candidates.insert((None, format!("{site}/collector/{collector}/{}", Condition::Isolated)), candidate);
    }
}

fn bmp_down(
    watch: Option<&Watch>,
    router: &Router,
    watches: &Watches,
    (since, is_stuck): (Timestamp, bool),
) -> Candidate {
    let condition = Condition::BmpDown;
    let unknown = watches.all().filter(|row| asks(&row.watch, &router.id) && row.watch.kind != Kind::Router).count();
    let open_after = watch.map_or(condition.default_open_after(), |watch| watch.open_after(condition));
    let reason = is_stuck.then(|| "a dump has had no end for 30 min".to_owned());
    Candidate {
        watch: watch.map(|watch| watch.id),
        condition,
        subject: router.display().to_owned(),
        prefix: None,
        tally: Tally { affected: 1, unknown: 0, known: 1, since: Some(since), cause_at: Some(since) },
        terms: Terms {
            min_vantages: 1,
            open_after: if is_stuck { Duration::ZERO } else { open_after },
            close_after: watch.map_or(CLOSE_AFTER, |watch| watch.close_after),
        },
        severity: watch.map_or(condition.default_severity(true), |watch| watch.severity(condition, true)),
        routers: [router.id.clone()].into(),
        detail: Detail { reason, watches: i64::try_from(unknown).ok(), ..Detail::default() },
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
