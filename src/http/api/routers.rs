//! `/routers`: the routers, whether they are connected, and how many routes are stored of them.

use super::call::Call;
use super::endpoint::FieldKind::{Boolean, Integer, Objects, Text, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::list;
use super::parameter::{LIMIT, NEXT};
use crate::http::problem::Problem;
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::store::api::routers;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/routers",
        summary: "All routers, by identifier",
        parameters: &[LIMIT, NEXT],
        body: &[],
        shape: Shape::List(OVERVIEW, &[]),
        has_lines: true,
        answer: all,
    },
    Endpoint {
        method: Method::Get,
        path: "/routers/{router}",
        summary: "One router by identifier or host name, with its tables and latest sessions",
        parameters: &[],
        body: &[],
        shape: Shape::Object(DETAIL),
        has_lines: false,
        answer: one,
    },
];

macro_rules! overview {
    ($($more:expr),*) => {
        &[
            field("router_id", Text, "Its identifier"),
            nullable("router_ip", Text, "The address from which its latest session came"),
            nullable("hostname", Text, "sysName of its Initiation"),
            nullable("as_number", Integer, "Its AS number"),
            nullable("description", Text, "sysDescr of its Initiation"),
            field("first_seen", Time, "When its first session began"),
            field("last_seen", Time, "When its latest session began"),
            nullable("display_name", Text, "A name that operators gave it"),
            nullable("location", Text, "Where it stands"),
            nullable("collector_id", Text, "The collector that took it last"),
            nullable("state", Text, "As `router_states.state`: up, dumping, stale, isolated, standby, no collector or down"),
            nullable("since", Time, "Start of that state"),
            nullable("reason", Text, "Why, where there is a reason"),
            nullable("stale_since", Time, "Since when the first of its tables has had no session"),
            nullable("expires_at", Time, "When the routes that are kept are removed, unless it comes back"),
            field("route_count", Integer, "Loc-RIB routes now, all paths counted"),
            field("adj_rib_in_route_count", Integer, "Adj-RIB-In routes now, of all peers"),
            field("adj_rib_in_peer_count", Integer, "Peers with such routes"),
            field("adj_rib_out_route_count", Integer, "Adj-RIB-Out routes now, to all peers"),
            nullable("all_afis_synced", Boolean, "True where the dump of every Loc-RIB table is complete; null without a Loc-RIB"),
            nullable("session_start_time", Time, "When its latest dump began, of any RIB"),
            nullable("sync_updated_at", Time, "When the state of any RIB last changed"),
            nullable("last_message", Time, "When a message of any RIB was last stored"),
            nullable("reported_loc_rib_routes", Integer, "Loc-RIB routes by its own count; null where it does not say"),
            nullable("reported_adj_rib_in_routes", Integer, "Adj-RIB-In routes by its own count; null where it does not say"),
            nullable("loc_rib_drift", Integer, "Stored minus reported Loc-RIB routes; null where either is unknown"),
            nullable("adj_rib_in_drift", Integer, "Stored minus reported routes before policy; null where either is unknown"),
            $($more),*
        ]
    };
}

const OVERVIEW: &[Field] = overview!();

const DETAIL: &[Field] = overview!(
    field("tables", Objects(TABLES), "Its tables, Adj-RIBs of all peers together"),
    field("sessions", Objects(SESSIONS), "Its latest BMP sessions, at most 100")
);

const TABLES: &[Field] = &[
    field("view", Text, "loc-rib, adj-rib-in-pre, adj-rib-in-post, adj-rib-out-pre or adj-rib-out-post"),
    field("table_name", Text, "The name of the table"),
    field("afi", Integer, "4 or 6"),
    nullable("peers", Integer, "The number of peers that have it; null for a Loc-RIB"),
    field("routes", Integer, "The number of routes now"),
    field("eor_seen", Boolean, "True once every End-of-RIB has come"),
    nullable("eor_time", Time, "When the latest End-of-RIB came"),
    nullable("synced_at", Time, "When the dump counted as complete"),
    nullable("stale_since", Time, "Since when no session reports it"),
    nullable("session_start_time", Time, "When its latest dump began"),
    nullable("last_message", Time, "When its latest message was stored"),
];

const SESSIONS: &[Field] = &[
    field("collector_id", Text, "The collector that has or had it"),
    nullable("source", Text, "The address that it came from"),
    field("state", Text, "As `bmp_sessions.state`"),
    field("since", Time, "Start of that state"),
    nullable("reason", Text, "Why, where there is a reason"),
    field("began_at", Time, "When it began"),
];

fn all(service: &Service, call: &Call<'_>) -> Outcome {
    list::answer(service, call, routers::routers())
}

fn one(service: &Service, call: &Call<'_>) -> Outcome {
    let name = call.captured("router");
    match service.read(|client| routers::router(client, name))? {
        Some(row) => list::object(&row),
        None => Err(Problem::not_found("no router, or more than one, is called so")),
    }
}
