//! Tables as they are: `/sync`, `/summary`, `/events/sessions` and `/flaps`.

use super::call::Call;
use super::endpoint::FieldKind::{Boolean, Integer, Text, Time};
use super::endpoint::{Endpoint, Field, Shape, field, nullable};
use super::list;
use super::named::named_routers;
use super::parameter::ParameterKind::{self, Number};
use super::parameter::{LIMIT, NEXT, ROUTER, optional};
use crate::http::reply::Outcome;
use crate::http::request::Method;
use crate::http::service::Service;
use crate::store::api::tables::{self, EventFilter};

/// The minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;

/// The minutes for which flaps are counted unless others are given.
const FLAP_MINUTES: i64 = 60;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/sync",
        summary: "How complete each table of each RIB is, by router",
        parameters: &[ROUTER, LIMIT, NEXT],
        body: &[],
        shape: Shape::List(SYNC, &[]),
        has_lines: true,
        answer: sync,
    },
    Endpoint {
        method: Method::Get,
        path: "/summary",
        summary: "Numbers of routes of each Loc-RIB table, as of the last maintenance run",
        parameters: &[ROUTER, LIMIT, NEXT],
        body: &[],
        shape: Shape::List(SUMMARY, &[]),
        has_lines: true,
        answer: summary,
    },
    Endpoint {
        method: Method::Get,
        path: "/events/sessions",
        summary: "Changes of sessions, peers and tables, the latest first",
        parameters: &[
            ROUTER,
            optional("kind", ParameterKind::Text, "The kind of the event"),
            optional("from", ParameterKind::Time, "The beginning"),
            optional("to", ParameterKind::Time, "The end"),
            LIMIT,
            NEXT,
        ],
        body: &[],
        shape: Shape::List(SESSION_EVENT, &[]),
        has_lines: true,
        answer: session_events,
    },
    Endpoint {
        method: Method::Get,
        path: "/flaps",
        summary: "Loc-RIB routes that flapped or changed lately, the worst first",
        parameters: &[
            ROUTER,
            optional("table", ParameterKind::Text, "Name of a table"),
            optional("minutes", Number(1, DAY_MINUTES), "For how many minutes back, 60 unless given"),
            LIMIT,
        ],
        body: &[],
        shape: Shape::List(FLAP, &[]),
        has_lines: true,
        answer: flaps,
    },
];

const SYNC: &[Field] = &[
    field("view", Text, "The RIB"),
    field("router_id", Text, "The router"),
    nullable("peer_address", Text, "The peer, of an Adj-RIB"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "4 or 6"),
    nullable("session_start_time", Time, "When the latest dump began"),
    field("eor_seen", Boolean, "True once this session has sent the End-of-RIB"),
    nullable("eor_time", Time, "When it came"),
    nullable("synced_at", Time, "When the dump counted as complete"),
    nullable("stale_since", Time, "Since when no session reports the table"),
    nullable("last_parsed_msg_time", Time, "When a message last reached the current state"),
    nullable("last_raw_msg_time", Time, "When a message last reached the history"),
    field("updated_at", Time, "Last change of this row"),
];

const SUMMARY: &[Field] = &[
    field("router_id", Text, "The router"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "4 or 6"),
    field("route_count", Integer, "Routes, each path counted"),
    field("unique_prefixes", Integer, "Distinct prefixes"),
    field("unique_nexthops", Integer, "Distinct next hops"),
    nullable("last_update", Time, "Latest change of its routes"),
];

const SESSION_EVENT: &[Field] = &[
    field("id", Integer, "Increases in the order of writing"),
    field("event_time", Time, "When it was written"),
    nullable("router_id", Text, "The router, if it is about an identified one"),
    nullable("table_name", Text, "The table, if it is about one"),
    nullable("peer_address", Text, "The peer, or the source of a refused connection"),
    nullable("afi", Integer, "4 or 6, if it is about one family"),
    field("kind", Text, "As `session_events.kind`"),
    nullable("reason", Text, "Why, in words"),
    nullable("routes", Integer, "How many routes went or came with it"),
];

const FLAP: &[Field] = &[
    field("router_id", Text, "The router"),
    field("table_name", Text, "The table"),
    field("afi", Integer, "4 or 6"),
    field("prefix", Text, "Destination"),
    field("path_id", Integer, "Add-Path identifier, 0 without Add-Path"),
    field("flaps", Integer, "Withdrawals with the route's return"),
    field("changes", Integer, "Announcements with other attributes"),
    field("announces", Integer, "Announcements"),
    field("withdraws", Integer, "Withdrawals"),
    field("first_event", Time, "The first of these events"),
    field("last_event", Time, "The last one"),
    field("last_action", Text, "A or D"),
];

fn sync(service: &Service, call: &Call<'_>) -> Outcome {
    list::answer(service, call, tables::sync(named_routers(service, call)?))
}

fn summary(service: &Service, call: &Call<'_>) -> Outcome {
    list::answer(service, call, tables::summary(named_routers(service, call)?))
}

fn session_events(service: &Service, call: &Call<'_>) -> Outcome {
    let text = |name| call.value(name).map(str::to_owned);
    let routers = named_routers(service, call)?;
    let filter = EventFilter { routers, kind: text("kind"), from: text("from"), to: text("to") };
    list::answer(service, call, tables::session_events(filter))
}

fn flaps(service: &Service, call: &Call<'_>) -> Outcome {
    let routers = named_routers(service, call)?;
    let minutes = call.value("minutes").and_then(|text| text.parse().ok()).unwrap_or(FLAP_MINUTES);
    list::answer(service, call, tables::flaps(routers, call.value("table").map(str::to_owned), minutes))
}
