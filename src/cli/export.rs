//! `export`: what is stored, in the formats of other programs.

mod events;
mod output;
mod selection;
mod table;
mod unsaid;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use self::events::Files;
use self::output::{Output, is_stdout};
use self::selection::{TableArguments, select};
use self::unsaid::Unsaid;
use super::command::{CommandError, connect, print, say};
use super::compare::known_routers;
use super::when;
use crate::config::Settings;
use crate::model::Timestamp;
use crate::store::compare::begin;
use crate::store::events::clock;

/// The largest number of files of one export.
const FILES_MAX: i64 = 20_000;

/// The length of a minute, microseconds: names of files are to the minute.
const MINUTE: i64 = 60_000_000;

/// The format.
#[derive(Args, Debug)]
pub struct ExportArguments {
    #[command(subcommand)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Format {
    /// Write a table, or its events, as MRT (RFC 6396), for bgpdump, bgpkit and others
    Mrt(MrtArguments),
}

/// The content of the file.
#[derive(Args, Debug)]
pub(crate) struct MrtArguments {
    #[command(flatten)]
    table: TableArguments,
    /// The table as it was then; with a time zone, as '2026-11-26 01:00 Europe/Berlin'. Unset: as it is
    #[arg(long, value_name = "TIME", conflicts_with = "events")]
    at: Option<String>,
    /// Write changes instead of the table
    #[arg(long, requires = "from")]
    events: bool,
    /// With --events: from this time of storing on
    #[arg(long, value_name = "TIME", requires = "events")]
    from: Option<String>,
    /// With --events: up to this time. Unset: now
    #[arg(long, value_name = "TIME", requires = "events")]
    to: Option<String>,
    /// With --events: a file for each step of this length, as 5m or 15m, in the folder FILE: updates.20261126.0800.bz2
    #[arg(long, value_name = "DURATION", requires = "events")]
    split: Option<String>,
    /// The file, compressed if its name ends in .gz or .bz2; a folder, for a name as rib.20261126.0800.bz2; or - for
    /// standard output
    file: PathBuf,
}

/// Writes the file.
pub(super) fn run(arguments: &ExportArguments, settings: &Settings) -> Result<(), CommandError> {
    let Format::Mrt(arguments) = &arguments.format;
    let time = |text: &Option<String>| text.as_deref().map(when::time).transpose().map_err(usage);
    let (at, from, to) = (time(&arguments.at)?, time(&arguments.from)?, time(&arguments.to)?);
    let step = arguments.split.as_deref().map(when::duration).transpose().map_err(usage)?;
    if step.is_some_and(|step| step % MINUTE != 0) {
        return Err(usage("--split: names of files are to the minute: give whole minutes".to_owned()));
    }
    let mut client = connect(settings, "export")?;
    let router = known_routers(&mut client, std::slice::from_ref(&arguments.table.router))?.remove(0);
    let now = clock(&mut client)?;
    if at.is_some_and(|at| at > now) {
        return Err(usage("--at must be in the past".to_owned()));
    }
    let mut transaction = begin(&mut client)?;
    let selected = select(&mut transaction, &router, &arguments.table)?;
    let mut unsaid = Unsaid::default();
    let done = match from {
        None => {
            let time = at.unwrap_or(now);
            let path = named(&arguments.file, "rib", time);
            let mut output = Output::create(&path)?;
            let written = table::write(&mut transaction, &selected, at, time, &mut output, &mut unsaid)?;
            output.finish()?;
            format!("wrote {written} to {}", path.display())
        }
        Some(from) => {
            let to = to.unwrap_or(now).min(now);
            if from >= to {
                return Err(usage("--from must be before --to, and in the past".to_owned()));
            }
            let mut files = files(arguments, step, from, to)?;
            let written = events::write(&mut transaction, &selected, (from, to), &mut files, &mut unsaid)?;
            match (files.finish(to)?, step) {
                (count, Some(_)) => format!("wrote {written} to {count} files in {}", arguments.file.display()),
                (_, None) => format!("wrote {written} to {}", named(&arguments.file, "updates", from).display()),
            }
        }
    };
    unsaid.tell();
    if is_stdout(&arguments.file) {
        say(done);
        return Ok(());
    }
    print(&format!("{done}\n"))
}

/// Returns the files that events go to.
fn files(arguments: &MrtArguments, step: Option<i64>, from: Timestamp, to: Timestamp) -> Result<Files, CommandError> {
    let Some(step) = step else { return Files::one(&named(&arguments.file, "updates", from)) };
    if !arguments.file.is_dir() {
        return Err(usage(format!("--split writes into a folder, and {} is none", arguments.file.display())));
    }
    if (to.unix_micros() - from.unix_micros()) / step >= FILES_MAX {
        return Err(usage(format!("--split: more than {FILES_MAX} files: choose longer steps or a shorter time")));
    }
    Files::steps(&arguments.file, step, from)
}

/// Returns the file; in a folder, the one with this time in its name.
fn named(file: &Path, kind: &str, time: Timestamp) -> PathBuf {
    if file.is_dir() { file.join(events::name(kind, time)) } else { file.to_owned() }
}

fn usage(why: String) -> CommandError {
    CommandError::Configuration(vec![why])
}
