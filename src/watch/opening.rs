//! The row of an incident that opens.

use std::time::Duration;

use crate::model::Timestamp;
use crate::model::watch::{Condition, Severity};
use crate::store::watch::incidents::{Event, IncidentRow, NewEvent, State};

use super::candidates::{Asked, Candidate, Key};
use super::{life, summary};

/// A changed incident, with its events in their order.
pub(super) struct ChangedIncident {
    /// The incident as it is now.
    pub(super) row: IncidentRow,
    /// Its events, in their order.
    pub(super) events: Vec<NewEvent>,
}

pub(super) fn open_one(
    key: &Key,
    candidate: &Candidate,
    before: Option<IncidentRow>,
    silence: Option<i64>,
    is_told: bool,
    asked: &Asked<'_>,
) -> ChangedIncident {
    let now = asked.now;
    let summary = candidate.summary(asked.watches, asked.known_routers);
    let quiet = || NewEvent { event: Event::Silenced, note: None, is_told: false };
    if let Some(mut row) = before {
        row.severity = candidate.severity;
        row.is_baseline = candidate.detail.is_baseline;
        row.silence = silence;
        row.parent = None;
        row.summary = summary;
        row.detail = detail_of(candidate);
        let mut events = life::reopen(&mut row, &candidate.tally, is_told, now);
        events.extend(silence.map(|_| quiet()));
        return ChangedIncident { row, events };
    }
    let mut row = IncidentRow {
        watch: candidate.watch,
        subject: candidate.subject.clone(),
        cause_at: candidate.since(),
        affected: candidate.tally.affected,
        known: candidate.tally.known,
        silence,
        is_baseline: candidate.detail.is_baseline,
        summary,
        detail: detail_of(candidate),
        ..blank(key.clone(), candidate.condition, candidate.severity, now)
    };
    life::tell(&mut row, is_told, now);
    let mut events = vec![NewEvent { event: Event::Opened, note: None, is_told }];
    events.extend(silence.map(|_| quiet()));
    ChangedIncident { row, events }
}

/// An incident that opens now, of which nothing is known yet.
pub(super) fn blank((team, cause_key): Key, condition: Condition, severity: Severity, now: Timestamp) -> IncidentRow {
    IncidentRow {
        id: 0,
        team,
        cause_key,
        watch: None,
        condition,
        subject: String::new(),
        severity,
        state: State::Open,
        opened_at: now,
        cause_at: now,
        snoozed_until: None,
        over_since: None,
        frozen_since: None,
        closed_at: None,
        affected: 0,
        known: 0,
        silence: None,
        is_baseline: false,
        summary: String::new(),
        detail: String::new(),
        parent: None,
        reopened: 0,
        told: None,
        is_frozen_told: false,
    }
}

/// The column `detail`: what was found at the first router, and the names of all of them.
pub(super) fn detail_of(candidate: &Candidate) -> String {
    let mut value: serde_json::Value = serde_json::from_str(&candidate.detail.to_json()).unwrap_or_default();
    let routers: Vec<&str> = candidate.routers.iter().map(|router| router.as_str()).collect();
    value["routers"] = routers.into();
    value.to_string()
}

pub(super) fn over(summary: &str, since: Timestamp, now: Timestamp) -> String {
    let micros = now.unix_micros().saturating_sub(since.unix_micros());
    summary::over(summary, Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}
