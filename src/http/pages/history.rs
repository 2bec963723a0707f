//! The history of a prefix: a lane for each path, which shows when the path was present, and an entry for each event,
//! which shows the change in its lane.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use maud::{Markup, html};

use super::context::PageContext;
use super::words;
use crate::model::Timestamp;
use crate::store::pages::{EVENTS_PER_TABLE, HistoryRow};

/// The maximum number of events on the page.
pub(super) const EVENTS_MAX: i64 = 300;

/// The maximum number of lanes that are drawn.
const LANES_MAX: usize = 24;

/// The size of a lane's plot, in its own units.
const WIDTH: i64 = 960;
const HEIGHT: i64 = 20;

/// The path of one table that makes up a lane. Routers sort by address, then all others alphabetically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct LaneKey<'a> {
    is_name: bool,
    address: Option<IpAddr>,
    router_id: &'a str,
    table_name: &'a str,
    view: &'a str,
    path_id: Option<i64>,
}

impl<'a> LaneKey<'a> {
    fn of(event: &'a HistoryRow) -> LaneKey<'a> {
        let address = event.router_id.parse().ok();
        LaneKey {
            is_name: address.is_none(),
            address,
            router_id: &event.router_id,
            table_name: &event.table_name,
            view: &event.view,
            path_id: event.path_id,
        }
    }
}

/// Shows events, ordered latest first by the database, as lanes and as entries.
pub(super) fn show(context: &PageContext, events: &[HistoryRow], hours: i32, now: Timestamp) -> Markup {
    if events.is_empty() {
        return html! { p.faint { "No change is on record in this time." } };
    }
    let mut lanes: BTreeMap<LaneKey<'_>, Vec<&HistoryRow>> = BTreeMap::new();
    for event in events.iter().rev() {
        lanes.entry(LaneKey::of(event)).or_default().push(event);
    }
    let numbers: HashMap<LaneKey<'_>, usize> = lanes.keys().enumerate().map(|(i, key)| (*key, i + 1)).collect();
    let mut before: HashMap<LaneKey<'_>, &HistoryRow> = HashMap::new();
    let mut changes: Vec<String> =
        events.iter().rev().map(|event| change(before.insert(LaneKey::of(event), event), event)).collect();
    changes.reverse();
    html! {
        ol.lanes { @for (i, (_, events)) in lanes.iter().take(LANES_MAX).enumerate() { (lane(context, i + 1, events, hours, now)) } }
        div.scale { span { (words::age(span(hours))) " ago" } span.legend { span.up { "announced" } span.down { "withdrawn" } } span { "now" } }
        @if lanes.len() > LANES_MAX { p.faint { (lanes.len() - LANES_MAX) " more paths are in the list below" } }
        table.events {
            thead { tr {
                th.number scope="col" { "Lane" } th scope="col" { "Time (UTC)" } th scope="col" { "Router" } th scope="col" { "Event" }
                th scope="col" { "Next hop" } th scope="col" { "AS path" } th.number scope="col" { "Pref" } th.number scope="col" { "MED" }
            } }
            tbody { @for (event, change) in events.iter().zip(&changes) {
                (entry(context, numbers.get(&LaneKey::of(event)).copied().unwrap_or(0), event, change))
            } }
        }
        @if is_cut(events) {
            p.faint { "Older ones are not shown: at most " (EVENTS_PER_TABLE) " per table and " (EVENTS_MAX) " in all." }
        }
    }
}

/// Returns whether there may be more events than were read.
fn is_cut(events: &[HistoryRow]) -> bool {
    let mut tables: HashMap<(&str, &str), i64> = HashMap::new();
    for event in events {
        *tables.entry((&event.router_id, &event.table_name)).or_default() += 1;
    }
    tables.values().any(|count| *count >= EVENTS_PER_TABLE) || tables.values().sum::<i64>() >= EVENTS_MAX
}

fn span(hours: i32) -> i64 {
    i64::from(hours) * 3_600_000_000
}

/// Describes the difference from the previous event of the lane; empty for the first one of the time that is shown.
fn change(before: Option<&HistoryRow>, event: &HistoryRow) -> String {
    let Some(before) = before.filter(|before| before.is_announce && event.is_announce) else {
        return before.filter(|_| event.is_announce).map_or_else(String::new, |_| "again".to_owned());
    };
    let fields = [
        ("AS path", before.as_path != event.as_path),
        ("next hop", before.nexthop != event.nexthop),
        ("local preference", before.localpref != event.localpref),
        ("MED", before.med != event.med),
    ];
    let changed: Vec<&str> = fields.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect();
    if changed.is_empty() { "path and metrics as before".to_owned() } else { format!("{} changed", changed.join(", ")) }
}

/// Draws one path: filled from an announcement to the next event, with a mark for each event and its present state in
/// words.
fn lane(context: &PageContext, number: usize, events: &[&HistoryRow], hours: i32, now: Timestamp) -> Markup {
    let span = span(hours);
    let begin = now.unix_micros() - span;
    // The database's clock may be ahead of ours.
    let x = |time: Timestamp| ((time.unix_micros() - begin).clamp(0, span) / (span / WIDTH)).min(WIDTH);
    let (first, last) = (events[0], events[events.len() - 1]);
    let announced = events.iter().filter(|event| event.is_announce).count();
    let label = format!("lane {number}: {announced} announced, {} withdrawn", events.len() - announced);
    html! {
        li {
            div.lane {
                b { (number) } " "
                (context.router(&first.router_id, first.hostname.as_deref()).with(&first.table_name, &first.view))
                @if let Some(id) = first.path_id { " " span.faint { "path " (id) } }
            }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
                path.axis d={ "M0 " (HEIGHT / 2) "H" (WIDTH) } {}
                // A path whose first event is a withdrawal was present before.
                @if !first.is_announce { rect.there x="0" y="5" width=(x(first.time)) height=(HEIGHT - 10) {} }
                @for (event, next) in events.iter().zip(events.iter().skip(1).map(Some).chain([None])) {
                    @if event.is_announce {
                        @let end = next.map_or(WIDTH, |next| x(next.time));
                        rect.there x=(x(event.time)) y="5" width=((end - x(event.time)).max(1)) height=(HEIGHT - 10) {}
                    }
                }
                @for event in events {
                    path class=(if event.is_announce { "up" } else { "down" }) d={ "M" (x(event.time)) " 2v" (HEIGHT - 4) } {}
                }
            }
            div.now {
                @if last.is_announce { span.up { "announced" } " " span.mono { (last.as_path.as_deref().unwrap_or("")) } }
                @else { span.down { "withdrawn" } }
                " " (words::ago(now, Some(last.time)))
            }
        }
    }
}

