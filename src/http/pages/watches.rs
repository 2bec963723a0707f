//! Watches: all of them, and what one has found.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::context::Database;
use super::incidents;
use super::layout::{PER_PAGE, Page, PageOf, href, is_web, pager, state, unread, wanted, watch_link};
use super::words;
use crate::http::request::Request;
use crate::model::Timestamp;
use crate::model::watch::WatchId;
use crate::store::watch::coverage::{self, Coverage};
use crate::store::watch::incident_list;
use crate::store::watch::watches::{self, COLUMNS, HeldCondition, ListedWatch};

pub(super) fn page(database: &Database, request: &Request) -> Page {
    match request.value("id") {
        "" => list(database, request),
        id => match id.parse() {
            Ok(id) => one(database, WatchId(id)),
            Err(_) => none(),
        },
    }
}

fn none() -> Page {
    let body = html! {
        section { h1 { "Watch" } p { "There is no such watch." } p { a href="/watches" { "All watches" } } }
    };
    Page { status: 404, ..Page::new("Watch", body) }
}

fn list(database: &Database, request: &Request) -> Page {
    let (slice, find) = (wanted(request, "page"), request.value("find"));
    let found = database.ask(|client| watches::page(client, find, slice));
    let coverage = database.ask(coverage::coverage);
    let warnings = coverage.as_ref().map(Coverage::warnings).unwrap_or_default();
    let body = html! {
        h1 { "Watches" }
        @if !warnings.is_empty() { ul.notice { @for warning in &warnings { li { (warning) } } } }
        section #watches {
            h2 { "All" @if let Ok((_, total)) = &found { span.faint { (words::grouped(words::count(*total))) } } }
            div.filters {
                form action="/watches" method="get" {
                    input type="search" name="find" value=(find) placeholder="name, prefix, AS, source" aria-label="Find a watch";
                    button { "Find" }
                }
            }
            @match &found {
                Ok((rows, total)) => {
                    @if !rows.is_empty() { (table(rows)) }
                    @else if find.is_empty() { p { "No watch yet: " code { "rib-ingester watch add --help" } " says how to add one." } }
                    @else { p.faint { "No watch matches." } }
                    (pager("Pages of watches", PageOf::of(slice, usize::try_from(*total).unwrap_or(0)), &|page| {
                        href("/watches", &[("find", find), ("page", &page.to_string())], "#watches")
                    }))
                },
                Err(why) => (unread("They", why)),
            }
        }
    };
    Page::new("Watches", body)
}

/// The state of a watch in its color.
fn standing(row: &ListedWatch) -> Markup {
    if row.fault().is_some() {
        return state("bad", "wrong path_match");
    }
    match (row.enabled, row.incidents, row.holding) {
        (false, ..) => state("none", "off"),
        (true, 0, 0) if row.conditions.as_ref().is_some_and(Vec::is_empty) => state("none", "expects"),
        (true, 0, 0) => state("ok", "quiet"),
        (true, 0, _) => state("warn", "pending"),
        (true, ..) => state("bad", "incident"),
    }
}

fn table(rows: &[ListedWatch]) -> Markup {
    html! {
        table.watches {
            thead { tr { th scope="col" { "State" } th scope="col" { "Watch" } th scope="col" { "Kind" } th scope="col" { "Watches" } th.wide scope="col" { "Conditions" } th.wide scope="col" { "Source" } } }
            tbody { @for row in rows {
                tr {
                    td { (standing(row)) }
                    td.name { a href=(watch_link(row.id)) { (row.name) }
                        span.faint { @if let Some(team) = &row.team { "team " a href=(href("/tenants", &[("id", team)], "")) { (team) } " " } (row.note.as_deref().unwrap_or_default()) } }
                    td data-name="kind" { (row.kind.replace('_', " ")) }
                    td.mono data-name="watches" { (row.target) }
                    td.wide { (conditions(row)) }
                    td.wide { (row.source) }
                }
            } }
        }
    }
}

/// The conditions that a watch judges.
fn conditions(row: &ListedWatch) -> Markup {
    let Some(listed) = &row.conditions else {
        return html! { span.faint { "those of its kind" } };
    };
    html! {
        @if listed.is_empty() { span.faint { "none: it says what is expected" } }
        @for (i, condition) in listed.iter().enumerate() { @if i > 0 { ", " } (condition.replace('_', " ")) }
    }
}

