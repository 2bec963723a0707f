//! `/silences`: planned work, of which incidents are recorded and not delivered.

use serde::Deserialize;

use super::call::Call;
use super::changes::{body, end, note, time};
use super::endpoint::FieldKind::{Integer, Text, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::incidents::{number, team};
use super::list;
use super::parameter::{LIMIT, NEXT};
use crate::config::tokens::Token;
use crate::config::value;
use crate::http::problem::Problem;
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::model::Timestamp;
use crate::model::watch::{Condition, WatchId};
use crate::store::Client;
use crate::store::api::{ApiRow, incidents};
use crate::store::events::clock;
use crate::store::status;
use crate::store::watch::silences::{self, EndedSilence, SilenceScope};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/silences",
        summary: "Silences that are planned or active, the newest ones first",
        parameters: &[LIMIT, NEXT],
        body: &[],
        shape: Shape::List(SILENCE, &[]),
        has_lines: true,
        answer: all,
    },
    Endpoint {
        method: Method::Post,
        path: "/silences",
        summary: "Adds a silence; what still holds when it ends is delivered then",
        parameters: &[],
        body: ADD,
        shape: Shape::Object(SILENCE),
        has_lines: false,
        answer: add,
    },
    Endpoint {
        method: Method::Delete,
        path: "/silences/{id}",
        summary: "Ends a silence now",
        parameters: &[],
        body: &[],
        shape: Shape::Object(ENDED),
        has_lines: false,
        answer: stop,
    },
];

const SILENCE: &[Field] = &[
    field("id", Integer, "Its number"),
    field("starts_at", Time, "From when"),
    field("ends_at", Time, "Until when"),
    nullable("router_id", Text, "Only at this router"),
    nullable("peer_address", Text, "Only for this peer"),
    nullable("peer_asn", Integer, "Only for peers of this AS"),
    nullable("prefix", Text, "Only for this prefix and what it covers"),
    nullable("watch_id", Integer, "Only for this watch"),
    nullable("watch", Text, "Its name"),
    nullable("team", Text, "Only for watches of this team"),
    nullable("condition", Text, "Only for this condition"),
    field("created_by", Text, "Who made it"),
    field("note", Text, "Why"),
    field("created_at", Time, "When it was made"),
    field("incidents", Integer, "The number of open incidents that it keeps from being delivered"),
];

const ADD: &[Field] = &[
    nullable("router", Text, "Only at this router: its identifier or host name"),
    nullable("peer_address", Text, "Only for this peer"),
    nullable("peer_asn", Integer, "Only for peers of this AS"),
    nullable("prefix", Text, "Only for this prefix and what it covers"),
    nullable("watch_id", Integer, "Only for this watch; one of these five is required"),
    nullable("team", Text, "Only for watches of this team; a token of a team has its own"),
    nullable("condition", Text, "Only for this condition"),
    nullable("starts_at", Time, "From when; null: now"),
    nullable("until", Time, "Until when; this or `for_secs` is required"),
    nullable("for_secs", Integer, "For how many seconds"),
    field("note", Text, "Why"),
];

const ENDED: &[Field] = &[field("id", Integer, "Its number"), field("done", Text, "What was done")];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceBody {
    #[serde(default)]
    router: Option<String>,
    #[serde(default)]
    peer_address: Option<std::net::IpAddr>,
    #[serde(default)]
    peer_asn: Option<u32>,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    watch_id: Option<i64>,
    #[serde(default)]
    team: Option<String>,
    #[serde(default)]
    condition: Option<String>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    for_secs: Option<i64>,
    note: String,
}

fn all(service: &Service, call: &Call<'_>) -> Outcome {
    list::answer(service, call, incidents::silences(team(call).map(str::to_owned), None))
}

fn add(service: &Service, call: &Call<'_>) -> Outcome {
    let token = call.caller.may_write()?;
    let body: SilenceBody = body(call)?;
    let Some(note) = note(Some(&body.note))? else {
        return Err(Problem::bad_request("note: is empty: say why"));
    };
    let scope = scope(&body, token)?;
    let times = [("starts_at", &body.starts_at), ("until", &body.until)];
    let [starts_at, until] = times.map(|(name, text)| text.as_deref().map(|text| time(name, text)).transpose());
    let (starts_at, until) = (starts_at?, until?);
    let row = service.pool.work("api", |client| {
        // The database's clock says when it begins and is over.
        let now = clock(client)?;
        let start = starts_at.unwrap_or(now);
        let end = match end((now, start), until, body.for_secs) {
            Ok(end) => end,
            Err(problem) => return Ok(Err(problem)),
        };
        match resolved(client, scope, &body, token.team.as_deref())? {
            Ok(scope) => stored(client, &scope, (start, end), &token.name, note),
            Err(problem) => Ok(Err(problem)),
        }
    })??;
    list::object(&row)
}

