//! The inventory: sites, nodes, containers and services, in the color of their state.

use maud::{Markup, html};

use super::context::Database;
use super::layout::{Page, href, state, unread};
use super::words;
use crate::http::request::Request;
use crate::model::Timestamp;
use crate::store::inventory::tree::{self, Entry};
use crate::store::watch::coverage;

/// The most lines of a page.
const LINES_MAX: usize = 1_000;

pub(super) fn page(database: &Database, request: &Request) -> Page {
    let (find, only) = (request.value("find"), request.value("state"));
    let found = database.ask(|client| Ok((tree::tree(client)?, coverage::coverage(client)?.evaluators.is_empty())));
    let body = html! {
        h1 { "Inventory" }
        @match found {
            Ok((entries, is_stopped)) => {
                @if is_stopped { ul.notice { li { "No collector that is alive evaluates watches: states are those of its last time." } } }
                (tree_of(entries, find, only))
            },
            Err(why) => section { (unread("It", &why)) },
        }
    };
    Page::new("Inventory", body)
}

fn tree_of(entries: Vec<Entry>, find: &str, only: &str) -> Markup {
    let (total, bad) = (entries.len(), entries.iter().filter(|entry| entry.is_bad()).count());
    let needle = find.to_lowercase();
    let is_found = |entry: &Entry| {
        let fields = [Some(&entry.name), entry.address.as_ref(), entry.note.as_ref()];
        fields.into_iter().flatten().any(|field| field.to_lowercase().contains(&needle))
    };
    let shown = tree::with_places(entries, |entry| is_found(entry) && (only != "bad" || entry.is_bad()));
    let now = Timestamp::now();
    html! {
        section #inventory {
            h2 { "Sites" span.faint { (words::grouped(bad as u64)) " not reachable" } }
            div.filters {
                nav aria-label="States" {
                    a href=(href("/inventory", &[("find", find)], "")) aria-current=[(only != "bad").then_some("true")] { "All" }
                    a href=(href("/inventory", &[("find", find), ("state", "bad")], "")) aria-current=[(only == "bad").then_some("true")] { "Not reachable" }
                }
                form action="/inventory" method="get" {
                    @if only == "bad" { input type="hidden" name="state" value="bad"; }
                    input type="search" name="find" value=(find) placeholder="name, address" aria-label="Find in the inventory";
                    button { "Find" }
                }
            }
            @if total == 0 { p { "It is empty: " code { "rib-ingester import inventory --help" } " says how to fill it." } }
            @else if shown.is_empty() { p.faint { @if only == "bad" && find.is_empty() { "Nothing is known to be unreachable." } @else { "Nothing matches." } } }
            @else {
                table.inventory {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "State" } th scope="col" { "Address" } th.number scope="col" { "Vantages" } th.number scope="col" { "Since" } th.wide scope="col" { "Note" } } }
                    tbody { @for entry in shown.iter().take(LINES_MAX) { (line(entry, now)) } }
                }
                @if shown.len() > LINES_MAX { p.faint { "and " (words::grouped((shown.len() - LINES_MAX) as u64)) " more: " code { "rib-ingester inventory" } " lists all." } }
            }
        }
    }
}

fn line(entry: &Entry, now: Timestamp) -> Markup {
    let color = match entry.state.as_str() {
        "reachable" => "ok",
        "default_only" => "warn",
        "unknown" => "none",
        _ => "bad",
    };
    let (known, bad) = entry.vantages;
    html! {
        tr {
            td.name.{ "depth" (entry.depth()) } { span.faint { (entry.kind) } " " b { (entry.name) } }
            td { (state(color, &entry.state.replace('_', " "))) }
            td.mono data-name="address" { (entry.address.as_deref().unwrap_or_default()) }
            td.number data-name="vantages" { @if bad > 0 { (bad) " of " } @if known > 0 { (known) } }
            td.number data-name="since" { @if entry.since.is_some() { (words::ago(now, entry.since)) } }
            td.wide { span.faint { (entry.note.as_deref().unwrap_or_default()) " " (entry.why.as_deref().unwrap_or_default()) } }
        }
    }
}
