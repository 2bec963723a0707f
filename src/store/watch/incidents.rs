//! Incidents, their events, and the silences that keep them from being delivered.

use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Row, Transaction};

use super::super::error::{Error, Result};
use super::deliveries;
use crate::model::watch::{Condition, Severity, WatchId};
use crate::model::{Asn, RouterId, Timestamp};

/// The column `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds, and nobody has said anything.
    Open,
    /// Somebody takes care of it.
    Acknowledged,
    /// Nobody wants to hear of it for a while.
    Snoozed,
    /// It is over.
    Closed,
}

impl State {
    /// Returns the column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Acknowledged => "acknowledged",
            State::Snoozed => "snoozed",
            State::Closed => "closed",
        }
    }

    fn parse(text: &str) -> Option<State> {
        [State::Open, State::Acknowledged, State::Snoozed, State::Closed].into_iter().find(|one| one.as_str() == text)
    }
}

/// The column `event` of `incident_events`, as far as the evaluator writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It opened.
    Opened,
    /// It is back within half an hour.
    Reopened,
    /// Its severity rose, or twice as many routers are affected.
    Worse,
    /// The time for which it was snoozed is over.
    Woke,
    /// It opened within a silence.
    Silenced,
    /// The silence is over.
    Unsilenced,
    /// Too few routers are known to judge it.
    Frozen,
    /// Enough routers are known again.
    Thawed,
    /// It comes and goes.
    Flapping,
    /// It is over.
    Closed,
}

impl Event {
    /// Returns the column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Opened => "opened",
            Event::Reopened => "reopened",
            Event::Worse => "worse",
            Event::Woke => "woke",
            Event::Silenced => "silenced",
            Event::Unsilenced => "unsilenced",
            Event::Frozen => "frozen",
            Event::Thawed => "thawed",
            Event::Flapping => "flapping",
            Event::Closed => "closed",
        }
    }
}

/// The last message to callbacks about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The severity then.
    pub severity: Severity,
    /// The number of routers then.
    pub affected: u32,
    /// When.
    pub at: Timestamp,
}

/// A row of `watch.incidents`, with what its events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentRow {
    /// Its number; 0 until it is stored.
    pub id: i64,
    /// Its team.
    pub team: Option<String>,
    /// Its key; one of a team is open at a time.
    pub cause_key: String,
    /// The watch; `None`: a parent, an incident of the collector, or the watch was removed.
    pub watch: Option<WatchId>,
    /// The condition.
    pub condition: Condition,
    /// The subject.
    pub subject: String,
    /// The severity.
    pub severity: Severity,
    /// The state.
    pub state: State,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When the condition began to hold.
    pub cause_at: Timestamp,
    /// Until when it is snoozed.
    pub snoozed_until: Option<Timestamp>,
    /// Since when it is over.
    pub over_since: Option<Timestamp>,
    /// Since when too few routers are known.
    pub frozen_since: Option<Timestamp>,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// The number of routers where it holds.
    pub affected: u32,
    /// The number of routers that were asked.
    pub known: u32,
    /// The silence that it is in.
    pub silence: Option<i64>,
    /// True if it held already when the watch was made.
    pub is_baseline: bool,
    /// One line for people.
    pub summary: String,
    /// The findings, as JSON.
    pub detail: String,
    /// The incident of the common cause.
    pub parent: Option<i64>,
    /// The number of times it reopened in the last hour.
    pub reopened: u32,
    /// The last message to callbacks since it opened last; `None`: none.
    pub told: Option<Told>,
    /// True if callbacks were told that it is frozen.
    pub is_frozen_told: bool,
}

/// One change of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The event.
    pub event: Event,
    /// Why, where there is something to say.
    pub note: Option<String>,
    /// True if callbacks are told.
    pub is_told: bool,
}

/// Keeps operators from changing incidents until the transaction ends, and waits for those who do.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn lock(transaction: &mut Transaction<'_>) -> Result<()> {
    // Their SELECT ... FOR UPDATE waits before it holds anything: no deadlock. Readers do not wait.
    Ok(transaction.batch_execute("LOCK TABLE watch.incidents IN EXCLUSIVE MODE")?)
}

/// Returns the number of the latest event of any incident: when it is not what the evaluator wrote last, an operator
/// has changed one.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn latest_event(transaction: &mut Transaction<'_>) -> Result<i64> {
    Ok(transaction.query_typed_one("SELECT COALESCE(max(id), 0) FROM watch.incident_events", &[])?.get(0))
}

/// Returns all incidents that are not closed.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn open(transaction: &mut Transaction<'_>) -> Result<Vec<IncidentRow>> {
    let statement =
        format!("{} WHERE i.state <> 'closed'", include_str!("../../../sql/statements/watch_incidents.sql"));
    transaction.query_typed(&statement, &[])?.iter().map(incident_row).collect()
}

