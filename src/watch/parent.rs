//! Parents: incidents that are the common cause of others, and their lines.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::Timestamp;
use crate::model::watch::Condition;
use crate::store::watch::incidents::IncidentRow;
use crate::store::watch::peers::{self, PeerDownRow};
use crate::store::{Result, Transaction};

use super::candidates::{Asked, Candidate};
use super::cause::{self, Cause, ParentFacts};
use super::known_routers::{Router, after};
use super::summary;

/// The time in which openings are told together.
pub(super) const TOGETHER: Duration = Duration::from_secs(30);

/// The time before the earliest opening in which a Peer Down may be its cause.
pub(super) const CAUSE_BEFORE: Duration = Duration::from_secs(120);

/// Returns whether an incident is the common cause of others.
pub(super) fn is_parent(row: &IncidentRow) -> bool {
    row.watch.is_none() && row.detail.contains("\"children\"")
}

/// The condition of a parent: that of the cause, or of its children.
pub(super) fn condition_of(cause: &Cause, members: &[&IncidentRow]) -> Condition {
    match cause {
        Cause::Peer(..) => Condition::SessionDown,
        Cause::Flaps(_) => Condition::Flapping,
        Cause::Many(condition, _) => *condition,
        Cause::Baseline(_) | Cause::Reload(_) => members.first().map_or(Condition::Missing, |member| member.condition),
    }
}

/// Writes the line of a parent, and what else it says, from all of its children.
pub(super) fn describe(
    transaction: &mut Transaction<'_>,
    parent: &mut IncidentRow,
    cause: &Cause,
    children: &[&IncidentRow],
    asked: &Asked<'_>,
) -> Result<()> {
    let target = |row: &&IncidentRow| {
        row.watch.and_then(|id| asked.watches.get(id)).map_or_else(|| row.subject.clone(), summary::target)
    };
    let mut targets: Vec<String> = children.iter().map(target).collect();
    targets.sort_unstable();
    let routers: BTreeSet<String> = children.iter().flat_map(|row| routers_of(row)).collect();
    let sessions = children.iter().filter(|row| row.condition == Condition::SessionDown).count();
    let cause_router = match cause {
        Cause::Peer(router, _) | Cause::Reload(router) => asked.known_routers.get(router),
        Cause::Baseline(_) | Cause::Flaps(_) | Cause::Many(..) => None,
    };
    // What came back within half an hour and went again has the time of its first going.
    let first = children.iter().filter(|row| row.reopened == 0).map(|row| row.cause_at).min();
    let earliest = first.unwrap_or(parent.opened_at);
    let (mut down, mut had, mut since) = (None, (0, 0), earliest);
    match cause {
        Cause::Reload(router) => {
            had = (peers::peers_up(transaction, router)? + sessions, asked.seen.watches_at(router));
            since = cause_router.and_then(|router| router.began).unwrap_or(earliest);
        }
        Cause::Peer(router, peer) => {
            let downs = peers::peer_downs(transaction, &[router.as_str()], before(earliest))?;
            down = downs.into_iter().rev().find(|down| down.address == *peer);
            since = down.as_ref().map_or(earliest, |down| down.at);
        }
        Cause::Baseline(_) | Cause::Flaps(_) | Cause::Many(..) => {}
    }
    parent.cause_at = since;
    parent.affected = u32::try_from(routers.len()).unwrap_or(u32::MAX);
    parent.known = children.iter().map(|row| row.known).max().unwrap_or(0).max(parent.affected);
    parent.summary = cause::line(
        cause,
        &ParentFacts {
            targets: &targets,
            sessions,
            had,
            routers: (parent.affected, parent.known),
            router: cause_router.map_or("", Router::display),
            since,
            down: down.as_ref(),
        },
    );
    let told = told_children(parent);
    parent.detail = serde_json::json!({ "children": children.len(), "told": told, "routers": routers }).to_string();
    Ok(())
}

pub(super) fn routers_of(row: &IncidentRow) -> Vec<String> {
    let detail: serde_json::Value = serde_json::from_str(&row.detail).unwrap_or_default();
    let names = detail["routers"].as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect()
}

/// Returns the number of children that callbacks were told of.
pub(super) fn told_children(parent: &IncidentRow) -> usize {
    let detail: serde_json::Value = serde_json::from_str(&parent.detail).unwrap_or_default();
    detail["told"].as_u64().and_then(|told| usize::try_from(told).ok()).unwrap_or(0)
}

pub(super) fn set_told(parent: &mut IncidentRow, children: usize) {
    let mut detail: serde_json::Value = serde_json::from_str(&parent.detail).unwrap_or_default();
    detail["told"] = children.into();
    parent.detail = detail.to_string();
}

/// Returns whether a parent has twice as many children as callbacks were told of, for a while.
pub(super) fn has_doubled(parent: &IncidentRow, children: usize, now: Timestamp) -> bool {
    let told = told_children(parent);
    told > 0 && children >= 2 * told && parent.told.is_some_and(|told| now >= after(told.at, TOGETHER))
}

/// The time before which a cause is none.
pub(super) fn before(earliest: Timestamp) -> Timestamp {
    let before = i64::try_from(CAUSE_BEFORE.as_micros()).unwrap_or(0);
    Timestamp::from_unix_micros(earliest.unix_micros().saturating_sub(before))
}

/// Reads the Peer Downs that may be the causes of candidates.
pub(super) fn peer_downs<'a>(
    transaction: &mut Transaction<'_>,
    candidates: impl Iterator<Item = &'a Candidate> + Clone,
) -> Result<Vec<PeerDownRow>> {
    let is_asked = |candidate: &&Candidate| {
        matches!(candidate.condition, Condition::Missing | Condition::DefaultOnly | Condition::SessionDown)
    };
    let routers: BTreeSet<&str> = candidates
        .clone()
        .filter(is_asked)
        .flat_map(|candidate| &candidate.routers)
        .map(|router| router.as_str())
        .collect();
    let Some(earliest) = candidates.filter_map(|candidate| candidate.tally.since).min() else { return Ok(Vec::new()) };
    if routers.is_empty() {
        return Ok(Vec::new());
    }
    peers::peer_downs(transaction, &routers.into_iter().collect::<Vec<_>>(), before(earliest))
}
