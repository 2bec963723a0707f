//! The results of a run of maintenance, step by step.

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::ProcessMeter;
use crate::model::{RouterId, Timestamp};
use crate::store::index_sizes::Rebuilt;
use crate::store::{self, Client, counts};

/// The results of one run.
#[derive(Debug, Default)]
pub struct Report {
    /// Names of new partitions.
    pub created: Vec<String>,
    /// The files that were written or verified for the first time: day, router, events, size.
    pub archived: Vec<String>,
    /// Failures of files, which are among `failures` too; `None`: no files were looked at.
    pub archive_failures: Option<usize>,
    /// Names of dropped partitions.
    pub dropped: Vec<String>,
    /// True if another collector holds the lock and does everything but the partitions.
    pub is_elsewhere: bool,
    /// The tables copied into today's snapshot: router, table, routes.
    pub snapshots: Vec<(RouterId, Arc<str>, u64)>,
    /// True if `route_summary` was refreshed.
    pub refreshed: bool,
    /// The index that was rebuilt, if one had outgrown its rows.
    pub rebuilt: Option<Rebuilt>,
    /// Rows of `session_events` that were removed because of their age.
    pub forgotten: u64,
    /// Incidents that were removed because of their age.
    pub forgotten_incidents: u64,
    /// Tables whose kept number of routes was not that of their routes, and is now.
    pub corrected: Vec<counts::Corrected>,
    /// Manual changes to the partitions that have to be repaired by hand.
    pub remarks: Vec<String>,
    /// Steps that failed and will be tried again, in words.
    pub failures: Vec<String>,
}

impl Report {
    /// Does one step; only a broken connection ends the run.
    pub(super) fn step<T>(
        &mut self,
        client: &mut Client,
        what: &str,
        work: impl FnOnce(&mut Client) -> store::Result<T>,
    ) -> store::Result<Option<T>> {
        match work(client) {
            Ok(value) => Ok(Some(value)),
            Err(error) if client.is_closed() => Err(error),
            Err(error) => {
                self.failures.push(format!("{what}: {error}"));
                Ok(None)
            }
        }
    }

    /// Returns what was corrected in `route_counts`, in words.
    pub(crate) fn correction(&self) -> Option<String> {
        let first = self.corrected.first()?;
        let tables = self.corrected.len();
        let plural = if tables == 1 { "" } else { "s" };
        Some(format!(
            "route_counts differed from the stored routes in {tables} table{plural} and was corrected, most in {} by {:+}",
            first.table, first.difference
        ))
    }

    pub(super) fn count(&self, meter: &ProcessMeter, took: Duration) {
        meter.maintenance_failures.add(self.failures.len());
        meter.counts_corrected.add(self.corrected.len());
        if let Some(failures) = self.archive_failures {
            meter.archive_failures.add(failures);
            if failures == 0 {
                meter.archive_done.set_time(Timestamp::now());
            }
        }
        if self.failures.is_empty() {
            meter.maintenance_done.set_time(Timestamp::now());
            meter.maintenance_took.set(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn log(&self) {
        for name in &self.created {
            log::info!("partition {name}: created");
        }
        if !self.snapshots.is_empty() {
            let routes: u64 = self.snapshots.iter().map(|(_, _, routes)| routes).sum();
            log::info!("snapshot of today: {} tables, {routes} routes", self.snapshots.len());
        }
        for line in &self.archived {
            log::info!("archive: {line}");
        }
        for name in &self.dropped {
            log::info!("partition {name}: dropped at the end of its retention");
        }
        if let Some(Rebuilt { name, before, after }) = &self.rebuilt {
            log::info!("index {name}: rebuilt, {before} bytes before, {after} now");
        }
        if let Some(corrected) = self.correction() {
            log::warn!("maintenance: {corrected}");
        }
        for remark in &self.remarks {
            log::warn!("maintenance: {remark}");
        }
        for failure in &self.failures {
            log::warn!("maintenance: {failure}; trying again at the next run");
        }
    }
}