/// Returns the latest closed incident of each of these keys and any team, where there is one.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn closed(transaction: &mut Transaction<'_>, keys: &[&str]) -> Result<Vec<IncidentRow>> {
    let statement = format!(
        "{} WHERE i.state = 'closed' AND i.cause_key = ANY ($1)
           AND i.id = (SELECT c.id FROM watch.incidents c
                       WHERE c.state = 'closed' AND c.cause_key = i.cause_key AND c.team IS NOT DISTINCT FROM i.team
                       ORDER BY c.closed_at DESC LIMIT 1)",
        include_str!("../../../sql/statements/watch_incidents.sql")
    );
    let rows = transaction.query_typed(&statement, &[(&keys, Type::TEXT_ARRAY)])?;
    rows.iter().map(incident_row).collect()
}

fn incident_row(row: &Row) -> Result<IncidentRow> {
    let time = |i: usize| Timestamp::from_unix_micros(row.get(i));
    let time_if = |i: usize| row.get::<_, Option<i64>>(i).map(Timestamp::from_unix_micros);
    let wrong = |what: &str, text: &str| Error::Unexpected(format!("an incident with the {what} {text}"));
    let (condition, severity, state): (&str, &str, &str) = (row.get(4), row.get(6), row.get(7));
    let told = row.get::<_, Option<&str>>(22).and_then(Severity::parse);
    let count = |value: i32| u32::try_from(value).unwrap_or(0);
    Ok(IncidentRow {
        id: row.get(0),
        team: row.get(1),
        cause_key: row.get(2),
        watch: row.get::<_, Option<i64>>(3).map(WatchId),
        condition: Condition::parse(condition).ok_or_else(|| wrong("condition", condition))?,
        subject: row.get(5),
        severity: Severity::parse(severity).ok_or_else(|| wrong("severity", severity))?,
        state: State::parse(state).ok_or_else(|| wrong("state", state))?,
        opened_at: time(8),
        cause_at: time(9),
        snoozed_until: time_if(10),
        over_since: time_if(11),
        frozen_since: time_if(12),
        closed_at: time_if(13),
        affected: count(row.get(14)),
        known: count(row.get(15)),
        silence: row.get(16),
        is_baseline: row.get(17),
        summary: row.get(18),
        detail: row.get(19),
        parent: row.get(20),
        reopened: u32::try_from(row.get::<_, i64>(21)).unwrap_or(u32::MAX),
        told: match (told, row.get::<_, Option<i32>>(23), time_if(24)) {
            (Some(severity), Some(affected), Some(at)) => Some(Told { severity, affected: count(affected), at }),
            (None, ..) | (_, None, _) | (.., None) => None,
        },
        is_frozen_told: row.get(25),
    })
}

/// Stores new incidents and sets their numbers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn insert(transaction: &mut Transaction<'_>, rows: &mut [&mut IncidentRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let stored = {
        let columns = Columns::of(rows.iter().map(|row| &**row));
        transaction.query_typed(
            include_str!("../../../sql/statements/watch_insert_incidents.sql"),
            &[
                (&columns.teams, Type::TEXT_ARRAY),
                (&columns.keys, Type::TEXT_ARRAY),
                (&columns.watches, Type::INT8_ARRAY),
                (&columns.conditions, Type::TEXT_ARRAY),
                (&columns.subjects, Type::TEXT_ARRAY),
                (&columns.severities, Type::TEXT_ARRAY),
                (&columns.causes, Type::INT8_ARRAY),
                (&columns.affected, Type::INT4_ARRAY),
                (&columns.known, Type::INT4_ARRAY),
                (&columns.silences, Type::INT8_ARRAY),
                (&columns.baselines, Type::BOOL_ARRAY),
                (&columns.summaries, Type::TEXT_ARRAY),
                (&columns.details, Type::TEXT_ARRAY),
                (&columns.parents, Type::INT8_ARRAY),
            ],
        )?
    };
    for row in &stored {
        let number = usize::try_from(row.get::<_, i64>(0)).ok().and_then(|number| number.checked_sub(1));
        let incident = number.and_then(|number| rows.get_mut(number));
        incident.ok_or_else(|| Error::Unexpected("an incident of no row".to_owned()))?.id = row.get(1);
    }
    Ok(())
}

/// Stores the changed columns of incidents.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn update(transaction: &mut Transaction<'_>, rows: &[&IncidentRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(rows.iter().copied());
    let micros = |time: fn(&IncidentRow) -> Option<Timestamp>| -> Vec<Option<i64>> {
        rows.iter().map(|row| time(row).map(Timestamp::unix_micros)).collect()
    };
    transaction.execute_typed(
        include_str!("../../../sql/statements/watch_update_incidents.sql"),
        &[
            (&rows.iter().map(|row| row.id).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&columns.severities, Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.state.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&columns.causes, Type::INT8_ARRAY),
            (&micros(|row| row.snoozed_until), Type::INT8_ARRAY),
            (&micros(|row| row.over_since), Type::INT8_ARRAY),
            (&micros(|row| row.frozen_since), Type::INT8_ARRAY),
            (&micros(|row| row.closed_at), Type::INT8_ARRAY),
            (&columns.affected, Type::INT4_ARRAY),
            (&columns.known, Type::INT4_ARRAY),
            (&columns.silences, Type::INT8_ARRAY),
            (&columns.summaries, Type::TEXT_ARRAY),
            (&columns.details, Type::TEXT_ARRAY),
            (&columns.parents, Type::INT8_ARRAY),
            (&columns.baselines, Type::BOOL_ARRAY),
        ],
    )?;
    Ok(())
}

