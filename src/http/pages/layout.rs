//! The frame of every page: head, search box, foot, and the policy that lets nothing but its own style in.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::{Context, Page};
use crate::http::response::Response;
use crate::http::threads;

/// The whole style; there is no other file.
const STYLE: &str = include_str!("style.css");

/// No script, no image, no font, no frame; forms lead back here. The style is known by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// The page in its frame.
pub(super) fn whole(context: &Context, page: Page, took: Duration) -> Response {
    let wrong = wrong_parts(context);
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
                    a.brand href="/" { b { "rib-ingester" } span.faint { (context.collector_id) } }
                    @if wrong.is_empty() {
                        span.pill.ok { "collector in order" }
                    } @else {
                        span.pill.bad { "not ready" }
                    }
                }
                @if !wrong.is_empty() {
                    ul.notice { @for (part, why) in &wrong { li { b { (part) } ": " (why) } } }
                }
                main { (page.body) }
                footer {
                    span { "version " (env!("CARGO_PKG_VERSION")) }
                    a href="/metrics" { "metrics" }
                    a href="/readyz" { "health" }
                    span { "made in " (took.as_millis()) " ms" }
                }
            }
        }
    };
    Response::page(page.status, markup.into_string(), &POLICY)
}

fn wrong_parts(context: &Context) -> Vec<(&'static str, String)> {
    let mut parts = context.meters.parts();
    parts.insert("threads", threads(&context.meters));
    parts.into_iter().filter_map(|(name, part)| part.err().map(|why| (name, why))).collect()
}

/// The box that takes an address, a prefix or a router's name.
pub(super) fn search(value: &str) -> Markup {
    html! {
        form.search action="/lookup" method="get" role="search" {
            label for="q" { "Where does it go?" }
            div {
                input #q type="search" name="q" value=(value) placeholder="198.51.100.7, 2001:db8::/32 or a router's name"
                    autocomplete="off" autocapitalize="off" spellcheck="false";
                button { "Look up" }
            }
        }
    }
}

/// What could not be read, and why.
pub(super) fn unread(what: &str, why: &str) -> Markup {
    html! { p.unread { (what) " could not be read: " (why) } }
}

/// A colour with its word.
pub(super) fn state(class: &'static str, word: &str) -> Markup {
    html! { span class={ "state " (class) } { (word) } }
}
