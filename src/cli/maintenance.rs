//! `maintenance`: one run of the tasks that the collector does at every interval.

use super::command::{CommandError, connect, counted, print, say};
use crate::config::Settings;
use crate::maintenance::{self, Report};
use crate::model::text::printable;
use crate::store::index_sizes::Rebuilt;
use crate::store::migrate;

/// Runs once and prints what was done. A failed step is a failure of the command, though the other steps were done.
pub(super) fn run(settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "maintenance")?;
    match migrate::missing(&mut client)?.as_slice() {
        [] => {}
        missing => {
            let lacks = missing.join(", ");
            return Err(CommandError::Failed(format!("the database lacks {lacks}: run `rib-ingester migrate` first")));
        }
    }
    let mut report = maintenance::run_once(&mut client, settings.retention_days)?;
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

fn describe(report: &Report) -> String {
    let mut out = String::new();
    for name in &report.created {
        out.push_str(&format!("created {name}\n"));
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
