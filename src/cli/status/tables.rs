//! The tables of routers in the terminal: for all routers and for one.

use std::time::Duration;

use crate::cli::table::{Column, Table};
use crate::model::Timestamp;
use crate::model::time::age;
use crate::store::nlri_pages::NlriStatus;
use crate::store::status::{AdjRibStatus, RouterStatus, TableStatus};

/// The title of the section on Loc-RIBs.
pub(super) const TABLES: &str = "TABLES";

/// The title of the section on Adj-RIBs.
pub(super) const PEERS: &str = "TABLES OF PEERS";

/// The title of the section on other families.
pub(super) const FAMILIES: &str = "TABLES OF OTHER FAMILIES";

pub(super) fn section(title: &str, none: &str, table: &Table, width: Option<usize>) -> String {
    let body = if table.is_empty() { format!("{none}\n") } else { table.render(width) };
    format!("{title}\n{body}\n")
}

pub(super) fn tables(now: Timestamp, routers: &[RouterStatus]) -> Table {
    let mut out = Table::new(&[
        ("router", Column::Word),
        ("table", Column::Text),
        ("family", Column::Word),
        ("routes", Column::Number),
        ("sync", Column::Word),
        ("last stored", Column::Word),
        ("last in history", Column::Word),
    ]);
    for router in routers {
        for table in &router.tables {
            out.push([
                router.router_id.clone(),
                table.name.clone(),
                table.afi.to_string(),
                table.routes.to_string(),
                sync(now, table),
                ago(now, table.last_parsed_msg_time),
                ago(now, table.last_raw_msg_time),
            ]);
        }
    }
    out
}

pub(super) fn adj_ribs(now: Timestamp, adj_ribs: &[AdjRibStatus]) -> Table {
    let mut out = Table::new(&[
        ("router", Column::Word),
        ("view", Column::Word),
        ("table", Column::Text),
        ("family", Column::Word),
        ("peers", Column::Number),
        ("EoR", Column::Number),
        ("routes", Column::Number),
        ("last stored", Column::Word),
    ]);
    for one in adj_ribs {
        out.push([
            one.router_id.clone(),
            one.view.clone(),
            one.name.clone(),
            one.afi.to_string(),
            one.peers.to_string(),
            one.synchronized.to_string(),
            one.routes.to_string(),
            ago(now, one.last_parsed_msg_time),
        ]);
    }
    out
}

pub(super) fn nlri_tables(now: Timestamp, nlri_tables: &[NlriStatus]) -> Table {
    let mut out = Table::new(&[
        ("router", Column::Word),
        ("view", Column::Word),
        ("table", Column::Text),
        ("peers", Column::Number),
        ("in sync", Column::Number),
        ("stale", Column::Number),
        ("routes", Column::Number),
        ("last stored", Column::Word),
    ]);
    for one in nlri_tables {
        out.push([
            one.router_id.clone(),
            one.view.clone(),
            one.table_name.clone(),
            or_dash(Some(one.peers).filter(|_| one.view != "loc-rib")),
            format!("{}/{}", one.synchronized, one.tables),
            one.stale.to_string(),
            one.routes.to_string(),
            ago(now, one.last_parsed_msg_time),
        ]);
    }
    out
}

fn sync(now: Timestamp, table: &TableStatus) -> String {
    if let Some(since) = table.stale_since {
        return format!("stale since {}", ago(now, Some(since)));
    }
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

pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_string(), |value| value.to_string())
}

pub(super) fn ago(now: Timestamp, time: Option<Timestamp>) -> String {
    let Some(time) = time else { return "-".to_string() };
    // Rows committed while the clock was read may be a little younger than it.
    let micros = u64::try_from(now.unix_micros() - time.unix_micros()).unwrap_or(0);
    format!("{} ago", age(Duration::from_micros(micros)))
}
