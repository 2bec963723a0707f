//! The sessions of the peering registry, and what their routers say.

use maud::{Markup, html};

use super::context::Database;
use super::layout::{Page, PageOf, href, pager, state, unread, wanted};
use super::words;
use crate::http::request::Request;
use crate::model::Timestamp;
use crate::store::registry::list::{self, ListedSession, Wanted};

pub(super) fn page(database: &Database, request: &Request) -> Page {
    let (slice, find, router) = (wanted(request, "page"), request.value("find"), request.value("router"));
    let is_bad = request.value("bad") == "yes";
    let found = database.ask(|client| list::sessions(client, Wanted { is_bad, router, find }, slice));
    let bad = if is_bad { "yes" } else { "" };
    let body = html! {
        h1 { "Sessions" }
        section #sessions {
            h2 { @if is_bad { "To look at" } @else { "All" } @if let Ok((_, total)) = &found { span.faint { (words::grouped(words::count(*total))) } } }
            div.filters {
                form action="/sessions" method="get" {
                    input type="search" name="find" value=(find) placeholder="router, AS, person, address" aria-label="Find a session";
                    @if is_bad { input type="hidden" name="bad" value="yes"; }
                    button { "Find" }
                }
                @if is_bad { a href=(href("/sessions", &[("find", find)], "")) { "All sessions" } }
                @else { a href=(href("/sessions", &[("find", find), ("bad", "yes")], "")) { "Those to look at" } }
            }
            @match &found {
                Ok((rows, total)) => {
                    @if !rows.is_empty() { (table(rows, Timestamp::now())) }
                    @else if find.is_empty() && !is_bad { p { "No session yet: " code { "rib-ingester import registry" } " or SQL makes them." } }
                    @else { p.faint { "No session matches." } }
                    (pager("Pages of sessions", PageOf::of(slice, usize::try_from(*total).unwrap_or(0)), &|page| {
                        href("/sessions", &[("find", find), ("bad", bad), ("router", router), ("page", &page.to_string())], "#sessions")
                    }))
                },
                Err(why) => (unread("They", why)),
            }
        }
    };
    Page::new("Sessions", body)
}

/// The verdict in its color.
fn verdict(row: &ListedSession) -> Markup {
    let text = row.verdict.as_deref().map(|verdict| verdict.replace('_', " "));
    match row.verdict.as_deref() {
        None => state("none", "not up"),
        Some("up") => state("ok", "up"),
        Some("down" | "wrong_asn") => state("bad", &text.unwrap_or_default()),
        Some("gone" | "delete_pending") => state("none", &text.unwrap_or_default()),
        Some(_) => state("warn", &text.unwrap_or_default()),
    }
}

fn table(rows: &[ListedSession], now: Timestamp) -> Markup {
    html! {
        table.sessions {
            thead { tr { th scope="col" { "State" } th scope="col" { "Session" } th scope="col" { "Peer" } th scope="col" { "Registry" } th scope="col" { "Since" } th.number scope="col" { "Peers up" } th.number.wide scope="col" { "Routes" } th scope="col" { "Why" } } }
            tbody { @for row in rows {
                tr {
                    td { (verdict(row)) }
                    td.name { "AS" (row.asn) " at " (row.router.as_deref().unwrap_or("a router without a name"))
                        @if let Some(person) = &row.person { " " span.faint { (person) } } }
                    td.mono data-name="peer" { (row.address.as_deref().unwrap_or("")) }
                    td data-name="registry" { (row.status.replace('_', " ").to_lowercase()) }
                    td data-name="since" { @if row.verdict.is_some() { (words::ago(now, row.since)) } }
                    td.number data-name="peers up" { @if let (Some(up), Some(expected)) = (row.up, row.expected) { (up) " of " (expected) } }
                    td.number.wide { @if let Some(routes) = row.routes { (words::grouped(words::count(routes))) } }
                    td data-name="why" { (row.reason.as_deref().or(row.error.as_deref()).unwrap_or(""))
                        @if let Some(id) = row.incident { " " a href=(href("/incidents", &[("id", &id.to_string())], "")) { "incident " (id) } } }
                }
            } }
        }
    }
}
