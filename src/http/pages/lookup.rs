//! An address or a prefix: its longest match on every router, one page of its paths, and the history of the match.

use std::collections::BTreeSet;

use ipnet::IpNet;
use maud::{Markup, html};

use super::context::{Database, PageContext};
use super::layout::{Page, PageOf, counted, href, pager, state, unread, wanted};
use super::{history, words};
use crate::http::request::Request;
use crate::model::{Afi, Prefix, Timestamp};
use crate::store::lookup::{LookupRow, Matches, longest_match};
use crate::store::names::Names;
use crate::store::pages;
use crate::store::rpki::OriginState;

/// The maximum number of prefixes whose history is offered.
const PREFIXES_MAX: usize = 12;

/// The maximum number of communities shown for one path.
const COMMUNITIES_MAX: usize = 24;

/// The maximum number of VRPs shown for one path.
const VRPS_MAX: usize = 4;

/// The choices for the length of the history.
const HOURS: [(i32, &str); 4] = [(1, "1 hour"), (24, "1 day"), (168, "7 days"), (720, "30 days")];
const HOURS_FIRST: i32 = 24;

/// Returns the network of an address or a prefix, without host bits.
pub(super) fn fitting(net: IpNet) -> Prefix {
    match net.trunc() {
        IpNet::V4(net) => Prefix::fitting(Afi::Ipv4, &net.addr().octets(), net.prefix_len()),
        IpNet::V6(net) => Prefix::fitting(Afi::Ipv6, &net.addr().octets(), net.prefix_len()),
    }
}

pub(super) fn page(context: &PageContext, database: &Database, request: &Request, target: Prefix) -> Page {
    let text = request.value("q");
    let hours = request.value("hours").parse().ok().filter(|hours| HOURS.iter().any(|(of, _)| of == hours));
    let hours = hours.unwrap_or(HOURS_FIRST);
    let slice = wanted(request, "page");
    let found = database.ask(|client| longest_match(client, &target, None, slice));
    let now = Timestamp::now();
    let body = match &found {
        Err(why) => html! { section { h1 { span.mono { (target) } } (unread("The routes", why)) } },
        Ok(found) => {
            let prefixes = prefixes(found, &target);
            let chosen = request.value("prefix").parse::<IpNet>().map_or(prefixes[0], fitting);
            let events = database.ask(|client| pages::history(client, &chosen, hours, history::EVENTS_MAX));
            let shown = PageOf::of(slice, usize::try_from(found.paths).unwrap_or(0));
            let to_page = |page: usize| {
                let (page, hours) = (page.to_string(), hours.to_string());
                href(
                    "/lookup",
                    &[("q", text), ("prefix", request.value("prefix")), ("hours", &hours), ("page", &page)],
                    "",
                )
            };
            html! {
                section {
                    h1 { span.mono { (target) } }
                    (paths(context, found, now))
                    (pager("Pages of paths", shown, &to_page))
                }
                section #history {
                    h2 { "History of " span.mono { (chosen) } }
                    (choices(text, &prefixes, &chosen, hours))
                    @match &events {
                        Ok(events) => (history::show(context, events, hours, now)),
                        Err(why) => (unread("It", why)),
                    }
                }
            }
        }
    };
    Page::new(text, body).searched(text)
}

/// Returns the matching prefixes, longest first; the target itself if there is no match.
fn prefixes(found: &Matches, target: &Prefix) -> Vec<Prefix> {
    let found: BTreeSet<Prefix> =
        found.prefixes.iter().filter_map(|prefix| prefix.parse::<IpNet>().ok()).map(fitting).collect();
    let mut found: Vec<Prefix> = found.into_iter().collect();
    found.sort_by_key(|prefix| std::cmp::Reverse(prefix.length()));
    if found.is_empty() { vec![*target] } else { found }
}

