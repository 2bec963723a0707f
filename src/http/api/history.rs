//! The past: `/history` of a prefix, `/at` a time, `/between` two of them. Each says whether the history tells all.

use std::time::Duration;

use super::call::Call;
use super::endpoint::FieldKind::{Boolean, Integer, Json, Text, Texts, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::list;
use super::named::named_routers;
use super::parameter::ParameterKind::{self, Prefix};
use super::parameter::{LIMIT, NEXT, Parameter, ROUTER, optional, required};
use crate::http::problem::Problem;
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::store::api::history::{self, HistoryFilter};
use crate::store::{self, Client};

/// The beginning of a history that is not given one, before now.
pub(super) const SPAN: Duration = Duration::from_secs(7 * 24 * 3600);

const TABLE: Parameter = optional("table", ParameterKind::Text, "Name of a table");

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/history",
        summary: "Announcements and withdrawals of a prefix, the latest first",
        parameters: &[
            required("prefix", Prefix, "The prefix"),
            ROUTER_REQUIRED,
            TABLE,
            optional("from", ParameterKind::Time, "The beginning, a week ago unless given"),
            optional("to", ParameterKind::Time, "The end, now unless given"),
            LIMIT,
            NEXT,
        ],
        body: &[],
        shape: Shape::List(EVENT, COMPLETE_OF_PEERS),
        has_lines: true,
        answer: events,
    },
    Endpoint {
        method: Method::Get,
        path: "/at",
        summary: "Loc-RIB routes as they were at a time, in the order of the table's key",
        parameters: &[
            required("time", ParameterKind::Time, "The moment"),
            ROUTER_REQUIRED,
            TABLE,
            optional("prefix", Prefix, "This prefix"),
            LIMIT,
            NEXT,
        ],
        body: &[],
        shape: Shape::List(ROUTE_THEN, COMPLETE),
        has_lines: true,
        answer: at,
    },
    Endpoint {
        method: Method::Get,
        path: "/between",
        summary: "Loc-RIB routes that are not the same at two times; what came and went again is not there",
        parameters: &[
            required("from", ParameterKind::Time, "The first moment"),
            required("to", ParameterKind::Time, "The second moment"),
            ROUTER_REQUIRED,
            TABLE,
            LIMIT,
            NEXT,
        ],
        body: &[],
        shape: Shape::List(DIFFERENCE, COMPLETE),
        has_lines: true,
        answer: between,
    },
];

/// Without a router, every table's history would be read.
pub(super) const ROUTER_REQUIRED: Parameter =
    Parameter { about: "Identifier or host name of a router; at least one is required", ..ROUTER };

const COMPLETE: &[Field] = &[
    nullable(
        "complete",
        Boolean,
        "True where the retained history tells all of these tables at these times; null where no such Loc-RIB table is known",
    ),
    ARCHIVED_FROM,
    ARCHIVED_UNTIL,
];

const COMPLETE_OF_PEERS: &[Field] = &[
    nullable(
        "complete",
        Boolean,
        "True where the retained history tells all of the Loc-RIB and Adj-RIB-In tables at these times; null where no such table is known",
    ),
    ARCHIVED_FROM,
    ARCHIVED_UNTIL,
];

const ARCHIVED_FROM: Field =
    nullable("archived_from", Time, "The beginning of the first day of which events are in files; null without any");

const ARCHIVED_UNTIL: Field =
    nullable("archived_until", Time, "The end of the last day of which events are in files; null without any");

const EVENT: &[Field] = &[
    field("event_id", Text, "Identifies the event, in hex"),
    field("ingest_time", Time, "When the event was written; orders a router's events"),
    field("router_id", Text, "The router"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "4 or 6"),
    field("prefix", Text, "Destination"),
    nullable("path_id", Integer, "Add-Path identifier; null without Add-Path"),
    field("action", Text, "A: announced, D: withdrawn"),
    nullable("nexthop", Text, "Next hop"),
    nullable("as_path", Text, "AS_PATH"),
    nullable("origin", Text, "IGP, EGP or INCOMPLETE"),
    nullable("localpref", Integer, "LOCAL_PREF"),
    nullable("med", Integer, "MULTI_EXIT_DISC"),
    nullable("origin_asn", Integer, "The last AS number of the path"),
    nullable("communities_std", Texts, "Communities"),
    nullable("communities_ext", Texts, "Extended communities"),
    nullable("communities_large", Texts, "Large communities"),
    nullable("attrs", Json, "All other path attributes, or why the route went"),
    nullable("received_at", Time, "When the collector read the message"),
    nullable("router_time", Time, "The router's time of the message"),
    nullable("peer_address", Text, "The peer, of an Adj-RIB"),
    nullable("peer_asn", Integer, "Its AS number"),
    nullable("peer_bgp_id", Text, "Its BGP Identifier"),
    nullable("is_post_policy", Boolean, "True for an Adj-RIB after policy"),
    field("rib", Text, "loc-rib, adj-rib-in or adj-rib-out"),
];

