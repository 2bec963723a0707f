//! `sessions`: those of the peering registry, and what the routers say of them.

use clap::Args;
use serde_json::json;

use super::command::{CommandError, connect, counted, print, say};
use super::table::{self, Column, Table};
use super::when;
use crate::config::Settings;
use crate::model::Timestamp;
use crate::model::text::printable_json;
use crate::model::time::age;
use crate::store::registry::list::{self, ListedSession, Uptime, Wanted};
use crate::store::slice::Slice;

/// The sessions to show.
#[derive(Args, Debug)]
pub struct SessionsArguments {
    /// Show only those that somebody should look at
    #[arg(long, conflicts_with = "uptime")]
    bad: bool,
    /// Show only those of this router: its name in the registry, or its identifier
    #[arg(long, value_name = "NAME")]
    router: Option<String>,
    /// Show for how long their peers were up, in a time up to now, as 24h or 30d
    #[arg(long, value_name = "DURATION")]
    uptime: Option<String>,
    /// Print an array of rows of `registry.sessions_overview`, or of times
    #[arg(long)]
    json: bool,
}

/// The largest number of sessions that are listed.
const LISTED_MAX: i64 = 100_000;

/// Lists sessions, or their uptime.
pub(super) fn run(arguments: &SessionsArguments, settings: &Settings) -> Result<(), CommandError> {
    let router = arguments.router.as_deref().unwrap_or_default();
    if let Some(text) = &arguments.uptime {
        let micros =
            when::duration(text).map_err(|why| CommandError::Configuration(vec![format!("--uptime: {why}")]))?;
        let seconds = micros / 1_000_000;
        let rows = list::uptime(&mut connect(settings, "sessions")?, seconds, router)?;
        return print(&if arguments.json { uptime_json(&rows, seconds) } else { uptime_text(&rows, seconds) });
    }
    let mut client = connect(settings, "sessions")?;
    let wanted = Wanted { is_bad: arguments.bad, router, find: "" };
    let (rows, total) = list::sessions(&mut client, wanted, Slice { size: LISTED_MAX, page: 0 })?;
    if arguments.json {
        let rows: Vec<&str> = rows.iter().map(|row| row.json.as_str()).collect();
        return print(&printable_json(&format!("[{}]\n", rows.join(",\n "))));
    }
    let (unregistered, is_written) = list::remarks(&mut client)?;
    print(&text(&rows, total, Timestamp::now()))?;
    if unregistered > 0 {
        let peers = counted(unregistered.unsigned_abs(), "peer");
        say(format_args!("{peers} up without a session: see registry.unregistered_peers"));
    }
    if !is_written {
        say("no status is written: see write_status and status_codes in docs/registry.md");
    }
    Ok(())
}

fn text(rows: &[ListedSession], total: i64, now: Timestamp) -> String {
    if rows.is_empty() {
        return "no session\n".to_owned();
    }
    let mut table = Table::new(&[
        ("router", Column::Text),
        ("AS", Column::Number),
        ("peer", Column::Word),
        ("status", Column::Word),
        ("verdict", Column::Word),
        ("for", Column::Word),
        ("up", Column::Word),
        ("routes", Column::Number),
        ("person", Column::Text),
        ("why", Column::Text),
    ]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for row in rows {
        let since = |since: Timestamp| {
            let micros = u64::try_from(now.unix_micros().saturating_sub(since.unix_micros())).unwrap_or(0);
            age(std::time::Duration::from_micros(micros))
        };
        let peers = row.up.zip(row.expected).map(|(up, expected)| format!("{up}/{expected}"));
        table.push([
            or_dash(row.router.clone()),
            row.asn.to_string(),
            or_dash(row.address.clone()),
            row.status.clone(),
            or_dash(row.verdict.clone()),
            or_dash(row.since.filter(|_| row.verdict.is_some()).map(since)),
            or_dash(peers),
            or_dash(row.routes.map(|routes| routes.to_string())),
            or_dash(row.person.clone()),
            row.reason.clone().or_else(|| row.error.clone()).unwrap_or_default(),
        ]);
    }
    let more = total - i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let more = if more > 0 { format!("and {more} more\n") } else { String::new() };
    table.render(table::line_width()) + &more
}

/// Returns the part of the time in which it was known that a peer was up; `None`: it never was.
fn availability(row: &Uptime, seconds: i64) -> Option<f64> {
    // A year has fewer seconds than f64 has whole numbers.
    let known = seconds as f64 - row.unknown;
    (known >= 1.0).then(|| (row.up / known).clamp(0.0, 1.0))
}

fn uptime_text(rows: &[Uptime], seconds: i64) -> String {
    if rows.is_empty() {
        return "no session has a peer that a router reports\n".to_owned();
    }
    let mut table = Table::new(&[
        ("router", Column::Text),
        ("AS", Column::Number),
        ("peer", Column::Word),
        ("up", Column::Number),
        ("downs", Column::Number),
        ("not known", Column::Number),
        ("person", Column::Text),
    ]);
    for row in rows {
        let percent = |part: f64| format!("{:.3} %", part * 100.0);
        table.push([
            row.router.clone().unwrap_or_else(|| "-".to_owned()),
            row.asn.to_string(),
            row.address.clone(),
            availability(row, seconds).map_or_else(|| "-".to_owned(), percent),
            row.downs.to_string(),
            percent(row.unknown / seconds as f64),
            row.person.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.render(table::line_width())
}

fn uptime_json(rows: &[Uptime], seconds: i64) -> String {
    let row = |row: &Uptime| {
        json!({"session_uuid": row.uuid, "router_name": row.router, "asn": row.asn, "person": row.person,
               "peer_address": row.address, "seconds": seconds, "up_secs": row.up, "unknown_secs": row.unknown,
               "availability": availability(row, seconds), "downs": row.downs})
        .to_string()
    };
    printable_json(&format!("[{}]\n", rows.iter().map(row).collect::<Vec<_>>().join(",\n "))).into_owned()
}
