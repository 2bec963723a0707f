//! Incidents: those that are open, those that are over, and what happened to one.

use maud::{Markup, html};

use super::context::{Database, PageContext};
use super::layout::{
    PER_PAGE, Page, PageOf, counted, href, is_web, pager, router_link, state, unread, wanted, watch_link,
};
use super::words;
use crate::http::request::Request;
use crate::model::Timestamp;
use crate::model::watch::Severity;
use crate::store::watch::incident_list::{self, ListedChange, ListedIncident};
use crate::store::watch::silences::{self, SilenceFilter, SilenceRow};

/// The number of open incidents on the first page.
const ON_FIRST_PAGE: usize = 10;

/// The largest number of changes of one incident that are shown.
const CHANGES_MAX: i64 = 200;

pub(super) fn page(context: &PageContext, database: &Database, request: &Request) -> Page {
    match request.value("id") {
        "" => list(database, request),
        id => match id.parse() {
            Ok(id) => one(context, database, id),
            Err(_) => none(id),
        },
    }
}

fn none(id: &str) -> Page {
    let body = html! {
        section { h1 { "Incident " (id) } p { "There is no such incident." } p { a href="/incidents" { "All incidents" } } }
    };
    Page { status: 404, ..Page::new("Incident", body) }
}

/// The address of an incident's own page.
fn link(id: i64) -> String {
    href("/incidents", &[("id", &id.to_string())], "")
}

fn list(database: &Database, request: &Request) -> Page {
    let now = Timestamp::now();
    let slice = wanted(request, "page");
    let open = database.ask(|client| incident_list::open(client, PER_PAGE as i64));
    let closed = database.ask(|client| incident_list::closed(client, slice));
    let silences = database.ask(|client| silences::list(client, SilenceFilter::Current));
    let body = html! {
        h1 { "Incidents" }
        section #open {
            h2 { "Open" @if let Ok((_, total)) = &open { span.faint { (words::grouped(words::count(*total))) } } }
            @match &open {
                Ok((rows, total)) => { (table(rows, now)) (beyond(rows.len(), *total)) },
                Err(why) => (unread("They", why)),
            }
        }
        @match &silences {
            Ok(silences) => @if !silences.is_empty() { section #silences { h2 { "Silences" } (planned(silences)) } },
            Err(why) => (unread("Silences", why)),
        }
        section #closed {
            h2 { "Over" @if let Ok((_, total)) = &closed { span.faint { (words::grouped(words::count(*total))) } } }
            @match &closed {
                Ok((rows, total)) => {
                    (table(rows, now))
                    @let total = usize::try_from(*total).unwrap_or(0);
                    (pager("Pages of closed incidents", PageOf::of(slice, total), &|page| {
                        href("/incidents", &[("page", &page.to_string())], "#closed")
                    }))
                },
                Err(why) => (unread("They", why)),
            }
        }
    };
    Page::new("Incidents", body)
}

/// Says how many incidents a list leaves out.
fn beyond(shown: usize, total: i64) -> Markup {
    let more = usize::try_from(total).unwrap_or(0).saturating_sub(shown);
    html! { @if more > 0 { p.faint { "and " (counted(more, "incident")) " more: " code { "rib-ingester incidents --all" } } } }
}

/// The open incidents on the first page; nothing if there are none.
pub(super) fn on_first_page(database: &Database) -> Markup {
    let now = Timestamp::now();
    match database.ask(|client| incident_list::open(client, ON_FIRST_PAGE as i64)) {
        Ok((rows, total)) => html! {
            @if total > 0 {
                section #incidents {
                    h2 { "Open incidents" span.faint { (words::grouped(words::count(total))) } }
                    (table(&rows, now))
                    @if words::count(total) > ON_FIRST_PAGE as u64 { p { a href="/incidents" { "All of them" } } }
                }
            }
        },
        Err(why) => unread("Incidents", &why),
    }
}

/// A severity in its color; a color alone says nothing to those who cannot see it.
fn severity(text: &str) -> Markup {
    match Severity::parse(text) {
        Some(Severity::Critical | Severity::Error) => state("bad", text),
        Some(Severity::Warning) => state("warn", text),
        Some(Severity::Info) | None => state("none", text),
    }
}

/// Incidents, each with a link to its own page. Incidents of a common cause are counted at it.
pub(super) fn table(rows: &[ListedIncident], now: Timestamp) -> Markup {
    html! {
        @if rows.is_empty() { p.faint { "None." } } @else {
            table.incidents {
                thead { tr { th scope="col" { "Severity" } th scope="col" { "Incident" } th scope="col" { "State" } th.number scope="col" { "Routers" } th.number scope="col" { "Since" } } }
                tbody { @for row in rows.iter().filter(|row| !is_counted_elsewhere(row, rows)) {
                    tr {
                        td { (severity(&row.severity)) }
                        td.name { a href=(link(row.id)) { (row.summary) }
                            @if row.children > 0 { span.faint { "and " (counted(usize::try_from(row.children).unwrap_or(0), "incident")) " below it" } } }
                        td data-name="state" { (row.state) (remarks(row)) }
                        td.number data-name="routers" { (row.affected) "/" (row.known) }
                        td.number data-name="since" { (words::ago(now, Some(row.cause_at))) }
                    }
                } }
            }
        }
    }
}

fn is_counted_elsewhere(row: &ListedIncident, rows: &[ListedIncident]) -> bool {
    row.closed_at.is_none() && row.parent_id.is_some_and(|parent| rows.iter().any(|row| row.id == parent))
}

