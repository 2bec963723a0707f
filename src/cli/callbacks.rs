//! `callbacks`: who is told of incidents, over HTTP.
//!
//! A URL, a header and a signing key are secrets: they are read from files, as arguments show in the list of processes,
//! and nothing prints them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};

use super::command::{CommandError, connect, counted, open, print};
use super::table::{self, Column, Table};
use crate::config::Settings;
use crate::model::text::{printable, printable_json};
use crate::model::watch::Condition;
use crate::store::Client;
use crate::store::watch::callbacks::{self, AddedCallback, Callback, CallbackRow, NewCallback};
use crate::store::watch::deliveries;
use crate::supervisor;
use crate::watch::deliveries::{TestAnswer, send_test};

/// The largest file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// The commands for callbacks.
#[derive(Args, Debug)]
pub struct CallbacksArguments {
    #[command(subcommand)]
    action: CallbacksCommand,
}

#[derive(Debug, Subcommand)]
enum CallbacksCommand {
    /// List callbacks and how they do, without their secrets
    List {
        /// Print an array of rows of `watch.callbacks_public`
        #[arg(long)]
        json: bool,
    },
    /// Add a callback
    Add(Box<CallbackOptions>),
    /// Remove a callback and what waits for it
    Remove(CallbackName),
    /// Send it a TEST, opened and over, and print the answers
    Test(CallbackName),
    /// Send again what was given up, and what waits, now
    Retry(CallbackName),
}

/// Which callback.
#[derive(Args, Debug)]
struct CallbackName {
    /// Its name
    name: String,
    /// The team that it belongs to
    #[arg(long)]
    team: Option<String>,
}

/// The options of a new callback.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("to").required(true).args(["url", "url_file"]))]
struct CallbackOptions {
    #[command(flatten)]
    named: CallbackName,
    /// generic, alertmanager, pagerduty, slack (Mattermost too), teams, ntfy, flapalerted or heartbeat
    #[arg(long)]
    format: String,
    /// Where messages go; other users of this machine may see it meanwhile
    #[arg(long)]
    url: Option<String>,
    /// A file with the URL, - for standard input; alertmanager: one line for each member of the cluster
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// flapalerted: a file with the URL for ends
    #[arg(long, value_name = "FILE")]
    url_end_file: Option<PathBuf>,
    /// A file with the key of the signatures; pagerduty: the routing key
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A file with header fields, a line each, as Authorization: Bearer abc
    #[arg(long, value_name = "FILE")]
    headers_file: Option<PathBuf>,
    /// Only this condition; may be given several times. Unset: all
    #[arg(long = "condition", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// The least severity: critical, error, warning or info
    #[arg(long, default_value = "info")]
    min_severity: String,
    /// The zone whose time stands behind UTC in texts, as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Send critical incidents again that nobody acknowledges, after this many seconds
    #[arg(long, value_name = "SECONDS")]
    repeat_secs: Option<i32>,
    /// The number of messages that it takes in a minute; further ones come in one message
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    max_per_minute: i32,
    /// The callback that hears of critical incidents while this one fails
    #[arg(long, value_name = "NAME")]
    fallback: Option<String>,
}

/// Lists, adds, removes, tries or revives callbacks.
pub(super) fn run(arguments: &CallbacksArguments, settings: &Settings) -> Result<(), CommandError> {
    match &arguments.action {
        CallbacksCommand::List { json } => list(*json, settings),
        CallbacksCommand::Add(options) => add(options, settings),
        CallbacksCommand::Remove(named) => {
            let mut client = connect(settings, "callbacks")?;
            if callbacks::remove(&mut client, named.team.as_deref(), &named.name)? {
                print(&format!("callback {}: removed\n", printable(&named.name)))
            } else {
                Err(unknown(&named.name))
            }
        }
        CallbacksCommand::Test(named) => {
            let callback = find(&mut connect(settings, "callbacks")?, named)?;
            test(&callback, settings)
        }
        CallbacksCommand::Retry(named) => {
            let mut client = connect(settings, "callbacks")?;
            let callback = find(&mut client, named)?;
            let revived = deliveries::retry(&mut client, callback.id)?;
            let revived = if revived == 1 { "1 delivery is".to_owned() } else { format!("{revived} deliveries are") };
            print(&format!("callback {}: {revived} sent by the collector now\n", printable(&named.name)))
        }
    }
}

fn unknown(name: &str) -> CommandError {
    let name = printable(name);
    CommandError::Failed(format!("callback {name}: there is none: `rib-ingester callbacks list` lists them"))
}

fn find(client: &mut Client, named: &CallbackName) -> Result<Callback, CommandError> {
    callbacks::find(client, named.team.as_deref(), &named.name)?.ok_or_else(|| unknown(&named.name))
}

fn list(json: bool, settings: &Settings) -> Result<(), CommandError> {
    let rows = callbacks::list(&mut connect(settings, "callbacks")?)?;
    if json {
        let rows: Vec<&str> = rows.iter().map(|row| row.json.as_str()).collect();
        return print(&printable_json(&format!("[{}]\n", rows.join(",\n "))));
    }
    if rows.is_empty() {
        return print("there are no callbacks: `rib-ingester callbacks add` adds one\n");
    }
    let columns = [
        ("team", Column::Text),
        ("name", Column::Text),
        ("format", Column::Word),
        ("target", Column::Text),
        ("from", Column::Word),
        ("state", Column::Text),
        ("waiting", Column::Number),
        ("given up", Column::Number),
    ];
    let mut table = Table::new(&columns);
    for row in &rows {
        table.push([
            row.team.clone().unwrap_or_default(),
            row.name.clone(),
            row.format.clone(),
            row.target.clone(),
            row.min_severity.clone(),
            state(row),
            row.pending.to_string(),
            row.dead.to_string(),
        ]);
    }
    print(&table.render(table::line_width()))
}

