//! Which silence, if any, an incident is in: pure.

use crate::model::watch::Condition;
use crate::model::{Asn, Prefix};
use crate::store::watch::incidents::Silence;

use super::candidates::Candidate;
use super::index::Watches;

/// Returns the first silence that covers a candidate, `current` before all others.
pub fn of(
    silences: &[Silence],
    current: Option<i64>,
    team: Option<&str>,
    candidate: &Candidate,
    watches: &Watches,
) -> Option<i64> {
    let mut found =
        silences.iter().filter(|silence| is_in(silence, team, candidate, watches)).map(|silence| silence.id);
    let first = found.clone().next();
    found.find(|id| Some(*id) == current).or(first)
}

fn is_in(silence: &Silence, team: Option<&str>, candidate: &Candidate, watches: &Watches) -> bool {
    let is_hijack = matches!(candidate.condition, Condition::Origin | Condition::MoreSpecific);
    // Work on a router or with a peer explains no foreign origin.
    if is_hijack && silence.watch.is_none() && silence.prefix.is_none() {
        return false;
    }
    let watched: Option<Prefix> = candidate.watch.and_then(|id| watches.get(id)).and_then(|watch| watch.prefix);
    let prefix = candidate.prefix.or(watched);
    let asn = candidate.detail.peer_asn.map(Asn);
    silence.team.as_deref().is_none_or(|only| team == Some(only))
        && silence.watch.is_none_or(|only| candidate.watch == Some(only))
        && silence.condition.as_deref().is_none_or(|only| only == candidate.condition.as_str())
        && silence
            .router
            .as_ref()
            .is_none_or(|only| !candidate.routers.is_empty() && candidate.routers.iter().all(|router| router == only))
        && silence.peer.is_none_or(|only| candidate.detail.peer == Some(only))
        && silence.peer_asn.is_none_or(|only| asn == Some(only))
        && silence.prefix.is_none_or(|only| prefix.is_some_and(|prefix| only.covers(&prefix)))
}
