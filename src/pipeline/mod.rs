//! The bounded channels between sessions and the database, and the writer threads behind them.
//!
//! One router always maps to one state writer and to one event writer, so everything about one router
//! is written in the order its session said it; of one large batch, whose keys are each there once, idle state writers
//! take parts. State waits for the history of the same input, history for nobody (`lead`). What is stored of a table is read on
//! connections of their own. A thread that receives from a session's channel never sends into one: no cycle, no deadlock. A full channel
//! blocks the session, and TCP the router.
//! Writers end when all senders are gone and what was sent is written, or when [`Stop`] gives up.

mod audit;
mod backlog;
mod batch;
mod batch_sizer;
mod collector_lock;
mod commands;
mod connection;
mod ends;
mod event_writer;
mod extras;
mod gather;
mod health;
mod late;
mod lead;
pub mod op;
mod outage;
mod past;
pub mod progress;
mod refused_rows;
mod rows;
pub mod sender;
mod state_writer;
mod work_sharing;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::metrics::Meters;
use crate::stop::Stop;
pub use crate::store::{EncodedRoute, LabeledRoutes};
pub use collector_lock::CollectorLock;
use crossbeam_channel::unbounded;
use event_writer::EventWriter;
pub use health::Health;
use lead::Hurry;
pub use op::{
    AddPathPlace, AddPathRecord, Claim, ClaimRight, Claimed, Doubts, EventBatch, Existing, Ownership, PeerName,
    PeerRecord, PeerState, PeersOf, Refusal, RouteChange, RouteEvent, RouterRecord, SessionEvent, SessionEventKind,
    SessionState, StateBatch, StateItem, StateOp, StatisticRecord, StoredRoute, TableNameRecord, WithdrawReason,
    cut_reason,
};
pub use progress::{Progress, Waiting};
pub use sender::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, PipelineReceivers, PipelineSender, channels};
use state_writer::{Others, StateWriter};
use work_sharing::HelperPool;

/// What the writers need to know.
#[derive(Clone)]
pub struct PipelineOptions {
    /// Where PostgreSQL is.
    pub database_url: String,
    /// Who we are in `router_owner`.
    pub collector_id: String,
    /// How many threads write state; at least one.
    pub state_writers: usize,
    /// How many threads write history; none: no history is kept.
    pub history_writers: usize,
    /// How many changes make a batch full while the writers keep up.
    pub batch_routes: usize,
    /// How old a batch gets while they do.
    pub flush: Duration,
    /// Whether raw messages are compressed, where sessions send them.
    pub compress_raw: bool,
    /// Below it stands the folder of rejected rows.
    pub state_dir: PathBuf,
    /// Where it is counted.
    pub meters: Arc<Meters>,
    /// The writers' own counters.
    pub health: Arc<Health>,
}

/// The running writers.
pub struct Pipeline {
    threads: Vec<JoinHandle<u64>>,
    health: Arc<Health>,
}

/// How the writers ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineEnd {
    /// Operations and events that were not written when the grace was over.
    pub given_up: u64,
    /// Writers that panicked.
    pub panicked: usize,
}

/// Starts the writers. They connect when the first item comes.
///
/// # Errors
/// The system refuses a thread.
pub fn spawn(options: PipelineOptions, stop: &Stop) -> io::Result<(Pipeline, PipelineSender)> {
    let (sender, receivers) = channels(options.state_writers, options.history_writers);
    let health = Arc::clone(&options.health);
    let options = Arc::new(options);
    let exchange = HelperPool::new();
    let (hurry, hurried) = Hurry::new(options.history_writers);
    // Bounded by the sessions, each of which waits for its answer.
    let (loads, to_load) = unbounded();
    let mut threads = Vec::new();
    for (i, items) in receivers.state.into_iter().enumerate() {
        let name = format!("state-{i}");
        let others = Others { exchange: exchange.clone(), hurry: hurry.clone(), loads: Some(loads.clone()) };
        let writer = StateWriter::new(options.clone(), &name, stop.clone(), health.clone(), others);
        threads.push(thread::Builder::new().name(name).spawn(move || writer.run(&items))?);
    }
    drop(loads);
    for i in 0..options.state_writers.max(1) {
        let (name, to_load) = (format!("load-{i}"), to_load.clone());
        let others = Others { exchange: exchange.clone(), hurry: hurry.clone(), loads: None };
        let loader = StateWriter::new(options.clone(), &name, stop.clone(), health.clone(), others);
        threads.push(thread::Builder::new().name(name).spawn(move || loader.run_loads(&to_load))?);
    }
    for (i, (items, hurried)) in receivers.events.into_iter().zip(hurried).enumerate() {
        let name = event_writer_name(i);
        let writer = EventWriter::new(options.clone(), &name, stop.clone(), health.clone());
        threads.push(thread::Builder::new().name(name).spawn(move || writer.run(&items, &hurried))?);
    }
    Ok((Pipeline { threads, health }, sender))
}

/// How the event writer of this number is called.
fn event_writer_name(number: usize) -> String {
    format!("events-{number}")
}

impl Pipeline {
    /// The writers' counters.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Whether a writer has ended, which none does while there are senders: it panicked.
    pub fn has_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Waits until the writers have written everything or given up. All senders have to be gone before.
    pub fn join(self) -> PipelineEnd {
        let mut end = PipelineEnd::default();
        for thread in self.threads {
            match thread.join() {
                Ok(given_up) => end.given_up += given_up,
                Err(_) => end.panicked += 1,
            }
        }
        end
    }
}
