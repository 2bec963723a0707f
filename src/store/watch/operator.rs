//! Changes of incidents that an operator makes. Each one is a row of `watch.incident_events` with its author.

use std::fmt;

use postgres::types::{ToSql, Type};
use postgres::{Client, Row, Transaction};

use super::super::error::Result;
use super::super::time::system_time;
use super::deliveries;
use super::watches::MANUAL;
use crate::model::Timestamp;

/// A change that an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentChange {
    /// Someone takes care of it.
    Acknowledge,
    /// It is quiet until then.
    Snooze(Timestamp),
    /// It is over, although nothing says so any more.
    Close,
    /// The present state is right from now on.
    Accept,
}

/// Who makes a change, and why.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The name.
    pub who: &'a str,
    /// The reason.
    pub note: Option<&'a str>,
}

/// The reason why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// There is no incident with this number.
    Unknown,
    /// It is closed already.
    Closed,
    /// The condition still holds at this many vantages, so that it would open again at once.
    StillHolds(i64),
    /// A condition of this kind cannot be accepted.
    CannotBeAccepted(&'static str),
}

impl fmt::Display for ChangeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeRefusal::Unknown => f.write_str("there is no such incident: `rib-ingester incidents` lists them"),
            ChangeRefusal::Closed => f.write_str("it is closed already"),
            ChangeRefusal::StillHolds(vantages) => write!(
                f,
                "it still holds at {vantages} vantage{} and would open again: `incidents accept` takes the present state as \
                 right, `incidents snooze` and `silence add` keep it quiet",
                if *vantages == 1 { "" } else { "s" }
            ),
            ChangeRefusal::CannotBeAccepted(why) => f.write_str(why),
        }
    }
}

/// The incident as far as changes need it.
struct OpenIncident {
    id: i64,
    team: Option<String>,
    watch_id: Option<i64>,
    condition: String,
    subject: String,
    state: String,
}

fn read(row: &Row) -> OpenIncident {
    OpenIncident {
        id: row.get("id"),
        team: row.get("team"),
        watch_id: row.get("watch_id"),
        condition: row.get("condition"),
        subject: row.get("subject"),
        state: row.get("state"),
    }
}

/// Makes a change. Returns what it did, in a few words.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn change(
    client: &mut Client,
    id: i64,
    change: IncidentChange,
    author: Author<'_>,
) -> Result<std::result::Result<String, ChangeRefusal>> {
    let mut transaction = client.transaction()?;
    // The evaluator changes incidents too.
    let row = transaction.query_typed_opt(
        "SELECT id, team, watch_id, condition, subject, state
         FROM watch.incidents WHERE id = $1 FOR UPDATE",
        &[(&id, Type::INT8)],
    )?;
    let Some(incident) = row.as_ref().map(read) else { return Ok(Err(ChangeRefusal::Unknown)) };
    if incident.state == "closed" {
        return Ok(Err(ChangeRefusal::Closed));
    }
    let done = match change {
        IncidentChange::Acknowledge => acknowledge(&mut transaction, &incident, author)?,
        IncidentChange::Snooze(until) => snooze(&mut transaction, &incident, until, author)?,
        IncidentChange::Close => match close(&mut transaction, &incident, author)? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        },
        IncidentChange::Accept => match accept(&mut transaction, &incident, author)? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        },
    };
    transaction.commit()?;
    Ok(Ok(done))
}

fn acknowledge(transaction: &mut Transaction<'_>, incident: &OpenIncident, author: Author<'_>) -> Result<String> {
    transaction.execute_typed(
        "UPDATE watch.incidents SET state = 'acknowledged', acknowledged_at = now(), acknowledged_by = $2,
                                    snoozed_until = NULL WHERE id = $1",
        &[(&incident.id, Type::INT8), (&author.who, Type::TEXT)],
    )?;
    event(transaction, incident, "acknowledged", Telling::IfOpeningWas, author)?;
    Ok("acknowledged".to_owned())
}

