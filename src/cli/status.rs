//! `status`: routers, their tables and how far each is synchronised, days of history, refused sources.

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::table::{self, Column, Table};
use super::{Failure, Shown, connect, counted, print, show};
use crate::config::Settings;
use crate::config::print::wrap;
use crate::model::Timestamp;
use crate::model::text::{printable, printable_json};
use crate::store::partitions::{Partition, State};
use crate::store::status::{self, AdjRibStatus, RefusedSource, RouterStatus, Status, TableStatus};

/// How to print it.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Print one JSON object, times in UTC
    #[arg(long)]
    json: bool,
    /// Print it again and again, with so many seconds in between
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
          value_parser = clap::value_parser!(u32).range(1..))]
    watch: Option<u32>,
}

/// Clears a terminal and goes to its upper left corner (ECMA-48: ED 2, CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Reads the database and prints, once or again and again.
pub(super) fn run(arguments: &Arguments, settings: &Settings) -> Result<(), Failure> {
    let mut client = connect(settings, "status")?;
    loop {
        let status = status::read(&mut client)?;
        let shown = if arguments.json {
            printable_json(&format!("{:#}\n", json(&status))).into_owned()
        } else {
            text(&status, table::line_width())
        };
        let Some(seconds) = arguments.watch else { return print(&shown) };
        let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
        // A reader that has seen enough ends it.
        if show(&format!("{clear}{shown}"))? == Shown::ToNobody {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(seconds.into()));
    }
}

/// The title of the section on Adj-RIBs.
const NEIGHBOURS: &str = "TABLES OF NEIGHBOURS";

fn text(status: &Status, width: Option<usize>) -> String {
    let sections = [
        ("ROUTERS", "no router has connected yet", routers(status)),
        ("TABLES", "no table is held", tables(status)),
        (NEIGHBOURS, "", adj_ribs(status)),
        ("HISTORY", "no partition exists yet", partitions(&status.partitions)),
    ];
    // Most collectors store none, and need no line about it.
    let sections = sections.into_iter().filter(|(title, ..)| *title != NEIGHBOURS || !status.adj_ribs.is_empty());
    let mut out: String = sections
        .map(|(title, none, table)| {
            let body = if table.is_empty() { format!("{none}\n") } else { table.render(width) };
            format!("{title}\n{body}\n")
        })
        .collect();
    out.push_str("REFUSED WITHIN A WEEK\n");
    out.push_str(&refused(&status.refused, status.now, width));
    out
}

fn routers(status: &Status) -> Table {
    let mut table = Table::new(&[
        ("state", Column::Word),
        ("router", Column::Word),
        ("address", Column::Word),
        ("hostname", Column::Text),
        ("AS", Column::Number),
        ("tables", Column::Number),
        ("routes", Column::Number),
        ("since", Column::Word),
        ("collector", Column::Text),
    ]);
    for router in &status.routers {
        let routes: i64 = router.tables.iter().map(|table| table.routes).sum();
        table.push([
            or_dash(router.session_state.as_ref()),
            router.router_id.clone(),
            or_dash(router.address),
            or_dash(router.hostname.as_ref()),
            or_dash(router.as_number),
            router.tables.len().to_string(),
            routes.to_string(),
            ago(status.now, router.session_since.or(Some(router.last_seen))),
            or_dash(router.collector_id.as_ref()),
        ]);
    }
    table
}

fn tables(status: &Status) -> Table {
    let mut out = Table::new(&[
        ("router", Column::Word),
        ("table", Column::Text),
        ("family", Column::Word),
        ("routes", Column::Number),
        ("sync", Column::Word),
        ("last stored", Column::Word),
        ("last in history", Column::Word),
    ]);
    for router in &status.routers {
        for table in &router.tables {
            out.push([
                router.router_id.clone(),
                table.name.clone(),
                table.afi.to_string(),
                table.routes.to_string(),
                sync(status.now, table),
                ago(status.now, table.last_parsed_msg_time),
                ago(status.now, table.last_raw_msg_time),
            ]);
        }
    }
    out
}

