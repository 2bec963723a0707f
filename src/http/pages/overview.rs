//! The first page: a summary of everything, routers with problems first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use super::churn::{self, MinuteChanges};
use super::context::{Database, PageContext};
use super::layout::{PER_PAGE, Page, PageOf, href, pager, router_link, state, unread, wanted};
use super::{incidents, plot, rpki, words};
use crate::http::request::Request;
use crate::metrics::{JournalMeter, RouterMeter};
use crate::model::{RibKind, RouterId, Timestamp};
use crate::store::overview::{self, SessionEventRow};
use crate::store::partitions::{Partition, PartitionState};
use crate::store::router_state::RouterState;
use crate::store::status::{self, RefusedSource, RouterStatus};

/// The maximum number of routers that are read.
const ROUTERS_MAX: i64 = 10_000;

/// The number of session events on the first page.
const EVENTS: i64 = 8;

/// The state of a router. It determines the order of the list: routers that need attention are first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RankedState(RouterState);

impl RankedState {
    const ALL: [RankedState; 7] = [
        RankedState(RouterState::NoCollector),
        RankedState(RouterState::Down),
        RankedState(RouterState::Stale),
        RankedState(RouterState::Isolated),
        RankedState(RouterState::Standby),
        RankedState(RouterState::Dumping),
        RankedState(RouterState::Up),
    ];

    /// Returns the word that `status` also uses.
    pub(super) fn word(self) -> &'static str {
        self.0.as_str()
    }

    pub(super) fn is_connected(self) -> bool {
        self.0.is_connected()
    }

    fn meaning(self) -> &'static str {
        match self.0 {
            RouterState::NoCollector => "the collector that has the session is not alive",
            RouterState::Down => "no session, no routes kept",
            RouterState::Stale => "session lost, its routes are kept for a while",
            RouterState::Isolated => "session lost with most others, its routes are kept for longer",
            RouterState::Standby => "connected to a collector that is about to take the router",
            RouterState::Dumping => "the router is still sending its tables",
            RouterState::Up => "connected, all tables are there",
        }
    }

    pub(super) fn show(self) -> Markup {
        let class = match self.0 {
            RouterState::Down | RouterState::NoCollector => "bad",
            RouterState::Stale | RouterState::Isolated | RouterState::Dumping => "warn",
            RouterState::Up => "ok",
            RouterState::Standby => "none",
        };
        state(class, self.word())
    }

    fn rank(self) -> usize {
        RankedState::ALL.iter().position(|standing| *standing == self).unwrap_or_default()
    }
}

/// The value of the filter for routers that are not connected.
const LOST: &str = "lost";

/// The list's entry for one router, from the counters and from the database.
pub(super) struct RouterLine {
    pub(super) id: RouterId,
    pub(super) name: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) as_number: Option<i64>,
    pub(super) collector_id: Option<String>,
    /// The collectors that stand by.
    pub(super) standby: Option<String>,
    /// The collector that has or had the session.
    pub(super) session_collector: Option<String>,
    pub(super) standing: RankedState,
    /// The time since which the router has been in this state.
    pub(super) since: Option<Timestamp>,
    /// The time at which its routes expire, if it is lost.
    pub(super) expires_at: Option<Timestamp>,
    pub(super) tables: u64,
    pub(super) synchronized: u64,
    pub(super) routes: u64,
    /// The RIB of these routes.
    pub(super) rib: RibKind,
    /// The number of its routes of other families.
    pub(super) nlri_routes: u64,
    pub(super) last_message: Option<Timestamp>,
    pub(super) lag: Option<Duration>,
    pub(super) minutes: Option<Vec<MinuteChanges>>,
}

