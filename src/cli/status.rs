//! `status`: connected routers, their tables and the progress of their synchronization, days of history, refused
//! sources.

mod json;
mod router;
mod tables;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use clap::Args;
use indicatif::HumanBytes;

use self::tables::{FAMILIES, PEERS, TABLES, adj_ribs, ago, nlri_tables, or_dash, section, tables};
use super::command::{CommandError, Output, connect, counted, print, show};
use super::table::{self, Column, Table};
use super::unreached::{self, Unreached};
use crate::config::Settings;
use crate::config::print::wrap;
use crate::model::text::{printable, printable_json};
use crate::model::{RibKind, Timestamp};
use crate::store::Client;
use crate::store::orphans::{self, Orphans};
use crate::store::partitions::{Partition, PartitionState};
use crate::store::router_state::RouterState;
use crate::store::status::{self, RefusedSource, RouterStatus, Status};

/// The routers to show, and the output format.
#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    /// Show this router in full: its identifier, name or address
    router: Option<String>,
    /// Show only the routers that are not connected
    #[arg(long, conflicts_with = "router")]
    down: bool,
    /// Print one JSON object, times in UTC
    #[arg(long)]
    json: bool,
    /// Print repeatedly, with this many seconds in between
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
          value_parser = clap::value_parser!(u32).range(1..))]
    watch: Option<u32>,
}

/// Clears a terminal and moves the cursor to its upper left corner (ECMA-48: ED 2, CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Reads the database and prints, once or repeatedly.
pub(super) fn run(arguments: &StatusArguments, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "status")?;
    loop {
        let shown = look(arguments, &mut client, settings, table::line_width())?;
        let Some(seconds) = arguments.watch else { return print(&shown) };
        let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
        // A reader that stops early ends it.
        if show(&format!("{clear}{shown}"))? == Output::Closed {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(seconds.into()));
    }
}

fn look(
    arguments: &StatusArguments,
    client: &mut Client,
    settings: &Settings,
    width: Option<usize>,
) -> Result<String, CommandError> {
    let (json, text) = if let Some(name) = &arguments.router {
        let (now, details) = status::read_named(client, name)?;
        if details.is_empty() {
            let why = format!("no router is called {name}: no identifier, name or address matches");
            return Err(CommandError::Failed(why));
        }
        (json::details(now, &details), router::text(now, &details, width))
    } else if arguments.down {
        let (now, all, down) = status::read_down(client)?;
        (json::some(now, &all, &down), down_text(now, &all, &down, width))
    } else {
        let status = status::read(client)?;
        let unreached = unreached::read(client, settings)?;
        (json::all(&status, &unreached), text(&status, &unreached, width))
    };
    Ok(if arguments.json { printable_json(&format!("{json:#}\n")).into_owned() } else { text })
}

fn text(status: &Status, unreached: &[Unreached], width: Option<usize>) -> String {
    let sections = [
        ("ROUTERS", "no router has connected yet", routers(status.now, &status.routers)),
        (TABLES, "no tables are stored", tables(status.now, &status.routers)),
        (PEERS, "", adj_ribs(status.now, &status.adj_ribs)),
        (FAMILIES, "", nlri_tables(status.now, &status.nlri_tables)),
        ("HISTORY", "no partition exists yet", partitions(&status.partitions)),
    ];
    // Most collectors store one kind of RIB and prefixes only, and need no line about the others.
    let (has_adj_ribs, has_nlri) = (!status.adj_ribs.is_empty(), !status.nlri_tables.is_empty());
    let sections = sections.into_iter().filter(|(title, _, table)| match *title {
        PEERS => has_adj_ribs,
        FAMILIES => has_nlri,
        TABLES => !table.is_empty() || !has_adj_ribs && !has_nlri,
        _ => true,
    });
    let mut out = format!("{}\n\n", summary(&status.routers));
    for (title, none, table) in sections {
        out.push_str(&section(title, none, &table, width));
    }
    if !unreached.is_empty() {
        let lines: String = unreached.iter().map(|one| format!("{}\n", printable(&one.describe()))).collect();
        out.push_str(&format!("NOT REACHED (RIB_INGESTER_CONNECT)\n{lines}\n"));
    }
    out.push_str(&without_collector(&status.without_collector, width));
    out.push_str("REFUSED WITHIN A WEEK\n");
    out.push_str(&refused(&status.refused, status.now, width));
    out
}

fn down_text(now: Timestamp, all: &[RouterStatus], down: &[RouterStatus], width: Option<usize>) -> String {
    let none = if all.is_empty() { "no router has connected yet" } else { "all routers are connected" };
    format!("{}\n\n{}", summary(all), section("NOT CONNECTED", none, &routers(now, down), width).trim_end()) + "\n"
}