fn stored(
    client: &mut Client,
    scope: &SilenceScope,
    times: (Timestamp, Timestamp),
    who: &str,
    note: &str,
) -> crate::store::Result<Result<ApiRow, Problem>> {
    let made = silences::add(client, scope, times, who, note)?;
    let row = incidents::silences(None, Some(made.id)).page(client, None, 1)?.pop();
    Ok(row.ok_or_else(|| Problem::new(409, "the silence is over already")))
}

/// Returns what needs no database.
fn scope(body: &SilenceBody, token: &Token) -> Result<SilenceScope, Problem> {
    let is_free = token.team.is_none();
    let is_named = body.watch_id.is_some() || body.prefix.is_some();
    if !is_free && (body.router.is_some() || body.peer_address.is_some() || body.peer_asn.is_some() || !is_named) {
        return Err(Problem::new(403, "a token of a team silences its own watches, by watch_id or prefix"));
    }
    if !is_free && body.team.is_some() && body.team != token.team {
        return Err(Problem::new(403, "this token is for another team"));
    }
    if !is_named && body.router.is_none() && body.peer_address.is_none() && body.peer_asn.is_none() {
        return Err(Problem::bad_request("one of router, peer_address, peer_asn, prefix and watch_id is required"));
    }
    if let Some(condition) = body.condition.as_deref() {
        let Some(known) = Condition::parse(condition) else {
            return Err(Problem::bad_request("condition: there is no such condition"));
        };
        if matches!(known, Condition::Origin | Condition::MoreSpecific) && !is_named {
            return Err(Problem::bad_request("condition: a hijack is silenced by watch_id or prefix only"));
        }
    }
    if body.team.as_ref().or(body.router.as_ref()).is_some_and(|text| text.contains('\0')) {
        return Err(Problem::bad_request("the body contains a NUL character"));
    }
    let prefix = body.prefix.as_deref().map(|text| {
        let network = value::network(text).map_err(|why| Problem::bad_request(format!("prefix: {why}")))?;
        Ok::<_, Problem>(network.to_string())
    });
    Ok(SilenceScope {
        router_id: None,
        peer_address: body.peer_address.map(|address| address.to_canonical()),
        peer_asn: body.peer_asn,
        prefix: prefix.transpose()?,
        watch: body.watch_id.map(WatchId),
        team: token.team.clone().or_else(|| body.team.clone()),
        condition: body.condition.clone(),
    })
}

/// Adds the router by its identifier, and checks the watch.
fn resolved(
    client: &mut Client,
    mut scope: SilenceScope,
    body: &SilenceBody,
    team: Option<&str>,
) -> crate::store::Result<Result<SilenceScope, Problem>> {
    if let Some(name) = &body.router {
        let mut routers = status::named(client, name)?;
        match (routers.pop(), routers.is_empty()) {
            (Some((router, _)), true) => scope.router_id = Some(router.to_string()),
            _ => return Ok(Err(Problem::bad_request("router: no router, or more than one, is called so"))),
        }
    }
    if let Some(watch) = scope.watch
        && !incidents::has_watch(client, watch.0, team)?
    {
        return Ok(Err(Problem::bad_request("watch_id: there is no such watch")));
    }
    Ok(Ok(scope))
}

fn stop(service: &Service, call: &Call<'_>) -> Outcome {
    let token = call.caller.may_write()?;
    let (id, team) = (number(call)?, token.team.as_deref());
    service.pool.work("api", |client| {
        if incidents::silences(team.map(str::to_owned), Some(id)).page(client, None, 1)?.is_empty() {
            return Ok(Err(Problem::not_found("no silence with this number is planned or active")));
        }
        Ok(match silences::end(client, id)? {
            EndedSilence::Now(_) => Ok(()),
            EndedSilence::Before(_) | EndedSilence::Unknown => Err(Problem::new(409, "the silence is over already")),
        })
    })??;
    let json = serde_json::json!({ "id": id, "done": "ended" }).to_string();
    list::object(&ApiRow { json, key: None })
}
