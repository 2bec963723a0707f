//! `/peers`: the BGP peers of routers, their state, and how many routes are stored of them.

use super::call::Call;
use super::endpoint::FieldKind::{Integer, Text, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::list;
use super::named::{named_routers, router_of_path};
use super::parameter::ParameterKind::{Address, Asn, OneOf};
use super::parameter::{LIMIT, NEXT, Parameter, ROUTER, optional, repeated};
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::store::api::peers::{self, PeerFilter};

const ASN: Parameter = repeated("asn", Asn, "AS number of a peer");
const STATE: Parameter = optional("state", OneOf(&["up", "down", "unknown"]), "State of the BGP session");
const PEER: Parameter = repeated("peer", Address, "Address of a peer");

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/peers",
        summary: "BGP peers of all routers, by router and address",
        parameters: &[ROUTER, ASN, STATE, PEER, LIMIT, NEXT],
        body: &[],
        shape: Shape::List(ROWS, &[]),
        has_lines: true,
        answer: of_all,
    },
    Endpoint {
        method: Method::Get,
        path: "/routers/{router}/peers",
        summary: "BGP peers of one router, by address",
        parameters: &[ASN, STATE, PEER, LIMIT, NEXT],
        body: &[],
        shape: Shape::List(ROWS, &[]),
        has_lines: true,
        answer: of_router,
    },
];

const ROWS: &[Field] = &[
    field("router_id", Text, "The router"),
    nullable("hostname", Text, "Its sysName"),
    field("peer_type", Text, "global, rd or local, any other type as its number"),
    field("distinguisher", Text, "Peer distinguisher; empty where there is none"),
    field("peer_address", Text, "The peer's address"),
    field("peer_asn", Integer, "Its AS number"),
    field("peer_bgp_id", Text, "Its BGP Identifier; empty where it was never up"),
    nullable("local_address", Text, "The router's address in the BGP session"),
    nullable("hold_time", Integer, "Negotiated hold time in seconds"),
    nullable("description", Text, "A name of the router's for the peer"),
    field("state", Text, "up, down, or unknown when no session reports the peer any more"),
    field("since", Time, "Since when it is in this state"),
    nullable("last_reason", Text, "Why it last went down, in words"),
    field("flap_count", Integer, "How often it went from up to down"),
    field("first_seen", Time, "When it was first reported"),
    field("updated_at", Time, "When it was last reported"),
    field("pre_policy_routes", Integer, "Routes received from it, before policy"),
    field("post_policy_routes", Integer, "Routes received from it, after policy"),
    field("sent_routes", Integer, "Routes sent to it, after policy"),
    nullable("max_routes", Integer, "The largest number of routes that a watch expects of it"),
];

fn of_all(service: &Service, call: &Call<'_>) -> Outcome {
    let routers = named_routers(service, call)?;
    answer(service, call, routers)
}

fn of_router(service: &Service, call: &Call<'_>) -> Outcome {
    let router = router_of_path(service, call)?;
    answer(service, call, Some(vec![router]))
}

fn answer(service: &Service, call: &Call<'_>, routers: Option<Vec<String>>) -> Outcome {
    let filter = PeerFilter {
        routers,
        asns: call.numbers(ASN.name),
        state: call.value(STATE.name).map(str::to_owned),
        addresses: call.values(PEER.name),
    };
    list::answer(service, call, peers::peers(filter))
}