impl RouterLine {
    /// Builds the line of a router that the database, the counters or both know.
    pub(super) fn of(
        context: &PageContext,
        id: RouterId,
        row: Option<RouterStatus>,
        meter: Option<&RouterMeter>,
    ) -> RouterLine {
        let tables = meter.map(RouterMeter::tables).unwrap_or_default();
        let is_up = meter.is_some_and(|meter| meter.sessions_up.get() > 0);
        let synchronized = tables.iter().filter(|(_, table)| table.synchronized.get() > 0).count();
        // Without a database, the counters of this process are the only source.
        let by_meter = match (is_up, tables.is_empty()) {
            (true, _) if synchronized < tables.len() => RouterState::Dumping,
            (true, _) => RouterState::Up,
            (false, true) => RouterState::Down,
            (false, false) => RouterState::Stale,
        };
        let router = row.as_ref();
        let stored = router.map(|router| &router.standing);
        let session_collector = stored.and_then(|stored| stored.session_collector.clone());
        let of_row = |value: fn(&RouterStatus) -> i64| router.map_or(0, |row| words::count(value(row)));
        let live = tables.iter().map(|(_, table)| table.routes.get()).sum();
        RouterLine {
            name: meter.and_then(RouterMeter::hostname).or_else(|| router.and_then(|router| router.hostname.clone())),
            address: meter.and_then(RouterMeter::address).or_else(|| router.and_then(|router| router.address)),
            as_number: router.and_then(|router| router.as_number),
            collector_id: router.and_then(|router| router.collector_id.clone()),
            standby: router.and_then(|router| router.standby.clone()),
            tables: if is_up { tables.len() as u64 } else { of_row(|row| row.table_count) },
            synchronized: if is_up { synchronized as u64 } else { of_row(|row| row.synchronized) },
            // The counters do not tell the views of one table apart.
            routes: router.map_or(live, |row| words::count(row.routes)),
            nlri_routes: of_row(|row| row.nlri_routes),
            rib: router.map_or(RibKind::LocRib, |row| row.rib),
            last_message: meter
                .and_then(|meter| words::from_micros(meter.last_message.get()))
                .or_else(|| router.and_then(|row| row.last_message)),
            lag: meter.map(|meter| meter.state.counts()).filter(|counts| counts.count > 0).map(|counts| counts.last),
            minutes: meter.map(|meter| context.churn.of(&id, meter)),
            session_collector,
            standing: RankedState(stored.map_or(by_meter, |stored| stored.state)),
            since: stored.and_then(|stored| stored.since),
            expires_at: stored.and_then(|stored| stored.expires_at),
            id,
        }
    }

    pub(super) fn has(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let holds = |own: &str| own.to_lowercase().contains(&text);
        holds(self.id.as_str())
            || self.name.as_deref().is_some_and(holds)
            || self.address.is_some_and(|address| holds(&address.to_string()))
            || self.as_number.is_some_and(|number| holds(&format!("as{number}")))
    }

    /// Returns the sort key: routers with problems first, then by numeric address, then by name.
    fn sort_key(&self) -> (usize, Option<IpAddr>, String) {
        (self.standing.rank(), self.id.as_str().parse().ok(), self.id.as_str().to_owned())
    }
}

