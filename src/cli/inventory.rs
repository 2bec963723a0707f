//! `inventory`: sites, nodes, containers and services, and whether routes reach them.

use clap::Args;
use serde_json::{Value, json};

use super::command::{CommandError, connect, print, say};
use super::table::{self, Column, Table};
use crate::config::Settings;
use crate::model::text::printable_json;
use crate::store::inventory::tree::{self, Entry};
use crate::store::watch::coverage;

/// The part to show.
#[derive(Args, Debug)]
pub(crate) struct InventoryArguments {
    /// Show only what is not reachable, and where it is
    #[arg(long)]
    bad: bool,
    /// Print a JSON array, sites before their nodes, and so on
    #[arg(long)]
    json: bool,
}

/// Prints the tree.
pub(super) fn run(arguments: &InventoryArguments, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "inventory")?;
    let mut entries = tree::tree(&mut client)?;
    if coverage::coverage(&mut client)?.evaluators.is_empty() {
        say("no collector that is alive evaluates watches: states are those of its last time");
    }
    let is_empty = entries.is_empty();
    if arguments.bad {
        entries = tree::with_places(entries, Entry::is_bad);
    }
    if arguments.json {
        let entries: Vec<String> = entries.iter().map(|entry| as_json(entry).to_string()).collect();
        return print(&printable_json(&format!("[{}]\n", entries.join(",\n "))));
    }
    match entries.as_slice() {
        [] if is_empty => print("the inventory is empty: `rib-ingester import inventory --help` says how to fill it\n"),
        [] => print("nothing is known to be unreachable\n"),
        entries => print(&text(entries).render(table::line_width())),
    }
}

fn text(entries: &[Entry]) -> Table {
    let mut table = Table::new(&[
        ("name", Column::Text),
        ("address", Column::Word),
        ("state", Column::Word),
        ("since (UTC)", Column::Word),
        ("vantages", Column::Word),
        ("note", Column::Text),
    ]);
    for entry in entries {
        let (known, bad) = entry.vantages;
        let vantages = match (known, bad) {
            (0, _) => String::new(),
            (known, 0) => known.to_string(),
            (known, bad) => format!("{bad} of {known} bad"),
        };
        let note: Vec<&str> = [&entry.note, &entry.why].into_iter().flatten().map(String::as_str).collect();
        table.push([
            format!("{}{} {}", "  ".repeat(entry.depth()), entry.kind, entry.name),
            entry.address.clone().unwrap_or_default(),
            entry.state.replace('_', " "),
            entry.since.map_or_else(String::new, |since| since.to_utc()),
            vantages,
            note.join("; "),
        ]);
    }
    table
}

fn as_json(entry: &Entry) -> Value {
    let (known, bad) = entry.vantages;
    json!({"kind": entry.kind, "id": entry.id, "name": entry.name, "note": entry.note, "address": entry.address,
           "state": entry.state, "since": entry.since.map(|since| since.to_string()), "known_vantages": known,
           "bad_vantages": bad, "why": entry.why})
}
