//! An address or a prefix: its longest match on every router with all paths, and the history of the match.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use maud::{Markup, html};

use super::layout::{search, unread};
use super::overview::{self as all, router_link};
use super::{Context, Database, Page, words};
use crate::http::request::Request;
use crate::metrics::RouterMeter;
use crate::model::{Afi, Prefix, RouterId, Timestamp};
use crate::store::overview::{self, HistoryRow, PathRow};

/// Paths on the page.
const PATHS_MAX: i64 = 1_000;

/// Of those: shown at once, so that the history behind them is not far.
const PATHS_OPEN: usize = 50;

/// Events on the page.
const EVENTS_MAX: i64 = 300;

/// Lanes of the timeline.
const LANES_MAX: usize = 24;

/// What one may ask for, and what is shown first.
const HOURS: [(i32, &str); 4] = [(1, "1 hour"), (24, "1 day"), (168, "7 days"), (720, "30 days")];
const HOURS_FIRST: i32 = 24;

pub(super) fn page(context: &Context, database: &mut Database, request: &Request) -> Page {
    let text = request.value("q");
    let Some(target) = parse(text) else { return names(context, database, text) };
    let hours = request.value("hours").parse().ok().filter(|hours| HOURS.iter().any(|(of, _)| of == hours));
    let hours = hours.unwrap_or(HOURS_FIRST);
    let found = database.ask(|client| overview::paths(client, &target, PATHS_MAX + 1));
    let now = Timestamp::now();
    let body = match &found {
        Err(why) => html! { (search(text)) (unread("The routes", why)) },
        Ok(rows) => {
            let names = Names::of(context);
            let mut rows: Vec<&PathRow> = rows.iter().collect();
            rows.sort_by_cached_key(|row| (!row.view.is_empty(), by_address(&row.router_id), row.table_name.clone()));
            let prefixes = prefixes(&rows, &target);
            let chosen = request.value("prefix").parse::<IpNet>().ok().map(|net| fitting(net.trunc()));
            let chosen = chosen.unwrap_or(prefixes[0]);
            let history = database.ask(|client| overview::history(client, &chosen, hours, EVENTS_MAX));
            html! {
                (search(text))
                (paths(&rows, &names, &target, now))
                section #history {
                    h2 { "History of " span.mono { (chosen) } }
                    (choices(text, &prefixes, &chosen, hours))
                    @match &history {
                        Ok(events) => (history_of(events, &names, hours, now)),
                        Err(why) => (unread("It", why)),
                    }
                }
            }
        }
    };
    Page { status: 200, title: text.to_owned(), body }
}

/// What somebody typed as an address or a prefix; host bits are no mistake here.
fn parse(text: &str) -> Option<Prefix> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(fitting(net.trunc()))
}

fn fitting(net: IpNet) -> Prefix {
    match net {
        IpNet::V4(net) => Prefix::fitting(Afi::Ipv4, &net.addr().octets(), net.prefix_len()),
        IpNet::V6(net) => Prefix::fitting(Afi::Ipv6, &net.addr().octets(), net.prefix_len()),
    }
}

/// No address: perhaps a router's name.
fn names(context: &Context, database: &mut Database, text: &str) -> Page {
    let (lines, wrong) = all::lines(context, database);
    let found: Vec<_> = lines.iter().filter(|line| !text.is_empty() && line.has(text)).take(100).collect();
    let body = html! {
        (search(text))
        section {
            h2 { "Routers like " q { (text) } }
            @if let Some(why) = wrong { (unread("What the database knows", &why)) }
            @if found.is_empty() { p { "No router is called so, and it is neither an address nor a prefix." } }
            ul.found { @for line in found {
                li { (line.standing.show()) " " a href=(router_link(line.id.as_str())) { (line.name.as_deref().unwrap_or(line.id.as_str())) }
                    " " span.faint.mono { (line.id.as_str()) } }
            } }
        }
    };
    Page { status: 200, title: text.to_owned(), body }
}

/// What routers call themselves.
struct Names(HashMap<String, String>);

impl Names {
    fn of(context: &Context) -> Names {
        let named = |(router, meter): (RouterId, Arc<RouterMeter>)| Some((router.to_string(), meter.hostname()?));
        Names(context.meters.routers().into_iter().filter_map(named).collect())
    }

