//! `watch`: the prefixes, addresses, sessions and routers that operators want to be told of.

mod bgpalerter;
mod bgpalerter_path;
mod fields;
mod import;
mod show;
mod suggest;
mod yaml;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

pub(super) use self::fields::asn;
use self::show::{shown, state};
use super::command::{CommandError, connect, counted, print, say};
use super::table::{self, Column, Table};
use super::watch_name::{WatchName, find};
use crate::config::Settings;
use crate::model::text::{printable, printable_json};
use crate::model::watch::Kind;
use crate::store::watch::coverage;
use crate::store::watch::watches::{
    self, COLUMNS, ExistingWatches, MANUAL, OtherWatches, PutRules, PutRun, PutWatches, WatchDocument,
};
use crate::store::{Client, status};
use crate::watch::check::check;

/// The commands for watches.
#[derive(Args, Debug)]
pub struct WatchArguments {
    #[command(subcommand)]
    action: WatchCommand,
}

#[derive(Debug, Subcommand)]
enum WatchCommand {
    /// List all watches
    List {
        /// Print an array of rows of `watch.watches`
        #[arg(long, conflicts_with = "csv")]
        json: bool,
        /// Print CSV that `watch import` reads
        #[arg(long)]
        csv: bool,
    },
    /// Add a watch
    Add(Box<WatchOptions>),
    /// Show a watch, where its route is and what is wrong with it
    Show {
        #[command(flatten)]
        watch: WatchName,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Judge a watch now, and show what is wrong with it; nothing is stored, and no incident opens
    Check {
        #[command(flatten)]
        watch: WatchName,
    },
    /// Add and change the watches of a file: all of them or, if one is refused, none
    Import(WatchImportOptions),
    /// Print watches for what ASes originate now, as CSV that `watch import` reads
    Suggest(suggest::SuggestOptions),
    /// Remove a watch; its incidents close
    Remove {
        #[command(flatten)]
        watch: WatchName,
    },
}

/// A file of watches.
#[derive(Args, Debug)]
struct WatchImportOptions {
    /// The file, CSV, JSON or BGPalerter's list of prefixes, or - for standard input
    file: PathBuf,
    /// The name of the file's origin, which its watches carry. Unset: the file's name
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Remove watches of this source that the file does not have
    #[arg(long)]
    prune: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A watch as options; each one is a column of `watch.watches`.
#[derive(Args, Debug)]
struct WatchOptions {
    /// Its name, without a slash
    name: String,
    /// Its kind. Unset: as --prefix, --address, --peer or --router say
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)))]
    kind: Option<String>,
    /// The prefix that every router should have
    #[arg(long)]
    prefix: Option<String>,
    /// The address that some route should cover
    #[arg(long)]
    address: Option<String>,
    /// The AS that originates, or the AS of the peers
    #[arg(long)]
    asn: Option<String>,
    /// The address of the peer
    #[arg(long)]
    peer: Option<String>,
    /// Ask this router only: its identifier, name or address
    #[arg(long)]
    router: Option<String>,
    /// Ask this table only
    #[arg(long)]
    table: Option<String>,
    /// ASes that may originate it, separated by commas
    #[arg(long, value_name = "AS,..")]
    expected_origins: Option<String>,
    /// ASes that may come before the origin
    #[arg(long, value_name = "AS,..")]
    expected_upstreams: Option<String>,
    /// ASes that the watched AS may come before
    #[arg(long, value_name = "AS,..")]
    expected_downstreams: Option<String>,
    /// ASes of a mitigation service
    #[arg(long, value_name = "AS,..")]
    expected_via: Option<String>,
    /// A regular expression for the AS path; with ! before it, the path must not match
    #[arg(long, value_name = "REGEX")]
    path_match: Option<String>,
    /// The longest prefix inside it that is expected
    #[arg(long, value_name = "LENGTH")]
    max_length: Option<String>,
    /// The least number of routes of the peer
    #[arg(long, value_name = "N")]
    min_routes: Option<String>,
    /// The largest number of routes of the peer
    #[arg(long, value_name = "N")]
    max_routes: Option<String>,
    /// The percentage by which the peer's routes may fall below their median of a day
    #[arg(long, value_name = "PERCENT")]
    drop_percent: Option<String>,
    /// The percentage by which the peer's routes may rise above their median of a day
    #[arg(long, value_name = "PERCENT")]
    rise_percent: Option<String>,
    /// With --asn: the least number of sessions that are up
    #[arg(long, value_name = "N")]
    min_up: Option<String>,
    /// At how many routers a condition must hold
    #[arg(long, value_name = "N")]
    min_vantages: Option<String>,
    /// The conditions to judge, separated by commas; none: it only says what is expected. Unset: those of the kind
    #[arg(long, value_name = "NAME,..")]
    conditions: Option<String>,
    /// Seconds for which a condition must hold
    #[arg(long, value_name = "SECS")]
    open_after_secs: Option<String>,
    /// Seconds for which it must be over
    #[arg(long, value_name = "SECS")]
    close_after_secs: Option<String>,
    /// Seconds for which a router must be in sync before it counts
    #[arg(long, value_name = "SECS")]
    settle_secs: Option<String>,
    /// The number of changes that is called flapping
    #[arg(long, value_name = "N")]
    flap_changes: Option<String>,
    /// In how many seconds
    #[arg(long, value_name = "SECS")]
    flap_secs: Option<String>,
    /// critical, error, warning or info
    #[arg(long)]
    severity: Option<String>,
    /// Where it says what to do
    #[arg(long, value_name = "URL")]
    runbook_url: Option<String>,
    /// Keep it without judging it
    #[arg(long)]
    disabled: bool,
    /// A note
    #[arg(long)]
    note: Option<String>,
    /// The team that it belongs to
    #[arg(long)]
    team: Option<String>,
    /// Replace the watch of this name; options that are not given have their defaults
    #[arg(long)]
    replace: bool,
}

