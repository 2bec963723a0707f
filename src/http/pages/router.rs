//! One router: its Loc-RIB tables, its peers and Adj-RIBs, its sessions, and the anomalies in its messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::context::{Database, PageContext};
use super::layout::{PER_PAGE, Page, PageOf, href, pager, search_help, state, unread, wanted};
use super::overview::{RouterLine, lost, session_events};
use super::{plot, rpki, words};
use crate::http::request::Request;
use crate::metrics::{RouterMeter, TableMeter};
use crate::model::{Afi, RouterId, Timestamp};
use crate::store::overview::{self, RouterRow};
use crate::store::pages::{self, PeerPage, PeerRow};
use crate::store::status::{self, RouterStatus, SessionStatus, TableStatus};

/// The maximum number of stored tables that are read; the page shows some of them.
const TABLES_MAX: i64 = 10_000;

/// The maximum number of session events on the page.
const EVENTS: i64 = 40;

/// The maximum number of BMP sessions on the page.
const SESSIONS_MAX: i64 = 20;

pub(super) fn page(context: &PageContext, database: &Database, request: &Request) -> Page {
    let id = request.value("id");
    let peers_wanted = wanted(request, "peers");
    let detail = database.ask(|client| status::router(client, id, TABLES_MAX));
    let events = database.ask(|client| overview::session_events(client, Some(id), EVENTS));
    let peers = database.ask(|client| pages::peers(client, id, peers_wanted));
    let sessions = database.ask(|client| status::sessions(client, id, SESSIONS_MAX));
    let id = RouterId::new(id);
    let meter = context.meters.known_router(&id);
    let (detail, wrong) = match detail {
        Ok(detail) => (detail, None),
        Err(why) => (None, Some(why)),
    };
    if detail.is_none() && meter.is_none() && wrong.is_none() {
        let body = html! {
            section { h1 { "Unknown router" } p { "No router has the identifier " q { (id.as_str()) } "." } (search_help()) }
        };
        return Page { status: 404, ..Page::new("Unknown router", body).searched(id.as_str()) };
    }
    let line = RouterLine::of(context, id, detail.as_ref().map(as_row), meter.as_deref());
    let name = line.name.clone().unwrap_or_else(|| line.id.to_string());
    let now = Timestamp::now();
    let live = meter.as_deref().map(RouterMeter::tables).unwrap_or_default();
    let (adj_ribs, loc_ribs): (Vec<_>, Vec<_>) = live.iter().partition(|(_, table)| table.adj_rib.get() > 0);
    let tables = Tables { is_up: line.standing.is_connected(), now };
    // The links of one list keep the page numbers of the others.
    let link = |list: &str, page: usize| {
        let page = page.to_string();
        let value = |name: &'static str| (name, if name == list { page.as_str() } else { request.value(name) });
        href("/router", &[("id", line.id.as_str()), value("tables"), value("peers"), value("adj")], &format!("#{list}"))
    };
    let body = html! {
        section {
            h1 { (name) " " (line.standing.show()) }
            @if let Some(lost) = lost(&line) { p { (lost) } }
            (facts(&line, detail.as_ref(), meter.as_deref(), now)) (rpki::of_router(database, line.id.as_str(), now))
        }
        @if let Some(why) = wrong { (unread("What the database knows of this router", &why)) }
        (tables.loc_ribs(detail.as_ref(), &loc_ribs, request, &|page| link("tables", page)))
        @if let Some(minutes) = &line.minutes {
            section {
                h2 { "Changes per minute" span.faint { (plot::in_words(minutes)) } }
                div.wide { (plot::minutes(minutes, 960, 90, &plot::in_words(minutes))) }
                div.scale { span { "60 min ago" } span.legend { span.up { "announced" } span.down { "withdrawn" } } span { "now" } }
            }
        }
        @match &peers {
            Ok(peers) => (peers_of(peers, request, now, &|page| link("peers", page))),
            Err(why) => (unread("The peers", why)),
        }
        (tables.adj_ribs(&adj_ribs, request, &|page| link("adj", page)))
        @if let Some(meter) = &meter { (anomalies(meter)) }
        section {
            h2 { "BMP sessions of " (name) }
            @match &sessions {
                Ok(sessions) => (sessions_of(sessions, now)),
                Err(why) => (unread("They", why)),
            }
        }
        @if let (Some(_), Ok(events)) = (&detail, &events) {
            section { h2 { "Latest on sessions and peers" } (session_events(events, false)) }
        }
    };
    Page::new(name.as_str(), body)
}

