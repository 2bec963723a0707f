//! Incidents: opens, changes and closes them, and stores each change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::model::Timestamp;
use crate::model::watch::{CLOSE_AFTER, Condition, Severity, WatchId};
use crate::store::watch::deliveries;
use crate::store::watch::evaluate;
use crate::store::watch::incidents::{self, Event, IncidentRow, NewEvent, Silence, State};
use crate::store::{Result, Transaction};

use super::candidates::{Asked, Candidate, Key};
use super::cause::{self, Cause, Opening};
use super::detail::Detail;
use super::known_routers::after;
use super::life::{self, Return, Tally, Terms};
use super::opening::{ChangedIncident, detail_of, open_one, over};
use super::parent::{TOGETHER, has_doubled, is_parent, peer_downs, set_told};
use super::{rpki_news, silence};

/// The incidents that are not closed.
pub struct Incidents {
    pub(super) rows: BTreeMap<i64, IncidentRow>,
    pub(super) last_event: i64,
    /// Incidents that an operator closed while they held, with the time since which they hold: they open again only
    /// after they were over.
    pub(super) dismissed: HashMap<Key, Timestamp>,
    /// Openings that wait for more of their kind, since the first of them. Their deliveries go when nobody gathers them.
    pub(super) waiting: BTreeMap<Group, (Timestamp, Vec<i64>)>,
    /// Incidents of what flapped: their children are told now, if they hold.
    pub(super) calmed: BTreeSet<i64>,
}

/// A team, a condition and a severity: what is told as one if it is many.
pub(super) type Group = (Option<String>, Condition, Severity);

/// An incident that opens now.
pub(super) struct New {
    pub(super) change: ChangedIncident,
    pub(super) cause: Option<Cause>,
    pub(super) key: Key,
    /// The alarm about the same route, which tells of this too.
    pub(super) alarm: Option<Key>,
}

