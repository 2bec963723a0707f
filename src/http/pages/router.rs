//! One router: its Loc-RIB tables, its peers and Adj-RIBs, its sessions, and the anomalies in its messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maud::{Markup, html};

use super::churn::MinuteChanges;
use super::context::{Database, PageContext};
use super::layout::{PER_PAGE, Page, PageOf, href, pager, search_help, state, unread, wanted};
use super::overview::{self, RouterLine, lost, session_events};
use super::{nlri, plot, rpki, words};
use crate::http::request::Request;
use crate::metrics::{RouterMeter, TableMeter};
use crate::model::{Afi, RouterId, Timestamp};
use crate::store::names::{self, Names};
use crate::store::overview::session_events as read_session_events;
use crate::store::pages::{self, PeerPage, PeerRow};
use crate::store::status::{self, PeerTables, RouterStatus, SessionStatus, TableStatus};

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
    let events = database.ask(|client| read_session_events(client, Some(id), EVENTS));
    let peers = database.ask(|client| pages::peers(client, id, peers_wanted));
    let peer_tables = database.ask(|client| status::peer_tables(client, id, wanted(request, "adj")));
    let sessions = database.ask(|client| status::sessions(client, id, SESSIONS_MAX));
    let names = names_of(database, detail.as_ref().ok().and_then(Option::as_ref), peers.as_ref().ok());
    let id = RouterId::new(id);
    let meter = context.meters.known_router(&id);
    let (detail, wrong) = detail.map_or_else(|why| (None, Some(why)), |detail| (detail, None));
    if detail.is_none() && meter.is_none() && wrong.is_none() {
        let body = html! {
            section { h1 { "Unknown router" } p { "No router has the identifier " q { (id.as_str()) } "." } (search_help()) }
        };
        return Page { status: 404, ..Page::new("Unknown router", body).searched(id.as_str()) };
    }
    let line = RouterLine::of(context, id, detail.clone(), meter.as_deref());
    let name = line.name.clone().unwrap_or_else(|| line.id.to_string());
    let now = Timestamp::now();
    let live = meter.as_deref().map(RouterMeter::tables).unwrap_or_default();
    let (adj_ribs, loc_ribs): (Vec<_>, Vec<_>) = live.iter().partition(|(_, table)| table.adj_rib.get() > 0);
    // A router that has only Adj-RIBs needs no section about Loc-RIBs.
    let has_loc_ribs = !loc_ribs.is_empty()
        || detail.as_ref().is_some_and(|detail| !detail.tables.is_empty())
        || peer_tables.as_ref().is_ok_and(|tables| tables.tables == 0);
    let tables = Tables { is_up: line.standing.is_connected(), now };
    // The links of one list keep the page numbers of the others.
    let link = |list: &str, page: usize| {
        let page = page.to_string();
        let value = |name: &'static str| (name, if name == list { page.as_str() } else { request.value(name) });
        href(
            "/router",
            &[("id", line.id.as_str()), value("tables"), value("peers"), value("adj"), value("nlri")],
            &format!("#{list}"),
        )
    };
    let body = html! {
        section {
            h1 { (name) " " (line.standing.show()) }
            @if let Some(lost) = lost(&line) { p { (lost) } }
            (facts(&line, detail.as_ref(), meter.as_deref(), &names, now)) (rpki::of_router(database, line.id.as_str(), now))
        }
        @if let Some(why) = wrong { (unread("What the database knows of this router", &why)) }
        @if has_loc_ribs { (tables.loc_ribs(detail.as_ref(), &loc_ribs, request, &|page| link("tables", page))) }
        @if let Some(minutes) = &line.minutes { (changes(minutes)) }
        @match &peers {
            Ok(peers) => (peers_of(peers, &names, request, now, &|page| link("peers", page))),
            Err(why) => (unread("The peers", why)),
        }
        @match &peer_tables {
            Ok(stored) => (tables.adj_ribs(stored, &adj_ribs, request, &|page| link("adj", page))),
            Err(why) => (unread("The Adj-RIB tables", why)),
        }
        (nlri::section(database, line.id.as_str(), request, &|page| link("nlri", page)))
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

fn changes(minutes: &[MinuteChanges]) -> Markup {
    html! {
        section {
            h2 { "Changes per minute" span.faint { (plot::in_words(minutes)) } }
            div.wide { (plot::minutes(minutes, 960, 90, &plot::in_words(minutes))) }
            div.scale { span { "60 min ago" } span.legend { span.up { "announced" } span.down { "withdrawn" } } span { "now" } }
        }
    }
}

/// Returns the names of the router's AS and of those of its peers; none if they cannot be read.
fn names_of(database: &Database, router: Option<&RouterStatus>, peers: Option<&PeerPage>) -> Names {
    let own = router.and_then(|router| router.as_number);
    let peers = peers.into_iter().flat_map(|peers| &peers.rows).map(|peer| peer.asn);
    let asns: BTreeSet<u32> = own.into_iter().chain(peers).filter_map(|asn| u32::try_from(asn).ok()).collect();
    database.ask(|client| names::names(client, &asns, &BTreeSet::new())).unwrap_or_default()
}

fn facts(
    line: &RouterLine,
    detail: Option<&RouterStatus>,
    meter: Option<&RouterMeter>,
    names: &Names,
    now: Timestamp,
) -> Markup {
    let fact = |name: &str, value: Markup| html! { div { dt { (name) } dd { (value) } } };
    html! {
        dl.facts {
            (fact("Identifier", html! { span.mono { (line.id.as_str()) } }))
            @if let Some(address) = line.address { (fact("Address", html! { span.mono { (address) } })) }
            @if let Some(number) = line.as_number { (fact("AS", html! { (number) @if let Some(name) = names.of_as(number) { " " (name) } })) }
            @if let Some(collector) = &line.collector_id { (fact("Collector", html! { (collector) })) }
            @if let Some(standby) = &line.standby { (fact("Standby", html! { (standby) })) }
            (fact("Routes", overview::routes(line)))
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
    fn adj_ribs(
        self,
        stored: &PeerTables,
        live: &[&LiveTable],
        request: &Request,
        link: &dyn Fn(usize) -> String,
    ) -> Markup {
        if stored.tables == 0 {
            return html! {};
        }
        let count = |number: i64| words::grouped(words::count(number));
        let shown = PageOf::of(wanted(request, "adj"), usize::try_from(stored.tables).unwrap_or(0));
        let live: BTreeMap<(&str, i16), &TableMeter> =
            live.iter().map(|((name, afi), meter)| ((&**name, afi.column()), &**meter)).collect();
        // As the meters name them.
        let names: Vec<String> =
            stored.rows.iter().map(|row| format!("{} {} of {}", row.table.name, row.view, row.peer)).collect();
        let rows = names.iter().zip(&stored.rows).map(|(name, row)| {
            let afi = row.table.afi.column();
            (name.as_str(), afi, (Some(&row.table), live.get(&(name.as_str(), afi)).copied()))
        });
        html! {
            section #adj {
                h2 { "Adj-RIB tables" span.faint { (count(stored.tables)) ", " (count(stored.synchronized)) " in sync" } }
                details open[!request.value("adj").is_empty()] {
                    summary { "Tables of peers" }
                    (self.list(rows))
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
fn peers_of(
    peers: &PeerPage,
    names: &Names,
    request: &Request,
    now: Timestamp,
    link: &dyn Fn(usize) -> String,
) -> Markup {
    if peers.peers == 0 {
        return html! {};
    }
    let count = |count: i64| words::grouped(words::count(count));
    let shown = PageOf::of(wanted(request, "peers"), usize::try_from(peers.peers).unwrap_or(usize::MAX));
    let has_pre = peers.rows.iter().any(|peer| peer.pre_policy_routes.is_some());
    let has_post = peers.rows.iter().any(|peer| peer.post_policy_routes.is_some());
    html! {
        section #peers {
            h2 { "Peers" span.faint { (count(peers.peers)) ": " (count(peers.up)) " up, " (count(peers.down)) " down" } }
            details open[!request.value("peers").is_empty()] {
                summary { "Peers one by one, those that are down first" }
                table.peers {
                    thead { tr {
                        th scope="col" { "State" } th scope="col" { "Peer" } th.number scope="col" { "AS" } th.number scope="col" { "Since" }
                        @if has_pre { th.number scope="col" { "Before policy" } } @if has_post { th.number scope="col" { "After policy" } }
                        th.number scope="col" { "Flaps" } th scope="col" { "Reason of the last down" }
                    } }
                    tbody { @for peer in &peers.rows { (peer_row(peer, names, (has_pre, has_post), now)) } }
                }
                (pager("Pages of peers", shown, link))
            }
        }
    }
}

fn peer_row(peer: &PeerRow, names: &Names, (has_pre, has_post): (bool, bool), now: Timestamp) -> Markup {
    let routes =
        |count: Option<i64>| count.map_or(words::NOTHING.to_owned(), |count| words::grouped(words::count(count)));
    html! {
        tr {
            td { (peer_state(&peer.state)) }
            td.name { b.mono { (peer.address) } span.faint {
                @if !peer.distinguisher.is_empty() { (peer.distinguisher) " " }
                (peer.description.as_deref().unwrap_or(""))
                @if let Some(name) = names.of_as(peer.asn) { " " (name) }
            } }
            td.number data-name="AS" { (peer.asn) }
            td.number data-name="since" { (words::ago(now, Some(peer.since))) }
            @if has_pre { td.number data-name="before policy" { (routes(peer.pre_policy_routes)) } }
            @if has_post { td.number data-name="after policy" { (routes(peer.post_policy_routes)) } }
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
