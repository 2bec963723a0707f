//! Incidents: opens, changes and closes them, and stores each change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::model::Timestamp;
use crate::model::watch::{CLOSE_AFTER, Condition, Severity, WatchId};
use crate::store::watch::deliveries;
use crate::store::watch::evaluate::{self, WatchRow};
use crate::store::watch::incidents::{self, Event, IncidentRow, NewEvent, Silence, State};
use crate::store::{Result, Transaction};

use super::candidates::{Asked, Candidate, Key};
use super::cause::{self, Cause, Opening};
use super::detail::Detail;
use super::known_routers::after;
use super::life::{self, Return, Tally, Terms};
use super::opening::{Change, blank, detail_of, open_one, over};
use super::parent::{CAUSE_BEFORE, TOGETHER, condition_of, describe, has_doubled, is_parent, peer_downs, set_told};
use super::{rpki_news, silence};

/// The time after that in which those that wait are put together, if they are many.
const MOMENT: Duration = Duration::from_secs(2);

/// The incidents that are not closed.
pub struct Incidents {
    rows: BTreeMap<i64, IncidentRow>,
    last_event: i64,
    /// Incidents that an operator closed while they held, with the time since which they hold: they open again only
    /// after they were over.
    dismissed: HashMap<Key, Timestamp>,
    /// Openings that wait for more of their kind, since the first of them. Their deliveries go when nobody gathers them.
    waiting: BTreeMap<Group, (Timestamp, Vec<i64>)>,
    /// Incidents of what flapped: their children are told now, if they hold.
    calmed: BTreeSet<i64>,
}

/// A team, a condition and a severity: what is told as one if it is many.
type Group = (Option<String>, Condition, Severity);