/// Does one of these.
pub(super) fn run(arguments: &WatchArguments, settings: &Settings) -> Result<(), CommandError> {
    match &arguments.action {
        WatchCommand::List { json, csv } => {
            let mut client = connect(settings, "watch")?;
            match (json, csv) {
                (true, _) => print(&printable_json(&show::json(&watches::all(&mut client)?))),
                (false, true) => print(&show::csv(&watches::all(&mut client)?)?),
                (false, false) => list(&mut client),
            }
        }
        WatchCommand::Add(definition) => add(definition, settings),
        WatchCommand::Show { watch, json } => {
            let mut client = connect(settings, "watch")?;
            let row = find(&mut client, watch)?;
            let text = if *json { show::one_json(&mut client, &row)? } else { show::one(&mut client, &row)? };
            print(&text)
        }
        WatchCommand::Check { watch } => {
            let mut client = connect(settings, "watch")?;
            let row = find(&mut client, watch)?;
            match check(&mut client, row.id, &settings.mitigation_communities)? {
                Some(checked) => print(&show::checked(&row, &checked)),
                None => Err(CommandError::Failed(format!("watch {}: is off and not judged", shown(&row)))),
            }
        }
        WatchCommand::Import(arguments) => import_file(arguments, settings),
        WatchCommand::Suggest(arguments) => suggest::run(arguments, settings),
        WatchCommand::Remove { watch } => {
            let mut client = connect(settings, "watch")?;
            let row = find(&mut client, watch)?;
            watches::remove(&mut client, row.team.as_deref(), &row.name)?;
            print(&format!("watch {}: removed\n", shown(&row)))
        }
    }
}

/// Returns the identifier of the router that is called `word`; `word` itself if no router is.
pub(super) fn router_id(client: &mut Client, word: &str) -> Result<String, CommandError> {
    let mut meant = status::named(client, word)?;
    match meant.len() {
        0 => {
            say(printable(&format!("no router {word} has connected yet: taken as its identifier")));
            Ok(word.to_owned())
        }
        1 => Ok(meant.remove(0).0.to_string()),
        _ => {
            let all: Vec<String> = meant.iter().map(|(router, _)| router.to_string()).collect();
            let line = format!("several routers are called {word}, name one by its identifier: {}", all.join(", "));
            Err(CommandError::Failed(printable(&line).into_owned()))
        }
    }
}

