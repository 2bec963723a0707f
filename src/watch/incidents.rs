//! Incidents: opens, changes and closes them, and stores each change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::model::Timestamp;
use crate::model::watch::{CLOSE_AFTER, Condition, Severity};
use crate::store::watch::deliveries;
use crate::store::watch::evaluate::{self, PeerDownRow};
use crate::store::watch::incidents::{self, Event, IncidentRow, NewEvent, Silence, State};
use crate::store::{Result, Transaction};

use super::candidates::{Asked, Candidate, Key};
use super::cause::{self, Cause, Family, Opening};
use super::detail::Detail;
use super::known_routers::{Router, after};
use super::life::{self, Return, Tally, Terms};
use super::{silence, summary};

/// The time in which openings are told together.
const TOGETHER: Duration = Duration::from_secs(30);

/// The time before the earliest opening in which a Peer Down may be its cause.
const CAUSE_BEFORE: Duration = Duration::from_secs(120);

/// The incidents that are not closed.
pub struct Incidents {
    rows: BTreeMap<i64, IncidentRow>,
    last_event: i64,
    /// What somebody closed while it held, and since when it holds: it opens again only after it was over.
    dismissed: HashMap<Key, Timestamp>,
}

/// A changed incident, with its events in their order.
struct Change {
    row: IncidentRow,
    events: Vec<NewEvent>,
}

/// What opens now.
struct New {
    change: Change,
    cause: Option<Cause>,
    key: Key,
}