/// Shows one event: a table row, or a card on a phone.
fn entry(context: &PageContext, lane: usize, event: &HistoryRow, change: &str) -> Markup {
    let number = |value: Option<i64>| value.map_or(String::new(), |value| value.to_string());
    html! {
        tr {
            td.number data-name="lane" { (lane) }
            td { (words::moment(event.time)) }
            td.name { (context.router(&event.router_id, event.hostname.as_deref()).with(&event.table_name, &event.view)) }
            td { @if event.is_announce { span.up { "announced" } } @else { span.down { "withdrawn" } }
                @if !change.is_empty() { " " span.faint { (change) } }
                @if let Some(reason) = &event.reason { " " span.faint { (reason) } }
                @if let Some(path_id) = event.path_id { " " span.faint { "path " (path_id) } } }
            td.mono data-name=[event.nexthop.is_some().then_some("next hop")] { (event.nexthop.as_deref().unwrap_or("")) }
            td.mono.aspath data-name=[event.as_path.is_some().then_some("AS path")] { (event.as_path.as_deref().unwrap_or("")) }
            td.number data-name=[event.localpref.is_some().then_some("pref")] { (number(event.localpref)) }
            td.number data-name=[event.med.is_some().then_some("MED")] { (number(event.med)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(is_announce: bool, path: &str, nexthop: &str) -> HistoryRow {
        HistoryRow {
            router_id: "10.0.0.1".to_owned(),
            hostname: None,
            table_name: "global".to_owned(),
            time: Timestamp::from_unix_micros(0),
            path_id: None,
            is_announce,
            nexthop: Some(nexthop.to_owned()),
            as_path: Some(path.to_owned()),
            localpref: None,
            med: None,
            view: String::new(),
            reason: None,
        }
    }

    #[test]
    fn a_change_is_named_by_its_difference() {
        let (one, path) = (event(true, "1 2", "192.0.2.1"), event(true, "1 3", "192.0.2.1"));
        let (both, gone) = (event(true, "1 3", "192.0.2.2"), event(false, "", ""));
        assert_eq!([change(None, &one), change(None, &gone)], ["", ""]);
        assert_eq!(change(Some(&one), &path), "AS path changed");
        assert_eq!(change(Some(&one), &both), "AS path, next hop changed");
        assert_eq!(change(Some(&one), &one), "path and metrics as before");
        assert_eq!([change(Some(&one), &gone), change(Some(&gone), &one)], ["", "again"]);
    }

    #[test]
    fn a_list_that_reached_a_limit_is_cut() {
        let many = |table: &str, count: i64| {
            let one = HistoryRow { table_name: table.to_owned(), ..event(true, "", "") };
            vec![one; usize::try_from(count).unwrap()]
        };
        let events = |tables: i64, each: i64| (0..tables).flat_map(|i| many(&i.to_string(), each)).collect::<Vec<_>>();
        assert!(is_cut(&many("a", EVENTS_PER_TABLE)) && !is_cut(&many("a", EVENTS_PER_TABLE - 1)));
        let each = EVENTS_PER_TABLE - 1;
        assert!(!is_cut(&events(EVENTS_MAX / each, each)) && is_cut(&events(EVENTS_MAX / each + 1, each)));
    }

    #[test]
    fn routers_sort_by_numeric_address_then_by_name() {
        let of = |router_id: &str| HistoryRow { router_id: router_id.to_owned(), ..event(true, "", "") };
        let (nine, ten, name) = (of("10.0.0.9"), of("10.0.0.10"), of("1edge"));
        assert!(LaneKey::of(&nine) < LaneKey::of(&ten) && LaneKey::of(&ten) < LaneKey::of(&name));
    }
}