fn list(client: &mut Client) -> Result<(), CommandError> {
    let rows = watches::all(client)?;
    if rows.is_empty() {
        return print("no watch yet: `rib-ingester watch add --help` says how to add one\n");
    }
    let mut table = Table::new(&[
        ("state", Column::Word),
        ("name", Column::Text),
        ("kind", Column::Word),
        ("watches", Column::Text),
        ("conditions", Column::List),
        ("source", Column::Text),
    ]);
    for row in &rows {
        table.push([
            state(row),
            watches::full_name(row.team.as_deref(), &row.name),
            row.kind.clone(),
            row.target.clone(),
            row.conditions.as_ref().map_or("default".to_owned(), |conditions| match conditions.as_slice() {
                [] => "none".to_owned(),
                some => some.join(" "),
            }),
            row.source.clone(),
        ]);
    }
    print(&table.render(table::line_width()))?;
    warn(client)
}

fn add(definition: &WatchOptions, settings: &Settings) -> Result<(), CommandError> {
    let mut fields = columns(definition).map_err(CommandError::Configuration)?;
    let mut client = connect(settings, "watch")?;
    if let Some(router) = &definition.router {
        fields.insert("router_id".to_owned(), router_id(&mut client, router)?.into());
    }
    let existing = if definition.replace { ExistingWatches::Replaced } else { ExistingWatches::RefusedWatch };
    let rules = PutRules { source: MANUAL, existing, others: OtherWatches::Stay, run: PutRun::Real };
    let put = watches::put(&mut client, &[WatchDocument { line: 1, fields }], &rules)?;
    if !put.refused.is_empty() {
        return Err(CommandError::Configuration(put.refused.into_iter().map(|refused| refused.why).collect()));
    }
    let done = match (put.added.is_empty(), put.changed.is_empty()) {
        (false, _) => "added",
        (true, false) => "changed",
        (true, true) => "is like this already",
    };
    let name = WatchName { name: definition.name.clone(), team: definition.team.clone() };
    let row = find(&mut client, &name)?;
    print(&format!("watch {}: {done}\n", shown(&row)))?;
    warn(&mut client)
}

/// Returns the columns that the options set, or all mistakes in them.
fn columns(definition: &WatchOptions) -> Result<Map<String, Value>, Vec<String>> {
    let WatchOptions { prefix, address, asn, peer, router, .. } = definition;
    let kind = match (&definition.kind, prefix, address, peer, router) {
        (Some(kind), ..) => kind.as_str(),
        (None, Some(_), ..) => Kind::Prefix.as_str(),
        (None, None, Some(_), ..) => Kind::Address.as_str(),
        (None, None, None, Some(_), _) => Kind::Session.as_str(),
        (None, None, None, None, Some(_)) if asn.is_none() => Kind::Router.as_str(),
        (None, None, None, None, _) => {
            return Err(vec![
                "say what to watch: --prefix, --address, --peer or --router; or --kind with --asn".to_owned(),
            ]);
        }
    };
    let (name, kind, is_enabled) = (Some(definition.name.clone()), Some(kind.to_owned()), !definition.disabled);
    let enabled = Some(is_enabled.to_string());
    let given = [
        ("team", &definition.team),
        ("name", &name),
        ("kind", &kind),
        ("prefix", prefix),
        ("address", address),
        ("asn", asn),
        ("router_id", router),
        ("table_name", &definition.table),
        ("peer_address", peer),
        ("expected_origins", &definition.expected_origins),
        ("expected_upstreams", &definition.expected_upstreams),
        ("expected_downstreams", &definition.expected_downstreams),
        ("expected_via", &definition.expected_via),
        ("path_match", &definition.path_match),
        ("max_length", &definition.max_length),
        ("min_routes", &definition.min_routes),
        ("max_routes", &definition.max_routes),
        ("drop_percent", &definition.drop_percent),
        ("rise_percent", &definition.rise_percent),
        ("min_up", &definition.min_up),
        ("min_vantages", &definition.min_vantages),
        ("conditions", &definition.conditions),
        ("open_after_secs", &definition.open_after_secs),
        ("close_after_secs", &definition.close_after_secs),
        ("settle_secs", &definition.settle_secs),
        ("flap_changes", &definition.flap_changes),
        ("flap_secs", &definition.flap_secs),
        ("severity", &definition.severity),
        ("runbook_url", &definition.runbook_url),
        ("enabled", &enabled),
        ("note", &definition.note),
    ];
    debug_assert_eq!(given.map(|(column, _)| column), COLUMNS);
    let (mut fields, mut wrong) = (Map::new(), Vec::new());
    for (column, text) in given {
        match text.as_deref().map(|text| fields::from_text(column, text)) {
            Some(Ok(value)) => drop(fields.insert(column.to_owned(), value)),
            Some(Err(why)) => wrong.push(why),
            None => {}
        }
    }
    if wrong.is_empty() { Ok(fields) } else { Err(wrong) }
}

