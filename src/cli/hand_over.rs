//! `hand-over`: gives a router, or all of them, to another collector that stands by, before planned work.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::command::{CommandError, connect, counted, print};
use crate::config::Settings;
use crate::model::text::printable;
use crate::store::hand_over::{self, Candidate};
use crate::store::{Client, status};

/// The routers, the collector that takes them, and the time that it has.
#[derive(Args, Debug)]
pub(crate) struct HandOverArguments {
    /// The router by its identifier, name or address; or all: every router for which the collector stands by
    router: String,
    /// The collector that is to have it: its RIB_INGESTER_COLLECTOR_ID
    #[arg(long, value_name = "COLLECTOR")]
    to: String,
    /// Wait so long until it has it; after that, everything stays as it is
    #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    wait: u32,
}

/// The interval at which the owners are read.
const POLL: Duration = Duration::from_millis(200);

/// Asks for the hand-over, and waits until all routers are taken.
pub(super) fn run(arguments: &HandOverArguments, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "hand-over")?;
    let (taker, time) = (arguments.to.as_str(), Duration::from_secs(arguments.wait.into()));
    let shown = printable(taker);
    match hand_over::is_alive(&mut client, taker)? {
        Some(true) => {}
        Some(false) => return Err(CommandError::Failed(format!("collector {shown} is not alive"))),
        None => {
            return Err(CommandError::Failed(format!("there is no collector {shown}: see RIB_INGESTER_COLLECTOR_ID")));
        }
    }
    let asked = candidates(&mut client, arguments)?;
    let routers: Vec<&str> = asked.iter().map(|one| one.router.as_str()).collect();
    hand_over::ask(&mut client, taker, &routers, time)?;
    let until = Instant::now() + time;
    loop {
        let all = hand_over::candidates(&mut client, taker, Some(&routers))?;
        let left: Vec<&str> = all.iter().filter(|one| one.owner != taker).map(|one| one.router.as_str()).collect();
        if left.is_empty() {
            return print(&format!("collector {shown} has {}\n", counted(asked.len() as u64, "router")));
        }
        if Instant::now() >= until {
            hand_over::take_back(&mut client, taker, &left)?;
            return Err(CommandError::Failed(format!(
                "not taken by collector {shown} within {} s: {}",
                arguments.wait,
                printable(&left.join(", "))
            )));
        }
        thread::sleep(POLL);
    }
}

/// Returns the routers to hand over, each of which the collector stands by for or has already.
fn candidates(client: &mut Client, arguments: &HandOverArguments) -> Result<Vec<Candidate>, CommandError> {
    let (taker, word) = (arguments.to.as_str(), arguments.router.as_str());
    let (taker_shown, shown) = (printable(taker), printable(word));
    if word == "all" {
        let all = hand_over::candidates(client, taker, None)?;
        let asked: Vec<Candidate> = all.into_iter().filter(|one| one.has_standby && one.owner != taker).collect();
        if asked.is_empty() {
            return Err(CommandError::Failed(format!("collector {taker_shown} stands by for no router")));
        }
        return Ok(asked);
    }
    let named = status::named(client, word)?;
    let [(router, _)] = named.as_slice() else {
        let why = if named.is_empty() { "no router is" } else { "several routers are" };
        return Err(CommandError::Failed(format!("{why} called {shown}")));
    };
    let found = hand_over::candidates(client, taker, Some(&[router.as_str()]))?;
    match found.as_slice() {
        [one] if one.owner == taker || one.has_standby => Ok(found),
        _ => Err(CommandError::Failed(format!(
            "router {} has no session with collector {taker_shown} that stands by: configure both stations on it",
            printable(router.as_str())
        ))),
    }
}
