//! Teams that share the collector, and how one of them does.

use maud::{Markup, html};

use super::context::Database;
use super::layout::{Page, PageOf, href, pager, state, unread, wanted};
use super::words;
use crate::http::request::Request;
use crate::model::Timestamp;
use crate::store::tenants::overview::{
    self, DayOf, ListedResource, ListedTeam, TeamIncident, TeamOverview, UnwatchedRecord,
};

pub(super) fn page(database: &Database, request: &Request) -> Page {
    match request.value("id") {
        "" => list(database, request),
        id => one(database, id),
    }
}

fn none() -> Page {
    let body = html! {
        section { h1 { "Team" } p { "There is no such team." } p { a href="/tenants" { "All teams" } } }
    };
    Page { status: 404, ..Page::new("Team", body) }
}

fn list(database: &Database, request: &Request) -> Page {
    let slice = wanted(request, "page");
    let found = database.ask(|client| overview::teams(client, slice));
    let body = html! {
        h1 { "Teams" }
        section #teams {
            h2 { "All" @if let Ok((_, total)) = &found { span.faint { (words::grouped(words::count(*total))) } } }
            @match &found {
                Ok((rows, total)) => {
                    @if rows.is_empty() { p { "No team yet: " code { "rib-ingester import tenants" } " or SQL makes them." } }
                    @else { (teams(rows)) }
                    (pager("Pages of teams", PageOf::of(slice, usize::try_from(*total).unwrap_or(0)), &|page| {
                        href("/tenants", &[("page", &page.to_string())], "#teams")
                    }))
                },
                Err(why) => (unread("They", why)),
            }
        }
    };
    Page::new("Teams", body)
}

/// A severity in its color.
fn severity(text: &str) -> Markup {
    match text {
        "critical" => state("bad", text),
        "major" | "minor" => state("warn", text),
        other => state("none", other),
    }
}

fn teams(rows: &[ListedTeam]) -> Markup {
    html! {
        table.teams {
            thead { tr { th scope="col" { "State" } th scope="col" { "Team" } th.number scope="col" { "Incidents" } th.number scope="col" { "Resources" } th.number scope="col" { "Domains" } th.number scope="col" { "Watched" } th.number scope="col" { "Not permitted" } } }
            tbody { @for row in rows {
                tr {
                    td { @match &row.worst { Some(worst) => (severity(worst)), None => (state("ok", "quiet")) } }
                    td.name { a href=(href("/tenants", &[("id", &row.id)], "")) { (row.name) } " " span.faint { (row.id) } }
                    td.number data-name="incidents" { (row.incidents) }
                    td.number data-name="resources" { (row.resources) }
                    td.number data-name="domains" { (row.domains) }
                    td.number data-name="watched" { (row.watched) }
                    td.number data-name="not permitted" { (row.not_permitted) }
                }
            } }
        }
    }
}

fn one(database: &Database, id: &str) -> Page {
    let found = database.ask(|client| {
        let found = overview::find(client, id)?;
        found.map(|id| overview::of_team(client, &id)).transpose()
    });
    match found {
        Ok(Some(team)) => Page::new(format!("Team {id}"), body(id, &team)),
        Ok(None) => none(),
        Err(why) => {
            let body = html! { section { h1 { "Team" } (unread("It", &why)) } };
            Page { status: 503, ..Page::new("Team", body) }
        }
    }
}

fn body(id: &str, team: &TeamOverview) -> Markup {
    html! {
        section { h1 { "Team " (id) } p { a href="/tenants" { "All teams" } } }
        section #incidents { h2 { "Incidents" } (incidents(&team.incidents)) }
        section #resources { h2 { "Resources" } (resources(&team.resources)) }
        section #day { h2 { "Last day" } (day(&team.day)) }
        @if !team.unwatched.is_empty() { section #unwatched { h2 { "Records that are not watched" } (unwatched(&team.unwatched)) } }
    }
}

fn incidents(rows: &[TeamIncident]) -> Markup {
    let now = Timestamp::now();
    html! {
        @if rows.is_empty() { p.faint { "None." } } @else {
            table.incidents {
                thead { tr { th scope="col" { "Severity" } th scope="col" { "Incident" } th scope="col" { "State" } th scope="col" { "About" } th.number scope="col" { "Since" } } }
                tbody { @for row in rows {
                    tr {
                        td { @if row.state == "resolved" { (state("none", &row.severity)) } @else { (severity(&row.severity)) } }
                        td.name { @match row.incident_id {
                            Some(id) => a href=(href("/incidents", &[("id", &id.to_string())], "")) { (row.title) },
                            None => (row.title),
                        } }
                        td data-name="state" { (row.state) }
                        td data-name="about" { (row.about.as_deref().unwrap_or(words::NOTHING)) }
                        td.number data-name="since" { (words::ago(now, Some(row.opened_at))) }
                    }
                } }
            }
        }
    }
}

fn resources(rows: &[ListedResource]) -> Markup {
    html! {
        @if rows.is_empty() { p.faint { "None: nothing of this team can be watched or looked up." } } @else {
            table.resources {
                thead { tr { th scope="col" { "Prefix" } th scope="col" { "Origin" } th.number scope="col" { "Announced" } th.number scope="col" { "Routers" } th.wide scope="col" { "RPKI" } th scope="col" { "Blackholed" } } }
                tbody { @for row in rows {
                    tr {
                        td.mono { (row.prefix) }
                        td data-name="origin" { @match row.origin_asn { Some(asn) => { "AS" (asn) }, None => "any" } }
                        td.number data-name="announced" { (row.announced) }
                        td.number data-name="routers" { (row.routers) }
                        td.wide data-name="rpki" { @let [valid, invalid, not_found] = row.rpki; (valid) " valid, " (invalid) " invalid, " (not_found) " not found" }
                        td.mono data-name="blackholed" { (row.blackholed.join(" ")) }
                    }
                } }
            }
        }
    }
}

fn day(rows: &[DayOf]) -> Markup {
    html! {
        @if rows.is_empty() { p.faint { "No change of a route." } } @else {
            table.day {
                thead { tr { th scope="col" { "Domain or resource" } th.number scope="col" { "Announcements" } th.number scope="col" { "Withdrawals" } th.number scope="col" { "Path changes" } th.number scope="col" { "Unreachable" } } }
                tbody { @for row in rows {
                    tr {
                        td.name { (row.about) }
                        td.number data-name="announcements" { (row.announcements) }
                        td.number data-name="withdrawals" { (row.withdrawals) }
                        td.number data-name="path changes" { (row.path_changes) }
                        td.number data-name="unreachable" { (row.unreachable_secs) " s" }
                    }
                } }
            }
            @if rows.iter().any(|row| !row.has_history) { p.faint { "The history of a router was off: its changes are not counted." } }
        }
    }
}

fn unwatched(rows: &[UnwatchedRecord]) -> Markup {
    html! {
        table.records {
            thead { tr { th scope="col" { "Domain" } th scope="col" { "Record" } th scope="col" { "Content" } th scope="col" { "State" } } }
            tbody { @for row in rows {
                tr {
                    td.name { (row.hostname) }
                    td data-name="record" { (row.name) " " (row.kind) }
                    td.mono data-name="content" { (row.content) }
                    td data-name="state" { (row.state.replace('_', " ")) }
                }
            } }
        }
    }
}
