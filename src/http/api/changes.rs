//! `POST /incidents/{id}/ack` and its kin: the changes that an operator makes, in the name of a token.

use serde::Deserialize;

use super::call::Call;
use super::endpoint::FieldKind::{Integer, Json, Text, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::incidents::number;
use crate::config::tokens::Token;
use crate::http::problem::Problem;
use crate::http::reply::{Outcome, Reply};
use crate::http::request::Method;
use crate::http::response::Response;
use crate::http::service::Service;
use crate::model::Timestamp;
use crate::store::Client;
use crate::store::api::{ApiRow, incidents};
use crate::store::events::clock;
use crate::store::watch::operator::{self, Author, ChangeRefusal, IncidentChange};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    endpoint("/incidents/{id}/ack", "Notes that somebody takes care of an incident", NOTE, |service, call| {
        change(service, call, Wanted::Acknowledge)
    }),
    endpoint("/incidents/{id}/snooze", "Keeps an incident quiet until a time", SNOOZE, |service, call| {
        change(service, call, Wanted::Snooze(None, None))
    }),
    endpoint("/incidents/{id}/close", "Closes an incident whose condition no longer holds", NOTE, |service, call| {
        change(service, call, Wanted::Close)
    }),
    endpoint(
        "/incidents/{id}/accept",
        "Takes the present state as right: the watch expects it from now on",
        NOTE,
        |service, call| change(service, call, Wanted::Accept),
    ),
];

const fn endpoint(
    path: &'static str,
    summary: &'static str,
    body: &'static [Field],
    answer: fn(&Service, &Call<'_>) -> Outcome,
) -> Endpoint {
    Endpoint {
        method: Method::Post,
        path,
        summary,
        parameters: &[],
        body,
        shape: Shape::Object(DONE),
        has_lines: false,
        answer,
    }
}

const NOTE: &[Field] = &[nullable("note", Text, "Why")];

const SNOOZE: &[Field] = &[
    nullable("until", Time, "Until when; this or `for_secs` is required"),
    nullable("for_secs", Integer, "For how many seconds from now"),
    nullable("note", Text, "Why"),
];

const DONE: &[Field] =
    &[field("done", Text, "What was done"), field("incident", Json, "The incident, as `/incidents/{id}` has it")];

/// The longest time for which something is kept quiet.
const QUIET_SECS_MAX: i64 = 366 * 86_400;

/// The most characters of a note.
const NOTE_CHARACTERS_MAX: usize = 1_000;

/// A change that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Acknowledge,
    /// Until a time, or for some seconds.
    Snooze(Option<Timestamp>, Option<i64>),
    Close,
    Accept,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    for_secs: Option<i64>,
}

/// Reads the body of a request; without one all members are missing.
///
/// # Errors
/// It is not JSON, or has other members.
pub(super) fn body<'a, T: Deserialize<'a>>(call: &Call<'a>) -> Result<T, Problem> {
    let text = if call.request.body.trim_ascii().is_empty() { b"{}" } else { call.request.body.as_slice() };
    serde_json::from_slice(text).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}

/// Returns a note without the spaces around it.
///
/// # Errors
/// It is too long, or PostgreSQL cannot store it.
pub(super) fn note(text: Option<&str>) -> Result<Option<&str>, Problem> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.contains('\0') => Err(Problem::bad_request("note: contains a NUL character")),
        Some(text) if text.chars().count() > NOTE_CHARACTERS_MAX => {
            Err(Problem::bad_request(format!("note: has more than {NOTE_CHARACTERS_MAX} characters")))
        }
        Some(_) | None => Ok(text),
    }
}

/// Returns the time that a member of a body gives.
///
/// # Errors
/// It is none.
pub(super) fn time(name: &str, text: &str) -> Result<Timestamp, Problem> {
    let time = text.parse::<jiff::Timestamp>().map(|time| Timestamp::from_unix_micros(time.as_microsecond()));
    time.map_err(|_| Problem::bad_request(format!("{name}: is not a time such as 2026-01-31T12:00:00Z")))
}

