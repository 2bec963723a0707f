//! `/routes`: the routes that are stored now, with conditions. A page of them, or all of them, a line each.

use super::call::Call;
use super::endpoint::FieldKind::{Boolean, Integer, Json, Text, Texts, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::list;
use super::named::named_routers;
use super::parameter::ParameterKind::{self, Address, Asn, Community, OneOf, Path, Prefix};
use super::parameter::{LIMIT, NEXT, Parameter, ROUTER, optional, repeated};
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::store::api::routes::{self, RouteFilter};

/// The RIBs of a router.
pub(super) const VIEWS: &[&str] =
    &["loc-rib", "adj-rib-in-pre", "adj-rib-in-post", "adj-rib-out-pre", "adj-rib-out-post"];

pub(super) const ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::Get,
    path: "/routes",
    summary: "Routes as they are now: every condition that is given holds; in the order of the table's key",
    parameters: PARAMETERS,
    body: &[],
    shape: Shape::List(ROUTE, &[]),
    has_lines: true,
    answer: routes_now,
}];

const PARAMETERS: &[Parameter] = &[
    ROUTER,
    optional("table", ParameterKind::Text, "Name of a table"),
    optional("view", OneOf(VIEWS), "The RIB, loc-rib unless given"),
    repeated("peer", Address, "Address of a peer, of an Adj-RIB"),
    optional("afi", OneOf(&["4", "6"]), "The address family"),
    optional("prefix", Prefix, "This prefix"),
    optional("covering", Prefix, "Prefixes that cover this one, itself included"),
    optional("covered", Prefix, "Prefixes that this one covers, itself included"),
    repeated("origin_asn", Asn, "The last AS of the path"),
    optional("nexthop", Address, "The next hop"),
    repeated("community", Community, "A community of any kind; several are all required"),
    optional("as_path", Path, "The whole AS path: AS numbers, ? for any one, * for any number of them"),
    LIMIT,
    NEXT,
];

pub(super) const ROUTE: &[Field] = &[
    field("view", Text, "The RIB"),
    field("router_id", Text, "The router"),
    nullable("peer_address", Text, "The peer, of an Adj-RIB"),
    nullable("peer_asn", Integer, "Its AS number"),
    nullable("peer_bgp_id", Text, "Its BGP Identifier"),
    nullable("is_post_policy", Boolean, "True for an Adj-RIB after policy"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "4 or 6"),
    field("prefix", Text, "Destination"),
    field("path_id", Integer, "Add-Path identifier, 0 without Add-Path"),
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

fn routes_now(service: &Service, call: &Call<'_>) -> Outcome {
    let routers = named_routers(service, call)?;
    let filter = filter(call);
    if call.wants_lines() {
        return list::lines(service, call, move |client, deliver| {
            routes::all_routes(client, routers.as_deref(), &filter, deliver)
        });
    }
    let after = call.after()?;
    let found = service
        .read(|client| routes::routes(client, routers.as_deref(), &filter, after.as_deref(), call.limit() + 1))?;
    list::page(call, &found)
}

fn filter(call: &Call<'_>) -> RouteFilter {
    let text = |name| call.value(name).map(str::to_owned);
    let communities = call.values("community").unwrap_or_default();
    let of_kind = |wanted: fn(&str) -> bool| {
        let found: Vec<String> = communities.iter().filter(|one| wanted(one)).cloned().collect();
        (!found.is_empty()).then_some(found)
    };
    RouteFilter {
        view: call.value("view").unwrap_or("loc-rib").to_owned(),
        table_name: text("table"),
        afi: call.value("afi").and_then(|afi| afi.parse().ok()),
        peers: call.values("peer"),
        prefix: text("prefix"),
        covering: text("covering"),
        covered: text("covered"),
        origin_asns: call.numbers("origin_asn"),
        nexthop: text("nexthop"),
        communities_std: of_kind(|one| is_numbers(one) && one.matches(':').count() == 1),
        communities_large: of_kind(|one| is_numbers(one) && one.matches(':').count() == 2),
        communities_ext: of_kind(|one| !is_numbers(one) || !one.contains(':')),
        as_path: text("as_path"),
    }
}

fn is_numbers(community: &str) -> bool {
    community.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
}
