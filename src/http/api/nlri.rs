//! `/nlri` and below: routes of the families that are not prefixes as they are now, their tables, and their past.

use super::call::Call;
use super::endpoint::FieldKind::{Boolean, Integer, Json, Text, Texts, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::history::{ROUTER_REQUIRED, SPAN};
use super::list;
use super::named::named_routers;
use super::parameter::ParameterKind::{self, Address, OneOf};
use super::parameter::{LIMIT, NEXT, Parameter, ROUTER, optional, repeated};
use super::routes::VIEWS;
use crate::http::problem::Problem;
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::model::OtherFamily;
use crate::store::api::nlri::{self, NlriFilter};

/// The names of the families, with which keys begin.
const FAMILIES: &[&str] = &OtherFamily::NAMES;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/nlri",
        summary: "Routes of families that are not prefixes, as they are now: every condition that is given holds",
        parameters: &[ROUTER, VIEW, TABLE, PEER, FAMILY, TYPE, KEY, CONTAINS, LIMIT, NEXT],
        body: &[],
        shape: Shape::List(ROUTE, &[]),
        has_lines: true,
        answer: routes,
    },
    Endpoint {
        method: Method::Get,
        path: "/nlri/history",
        summary: "Announcements and withdrawals of families that are not prefixes, the latest first",
        parameters: &[ROUTER_REQUIRED, VIEW, TABLE, PEER, FAMILY, TYPE, KEY, CONTAINS, FROM, TO, LIMIT, NEXT],
        body: &[],
        shape: Shape::List(EVENT, &[]),
        has_lines: true,
        answer: events,
    },
    Endpoint {
        method: Method::Get,
        path: "/nlri/tables",
        summary: "Tables of families that are not prefixes: how complete each is, and how many routes it has",
        parameters: &[ROUTER, LIMIT, NEXT],
        body: &[],
        shape: Shape::List(TABLE_ROW, &[]),
        has_lines: true,
        answer: tables,
    },
    Endpoint {
        method: Method::Get,
        path: "/nlri/counts",
        summary: "Numbers of routes of families that are not prefixes that each peer had over time, the latest first",
        parameters: &[ROUTER, repeated("peer", Address, "Address of a peer"), FROM, TO, LIMIT, NEXT],
        body: &[],
        shape: Shape::List(COUNT, &[]),
        has_lines: true,
        answer: counts,
    },
];

const FROM: Parameter = optional("from", ParameterKind::Time, "The beginning, a week ago unless given");
const TO: Parameter = optional("to", ParameterKind::Time, "The end, now unless given");
const VIEW: Parameter = optional("view", OneOf(VIEWS), "The RIB, any unless given");
const TABLE: Parameter = optional("table", ParameterKind::Text, "Name of a table, such as global|nlri:25/70");
const PEER: Parameter = repeated("peer", Address, "Address of a peer, of an Adj-RIB");
const FAMILY: Parameter = optional("family", OneOf(FAMILIES), "The family");
const TYPE: Parameter = optional("type", ParameterKind::Text, "The type of the NLRI, as its fields have it");
const KEY: Parameter = optional("key", ParameterKind::Text, "The whole key");
const CONTAINS: Parameter = optional("contains", ParameterKind::Text, "Text that is somewhere in the key");

const ROUTE: &[Field] = &[
    field("view", Text, "The RIB"),
    field("router_id", Text, "The router"),
    nullable("peer_address", Text, "The peer, of an Adj-RIB"),
    nullable("peer_asn", Integer, "Its AS number"),
    nullable("peer_bgp_id", Text, "Its BGP Identifier"),
    nullable("is_post_policy", Boolean, "True for an Adj-RIB after policy"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "Address family by its IANA number"),
    field("safi", Integer, "Subsequent address family by its IANA number"),
    field("nlri_key", Text, "The text that identifies the route"),
    field("path_id", Integer, "Add-Path identifier, 0 without Add-Path"),
    field("nlri", Json, "All fields of the NLRI"),
    nullable("nexthop", Text, "Next hop"),
    nullable("as_path", Text, "AS_PATH; empty for the router's own routes"),
    nullable("origin", Text, "IGP, EGP or INCOMPLETE"),
    nullable("localpref", Integer, "LOCAL_PREF"),
    nullable("med", Integer, "MULTI_EXIT_DISC"),
    nullable("origin_asn", Integer, "The last AS number of the path"),
    nullable("communities_std", Texts, "Communities"),
    nullable("communities_ext", Texts, "Extended communities"),
    nullable("communities_large", Texts, "Large communities"),
    nullable("attrs", Json, "All other path attributes"),
    field("first_seen", Time, "When this key was inserted"),
    field("updated_at", Time, "When the row was last written"),
];

