//! `forget`: removes a router that is gone for good, with all of its stored data.

use std::collections::HashMap;
use std::io::{self, IsTerminal};

use clap::Args;

use super::command::{CommandError, connect, print, say};
use super::table::{self, Column, Table};
use crate::config::Settings;
use crate::model::RouterId;
use crate::model::text::printable;
use crate::store::forget::{self, Forgotten, Live, Past, Rows};
use crate::store::{Client, status};

/// The router, and how much of it to remove.
#[derive(Args, Debug)]
pub(crate) struct ForgetArguments {
    /// Its identifier, as `status` shows it; or its host name, the name you gave it, or its address, where only one
    /// router has it
    router: String,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove its history as well, which otherwise stays until its retention is over
    #[arg(long)]
    history: bool,
}

/// Removes the router, and prints what was removed.
pub(super) fn run(arguments: &ForgetArguments, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "forget")?;
    let past = if arguments.history { Past::Goes } else { Past::Stays };
    let (router, stored) = find(&mut client, &arguments.router, past)?;
    let shown = printable(router.as_str()).into_owned();
    let session = forget::live(&mut client, &router)?;
    if arguments.dry_run {
        let remark = session.map_or(String::new(), |live| format!("refused while it has {}\n", describe(&live)));
        return print(&format!("router {shown}: would be removed\n{}{remark}", table(&stored)));
    }
    if let Some(live) = session {
        return Err(CommandError::Failed(format!("router {shown} has {}: {REMEDY}", describe(&live))));
    }
    let mut removed: HashMap<String, u64> = HashMap::new();
    let forgotten = forget::forget(&mut client, &router, past, |table, rows| {
        let so_far = removed.entry(table.to_owned()).or_default();
        *so_far += rows;
        if io::stderr().is_terminal() && *so_far > rows {
            say(format_args!("{table}: {so_far} rows removed so far"));
        }
    })?;
    match forgotten {
        Forgotten::Whole(rows) => {
            if !forget::leave_summaries(&mut client, &router)? {
                say("maintenance is running: its next run removes the router from the summaries");
            }
            print(&format!("router {shown}: removed\n{}", table(&rows)))
        }
        Forgotten::Live(live, rows) => {
            print(&table(&rows))?;
            Err(CommandError::Failed(format!(
                "router {shown} reconnected while it was being removed and has {}; its dump stores its routes again: {REMEDY}",
                describe(&live)
            )))
        }
    }
}

/// The remedy if the router is connected.
const REMEDY: &str = "stop BMP on the router first, or take its address out of RIB_INGESTER_ALLOW";

fn describe(live: &Live) -> String {
    format!("a session ({}) from {} on collector {}", live.state, live.source, live.collector)
}

/// Returns the router that matches `word`, and its stored rows.
fn find(client: &mut Client, word: &str, past: Past) -> Result<(RouterId, Rows), CommandError> {
    let named = RouterId::new(word);
    // Rows of a router whose row in `routers` is gone count as well.
    let stored = forget::count(client, &named, past)?;
    if !stored.is_empty() {
        return Ok((named, stored));
    }
    let list = |routers: Vec<(RouterId, Option<String>)>| {
        let one = |(router, name): (RouterId, Option<String>)| match name {
            Some(name) => format!("{router} ({name})"),
            None => router.to_string(),
        };
        printable(&routers.into_iter().map(one).collect::<Vec<_>>().join(", ")).into_owned()
    };
    let mut meant = status::named(client, word)?;
    let shown = printable(word);
    match meant.len() {
        1 => {
            let (router, _) = meant.remove(0);
            let stored = forget::count(client, &router, past)?;
            Ok((router, stored))
        }
        0 => {
            let like = forget::like(client, word)?;
            let hint = if like.is_empty() {
                "`rib-ingester status` lists them".to_owned()
            } else {
                format!("did you mean {}?", list(like))
            };
            let history = match past {
                Past::Stays => "",
                Past::Goes => " in any table or history",
            };
            Err(CommandError::Failed(format!("no router {shown} is stored{history}: {hint}")))
        }
        _ => {
            Err(CommandError::Failed(format!("several routers are called {shown}; use an identifier: {}", list(meant))))
        }
    }
}

fn table(rows: &Rows) -> String {
    let mut table = Table::new(&[("table", Column::Word), ("rows", Column::Number)]);
    for (name, count) in rows {
        table.push([(*name).to_owned(), count.to_string()]);
    }
    if table.is_empty() { String::new() } else { table.render(table::line_width()) }
}
