//! The options of all writers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::health::Health;
use super::notices::Notices;
use super::watching::Watching;
use crate::metrics::Meters;

/// The settings and shared objects of the writers.
#[derive(Clone)]
pub struct PipelineOptions {
    /// The connection URL of PostgreSQL.
    pub database_url: String,
    /// The identifier of this collector in `router_owner`.
    pub collector_id: String,
    /// The number of threads that write state; at least one.
    pub state_writers: usize,
    /// The number of threads that write history; zero: no history is kept.
    pub history_writers: usize,
    /// The number of changes that fill a batch while the writers keep up.
    pub batch_routes: usize,
    /// The longest time that a batch is gathered while they keep up.
    pub flush: Duration,
    /// The longest time that routes wait for history if it alone is in trouble.
    pub history_wait: Duration,
    /// True if raw messages are compressed, where sessions send them.
    pub compress_raw: bool,
    /// The state directory, which contains the folder of rejected rows.
    pub state_dir: PathBuf,
    /// The meters that count the writers' work.
    pub meters: Arc<Meters>,
    /// The writers' own counters.
    pub health: Arc<Health>,
    /// The targets of watches, and the way to their evaluator.
    pub watching: Arc<Watching>,
    /// Rows of `session_events` of which listeners are to hear.
    pub notices: Arc<Notices>,
}