const EVENT: &[Field] = &[
    field("event_id", Text, "Identifies the event, in hex"),
    field("ingest_time", Time, "When the event was written; orders a router's events"),
    field("router_id", Text, "The router"),
    field("view", Text, "The RIB"),
    nullable("peer_address", Text, "The peer, of an Adj-RIB"),
    nullable("peer_asn", Integer, "Its AS number"),
    nullable("peer_bgp_id", Text, "Its BGP Identifier"),
    nullable("is_post_policy", Boolean, "True for an Adj-RIB after policy"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "Address family by its IANA number"),
    field("safi", Integer, "Subsequent address family by its IANA number"),
    nullable("nlri_key", Text, "The text that identifies the route; null where it was never announced"),
    nullable("path_id", Integer, "Add-Path identifier; null without Add-Path"),
    field("action", Text, "A: announced, D: withdrawn"),
    nullable("nlri", Json, "All fields of the NLRI; of a withdrawal, as they had been announced"),
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
];

const TABLE_ROW: &[Field] = &[
    field("view", Text, "The RIB"),
    field("router_id", Text, "The router"),
    nullable("peer_address", Text, "The peer, of an Adj-RIB"),
    field("table_name", Text, "The table, whose name ends in the family"),
    field("afi", Integer, "Address family by its IANA number"),
    field("safi", Integer, "Subsequent address family by its IANA number"),
    field("routes", Integer, "Its routes now, each path counted"),
    nullable("session_start_time", Time, "When the latest dump began"),
    field("eor_seen", Boolean, "True once this session has sent the End-of-RIB"),
    nullable("eor_time", Time, "When it came"),
    nullable("synced_at", Time, "When the dump counted as complete"),
    nullable("stale_since", Time, "Since when no session reports the table"),
    nullable("last_parsed_msg_time", Time, "When a message last reached the current state"),
    nullable("last_raw_msg_time", Time, "When a message last reached the history"),
    field("updated_at", Time, "Last change of these times"),
];

const COUNT: &[Field] = &[
    field("at", Time, "When, down to a multiple of 5 minutes"),
    field("router_id", Text, "The router"),
    field("peer_address", Text, "The peer"),
    field("table_name", Text, "The table, whose name ends in the family"),
    field("afi", Integer, "Address family by its IANA number"),
    field("safi", Integer, "Subsequent address family by its IANA number"),
    nullable("pre", Integer, "Routes before policy; null where none are stored before policy"),
    nullable("post", Integer, "Routes after policy; null where none are stored after policy"),
];

fn routes(service: &Service, call: &Call<'_>) -> Outcome {
    list::answer(service, call, nlri::routes(filter(service, call)?))
}

fn events(service: &Service, call: &Call<'_>) -> Outcome {
    let (from, to) = span(call);
    let filter = filter(service, call)?;
    if filter.routers.is_none() {
        return Err(Problem::bad_request("router is required"));
    }
    list::answer(service, call, nlri::events(filter, from, to))
}

fn tables(service: &Service, call: &Call<'_>) -> Outcome {
    list::answer(service, call, nlri::tables(named_routers(service, call)?))
}

fn counts(service: &Service, call: &Call<'_>) -> Outcome {
    let (from, to) = span(call);
    list::answer(service, call, nlri::counts(named_routers(service, call)?, call.values("peer"), from, to))
}

/// Returns the times from which to which is asked for.
fn span(call: &Call<'_>) -> (String, String) {
    let now = jiff::Timestamp::now();
    let from = call.value("from").map_or_else(|| (now - SPAN).to_string(), str::to_owned);
    (from, call.value("to").map_or_else(|| now.to_string(), str::to_owned))
}

fn filter(service: &Service, call: &Call<'_>) -> Result<NlriFilter, Problem> {
    let text = |name| call.value(name).map(str::to_owned);
    Ok(NlriFilter {
        routers: named_routers(service, call)?,
        view: text("view"),
        table_name: text("table"),
        peers: call.values("peer"),
        family: text("family"),
        kind: text("type"),
        key: text("key"),
        contains: text("contains"),
    })
}