/// Stores events of incidents as they are now, with their deliveries to callbacks, and notifies the listeners of
/// `rib_incident`, which are told the number and the state only. Returns the numbers of the events that callbacks are
/// told of, and the number of the last event.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn add_events(
    transaction: &mut Transaction<'_>,
    events: &[(&IncidentRow, &NewEvent)],
) -> Result<(Vec<i64>, Option<i64>)> {
    if events.is_empty() {
        return Ok((Vec::new(), None));
    }
    let columns = Columns::of(events.iter().map(|(row, _)| *row));
    let stored = transaction.query_typed(
        include_str!("../../../sql/statements/watch_add_events.sql"),
        &[
            (&columns.teams, Type::TEXT_ARRAY),
            (&events.iter().map(|(row, _)| row.id).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&events.iter().map(|(_, event)| event.event.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&events.iter().map(|(_, event)| event.note.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&columns.severities, Type::TEXT_ARRAY),
            (&events.iter().map(|(row, _)| row.state.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&columns.affected, Type::INT4_ARRAY),
            (&columns.known, Type::INT4_ARRAY),
            (&columns.summaries, Type::TEXT_ARRAY),
            (&events.iter().map(|(_, event)| event.is_told).collect::<Vec<_>>(), Type::BOOL_ARRAY),
        ],
    )?;
    let told: Vec<i64> = stored.iter().filter(|row| row.get(1)).map(|row| row.get(0)).collect();
    deliveries::insert(transaction, &told)?;
    Ok((told, stored.iter().map(|row| row.get(0)).max()))
}

/// The columns of incidents that several statements take.
struct Columns<'a> {
    teams: Vec<Option<&'a str>>,
    keys: Vec<&'a str>,
    watches: Vec<Option<i64>>,
    conditions: Vec<&'static str>,
    subjects: Vec<&'a str>,
    severities: Vec<&'static str>,
    causes: Vec<i64>,
    affected: Vec<i32>,
    known: Vec<i32>,
    silences: Vec<Option<i64>>,
    baselines: Vec<bool>,
    summaries: Vec<&'a str>,
    details: Vec<&'a str>,
    parents: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    fn of(rows: impl Iterator<Item = &'a IncidentRow> + Clone) -> Columns<'a> {
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        Columns {
            teams: rows.clone().map(|row| row.team.as_deref()).collect(),
            keys: rows.clone().map(|row| row.cause_key.as_str()).collect(),
            watches: rows.clone().map(|row| row.watch.map(|id| id.0)).collect(),
            conditions: rows.clone().map(|row| row.condition.as_str()).collect(),
            subjects: rows.clone().map(|row| row.subject.as_str()).collect(),
            severities: rows.clone().map(|row| row.severity.as_str()).collect(),
            causes: rows.clone().map(|row| row.cause_at.unix_micros()).collect(),
            affected: rows.clone().map(|row| count(row.affected)).collect(),
            known: rows.clone().map(|row| count(row.known)).collect(),
            silences: rows.clone().map(|row| row.silence).collect(),
            baselines: rows.clone().map(|row| row.is_baseline).collect(),
            summaries: rows.clone().map(|row| row.summary.as_str()).collect(),
            details: rows.clone().map(|row| row.detail.as_str()).collect(),
            parents: rows.map(|row| row.parent).collect(),
        }
    }
}

/// A silence that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its number.
    pub id: i64,
    /// Only at this router.
    pub router: Option<RouterId>,
    /// Only for this peer.
    pub peer: Option<IpAddr>,
    /// Only for peers of this AS.
    pub peer_asn: Option<Asn>,
    /// Only for this prefix and what it covers.
    pub prefix: Option<crate::model::Prefix>,
    /// Only for this watch.
    pub watch: Option<WatchId>,
    /// Only for this team.
    pub team: Option<String>,
    /// Only for this condition.
    pub condition: Option<String>,
}

/// Returns the silences in force now.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn silences(transaction: &mut Transaction<'_>) -> Result<Vec<Silence>> {
    let rows = transaction.query_typed(
        "SELECT id, router_id, peer_address, peer_asn, prefix::text, watch_id, team, condition FROM watch.silences
         WHERE starts_at <= now() AND ends_at > now() AND ended_at IS NULL ORDER BY id",
        &[],
    )?;
    let silence = |row: &Row| {
        let prefix: Option<&str> = row.get(4);
        Ok(Silence {
            id: row.get(0),
            router: row.get::<_, Option<&str>>(1).map(RouterId::new),
            peer: row.get(2),
            peer_asn: row.get::<_, Option<i64>>(3).and_then(|asn| u32::try_from(asn).ok()).map(Asn),
            prefix: prefix.map(super::evaluate::prefix_of).transpose()?,
            watch: row.get::<_, Option<i64>>(5).map(WatchId),
            team: row.get(6),
            condition: row.get(7),
        })
    };
    rows.iter().map(silence).collect()
}