/// An incident that opens now.
struct New {
    change: Change,
    cause: Option<Cause>,
    key: Key,
    /// The alarm about the same route, which tells of this too.
    alarm: Option<Key>,
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
    ) -> Vec<Change> {
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
                changes.push(Change { row: new, events });
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

    /// Returns the parent of a cause that opened just now, or the incident of the session that is down.
    fn parent_of(&self, site: &str, team: Option<&str>, cause: &Cause, asked: &Asked<'_>) -> Option<i64> {
        let stem = cause.stem(site, team);
        let is_recent = |row: &&IncidentRow| match cause {
            Cause::Many(..) => asked.now < after(row.opened_at, TOGETHER),
            Cause::Reload(_) | Cause::Peer(..) | Cause::Flaps(_) => asked.now < after(row.opened_at, CAUSE_BEFORE),
            // Routers that settle later have the baseline of the same watches.
            Cause::Baseline(source) => {
                let of_source =
                    |watch: &&WatchRow| watch.watch.source == *source && watch.watch.team.as_deref() == team;
                asked.watches.all().filter(of_source).all(|watch| watch.updated_at <= row.opened_at)
            }
        };
        let is_it =
            |row: &&IncidentRow| is_parent(row) && row.team.as_deref() == team && row.cause_key.starts_with(&stem);
        let parent = self.rows.values().filter(is_it).find(is_recent);
        let own = || match cause {
            Cause::Peer(router, peer) => self.rows.values().find(|row| {
                let detail = Detail::from_json(&row.detail);
                row.condition == Condition::SessionDown
                    && row.team.as_deref() == team
                    && detail.peer == Some(*peer)
                    && row.detail.contains(&serde_json::Value::from(router.as_str()).to_string())
            }),
            Cause::Flaps(watch) => {
                self.rows.values().find(|row| row.condition == Condition::Flapping && row.watch == Some(*watch))
            }
            Cause::Baseline(_) | Cause::Reload(_) | Cause::Many(..) => None,
        };
        parent.or_else(own).map(|row| row.parent.unwrap_or(row.id))
    }

    /// Stores what opens: parents first, so that children can name them.
    fn store_new(
        &mut self,
        transaction: &mut Transaction<'_>,
        site: &str,
        mut new: Vec<New>,
        asked: &Asked<'_>,
    ) -> Result<Vec<Change>> {
        // What flaps is the parent of what else its watch finds.
        let flaps = |one: &&mut New| one.change.row.condition == Condition::Flapping;
        let mut fresh: Vec<&mut IncidentRow> =
            new.iter_mut().filter(flaps).map(|one| &mut one.change.row).filter(|row| row.id == 0).collect();
        incidents::insert(transaction, &mut fresh)?;
        for one in new.iter_mut().filter(flaps) {
            self.rows.insert(one.change.row.id, one.change.row.clone());
        }
        let mut families: BTreeMap<(Option<String>, Cause), Vec<usize>> = BTreeMap::new();
        for (i, one) in new.iter().enumerate() {
            if let Some(cause) = &one.cause {
                families.entry((one.key.0.clone(), cause.clone())).or_default().push(i);
            }
        }
        let mut changes = Vec::new();
        for ((team, cause), members) in families {
            let rows: Vec<&IncidentRow> = members.iter().map(|i| &new[*i].change.row).collect();
            let change = self.family(transaction, (site, team), &cause, &rows, asked)?;
            let parent = change.row.id;
            changes.push(change);
            members.into_iter().for_each(|i| new[i].change.row.parent = Some(parent));
        }
        // What an alarm tells of already names it as its parent.
        let (mut companions, mut others): (Vec<&mut New>, Vec<&mut New>) =
            new.iter_mut().partition(|one| one.alarm.is_some());
        self.insert(transaction, &mut others)?;
        for one in &mut companions {
            let is_alarm = |row: &&IncidentRow| {
                one.alarm.as_ref().is_some_and(|(team, key)| (&row.team, &row.cause_key) == (team, key))
            };
            one.change.row.parent = self.rows.values().find(is_alarm).map(|row| row.parent.unwrap_or(row.id));
        }
        self.insert(transaction, &mut companions)?;
        changes.extend(self.adopt(&new));
        changes.extend(new.into_iter().map(|one| one.change));
        Ok(changes)
    }

    fn insert(&mut self, transaction: &mut Transaction<'_>, new: &mut [&mut New]) -> Result<()> {
        let mut fresh: Vec<&mut IncidentRow> =
            new.iter_mut().map(|one| &mut one.change.row).filter(|row| row.id == 0).collect();
        incidents::insert(transaction, &mut fresh)?;
        for one in new {
            self.rows.insert(one.change.row.id, one.change.row.clone());
        }
        Ok(())
    }

    /// Makes what is open of watches that begin to flap the children of that.
    fn adopt(&mut self, new: &[New]) -> Vec<Change> {
        let mut changes = Vec::new();
        for parent in new.iter().map(|one| &one.change.row).filter(|row| row.condition == Condition::Flapping) {
            let is_child = |row: &&mut IncidentRow| {
                row.watch == parent.watch && row.parent.is_none() && !cause::stands_alone(row.condition)
            };
            for row in self.rows.values_mut().filter(is_child) {
                row.parent = Some(parent.parent.unwrap_or(parent.id));
                changes.push(Change { row: row.clone(), events: Vec::new() });
            }
        }
        changes
    }

    /// Returns the parent of a cause with its new children: one that is open already with another line, or a new one.
    fn family(
        &mut self,
        transaction: &mut Transaction<'_>,
        (site, team): (&str, Option<String>),
        cause: &Cause,
        members: &[&IncidentRow],
        asked: &Asked<'_>,
    ) -> Result<Change> {
        let known = self.parent_of(site, team.as_deref(), cause, asked).and_then(|id| self.rows.get(&id)).cloned();
        let mut row = match known {
            // The incident of a session or of what flaps has its own line.
            Some(row) if !is_parent(&row) => return Ok(Change { row, events: Vec::new() }),
            Some(row) => row,
            None => {
                let key = format!("{}{}", cause.stem(site, team.as_deref()), asked.now.unix_micros() / 1_000_000);
                blank((team, key), condition_of(cause, members), Severity::Info, asked.now)
            }
        };
        let is_new = row.id == 0;
        let mut children: Vec<&IncidentRow> =
            self.rows.values().filter(|child| !is_new && child.parent == Some(row.id)).collect();
        children.extend(members);
        describe(transaction, &mut row, cause, &children, asked)?;
        let mut events = Vec::new();
        if is_new {
            row.severity = members.iter().map(|member| member.severity).max().unwrap_or(Severity::Warning);
            row.is_baseline = matches!(cause, Cause::Baseline(_));
            incidents::insert(transaction, &mut [&mut row])?;
            life::tell(&mut row, true, asked.now);
            set_told(&mut row, children.len());
            events.push(NewEvent { event: Event::Opened, note: None, is_told: true });
        }
        self.rows.insert(row.id, row.clone());
        Ok(Change { row, events })
    }

    /// Notes openings that are to wait for more of their kind. Returns until when their deliveries wait.
    fn wait(&mut self, changes: &[Change], now: Timestamp) -> Vec<(Timestamp, Vec<i64>)> {
        let mut waiting: BTreeMap<Timestamp, Vec<i64>> = BTreeMap::new();
        for Change { row, events } in changes {
            if !cause::waits(row.severity) && events.iter().any(|event| event.event == Event::Worse && event.is_told) {
                self.waiting.values_mut().for_each(|(_, ids)| ids.retain(|id| *id != row.id));
                waiting.entry(now).or_default().push(row.id);
            }
            let is_opening = |event: &NewEvent| event.is_told && matches!(event.event, Event::Opened | Event::Reopened);
            if !events.iter().any(is_opening) || !can_wait(row) {
                continue;
            }
            let (first, ids) = self.waiting.entry(group_of(row)).or_insert_with(|| (now, Vec::new()));
            ids.push(row.id);
            // A moment after they were gathered, if they are many.
            waiting.entry(after(*first, TOGETHER + MOMENT)).or_default().push(row.id);
        }
        waiting.into_iter().collect()
    }

    /// Puts openings that have waited under one parent if they are many. What was held back of them is not delivered.
    fn gather(
        &mut self,
        transaction: &mut Transaction<'_>,
        site: &str,
        asked: &Asked<'_>,
        changes: &[Change],
    ) -> Result<Vec<Change>> {
        let is_over = |first: Timestamp| asked.now >= after(first, TOGETHER);
        let over: Vec<Group> =
            self.waiting.iter().filter(|(_, (first, _))| is_over(*first)).map(|(group, _)| group.clone()).collect();
        let changed: BTreeMap<i64, &IncidentRow> = changes.iter().map(|change| (change.row.id, &change.row)).collect();
        let mut gathered = Vec::new();
        for group in over {
            let Some((_, ids)) = self.waiting.remove(&group) else { continue };
            let is_single = |row: &&IncidentRow| row.state == State::Open && can_wait(row);
            let now = |id: &i64| changed.get(id).copied().or_else(|| self.rows.get(id)).filter(is_single).cloned();
            let mut rows: Vec<IncidentRow> = ids.iter().filter_map(now).collect();
            if !cause::gathered(rows.len()) {
                continue;
            }
            let (team, condition, severity) = group;
            let members: Vec<&IncidentRow> = rows.iter().collect();
            let cause = Cause::Many(condition, severity);
            let parent = self.family(transaction, (site, team), &cause, &members, asked)?;
            deliveries::supersede(transaction, &ids)?;
            for row in &mut rows {
                (row.parent, row.told) = (Some(parent.row.id), None);
                self.rows.insert(row.id, row.clone());
            }
            gathered.push(parent);
            gathered.extend(rows.into_iter().map(|row| Change { row, events: Vec::new() }));
        }
        Ok(gathered)
    }

    /// Closes parents whose last child is closed, and tells where a child became worse than the parent.
    fn step_parents(&self, changes: &mut Vec<Change>, now: Timestamp) {
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
                more.push(Change { row: new.clone(), events: vec![NewEvent { event, note: None, is_told }] });
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

    /// Stores changed incidents and their events.
    fn store(&mut self, transaction: &mut Transaction<'_>, changes: Vec<Change>) -> Result<Vec<String>> {
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
        for Change { row, .. } in changes {
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
fn can_wait(row: &IncidentRow) -> bool {
    // Receivers of what flaps want each prefix.
    let is_single = row.condition != Condition::Flapping && !is_parent(row);
    row.parent.is_none() && is_single && cause::waits(row.severity)
}

fn group_of(row: &IncidentRow) -> Group {
    (row.team.clone(), row.condition, row.severity)
}

/// Returns whether an incident is about the collector or a router by itself: it needs no watch.
fn is_own(condition: Condition) -> bool {
    matches!(condition, Condition::BmpDown | Condition::Isolated | Condition::VrpsStale | Condition::VrpsReduced)
}
