//! `maintenance`: one run of the tasks that the collector does at every interval.

use super::command::{CommandError, connect, counted, print, say};
use crate::config::Settings;
use crate::maintenance::{self, Archiving, Report};
use crate::model::text::printable;
use crate::store::index_sizes::Rebuilt;
use crate::store::{Client, migrate};

/// Runs once and prints what was done. A failed step is a failure of the command, though the other steps were done.
pub(super) fn run(settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "maintenance")?;
    is_migrated(&mut client)?;
    let mut archiving = Archiving::new(settings.archive_dir.clone());
    let mut report = maintenance::run_with(&mut client, settings.retention_days, &mut archiving)?;
    maintenance::forget_incidents(&mut client, settings.incident_retention_days, &mut report)?;
    if settings.daily_snapshots {
        maintenance::take_snapshots(&mut client, &mut report)?;
    }
    print(&describe(&report))?;
    for remark in &report.remarks {
        say(remark);
    }
    match report.failures.as_slice() {
        [] => Ok(()),
        failures => {
            for failure in failures {
                say(failure);
            }
            let steps = counted(u64::try_from(failures.len()).unwrap_or(u64::MAX), "step");
            Err(CommandError::Failed(format!("maintenance: {steps} failed, see above")))
        }
    }
}

/// Refuses a database that lacks migrations.
pub(super) fn is_migrated(client: &mut Client) -> Result<(), CommandError> {
    match migrate::missing(client)?.as_slice() {
        [] => Ok(()),
        missing => {
            let lacks = missing.join(", ");
            Err(CommandError::Failed(format!("the database lacks {lacks}: run `rib-ingester migrate` first")))
        }
    }
}

fn describe(report: &Report) -> String {
    let mut out = String::new();
    for name in &report.created {
        out.push_str(&format!("created {name}\n"));
    }
    for line in &report.archived {
        out.push_str(&format!("archived {}\n", printable(line)));
    }
    for name in &report.dropped {
        out.push_str(&format!("dropped {name}\n"));
    }
    for (router, table, routes) in &report.snapshots {
        let (router, table) = (printable(router.as_str()), printable(table));
        out.push_str(&format!("copied table {table} of router {router}: {}\n", counted(*routes, "route")));
    }
    if report.is_elsewhere {
        out.push_str("the rest is being done by another collector or command right now\n");
    }
    if report.forgotten > 0 {
        out.push_str(&format!("forgot {} of session_events\n", counted(report.forgotten, "row")));
    }
    if report.forgotten_incidents > 0 {
        out.push_str(&format!("forgot {}\n", counted(report.forgotten_incidents, "incident")));
    }
    if let Some(corrected) = report.correction() {
        out.push_str(&format!("{}\n", printable(&corrected)));
    }
    if report.refreshed {
        out.push_str("refreshed route_summary\n");
    }
    if let Some(Rebuilt { name, before, after }) = &report.rebuilt {
        out.push_str(&format!("rebuilt {}: {before} bytes before, {after} now\n", printable(name)));
    }
    out
}
