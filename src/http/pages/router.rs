//! One router: its session, its tables, its lies, what happened to it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::layout::{search, state, unread};
use super::overview::{Line, lost, session_events};
use super::{Context, Database, Page, plot, words};
use crate::metrics::{RouterMeter, TableMeter};
use crate::model::{RouterId, Timestamp};
use crate::store::overview::{self, PeerRow, RouterDetail, TableRow};

/// Neighbours on the page.
const PEERS_MAX: i64 = 500;

/// Tables on the page.
const TABLES_MAX: i64 = 500;

pub(super) fn page(context: &Context, database: &mut Database, id: &str) -> Page {
    let detail = database.ask(|client| overview::router(client, id, TABLES_MAX));
    let peers = database.ask(|client| overview::peers(client, id, PEERS_MAX));
    let id = RouterId::new(id);
    let meter = context.meters.routers().into_iter().find(|(router, _)| *router == id).map(|(_, meter)| meter);
    let (detail, wrong) = match detail {
        Ok(detail) => (detail, None),
        Err(why) => (None, Some(why)),
    };
    if detail.is_none() && meter.is_none() && wrong.is_none() {
        let body = html! { (search(id.as_str())) p { "No router is known by that identifier." } };
        return Page { status: 404, title: "Unknown router".to_owned(), body };
    }
    let line = Line::of(context, id, detail.as_ref().map(as_row), meter.as_deref());
    let name = line.name.clone().unwrap_or_else(|| line.id.to_string());
    let now = Timestamp::now();
    let body = html! {
        (search(""))
        section {
            h1 { (name) " " (line.standing.show()) }
            @if let Some(lost) = lost(&line) { p { (lost) } }
            (facts(&line, detail.as_ref(), meter.as_deref(), now))
        }
        @if let Some(why) = wrong { (unread("What the database knows of this router", &why)) }
        @if let Some(minutes) = &line.minutes {
            section {
                h2 { "Changes per minute" span.faint { (plot::in_words(minutes)) } }
                div.wide { (plot::minutes(minutes, 960, 90, &plot::in_words(minutes))) }
                div.scale { span { "60 min ago" } span.legend { span.up { "announced" } span.down { "withdrawn" } } span { "now" } }
            }
        }
        (tables(detail.as_ref(), meter.as_deref(), line.standing.is_connected(), now))
        @match &peers {
            Ok(peers) => (neighbours(peers, now)),
            Err(why) => (unread("The neighbours", why)),
        }
        @if let Some(meter) = &meter { (oddities(meter)) }
        @if let Some(detail) = &detail {
            section { h2 { "Sessions and peers" } (session_events(&detail.events, false)) }
        }
    };
    Page { status: 200, title: name, body }
}

fn as_row(detail: &RouterDetail) -> overview::RouterRow {
    let all = || detail.tables.iter();
    overview::RouterRow {
        router_id: detail.router_id.clone(),
        address: detail.address,
        hostname: detail.hostname.clone(),
        as_number: detail.as_number,
        collector_id: detail.collector_id.clone(),
        standing: detail.standing.clone(),
        tables: i64::try_from(all().count()).unwrap_or(i64::MAX),
        synchronised: i64::try_from(all().filter(|table| table.synced_at.is_some()).count()).unwrap_or(i64::MAX),
        last_message: all().filter_map(|table| table.last_message).max(),
        routes: all().map(|table| table.routes).sum(),
    }
}

fn facts(line: &Line, detail: Option<&RouterDetail>, meter: Option<&RouterMeter>, now: Timestamp) -> Markup {
    let fact = |name: &str, value: Markup| html! { div { dt { (name) } dd { (value) } } };
    html! {
        dl.facts {
            (fact("Identifier", html! { span.mono { (line.id.as_str()) } }))
            @if let Some(address) = line.address { (fact("Address", html! { span.mono { (address) } })) }
            @if let Some(number) = line.as_number { (fact("AS", html! { (number) })) }
            @if let Some(collector) = &line.collector_id { (fact("Collector", html! { (collector) })) }
            (fact("Routes", html! { (words::grouped(line.routes)) }))
            (fact("Last message", words::ago(now, line.last_message)))
            @if let Some(lag) = line.lag { (fact("Lag to commit", html! { (words::lag(lag.as_micros())) })) }
            @if let Some(meter) = meter {
                (fact("Session since", words::ago(now, words::from_micros(meter.session_began.get()))))
                (fact("Sessions", html! { (words::grouped(meter.sessions.get())) " since the collector started" }))
                (fact("Read", html! { (words::grouped(meter.messages.get())) " messages, " (words::bytes(meter.bytes.get())) }))
                @if meter.blocked.get() > 1_000_000 {
                    (fact("Left waiting", html! { (words::lag(u128::from(meter.blocked.get()))) " for full queues" }))
                }
            }
            @if let Some(detail) = detail {
                (fact("First seen", words::ago(now, Some(detail.first_seen))))
                @if let Some(description) = &detail.description { (fact("Says of itself", html! { (description) })) }
            }
        }
    }
}