/// Sums up a router's tables, as in the list of all routers.
fn as_row(router: &RouterStatus) -> RouterRow {
    let all = || router.tables.iter();
    RouterRow {
        tables: i64::try_from(all().count()).unwrap_or(i64::MAX),
        synchronized: i64::try_from(all().filter(|table| table.synced_at.is_some()).count()).unwrap_or(i64::MAX),
        last_message: all().filter_map(TableStatus::last_message).max(),
        routes: all().map(|table| table.routes).sum(),
        router: router.clone(),
    }
}

fn facts(line: &RouterLine, detail: Option<&RouterStatus>, meter: Option<&RouterMeter>, now: Timestamp) -> Markup {
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
                    (fact("Waited", html! { (words::lag(u128::from(meter.blocked.get()))) " for full queues" }))
                }
            }
            @if let Some(detail) = detail {
                (fact("First seen", words::ago(now, Some(detail.first_seen))))
                @if let Some(description) = &detail.description { (fact("Description", html! { (description) })) }
            }
        }
    }
}

/// One table as stored and as counted live.
type Both<'a> = (Option<&'a TableStatus>, Option<&'a TableMeter>);

/// A table's name and family with its meter.
type LiveTable = ((Arc<str>, Afi), Arc<TableMeter>);

/// The state of a router's tables at this moment.
#[derive(Clone, Copy)]
struct Tables {
    /// True if the router is connected.
    is_up: bool,
    now: Timestamp,
}

impl Tables {
    /// Shows one page of the Loc-RIBs.
    fn loc_ribs(
        self,
        detail: Option<&RouterStatus>,
        live: &[&LiveTable],
        request: &Request,
        link: &dyn Fn(usize) -> String,
    ) -> Markup {
        let mut all: BTreeMap<(&str, i16), Both<'_>> = BTreeMap::new();
        for table in detail.map(|detail| detail.tables.as_slice()).unwrap_or_default() {
            all.insert((&table.name, table.afi.column()), (Some(table), None));
        }
        for ((name, afi), meter) in live {
            all.entry((name, afi.column())).or_default().1 = Some(meter);
        }
        let shown = PageOf::of(wanted(request, "tables"), all.len());
        html! {
            section #tables {
                h2 { "Loc-RIB tables" span.faint { (words::grouped(all.len() as u64)) } }
                @if all.is_empty() { p.faint { "None." } } @else {
                    (self.list(all.iter().skip(shown.skipped()).take(PER_PAGE).map(|((name, afi), both)| (*name, *afi, *both))))
                    (pager("Pages of Loc-RIB tables", shown, link))
                }
            }
        }
    }

    /// Shows one page of the Adj-RIBs of all peers, folded.
    fn adj_ribs(self, live: &[&LiveTable], request: &Request, link: &dyn Fn(usize) -> String) -> Markup {
        if live.is_empty() {
            return html! {};
        }
        let shown = PageOf::of(wanted(request, "adj"), live.len());
        let synchronized = live.iter().filter(|(_, meter)| meter.synchronized.get() > 0).count();
        html! {
            section #adj {
                h2 { "Adj-RIB tables" span.faint { (words::grouped(live.len() as u64)) ", " (words::grouped(synchronized as u64)) " in sync" } }
                details open[!request.value("adj").is_empty()] {
                    summary { "Tables of peers" }
                    (self.list(live.iter().skip(shown.skipped()).take(PER_PAGE).map(|((name, afi), meter)| (&**name, afi.column(), (None, Some(&**meter))))))
                    (pager("Pages of Adj-RIB tables", shown, link))
                }
            }
        }
    }

    fn list<'a>(self, tables: impl Iterator<Item = (&'a str, i16, Both<'a>)>) -> Markup {
        html! {
            table.tables {
                thead { tr {
                    th scope="col" { "State" } th scope="col" { "Table" } th.number scope="col" { "Routes" } th.number scope="col" { "End-of-RIB" }
                    th.number scope="col" { "Last message" } th.number.wide scope="col" { "Announced" } th.number.wide scope="col" { "Unchanged" }
                    th.number.wide scope="col" { "Withdrawn" } th.number.wide scope="col" { "Purged" }
                } }
                tbody { @for (name, afi, both) in tables { (self.row(name, afi, both)) } }
            }
        }
    }

    fn row(self, name: &str, afi: i16, (row, meter): Both<'_>) -> Markup {
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
            .or_else(|| row.and_then(TableStatus::last_message));
        let counter = |value: fn(&TableMeter) -> u64| match meter {
            Some(meter) => words::grouped(value(meter)),
            None => words::NOTHING.to_owned(),
        };
        // If another collector has the router, only the database knows the state.
        let is_complete =
            meter.map_or(row.is_some_and(|row| row.synced_at.is_some()), |meter| meter.synchronized.get() > 0);
        let standing = match (self.is_up, is_complete) {
            (false, _) => state("warn", "stale"),
            (true, true) => state("ok", "in sync"),
            (true, false) => state("warn", "dumping"),
        };
        html! {
            tr {
                td { (standing) }
                td.name { b { (name) } span.faint { "IPv" (afi) } }
                td.number data-name="routes" { (words::grouped(routes)) }
                td.number data-name="End-of-RIB" { (words::ago(self.now, end_of_rib)) }
                td.number data-name="last" { (words::ago(self.now, last)) }
                td.number.wide { (counter(|meter| meter.announced.get())) }
                td.number.wide { (counter(|meter| meter.unchanged.get())) }
                td.number.wide { (counter(|meter| meter.withdrawn.get())) }
                td.number.wide { (counter(|meter| meter.purged.get())) }
            }
        }
    }
}

