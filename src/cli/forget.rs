//! `forget`: removes a router or a peer that is gone for good, with all of its stored data.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::net::IpAddr;

use clap::Args;

use super::command::{CommandError, connect, print, say};
use super::table::{self, Column, Table};
use crate::config::Settings;
use crate::model::RouterId;
use crate::model::text::printable;
use crate::store::forget::peer::{self, PeerOf};
use crate::store::forget::references::{Reference, references};
use crate::store::forget::{self, Forgotten, Live, Past, Rows};
use crate::store::{Client, status};

/// The router or peer, and how much of it to remove.
#[derive(Args, Debug)]
pub(crate) struct ForgetArguments {
    /// The router by its identifier, as `status` shows it; or its host name, the name you gave it, or its address, where
    /// only one router has it
    #[arg(required_unless_present = "peer", conflicts_with = "peer")]
    router: Option<String>,
    /// Remove one peer of a router instead
    #[arg(long, num_args = 2, value_names = ["ROUTER", "ADDRESS"])]
    peer: Option<Vec<String>>,
    /// Show what would be removed and who still names it, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove its history as well, which otherwise stays until its retention is over
    #[arg(long)]
    history: bool,
}

/// Removes the router or the peer, and prints what was removed.
pub(super) fn run(arguments: &ForgetArguments, settings: &Settings) -> Result<(), CommandError> {
    let address = match arguments.peer.as_deref() {
        Some([_, address]) => Some(peer_address(address)?),
        Some(_) | None => None,
    };
    let mut client = connect(settings, "forget")?;
    let past = if arguments.history { Past::Goes } else { Past::Stays };
    // One of the two is given: the command line is refused otherwise.
    let word = arguments.peer.as_deref().and_then(<[String]>::first).or(arguments.router.as_ref());
    let (router, stored) = find(&mut client, word.map_or("", String::as_str), past)?;
    let mut target = Target { client, router, address, past };
    let stored = if address.is_some() { target.count_peer()? } else { stored };
    let session = target.session()?;
    let named = references_table(&references(&mut target.client, &target.router, address)?);
    let shown = target.shown();
    if arguments.dry_run {
        let remark = session.map_or(String::new(), |live| format!("refused while {}\n", target.describe(&live)));
        return print(&format!("{shown}: would be removed\n{}{named}{remark}", table(&stored)));
    }
    if let Some(live) = session {
        return Err(CommandError::Failed(format!("{}: {}", target.describe(&live), target.remedy())));
    }
    match target.remove()? {
        Forgotten::Whole(rows) => {
            if !forget::leave_summaries(&mut target.client, &target.router)? {
                say("maintenance is running: its next run corrects the summaries");
            }
            print(&format!("{shown}: removed\n{}{named}", table(&rows)))
        }
        Forgotten::Live(live, rows) => {
            print(&table(&rows))?;
            Err(CommandError::Failed(format!(
                "{shown} reconnected while it was being removed: {}; its dump stores its routes again: {}",
                target.describe(&live),
                target.remedy()
            )))
        }
    }
}

/// Parses a peer's address. A Loc-RIB has 0.0.0.0 in the tables of peers.
fn peer_address(text: &str) -> Result<IpAddr, CommandError> {
    match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) if !address.is_unspecified() => Ok(address),
        _ => {
            let text = printable(text);
            Err(CommandError::Configuration(vec![format!(
                "{text} is not the address of a peer; allowed: an IP address"
            )]))
        }
    }
}

/// The router or peer to remove, and how much of it.
struct Target {
    client: Client,
    router: RouterId,
    /// The peer's address; `None`: the router itself.
    address: Option<IpAddr>,
    past: Past,
}

impl Target {
    fn shown(&self) -> String {
        let router = printable(self.router.as_str());
        match self.address {
            Some(address) => format!("router {router} peer {address}"),
            None => format!("router {router}"),
        }
    }

    /// Counts the rows of the peer, which has some.
    fn count_peer(&mut self) -> Result<Rows, CommandError> {
        let (shown, Target { client, router, address, past }) = (self.shown(), self);
        let Some(address) = *address else { return Ok(Rows::new()) };
        let rows = peer::count(client, PeerOf { router, address }, *past)?;
        if rows.is_empty() {
            return Err(CommandError::Failed(format!("{shown}: nothing is stored of this peer")));
        }
        Ok(rows)
    }

    /// Returns the live session that forbids the removal.
    fn session(&mut self) -> Result<Option<Live>, CommandError> {
        let Target { client, router, address, .. } = self;
        Ok(match *address {
            None => forget::live(client, router)?,
            Some(address) => peer::in_use(client, PeerOf { router, address })?,
        })
    }

    /// Removes it, and says how far it is.
    fn remove(&mut self) -> Result<Forgotten, CommandError> {
        let Target { client, router, address, past } = self;
        let mut removed: HashMap<String, u64> = HashMap::new();
        let done = |table: &str, rows: u64| {
            let so_far = removed.entry(table.to_owned()).or_default();
            *so_far += rows;
            if io::stderr().is_terminal() && *so_far > rows {
                say(format_args!("{table}: {so_far} rows removed so far"));
            }
        };
        Ok(match *address {
            None => forget::forget(client, router, *past, done)?,
            Some(address) => peer::forget(client, PeerOf { router, address }, *past, done)?,
        })
    }

    fn describe(&self, live: &Live) -> String {
        let state = format!("a session ({}) from {} on collector {}", live.state, live.source, live.collector);
        match self.address {
            None => format!("{} has {state}", self.shown()),
            Some(_) => format!("{} is up or has routes, and its router has {state}", self.shown()),
        }
    }

    /// The remedy if it is connected.
    fn remedy(&self) -> &'static str {
        match self.address {
            None => "stop BMP on the router first, or take its address out of RIB_INGESTER_ALLOW",
            Some(_) => "remove the peer on the router first",
        }
    }
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

/// Lists the rows that operators keep and that name the router or peer. They stay.
fn references_table(all: &[Reference]) -> String {
    let mut table = Table::new(&[("still named by", Column::Word), ("", Column::Text)]);
    for (place, one) in all.iter().enumerate() {
        table.push([one.kind.clone(), one.name.clone()]);
        let shown = all.iter().filter(|other| other.kind == one.kind).count() as i64;
        if one.of > shown && all.get(place + 1).is_none_or(|next| next.kind != one.kind) {
            table.push([one.kind.clone(), format!("and {} more", one.of - shown)]);
        }
    }
    if table.is_empty() { String::new() } else { table.render(table::line_width()) }
}