/// The reason why an incident is not delivered or not judged.
fn remarks(row: &ListedIncident) -> Markup {
    html! {
        @if row.silence_id.is_some() { span.faint { ", silenced" } }
        @if row.is_baseline { span.faint { ", held when the watch was made" } }
        @if row.frozen_since.is_some() && row.closed_at.is_none() { span.faint { ", too few routers are known" } }
    }
}

fn planned(silences: &[SilenceRow]) -> Markup {
    html! {
        table.silences {
            thead { tr { th scope="col" { "State" } th scope="col" { "For" } th scope="col" { "From" } th scope="col" { "Until" } th scope="col" { "By" } } }
            tbody { @for silence in silences {
                tr {
                    td { (state(if silence.state == "active" { "warn" } else { "none" }, &silence.state)) }
                    td.name { b { (silence.scope) } span.faint { (silence.note) } }
                    td data-name="from" { (words::moment(silence.starts_at)) }
                    td data-name="until" { (words::moment(silence.ends_at)) }
                    td data-name="by" { (silence.created_by) }
                }
            } }
        }
    }
}

fn one(context: &PageContext, database: &Database, id: i64) -> Page {
    let row = match database.ask(|client| incident_list::numbered(client, id)) {
        Ok(Some(row)) => row,
        Ok(None) => return none(&id.to_string()),
        Err(why) => {
            let body = html! { section { h1 { "Incident " (id) } (unread("It", &why)) } };
            return Page { status: 503, ..Page::new("Incident", body) };
        }
    };
    let now = Timestamp::now();
    let changes = database.ask(|client| incident_list::changes(client, id, CHANGES_MAX));
    let children = database.ask(|client| incident_list::children(client, id, PER_PAGE as i64));
    let body = html! {
        section {
            h1 { (row.summary) }
            p { (severity(&row.severity)) " " (row.state) (remarks(&row)) }
            (facts(&row))
            @if let Some(url) = row.runbook_url.as_deref().filter(|url| is_web(url)) {
                p { a href=(url) rel="noreferrer" { "What to do" } }
            }
        }
        @if context.has_tokens && row.closed_at.is_none() { (buttons(id)) }
        @match &children {
            Ok(children) => @if !children.is_empty() {
                section { h2 { "Incidents of this cause" } (table(children, now)) (beyond(children.len(), row.children)) }
            },
            Err(why) => (unread("Incidents of this cause", why)),
        }
        section {
            h2 { "What happened" }
            @match &changes {
                Ok(changes) => (history(changes)),
                Err(why) => (unread("It", why)),
            }
        }
    };
    Page::new(format!("Incident {id}"), body)
}

/// The changes that somebody with a token may make.
fn buttons(id: i64) -> Markup {
    html! {
        section #change {
            h2 { "Change it" }
            form.change method="post" action="/incidents" {
                input type="hidden" name="id" value=(id);
                p { label for="note" { "Note" } " " input #note name="note" maxlength="1000" autocomplete="off"; }
                p {
                    button name="do" value="ack" { "Acknowledge" } " "
                    button name="do" value="snooze-hour" { "Snooze for an hour" } " "
                    button name="do" value="snooze-day" { "Snooze for a day" } " "
                    button name="do" value="close" { "Close" } " "
                    button name="do" value="accept" { "Accept as it is now" }
                }
            }
            p.faint { "The browser asks for a token of scope write: it is the password, the user does not matter." }
        }
    }
}

fn facts(row: &ListedIncident) -> Markup {
    let time = |name: &str, time: Option<Timestamp>| {
        html! { @if let Some(time) = time { div { dt { (name) } dd { (words::moment(time)) } } } }
    };
    html! {
        dl.facts {
            div { dt { "Watch" } dd { @match (&row.watch_id, &row.watch) {
                (Some(id), Some(name)) => a href=(watch_link(*id)) { (name) },
                (Some(_) | None, Some(_) | None) => span.faint { (words::NOTHING) },
            } } }
            @if let Some(team) = &row.team { div { dt { "Team" } dd { (team) } } }
            div { dt { "Condition" } dd { (row.condition.replace('_', " ")) @if !row.subject.is_empty() { " " span.mono { (row.subject) } } } }
            div { dt { "Routers" } dd { (row.affected) " of " (row.known) } }
            (time("Began", Some(row.cause_at)))
            (time("Opened", Some(row.opened_at)))
            @if let Some(who) = &row.acknowledged_by { div { dt { "Acknowledged by" } dd { (who) } } }
            (time("Snoozed until", row.snoozed_until))
            (time("Too few routers since", row.frozen_since.filter(|_| row.closed_at.is_none())))
            (time("Over since", row.over_since))
            (time("Closed", row.closed_at))
            @if let Some(parent) = row.parent_id { div { dt { "Common cause" } dd { a href=(link(parent)) { "incident " (parent) } } } }
        }
    }
}

fn history(changes: &[ListedChange]) -> Markup {
    html! {
        ol.events { @for change in changes {
            li {
                (words::moment(change.at))
                div {
                    b { (change.event) } " " @if let Some(who) = &change.who { "by " (who) " " }
                    @if let Some(note) = &change.note { (note) " " }
                    span.faint { (change.summary) @if !change.is_told { " (not delivered)" } }
                }
            }
        } }
        @if changes.is_empty() { p.faint { "Nothing is recorded." } }
    }
}

/// The routers of conditions, each linked to its page.
pub(super) fn router(id: &str, name: Option<&str>) -> Markup {
    html! { a href=(router_link(id)) { (name.unwrap_or(id)) } @if name.is_some() { " " span.faint { (id) } } }
}