/// Shows the state of a BGP peer in its color.
pub(super) fn peer_state(word: &str) -> Markup {
    state(
        match word {
            "up" => "ok",
            "down" => "bad",
            _ => "none",
        },
        word,
    )
}

/// Shows one page of the peers, folded.
fn peers_of(peers: &PeerPage, request: &Request, now: Timestamp, link: &dyn Fn(usize) -> String) -> Markup {
    if peers.peers == 0 {
        return html! {};
    }
    let count = |count: i64| words::grouped(words::count(count));
    let shown = PageOf::of(wanted(request, "peers"), usize::try_from(peers.peers).unwrap_or(usize::MAX));
    html! {
        section #peers {
            h2 { "Peers" span.faint { (count(peers.peers)) ": " (count(peers.up)) " up, " (count(peers.down)) " down" } }
            details open[!request.value("peers").is_empty()] {
                summary { "Peers one by one, those that are down first" }
                table.peers {
                    thead { tr {
                        th scope="col" { "State" } th scope="col" { "Peer" } th.number scope="col" { "AS" } th.number scope="col" { "Since" }
                        th.number scope="col" { "Flaps" } th scope="col" { "Reason of the last down" }
                    } }
                    tbody { @for peer in &peers.rows { (peer_row(peer, now)) } }
                }
                (pager("Pages of peers", shown, link))
            }
        }
    }
}

fn peer_row(peer: &PeerRow, now: Timestamp) -> Markup {
    html! {
        tr {
            td { (peer_state(&peer.state)) }
            td.name { b.mono { (peer.address) } span.faint {
                @if !peer.distinguisher.is_empty() { (peer.distinguisher) " " }
                (peer.description.as_deref().unwrap_or(""))
            } }
            td.number data-name="AS" { (peer.asn) }
            td.number data-name="since" { (words::ago(now, Some(peer.since))) }
            td.number data-name="flaps" { (peer.flaps) }
            td.aspath.faint { (peer.last_reason.as_deref().unwrap_or("")) }
        }
    }
}

fn sessions_of(sessions: &[SessionStatus], now: Timestamp) -> Markup {
    if sessions.is_empty() {
        return html! { p.faint { "None within the last day." } };
    }
    html! {
        table.sessions {
            thead { tr {
                th scope="col" { "State" } th scope="col" { "From" } th scope="col" { "Collector" } th.number scope="col" { "Since" }
                th scope="col" { "Reason" }
            } }
            tbody { @for session in sessions {
                tr {
                    td { (state(match session.state.as_str() { "up" => "ok", "ended" => "none", _ => "warn" }, &session.state)) }
                    td.mono data-name="from" { @match session.source { Some(source) => (source), None => (words::NOTHING) } }
                    td data-name="at" { (session.collector_id) }
                    td.number data-name="since" { (words::ago(now, Some(session.since))) }
                    td.aspath.faint { (session.reason.as_deref().unwrap_or("")) }
                }
            } }
        }
    }
}

fn anomalies(meter: &RouterMeter) -> Markup {
    let (anomalies, ends) = (meter.anomalies.all(), meter.ends.all());
    let list = |all: &[(&'static str, u64)]| {
        html! { dl.counts { @for (kind, times) in all { div { dt { (kind.replace('_', " ")) } dd { (words::grouped(*times)) } } } } }
    };
    html! {
        @if !anomalies.is_empty() || !ends.is_empty() {
            div.columns {
                @if !anomalies.is_empty() { section { h2 { "Anomalies in its messages" } (list(&anomalies)) } }
                @if !ends.is_empty() { section { h2 { "Ends of its sessions" } (list(&ends)) } }
            }
        }
    }
}