impl Incidents {
    /// Reads them.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn load(transaction: &mut Transaction<'_>) -> Result<Incidents> {
        let last_event = incidents::latest_event(transaction)?;
        let rows = incidents::open(transaction)?.into_iter().map(|row| (row.id, row)).collect();
        Ok(Incidents { rows, last_event, dismissed: HashMap::new() })
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
        let latest = incidents::latest_event(transaction)?;
        if latest != self.last_event {
            // Somebody has acknowledged, snoozed or closed one.
            self.rows = incidents::open(transaction)?.into_iter().map(|row| (row.id, row)).collect();
            self.last_event = latest;
        }
        let silences = incidents::silences(transaction)?;
        let mut changes = self.step_all(candidates, asked, &silences);
        let new = self.open(transaction, site, candidates, asked, &silences)?;
        changes.extend(self.store_new(transaction, site, new, candidates, asked)?);
        self.step_parents(&mut changes, asked.now);
        self.store(transaction, changes)
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
            let mut events = life::step(&mut new, &tally, &terms, (severity, in_force.is_some()), asked.now);
            if let Some(candidate) = candidate.filter(|_| new.state != State::Closed && new.over_since.is_none()) {
                let is_other = (new.affected, new.known) != (row.affected, row.known);
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
        let candidates: Vec<(&Key, &Candidate)> = candidates.iter().filter(is_new).collect();
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&str> = candidates.iter().map(|(key, _)| key.1.as_str()).collect();
        let closed = incidents::closed(transaction, &keys)?;
        let mut closed: HashMap<Key, IncidentRow> =
            closed.into_iter().map(|row| ((row.team.clone(), row.cause_key.clone()), row)).collect();
        let mut opening: Vec<(&Key, &Candidate, Option<IncidentRow>, Option<i64>)> = Vec::new();
        for (key, candidate) in candidates {
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
            let is_told = silence.is_none() && cause.is_none() && !candidate.detail.is_baseline;
            New { change: open_one(key, candidate, before, silence, is_told, asked), cause, key: key.clone() }
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
        // What is silenced is told to nobody, and what comes back was told already.
        let is_told = |(_, _, before, silence): &&(&Key, &Candidate, Option<IncidentRow>, Option<i64>)| {
            silence.is_none() && before.is_none()
        };
        let told: Vec<Opening<'_>> = opening
            .iter()
            .filter(is_told)
            .map(|(key, candidate, ..)| {
                let watch = candidate.watch.and_then(|id| asked.watches.get(id));
                Opening { key, candidate, source: watch.map_or("", |watch| watch.source.as_str()) }
            })
            .collect();
        let downs = peer_downs(transaction, told.iter().map(|opening| opening.candidate))?;
        let has_parent = |team: Option<&str>, cause: &Cause| self.parent_of(site, team, cause, asked.now).is_some();
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
    fn parent_of(&self, site: &str, team: Option<&str>, cause: &Cause, now: Timestamp) -> Option<i64> {
        let stem = cause.stem(site, team);
        let within = match cause {
            Cause::Many(..) => TOGETHER,
            Cause::Baseline(_) | Cause::Reload(_) | Cause::Peer(..) => CAUSE_BEFORE,
        };
        let is_recent = |row: &&IncidentRow| now < after(row.opened_at, within);
        let is_it =
            |row: &&IncidentRow| is_parent(row) && row.team.as_deref() == team && row.cause_key.starts_with(&stem);
        let parent = self.rows.values().filter(is_it).find(is_recent);
        let session = || match cause {
            Cause::Peer(router, peer) => self.rows.values().find(|row| {
                let detail = Detail::from_json(&row.detail);
                row.condition == Condition::SessionDown
                    && row.team.as_deref() == team
                    && detail.peer == Some(*peer)
                    && row.detail.contains(&serde_json::Value::from(router.as_str()).to_string())
            }),
            Cause::Baseline(_) | Cause::Reload(_) | Cause::Many(..) => None,
        };
        parent.or_else(session).map(|row| row.parent.unwrap_or(row.id))
    }

    /// Stores what opens: parents first, so that children can name them.
    fn store_new(
        &mut self,
        transaction: &mut Transaction<'_>,
        site: &str,
        mut new: Vec<New>,
        candidates: &BTreeMap<Key, Candidate>,
        asked: &Asked<'_>,
    ) -> Result<Vec<Change>> {
        let mut families: BTreeMap<(Option<String>, Cause), Vec<usize>> = BTreeMap::new();
        for (i, one) in new.iter().enumerate() {
            if let Some(cause) = &one.cause {
                families.entry((one.key.0.clone(), cause.clone())).or_default().push(i);
            }
        }
        let mut changes = Vec::new();
        for ((team, cause), members) in families {
            let of_family: Vec<&Candidate> = members.iter().filter_map(|i| candidates.get(&new[*i].key)).collect();
            let parent = match self.parent_of(site, team.as_deref(), &cause, asked.now) {
                Some(id) => id,
                None => {
                    let downs = peer_downs(transaction, of_family.iter().copied())?;
                    let mut change = parent(site, team.clone(), &cause, &of_family, &downs, asked);
                    incidents::insert(transaction, &mut [&mut change.row])?;
                    let id = change.row.id;
                    self.rows.insert(id, change.row.clone());
                    changes.push(change);
                    id
                }
            };
            members.into_iter().for_each(|i| new[i].change.row.parent = Some(parent));
        }
        let mut fresh: Vec<&mut IncidentRow> =
            new.iter_mut().map(|one| &mut one.change.row).filter(|row| row.id == 0).collect();
        incidents::insert(transaction, &mut fresh)?;
        for one in &new {
            self.rows.insert(one.change.row.id, one.change.row.clone());
        }
        changes.extend(new.into_iter().map(|one| one.change));
        Ok(changes)
    }

    /// Closes parents whose last child is closed, and tells where a child became worse than the parent.
    fn step_parents(&self, changes: &mut Vec<Change>, now: Timestamp) {
        let mut rows: BTreeMap<i64, &IncidentRow> = self.rows.iter().map(|(id, row)| (*id, row)).collect();
        rows.extend(changes.iter().map(|change| (change.row.id, &change.row)));
        let mut children: HashMap<i64, Severity> = HashMap::new();
        for row in rows.values().filter(|row| row.state != State::Closed) {
            if let Some(parent) = row.parent {
                let worst = children.entry(parent).or_insert(row.severity);
                *worst = (*worst).max(row.severity);
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
                Some(worst) if *worst > row.severity => {
                    new.severity = *worst;
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
        for Change { row, .. } in changes {
            if row.state == State::Closed {
                self.rows.remove(&row.id);
            } else {
                self.rows.insert(row.id, row);
            }
        }
        Ok(lines)
    }
}

/// Returns whether an incident is about the collector or a router by itself: it needs no watch.
fn is_own(condition: Condition) -> bool {
    matches!(condition, Condition::BmpDown | Condition::Isolated)
}

/// Returns whether an incident is the common cause of others.
fn is_parent(row: &IncidentRow) -> bool {
    row.watch.is_none() && row.detail.contains("\"children\"")
}

fn over(summary: &str, since: Timestamp, now: Timestamp) -> String {
    let micros = now.unix_micros().saturating_sub(since.unix_micros());
    summary::over(summary, Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

/// The column `detail`: what was found at the first router, and the names of all of them.
fn detail_of(candidate: &Candidate) -> String {
    let mut value: serde_json::Value = serde_json::from_str(&candidate.detail.to_json()).unwrap_or_default();
    let routers: Vec<&str> = candidate.routers.iter().map(|router| router.as_str()).collect();
    value["routers"] = routers.into();
    value.to_string()
}

fn open_one(
    key: &Key,
    candidate: &Candidate,
    before: Option<IncidentRow>,
    silence: Option<i64>,
    is_told: bool,
    asked: &Asked<'_>,
) -> Change {
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
        return Change { row, events };
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
    Change { row, events }
}

/// An incident that opens now, of which nothing is known yet.
fn blank((team, cause_key): Key, condition: Condition, severity: Severity, now: Timestamp) -> IncidentRow {
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

/// Makes the parent of a cause.
fn parent(
    site: &str,
    team: Option<String>,
    cause: &Cause,
    members: &[&Candidate],
    downs: &[PeerDownRow],
    asked: &Asked<'_>,
) -> Change {
    let now = asked.now;
    let target = |candidate: &&Candidate| {
        let watch = candidate.watch.and_then(|id| asked.watches.get(id));
        watch.map_or_else(|| candidate.subject.clone(), summary::target)
    };
    let mut targets: Vec<String> = members.iter().map(target).collect();
    targets.sort_unstable();
    let routers: BTreeSet<_> = members.iter().flat_map(|candidate| &candidate.routers).collect();
    let down = match cause {
        Cause::Peer(router, peer) => downs.iter().rev().find(|down| down.router == *router && down.address == *peer),
        Cause::Baseline(_) | Cause::Reload(_) | Cause::Many(..) => None,
    };
    let cause_router = match cause {
        Cause::Peer(router, _) | Cause::Reload(router) => asked.known_routers.get(router),
        Cause::Baseline(_) | Cause::Many(..) => None,
    };
    let earliest = members.iter().map(|candidate| candidate.since()).min().unwrap_or(now);
    let since = match cause {
        Cause::Reload(_) => cause_router.and_then(|router| router.began).unwrap_or(earliest),
        Cause::Peer(..) => down.map_or(earliest, |down| down.at),
        Cause::Baseline(_) | Cause::Many(..) => earliest,
    };
    let affected = u32::try_from(routers.len()).unwrap_or(u32::MAX);
    let known = members.iter().map(|candidate| candidate.tally.known).max().unwrap_or(0).max(affected);
    let family = Family {
        targets: &targets,
        sessions: members.iter().filter(|candidate| candidate.condition == Condition::SessionDown).count(),
        routers: (affected, known),
        router: cause_router.map_or("", Router::display),
        since,
        down,
    };
    let key = format!("{}{}", cause.stem(site, team.as_deref()), now.unix_micros() / 1_000_000);
    let condition = match cause {
        Cause::Peer(..) => Condition::SessionDown,
        Cause::Baseline(_) | Cause::Reload(_) | Cause::Many(..) => {
            members.first().map_or(Condition::Missing, |candidate| candidate.condition)
        }
    };
    let severity = members.iter().map(|candidate| candidate.severity).max().unwrap_or(Severity::Warning);
    let mut row = IncidentRow {
        cause_at: since,
        affected,
        known,
        is_baseline: matches!(cause, Cause::Baseline(_)),
        summary: cause::line(cause, &family),
        detail: serde_json::json!({ "children": targets.len() }).to_string(),
        ..blank((team, key), condition, severity, now)
    };
    life::tell(&mut row, true, now);
    Change { row, events: vec![NewEvent { event: Event::Opened, note: None, is_told: true }] }
}

/// Reads the Peer Downs that may be the causes of candidates.
fn peer_downs<'a>(
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
    let before = i64::try_from(CAUSE_BEFORE.as_micros()).unwrap_or(0);
    let since = Timestamp::from_unix_micros(earliest.unix_micros().saturating_sub(before));
    evaluate::peer_downs(transaction, &routers.into_iter().collect::<Vec<_>>(), since)
}
