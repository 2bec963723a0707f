//! `incidents`: what watches have found, and what operators say about it.

use clap::{Args, Subcommand};

use super::command::{CommandError, connect, counted, print};
use super::table::{self, Column, Table};
use super::watch_name::{WatchName, find};
use super::when;
use crate::config::Settings;
use crate::model::Timestamp;
use crate::model::text::{printable, printable_json};
use crate::model::watch::{Condition, Kind};
use crate::store::events;
use crate::store::slice::Slice;
use crate::store::watch::incident_list::{self, ListedIncident};
use crate::store::watch::operator::{self, Author, IncidentChange};
use crate::watch::simulate::{conditions_of, simulate};

/// Which incidents to list, or what to do with one.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct IncidentsArguments {
    /// Show closed incidents too, and those that belong to a common cause
    #[arg(long)]
    all: bool,
    /// Print an array of rows of `watch.incidents`
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<IncidentsCommand>,
}

#[derive(Debug, Subcommand)]
enum IncidentsCommand {
    /// Show an incident with everything that happened to it
    Show {
        /// Its number
        id: i64,
    },
    /// Say that someone takes care of it
    Ack {
        /// Its number
        id: i64,
        #[command(flatten)]
        by: AuthorOptions,
    },
    /// Keep it quiet for a while
    Snooze {
        /// Its number
        id: i64,
        /// For how long, as 90m or 3h
        #[arg(long = "for", value_name = "DURATION", required_unless_present = "until", conflicts_with = "until")]
        duration: Option<String>,
        /// Until when, with a time zone, as '2026-11-26 01:00 Europe/Berlin'
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        by: AuthorOptions,
    },
    /// Close it by hand; refused while its condition holds
    Close {
        /// Its number
        id: i64,
        #[command(flatten)]
        by: AuthorOptions,
    },
    /// Take the present state as right: the watch expects it from now on
    Accept {
        /// Its number
        id: i64,
        #[command(flatten)]
        by: AuthorOptions,
    },
    /// Show what would be told of a condition of a watch, and to whom; nothing is sent
    Simulate {
        #[command(flatten)]
        watch: WatchName,
        /// The condition, as missing
        condition: String,
    },
}

/// Who does it, and why.
#[derive(Args, Debug)]
struct AuthorOptions {
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// The largest number of incidents that are listed.
const LISTED_MAX: i64 = 10_000;

/// The largest number of changes of one incident that are shown.
const CHANGES_MAX: i64 = 1_000;

/// Lists incidents, or changes one.
pub(super) fn run(arguments: &IncidentsArguments, settings: &Settings) -> Result<(), CommandError> {
    match &arguments.action {
        None => list(arguments, settings),
        Some(IncidentsCommand::Show { id }) => show(*id, settings),
        Some(IncidentsCommand::Ack { id, by }) => change(*id, IncidentChange::Acknowledge, by, settings),
        Some(IncidentsCommand::Snooze { id, duration, until, by }) => {
            // The database's clock says when it is over.
            let now = events::clock(&mut connect(settings, "incidents")?)?;
            change(*id, IncidentChange::Snooze(end(now, now, duration.as_deref(), until.as_deref())?), by, settings)
        }
        Some(IncidentsCommand::Close { id, by }) => change(*id, IncidentChange::Close, by, settings),
        Some(IncidentsCommand::Accept { id, by }) => change(*id, IncidentChange::Accept, by, settings),
        Some(IncidentsCommand::Simulate { watch, condition }) => simulated(watch, condition, settings),
    }
}

fn simulated(watch: &WatchName, condition: &str, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "incidents")?;
    let row = find(&mut client, watch)?;
    let allowed = Kind::parse(&row.kind).map(conditions_of).unwrap_or_default();
    let Some(condition) = Condition::parse(condition).filter(|condition| allowed.contains(condition)) else {
        let allowed: Vec<&str> = allowed.iter().map(|condition| condition.as_str()).collect();
        let wrong =
            format!("a watch of kind {} has no condition {condition}; allowed: {}", row.kind, allowed.join(", "));
        return Err(CommandError::Configuration(vec![wrong]));
    };
    let Some(found) = simulate(&mut client, row.id, condition)? else {
        return Err(CommandError::Failed(format!("watch {}: is off and not judged", printable(&row.name))));
    };
    let mut out = format!("{}: {}\n", found.severity.as_str(), printable(&found.summary));
    if !found.is_judged {
        out.push_str("the watch does not judge it: nothing would open\n");
    }
    out.push_str(&format!("opens when it has held for {} s\n", found.open_after.as_secs()));
    if found.waits {
        out.push_str("told 30 s later, together with others of its kind if they are more than 5\n");
    }
    if let Some(silence) = found.silence {
        out.push_str(&format!("silence {silence} is in force: nobody would be told\n"));
    }
    for (name, format) in &found.receivers {
        out.push_str(&format!("would be told: {} ({format})\n", printable(name)));
    }
    if found.receivers.is_empty() {
        out.push_str("no callback would be told\n");
    }
    print(&out)
}

/// Returns the end of a time that begins at `start`. It must be in the future.
pub(super) fn end(
    now: Timestamp,
    start: Timestamp,
    duration: Option<&str>,
    until: Option<&str>,
) -> Result<Timestamp, CommandError> {
    let wrong = |why: String| CommandError::Configuration(vec![why]);
    let end = match (duration, until) {
        (Some(duration), _) => {
            Timestamp::from_unix_micros(start.unix_micros() + when::duration(duration).map_err(wrong)?)
        }
        (None, Some(until)) => when::time(until).map_err(wrong)?,
        (None, None) => return Err(wrong("an end is required: --for or --until".to_owned())),
    };
    if end <= now.max(start) {
        return Err(wrong(format!("it would end at {}, which is over or before it begins", end.to_utc())));
    }
    Ok(end)
}