fn snooze(
    transaction: &mut Transaction<'_>,
    incident: &OpenIncident,
    until: Timestamp,
    author: Author<'_>,
) -> Result<String> {
    transaction.execute_typed(
        "UPDATE watch.incidents SET state = 'snoozed', snoozed_until = $2 WHERE id = $1",
        &[(&incident.id, Type::INT8), (&system_time(until), Type::TIMESTAMPTZ)],
    )?;
    event(transaction, incident, "snoozed", Telling::No, author)?;
    Ok(format!("snoozed until {}", until.to_utc()))
}

fn close(
    transaction: &mut Transaction<'_>,
    incident: &OpenIncident,
    author: Author<'_>,
) -> Result<std::result::Result<String, ChangeRefusal>> {
    let holding: i64 = transaction
        .query_typed_one(
            "SELECT count(*) FROM watch.conditions WHERE watch_id = $1 AND condition = $2 AND subject = $3",
            &[(&incident.watch_id, Type::INT8), (&incident.condition, Type::TEXT), (&incident.subject, Type::TEXT)],
        )?
        .get(0);
    if holding > 0 {
        return Ok(Err(ChangeRefusal::StillHolds(holding)));
    }
    transaction.execute_typed(
        "UPDATE watch.incidents SET state = 'closed', closed_at = now(), snoozed_until = NULL WHERE id = $1",
        &[(&incident.id, Type::INT8)],
    )?;
    event(transaction, incident, "closed", Telling::IfOpeningWas, author)?;
    Ok(Ok("closed".to_owned()))
}

/// Takes the present state as right: the watch expects it from now on, and the evaluator closes the incident.
fn accept(
    transaction: &mut Transaction<'_>,
    incident: &OpenIncident,
    author: Author<'_>,
) -> Result<std::result::Result<String, ChangeRefusal>> {
    let Some(watch) = incident.watch_id else {
        return Ok(Err(ChangeRefusal::CannotBeAccepted("it belongs to no watch: acknowledge or snooze it")));
    };
    let expected = match incident.condition.as_str() {
        "missing" | "default_only" => {
            // The evaluator forgets where the route was, and sees it again where it is now.
            transaction
                .execute_typed("UPDATE watch.watches SET accepted_at = now() WHERE id = $1", &[(&watch, Type::INT8)])?;
            event(transaction, incident, "accepted", Telling::No, author)?;
            return Ok(Ok(
                "accepted: routers that do not have it now no longer count, until they have it again".to_owned()
            ));
        }
        "origin" => found(&incident.subject).1,
        "new_origin_prefix" => return accept_prefix(transaction, incident, watch, author),
        "more_specific" | "more_specific_own" => {
            return accept_more_specific(transaction, incident, watch, author);
        }
        "session_down" | "bmp_down" => {
            return Ok(Err(ChangeRefusal::CannotBeAccepted(
                "a peer or router that is down is not accepted: remove its watch, or snooze the incident",
            )));
        }
        _ => None,
    };
    let Some(asn) = expected else {
        return Ok(Err(ChangeRefusal::CannotBeAccepted(
            "it names no origin to accept: change its watch with `watch add --replace`",
        )));
    };
    let row = transaction.query_typed_one(
        "UPDATE watch.watches SET expected_origins = array_remove(expected_origins, $2) || $2, accepted_at = now()
         WHERE id = $1 RETURNING name, source",
        &[(&watch, Type::INT8), (&asn, Type::INT8)],
    )?;
    event(transaction, incident, "accepted", Telling::No, author)?;
    let (name, source): (&str, &str) = (row.get(0), row.get(1));
    let there_too = match source {
        MANUAL => String::new(),
        source => format!("; add it to {source} too, whose next import would take it away"),
    };
    Ok(Ok(format!("accepted: AS{asn} is now one of the expected_origins of watch \"{name}\"{there_too}")))
}

/// Returns the prefix and the origin that a subject names, as `192.0.2.0/24 AS64511`; `AS_SET` is no origin.
fn found(subject: &str) -> (&str, Option<i64>) {
    let (prefix, origin) = subject.split_once(' ').unwrap_or((subject, ""));
    (prefix, origin.strip_prefix("AS").and_then(|digits| digits.parse().ok()))
}

