//! `archive`: days of the history that are over, as Parquet files.

use std::path::PathBuf;

use clap::Args;

use super::command::{CommandError, connect, counted, print, say};
use super::maintenance::is_migrated;
use super::when;
use crate::archive::{Archive, Report};
use crate::config::Settings;
use crate::model::Timestamp;
use crate::model::text::printable;
use crate::store::partitions::day_of;
use crate::store::{archive, events, maintenance};

/// The days and the folder.
#[derive(Args, Debug)]
pub(crate) struct ArchiveArguments {
    /// Write days that have been over for at least this long
    #[arg(long, value_name = "DURATION", default_value = "1d")]
    older_than: String,
    /// The folder, which has to exist. Unset: RIB_INGESTER_ARCHIVE_DIR
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// Write the BMP messages too, where they are stored; files that lack them are written anew
    #[arg(long)]
    raw: bool,
}

/// Writes the files and prints what was done.
pub(super) fn run(arguments: &ArchiveArguments, settings: &Settings) -> Result<(), CommandError> {
    let usage = |why: String| CommandError::Configuration(vec![why]);
    let age = when::duration(&arguments.older_than).map_err(|why| usage(format!("--older-than: {why}")))?;
    let folder = arguments.to.as_ref().or(settings.archive_dir.as_ref());
    let folder = folder.ok_or_else(|| usage("name the folder: --to FOLDER, or RIB_INGESTER_ARCHIVE_DIR".to_owned()))?;
    let mut archive = Archive::open(folder, arguments.raw).map_err(usage)?;
    let mut client = connect(settings, "archive")?;
    is_migrated(&mut client)?;
    maintenance::limit(&mut client)?;
    archive.check(&mut client)?.map_err(CommandError::Failed)?;
    if !archive::begin(&mut client)? {
        let why = "a collector or another command writes to the archive of this database right now: try again";
        return Err(CommandError::Failed(why.to_owned()));
    }
    let now = events::clock(&mut client)?;
    let before = day_of(Timestamp::from_unix_micros(now.unix_micros() - age));
    let report = archive.run(&mut client, before, false)?;
    archive::end(&mut client)?;
    print(&describe(&report))?;
    for failure in &report.failures {
        say(failure);
    }
    match report.failures.len() {
        0 => Ok(()),
        count => {
            let count = counted(u64::try_from(count).unwrap_or(u64::MAX), "failure");
            Err(CommandError::Failed(format!("archive: {count}, see above; the days stay in the database")))
        }
    }
}

fn describe(report: &Report) -> String {
    let lines = report.files.iter().map(|file| format!("{}\n", printable(&file.to_string())));
    let count = u64::try_from(report.files.len()).unwrap_or(u64::MAX);
    let rows = report.files.iter().map(|file| file.rows).sum();
    let sum = match count {
        0 if report.failures.is_empty() => "all days that are over are in the archive\n".to_owned(),
        _ => format!("{} with {}\n", counted(count, "file"), counted(rows, "event")),
    };
    lines.chain([sum]).collect()
}