fn list(arguments: &IncidentsArguments, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "incidents")?;
    let (mut rows, total) = incident_list::open(&mut client, LISTED_MAX)?;
    if arguments.all {
        rows.extend(incident_list::closed(&mut client, Slice { size: LISTED_MAX, page: 0 })?.0);
    }
    if arguments.json {
        let rows: Vec<&str> = rows.iter().map(|row| row.json.as_str()).collect();
        return print(&printable_json(&format!("[{}]\n", rows.join(",\n "))));
    }
    let hidden = if arguments.all {
        0
    } else {
        let before = rows.len();
        rows.retain(|row| row.parent_id.is_none());
        before - rows.len()
    };
    let mut out = text(&rows, "no incident is open");
    if hidden > 0 {
        out.push_str(&format!("and {} below them: --all shows all\n", counted(hidden as u64, "incident")));
    }
    if total > LISTED_MAX {
        out.push_str(&format!("the first {LISTED_MAX} of {total} are shown\n"));
    }
    print(&out)
}

/// Formats incidents as a table; `none` if there is none.
pub(super) fn text(rows: &[ListedIncident], none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let mut table = Table::new(&[
        ("id", Column::Number),
        ("state", Column::Word),
        ("severity", Column::Word),
        ("since (UTC)", Column::Word),
        ("routers", Column::Word),
        ("summary", Column::Text),
    ]);
    for row in rows {
        table.push([
            row.id.to_string(),
            state(row),
            row.severity.clone(),
            row.cause_at.to_utc().trim_end_matches(" UTC").to_owned(),
            format!("{}/{}", row.affected, row.known),
            row.summary.clone(),
        ]);
    }
    table.render(table::line_width())
}

/// The state of an incident, with what keeps it from being delivered.
fn state(row: &ListedIncident) -> String {
    let mut words = vec![row.state.clone()];
    if let Some(parent) = row.parent_id {
        words.push(format!("below {parent}"));
    }
    if row.silence_id.is_some() {
        words.push("silenced".to_owned());
    }
    if row.is_baseline {
        words.push("baseline".to_owned());
    }
    if row.frozen_since.is_some() && row.closed_at.is_none() {
        words.push("frozen".to_owned());
    }
    words.join(", ")
}

fn show(id: i64, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "incidents")?;
    let Some(row) = incident_list::numbered(&mut client, id)? else {
        return Err(CommandError::Failed(format!("incident {id}: {}", operator::ChangeRefusal::Unknown)));
    };
    let mut out = format!("incident {id}: {}, {}\n{}\n\n", state(&row), row.severity, printable(&row.summary));
    let name = |text: &Option<String>| printable(text.as_deref().unwrap_or("-")).into_owned();
    let time = |time: Option<Timestamp>| time.map(Timestamp::to_utc);
    let lines = [
        ("watch", Some(name(&row.watch))),
        ("team", row.team.as_ref().map(|team| printable(team).into_owned())),
        ("condition", Some(row.condition.clone())),
        ("subject", Some(printable(&row.subject).into_owned()).filter(|subject| !subject.is_empty())),
        ("routers", Some(format!("{} of {}", row.affected, row.known))),
        ("began", time(Some(row.cause_at))),
        ("opened", time(Some(row.opened_at))),
        ("acknowledged by", row.acknowledged_by.as_ref().map(|who| printable(who).into_owned())),
        ("snoozed until", time(row.snoozed_until)),
        ("frozen since", time(row.frozen_since)),
        ("over since", time(row.over_since)),
        ("closed", time(row.closed_at)),
        ("silence", row.silence_id.map(|silence| silence.to_string())),
        ("below", row.parent_id.map(|parent| parent.to_string())),
        ("below it", Some(row.children).filter(|children| *children > 0).map(|children| children.to_string())),
        ("runbook", row.runbook_url.as_ref().map(|url| printable(url).into_owned())),
    ];
    for (label, value) in lines {
        if let Some(value) = value {
            out.push_str(&format!("{label:<16} {value}\n"));
        }
    }
    out.push('\n');
    let mut table = Table::new(&[
        ("time (UTC)", Column::Word),
        ("event", Column::Word),
        ("told", Column::Word),
        ("by", Column::Text),
        ("note or summary", Column::Text),
    ]);
    for change in incident_list::changes(&mut client, id, CHANGES_MAX)? {
        table.push([
            change.at.to_utc().trim_end_matches(" UTC").to_owned(),
            change.event,
            if change.is_told { "yes" } else { "no" }.to_owned(),
            change.who.unwrap_or_else(|| "-".to_owned()),
            change.note.unwrap_or(change.summary),
        ]);
    }
    print(&(out + &table.render(table::line_width())))
}

fn change(id: i64, change: IncidentChange, by: &AuthorOptions, settings: &Settings) -> Result<(), CommandError> {
    let who = by.by.trim();
    if who.is_empty() {
        return Err(CommandError::Configuration(vec!["--by is empty: name who does it".to_owned()]));
    }
    let mut client = connect(settings, "incidents")?;
    match operator::change(&mut client, id, change, Author { who, note: by.note.as_deref() })? {
        Ok(done) => print(&format!("incident {id}: {}\n", printable(&done))),
        Err(refusal) => Err(CommandError::Failed(format!("incident {id}: {refusal}"))),
    }
}