/// Formats `303 routers: 3 up, 0 dumping, 300 stale (routes expire from 2026-11-21 07:45:12 UTC)`.
fn summary(routers: &[RouterStatus]) -> String {
    let of = |state: RouterState| routers.iter().filter(move |router| router.standing.state == state);
    let part = |state: RouterState| {
        let count = of(state).count();
        let is_named = count > 0 || matches!(state, RouterState::Up | RouterState::Dumping | RouterState::Stale);
        let first = of(state).filter_map(|router| router.standing.expires_at).min();
        let first = first.map_or(String::new(), |first| format!(" (routes expire from {})", first.to_utc()));
        is_named.then(|| format!("{count} {}{first}", state.as_str()))
    };
    let parts: Vec<String> = RouterState::ALL.into_iter().filter_map(part).collect();
    format!("{}: {}", counted(routers.len() as u64, "router"), parts.join(", "))
}

fn routers(now: Timestamp, routers: &[RouterStatus]) -> Table {
    let mut columns = vec![
        ("state", Column::Word),
        ("router", Column::Word),
        ("address", Column::Word),
        ("hostname", Column::Text),
        ("AS", Column::Number),
        ("tables", Column::Number),
        ("routes", Column::Number),
        ("since", Column::Word),
        ("collector", Column::Text),
    ];
    // The column is omitted if all of them are Loc-RIB routes.
    let has_rib = routers.iter().any(|router| router.rib != RibKind::LocRib);
    if has_rib {
        columns.insert(7, ("RIB", Column::Word));
    }
    // The column is omitted if no router has routes of other families.
    let has_nlri = routers.iter().any(|router| router.nlri_routes > 0);
    if has_nlri {
        let place = columns.iter().position(|(title, _)| *title == "since").unwrap_or(columns.len());
        columns.insert(place, ("other families", Column::Number));
    }
    // The column is omitted if no router's routes are about to expire.
    if routers.iter().any(|router| router.standing.expires_at.is_some()) {
        columns.push(("routes expire", Column::Word));
    }
    // The column is omitted if no other collector has a session of any router.
    let has_standby = routers.iter().any(|router| router.standby.is_some());
    if has_standby {
        let place = columns.iter().position(|(title, _)| *title == "collector").map_or(columns.len(), |at| at + 1);
        columns.insert(place, ("standby", Column::Text));
    }
    let mut table = Table::new(&columns);
    for router in routers {
        let standing = &router.standing;
        let mut row = vec![
            standing.state.as_str().to_owned(),
            router.router_id.clone(),
            or_dash(router.address),
            or_dash(router.hostname.as_ref()),
            or_dash(router.as_number),
            router.table_count.to_string(),
            router.routes.to_string(),
            ago(now, standing.since.or(Some(router.last_seen))),
            or_dash(standing.session_collector.as_ref().or(router.collector_id.as_ref())),
            or_dash(standing.expires_at.map(Timestamp::to_utc)),
        ];
        if has_standby {
            row.insert(9, or_dash(router.standby.as_ref()));
        }
        if has_nlri {
            row.insert(7, router.nlri_routes.to_string());
        }
        if has_rib {
            row.insert(7, router.rib.as_str().to_owned());
        }
        table.push(row);
    }
    table
}

fn partitions(partitions: &[Partition]) -> Table {
    let mut table = Table::new(&[
        ("partition", Column::Word),
        ("day (UTC)", Column::Text),
        ("rows (estimate)", Column::Number),
        ("size", Column::Number),
        ("", Column::Text),
    ]);
    for partition in partitions {
        table.push([
            partition.name.clone(),
            partition.describe(),
            partition.rows.to_string(),
            HumanBytes(u64::try_from(partition.bytes).unwrap_or(0)).to_string(),
            state_word(partition.state).to_owned(),
        ]);
    }
    table
}

fn state_word(state: PartitionState) -> &'static str {
    match state {
        PartitionState::Attached => "",
        PartitionState::Detaching => "half detached",
        PartitionState::Detached => "being dropped",
    }
}

/// Lists routers whose collector is not alive, with the remedy; empty if there are none.
fn without_collector(all: &[Orphans], width: Option<usize>) -> String {
    const INDENT: &str = "    ";
    if all.is_empty() {
        return String::new();
    }
    let mut out = "WITHOUT A COLLECTOR\n".to_owned();
    for orphans in all {
        out.push_str(&format!("{}\n", printable(&orphans.describe())));
        let remedy = orphans::remedy(&orphans.collector);
        let width = width.map_or(usize::MAX, |width| width.saturating_sub(INDENT.len()));
        for line in wrap(&printable(&remedy), width) {
            out.push_str(&format!("{INDENT}{line}\n"));
        }
    }
    out.push('\n');
    out
}

/// Lists refused sources. The reason names the remedy, so it is wrapped rather than cut.
fn refused(sources: &[RefusedSource], now: Timestamp, width: Option<usize>) -> String {
    const INDENT: &str = "    ";
    if sources.is_empty() {
        return "nobody\n".to_string();
    }
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(INDENT.len()));
    let mut out = String::new();
    for source in sources {
        let times = counted(u64::try_from(source.times).unwrap_or(0), "time");
        out.push_str(&format!("{}  noted {times}, last {}\n", source.address, ago(now, Some(source.last_time))));
        for line in wrap(&printable(source.reason.as_deref().unwrap_or("no reason stored")), room) {
            out.push_str(&format!("{INDENT}{line}\n"));
        }
    }
    out
}
