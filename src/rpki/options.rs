//! The settings of the thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Meters;
use crate::store::Outages;

/// The options of the thread.
#[derive(Clone)]
pub struct Options {
    /// The connection string of PostgreSQL.
    pub database_url: String,
    /// The name of this collector.
    pub collector: String,
    /// Files and URLs.
    pub sources: Vec<String>,
    /// The interval at which they are asked.
    pub refresh: Duration,
    /// The age from which a set is too old.
    pub max_age: Duration,
    /// The file of local exceptions.
    pub slurm: Option<PathBuf>,
    /// Trust anchors that are not used.
    pub ignored: Vec<String>,
    /// The interval at which all routes are validated.
    pub scan_every: Duration,
    /// The time for which a set that lacks too much is held.
    pub hold: Duration,
    /// The counters.
    pub meters: Arc<Meters>,
    /// Where a database that is away is reported, once for all threads.
    pub outages: Arc<dyn Outages>,
}
