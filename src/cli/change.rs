//! `change`: a gate for planned work. The state of routers is stored before it and compared after it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::json;

use super::command::{CommandError, connect, counted, did_you_mean, print};
use super::compare::{finish, known_routers};
use super::table::{self, Column, Table};
use super::when;
use crate::compare::{Check, Outcome, outcome, verify, why_unknown};
use crate::config::Settings;
use crate::model::Timestamp;
use crate::model::text::{printable, printable_json};
use crate::store::change_windows::{self, ChangeState, ChangeWindow, ListedWindow, OWN_ROUTES_MAX};
use crate::store::compare::{self, Selection, Sides};
use crate::store::watch::silences::{self, SilenceScope};
use crate::store::{Client, Transaction, events};

/// The commands for a planned change.
#[derive(Args, Debug)]
pub struct ChangeArguments {
    #[command(subcommand)]
    action: ChangeCommand,
}

#[derive(Debug, Subcommand)]
enum ChangeCommand {
    /// Store the state of routers before the change; exit code 4 if one is not in sync
    Begin {
        /// The name of the change
        name: String,
        /// The routers that are changed: identifiers, names or addresses
        #[arg(long = "router", value_name = "ROUTER", required = true, num_args = 1..)]
        routers: Vec<String>,
        /// Silence incidents at these routers for this long, as 2h
        #[arg(long, value_name = "DURATION")]
        silence: Option<String>,
    },
    /// Compare the routers with their state before the change; exit code 3 if they are worse, 4 if nobody can tell
    Verify(VerifyOptions),
    /// List the changes that have not ended
    List {
        /// List those that have ended too
        #[arg(long)]
        all: bool,
        /// Print an array of objects
        #[arg(long)]
        json: bool,
    },
    /// End the change, and its silences
    End {
        /// The name of the change
        name: String,
    },
}