/// Returns the end of something that begins at `start`, given as a time or as seconds.
///
/// # Errors
/// It is missing, over, or too far away.
pub(super) fn end(
    (now, start): (Timestamp, Timestamp),
    until: Option<Timestamp>,
    for_secs: Option<i64>,
) -> Result<Timestamp, Problem> {
    let end = match (until, for_secs) {
        (Some(until), None) => until,
        (None, Some(secs)) if (1..=QUIET_SECS_MAX).contains(&secs) => {
            Timestamp::from_unix_micros(start.unix_micros() + secs * 1_000_000)
        }
        (None, Some(_)) => return Err(Problem::bad_request(format!("for_secs: is not in 1 to {QUIET_SECS_MAX}"))),
        (None, None) | (Some(_), Some(_)) => return Err(Problem::bad_request("either until or for_secs is required")),
    };
    let is_far = end.unix_micros() > start.unix_micros().saturating_add(QUIET_SECS_MAX * 1_000_000);
    if end <= now.max(start) || is_far {
        return Err(Problem::bad_request(format!(
            "it would end at {}, which is over, before it begins, or more than a year later",
            end.to_utc()
        )));
    }
    Ok(end)
}

/// Answers a request for a change; only a snooze has an end.
fn change(service: &Service, call: &Call<'_>, wanted: Wanted) -> Outcome {
    let token = call.caller.may_write()?;
    let (id, body): (i64, ChangeBody) = (number(call)?, body(call)?);
    let until = body.until.as_deref().map(|text| time("until", text)).transpose()?;
    let wanted = match wanted {
        Wanted::Snooze(..) => Wanted::Snooze(until, body.for_secs),
        _ if until.is_some() || body.for_secs.is_some() => {
            return Err(Problem::bad_request("until and for_secs are for snooze only"));
        }
        other => other,
    };
    let (done, incident) = make(service, token, id, wanted, body.note.as_deref())?;
    let text = format!("{{\"done\":{},\"incident\":{}}}\n", serde_json::json!(done), incident.json);
    Ok(Reply::Whole(Response::json(text)))
}

/// Makes a change of an incident. Returns what was done, and the incident.
///
/// # Errors
/// The incident is not there, or not of the token's team; the change is refused; the database does not answer.
pub(super) fn make(
    service: &Service,
    token: &Token,
    id: i64,
    wanted: Wanted,
    text: Option<&str>,
) -> Result<(String, ApiRow), Problem> {
    let (author, team) = (Author { who: &token.name, note: note(text)? }, token.team.as_deref());
    service.pool.work("api", |client| {
        // An incident keeps its team.
        if incidents::incident(client, id, team)?.is_none() {
            return Ok(Err(refused(&ChangeRefusal::Unknown)));
        }
        let change = match wanted {
            Wanted::Acknowledge => IncidentChange::Acknowledge,
            Wanted::Close => IncidentChange::Close,
            Wanted::Accept => IncidentChange::Accept,
            Wanted::Snooze(until, for_secs) => match snooze(client, until, for_secs)? {
                Ok(until) => IncidentChange::Snooze(until),
                Err(problem) => return Ok(Err(problem)),
            },
        };
        let done = match operator::change(client, id, change, author)? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refused(&refusal))),
        };
        let row = incidents::incident(client, id, team)?;
        Ok(row.map(|row| (done, row)).ok_or_else(|| refused(&ChangeRefusal::Unknown)))
    })?
}

/// Returns the end of a snooze; the database's clock says when it is over.
fn snooze(
    client: &mut Client,
    until: Option<Timestamp>,
    for_secs: Option<i64>,
) -> crate::store::Result<Result<Timestamp, Problem>> {
    let now = clock(client)?;
    Ok(end((now, now), until, for_secs))
}

fn refused(refusal: &ChangeRefusal) -> Problem {
    match refusal {
        ChangeRefusal::Unknown => Problem::not_found("there is no such incident"),
        ChangeRefusal::Closed | ChangeRefusal::StillHolds(_) | ChangeRefusal::CannotBeAccepted(_) => {
            Problem::new(409, refusal.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_in_the_future_and_within_a_year() {
        let at = |secs: i64| Timestamp::from_unix_micros(1_700_000_000_000_000 + secs * 1_000_000);
        let check = |start: i64, until: Option<i64>, for_secs: Option<i64>, want: Option<i64>| {
            let got = end((at(0), at(start)), until.map(at), for_secs);
            assert_eq!(got.ok(), want.map(at), "{start} {until:?} {for_secs:?}");
        };
        check(0, Some(60), None, Some(60));
        check(0, None, Some(60), Some(60));
        check(100, None, Some(60), Some(160));
        check(100, Some(60), None, None);
        check(0, Some(0), None, None);
        check(0, Some(60), Some(60), None);
        check(0, None, None, None);
        for secs in [0, -1, i64::MAX, QUIET_SECS_MAX + 1] {
            check(0, None, Some(secs), None);
        }
        check(0, Some(QUIET_SECS_MAX + 1), None, None);
        check(0, None, Some(QUIET_SECS_MAX), Some(QUIET_SECS_MAX));
    }
}