/// Adds a watch without conditions for the longer prefix, which says what is expected there: the most specific watch of
/// a team judges a route, and no other.
fn accept_more_specific(
    transaction: &mut Transaction<'_>,
    incident: &OpenIncident,
    watch: i64,
    author: Author<'_>,
) -> Result<std::result::Result<String, ChangeRefusal>> {
    let (prefix, origin) = found(&incident.subject);
    let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
        (&watch, Type::INT8),
        (&prefix, Type::TEXT),
        (&origin, Type::INT8),
        (&author.who, Type::TEXT),
        (&author.note, Type::TEXT),
        (&MANUAL, Type::TEXT),
    ];
    // A name has no slash.
    let row = transaction.query_typed_one(
        "INSERT INTO watch.watches AS made (team, name, kind, prefix, expected_origins, conditions, source, note)
         SELECT team, left(name, 80) || ' ' || replace($2, '/', '-'), 'prefix', $2::cidr,
                ARRAY(SELECT DISTINCT unnest(array_remove(expected_origins || $3, NULL)) ORDER BY 1), '{}', $6,
                concat_ws(': ', 'accepted by ' || $4, $5)
         FROM watch.watches WHERE id = $1
         ON CONFLICT ON CONSTRAINT watches_name
         DO UPDATE SET expected_origins =
             ARRAY(SELECT DISTINCT unnest(made.expected_origins || EXCLUDED.expected_origins) ORDER BY 1)
         RETURNING name",
        &parameters,
    )?;
    let name: String = row.get(0);
    event(transaction, incident, "accepted", Telling::No, author)?;
    Ok(Ok(format!("accepted: the watch \"{name}\" expects {prefix} from now on")))
}

/// Adds a prefix to those that the AS of a watch is known to originate. Every version of them is evaluated.
fn accept_prefix(
    transaction: &mut Transaction<'_>,
    incident: &OpenIncident,
    watch: i64,
    author: Author<'_>,
) -> Result<std::result::Result<String, ChangeRefusal>> {
    let (prefix, _) = found(&incident.subject);
    let row = transaction.query_typed_one(
        "WITH accepted AS (
             INSERT INTO watch.accepted_prefixes (team, watch_id, prefix) SELECT team, id, $2::text::cidr
             FROM watch.watches WHERE id = $1
             ON CONFLICT (watch_id, prefix) DO UPDATE SET accepted_at = now())
         SELECT name FROM watch.watches WHERE id = $1",
        &[(&watch, Type::INT8), (&prefix, Type::TEXT)],
    )?;
    let name: String = row.get(0);
    event(transaction, incident, "accepted", Telling::No, author)?;
    Ok(Ok(format!("accepted: watch \"{name}\" knows from now on that its AS originates {prefix}")))
}

/// Returns whether callbacks are notified of a change.
#[derive(Clone, Copy)]
enum Telling {
    No,
    /// As of the opening: not of children, of silenced incidents and of baselines.
    IfOpeningWas,
}

fn event(
    transaction: &mut Transaction<'_>,
    incident: &OpenIncident,
    event: &str,
    told: Telling,
    author: Author<'_>,
) -> Result<()> {
    let may_be_told = match told {
        Telling::No => false,
        Telling::IfOpeningWas => true,
    };
    let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
        (&incident.id, Type::INT8),
        (&event, Type::TEXT),
        (&author.who, Type::TEXT),
        (&author.note, Type::TEXT),
        (&may_be_told, Type::BOOL),
        (&incident.team, Type::TEXT),
    ];
    let row = transaction.query_typed_one(
        "INSERT INTO watch.incident_events (team, incident_id, event, who, note, severity, state, affected, known, summary,
                                            is_told)
         SELECT $6, id, $2, $3, $4, severity, state, affected, known, summary,
                $5 AND parent_id IS NULL AND silence_id IS NULL AND NOT is_baseline
         FROM watch.incidents WHERE id = $1 RETURNING id",
        &parameters,
    )?;
    deliveries::insert(transaction, &[row.get(0)])?;
    Ok(())
}
