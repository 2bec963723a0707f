//! The buttons of an incident's page: a form that the page posts to itself, answered as a change of the API.
//!
//! There is no session and no cookie: a browser asks its user for a token, as the password of HTTP's own login, and sends
//! it with each request from then on. Therefore a form of another site is refused: a browser says where a form is from.

use super::changes::{Wanted, make};
use crate::http::access::Caller;
use crate::http::pages;
use crate::http::problem::Problem;
use crate::http::reply::{Outcome, Reply};
use crate::http::request::{Method, Request};
use crate::http::response::Response;
use crate::http::service::Service;

/// The seconds of an hour.
const HOUR: i64 = 3_600;

/// Returns whether a request is such a form.
pub(in crate::http) fn is_form(request: &Request) -> bool {
    request.method == Method::Post && request.path == "/incidents"
}

/// Answers it with a page: that of the incident, or one that says why not.
pub(in crate::http) fn answer(service: &Service, request: &Request, caller: &Caller) -> Outcome {
    let response = match changed(service, request, caller) {
        Ok(id) => Response::redirect(&format!("/incidents?id={id}")),
        Err(problem) => {
            let (meters, collector) = (&service.meters, &service.collector_id);
            let page = pages::refusal(meters, collector, problem.status, "Not changed", &problem.detail);
            if problem.status == 401 { page.with("WWW-Authenticate", "Basic realm=\"rib-ingester\"") } else { page }
        }
    };
    Ok(Reply::Whole(response))
}

/// Makes the change. Returns the incident's number.
fn changed(service: &Service, request: &Request, caller: &Caller) -> Result<i64, Problem> {
    if !is_of_this_site(request) {
        return Err(Problem::new(403, "this form is not of this site, or the browser does not say where it is from"));
    }
    let token = caller.may_write()?;
    let fields: Vec<_> = form_urlencoded::parse(&request.body).collect();
    let value = |name: &str| fields.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value.trim());
    let id = value("id").parse().map_err(|_| Problem::bad_request("the form names no incident"))?;
    let wanted = match value("do") {
        "ack" => Wanted::Acknowledge,
        "snooze-hour" => Wanted::Snooze(None, Some(HOUR)),
        "snooze-day" => Wanted::Snooze(None, Some(24 * HOUR)),
        "close" => Wanted::Close,
        "accept" => Wanted::Accept,
        _ => return Err(Problem::bad_request("the form names no change")),
    };
    make(service, token, id, wanted, Some(value("note")))?;
    Ok(id)
}

/// Returns whether the form is one of this site's pages: by `Sec-Fetch-Site`, which browsers send over TLS and to
/// loopback, else by `Origin`, whose host must be the one that was asked.
fn is_of_this_site(request: &Request) -> bool {
    if let Some(site) = request.header("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = request.header("origin").and_then(|origin| origin.split_once("://"));
    match (origin, request.header("host")) {
        (Some((_, authority)), Some(host)) => authority.eq_ignore_ascii_case(host),
        (Some(_) | None, Some(_) | None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{Parsed, parse};

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        let check = |headers: &str, want: bool| {
            let text = format!("POST /incidents HTTP/1.1\r\nHost: rib.example:11020\r\n{headers}\r\n");
            let Ok(Parsed::Request(request)) = parse(text.as_bytes()) else { panic!("{text}") };
            assert!(is_form(&request));
            assert_eq!(is_of_this_site(&request), want, "{headers}");
        };
        check("Sec-Fetch-Site: same-origin\r\n", true);
        check("Sec-Fetch-Site: same-site\r\nOrigin: http://rib.example:11020\r\n", false);
        check("Sec-Fetch-Site: cross-site\r\n", false);
        check("Sec-Fetch-Site: none\r\n", false);
        check("Origin: https://RIB.example:11020\r\n", true);
        check("Origin: http://rib.example\r\n", false);
        check("Origin: http://evil.example/rib.example:11020\r\n", false);
        check("Origin: null\r\n", false);
        check("", false);
    }
}