/// One table from both sides.
type Both<'a> = (Option<&'a TableRow>, Option<&'a TableMeter>);

fn tables(detail: Option<&RouterDetail>, meter: Option<&RouterMeter>, is_up: bool, now: Timestamp) -> Markup {
    let live = meter.map(RouterMeter::tables).unwrap_or_default();
    let mut all: BTreeMap<(&str, i16), Both<'_>> = BTreeMap::new();
    for table in detail.map(|detail| detail.tables.as_slice()).unwrap_or_default() {
        all.insert((&table.name, table.afi), (Some(table), None));
    }
    for ((name, afi), meter) in &live {
        all.entry((name, afi.column())).or_default().1 = Some(meter);
    }
    html! {
        section {
            h2 { "Tables" span.faint { (all.len()) } }
            @if all.is_empty() { p.faint { "None." } } @else {
                table.tables {
                    thead { tr {
                        th { "State" } th { "Table" } th.number { "Routes" } th.number { "End-of-RIB" } th.number { "Last message" }
                        th.number.wide { "Announced" } th.number.wide { "Unchanged" } th.number.wide { "Withdrawn" } th.number.wide { "Purged" }
                    } }
                    tbody { @for ((name, afi), both) in all.iter().take(500) { (table(name, *afi, both, is_up, now)) } }
                }
            }
        }
    }
}

fn table(name: &str, afi: i16, (row, meter): &Both<'_>, is_up: bool, now: Timestamp) -> Markup {
    let end_of_rib = meter
        .and_then(|meter| words::from_micros(meter.end_of_rib.get()))
        .or_else(|| row.filter(|row| row.eor_seen).and_then(|row| row.eor_time));
    let routes = match (meter, row) {
        (Some(meter), _) => meter.routes.get(),
        (None, Some(row)) => words::count(row.routes),
        (None, None) => 0,
    };
    let last = meter
        .and_then(|meter| words::from_micros(meter.last_message.get()))
        .or_else(|| row.and_then(|row| row.last_message));
    let counter = |value: fn(&TableMeter) -> u64| match meter {
        Some(meter) => words::grouped(value(meter)),
        None => words::NOTHING.to_owned(),
    };
    // Where another collector has the router, the database alone knows.
    let is_complete =
        meter.map_or(row.is_some_and(|row| row.synced_at.is_some()), |meter| meter.synchronised.get() > 0);
    let standing = match (is_up, is_complete) {
        (false, _) => state("warn", "stale"),
        (true, true) => state("ok", "in sync"),
        (true, false) => state("warn", "dumping"),
    };
    html! {
        tr {
            td { (standing) }
            td.name { b { (name) } span.faint { "IPv" (afi) } }
            td.number data-name="routes" { (words::grouped(routes)) }
            td.number data-name="End-of-RIB" { (words::ago(now, end_of_rib)) }
            td.number data-name="last" { (words::ago(now, last)) }
            td.number.wide { (counter(|meter| meter.announced.get())) }
            td.number.wide { (counter(|meter| meter.unchanged.get())) }
            td.number.wide { (counter(|meter| meter.withdrawn.get())) }
            td.number.wide { (counter(|meter| meter.purged.get())) }
        }
    }
}

fn neighbours(peers: &[PeerRow], now: Timestamp) -> Markup {
    html! {
        @if !peers.is_empty() {
            section {
                h2 { "Neighbours" span.faint { (peers.len()) } }
                table.tables {
                    thead { tr {
                        th { "State" } th { "Neighbour" } th.number { "AS" } th.number { "Since" } th.number { "Flaps" } th { "Last down because" }
                    } }
                    tbody { @for peer in peers {
                        tr {
                            td { (state(match peer.state.as_str() { "up" => "ok", "down" => "bad", _ => "none" }, &peer.state)) }
                            td.name { b.mono { (peer.address) } span.faint { (peer.description.as_deref().unwrap_or("")) } }
                            td.number data-name="AS" { (peer.asn) }
                            td.number { (words::ago(now, Some(peer.since))) }
                            td.number data-name="flaps" { (peer.flaps) }
                            td.aspath.faint { (peer.last_reason.as_deref().unwrap_or("")) }
                        }
                    } }
                }
            }
        }
    }
}

fn oddities(meter: &RouterMeter) -> Markup {
    let (odd, ends) = (meter.oddities.all(), meter.ends.all());
    let list = |all: &[(&'static str, u64)]| {
        html! { dl.counts { @for (kind, times) in all { div { dt { (kind.replace('_', " ")) } dd { (words::grouped(*times)) } } } } }
    };
    html! {
        @if !odd.is_empty() || !ends.is_empty() {
            div.columns {
                @if !odd.is_empty() { section { h2 { "Oddities" } (list(&odd)) } }
                @if !ends.is_empty() { section { h2 { "How sessions ended" } (list(&ends)) } }
            }
        }
    }
}
