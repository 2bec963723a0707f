//! The JSON API under `/api/v1`: what is stored, for programs.
//!
//! A path, its parameters and the fields of its answer are one [`Endpoint`](endpoint::Endpoint) in a table; requests are
//! checked against it, and `openapi.json` is printed from it. A handler reads rows that the database has already made
//! JSON of, with the columns' names. Errors are problem details (RFC 9457).

mod call;
mod changes;
mod endpoint;
mod events;
pub(super) mod form;
mod history;
mod incidents;
mod list;
mod lookup;
mod named;
mod nlri;
mod openapi;
mod parameter;
mod path_pattern;
mod peers;
mod routers;
mod routes;
mod silences;
mod tables;

use std::sync::OnceLock;

use percent_encoding::percent_decode_str;
use xxhash_rust::xxh3::xxh3_64;

use self::call::Call;
use self::endpoint::{Endpoint, Shape};
use super::access::Caller;
use super::problem::Problem;
use super::reply::{Outcome, Reply};
use super::request::{Method, Request};
use super::response::Response;
use super::service::Service;

/// The path that all others are below.
const ROOT: &str = "/api/v1";

/// All endpoints, by group.
const GROUPS: &[&[Endpoint]] = &[
    OWN,
    routers::ENDPOINTS,
    incidents::ENDPOINTS,
    changes::ENDPOINTS,
    silences::ENDPOINTS,
    events::ENDPOINTS,
    peers::ENDPOINTS,
    lookup::ENDPOINTS,
    routes::ENDPOINTS,
    history::ENDPOINTS,
    nlri::ENDPOINTS,
    tables::ENDPOINTS,
];

const OWN: &[Endpoint] = &[Endpoint {
    method: Method::Get,
    path: "/openapi.json",
    summary: "This description",
    parameters: &[],
    body: &[],
    shape: Shape::Document,
    has_lines: false,
    answer: describe,
}];

/// The seconds for which a browser may remember what a page of another site may do.
const PREFLIGHT_SECS: &str = "600";

/// The names and values of the parameters in a path.
type Captured<'a> = Vec<(&'static str, &'a str)>;

/// Returns the path of the endpoints that a path of the API leads to, with its parameters as names.
pub(super) fn label(path: &str) -> &'static str {
    let segments = segments(path).unwrap_or_default();
    endpoints().find(|endpoint| endpoint.captures(&segments).is_some()).map_or("(none)", |endpoint| endpoint.path)
}

/// Answers a request for a path of the API.
pub(super) fn answer(service: &Service, request: &Request, caller: &Caller) -> Outcome {
    let segments = segments(&request.path)?;
    let at_path: Vec<(&Endpoint, Captured<'_>)> =
        endpoints().filter_map(|endpoint| Some((endpoint, endpoint.captures(&segments)?))).collect();
    let methods = allowed(at_path.iter().map(|(endpoint, _)| *endpoint));
    if request.method == Method::Options && !at_path.is_empty() {
        return preflight(service, request, &methods);
    }
    // Nobody learns what there is who may not read it.
    caller.may_read()?;
    if at_path.is_empty() {
        return Err(Problem::not_found(format!(
            "there is no such path: {ROOT}/openapi.json lists those that there are"
        )));
    }
    let method = if request.method == Method::Head { Method::Get } else { request.method };
    let Some((endpoint, captured)) = at_path.into_iter().find(|(endpoint, _)| endpoint.method == method) else {
        return Err(Problem::method_not_allowed(&methods));
    };
    if method != Method::Get {
        caller.may_write()?;
    }
    let call = Call::new(endpoint.path, captured, endpoint.parameters, request, caller)?;
    (endpoint.answer)(service, &call)
}

/// Answers with the description of the API, which stays the same until the next version.
fn describe(_: &Service, call: &Call<'_>) -> Outcome {
    static TEXT: OnceLock<(String, String)> = OnceLock::new();
    let (text, tag) = TEXT.get_or_init(|| {
        let text = format!("{:#}\n", openapi::document(endpoints(), ROOT));
        let tag = format!("\"{:016x}\"", xxh3_64(text.as_bytes()));
        (text, tag)
    });
    let is_known = call.request.header("if-none-match").is_some_and(|tags| {
        tags.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    });
    let response = if is_known { Response::text(304, "") } else { Response::json(text.clone()) };
    Ok(Reply::Whole(response.tagged(tag)))
}

/// Returns the origin of the page that asks, if pages of that site may read the API.
pub(super) fn allowed_origin<'a>(origins: &[String], request: &'a Request) -> Option<&'a str> {
    let origin = request.header("origin")?;
    origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)).then_some(origin)
}

fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    GROUPS.iter().copied().flatten()
}

/// Returns the segments of the path after [`ROOT`], decoded.
fn segments(path: &str) -> Result<Vec<String>, Problem> {
    let below = path.strip_prefix(ROOT).unwrap_or_default();
    let decoded = below.split('/').skip(1).map(|segment| percent_decode_str(segment).decode_utf8());
    let segments: Result<Vec<String>, _> = decoded.map(|segment| segment.map(|text| text.into_owned())).collect();
    match segments {
        Ok(segments) if segments.iter().any(|segment| segment.contains('\0')) => {
            Err(Problem::bad_request("the path contains a NUL character"))
        }
        Ok(segments) => Ok(segments),
        Err(_) => Err(Problem::bad_request("the path is not UTF-8")),
    }
}

/// Returns the methods of a path, as the header `Allow` has them.
fn allowed<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> String {
    let names = endpoints.map(|endpoint| match endpoint.method {
        Method::Get => "GET, HEAD",
        other => other.name(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Answers a browser that asks what a page of another site may do.
fn preflight(service: &Service, request: &Request, methods: &str) -> Outcome {
    if allowed_origin(&service.origins, request).is_none() {
        return Err(Problem::method_not_allowed(methods));
    }
    let response = Response::text(204, "")
        .with("Access-Control-Allow-Methods", methods)
        .with("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match, Last-Event-ID")
        .with("Access-Control-Max-Age", PREFLIGHT_SECS);
    Ok(Reply::Whole(response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        let found = |path: &str| {
            let segments = segments(path).unwrap();
            let mut found = endpoints().filter_map(|one| Some((one.path, one.captures(&segments)?)));
            found.next().map(|(path, captured)| format!("{path} {captured:?}"))
        };
        assert_eq!(found("/api/v1/routers").as_deref(), Some("/routers []"));
        assert_eq!(found("/api/v1/routers/a%2Fb%20c").as_deref(), Some("/routers/{router} [(\"router\", \"a/b c\")]"));
        for path in ["/api/v1", "/api/v1/", "/api/v1/routers/", "/api/v1/routers/a/b", "/api/v1//routers"] {
            assert_eq!(found(path), None, "{path}");
        }
        assert!(segments("/api/v1/%ff").is_err() && segments("/api/v1/%00").is_err());
    }

    #[test]
    fn no_two_endpoints_are_at_one_path() {
        let mut all: Vec<String> = endpoints().map(|one| format!("{} {}", one.method.name(), one.path)).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
