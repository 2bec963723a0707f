//! `silence`: planned work, of which incidents are recorded and not delivered.

use std::net::IpAddr;

use clap::{ArgGroup, Args, Subcommand};

use super::command::{CommandError, connect, did_you_mean, print, say};
use super::table::{self, Column, Table};
use super::{incidents, watch, watch_name, when};
use crate::config::{Settings, value};
use crate::model::Timestamp;
use crate::model::text::{printable, printable_json};
use crate::model::watch::Condition;
use crate::store::events;
use crate::store::watch::silences::{self, EndedSilence, SilenceFilter, SilenceRow, SilenceScope};

/// The commands for silences.
#[derive(Args, Debug)]
pub struct SilenceArguments {
    #[command(subcommand)]
    action: SilenceCommand,
}

#[derive(Debug, Subcommand)]
enum SilenceCommand {
    /// Add a silence; what still holds when it ends is delivered then
    Add(Box<SilenceOptions>),
    /// List silences that are planned or active
    List {
        /// List those that are over too
        #[arg(long)]
        all: bool,
        /// Print an array of rows of `watch.silences`
        #[arg(long)]
        json: bool,
    },
    /// End a silence now
    End {
        /// Its number
        id: i64,
    },
}

/// The scope and the time of a silence. Several of these narrow it.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("scope").required(true).multiple(true).args(["router", "peer", "prefix", "watch"]))]
struct SilenceOptions {
    /// Only at this router: its identifier, name or address
    #[arg(long)]
    router: Option<String>,
    /// Only for the peer with this address, or for peers in this AS, as AS64500
    #[arg(long, value_name = "ADDRESS|AS")]
    peer: Option<String>,
    /// Only for this prefix and what it covers
    #[arg(long)]
    prefix: Option<String>,
    /// Only for this watch
    #[arg(long)]
    watch: Option<String>,
    /// Only for watches of this team
    #[arg(long)]
    team: Option<String>,
    /// Only for this condition
    #[arg(long)]
    condition: Option<String>,
    /// From when, with a time zone, as '2026-11-26 01:00 Europe/Berlin'. Unset: now
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// For how long, as 90m or 3h
    #[arg(long = "for", value_name = "DURATION", required_unless_present = "until", conflicts_with = "until")]
    duration: Option<String>,
    /// Until when, with a time zone
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Who makes it
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    note: String,
}

/// Adds, lists or ends silences.
pub(super) fn run(arguments: &SilenceArguments, settings: &Settings) -> Result<(), CommandError> {
    match &arguments.action {
        SilenceCommand::Add(definition) => add(definition, settings),
        SilenceCommand::List { all, json } => {
            let which = if *all { SilenceFilter::All } else { SilenceFilter::Current };
            let rows = silences::list(&mut connect(settings, "silence")?, which)?;
            if *json {
                let rows: Vec<&str> = rows.iter().map(|row| row.json.as_str()).collect();
                return print(&printable_json(&format!("[{}]\n", rows.join(",\n "))));
            }
            print(&text(&rows))
        }
        SilenceCommand::End { id } => match silences::end(&mut connect(settings, "silence")?, *id)? {
            EndedSilence::Now(row) => print(&format!("silence {id}: ended, {}\n", printable(&row.scope))),
            EndedSilence::Before(row) => {
                Err(CommandError::Failed(format!("silence {id}: is over since {}", row.ends_at.to_utc())))
            }
            EndedSilence::Unknown => Err(CommandError::Failed(format!(
                "silence {id}: there is none: `rib-ingester silence list` lists them"
            ))),
        },
    }
}