fn one(database: &Database, id: WatchId) -> Page {
    let row = match database.ask(|client| watches::numbered(client, id)) {
        Ok(Some(row)) => row,
        Ok(None) => return none(),
        Err(why) => {
            let body = html! { section { h1 { "Watch" } (unread("It", &why)) } };
            return Page { status: 503, ..Page::new("Watch", body) };
        }
    };
    let now = Timestamp::now();
    let held = database.ask(|client| watches::conditions(client, id, PER_PAGE as i64));
    let incidents = database.ask(|client| incident_list::of_watch(client, id));
    let body = html! {
        section {
            h1 { (row.name) }
            p { (standing(&row)) " " (row.kind.replace('_', " ")) " " span.mono { (row.target) } }
            @if let Some(note) = &row.note { p { (note) } }
            @if let Some(url) = row.runbook_url.as_deref().filter(|url| is_web(url)) {
                p { a href=(url) rel="noreferrer" { "What to do" } }
            }
            p { "Judges: " (conditions(&row)) }
            @if let Some(fault) = row.fault() { p { (state("bad", "wrong")) " " (fault) ": paths are not judged" } }
            (columns(&row))
        }
        section {
            h2 { "Incidents" }
            @match &incidents {
                Ok(rows) => (incidents::table(rows, now)),
                Err(why) => (unread("They", why)),
            }
        }
        section {
            h2 { "What is wrong now" @if row.holding > 0 { span.faint { (words::grouped(words::count(row.holding))) } } }
            @match &held {
                Ok(held) => (wrong(held, now)),
                Err(why) => (unread("It", why)),
            }
        }
    };
    Page::new(row.name.clone(), body)
}

/// The columns that are set and that nothing else on the page shows.
fn columns(row: &ListedWatch) -> Markup {
    const SHOWN: [&str; 5] = ["name", "kind", "note", "conditions", "runbook_url"];
    let values: Map<String, Value> = serde_json::from_str(&row.json).unwrap_or_default();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            items.iter().map(|item| item.to_string().trim_matches('"').to_owned()).collect::<Vec<_>>().join(" ")
        }
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    let set = COLUMNS.into_iter().chain(["source"]).filter(|column| !SHOWN.contains(column));
    let set = set.filter_map(|column| Some((column, text(values.get(column)?)))).filter(|(_, text)| !text.is_empty());
    html! { dl.facts { @for (column, text) in set { div { dt { (column.replace('_', " ")) } dd { (text) } } } } }
}

fn wrong(held: &[HeldCondition], now: Timestamp) -> Markup {
    html! {
        @if held.is_empty() { p.faint { "Nothing." } } @else {
            table.conditions {
                thead { tr { th scope="col" { "Condition" } th scope="col" { "Router" } th scope="col" { "Table" } th scope="col" { "Found" } th.number scope="col" { "Since" } } }
                tbody { @for row in held {
                    tr {
                        td { (row.condition.replace('_', " ")) }
                        td.name { (incidents::router(&row.router_id, row.hostname.as_deref())) }
                        td data-name="table" { (row.table_name.as_deref().unwrap_or(words::NOTHING)) }
                        td.aspath { span.mono { (row.subject) } " " span.faint { (found(&row.detail)) } }
                        td.number data-name="since" { (words::ago(now, Some(row.since))) }
                    }
                } }
            }
        }
    }
}

/// Formats the fields of a detail: `origin AS64511, path 64500 64511`.
fn found(detail: &str) -> String {
    let fields: Map<String, Value> = serde_json::from_str(detail).unwrap_or_default();
    let field = |(name, value): (&String, &Value)| {
        let name = name.replace('_', " ");
        match value {
            Value::Bool(true) => name,
            Value::String(text) => format!("{name} {text}"),
            Value::Null | Value::Bool(false) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                format!("{name} {value}")
            }
        }
    };
    fields.iter().filter(|(name, _)| *name != "cause_at").map(field).collect::<Vec<_>>().join(", ")
}
