//! Families that are not prefixes: their tables on the page of a router, and a page with the routes of one table.

use maud::{Markup, html};

use super::context::{Database, PageContext};
use super::layout::{Page, PageOf, href, pager, router_link, state, unread, wanted};
use super::words;
use crate::http::request::Request;
use crate::model::Timestamp;
use crate::store::nlri_pages::{self, NlriRoute, NlriTable};

/// Shows one page of the tables of a router; nothing if it has none.
pub(super) fn section(database: &Database, router: &str, request: &Request, link: &dyn Fn(usize) -> String) -> Markup {
    let slice = wanted(request, "nlri");
    let (tables, total) = match database.ask(|client| nlri_pages::tables(client, router, slice)) {
        Ok((_, 0)) => return html! {},
        Ok(found) => found,
        Err(why) => return unread("Its tables of other families", &why),
    };
    html! {
        section #nlri {
            h2 { "Other families" span.faint { (words::grouped(words::count(total))) } }
            table.tables {
                thead { tr {
                    th scope="col" { "State" } th scope="col" { "Table" } th.number scope="col" { "Routes" }
                } }
                tbody { @for table in &tables { (table_row(router, table)) } }
            }
            (pager("Pages of tables of other families", PageOf::of(slice, usize::try_from(total).unwrap_or(0)), link))
        }
    }
}

fn table_row(router: &str, table: &NlriTable) -> Markup {
    let NlriTable { view, peer, name, .. } = table;
    let target = href("/nlri", &[("id", router), ("view", view), ("peer", peer), ("table", name)], "");
    let standing = match (table.is_stale, table.is_complete) {
        (true, _) => state("warn", "stale"),
        (false, true) => state("ok", "in sync"),
        (false, false) => state("warn", "dumping"),
    };
    html! {
        tr {
            td { (standing) }
            td.name { a href=(target) { (name) } " " span.faint { (view) @if !peer.is_empty() { " of " (peer) } } }
            td.number data-name="routes" { (words::grouped(words::count(table.routes))) }
        }
    }
}

/// Shows the routes of one table.
pub(super) fn page(context: &PageContext, database: &Database, request: &Request) -> Page {
    let [id, view, peer, table] = ["id", "view", "peer", "table"].map(|name| request.value(name));
    let slice = wanted(request, "page");
    let found = database.ask(|client| nlri_pages::routes(client, [id, view, peer, table], slice));
    let name = context.router(id, None).name;
    let body = html! {
        h1 { (table) }
        section #routes {
            h2 { "Routes" @if let Ok((_, total)) = &found { span.faint { (words::grouped(words::count(*total))) } } }
            p { a href=(router_link(id)) { (name.as_deref().unwrap_or(id)) } " " span.faint { (view) @if !peer.is_empty() { " of " (peer) } } }
            @match &found {
                Ok((routes, total)) => {
                    @if routes.is_empty() { p.faint { "None." } } @else { (list(routes, Timestamp::now())) }
                    (pager("Pages of routes", PageOf::of(slice, usize::try_from(*total).unwrap_or(0)), &|page| {
                        href("/nlri", &[("id", id), ("view", view), ("peer", peer), ("table", table), ("page", &page.to_string())], "#routes")
                    }))
                },
                Err(why) => (unread("They", why)),
            }
        }
    };
    Page::new("Routes of another family", body)
}

fn list(routes: &[NlriRoute], now: Timestamp) -> Markup {
    html! {
        table.sessions {
            thead { tr {
                th scope="col" { "NLRI" } th scope="col" { "Next hop" } th scope="col" { "AS path" } th.number scope="col" { "Written" }
            } }
            tbody { @for route in routes {
                tr {
                    td.aspath { (route.key) @if route.path_id != 0 { " " span.faint { "path " (route.path_id) } } }
                    td.mono data-name="next hop" { (route.nexthop.as_deref().unwrap_or("")) }
                    td.aspath data-name="AS path" { (route.as_path.as_deref().unwrap_or("")) }
                    td.number data-name="written" { (words::ago(now, Some(route.updated_at))) }
                }
            } }
        }
    }
}
