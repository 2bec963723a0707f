//! The frame of every page: header, search box, footer, and the content security policy that permits only its own
//! style; and the elements that pages share.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::words;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::metrics::Meters;
use crate::model::Timestamp;
use crate::model::watch::WatchId;
use crate::store::slice::Slice;

/// A page without its frame.
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) title: String,
    /// The text that is kept in the search box.
    pub(super) query: String,
    pub(super) body: Markup,
}

/// The result of a request.
pub(super) enum Made {
    Page(Page),
    /// A redirect to another page: its path and query.
    Elsewhere(String),
}

impl Page {
    pub(super) fn new(title: impl Into<String>, body: Markup) -> Page {
        Page { status: 200, title: title.into(), query: String::new(), body }
    }

    pub(super) fn searched(self, query: &str) -> Page {
        Page { query: query.to_owned(), ..self }
    }
}

/// The pages that every page leads to.
const SITE: [(&str, &str); 7] = [
    ("/", "Overview"),
    ("/#routers", "Routers"),
    ("/incidents", "Incidents"),
    ("/watches", "Watches"),
    ("/sessions", "Sessions"),
    ("/inventory", "Inventory"),
    ("/tenants", "Tenants"),
];

/// The whole style sheet; there is no other file.
const STYLE: &str = include_str!("style.css");

/// The content security policy: no script, image, font or frame; forms only submit to this site. The style sheet is
/// permitted by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// Returns the page in its frame; `took` is the rendering time, where it is meaningful.
pub(super) fn whole(meters: &Meters, collector_id: &str, page: Page, took: Option<Duration>) -> Response {
    let wrong = wrong_parts(meters);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (page.title) " · rib-ingester" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a.brand href="/" { b { "rib-ingester" } span.faint { (collector_id) } }
                    nav aria-label="Site" { @for (href, name) in SITE { a href=(href) { (name) } } }
                    @if wrong.is_empty() {
                        span.pill.ok { "collector in order" }
                    } @else {
                        span.pill.bad { "not ready" }
                    }
                }
                (search(&page.query))
                main {
                    @if !wrong.is_empty() {
                        ul.notice { @for (part, why) in &wrong { li { b { (part) } ": " (why) } } }
                    }
                    (page.body)
                }
                footer {
                    span { "version " (env!("CARGO_PKG_VERSION")) }
                    a href="/metrics" { "metrics" }
                    a href="/readyz" { "health" }
                    span { "as of " (words::moment(Timestamp::now()))
                        @if let Some(took) = took { ", made in " (took.as_millis()) " ms" } }
                }
            }
        }
    };
    Response::page(page.status, markup.into_string(), &POLICY)
}

fn wrong_parts(meters: &Meters) -> Vec<(&'static str, String)> {
    let mut parts = meters.parts();
    parts.insert("threads", meters.threads());
    parts.into_iter().filter_map(|(name, part)| part.err().map(|why| (name, why))).collect()
}

/// The box that accepts an address, a prefix, an AS or a router's name.
fn search(value: &str) -> Markup {
    html! {
        form.search action="/lookup" method="get" role="search" {
            label for="q" { "Find an address, a prefix, an AS or a router" }
            div {
                input #q type="search" name="q" value=(value) placeholder="198.51.100.7, 2001:db8::/32, AS64500, edge1"
                    autocomplete="off" autocapitalize="off" spellcheck="false";
                button { "Search" }
            }
        }
    }
}

/// Lists the inputs that the search box accepts.
pub(super) fn search_help() -> Markup {
    html! {
        p { "The search box takes:" }
        ul.found {
            li { "an address or a prefix, as " code { "198.51.100.7" } " or " code { "2001:db8::/32" } ": its longest match on every router, and its history" }
            li { "an AS, as " code { "AS64500" } " or " code { "64500" } ": the prefixes that it originates, its routers, and the peers in it" }
            li { "a router's name, identifier or address, or a part of one" }
        }
        p { a href="/#routers" { "All routers" } }
    }
}

/// A note that something could not be read, and why.
pub(super) fn unread(subject: &str, why: &str) -> Markup {
    html! { p.unread { (subject) " could not be read: " (why) } }
}

/// A word in its color.
pub(super) fn state(class: &'static str, word: &str) -> Markup {
    html! { span class={ "state " (class) } { (word) } }
}

/// Returns a path whose query has the values that are not empty.
pub(super) fn href(path: &str, values: &[(&str, &str)], fragment: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    values.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| {
        query.append_pair(name, value);
    });
    format!("{path}?{}{fragment}", query.finish())
}

/// Returns the address of a router's own page.
pub(super) fn router_link(id: &str) -> String {
    href("/router", &[("id", id)], "")
}

/// Returns the address of a watch's own page.
pub(super) fn watch_link(id: WatchId) -> String {
    href("/watches", &[("id", &id.to_string())], "")
}

/// Returns whether an address may be linked: one of another scheme could run a script.
pub(super) fn is_web(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme))
}

/// The number of rows on one page of a list.
pub(super) const PER_PAGE: usize = 100;

/// Returns the page of a list that the request asks for: the value of `name`, counted from 1.
pub(super) fn wanted(request: &Request, name: &str) -> Slice {
    let page = request.value(name).parse::<u32>().map_or(0, |page| i64::from(page.saturating_sub(1)));
    Slice { size: PER_PAGE as i64, page }
}

/// The shown page and the number of pages, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageOf {
    pub(super) page: usize,
    pub(super) pages: usize,
}

impl PageOf {
    /// Returns the wanted page of a list of `total` rows, or the last one.
    pub(super) fn of(slice: Slice, total: usize) -> PageOf {
        let pages = total.div_ceil(PER_PAGE).max(1);
        let page = usize::try_from(slice.page).map_or(pages, |page| page.saturating_add(1)).min(pages);
        PageOf { page, pages }
    }

    /// Returns the number of rows before the page, for a list in memory.
    pub(super) fn skipped(self) -> usize {
        (self.page - 1) * PER_PAGE
    }
}

/// Links to the previous and next pages; nothing if there is only one page. `label` distinguishes the lists of one
/// page.
pub(super) fn pager(label: &str, shown: PageOf, link: &dyn Fn(usize) -> String) -> Markup {
    let PageOf { page, pages } = shown;
    html! {
        @if pages > 1 {
            nav.pager aria-label=(label) {
                @if page > 1 { a href=(link(page - 1)) rel="prev" { "← previous" } } @else { span {} }
                span.faint { "page " (page) " of " (pages) }
                @if page < pages { a href=(link(page + 1)) rel="next" { "next →" } } @else { span {} }
            }
        }
    }
}

/// Formats a count: `1 path`, `2 paths`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", words::grouped(count as u64), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_beyond_the_end_is_the_last_one() {
        let slice = |page| Slice { size: 100, page };
        let shown = |page, total| {
            let PageOf { page, pages } = PageOf::of(slice(page), total);
            (page, pages)
        };
        assert_eq!([shown(0, 0), shown(0, 100), shown(0, 101)], [(1, 1), (1, 1), (1, 2)]);
        assert_eq!([shown(1, 101), shown(7, 101), shown(i64::MAX, 101)], [(2, 2), (2, 2), (2, 2)]);
        assert_eq!(PageOf::of(slice(1), 101).skipped(), 100);
    }

    #[test]
    fn links_carry_what_is_not_empty() {
        assert_eq!(href("/lookup", &[("q", "a&b"), ("page", ""), ("hours", "24")], "#x"), "/lookup?q=a%26b&hours=24#x");
    }
}
