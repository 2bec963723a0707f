//! RPKI on the pages: the age of the VRPs, and how many routes are invalid. Nothing where no set was ever taken.

use std::cmp::Reverse;

use maud::{Markup, Render, html};

use super::context::{Database, PageContext};
use super::layout::{state, unread};
use super::words;
use crate::model::Timestamp;
use crate::store::rpki::SetState;
use crate::store::rpki::validity::{self, InvalidPairs, RouterCounts};
use crate::store::{self, Client};

/// The number of routers on the first page.
const ROUTERS_MAX: usize = 10;

/// The stored state of RPKI; `None`: no set was ever taken.
type Known = Option<(SetState, Vec<RouterCounts>)>;

fn read(client: &mut Client) -> store::Result<Known> {
    let set = store::rpki::state(client)?;
    if set.version == 0 {
        return Ok(None);
    }
    Ok(Some((set, validity::router_counts(client)?)))
}

/// Shows the age of the VRPs, a set that is held, the number of invalid routes, and the routers that have most.
pub(super) fn on_first_page(context: &PageContext, database: &Database, now: Timestamp) -> Markup {
    let known = database.ask(|client| Ok((read(client)?, validity::invalid_pairs(client)?)));
    let (set, mut routers, invalid) = match known {
        Ok((Some((set, routers)), invalid)) => (set, routers, invalid),
        Ok((None, _)) => return html! {},
        Err(why) => return html! { section { h2 { "RPKI" } (unread("It", &why)) } },
    };
    routers.retain(|router| router.invalid > 0);
    routers.sort_by_key(|router| Reverse(router.invalid));
    html! {
        section #rpki {
            h2 { "RPKI" span.faint { (words::grouped(words::count(set.vrps))) " VRPs, made " (words::ago(now, set.generated)) } }
            @if !set.is_usable && set.is_in_use { p { (state("bad", "too old")) " The state of every route is unknown. " code { "rib-ingester rpki show" } " says why no other set came." } }
            @if !set.is_in_use { p { (state("none", "not in use")) " No collector has " code { "RIB_INGESTER_VRPS" } @if set.is_usable { ": these VRPs are used until they are too old." } @else { ". The state of every route is unknown." } } }
            @if let Some(held) = &set.held { p { (state("warn", "held")) " A newer set: " (held.reason) ". " code { "rib-ingester rpki accept" } " takes it." } }
            @if set.is_usable && set.scanned_at.is_some() {
                (invalid_line(invalid, words::ago(now, set.scanned_at)))
                @if !routers.is_empty() {
                    details {
                        summary { "Routers that have most of them" }
                        table.plain {
                            thead { tr { th scope="col" { "Router" } th.number scope="col" { "Invalid" } th.number scope="col" { "Valid" } th.number scope="col" { "Not-found" } } }
                            tbody { @for router in routers.iter().take(ROUTERS_MAX) { (row(context, router)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The number of invalid pairs, and which part of them a router uses: those are the alarm.
fn invalid_line(invalid: InvalidPairs, scanned: impl Render) -> Markup {
    let grouped = |count: i64| words::grouped(words::count(count));
    html! {
        p { b { (grouped(invalid.count)) } " invalid pairs of prefix and origin"
            @if let Some(accepted) = invalid.accepted.filter(|_| invalid.count > 0) {
                ": " (state(if accepted > 0 { "bad" } else { "none" }, &format!("{} accepted", grouped(accepted)))) ", "
                (state("none", &format!("{} filtered", grouped(invalid.count - accepted))))
            }
            ", as of the scan " (scanned)
            @if invalid.count > 0 { ". The view " code { "invalid_routes" } " lists them, and says which are accepted" } "." }
    }
}

fn row(context: &PageContext, router: &RouterCounts) -> Markup {
    html! {
        tr {
            td.name { (context.router(&router.router, None).with("", "")) }
            @for count in [router.invalid, router.valid, router.not_found] { td.number { (words::grouped(words::count(count))) } }
        }
    }
}

/// Shows how many routes of a router are in each state.
pub(super) fn of_router(database: &Database, id: &str, now: Timestamp) -> Markup {
    let (set, routers) = match database.ask(read) {
        Ok(Some(known)) => known,
        Ok(None) => return html! {},
        Err(why) => return unread("RPKI", &why),
    };
    let count = |count: i64| words::grouped(words::count(count));
    html! {
        @if !set.is_usable {
            @if set.is_in_use { p { "RPKI: " (state("warn", "unknown")) " the VRPs are too old" } }
        } @else if let Some(own) = routers.iter().find(|router| router.router == id) {
            p { "RPKI: " (state("ok", &format!("{} valid", count(own.valid)))) ", "
                (state(if own.invalid > 0 { "bad" } else { "none" }, &format!("{} invalid", count(own.invalid)))) ", "
                (state("none", &format!("{} not-found", count(own.not_found)))) " "
                span.faint { "pairs of prefix and origin, as of the scan " (words::ago(now, Some(own.scanned_at))) } }
        }
    }
}
