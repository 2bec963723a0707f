//! Conditions of RPKI that belong to no vantage: the age of the set, missing parts, and VRPs that came and went.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::watch::{CLOSE_AFTER, Condition, Kind, Watch, WatchId};
use crate::model::{Asn, Timestamp};
use crate::store::watch::rpki::VrpChange;

use super::candidates::{Candidate, Key, key_of};
use super::detail::{Detail, clean};
use super::index::Watches;
use super::known_routers::after;
use super::life::{Tally, Terms};
use super::rpki::{Memory, NEWS};

/// The most changes of one set that are told one by one.
const CHANGES_MAX: usize = 5;

/// Returns the key of the alarm about the same route, which tells that it is invalid too.
pub fn alarm_of(
    candidate: &Candidate,
    watches: &Watches,
    site: &str,
    candidates: &BTreeMap<Key, Candidate>,
) -> Option<Key> {
    let watch = watches.get(candidate.watch?).filter(|_| candidate.condition == Condition::RpkiInvalid)?;
    let conditions = [Condition::Origin, Condition::MoreSpecific];
    let mut keys = conditions.map(|condition| key_of(site, watch, condition, &candidate.subject)).into_iter();
    keys.find(|key| candidates.contains_key(key))
}

/// Adds what belongs to no vantage: the age of the set, what it lacks, and the VRPs that came and went.
pub fn add(candidates: &mut BTreeMap<Key, Candidate>, site: &str, watches: &Watches, memory: &Memory, now: Timestamp) {
    let Some(set) = memory.set().filter(|_| !watches.is_empty()) else { return };
    let mut of_set = |condition: Condition, since: Timestamp, reason: String| {
        let detail = Detail { reason: Some(reason), ..Detail::default() };
        let terms = Terms { min_vantages: 1, open_after: condition.default_open_after(), close_after: CLOSE_AFTER };
        let candidate = Candidate { terms, ..blank(None, condition, "", since, detail) };
        candidates.insert((None, format!("{site}/rpki/{condition}")), candidate);
    };
    if let Some(stale) = set.stale_at.filter(|_| !set.is_usable) {
        let made = set.generated.map(Timestamp::to_utc).unwrap_or_default();
        of_set(Condition::VrpsStale, stale.min(now), made);
    }
    if let Some((at, why)) = &set.reduced {
        of_set(Condition::VrpsReduced, *at, clean(why));
    }
    if memory.news().is_empty() {
        return;
    }
    let mut of_origins = of_expected_origins(watches, memory.news());
    for row in watches.all().filter(|row| row.watch.judges(Condition::RoaChanged)) {
        // What was so when the watch was made is no news.
        let from = row.created_at.max(row.accepted_at);
        let is_news = |change: &&VrpChange| change.at >= from && now < after(change.at, NEWS);
        let about = memory.news().iter().filter(|change| is_about(&row.watch, change));
        let of_origin = of_origins.remove(&row.watch.id).unwrap_or_default();
        let news: Vec<&VrpChange> = about.chain(of_origin).filter(is_news).collect();
        add_news(candidates, site, &row.watch, &news, set.is_usable);
    }
}

/// Returns whether a VRP concerns a watch: it covers the prefix or is inside it, or it is of the AS.
fn is_about(watch: &Watch, change: &VrpChange) -> bool {
    match (watch.kind, watch.prefix) {
        (Kind::Origin, _) => watch.asn == Some(change.asn),
        (_, Some(prefix)) => prefix.covers(&change.prefix) || change.prefix.covers(&prefix),
        (_, None) => false,
    }
}

/// Returns the changes of VRPs of an AS that watches of prefixes expect, but whose prefix none of them is about: a ROA
/// elsewhere. Hundreds of watches may expect the same AS, so the first of each team reports it.
fn of_expected_origins<'a>(watches: &Watches, news: &'a [VrpChange]) -> HashMap<WatchId, Vec<&'a VrpChange>> {
    let mut first: BTreeMap<(Asn, Option<&str>), &Watch> = BTreeMap::new();
    let telling: Vec<&Watch> =
        watches.all().map(|row| &row.watch).filter(|watch| watch.judges(Condition::RoaChanged)).collect();
    for watch in telling.iter().filter(|watch| watch.kind == Kind::Prefix) {
        for asn in &watch.expected_origins {
            let known = first.entry((*asn, watch.team.as_deref())).or_insert(watch);
            if watch.name < known.name {
                *known = watch;
            }
        }
    }
    let mut found: HashMap<WatchId, Vec<&VrpChange>> = HashMap::new();
    for change in news {
        let of_asn = first.range((change.asn, None)..).take_while(|((asn, _), _)| *asn == change.asn);
        for (_, watch) in of_asn {
            let is_told = telling.iter().any(|other| other.team == watch.team && is_about(other, change));
            if !is_told {
                found.entry(watch.id).or_default().push(change);
            }
        }
    }
    found
}

/// Adds the changes that concern a watch: a few one by one, many of one set together.
fn add_news(
    candidates: &mut BTreeMap<Key, Candidate>,
    site: &str,
    watch: &Watch,
    news: &[&VrpChange],
    is_usable: bool,
) {
    let mut by_version: BTreeMap<i64, Vec<&VrpChange>> = BTreeMap::new();
    news.iter().for_each(|change| by_version.entry(change.version).or_default().push(change));
    for changes in by_version.into_values() {
        let told: Vec<(String, String, Timestamp)> = if changes.len() > CHANGES_MAX {
            let added = changes.iter().filter(|change| change.is_added).count();
            let text = format!("{added} added, {} removed", changes.len() - added);
            changes.first().map(|first| (String::new(), text, first.at)).into_iter().collect()
        } else {
            let one = |change: &&VrpChange| {
                let VrpChange { prefix, max_length, asn, at, is_added, .. } = **change;
                let what = if is_added { "ADDED" } else { "REMOVED" };
                (format!("{prefix}-{max_length} AS{asn}"), what.to_owned(), at)
            };
            changes.iter().map(one).collect()
        };
        for (subject, value, at) in told {
            let detail = Detail { value: Some(value), ..Detail::default() };
            let mut candidate = blank(Some(watch), Condition::RoaChanged, &subject, at, detail);
            if !is_usable {
                (candidate.tally.affected, candidate.tally.unknown) = (0, 1);
            }
            candidates.insert(key_of(site, watch, Condition::RoaChanged, &subject), candidate);
        }
    }
}

/// A candidate that belongs to no router.
fn blank(watch: Option<&Watch>, condition: Condition, subject: &str, since: Timestamp, detail: Detail) -> Candidate {
    Candidate {
        watch: watch.map(|watch| watch.id),
        condition,
        subject: subject.to_owned(),
        prefix: watch.and_then(|watch| watch.prefix),
        tally: Tally { affected: 1, unknown: 0, known: 1, since: Some(since), cause_at: Some(since) },
        terms: Terms {
            min_vantages: 1,
            open_after: watch.map_or(condition.default_open_after(), |watch| watch.open_after(condition)),
            close_after: watch.map_or(CLOSE_AFTER, |watch| watch.close_after),
        },
        severity: watch.map_or(condition.default_severity(false), |watch| watch.severity(condition, false)),
        routers: BTreeSet::new(),
        detail,
    }
}