impl Incidents {
    /// Reads them.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn load(transaction: &mut Transaction<'_>) -> Result<Incidents> {
        let last_event = incidents::latest_event(transaction)?;
        let rows: BTreeMap<i64, IncidentRow> =
            incidents::open(transaction)?.into_iter().map(|row| (row.id, row)).collect();
        let mut waiting: BTreeMap<Group, (Timestamp, Vec<i64>)> = BTreeMap::new();
        for row in deliveries::unsent(transaction)?.iter().filter_map(|id| rows.get(id)) {
            if let Some(told) = row.told.filter(|_| can_wait(row)) {
                let (first, ids) = waiting.entry(group_of(row)).or_insert_with(|| (told.at, Vec::new()));
                *first = (*first).min(told.at);
                ids.push(row.id);
            }
        }
        let (dismissed, calmed) = (HashMap::new(), BTreeSet::new());
        Ok(Incidents { rows, last_event, dismissed, waiting, calmed })
    }

    /// Brings all incidents to what holds now. Returns a log line for each change.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn advance(
        &mut self,
        transaction: &mut Transaction<'_>,
        site: &str,
        candidates: &BTreeMap<Key, Candidate>,
        asked: &Asked<'_>,
    ) -> Result<Vec<String>> {
        if self.rows.is_empty() && candidates.is_empty() {
            return Ok(Vec::new());
        }
        incidents::lock(transaction)?;
        evaluate::prefer_indexes(transaction)?;
        let latest = incidents::latest_event(transaction)?;
        if latest != self.last_event {
            // Somebody has acknowledged, snoozed or closed one.
            self.rows = incidents::open(transaction)?.into_iter().map(|row| (row.id, row)).collect();
            self.last_event = latest;
        }
        let silences = incidents::silences(transaction)?;
        let mut changes = self.step_all(candidates, asked, &silences);
        let new = self.open(transaction, site, candidates, asked, &silences)?;
        changes.extend(self.store_new(transaction, site, new, asked)?);
        let gathered = self.gather(transaction, site, asked, &changes)?;
        let waiting = self.wait(&changes, asked.now);
        changes.extend(gathered);
        self.step_parents(&mut changes, asked.now);
        let lines = self.store(transaction, changes)?;
        for (until, ids) in waiting {
            deliveries::hold(transaction, &ids, until)?;
        }
        Ok(lines)
    }

    /// Judges all open incidents but parents.
    fn step_all(
        &mut self,
        candidates: &BTreeMap<Key, Candidate>,
        asked: &Asked<'_>,
        silences: &[Silence],
    ) -> Vec<ChangedIncident> {
        let mut changes = Vec::new();
        for row in self.rows.values().filter(|row| !is_parent(row)) {
            let mut new = row.clone();
            let candidate = candidates.get(&(row.team.clone(), row.cause_key.clone()));
            let watch = row.watch.and_then(|id| asked.watches.get(id));
            let is_orphan = watch.is_none() && !is_own(row.condition);
            let close_after =
                if is_orphan { Duration::ZERO } else { watch.map_or(CLOSE_AFTER, |watch| watch.close_after) };
            let nothing = Terms { min_vantages: 1, open_after: Duration::ZERO, close_after };
            let (tally, terms) =
                candidate.map_or((Tally::default(), nothing), |candidate| (candidate.tally.clone(), candidate.terms));
            let in_force = match candidate {
                Some(candidate) => silence::of(silences, row.silence, row.team.as_deref(), candidate, asked.watches),
                None => row.silence.filter(|id| silences.iter().any(|silence| silence.id == *id)),
            };
            if row.silence.is_some() && in_force.is_some() {
                new.silence = in_force;
            }
            let severity = candidate.map_or(row.severity, |candidate| candidate.severity);
            let mut calm = Vec::new();
            if row.parent.is_some_and(|parent| self.calmed.contains(&parent)) {
                new.parent = None;
                if tally.affected >= terms.min_vantages && row.told.is_none() && in_force.is_none() {
                    life::tell(&mut new, true, asked.now);
                    let note = Some("it does not flap any more".to_owned());
                    calm.push(NewEvent { event: Event::Unsilenced, note, is_told: true });
                }
            }
            let mut events = life::step(&mut new, &tally, &terms, (severity, in_force.is_some()), asked.now);
            events.splice(0..0, calm);
            if let Some(candidate) = candidate.filter(|_| new.state != State::Closed && new.over_since.is_none()) {
                let is_other = (new.affected, new.known) != (row.affected, row.known)
                    || candidate.condition == Condition::Flapping && candidate.detail != Detail::from_json(&row.detail);
                if (!events.is_empty() || is_other) && new.frozen_since.is_none() {
                    new.summary = candidate.summary(asked.watches, asked.known_routers);
                    new.detail = detail_of(candidate);
                }
            }
            if new.state == State::Closed {
                new.summary = over(&new.summary, row.cause_at, asked.now);
                if is_orphan && let Some(closed) = events.last_mut() {
                    closed.note = Some("the watch was removed or switched off".to_owned());
                }
            }
            if new != *row || !events.is_empty() {
                changes.push(ChangedIncident { row: new, events });
            }
        }
        changes
    }

    /// Returns what opens now, each with its cause.
    fn open(
        &mut self,
        transaction: &mut Transaction<'_>,
        site: &str,
        candidates: &BTreeMap<Key, Candidate>,
        asked: &Asked<'_>,
        silences: &[Silence],
    ) -> Result<Vec<New>> {
        let now = asked.now;
        let open: BTreeSet<(Option<&str>, &str)> =
            self.rows.values().map(|row| (row.team.as_deref(), row.cause_key.as_str())).collect();
        self.dismissed
            .retain(|key, since| candidates.get(key).is_some_and(|candidate| candidate.tally.since == Some(*since)));
        let is_new = |(key, candidate): &(&Key, &Candidate)| {
            candidate.tally.opens(&candidate.terms, now)
                && !open.contains(&(key.0.as_deref(), key.1.as_str()))
                && !self.dismissed.contains_key(*key)
        };
        let new: Vec<(&Key, &Candidate)> = candidates.iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&str> = new.iter().map(|(key, _)| key.1.as_str()).collect();
        let closed = incidents::closed(transaction, &keys)?;
        let mut closed: HashMap<Key, IncidentRow> =
            closed.into_iter().map(|row| ((row.team.clone(), row.cause_key.clone()), row)).collect();
        let mut opening: Vec<(&Key, &Candidate, Option<IncidentRow>, Option<i64>)> = Vec::new();
        for (key, candidate) in new {
            let since = candidate.tally.since.unwrap_or(now);
            let before = closed.remove(key);
            match life::returns(before.as_ref(), since, now) {
                Return::Dismissed => {
                    self.dismissed.insert(key.clone(), since);
                }
                found @ (Return::Anew | Return::Same) => {
                    let silence = silence::of(silences, None, key.0.as_deref(), candidate, asked.watches);
                    opening.push((key, candidate, before.filter(|_| found == Return::Same), silence));
                }
            }
        }
        let causes = self.causes(transaction, site, &opening, asked)?;
        let new = opening.into_iter().zip(causes).map(|((key, candidate, before, silence), cause)| {
            let alarm = rpki_news::alarm_of(candidate, asked.watches, site, candidates);
            let is_told = silence.is_none() && cause.is_none() && !candidate.detail.is_baseline && alarm.is_none();
            New { change: open_one(key, candidate, before, silence, is_told, asked), cause, key: key.clone(), alarm }
        });
        Ok(new.collect())
    }

    fn causes(
        &self,
        transaction: &mut Transaction<'_>,
        site: &str,
        opening: &[(&Key, &Candidate, Option<IncidentRow>, Option<i64>)],
        asked: &Asked<'_>,
    ) -> Result<Vec<Option<Cause>>> {
        // What is silenced is told to nobody.
        let is_told = |(.., silence): &&(&Key, &Candidate, Option<IncidentRow>, Option<i64>)| silence.is_none();
        let flaps = opening.iter().filter(|(_, candidate, ..)| candidate.condition == Condition::Flapping);
        let open = self.rows.values().filter(|row| row.condition == Condition::Flapping);
        let flapping: BTreeSet<WatchId> =
            flaps.filter_map(|(_, candidate, ..)| candidate.watch).chain(open.filter_map(|row| row.watch)).collect();
        let told: Vec<Opening<'_>> = opening
            .iter()
            .filter(is_told)
            .map(|(key, candidate, ..)| {
                let watch = candidate.watch.and_then(|id| asked.watches.get(id));
                let is_flapping = candidate.watch.is_some_and(|watch| flapping.contains(&watch));
                Opening { key, candidate, source: watch.map_or("", |watch| watch.source.as_str()), is_flapping }
            })
            .collect();
        let downs = peer_downs(transaction, told.iter().map(|opening| opening.candidate))?;
        let has_parent = |team: Option<&str>, cause: &Cause| self.parent_of(site, team, cause, asked).is_some();
        let recent = |team: Option<&str>, condition: Condition, severity: Severity| {
            let is_recent = |row: &&IncidentRow| {
                (row.team.as_deref(), row.condition, row.severity) == (team, condition, severity)
                    && row.parent.is_none()
                    && !is_parent(row)
                    && row.told.is_some()
                    && asked.now < after(row.opened_at, TOGETHER)
            };
            self.rows.values().filter(is_recent).count()
        };
        let mut causes = cause::of(&told, &downs, has_parent, recent).into_iter();
        Ok(opening.iter().map(|one| if is_told(&one) { causes.next().flatten() } else { None }).collect())
    }

    /// Closes parents whose last child is closed, and tells where a child became worse than the parent.
    fn step_parents(&self, changes: &mut Vec<ChangedIncident>, now: Timestamp) {
        let mut rows: BTreeMap<i64, &IncidentRow> = self.rows.iter().map(|(id, row)| (*id, row)).collect();
        rows.extend(changes.iter().map(|change| (change.row.id, &change.row)));
        let mut children: HashMap<i64, (Severity, usize)> = HashMap::new();
        for row in rows.values().filter(|row| row.state != State::Closed) {
            if let Some(parent) = row.parent {
                let (worst, count) = children.entry(parent).or_insert((row.severity, 0));
                *worst = (*worst).max(row.severity);
                *count += 1;
            }
        }
        let mut more = Vec::new();
        for row in rows.values().filter(|row| is_parent(row) && row.state != State::Closed) {
            let mut new = (*row).clone();
            let mut event = |new: &mut IncidentRow, event: Event, is_told: bool| {
                life::tell(new, is_told, now);
                more.push(ChangedIncident { row: new.clone(), events: vec![NewEvent { event, note: None, is_told }] });
            };
            match children.get(&row.id) {
                None => {
                    new.state = State::Closed;
                    new.closed_at = Some(now);
                    new.snoozed_until = None;
                    new.summary = over(&row.summary, row.cause_at, now);
                    event(&mut new, Event::Closed, row.told.is_some());
                }
                Some((worst, count)) if *worst > row.severity || has_doubled(row, *count, now) => {
                    new.severity = row.severity.max(*worst);
                    set_told(&mut new, *count);
                    event(&mut new, Event::Worse, row.told.is_some());
                }
                Some(_) if row.snoozed_until.is_some_and(|until| until <= now) => {
                    new.state = State::Open;
                    new.snoozed_until = None;
                    event(&mut new, Event::Woke, true);
                }
                Some(_) => {}
            }
        }
        changes.extend(more);
    }

    /// Stores changed incidents and their events. Returns a log line for each event.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub(super) fn store(
        &mut self,
        transaction: &mut Transaction<'_>,
        changes: Vec<ChangedIncident>,
    ) -> Result<Vec<String>> {
        // An incident may have changed twice; what it is in the end is stored.
        let last: BTreeMap<i64, &IncidentRow> = changes.iter().map(|change| (change.row.id, &change.row)).collect();
        incidents::update(transaction, &last.into_values().collect::<Vec<_>>())?;
        let events: Vec<(&IncidentRow, &NewEvent)> =
            changes.iter().flat_map(|change| change.events.iter().map(|event| (&change.row, event))).collect();
        let (told, last_event) = incidents::add_events(transaction, &events)?;
        deliveries::insert(transaction, &told)?;
        self.last_event = last_event.unwrap_or(self.last_event);
        let line = |(row, event): &(&IncidentRow, &NewEvent)| {
            let note = event.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
            format!("incident {}: {}, {}: {}{note}", row.id, event.event.as_str(), row.severity.as_str(), row.summary)
        };
        // The line of a common cause stands for those of its children.
        let lines = events.iter().filter(|(row, _)| row.parent.is_none()).map(line).collect();
        self.calmed.clear();
        for ChangedIncident { row, .. } in changes {
            if row.state == State::Closed {
                self.rows.remove(&row.id);
                if row.condition == Condition::Flapping {
                    self.calmed.insert(row.id);
                }
            } else {
                self.rows.insert(row.id, row);
            }
        }
        Ok(lines)
    }
}

/// Returns whether the opening of an incident is told only when there was time for more of its kind.
pub(super) fn can_wait(row: &IncidentRow) -> bool {
    // Receivers of what flaps want each prefix.
    let is_single = row.condition != Condition::Flapping && !is_parent(row);
    row.parent.is_none() && is_single && cause::waits(row.severity)
}

pub(super) fn group_of(row: &IncidentRow) -> Group {
    (row.team.clone(), row.condition, row.severity)
}

/// Returns whether an incident is about the collector or a router by itself: it needs no watch.
fn is_own(condition: Condition) -> bool {
    matches!(condition, Condition::BmpDown | Condition::Isolated | Condition::VrpsStale | Condition::VrpsReduced)
}