fn adj_ribs(status: &Status) -> Table {
    let mut out = Table::new(&[
        ("router", Column::Word),
        ("view", Column::Word),
        ("table", Column::Text),
        ("family", Column::Word),
        ("neighbours", Column::Number),
        ("EoR", Column::Number),
        ("routes", Column::Number),
        ("last stored", Column::Word),
    ]);
    for one in &status.adj_ribs {
        out.push([
            one.router_id.clone(),
            one.view.clone(),
            one.name.clone(),
            one.afi.to_string(),
            one.neighbours.to_string(),
            one.synchronised.to_string(),
            one.routes.to_string(),
            ago(status.now, one.last_parsed_msg_time),
        ]);
    }
    out
}

fn sync(now: Timestamp, table: &TableStatus) -> String {
    if table.eor_seen {
        return format!("EoR {}", ago(now, table.eor_time));
    }
    if table.synced_at.is_some() {
        return format!("complete {}", ago(now, table.synced_at));
    }
    match table.session_start_time {
        Some(start) => format!("no EoR, began {}", ago(now, Some(start))),
        None => "no EoR".to_string(),
    }
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
            table::bytes(u64::try_from(partition.bytes).unwrap_or(0)),
            state_word(partition.state).to_owned(),
        ]);
    }
    table
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Attached => "",
        State::Detaching => "half detached",
        State::Detached => "being dropped",
    }
}

/// The reason names the remedy, so it is wrapped rather than cut.
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

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_string(), |value| value.to_string())
}

fn ago(now: Timestamp, time: Option<Timestamp>) -> String {
    let Some(time) = time else { return "-".to_string() };
    // Rows committed while the clock was read may be a little younger than it.
    let micros = u64::try_from(now.unix_micros() - time.unix_micros()).unwrap_or(0);
    format!("{} ago", table::age(Duration::from_micros(micros)))
}

fn json(status: &Status) -> Value {
    json!({
        "now": status.now.to_string(),
        "routers": status.routers.iter().map(router_json).collect::<Vec<_>>(),
        "adj_ribs": status.adj_ribs.iter().map(adj_rib_json).collect::<Vec<_>>(),
        "partitions": status.partitions.iter().map(partition_json).collect::<Vec<_>>(),
        "refused": status.refused.iter().map(refused_json).collect::<Vec<_>>(),
    })
}

fn router_json(router: &RouterStatus) -> Value {
    json!({
        "router_id": router.router_id,
        "router_ip": router.address.map(|address| address.to_string()),
        "hostname": router.hostname,
        "as_number": router.as_number,
        "description": router.description,
        "first_seen": router.first_seen.to_string(),
        "last_seen": router.last_seen.to_string(),
        "collector_id": router.collector_id,
        "session_state": router.session_state,
        "session_since": router.session_since.map(|time| time.to_string()),
        "tables": router.tables.iter().map(table_json).collect::<Vec<_>>(),
    })
}

fn table_json(table: &TableStatus) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "table_name": table.name,
        "afi": table.afi.column(),
        "routes": table.routes,
        "eor_seen": table.eor_seen,
        "eor_time": time(table.eor_time),
        "synced_at": time(table.synced_at),
        "session_start_time": time(table.session_start_time),
        "last_parsed_msg_time": time(table.last_parsed_msg_time),
        "last_raw_msg_time": time(table.last_raw_msg_time),
    })
}

fn adj_rib_json(one: &AdjRibStatus) -> Value {
    json!({
        "router_id": one.router_id,
        "view": one.view,
        "table_name": one.name,
        "afi": one.afi.column(),
        "neighbours": one.neighbours,
        "synchronised": one.synchronised,
        "routes": one.routes,
        "last_parsed_msg_time": one.last_parsed_msg_time.map(|time| time.to_string()),
    })
}

fn partition_json(partition: &Partition) -> Value {
    json!({
        "name": partition.name,
        "day": partition.day().map(|day| day.to_string()),
        "from": partition.starts.map(|time| time.to_string()),
        "to": partition.stops.map(|time| time.to_string()),
        "default": partition.is_default,
        "rows": partition.rows,
        "bytes": partition.bytes,
        "attached": partition.state == State::Attached,
    })
}

fn refused_json(source: &RefusedSource) -> Value {
    json!({
        "address": source.address.to_string(),
        "times": source.times,
        "last_time": source.last_time.to_string(),
        "reason": source.reason,
    })
}
