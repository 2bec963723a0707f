//! birdwatcher's API under `/birdwatcher/{router}`, which Alice-LG and other looking glasses read.
//!
//! The Adj-RIBs of each peer are answered in the shapes of birdwatcher's `single_table`: what a router accepts of a peer
//! is its Adj-RIB-In after policy, what it filters are networks of which no path is in it. Alice-LG looks at neither the
//! status code nor the media type, so an error is `{"error": ..}` where it reads one object, and text where it reads a
//! stream: an object without routes would be a router without routes.

mod envelope;
mod peers;
mod reasons;
mod router;
mod routes;
mod selection;

use std::net::IpAddr;

use ipnet::IpNet;
use percent_encoding::percent_decode_str;

use self::router::Router;
use self::selection::Selection;
use super::access::Caller;
use super::problem::Problem;
use super::reply::{Outcome, Reply};
use super::request::{Method, Request};
use super::response::{JSON, Response};
use super::service::Service;
use crate::store::birdwatcher::RouteSet;

/// The path that all others are below.
pub(super) const ROOT: &str = "/birdwatcher";

/// Returns whether a path is one of this API.
pub(super) fn is_path(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the response for a request that is refused, as the readers of the path take it.
pub(super) fn refusal(path: &str, problem: &Problem) -> Response {
    let response = if path.split('/').nth(3) == Some("routes") {
        Response::text(problem.status, &format!("{}\n", problem.detail))
    } else {
        let body = serde_json::json!({ "error": problem.detail });
        Response::of(problem.status, JSON, format!("{body}\n").into_bytes())
    };
    problem.headers.iter().fold(response, |response, (name, value)| response.with(name, value))
}

/// Answers a request for a path of this API.
pub(super) fn answer(service: &Service, request: &Request, caller: &Caller) -> Outcome {
    check_access(&service.birdwatcher.allow, caller)?;
    if !matches!(request.method, Method::Get | Method::Head) {
        return Err(Problem::method_not_allowed("GET, HEAD"));
    }
    let segments: Option<Vec<String>> = request.path.split('/').skip(2).map(decode).collect();
    let segments = segments.ok_or_else(|| Problem::bad_request("the path is not UTF-8"))?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let Some((name, call)) = segments.split_first().filter(|(name, _)| !name.is_empty()) else {
        return Err(Problem::not_found("name a router: /birdwatcher/ROUTER/status"));
    };
    let router = Router::find(service, name)?;
    let rejected = RouteSet::Rejected { with_rpki: service.birdwatcher.reasons.is_some() };
    let of_peer = |id: &str| peers::known(service, &router, Selection::Peer(id.to_owned()));
    let of_table = |name: &str| peers::known(service, &router, Selection::of_table(name));
    let routes = |set, selection| Ok(routes::stream(service, &router, set, selection));
    match *call {
        ["version"] => Ok(Reply::Whole(Response::text(200, &format!("{}\n", envelope::VERSION)))),
        ["status"] => peers::status(service, &router),
        ["protocols"] | ["protocols", "bgp"] => peers::protocols(service, &router),
        ["protocols", "short"] => peers::short(service, &router),
        ["symbols"] => peers::symbols(service, &router, None),
        ["symbols", "tables"] => peers::symbols(service, &router, Some("routing table")),
        ["symbols", "protocols"] => peers::symbols(service, &router, Some("protocol")),
        ["routes", "protocol", id] => routes(RouteSet::Accepted, of_peer(id)?),
        ["routes", "filtered", id] => routes(rejected, of_peer(id)?),
        ["routes", "noexport", id] => routes(RouteSet::NotExported, of_peer(id)?),
        ["routes", "table", name] => routes(RouteSet::Accepted, of_table(name)?),
        ["routes", "table", name, "filtered"] => routes(rejected, of_table(name)?),
        ["routes", "prefix"] => routes::to_prefix(service, &router, &prefix(request)?),
        ["routes", "peer"] => routes(RouteSet::Accepted, peer(request)?),
        ["routes", "count", "protocol", id] => peers::count(service, &router, &of_peer(id)?),
        ["routes", "count", "table", name] => peers::count(service, &router, &of_table(name)?),
        ["routes", "count", "primary", _] => Err(Problem::not_found("which routes are primary is not known")),
        ["routes", "pipe", ..] | ["routes", "table", _, "peer", _] | ["routes", "export", _] => {
            Err(Problem::not_found(
                "this call is of birdwatcher's multi_table, which is not served: set type = single_table",
            ))
        }
        _ => Err(Problem::not_found("birdwatcher has no such call, or it is not served")),
    }
}

/// Checks that the caller has a token, has an address that needs none, or is on this machine.
fn check_access(allow: &[IpNet], caller: &Caller) -> Result<(), Problem> {
    let is_allowed = allow.iter().any(|net| net.contains(&caller.client));
    if caller.token.is_some() || !caller.is_mistaken && (caller.is_local || is_allowed) {
        return Ok(());
    }
    let why = match (caller.is_mistaken, caller.has_tokens) {
        (true, _) => "this token is not valid",
        (false, true) => {
            "this needs a token as the password of the URL, or an address in RIB_INGESTER_BIRDWATCHER_ALLOW"
        }
        (false, false) => {
            "nobody beyond this machine may read this: set RIB_INGESTER_API_TOKEN_FILE or RIB_INGESTER_BIRDWATCHER_ALLOW"
        }
    };
    Err(Problem::new(401, why).with("WWW-Authenticate", "Basic realm=\"rib-ingester\""))
}

fn decode(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(|text| text.into_owned())
}

fn prefix(request: &Request) -> Result<String, Problem> {
    let text = only(request, "prefix")?;
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net = net.map_err(|_| Problem::bad_request(format!("{text:?} is not a prefix")))?;
    Ok(net.trunc().to_string())
}

fn peer(request: &Request) -> Result<Selection, Problem> {
    let text = only(request, "peer")?;
    let address = text.parse::<IpAddr>().map_err(|_| Problem::bad_request(format!("{text:?} is not an address")))?;
    Ok(Selection::Address(address.to_string()))
}

/// Returns the only value of a parameter.
fn only<'a>(request: &'a Request, name: &str) -> Result<&'a str, Problem> {
    let mut values = request.query.iter().filter(|(of, _)| of == name).map(|(_, value)| value.trim());
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(Problem::bad_request(format!("need a {name} as single query parameter"))),
    }
}
