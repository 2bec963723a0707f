//! The life of an incident: pure, from what holds now to what changes.

use std::time::Duration;

use crate::model::Timestamp;
use crate::model::watch::Severity;
use crate::store::watch::incidents::{Event, IncidentRow, NewEvent, State, Told};

use super::known_routers::after;

/// The time within which what comes back is the same incident.
pub const REOPEN_WITHIN: Duration = Duration::from_secs(30 * 60);

/// The number of reopenings in an hour that make it flapping.
const FLAPS: u32 = 3;

/// The interval at which callbacks are told of what flaps, and the quiet that ends it.
const FLAP_TOLD_EVERY: Duration = Duration::from_secs(30 * 60);

/// The time after which callbacks are told that nobody can judge an incident.
const FROZEN_TOLD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The routers at which a condition holds now, for one watch and subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of known routers where it holds.
    pub affected: u32,
    /// The number of routers where it held when they became unknown.
    pub unknown: u32,
    /// The number of routers that are known.
    pub known: u32,
    /// Since when it holds at as many routers as the watch asks for.
    pub since: Option<Timestamp>,
    /// When its cause was, at the earliest router.
    pub cause_at: Option<Timestamp>,
}

/// A watch's terms of time and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The number of routers at which a condition must hold.
    pub min_vantages: u32,
    /// For how long it must hold.
    pub open_after: Duration,
    /// For how long it must be over.
    pub close_after: Duration,
}

impl Tally {
    /// Returns whether an incident opens now.
    pub fn opens(&self, terms: &Terms, now: Timestamp) -> bool {
        self.affected >= terms.min_vantages && self.since.is_some_and(|since| now >= after(since, terms.open_after))
    }
}

/// The return of a condition whose incident is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// It is another incident.
    Anew,
    /// It is the same one.
    Same,
    /// Somebody closed it while it held, and it has not been over since.
    Dismissed,
}

/// Returns what the return of a condition, which holds since `since`, is to its latest incident.
pub fn returns(closed: Option<&IncidentRow>, since: Timestamp, now: Timestamp) -> Return {
    match closed.and_then(|closed| closed.closed_at) {
        None => Return::Anew,
        Some(closed) if since < closed => Return::Dismissed,
        Some(closed) if now < after(closed, REOPEN_WITHIN) => Return::Same,
        Some(_) => Return::Anew,
    }
}

/// Reopens a closed incident. The third time within an hour it is flapping: callbacks are told that, and then nothing
/// until it is quiet.
pub fn reopen(incident: &mut IncidentRow, tally: &Tally, is_told: bool, now: Timestamp) -> Vec<NewEvent> {
    incident.state = State::Open;
    incident.closed_at = None;
    incident.over_since = None;
    incident.frozen_since = None;
    incident.snoozed_until = None;
    incident.told = None;
    incident.is_frozen_told = false;
    incident.reopened = incident.reopened.saturating_add(1);
    incident.affected = tally.affected;
    incident.known = tally.known;
    tell(incident, is_told, now);
    let event = |event, is_told| NewEvent { event, note: None, is_told };
    if is_flapping(incident) {
        return vec![event(Event::Reopened, false), event(Event::Flapping, is_told)];
    }
    vec![event(Event::Reopened, is_told)]
}

/// Returns whether an incident comes and goes.
pub fn is_flapping(incident: &IncidentRow) -> bool {
    incident.reopened >= FLAPS
}

/// Notes that callbacks are told of an incident as it is now.
pub fn tell(incident: &mut IncidentRow, is_told: bool, now: Timestamp) {
    if is_told {
        incident.told = Some(Told { severity: incident.severity, affected: incident.affected, at: now });
    }
}

/// Judges an incident that is not closed by what holds now. `severity` is that of the watch or condition;
/// `is_silenced`: its silence is in force. Returns the events, in their order.
pub fn step(
    incident: &mut IncidentRow,
    tally: &Tally,
    terms: &Terms,
    (severity, is_silenced): (Severity, bool),
    now: Timestamp,
) -> Vec<NewEvent> {
    let mut events = Vec::new();
    let mut note = |incident: &mut IncidentRow, event: Event, is_told: bool| {
        tell(incident, is_told, now);
        events.push(NewEvent { event, note: None, is_told });
    };
    let is_mute = incident.parent.is_some() || incident.is_baseline;
    let holds = tally.affected >= terms.min_vantages;
    let is_frozen = !holds && tally.affected + tally.unknown >= terms.min_vantages;
    if incident.state == State::Snoozed && incident.snoozed_until.is_some_and(|until| until <= now) {
        incident.state = State::Open;
        incident.snoozed_until = None;
        note(incident, Event::Woke, !is_mute && !is_silenced && holds);
    }
    if incident.silence.is_some() && !is_silenced {
        incident.silence = None;
        note(incident, Event::Unsilenced, !is_mute && (holds || is_frozen));
    }
    if let Some((event, is_told)) = freeze(incident, is_frozen, now) {
        note(incident, event, is_told && !is_mute && !is_silenced);
    }
    if is_frozen {
        return events;
    }
    let is_flapping = is_flapping(incident);
    if !holds {
        let over = *incident.over_since.get_or_insert(now);
        let close_after = if is_flapping { terms.close_after.max(FLAP_TOLD_EVERY) } else { terms.close_after };
        if now >= after(over, close_after) {
            incident.state = State::Closed;
            incident.closed_at = Some(now);
            incident.snoozed_until = None;
            // Who was never told that it opened is not told that it closed.
            let is_told = incident.told.is_some();
            note(incident, Event::Closed, is_told);
        }
        return events;
    }
    let is_back = incident.over_since.take().is_some();
    let told = incident.told;
    if is_flapping && is_back && told.is_some_and(|told| now >= after(told.at, FLAP_TOLD_EVERY)) {
        note(incident, Event::Flapping, !is_mute && !is_silenced);
    }
    incident.affected = tally.affected;
    incident.known = tally.known;
    incident.severity = incident.severity.max(severity);
    let is_worse = told.is_some_and(|told| {
        incident.severity > told.severity
            || incident.affected >= told.affected.saturating_mul(2).max(1) && incident.affected > told.affected
    });
    if is_worse && !is_mute && !is_silenced {
        note(incident, Event::Worse, true);
    }
    events
}

/// Notes that an incident can or cannot be judged. Returns the event, and whether callbacks should be told.
fn freeze(incident: &mut IncidentRow, is_frozen: bool, now: Timestamp) -> Option<(Event, bool)> {
    match (is_frozen, incident.frozen_since) {
        (true, None) => {
            incident.frozen_since = Some(now);
            Some((Event::Frozen, false))
        }
        (true, Some(since)) if now >= after(since, FROZEN_TOLD_AFTER) && !incident.is_frozen_told => {
            incident.is_frozen_told = true;
            Some((Event::Frozen, true))
        }
        (true, Some(_)) | (false, None) => None,
        (false, Some(_)) => {
            incident.frozen_since = None;
            incident.is_frozen_told = false;
            Some((Event::Thawed, false))
        }
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
