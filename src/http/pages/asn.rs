//! An AS: its routers, the peers in it, and the prefixes that it originates.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::context::{Database, PageContext};
use super::layout::{PER_PAGE, Page, PageOf, counted, href, pager, router_link, search_help, unread, wanted};
use super::overview::{self, RouterLine};
use super::router::peer_state;
use super::words;
use crate::http::request::Request;
use crate::model::Timestamp;
use crate::store::names;
use crate::store::pages::{self, COUNTED_MAX, OriginRow, Origins, PeersOfAs};

pub(super) fn page(context: &PageContext, database: &Database, request: &Request, number: u32) -> Page {
    let (lines, wrong) = overview::lines(context, database);
    let (prefixes_wanted, peers_wanted) = (wanted(request, "prefixes"), wanted(request, "peers"));
    let origins = database.ask(|client| pages::origins(client, number, prefixes_wanted));
    let peers = database.ask(|client| pages::peers_of_as(client, number, peers_wanted));
    let named = database.ask(|client| names::names(client, &[number].into(), &BTreeSet::new())).unwrap_or_default();
    let routers: Vec<&RouterLine> = lines.iter().filter(|line| line.as_number == Some(i64::from(number))).collect();
    let text = request.value("q");
    let is_empty = routers.is_empty()
        && origins.as_ref().is_ok_and(|origins| origins.rows.is_empty())
        && peers.as_ref().is_ok_and(|peers| peers.rows.is_empty());
    let link =
        |name: &str, fragment: &str, page: usize| href("/lookup", &[("q", text), (name, &page.to_string())], fragment);
    let body = html! {
        section {
            h1 { "AS" (number) @if let Some(name) = named.of_as(number.into()) { " " span.faint { (name) } } }
            @if let Some(why) = wrong { (unread("What the database knows of routers", &why)) }
            @if is_empty {
                p { "No router is in this AS, no peer is, and no stored route originates from it." }
                (search_help())
            } @else if routers.is_empty() {
                p.faint { "None of the routers is in this AS." }
            } @else {
                (routers_of(&routers, number))
            }
        }
        @if !is_empty {
            section #prefixes {
                h2 { "Prefixes that it originates" @if let Ok(origins) = &origins { span.faint { (total(origins.prefixes, origins.is_cut)) } } }
                @match &origins {
                    Err(why) => (unread("They", why)),
                    Ok(origins) => {
                        (prefixes(origins))
                        (pager("Pages of prefixes", PageOf::of(prefixes_wanted, total_of(origins.prefixes)), &|page| link("prefixes", "#prefixes", page)))
                    }
                }
            }
            section #peers {
                h2 { "Peers in it" @if let Ok(peers) = &peers { span.faint { (total(peers.peers, peers.is_cut)) } } }
                @match &peers {
                    Err(why) => (unread("They", why)),
                    Ok(peers) => {
                        (peers_in(peers, Timestamp::now()))
                        (pager("Pages of peers", PageOf::of(peers_wanted, total_of(peers.peers)), &|page| link("peers", "#peers", page)))
                    }
                }
            }
        }
    };
    Page::new(format!("AS{number}"), body).searched(text)
}

fn total_of(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// Formats a count, with "or more" if it was cut at the limit.
fn total(count: i64, is_cut: bool) -> String {
    let count = words::grouped(words::count(count));
    if is_cut { format!("{count} or more") } else { count }
}

fn routers_of(routers: &[&RouterLine], number: u32) -> Markup {
    html! {
        p.faint { (counted(routers.len(), "router")) " in this AS" }
        ul.found { @for line in routers.iter().take(PER_PAGE) {
            li { (line.standing.show()) " " a href=(router_link(line.id.as_str())) { (line.name.as_deref().unwrap_or(line.id.as_str())) }
                " " span.faint.mono { (line.id.as_str()) } }
        } }
        @if routers.len() > PER_PAGE {
            p { a href=(href("/", &[("find", &format!("AS{number}"))], "#routers")) { "All of them" } }
        }
    }
}

fn prefixes(origins: &Origins) -> Markup {
    if origins.rows.is_empty() {
        return html! { p.faint { "No stored route originates from it." } };
    }
    /// Title, short name, and the paths in RIBs of this kind.
    type Kind = (&'static str, &'static str, fn(&OriginRow) -> i64);
    let kinds: [Kind; 3] = [
        ("Loc-RIB paths", "Loc-RIB", |row| row.loc_rib),
        ("Adj-RIB-In paths", "Adj-RIB-In", |row| row.received),
        ("Adj-RIB-Out paths", "Adj-RIB-Out", |row| row.sent),
    ];
    // Many routers send one kind only.
    let kinds: Vec<Kind> =
        kinds.into_iter().filter(|(_, _, paths)| origins.rows.iter().any(|row| paths(row) > 0)).collect();
    html! {
        @if origins.is_cut {
            p.faint { "Of each kind of RIB " (words::grouped(words::count(COUNTED_MAX))) " routes are counted; this AS has more." }
        }
        table.origins {
            thead { tr {
                th scope="col" { "Prefix" } th.number scope="col" { "Routers" }
                @for (title, ..) in &kinds { th.number scope="col" { (title) } }
            } }
            tbody { @for row in &origins.rows {
                tr {
                    td.name { a.mono href=(href("/lookup", &[("q", &row.prefix)], "")) { (row.prefix) } }
                    td.number data-name="routers" { (words::grouped(words::count(row.routers))) }
                    @for (_, name, paths) in &kinds { td.number data-name=(name) { (words::grouped(words::count(paths(row)))) } }
                }
            } }
        }
    }
}

fn peers_in(peers: &PeersOfAs, now: Timestamp) -> Markup {
    if peers.rows.is_empty() {
        return html! { p.faint { "No router has a peer in it." } };
    }
    html! {
        table.peers {
            thead { tr { th scope="col" { "State" } th scope="col" { "Peer" } th scope="col" { "Router" } th.number scope="col" { "Since" } } }
            tbody { @for peer in &peers.rows {
                tr {
                    td { (peer_state(&peer.state)) }
                    td.name { b.mono { (peer.address) } span.faint { (peer.description.as_deref().unwrap_or("")) } }
                    td { a href=(router_link(&peer.router_id)) { (peer.hostname.as_deref().unwrap_or(&peer.router_id)) } }
                    td.number data-name="since" { (words::ago(now, Some(peer.since))) }
                }
            } }
        }
    }
}