    /// A router by its name, if it is known, with a way to its page.
    fn show(&self, id: &str, table: &str, view: &str) -> Markup {
        let name = self.0.get(id).map(String::as_str);
        html! {
            a href=(router_link(id)) { (name.unwrap_or(id)) }
            span.faint { @if name.is_some() { (id) " " } (table) @if !view.is_empty() { " " (view) } }
        }
    }
}

/// Addresses in the order of their numbers, then everything else by its letters.
fn by_address(id: &str) -> (bool, Option<IpAddr>, String) {
    let address = id.parse().ok();
    (address.is_none(), address, id.to_owned())
}

/// The matches, the longest first; the target itself if there is none.
fn prefixes(rows: &[&PathRow], target: &Prefix) -> Vec<Prefix> {
    let found: BTreeSet<Prefix> = rows.iter().filter_map(|row| row.prefix.parse::<IpNet>().ok()).map(fitting).collect();
    let mut found: Vec<Prefix> = found.into_iter().collect();
    found.sort_by_key(|prefix| std::cmp::Reverse(prefix.length()));
    if found.is_empty() { vec![*target] } else { found }
}

fn paths(rows: &[&PathRow], names: &Names, target: &Prefix, now: Timestamp) -> Markup {
    let routers: BTreeSet<&str> = rows.iter().map(|row| row.router_id.as_str()).collect();
    html! {
        section {
            h1 { span.mono { (target) } }
            @if rows.is_empty() {
                p { "No router has a route that covers it." }
            } @else {
                p.faint { "Longest match on " (counted(routers.len(), "router")) ", " (counted(rows.len(), "path")) " · " a href="#history" { "history" } }
                (paths_table(&rows[..rows.len().min(PATHS_OPEN)], names, now))
                @if rows.len() > PATHS_OPEN {
                    details {
                        summary { (rows.len() - PATHS_OPEN) " more" }
                        (paths_table(&rows[PATHS_OPEN..rows.len()], names, now))
                    }
                }
                @if rows.len() as i64 > PATHS_MAX { p.faint { "More are not shown." } }
            }
        }
    }
}

/// `1 path`, `2 paths`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn paths_table(rows: &[&PathRow], names: &Names, now: Timestamp) -> Markup {
    html! {
        table.paths {
            thead { tr {
                th { "Router" } th { "Prefix" } th { "Next hop" } th { "AS path" }
                th.number { "Pref" } th.number { "MED" } th.wide { "Communities" } th.number { "Changed" }
            } }
            tbody { @for row in rows { (path(row, names, now)) } }
        }
    }
}

fn path(row: &PathRow, names: &Names, now: Timestamp) -> Markup {
    let number = |value: Option<i64>| value.map_or(words::NOTHING.to_owned(), |value| value.to_string());
    html! {
        tr {
            td.name { (names.show(&row.router_id, &row.table_name, &row.view)) }
            td.mono { (row.prefix) @if row.path_id > 0 { span.faint { " path " (row.path_id) } } }
            td.mono { (row.nexthop.as_deref().unwrap_or(words::NOTHING)) }
            td.mono.aspath { @match row.as_path.as_deref() { Some("") => span.faint { "own" }, Some(path) => (path), None => (words::NOTHING) }
                @if let Some(origin) = &row.origin { " " span.faint { (origin) } } }
            td.number data-name="pref" { (number(row.localpref)) }
            td.number data-name="MED" { (number(row.med)) }
            td.wide.communities { @for community in row.communities.iter().take(24) { span { (community) } " " }
                @if row.communities.len() > 24 { span.faint { "+" (row.communities.len() - 24) } } }
            td.number { (words::ago(now, Some(row.updated_at))) }
        }
    }
}

fn choices(text: &str, prefixes: &[Prefix], chosen: &Prefix, hours: i32) -> Markup {
    let link = |prefix: &Prefix, hours: i32| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", text).append_pair("prefix", &prefix.to_string());
        query.append_pair("hours", &hours.to_string());
        format!("/lookup?{}#history", query.finish())
    };
    html! {
        div.filters {
            @if prefixes.len() > 1 || prefixes[0] != *chosen {
                nav aria-label="Prefix" { @for prefix in prefixes.iter().take(12) {
                    a.mono href=(link(prefix, hours)) aria-current=[(prefix == chosen).then_some("true")] { (prefix) }
                } }
            }
            nav aria-label="How far back" { @for (of, word) in HOURS {
                a href=(link(chosen, of)) aria-current=[(of == hours).then_some("true")] { (word) }
            } }
        }
    }
}

