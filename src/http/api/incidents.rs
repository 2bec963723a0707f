//! `/incidents`, `/watches`, `/rpki`: what watches have found. A caller with the token of a team sees its own only.

use super::call::Call;
use super::endpoint::FieldKind::{Boolean, Integer, Integers, Json, Objects, Text, Texts, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::list;
use super::parameter::{LIMIT, NEXT, Parameter, ParameterKind, repeated};
use crate::http::problem::Problem;
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::store::api::incidents::{self, IncidentFilter};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/incidents",
        summary: "Incidents, the newest ones first",
        parameters: &[
            repeated("state", ParameterKind::OneOf(STATES), "State"),
            repeated("severity", ParameterKind::OneOf(SEVERITIES), "Severity"),
            repeated("condition", ParameterKind::Text, "Condition"),
            WATCH,
            LIMIT,
            NEXT,
        ],
        body: &[],
        shape: Shape::List(INCIDENT, &[]),
        has_lines: true,
        answer: all,
    },
    Endpoint {
        method: Method::Get,
        path: "/incidents/{id}",
        summary: "One incident with its changes",
        parameters: &[],
        body: &[],
        shape: Shape::Object(DETAIL),
        has_lines: false,
        answer: one,
    },
    Endpoint {
        method: Method::Get,
        path: "/watches",
        summary: "Watches by number",
        parameters: &[repeated("kind", ParameterKind::OneOf(KINDS), "Kind"), LIMIT, NEXT],
        body: &[],
        shape: Shape::List(WATCHES, &[]),
        has_lines: true,
        answer: watches,
    },
    Endpoint {
        method: Method::Get,
        path: "/rpki",
        summary: "The set of VRPs in force, and what the latest scan of the routes found",
        parameters: &[],
        body: &[],
        shape: Shape::Object(RPKI),
        has_lines: false,
        answer: rpki,
    },
];

/// The parameter for watches.
pub(super) const WATCH: Parameter = repeated("watch", ParameterKind::Text, "Name or number of a watch");

const STATES: &[&str] = &["open", "acknowledged", "snoozed", "closed"];

const SEVERITIES: &[&str] = &["critical", "error", "warning", "info"];

const KINDS: &[&str] = &["prefix", "address", "origin", "session", "peer_routes", "router"];

macro_rules! incident {
    ($($more:expr),*) => {
        &[
            field("id", Integer, "Its number"),
            nullable("team", Text, "The team of its watch; null: the operator's"),
            field("cause_key", Text, "Its key, equal in two databases with the same watches"),
            nullable("watch_id", Integer, "The number of its watch"),
            nullable("watch", Text, "The name of its watch"),
            field("condition", Text, "The condition"),
            field("subject", Text, "What of the watch it is about; empty: all of it"),
            field("severity", Text, "critical, error, warning or info"),
            field("state", Text, "open, acknowledged, snoozed or closed"),
            field("opened_at", Time, "When it opened"),
            field("cause_at", Time, "When the condition began to hold"),
            nullable("acknowledged_at", Time, "When somebody acknowledged it"),
            nullable("acknowledged_by", Text, "Who did"),
            nullable("snoozed_until", Time, "Until when it is quiet"),
            nullable("over_since", Time, "Since when the condition no longer holds"),
            nullable("frozen_since", Time, "Since when too few routers are known to judge it"),
            nullable("closed_at", Time, "When it closed"),
            field("affected", Integer, "The number of routers where it holds"),
            field("known", Integer, "The number of routers that were asked"),
            nullable("silence_id", Integer, "The silence that keeps it from being delivered"),
            field("is_baseline", Boolean, "True if it held already when the watch was made or changed"),
            field("summary", Text, "One line for people"),
            field("detail", Json, "What was found"),
            nullable("parent_id", Integer, "The incident of the common cause"),
            nullable("runbook_url", Text, "The page that says what to do"),
            $($more),*
        ]
    };
}

/// The fields of an incident.
const INCIDENT: &[Field] = incident!();

/// The fields of an incident with its changes.
pub(super) const DETAIL: &[Field] =
    incident!(field("events", Objects(EVENTS), "Its latest changes, at most 1,000, oldest first"));

const EVENTS: &[Field] = &[
    field("id", Integer, "Its number, as events of the stream have it"),
    field("event", Text, "opened, worse, acknowledged, snoozed, closed and so on"),
    field("at", Time, "When"),
    nullable("who", Text, "Who did it; null: the collector"),
    nullable("note", Text, "Why, where somebody said it"),
    field("severity", Text, "The severity then"),
    field("state", Text, "The state then"),
    field("affected", Integer, "The number of routers where it held then"),
    field("known", Integer, "The number of routers that were asked then"),
    field("summary", Text, "The line for people then"),
    field("is_told", Boolean, "True if callbacks are told of it"),
];