/// Returns all routers, and the database's error if they could not be read from it.
pub(super) fn lines(context: &PageContext, database: &Database) -> (Vec<RouterLine>, Option<String>) {
    let (rows, wrong) = match database.ask(|client| status::routers(client, None, Some(ROUTERS_MAX))) {
        Ok(rows) => (rows, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    type Known = (Option<RouterStatus>, Option<Arc<RouterMeter>>);
    let mut all: BTreeMap<RouterId, Known> = BTreeMap::new();
    for row in rows {
        all.insert(RouterId::new(&row.router_id), (Some(row), None));
    }
    for (router, meter) in context.meters.routers() {
        all.entry(router).or_default().1 = Some(meter);
    }
    let mut lines: Vec<RouterLine> =
        all.into_iter().map(|(id, (row, meter))| RouterLine::of(context, id, row, meter.as_deref())).collect();
    lines.sort_by_cached_key(RouterLine::sort_key);
    (lines, wrong)
}

pub(super) fn page(context: &PageContext, database: &Database, request: &Request) -> Page {
    let (lines, wrong) = lines(context, database);
    let now = Timestamp::now();
    let minutes: Vec<Vec<MinuteChanges>> = lines.iter().filter_map(|line| line.minutes.clone()).collect();
    let minutes = churn::sum(&minutes);
    let partitions = database.ask(status::partitions);
    let refused = database.ask(status::refused);
    let events = database.ask(|client| overview::session_events(client, None, EVENTS));
    let incidents = incidents::on_first_page(database);
    let rpki = rpki::on_first_page(context, database, now);
    let body = html! {
        h1 { "Overview" }
        (incidents)
        (lost_sign(&lines))
        (tiles(context, &lines, &minutes))
        (rpki)
        @if let Some(why) = &wrong { (unread("What the database knows of the routers", why)) }
        section {
            h2 { "Changes per minute" span.faint { (plot::in_words(&minutes)) } }
            div.wide { (plot::minutes(&minutes, 960, 120, &plot::in_words(&minutes))) }
            div.scale { span { "60 min ago" } span.legend { span.up { "announced" } span.down { "withdrawn" } } span { "now" } }
        }
        (routers(context, &lines, request, now))
        div.columns {
            section {
                h2 { "Latest on sessions" }
                @match &events {
                    Ok(events) => (session_events(events, true)),
                    Err(why) => (unread("They", why)),
                }
            }
            section {
                h2 { "History on disk" }
                @match &partitions {
                    Ok(partitions) => (history_on_disk(context, partitions)),
                    Err(why) => (unread("It", why)),
                }
                @if let Ok(refused) = &refused { (turned_away(refused, now)) }
            }
        }
    };
    Page::new("Overview", body)
}

/// The sign beside the collector's own state: the number of routers that are not connected, regardless of their
/// collector.
fn lost_sign(lines: &[RouterLine]) -> Markup {
    let lost: Vec<&RouterLine> = lines.iter().filter(|line| !line.standing.is_connected()).collect();
    let stale = lost.iter().filter(|line| line.expires_at.is_some()).count();
    html! {
        @if !lost.is_empty() {
            p {
                a.pill.bad href={ "/?state=" (LOST) "#routers" } {
                    (lost.len()) " of " (lines.len()) " routers " @if lost.len() == 1 { "is" } @else { "are" } " down or stale"
                }
                @if stale > 0 { " " span.faint { "routes of " (stale) " are kept for a while" } }
            }
        }
    }
}

fn tiles(context: &PageContext, lines: &[RouterLine], minutes: &[MinuteChanges]) -> Markup {
    let up = lines.iter().filter(|line| line.standing.is_connected()).count();
    let (tables, synchronized) =
        lines.iter().fold((0, 0), |(all, good), line| (all + line.tables, good + line.synchronized));
    let routes: u64 = lines.iter().map(|line| line.routes).sum();
    let lag = lines.iter().filter(|line| line.standing.is_connected()).filter_map(|line| line.lag).max();
    // The last complete minute.
    let rate = minutes.iter().rev().nth(1).map_or(0, |minute| minute.total());
    let (process, journal) = (&context.meters.process, &context.meters.journal);
    html! {
        dl.tiles {
            (tile("Routers connected", &format!("{up}"), &format!("of {}", lines.len())))
            (tile("Tables in sync", &words::grouped(synchronized), &format!("of {}", words::grouped(tables))))
            (tile("Routes", &words::short(routes), &format!("{} stored", words::grouped(routes))))
            (tile("Changes", &words::short(rate), "in the last minute"))
            (tile("Lag to commit", &lag.map_or(words::NOTHING.to_owned(), |lag| words::lag(lag.as_micros())), "slowest router, last batch"))
            @if journal.bytes_max.get() > 0 { (tile("Not stored yet", &words::bytes(journal.unstored.get()), &journaled(journal))) }
            (tile("Database", &words::bytes(process.database_bytes.get()), &format!("{} of it history", words::bytes(process.partition_bytes.get()))))
        }
    }
}

/// Describes how full the journal is, and the age of the oldest message that is not stored.
fn journaled(journal: &JournalMeter) -> String {
    let (bytes, limit) = (words::bytes(journal.bytes.get()), words::bytes(journal.bytes_max.get()));
    match journal.oldest_age(Timestamp::now()) {
        Duration::ZERO => format!("journal {bytes} of {limit}"),
        age => format!(
            "oldest {}, journal {bytes} of {limit}",
            words::age(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
        ),
    }
}

fn tile(name: &str, value: &str, more: &str) -> Markup {
    html! { div { dt { (name) } dd { b { (value) } span { (more) } } } }
}

fn routers(context: &PageContext, lines: &[RouterLine], request: &Request, now: Timestamp) -> Markup {
    let (find, standing) = (request.value("find"), request.value("state"));
    let shown: Vec<&RouterLine> = lines
        .iter()
        .filter(|line| {
            standing.is_empty() || line.standing.word() == standing || standing == LOST && !line.standing.is_connected()
        })
        .filter(|line| find.is_empty() || line.has(find))
        .collect();
    let slice = PageOf::of(wanted(request, "page"), shown.len());
    let link = |standing: &str, page: usize| {
        let page = if page > 1 { page.to_string() } else { String::new() };
        href("/", &[("state", standing), ("find", find), ("page", &page)], "#routers")
    };
    let count = |of: RankedState| lines.iter().filter(|line| line.standing == of).count();
    html! {
        section #routers {
            h2 { "Routers" span.faint { (words::grouped(lines.len() as u64)) } }
            div.filters {
                nav aria-label="By state" {
                    a href=(link("", 1)) aria-current=[standing.is_empty().then_some("true")] { "all" }
                    @let lost = lines.iter().filter(|line| !line.standing.is_connected()).count();
                    @if lost > 0 {
                        a href=(link(LOST, 1)) title="no session" aria-current=[(standing == LOST).then_some("true")] {
                            "not connected " span.faint { (lost) }
                        }
                    }
                    @for of in RankedState::ALL.into_iter().filter(|of| count(*of) > 0) {
                        a href=(link(of.word(), 1)) title=(of.meaning()) aria-current=[(standing == of.word()).then_some("true")] {
                            (of.word()) " " span.faint { (count(of)) }
                        }
                    }
                }
                @if lines.len() > 10 {
                    form action="/#routers" method="get" {
                        @if !standing.is_empty() { input type="hidden" name="state" value=(standing); }
                        input type="search" name="find" value=(find) placeholder="name, address, AS" aria-label="Find a router";
                        button { "Find" }
                    }
                }
            }
            @if lines.is_empty() {
                (nobody_yet())
            } @else if shown.is_empty() {
                p.faint { "No router matches." }
            } @else {
                table.routers {
                    thead { tr {
                        th scope="col" { "State" } th scope="col" { "Router" } th.wide scope="col" { "Address" } th.number scope="col" { "Tables" } th.number scope="col" { "Routes" }
                        th.number scope="col" { "Last message" } th.number scope="col" { "Lag" } th scope="col" { "Last hour" }
                    } }
                    tbody { @for line in shown.iter().skip(slice.skipped()).take(PER_PAGE) { (row(context, line, now)) } }
                }
                (pager("Pages of routers", slice, &|page| link(standing, page)))
            }
        }
    }
}

fn row(context: &PageContext, line: &RouterLine, now: Timestamp) -> Markup {
    let collector = line.session_collector.as_ref().or(line.collector_id.as_ref());
    let elsewhere = collector.filter(|id| **id != context.collector_id);
    html! {
        tr {
            td { (line.standing.show()) }
            td.name {
                a href=(router_link(line.id.as_str())) { (line.name.as_deref().unwrap_or(line.id.as_str())) }
                span.faint {
                    @if line.name.is_some() { (line.id.as_str()) }
                    @if let Some(number) = line.as_number { " AS" (number) }
                    @if let Some(collector) = elsewhere { " at " (collector) }
                    @if let Some(standby) = &line.standby { " standby " (standby) }
                }
                @if let Some(lost) = lost(line) { span.faint { (lost) } }
            }
            td.wide.mono { @match line.address { Some(address) => (address), None => (words::NOTHING) } }
            td.number data-name="tables" { (line.synchronized) "/" (line.tables) }
            td.number data-name="routes" { (routes(line)) }
            td.number data-name="last" { (words::ago(now, line.last_message)) }
            td.number data-name="lag" { @match line.lag { Some(lag) => (words::lag(lag.as_micros())), None => span.faint { (words::NOTHING) } } }
            td.spark {
                @match &line.minutes {
                    Some(minutes) => (plot::minutes(minutes, 122, 22, &plot::in_words(minutes))),
                    None => span.faint { (words::NOTHING) },
                }
            }
        }
    }
}

/// Shows how many routes a router has, and of which RIB, unless it is the Loc-RIB.
pub(super) fn routes(line: &RouterLine) -> Markup {
    html! {
        (words::grouped(line.routes))
        @match line.rib {
            RibKind::LocRib | RibKind::NlriLocRib | RibKind::NlriAdjRibIn | RibKind::NlriAdjRibOut => {},
            RibKind::AdjRibIn => { " " span.faint { "Adj-RIB-In" } },
            RibKind::AdjRibOut => { " " span.faint { "Adj-RIB-Out" } },
        }
        @if line.nlri_routes > 0 { " " span.faint { "+ " (words::grouped(line.nlri_routes)) " of other families, in all RIBs" } }
    }
}

/// Describes since when a router has been lost, and when its routes expire, as far as known.
pub(super) fn lost(line: &RouterLine) -> Option<String> {
    let since = line.since.filter(|_| !line.standing.is_connected())?;
    let goes = line.expires_at.map_or(String::new(), |at| format!(", its routes expire at {}", at.to_utc()));
    Some(format!("lost since {}{goes}", since.to_utc()))
}

fn nobody_yet() -> Markup {
    html! {
        p { "No router has connected yet. Point its BMP station at the collector's BMP port, and let its address in with "
            code { "RIB_INGESTER_ALLOW" } "." }
    }
}

/// Lists session events; with the router's name where it is not clear from the page.
pub(super) fn session_events(events: &[SessionEventRow], with_router: bool) -> Markup {
    html! {
        @if events.is_empty() { p.faint { "Nothing yet." } }
        ol.events {
            @for event in events {
                li {
                    (words::moment(event.time))
                    div {
                        b { (event.kind.replace('_', " ")) } " "
                        @if with_router && let Some(id) = &event.router_id {
                            a href=(router_link(id)) { (event.hostname.as_deref().unwrap_or(id)) } " "
                            @if event.hostname.is_some() { span.faint { (id) } " " }
                        }
                        @if let Some(table) = &event.table_name { span { (table) } " " }
                        @if let Some(afi) = event.afi { span { "IPv" (afi) } " " }
                        @if let Some(peer) = &event.peer_address { span.mono { (peer) } " " }
                        @if let Some(routes) = event.routes { span { (words::grouped(words::count(routes))) " routes" } " " }
                        @if let Some(reason) = &event.reason { span.faint { (reason) } }
                    }
                }
            }
        }
    }
}

fn history_on_disk(context: &PageContext, partitions: &[Partition]) -> Markup {
    let bytes: u64 = partitions.iter().map(|partition| words::count(partition.bytes)).sum();
    let days = partitions.len();
    let recent = &partitions[days.saturating_sub(60)..];
    let values: Vec<u64> = recent.iter().map(|partition| words::count(partition.bytes)).collect();
    let maintenance = words::from_micros(context.meters.process.maintenance_done.get());
    html! {
        p { b { (words::bytes(bytes)) } " in " (days) " daily partitions" }
        @if days > 2 { div.wide { (plot::columns(&values, 480, 60, "size of each day")) } }
        details {
            summary { "Days" }
            table.plain {
                thead { tr { th scope="col" { "Day (UTC)" } th.number scope="col" { "Rows, about" } th.number scope="col" { "Size" } } }
                tbody { @for partition in partitions.iter().rev() {
                    tr {
                        td { (partition.describe())
                            @if partition.state != PartitionState::Attached { " " span.faint { "being dropped" } } }
                        td.number { (words::grouped(words::count(partition.rows))) }
                        td.number { (words::bytes(words::count(partition.bytes))) }
                    }
                } }
            }
        }
        p.faint { "Maintenance " @match maintenance {
            Some(_) => { "ran " (words::ago(Timestamp::now(), maintenance)) },
            None => "has not run yet",
        } }
    }
}

fn turned_away(refused: &[RefusedSource], now: Timestamp) -> Markup {
    html! {
        @if !refused.is_empty() {
            details {
                summary { "Turned away within a week: " (refused.len()) " addresses" }
                ul.refused { @for source in refused.iter().take(20) {
                    li { b.mono { (source.address) } " " (words::ago(now, Some(source.last_time))) " "
                        @if let Some(reason) = &source.reason { span.faint { (reason) } } }
                } }
            }
        }
    }
}