fn history_of(events: &[HistoryRow], names: &Names, hours: i32, now: Timestamp) -> Markup {
    if events.is_empty() {
        return html! { p.faint { "No change is on record in this time." } };
    }
    html! {
        (timeline(events, names, hours, now))
        table.plain.events {
            thead { tr { th { "When" } th { "Router" } th { "What" } th { "Next hop" } th { "AS path" } th.wide.number { "Pref" } th.wide.number { "MED" } } }
            tbody { @for event in events { (event_row(event, names)) } }
        }
        @if events.len() as i64 == EVENTS_MAX { p.faint { "Older ones are not shown: at most 50 per table and " (EVENTS_MAX) " in all." } }
    }
}

fn event_row(event: &HistoryRow, names: &Names) -> Markup {
    let number = |value: Option<i64>| value.map_or(String::new(), |value| value.to_string());
    html! {
        tr {
            td { (words::moment(event.time)) }
            td.name { (names.show(&event.router_id, &event.table_name, &event.view)) }
            td { @if event.is_announce { span.up { "announced" } } @else { span.down { "withdrawn" } }
                @if let Some(reason) = &event.reason { " " span.faint { (reason) } }
                @if let Some(path_id) = event.path_id { " " span.faint { "path " (path_id) } } }
            td.mono { (event.nexthop.as_deref().unwrap_or("")) }
            td.mono.aspath { (event.as_path.as_deref().unwrap_or("")) }
            td.wide.number { (number(event.localpref)) }
            td.wide.number { (number(event.med)) }
        }
    }
}

/// A lane per table: filled from an announcement to the withdrawal behind it, a mark for each event.
fn timeline(events: &[HistoryRow], names: &Names, hours: i32, now: Timestamp) -> Markup {
    const WIDTH: i64 = 960;
    const LANE: usize = 22;
    let span = i64::from(hours) * 3_600_000_000;
    let begin = now.unix_micros() - span;
    // The database's clock may be ahead of ours.
    let x = |time: Timestamp| ((time.unix_micros() - begin).clamp(0, span) / (span / WIDTH)).min(WIDTH);
    type Lane<'a> = ((bool, Option<IpAddr>, String), &'a str, &'a str, Option<i64>);
    let mut lanes: BTreeMap<Lane<'_>, Vec<&HistoryRow>> = BTreeMap::new();
    for event in events.iter().rev() {
        lanes
            .entry((by_address(&event.router_id), event.table_name.as_str(), event.view.as_str(), event.path_id))
            .or_default()
            .push(event);
    }
    let height = LANE * lanes.len().min(LANES_MAX);
    html! {
        div.timeline {
            ol.lanes { @for ((.., router), table, view, path_id) in lanes.keys().take(LANES_MAX) {
                li { (names.0.get(router).unwrap_or(router)) " " span.faint { (table) " " (view) @if let Some(id) = path_id { " path " (id) } } }
            } }
            svg viewBox={ "0 0 " (WIDTH) " " (height) } height=(height) preserveAspectRatio="none" role="img" aria-label="when the prefix was there" {
                @for (i, events) in lanes.values().take(LANES_MAX).enumerate() {
                    @let top = i * LANE;
                    path.axis d={ "M0 " (top + LANE / 2) "H" (WIDTH) } {}
                    @for (event, next) in events.iter().zip(events.iter().skip(1).map(Some).chain([None])) {
                        @if event.is_announce {
                            @let end = next.map_or(WIDTH, |next| x(next.time));
                            rect.there x=(x(event.time)) y=(top + 6) width=((end - x(event.time)).max(1)) height=(LANE - 12) {}
                        }
                    }
                    @for event in events {
                        path class=(if event.is_announce { "up" } else { "down" }) d={ "M" (x(event.time)) " " (top + 3) "v" (LANE - 6) } {}
                    }
                }
            }
        }
        div.scale { span { (words::age(span)) " ago" } span.legend { span.up { "announced" } span.down { "withdrawn" } } span { "now" } }
        @if lanes.len() > LANES_MAX { p.faint { (lanes.len() - LANES_MAX) " more are in the list below" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let parsed = |text| parse(text).map(|prefix| prefix.to_string());
        assert_eq!(parsed("198.51.100.7").as_deref(), Some("198.51.100.7/32"));
        assert_eq!(parsed("198.51.100.7/24").as_deref(), Some("198.51.100.0/24"));
        assert_eq!(parsed("2001:db8::1").as_deref(), Some("2001:db8::1/128"));
        assert_eq!(parsed("edge1"), None);
        assert_eq!(parsed(""), None);
    }
}
