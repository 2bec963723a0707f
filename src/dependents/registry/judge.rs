//! Judges a session: pure, from what its router says to what is observed and written.

use std::time::Duration;

use super::status::{Status, Written};
use crate::model::Timestamp;
use crate::store::registry::sessions::{Observed, SessionRow};

/// The changes in an hour from which on a session is flapping, and the pause between its changes then.
const FLAPPING_CHANGES: usize = 3;
const FLAPPING_PAUSE: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The interval at which the number of routes alone is stored.
const ROUTES_EVERY: Duration = Duration::from_secs(60);

/// The times of the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// For how long a session must be down to be in error.
    pub(crate) down_after: Duration,
    /// For how long a router must be known before a peer that it has not reported counts as down.
    pub(crate) settle: Duration,
    /// After which time a session that waits for its setup is overdue.
    pub(crate) overdue_after: Duration,
}

/// The result of judging a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// The observation to store.
    pub(crate) observed: Observed,
    /// The status to write, with its error.
    pub(crate) write: Option<(Written, Option<String>)>,
}

/// The peers of a session by its router, if they are known.
enum Truth {
    /// Nobody can say: the verdict, and why.
    Unclear(&'static str, String),
    /// The peers that are up, and since when; 0: since when none is, and why.
    Peers { up: i64, since: Timestamp, reason: Option<String> },
}

/// Judges a session. `status`: what its number means.
pub(crate) fn judge(row: &SessionRow, status: Option<Status>, rules: &Rules, now: Timestamp) -> Judgement {
    // A change by its owner begins anew.
    let before = row.before.as_ref().filter(|before| before.row_updated_at == row.updated_at);
    let up = i32::try_from(row.peers.up).unwrap_or(i32::MAX);
    let expected = before.map_or(1, |before| before.expected).max(up).max(1);
    let is_own = before.is_some_and(|before| before.is_own);
    let Opinion { mut verdict, mut since, reason, mut write } = match truth(row, is_own, rules, now) {
        Truth::Unclear(verdict, why) => Opinion { verdict: Some(verdict), since: None, reason: Some(why), write: None },
        Truth::Peers { up, since, reason } => {
            let found = Found { up, is_all: up >= i64::from(expected), since, reason };
            by_status(row, status, &found, rules, now)
        }
    };
    let recent: Vec<Timestamp> = row.written_at.iter().copied().filter(|at| after(*at, HOUR) > now).collect();
    if recent.len() >= FLAPPING_CHANGES && matches!(verdict, Some("up" | "down" | "partial")) {
        verdict = Some("flapping");
        since = recent.get(FLAPPING_CHANGES - 1).copied();
        let last = recent.iter().max().copied();
        write = write.filter(|_| last.is_none_or(|last| after(last, FLAPPING_PAUSE) <= now));
    }
    let before = row.before.as_ref();
    // A verdict without a time of its own holds since it was found.
    let same = before.filter(|before| before.verdict.as_deref() == verdict).map(|before| before.since);
    let observed = Observed {
        verdict: verdict.map(str::to_owned),
        since: since.or(same).unwrap_or(now),
        up,
        expected,
        flaps: row.peers.flaps,
        routes: row.routes,
        reason,
        changed_at: now,
        row_updated_at: row.updated_at,
        is_own,
    };
    Judgement { observed, write }
}

/// Returns whether an observation is worth storing: all of it, or the number of routes once in a while.
pub(crate) fn is_news(before: Option<&Observed>, observed: &Observed, now: Timestamp) -> bool {
    let Some(before) = before else { return true };
    let same = Observed { changed_at: before.changed_at, routes: before.routes, ..observed.clone() };
    same != *before || observed.routes != before.routes && after(before.changed_at, ROUTES_EVERY) <= now
}

/// The peers of a session, as they are.
struct Found {
    up: i64,
    is_all: bool,
    since: Timestamp,
    reason: Option<String>,
}

/// A verdict with its time and reason, and what follows from it.
struct Opinion {
    verdict: Option<&'static str>,
    since: Option<Timestamp>,
    reason: Option<String>,
    write: Option<(Written, Option<String>)>,
}

fn by_status(row: &SessionRow, status: Option<Status>, found: &Found, rules: &Rules, now: Timestamp) -> Opinion {
    let is_up = found.up > 0;
    let says = |verdict: &'static str| Opinion {
        verdict: Some(verdict),
        since: Some(found.since),
        reason: found.reason.clone(),
        write: None,
    };
    let nothing = || Opinion { verdict: None, since: None, reason: None, write: None };
    let and_writes = |opinion: Opinion, write: Option<Written>| Opinion {
        write: write.map(|write| (write, found.reason.clone())),
        ..opinion
    };
    match status {
        None => Opinion { since: None, reason: None, ..says("other_status") },
        Some(Status::Active | Status::Error) if is_up && !found.is_all => says("partial"),
        Some(Status::Active) if is_up => says("up"),
        Some(Status::Active) => {
            let is_due = after(found.since, rules.down_after) <= now;
            and_writes(says("down"), is_due.then_some(Written::Error))
        }
        Some(Status::Error) if is_up => and_writes(says("up"), Some(Written::Active)),
        Some(Status::Error) => {
            let is_other = row.last_error != found.reason;
            and_writes(says("down"), is_other.then_some(Written::Error))
        }
        Some(Status::QueuedForSetup) if is_up => says("up"),
        Some(Status::QueuedForSetup) => {
            let overdue = after(row.updated_at, rules.overdue_after);
            if overdue <= now { Opinion { since: Some(overdue), ..says("overdue") } } else { nothing() }
        }
        Some(Status::SetupFailed) if is_up => {
            let is_set_up = found.is_all && row.peers.is_up_by_address;
            and_writes(says("up"), is_set_up.then_some(Written::Active))
        }
        Some(Status::Disabled | Status::PendingReview) if is_up => says("unexpected_up"),
        Some(Status::SetupFailed | Status::Disabled | Status::PendingReview) => nothing(),
        Some(Status::QueuedForDelete) if is_up => says("delete_pending"),
        Some(Status::QueuedForDelete) => Opinion { since: None, reason: None, ..says("gone") },
    }
}

