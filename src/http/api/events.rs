//! `/events`: what happens to incidents and conditions, as it happens (server-sent events).

use super::call::Call;
use super::endpoint::{Endpoint, Shape};
use super::incidents::{WATCH, team};
use crate::http::event_feed::Interest;
use crate::http::problem::Problem;
use crate::http::reply::{Outcome, Reply};
use crate::http::request::Method;
use crate::http::response::Response;
use crate::http::service::Service;

pub(super) const ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::Get,
    path: "/events",
    summary: "Changes of incidents, and the conditions that hold, as they happen; Last-Event-ID resumes for an hour",
    parameters: &[WATCH],
    body: &[],
    shape: Shape::Events,
    has_lines: false,
    answer: events,
}];

fn events(service: &Service, call: &Call<'_>) -> Outcome {
    let last = call.request.header("last-event-id").map(str::trim).filter(|text| !text.is_empty());
    let last = last.map(|text| text.parse::<i64>().ok().filter(|id| *id >= 0));
    if last == Some(None) {
        return Err(Problem::bad_request("Last-Event-ID is not one that this path has given"));
    }
    let interest =
        Interest { team: team(call).map(str::to_owned), watches: call.values("watch"), last: last.flatten() };
    let pieces = service.feed.subscribe(interest, &service.waker)?;
    Ok(Reply::Open(Response::of(200, "text/event-stream", Vec::new()), pieces))
}