const WATCHES: &[Field] = &[
    field("id", Integer, "Its number"),
    nullable("team", Text, "Its team; null: the operator's"),
    field("name", Text, "Its name, unique within the team"),
    field("kind", Text, "prefix, address, origin, session, peer_routes or router"),
    nullable("prefix", Text, "The prefix"),
    nullable("address", Text, "The address"),
    nullable("asn", Integer, "The AS"),
    nullable("router_id", Text, "The router, if it is about one"),
    nullable("table_name", Text, "The table, if it is about one"),
    nullable("peer_address", Text, "The peer"),
    nullable("expected_origins", Integers, "The ASes that may originate it"),
    nullable("expected_upstreams", Integers, "The ASes that may stand before the origin"),
    nullable("expected_downstreams", Integers, "The ASes that may follow the AS"),
    nullable("expected_via", Integers, "The ASes behind which a route is mitigated"),
    nullable("path_match", Text, "What the AS path has to match"),
    nullable("max_length", Integer, "The longest prefix inside that is expected"),
    nullable("min_routes", Integer, "The least number of routes"),
    nullable("max_routes", Integer, "The largest number of routes"),
    nullable("drop_percent", Integer, "A fall by this much opens an incident"),
    nullable("rise_percent", Integer, "A rise by this much opens an incident"),
    nullable("min_up", Integer, "The least number of sessions that are up"),
    field("min_vantages", Integer, "The number of routers at which a condition has to hold"),
    nullable("conditions", Texts, "The conditions that are judged; null: those of the kind"),
    nullable("severity", Text, "The severity; null: that of the condition"),
    nullable("runbook_url", Text, "The page that says what to do"),
    field("source", Text, "Where it comes from: manual, or the import that keeps it"),
    field("enabled", Boolean, "False: it is not judged"),
    nullable("note", Text, "A note"),
    field("accepted_at", Time, "When the state was last accepted"),
    field("created_at", Time, "When it was made"),
    field("updated_at", Time, "When it last changed"),
    field("holding", Integer, "The number of conditions that hold for it, over all routers"),
    field("incidents", Integer, "The number of its incidents that are not closed"),
];

const RPKI: &[Field] = &[
    field("version", Integer, "Counts the changes of the VRPs; 0: no set was ever taken"),
    field("is_usable", Boolean, "True if there is a set that is not too old"),
    nullable("source", Text, "Where it comes from"),
    nullable("generated", Time, "When it was made"),
    nullable("fetched_at", Time, "When it was last fetched or confirmed"),
    nullable("taken_at", Time, "When it came into force"),
    nullable("valid_until", Time, "Until when it is valid"),
    field("vrps", Integer, "The number of VRPs"),
    field("aspas", Integer, "The number of customers with ASPAs"),
    field("slurm_filtered", Integer, "VRPs that SLURM removed"),
    field("slurm_added", Integer, "VRPs that SLURM added"),
    nullable("last_error", Text, "Why the last try gave no set"),
    nullable("failing_since", Time, "Since when no source gives a set"),
    nullable("held_since", Time, "Since when a set that lost much is held"),
    nullable("held_until", Time, "When it is taken"),
    nullable("held_reason", Text, "What it lacks"),
    nullable("held_vrps", Integer, "The number of its VRPs"),
    nullable("scanned_at", Time, "When the routes were last scanned"),
    field("valid_routes", Integer, "Valid routes then, over all routers"),
    field("invalid_routes", Integer, "Invalid routes then"),
    field("not_found_routes", Integer, "Routes then that no VRP covers"),
    field("trust_anchors", Objects(TRUST_ANCHORS), "The trust anchors"),
];

const TRUST_ANCHORS: &[Field] =
    &[field("trust_anchor", Text, "The trust anchor"), field("vrps", Integer, "The number of its VRPs")];

/// Returns the number in the path.
///
/// # Errors
/// It is none.
pub(super) fn number(call: &Call<'_>) -> Result<i64, Problem> {
    let number = call.captured("id").parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Problem::bad_request("the number in the path is none"))
}

/// Returns the team of the caller, if its token is for one.
pub(super) fn team<'a>(call: &Call<'a>) -> Option<&'a str> {
    call.caller.token.as_ref().and_then(|token| token.team.as_deref())
}

fn all(service: &Service, call: &Call<'_>) -> Outcome {
    let filter = IncidentFilter {
        states: call.values("state"),
        severities: call.values("severity"),
        conditions: call.values("condition"),
        watches: call.values("watch"),
        team: team(call).map(str::to_owned),
        id: None,
    };
    list::answer(service, call, incidents::incidents(filter))
}

fn one(service: &Service, call: &Call<'_>) -> Outcome {
    let (id, team) = (number(call)?, team(call));
    match service.read(|client| incidents::incident(client, id, team))? {
        Some(row) => list::object(&row),
        None => Err(Problem::not_found("there is no such incident")),
    }
}

fn watches(service: &Service, call: &Call<'_>) -> Outcome {
    list::answer(service, call, incidents::watches(call.values("kind"), team(call).map(str::to_owned)))
}

fn rpki(service: &Service, _: &Call<'_>) -> Outcome {
    list::object(&service.read(incidents::rpki)?)
}