/// Reads what the router says, in the order in which one thing makes the next one worth asking.
fn truth(row: &SessionRow, is_own: bool, rules: &Rules, now: Timestamp) -> Truth {
    let peers = &row.peers;
    let name = row.router_name.as_deref().unwrap_or(&row.router);
    if row.router_id.is_none() {
        let why = match row.problem.as_deref() {
            Some("ambiguous") => format!("several routers may be {name}: set registry.routers.router_id"),
            Some(_) | None => format!("no monitored router is {name}"),
        };
        return Truth::Unclear("unbound", why);
    }
    let unknown = |why: &str| Truth::Unclear("unknown", format!("{name} {why}"));
    if row.began.is_none() {
        return unknown("has no live BMP session");
    }
    let Some(known) = row.known else { return unknown("sends its first dumps") };
    if peers.is_ambiguous {
        let why = format!("several sessions or peers of AS{} at {name} may be this one", row.asn);
        return Truth::Unclear("ambiguous", why);
    }
    if let (0, Some(other)) = (peers.count, peers.other_asn) {
        return Truth::Unclear("wrong_asn", format!("its address at {name} has AS{other}, not AS{}", row.asn));
    }
    if peers.up > 0 {
        return Truth::Peers { up: peers.up, since: peers.up_since.unwrap_or(now), reason: None };
    }
    // What went down in this BMP session was told. What was never up in it may still come.
    let settled = (peers.unreported > 0 || peers.count == 0).then(|| after(known, rules.settle));
    if settled.is_some_and(|settled| settled > now) {
        return unknown("may not have reported all peers yet");
    }
    let since = settled.into_iter().chain(peers.down_since).max().unwrap_or(now);
    let began = row.began.map(Timestamp::to_utc).unwrap_or_default();
    let reason = match &peers.reason {
        Some(reason) => reason.clone(),
        None if peers.count > 0 => format!("not up since the BMP session began at {began}"),
        None => "never reported".to_owned(),
    };
    // An owner's change is given its time.
    let since = if is_own { since } else { since.max(row.updated_at) };
    Truth::Peers { up: 0, since, reason: Some(reason) }
}

fn after(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_unix_micros(time.unix_micros().saturating_add(by))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
pub(crate) mod tests;
