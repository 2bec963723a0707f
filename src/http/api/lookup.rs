//! `/lookup`: the longest match, as the command and the page have it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::call::Call;
use super::endpoint::{Endpoint, Shape};
use super::list;
use super::named::named_routers;
use super::parameter::ParameterKind::{self, Address, OneOf, Prefix};
use super::parameter::{LIMIT, ROUTER, optional};
use super::routes::{ROUTE, VIEWS};
use crate::http::problem::Problem;
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::model::{self, Afi};
use crate::store::api::ApiRow;
use crate::store::lookup::{LookupRow, LookupScope, longest_match_in};
use crate::store::slice::Slice;

pub(super) const ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::Get,
    path: "/lookup",
    summary: "The longest match for an address or a prefix in each table, with all its paths and their state by RPKI",
    parameters: &[
        optional("address", Address, "The address to look up; this or prefix is required"),
        optional("prefix", Prefix, "The prefix to look up"),
        ROUTER,
        optional("table", ParameterKind::Text, "Name of a table"),
        optional("view", OneOf(VIEWS), "The RIB; all of them unless given"),
        LIMIT,
    ],
    body: &[],
    shape: Shape::List(ROUTE, &[]),
    has_lines: false,
    answer: matches,
}];

fn matches(service: &Service, call: &Call<'_>) -> Outcome {
    let target = match (call.value("address"), call.value("prefix")) {
        (Some(text), None) | (None, Some(text)) => target(text),
        (None, None) => return Err(Problem::bad_request("address or prefix is required")),
        (Some(_), Some(_)) => return Err(Problem::bad_request("address and prefix exclude each other")),
    };
    let target = target.ok_or_else(|| Problem::bad_request("this is no prefix"))?;
    let routers = named_routers(service, call)?;
    let scope = LookupScope { view: call.value("view"), routers: routers.as_deref(), table_name: call.value("table") };
    let slice = Slice { size: call.limit() + 1, page: 0 };
    let found = service
        .pool
        .read_prepared(|client, statements| longest_match_in(client, statements, &target, &scope, slice))?;
    let rows: Vec<ApiRow> = found.rows.into_iter().map(row).collect();
    list::page(call, &rows)
}

/// Returns a row with the same fields for each kind of RIB.
fn row(found: LookupRow) -> ApiRow {
    let LookupRow { view, json, .. } = found;
    // A row of the Loc-RIB is the table's, which has no such column.
    let json = match json.strip_prefix('{') {
        Some(rest) if view == "loc-rib" => format!("{{\"view\":\"loc-rib\",{rest}"),
        Some(_) | None => json,
    };
    ApiRow { json, key: None }
}

fn target(text: &str) -> Option<model::Prefix> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    match network.addr() {
        IpAddr::V4(address) => model::Prefix::new(Afi::Ipv4, &address.octets(), network.prefix_len()).ok(),
        IpAddr::V6(address) => model::Prefix::new(Afi::Ipv6, &address.octets(), network.prefix_len()).ok(),
    }
}