#[derive(Args, Debug)]
struct VerifyOptions {
    /// The name of the change
    name: String,
    /// Wait until all is well, at most this long, as 10m
    #[arg(long, value_name = "DURATION")]
    wait: Option<String>,
    /// Let everything that changed decide
    #[arg(long)]
    strict: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write the result to this file too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// The pause between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Does one of these.
pub(super) fn run(arguments: &ChangeArguments, settings: &Settings) -> Result<(), CommandError> {
    match &arguments.action {
        ChangeCommand::Begin { name, routers, silence } => begin(name, routers, silence.as_deref(), settings),
        ChangeCommand::Verify(options) => verify_change(options, settings),
        ChangeCommand::List { all, json } => list(*all, *json, settings),
        ChangeCommand::End { name } => end(name, settings),
    }
}

fn begin(name: &str, words: &[String], silence: Option<&str>, settings: &Settings) -> Result<(), CommandError> {
    let usage = |why: String| CommandError::Configuration(vec![why]);
    let silence = silence.map(when::duration).transpose().map_err(usage)?;
    if name.is_empty() || name.chars().count() > 128 || name.contains(char::is_control) {
        return Err(usage("the name must have 1 to 128 characters, none of them a control character".to_owned()));
    }
    let mut client = connect(settings, "change")?;
    let mut routers = known_routers(&mut client, words)?;
    routers.sort();
    routers.dedup();
    let mut transaction = compare::begin(&mut client)?;
    let unknown = unknown(&mut transaction, &routers)?;
    if !unknown.is_empty() {
        let lines = unknown.iter().map(|line| printable(&format!("cannot begin: {line}")).into_owned());
        return Err(CommandError::CannotTell(lines.collect()));
    }
    let state = change_windows::read_state(&mut transaction, &routers)?;
    drop(transaction);
    if !change_windows::insert(&mut client, name, &routers, &state)? {
        let line = format!("change {name} has begun already: `rib-ingester change end` ends it");
        return Err(CommandError::Failed(printable(&line).into_owned()));
    }
    print(&format!("change {}: begun\n{}", printable(name), stored(&state)))?;
    match silence {
        Some(length) => add_silences(&mut client, name, &routers, length),
        None => Ok(()),
    }
}

fn stored(state: &ChangeState) -> String {
    let up = state.peers.iter().filter(|peer| peer.is_up).count();
    let bound = if state.has_more_own { format!(", the first {OWN_ROUTES_MAX}") } else { String::new() };
    format!(
        "stored: {} of {} up, {}, {}{bound}, {}\n",
        up,
        counted(state.peers.len() as u64, "peer"),
        counted(state.counts.len() as u64, "route count"),
        counted(state.own.len() as u64, "own route"),
        counted(state.troubles.len() as u64, "trouble"),
    )
}

fn add_silences(client: &mut Client, name: &str, routers: &[String], length: i64) -> Result<(), CommandError> {
    let now = events::clock(client)?;
    let until = Timestamp::from_unix_micros(now.unix_micros().saturating_add(length));
    let note = format!("change {name}");
    let mut ids = Vec::new();
    for router in routers {
        let scope = SilenceScope { router_id: Some(router.clone()), ..SilenceScope::default() };
        ids.push(silences::add(client, &scope, (now, until), &note, &note)?.id);
    }
    change_windows::set_silences(client, name, &ids)?;
    print(&format!("silenced until {}\n", until.to_utc()))
}

/// Says why nobody can tell what routers have.
fn unknown(transaction: &mut Transaction<'_>, routers: &[String]) -> Result<Vec<String>, CommandError> {
    let tables = compare::tables(transaction, routers)?;
    let known = compare::routers(transaction, Some(routers))?;
    let mut lines: Vec<String> = known
        .iter()
        .filter_map(|router| {
            let own: Vec<_> = tables.iter().filter(|table| table.router_id == router.router_id).cloned().collect();
            why_unknown(router, &own)
        })
        .collect();
    let is_known = |id: &String| known.iter().any(|router| router.router_id == *id);
    lines.extend(routers.iter().filter(|id| !is_known(id)).map(|id| format!("{id}: it is not stored any more")));
    Ok(lines)
}

/// Returns the change of this name if it has not ended.
fn find(client: &mut Client, name: &str) -> Result<ChangeWindow, CommandError> {
    let line = match change_windows::find(client, name)? {
        Some(ChangeWindow { ended_at: Some(ended), .. }) => format!("change {name} ended at {}", ended.to_utc()),
        Some(window) => return Ok(window),
        None => {
            let names = change_windows::names(client)?;
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            format!("there is no change {name}{hint}")
        }
    };
    Err(CommandError::Failed(printable(&line).into_owned()))
}

fn verify_change(options: &VerifyOptions, settings: &Settings) -> Result<(), CommandError> {
    let wait = options.wait.as_deref().map(when::duration).transpose();
    let wait = wait.map_err(|why| CommandError::Configuration(vec![why]))?.unwrap_or(0);
    let deadline = Instant::now() + Duration::from_micros(wait.unsigned_abs());
    let mut client = connect(settings, "change")?;
    let window = find(&mut client, &options.name)?;
    let checks = loop {
        let checks = look(&mut client, &window, options.strict)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if outcome(&checks) == Outcome::Good || left.is_zero() {
            break checks;
        }
        std::thread::sleep(LOOK_EVERY.min(left));
    };
    let text =
        if options.json { as_json(&options.name, &window, &checks) } else { text(&options.name, &window, &checks) };
    print(&text)?;
    finish(&format!("change {}", options.name), &checks, options.junit.as_deref(), events::clock(&mut client)?)
}

fn look(client: &mut Client, window: &ChangeWindow, is_strict: bool) -> Result<Vec<Check>, CommandError> {
    let now = events::clock(client)?;
    let mut transaction = compare::begin(client)?;
    let unknown = unknown(&mut transaction, &window.scope)?;
    if !unknown.is_empty() {
        let summary = format!("cannot tell: {}", counted(unknown.len() as u64, "router"));
        return Ok(vec![Check { name: "in sync".to_owned(), outcome: Outcome::Unknown, summary, lines: unknown }]);
    }
    let state = change_windows::read_state(&mut transaction, &window.scope)?;
    let own = change_windows::changed_own_routes(&mut transaction, &window.state.own)?;
    let churn = history(&mut transaction, window, now)?;
    Ok(verify(&window.state, &state, &own, &churn, is_strict))
}

/// The prefixes that are not as they were, counted by table, as far as the history tells.
fn history(
    transaction: &mut Transaction<'_>,
    window: &ChangeWindow,
    now: Timestamp,
) -> Result<Vec<String>, CommandError> {
    let mut lines = Vec::new();
    for router in &window.scope {
        for table in compare::history(transaction, router, (window.begun_at, now), None)? {
            if !table.knows_before || !table.knows_after {
                lines.push(format!("{router} table {}: the history does not tell which prefixes changed", table.name));
                continue;
            }
            let sides = Sides::Times(router.clone(), table.name.clone(), window.begun_at, now);
            for (kind, count) in compare::count(transaction, &sides, &Selection::default())? {
                lines.push(format!("{router} table {}: {} {kind}", table.name, prefixes(count)));
            }
        }
    }
    Ok(lines)
}

fn prefixes(count: i64) -> String {
    if count == 1 { "1 prefix".to_owned() } else { format!("{count} prefixes") }
}

fn text(name: &str, window: &ChangeWindow, checks: &[Check]) -> String {
    let mut out = format!("change {name}, begun {}\n", window.begun_at.to_utc());
    for check in checks {
        let word = match check.outcome {
            Outcome::Good => "ok",
            Outcome::Bad => "WORSE",
            Outcome::Unknown => "UNKNOWN",
        };
        out.push_str(&format!("{word:<8} {}: {}\n", check.name, printable(&check.summary)));
        for line in &check.lines {
            out.push_str(&format!("           {}\n", printable(line)));
        }
    }
    out
}

fn as_json(name: &str, window: &ChangeWindow, checks: &[Check]) -> String {
    let check = |check: &Check| json!({"name": check.name, "result": check.outcome.as_str(), "summary": check.summary, "lines": check.lines});
    let value = json!({
        "change": name,
        "begun_at": window.begun_at,
        "result": outcome(checks).as_str(),
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    });
    printable_json(&format!("{value}\n")).into_owned()
}

fn list(is_all: bool, is_json: bool, settings: &Settings) -> Result<(), CommandError> {
    let changes = change_windows::list(&mut connect(settings, "change")?, is_all)?;
    if is_json {
        let one = |change: &ListedWindow| json!({"change": change.name, "begun_at": change.begun_at, "ended_at": change.ended_at, "routers": change.routers});
        let all: Vec<_> = changes.iter().map(one).collect();
        return print(&printable_json(&format!("{:#}\n", json!(all))));
    }
    let mut table = Table::new(&[
        ("NAME", Column::Text),
        ("BEGUN", Column::Word),
        ("ENDED", Column::Word),
        ("ROUTERS", Column::List),
    ]);
    for change in changes {
        let ended = change.ended_at.map_or_else(String::new, Timestamp::to_utc);
        table.push([change.name, change.begun_at.to_utc(), ended, change.routers.join(" ")]);
    }
    print(&table.render(table::line_width()))
}

fn end(name: &str, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "change")?;
    let window = find(&mut client, name)?;
    for id in &window.state.silences {
        silences::end(&mut client, *id)?;
    }
    change_windows::end(&mut client, name)?;
    print(&format!("change {}: ended\n", printable(name)))
}