fn state(row: &CallbackRow) -> String {
    let status = row.last_status.map_or("no answer".to_owned(), |status| format!("HTTP {status}"));
    match (row.is_enabled, row.failing_since, row.last_at) {
        (false, _, _) => "off".to_owned(),
        (true, Some(since), _) => format!("fails since {}: {status}", since.to_utc()),
        (true, None, Some(at)) => format!("accepted {}", at.to_utc()),
        (true, None, None) => "not used yet".to_owned(),
    }
}

fn add(options: &CallbackOptions, settings: &Settings) -> Result<(), CommandError> {
    let CallbackOptions { named, conditions, .. } = options;
    let unknown = conditions.iter().filter(|condition| Condition::parse(condition).is_none());
    let wrong: Vec<String> =
        unknown.map(|condition| format!("condition \"{}\" is unknown", printable(condition))).collect();
    if !wrong.is_empty() {
        return Err(CommandError::Configuration(wrong));
    }
    let read = |file: &Option<PathBuf>| file.as_deref().map(secret_in).transpose();
    let url = match (&options.url, read(&options.url_file)?) {
        (Some(url), _) => url.clone(),
        (None, text) => text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let headers = read(&options.headers_file)?.map(|text| headers(&text)).transpose()?;
    let new = NewCallback {
        team: named.team.clone(),
        name: named.name.clone(),
        format: options.format.clone(),
        url,
        url_end: read(&options.url_end_file)?,
        headers: headers.unwrap_or_else(|| "{}".to_owned()),
        secret: read(&options.secret_file)?,
        conditions: (!conditions.is_empty()).then(|| conditions.clone()),
        min_severity: options.min_severity.clone(),
        time_zone: options.time_zone.clone(),
        repeat_secs: options.repeat_secs,
        max_per_minute: options.max_per_minute,
        fallback: options.fallback.clone(),
    };
    let name = printable(&named.name);
    match callbacks::add(&mut connect(settings, "callbacks")?, &new)? {
        AddedCallback::Done => {
            print(&format!("callback {name}: added; `rib-ingester callbacks test {name}` sends it a TEST\n"))
        }
        AddedCallback::Refused(why) => Err(CommandError::Configuration(vec![why])),
        AddedCallback::Exists => Err(CommandError::Configuration(vec![format!("callback {name}: exists already")])),
        AddedCallback::NoFallback => {
            Err(CommandError::Configuration(vec![format!("callback {name}: its fallback does not exist")]))
        }
    }
}

/// Returns the text of a file without the end of its last line; it is not printed anywhere.
fn secret_in(file: &Path) -> Result<String, CommandError> {
    let wrong = |why: &str| CommandError::Configuration(vec![format!("{}: {why}", file.display())]);
    let (input, _) = open(file)?;
    let mut text = String::new();
    match input.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(length) if u64::try_from(length).is_ok_and(|length| length > SECRET_BYTES_MAX) => Err(wrong("is too long")),
        Ok(_) => match text.strip_suffix('\n').map_or(text.as_str(), |line| line.trim_end_matches('\r')) {
            "" => Err(wrong("is empty")),
            text => Ok(text.to_owned()),
        },
        Err(error) => Err(wrong(&error.to_string())),
    }
}

/// Reads header fields, a line each, as a JSON object.
fn headers(text: &str) -> Result<String, CommandError> {
    let mut headers = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            // The line may be a secret.
            let wrong = format!("line {} of the headers is not a name, a colon and a value", number + 1);
            return Err(CommandError::Configuration(vec![wrong]));
        };
        headers.insert(name.trim(), value.trim());
    }
    Ok(serde_json::json!(headers).to_string())
}

fn test(callback: &Callback, settings: &Settings) -> Result<(), CommandError> {
    let rules = supervisor::address_rules(settings);
    let https = supervisor::callback_tls(settings).map_err(|why| CommandError::Configuration(vec![why]))?;
    let answers = send_test((&rules, &https), callback, &settings.site, settings.public_url.as_deref());
    let line = |TestAnswer { event, target, answer, is_accepted }: &TestAnswer| {
        let answer = match answer {
            Ok((status, text)) => format!("HTTP {status} {}", printable(text.trim())),
            Err(why) => why.clone(),
        };
        let verdict = if *is_accepted { "accepted" } else { "NOT ACCEPTED" };
        format!("{event} to {target}: {verdict}: {}\n", answer.trim_end())
    };
    print(&answers.iter().map(line).collect::<String>())?;
    match answers.iter().filter(|answer| !answer.is_accepted).count() {
        0 => Ok(()),
        failed => Err(CommandError::Failed(format!(
            "callback {}: {} not accepted",
            printable(&callback.name),
            counted(u64::try_from(failed).unwrap_or(u64::MAX), "message")
        ))),
    }
}