const ROUTE_THEN: &[Field] = &[
    field("router_id", Text, "The router"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "4 or 6"),
    field("prefix", Text, "Destination"),
    field("path_id", Integer, "Add-Path identifier, 0 without Add-Path"),
    nullable("nexthop", Text, "Next hop"),
    nullable("as_path", Text, "AS_PATH"),
    nullable("origin", Text, "IGP, EGP or INCOMPLETE"),
    nullable("localpref", Integer, "LOCAL_PREF"),
    nullable("med", Integer, "MULTI_EXIT_DISC"),
    nullable("origin_asn", Integer, "The last AS number of the path"),
    nullable("communities_std", Texts, "Communities"),
    nullable("communities_ext", Texts, "Extended communities"),
    nullable("communities_large", Texts, "Large communities"),
    nullable("attrs", Json, "All other path attributes"),
    field("since", Time, "When the route was first written so"),
    field("complete", Boolean, "True where the history tells all of the table then"),
];

const DIFFERENCE: &[Field] = &[
    field("router_id", Text, "The router"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "4 or 6"),
    field("prefix", Text, "Destination"),
    field("path_id", Integer, "Add-Path identifier, 0 without Add-Path"),
    field("change", Text, "added, removed or changed"),
    nullable("before", Json, "The attributes at the first moment"),
    nullable("after", Json, "The attributes at the second moment"),
    nullable("complete", Boolean, "True where the history tells all of the table at both moments"),
];

fn events(service: &Service, call: &Call<'_>) -> Outcome {
    let now = jiff::Timestamp::now();
    let from = call.value("from").map_or_else(|| (now - SPAN).to_string(), str::to_owned);
    let to = call.value("to").map_or_else(|| now.to_string(), str::to_owned);
    let filter = filter(service, call, from, to)?;
    let judged = filter.clone();
    list::answer_with(service, call, history::events(filter), &|client| {
        let moments: [&str; 2] = [&judged.from, &judged.to];
        let all = [
            history::is_complete(client, &judged, &moments)?,
            history::is_complete_of_peers(client, &judged, &moments)?,
        ];
        members(client, all.into_iter().flatten().reduce(|one, other| one && other))
    })
}

fn at(service: &Service, call: &Call<'_>) -> Outcome {
    let time = call.value("time").unwrap_or_default().to_owned();
    let filter = filter(service, call, time.clone(), time)?;
    let judged = filter.clone();
    list::answer_with(service, call, history::routes_at(filter), &|client| {
        let complete = history::is_complete(client, &judged, &[&judged.from])?;
        members(client, complete)
    })
}

fn between(service: &Service, call: &Call<'_>) -> Outcome {
    let moment = |name| call.value(name).unwrap_or_default().to_owned();
    let filter = filter(service, call, moment("from"), moment("to"))?;
    let judged = filter.clone();
    list::answer_with(service, call, history::differences(filter), &|client| {
        let complete = history::is_complete(client, &judged, &[&judged.from, &judged.to])?;
        members(client, complete)
    })
}

fn filter(service: &Service, call: &Call<'_>, from: String, to: String) -> Result<HistoryFilter, Problem> {
    let routers = named_routers(service, call)?.ok_or_else(|| Problem::bad_request("router is required"))?;
    let text = |name| call.value(name).map(str::to_owned);
    Ok(HistoryFilter { routers, table_name: text("table"), prefix: text("prefix"), from, to })
}

fn members(client: &mut Client, complete: Option<bool>) -> store::Result<String> {
    let [from, until] = history::archived(client)?.map(|time| serde_json::json!(time));
    Ok(format!("\"complete\":{},\"archived_from\":{from},\"archived_until\":{until},", serde_json::json!(complete)))
}