fn paths(context: &PageContext, found: &Matches, now: Timestamp) -> Markup {
    if found.rows.is_empty() {
        return html! { p { "No router has a route that covers it." } };
    }
    let has_vrps = found.rows.iter().any(|row| row.rpki.is_some());
    let total = |count: i64, noun: &str| counted(usize::try_from(count).unwrap_or(0), noun);
    html! {
        p.faint { "Longest match on " (total(found.routers, "router")) ", " (total(found.paths, "path")) " · " a href="#history" { "history" } }
        table.paths {
            thead { tr {
                th scope="col" { "Router" } th scope="col" { "Prefix" } th scope="col" { "Next hop" } th scope="col" { "AS path" }
                th.number scope="col" { "Pref" } th.number scope="col" { "MED" } th.wide scope="col" { "Communities" }
                @if has_vrps { th scope="col" { "RPKI" } }
                th.number scope="col" { "Changed" }
            } }
            tbody { @for row in &found.rows { (path(context, row, found, has_vrps, now)) } }
        }
        (as_names(&found.names))
    }
}

/// Lists the ASes of the paths that have names.
fn as_names(names: &Names) -> Markup {
    html! {
        @if !names.asns.is_empty() {
            h2 { "ASes" }
            ul.found { @for named in names.asns.values() {
                li { a href=(href("/lookup", &[("q", &format!("AS{}", named.asn))], "")) { "AS" (named.asn) } " " (named) }
            } }
        }
    }
}

/// Shows communities, those that have a meaning with it.
fn communities(row: &LookupRow, names: &Names) -> Markup {
    html! {
        @for community in row.communities.iter().take(COMMUNITIES_MAX) {
            span { (community) } " "
            @if let Some(meaning) = names.communities.get(community) { span.faint { (meaning) } " " }
        }
        @if row.communities.len() > COMMUNITIES_MAX { span.faint { "+" (row.communities.len() - COMMUNITIES_MAX) } }
    }
}

fn path(context: &PageContext, row: &LookupRow, found: &Matches, has_vrps: bool, now: Timestamp) -> Markup {
    let number = |value: Option<i64>| value.map_or(words::NOTHING.to_owned(), |value| value.to_string());
    html! {
        tr {
            td.name { (context.router(&row.router_id, row.hostname.as_deref()).with(&row.table_name, &row.adj_rib())) }
            td.mono { (row.prefix) @if row.path_id > 0 { span.faint { " path " (row.path_id) } } }
            td.mono { (row.nexthop.as_deref().unwrap_or(words::NOTHING)) }
            td.mono.aspath { @match row.as_path.as_deref() { Some("") => span.faint { "own" }, Some(path) => (path), None => (words::NOTHING) }
                @if let Some(origin) = &row.origin { " " span.faint { (origin) } } }
            td.number data-name="pref" { (number(row.localpref)) }
            td.number data-name="MED" { (number(row.med)) }
            td.wide.communities { (communities(row, &found.names)) }
            @if has_vrps { td data-name="RPKI" { @if let Some(rpki) = &row.rpki { (validity(rpki)) } } }
            td.number { (words::ago(now, Some(row.updated_at))) }
        }
    }
}

/// Shows the RPKI state of a route, and why it is invalid.
fn validity(rpki: &OriginState) -> Markup {
    let class = match rpki.state.as_str() {
        "valid" => "ok",
        "invalid" => "bad",
        "unknown" => "warn",
        _ => "none",
    };
    html! {
        (state(class, &rpki.state))
        @for vrp in rpki.vrps.iter().take(VRPS_MAX) {
            @let objection = vrp.objection().map_or(String::new(), |why| format!(": {why}"));
            " " span.faint { (vrp) (objection) }
        }
        @if rpki.vrps.len() > VRPS_MAX { " " span.faint { "+" (rpki.vrps.len() - VRPS_MAX) } }
        @if rpki.state == "unknown" && rpki.vrps.is_empty() { " " span.faint { "the set of VRPs is too old" } }
    }
}

fn choices(text: &str, prefixes: &[Prefix], chosen: &Prefix, hours: i32) -> Markup {
    let link = |prefix: &Prefix, hours: i32| {
        href("/lookup", &[("q", text), ("prefix", &prefix.to_string()), ("hours", &hours.to_string())], "#history")
    };
    html! {
        div.filters {
            @if prefixes.len() > 1 || prefixes[0] != *chosen {
                nav aria-label="Prefix" { @for prefix in prefixes.iter().take(PREFIXES_MAX) {
                    a.mono href=(link(prefix, hours)) aria-current=[(prefix == chosen).then_some("true")] { (prefix) }
                } }
            }
            nav aria-label="How far back" { @for (of, word) in HOURS {
                a href=(link(chosen, of)) aria-current=[(of == hours).then_some("true")] { (word) }
            } }
        }
    }
}
