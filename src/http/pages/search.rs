//! The search box: chooses the page for the text that was entered. An address or a prefix leads to its routes, a number
//! to an AS, and anything else to the name of a router or an AS. Text that matches only one of them leads directly to
//! its page.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use maud::html;

use super::context::{Database, PageContext};
use super::layout::{Made, Page, PageOf, counted, href, pager, router_link, search_help, unread, wanted};
use super::lookup::fitting;
use super::overview::{self, RouterLine};
use super::{asn, lookup};
use crate::http::request::Request;
use crate::model::Prefix;
use crate::store::names::{self, AsName};
use crate::store::status;

/// Parsed search text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Address(IpAddr),
    Prefix(Prefix),
    Asn(u32),
    Name,
}

pub(super) fn page(context: &PageContext, database: &Database, request: &Request) -> Made {
    let text = request.value("q");
    match Wanted::of(text) {
        Wanted::Prefix(prefix) => Made::Page(lookup::page(context, database, request, prefix)),
        Wanted::Address(address) => {
            // Links on the page of an address have more parameters than the address.
            if request.query.len() == 1
                && let Some(router) = router_at(context, database, address)
            {
                return Made::Elsewhere(router_link(&router));
            }
            Made::Page(lookup::page(context, database, request, fitting(address.into())))
        }
        Wanted::Asn(number) => Made::Page(asn::page(context, database, request, number)),
        Wanted::Name => by_name(context, database, request),
    }
}

impl Wanted {
    /// Parses the text. Host bits of a prefix are accepted here.
    fn of(text: &str) -> Wanted {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Wanted::Address(address);
        }
        match text.parse::<IpNet>() {
            Ok(net) => Wanted::Prefix(fitting(net)),
            Err(_) => as_number(text).map_or(Wanted::Name, Wanted::Asn),
        }
    }
}

/// Parses `AS64500`, `as 64500`, `64500`, or asdot (RFC 5396): `AS1.10`.
fn as_number(text: &str) -> Option<u32> {
    let digits = text.get(..2).filter(|start| start.eq_ignore_ascii_case("as")).map_or(text, |_| &text[2..]).trim();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match digits.split_once('.') {
        None if is_number(digits) => digits.parse().ok(),
        Some((high, low)) if is_number(high) && is_number(low) => {
            Some(u32::from(high.parse::<u16>().ok()?) << 16 | u32::from(low.parse::<u16>().ok()?))
        }
        None | Some(_) => None,
    }
}

/// Returns the only router that has this identifier or address.
fn router_at(context: &PageContext, database: &Database, address: IpAddr) -> Option<String> {
    let text = address.to_string();
    let stored = database.ask(|client| status::named(client, &text)).unwrap_or_default();
    let mut routers: BTreeSet<String> = stored.into_iter().map(|(router, _)| router.to_string()).collect();
    for (router, meter) in context.meters.routers() {
        if router.as_str() == text || meter.address() == Some(address) {
            routers.insert(router.to_string());
        }
    }
    // The identifier has precedence over the address: routers that share one address have different identifiers.
    if routers.contains(&text) {
        return Some(text);
    }
    routers.pop_first().filter(|_| routers.is_empty())
}

fn by_name(context: &PageContext, database: &Database, request: &Request) -> Made {
    let text = request.value("q");
    let (lines, wrong) = overview::lines(context, database);
    let is_called = |line: &&RouterLine| {
        line.id.as_str().eq_ignore_ascii_case(text)
            || line.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(text))
    };
    let called: Vec<&RouterLine> = lines.iter().filter(is_called).collect();
    let found: Vec<&RouterLine> = lines.iter().filter(|line| !text.is_empty() && line.has(text)).collect();
    let named = ases_like(database, text);
    match (called.as_slice(), found.as_slice(), named.as_slice()) {
        ([line], _, _) | (_, [line], []) => return Made::Elsewhere(router_link(line.id.as_str())),
        (_, [], [only]) => return Made::Elsewhere(as_link(only)),
        _ => {}
    }
    let shown = PageOf::of(wanted(request, "page"), found.len());
    let body = html! {
        section {
            h1 { @if text.is_empty() { "Search" } @else if !found.is_empty() { "Routers like " q { (text) } } @else if named.is_empty() { "Nothing found for " q { (text) } } @else { "No router like " q { (text) } } }
            @if let Some(why) = wrong { (unread("What the database knows", &why)) }
            @if found.is_empty() {
                @if !text.is_empty() && named.is_empty() {
                    p { "No router has this in its name, its identifier or its address, and it is neither an address, a prefix nor an AS." }
                }
                @if named.is_empty() { (search_help()) }
            } @else {
                p.faint { (counted(found.len(), "router")) }
                ul.found { @for line in found.iter().skip(shown.skipped()).take(super::layout::PER_PAGE) {
                    li { (line.standing.show()) " " a href=(router_link(line.id.as_str())) { (line.name.as_deref().unwrap_or(line.id.as_str())) }
                        " " span.faint.mono { (line.id.as_str()) } }
                } }
                (pager("Pages of routers", shown, &|page| href("/lookup", &[("q", text), ("page", &page.to_string())], "")))
            }
        }
        @if !named.is_empty() {
            section {
                h2 { "ASes like " q { (text) } }
                @if named.len() == super::layout::PER_PAGE { p.faint { "The first " (named.len()) "." } }
                ul.found { @for one in &named { li { a href=(as_link(one)) { "AS" (one.asn) } " " (one) } } }
            }
        }
    };
    Made::Page(Page::new(if text.is_empty() { "Search" } else { text }, body).searched(text))
}

/// Returns some of the ASes whose name contains the text; none if they cannot be read.
fn ases_like(database: &Database, text: &str) -> Vec<AsName> {
    if text.is_empty() {
        return Vec::new();
    }
    database.ask(|client| names::like(client, text, super::layout::PER_PAGE as i64)).unwrap_or_default()
}

fn as_link(named: &AsName) -> String {
    href("/lookup", &[("q", &format!("AS{}", named.asn))], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_an_address_prefix_asn_or_name() {
        let prefix = |text: &str| match Wanted::of(text) {
            Wanted::Address(address) => fitting(address.into()).to_string(),
            Wanted::Prefix(prefix) => prefix.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(prefix("198.51.100.7"), "198.51.100.7/32");
        assert_eq!(prefix("198.51.100.7/24"), "198.51.100.0/24");
        assert_eq!(prefix("2001:db8::1"), "2001:db8::1/128");
        for (text, number) in [
            ("AS64500", 64_500),
            ("as 64500", 64_500),
            ("64500", 64_500),
            ("0", 0),
            ("4294967295", u32::MAX),
            ("AS1.10", 65_546),
            ("65535.65535", u32::MAX),
        ] {
            assert_eq!(Wanted::of(text), Wanted::Asn(number), "{text}");
        }
        for text in
            ["", "as", "AS", "edge1", "4294967296", "AS-1", "+1", "1.65536", "1.2.3", ".1", "é", "aé", "as64500x"]
        {
            assert_eq!(Wanted::of(text), Wanted::Name, "{text}");
        }
    }
}