fn import_file(arguments: &WatchImportOptions, settings: &Settings) -> Result<(), CommandError> {
    let content = import::read(&arguments.file)?;
    let of_file = || Some(arguments.file.file_name()?.to_string_lossy().into_owned()).filter(|name| name != "-");
    let Some(source) = arguments.source.clone().or_else(of_file) else {
        return Err(CommandError::Configuration(vec![
            "standard input has no name: give it one with --source".to_owned(),
        ]));
    };
    if content.watches.is_empty() && content.refused.is_empty() {
        let why = format!("{}: has no watch: `watch remove` removes the last ones", arguments.file.display());
        return Err(CommandError::Configuration(vec![why]));
    }
    let others = if arguments.prune { OtherWatches::Removed } else { OtherWatches::Stay };
    // With a line that is no watch, the others are only checked: all mistakes are reported at once.
    let run = if arguments.dry_run || !content.refused.is_empty() { PutRun::Dry } else { PutRun::Real };
    let mut client = connect(settings, "watch")?;
    let rules = PutRules { source: &source, existing: ExistingWatches::Replaced, others, run };
    let put = watches::put(&mut client, &content.watches, &rules)?;
    let mut refused = content.refused;
    refused.extend(put.refused.iter().cloned());
    refused.sort_by_key(|refused| refused.line);
    if !refused.is_empty() {
        let file = arguments.file.display();
        let line = |refused: &watches::RefusedWatch| {
            printable(&format!("{file}: {} {}: {}", content.place, refused.line, refused.why)).into_owned()
        };
        let mut lines: Vec<String> = refused.iter().map(line).collect();
        lines.push(format!("{file}: {} refused, nothing was changed", counted(refused.len() as u64, content.place)));
        return Err(CommandError::Configuration(lines));
    }
    print(&summary(&put, run))?;
    warn(&mut client)
}

/// Formats what an import did: one line for each watch that is not as it was, then their numbers.
fn summary(put: &PutWatches, run: PutRun) -> String {
    let mut out = String::new();
    for (sign, names) in [('+', &put.added), ('~', &put.changed), ('-', &put.removed)] {
        names.iter().for_each(|name| out.push_str(&format!("{sign} {}\n", printable(name))));
    }
    let would = match run {
        PutRun::Real => "",
        PutRun::Dry => "dry run, nothing was changed: ",
    };
    let (added, changed, removed) = (put.added.len(), put.changed.len(), put.removed.len());
    out + &format!("{would}{added} added, {changed} changed, {removed} removed, {} unchanged\n", put.same)
}

/// Warns if nothing evaluates watches, or if hijacks that policy drops cannot be seen.
fn warn(client: &mut Client) -> Result<(), CommandError> {
    coverage::coverage(client)?.warnings().iter().for_each(say);
    Ok(())
}