fn add(definition: &SilenceOptions, settings: &Settings) -> Result<(), CommandError> {
    let SilenceOptions { by, note, .. } = definition;
    let (mut scope, wrong) = scope(definition);
    let from = definition.from.as_deref().map(when::time).transpose();
    let mut wrong: Vec<String> = wrong.into_iter().chain(from.clone().err()).collect();
    wrong.extend(
        [("--by", by), ("--note", note)]
            .iter()
            .filter(|(_, text)| text.trim().is_empty())
            .map(|(name, _)| format!("{name} is empty")),
    );
    if !wrong.is_empty() {
        return Err(CommandError::Configuration(wrong));
    }
    let mut client = connect(settings, "silence")?;
    // The database's clock says when it begins and is over.
    let now = events::clock(&mut client)?;
    let from = from.unwrap_or_default().unwrap_or(now);
    let until = incidents::end(now, from, definition.duration.as_deref(), definition.until.as_deref())?;
    if let Some(router) = &definition.router {
        scope.router_id = Some(watch::router_id(&mut client, router)?);
    }
    if let Some(name) = &definition.watch {
        scope.watch = Some(watch_name::find_named(&mut client, name, definition.team.as_deref())?.id);
    }
    let row = silences::add(&mut client, &scope, (from, until), by.trim(), note.trim())?;
    print(&format!(
        "silence {}: {} from {} until {}\n",
        row.id,
        printable(&row.scope),
        row.starts_at.to_utc(),
        row.ends_at.to_utc()
    ))?;
    if scope.watch.is_none() && scope.prefix.is_none() {
        say(
            "a hijack is delivered nevertheless: routes with an unexpected origin are silenced by --watch or --prefix only",
        );
    }
    Ok(())
}

/// Returns what needs no database, and all mistakes.
fn scope(definition: &SilenceOptions) -> (SilenceScope, Vec<String>) {
    let mut wrong = Vec::new();
    let mut scope = SilenceScope { team: definition.team.clone(), ..SilenceScope::default() };
    match definition.peer.as_deref().map(|peer| (peer.parse::<IpAddr>(), watch::asn(peer))) {
        Some((Ok(address), _)) => scope.peer_address = Some(address.to_canonical()),
        Some((Err(_), Ok(asn))) => scope.peer_asn = Some(asn),
        Some((Err(_), Err(_))) => wrong.push("--peer: is neither an IP address nor an AS, as AS64500".to_owned()),
        None => {}
    }
    match definition.prefix.as_deref().map(value::network) {
        Some(Ok(prefix)) => scope.prefix = Some(prefix.to_string()),
        Some(Err(why)) => wrong.push(format!("--prefix: {why}")),
        None => {}
    }
    if let Some(condition) = &definition.condition {
        let is_foreign = matches!(Condition::parse(condition), Some(Condition::Origin | Condition::MoreSpecific));
        if Condition::parse(condition).is_none() {
            let hint = did_you_mean(condition, Condition::ALL.map(Condition::as_str));
            wrong.push(format!("--condition: there is no condition {}{hint}", value::quoted(condition)));
        } else if is_foreign && definition.watch.is_none() && definition.prefix.is_none() {
            wrong.push(format!("--condition {condition}: a hijack is silenced by --watch or --prefix only"));
        }
        scope.condition = Some(condition.clone());
    }
    (scope, wrong)
}

fn text(rows: &[SilenceRow]) -> String {
    let mut table = Table::new(&[
        ("id", Column::Number),
        ("state", Column::Word),
        ("from (UTC)", Column::Word),
        ("until (UTC)", Column::Word),
        ("scope", Column::Text),
        ("incidents", Column::Number),
        ("by", Column::Text),
        ("note", Column::Text),
    ]);
    let time = |time: Timestamp| time.to_utc().trim_end_matches(" UTC").to_owned();
    for row in rows {
        table.push([
            row.id.to_string(),
            row.state.clone(),
            time(row.starts_at),
            time(row.ends_at),
            row.scope.clone(),
            row.incidents.to_string(),
            row.created_by.clone(),
            row.note.clone(),
        ]);
    }
    if table.is_empty() { "no silence is planned or active\n".to_owned() } else { table.render(table::line_width()) }
}
