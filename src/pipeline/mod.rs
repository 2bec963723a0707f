//! The bounded channels between sessions and the database, and the writer threads that receive from them.
//!
//! One router always maps to one state writer and to one event writer, so everything about one router is written in the
//! order in which its session reported it; idle state writers write parts of a large batch, in which each key occurs
//! once. State waits for the history of the same input; history waits for nothing (`lead`). Stored tables are read, and
//! large ones removed, on separate connections. A thread that receives from a session's channel never sends into one, so there is no cycle and
//! no deadlock. A full channel blocks the session, and TCP then blocks the router. Writers end when all senders are
//! gone and everything sent is written, or when [`Stop`] gives up.

mod audit;
mod backlog;
mod batch;
mod batch_sizer;
mod collector_lock;
mod commands;
mod connection;
mod ends;
mod event_rows;
mod event_writer;
mod extras;
mod flaps;
mod health;
mod late;
mod lead;
pub mod lease;
mod notices;
pub mod op;
mod options;
mod outage;
mod past;
pub mod positions;
mod progress;
mod refused_rows;
mod removals;
mod route_rows;
mod rows;
pub mod sender;
mod state_writer;
mod suspension;
mod told;
pub mod watching;
mod work_sharing;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::stop::Stop;
pub use crate::store::journal_positions::StoredPositions;
pub use crate::store::recent::{NewestEvent, Recent, Removal, StoredPeer};
pub use connection::Connection;
use crossbeam_channel::unbounded;
use event_writer::EventWriter;
pub(crate) use flaps::{FlapTargets, Flaps};
pub(crate) use health::Health;
use lead::{Hurry, event_writer_name};
pub use notices::Notices;
pub use op::{
    Claim, ClaimRight, Claimed, Denial, Doubts, EventBatch, Existing, Gap, Ownership, PeersOf, Refusal, RouteChange,
    RouteEvent, StateBatch, StateItem, StateOp, WhenStored, WithdrawReason,
};
pub use options::PipelineOptions;
use refused_rows::Writer;
pub(crate) use sender::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX};
pub use sender::{PipelineSender, channels};
use state_writer::{Others, StateWriter};
pub use suspension::{HistorySender, NotSent};
pub use watching::Watching;
use work_sharing::HelperPool;

/// The running writers.
pub struct Pipeline {
    threads: Vec<JoinHandle<u64>>,
    health: Arc<Health>,
}

/// The outcome of the writers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineEnd {
    /// Operations and events that were not written when the shutdown grace period was over.
    pub given_up: u64,
    /// Writers that panicked.
    pub panicked: usize,
}

/// Starts the writers. Each one connects when its first item arrives.
///
/// # Errors
/// The operating system refuses to start a thread.
pub fn spawn(options: PipelineOptions, stop: &Stop) -> io::Result<(Pipeline, PipelineSender)> {
    let (sender, receivers) = channels(options.state_writers, options.history_writers);
    let health = Arc::clone(&options.health);
    let options = Arc::new(options);
    let helpers = HelperPool::new();
    let suspensions = sender.suspensions();
    let (hurry, hurried) = Hurry::new(&suspensions);
    // Bounded by the number of sessions, each of which waits for its answer.
    let (loads, to_load) = unbounded();
    // Bounded by the number of routers, whose later items wait for their removals.
    let (removals, to_remove) = unbounded();
    let mut threads = Vec::new();
    for (i, items) in receivers.state.into_iter().enumerate() {
        let name = format!("state-{i}");
        let others =
            Others { helpers: helpers.clone(), hurry: hurry.clone(), loads: loads.clone(), removals: removals.clone() };
        let writer = Writer::new(options.clone(), &name, stop.clone());
        let writer = StateWriter::new(writer, others);
        threads.push(thread::Builder::new().name(name).spawn(move || writer.run(&items))?);
    }
    drop((loads, removals));
    for i in 0..options.state_writers.max(1) {
        let (name, to_load) = (format!("load-{i}"), to_load.clone());
        let loader = Writer::new(options.clone(), &name, stop.clone());
        threads.push(thread::Builder::new().name(name).spawn(move || loader.run_loads(&to_load))?);
        let (name, to_remove) = (format!("remove-{i}"), to_remove.clone());
        let remover = Writer::new(options.clone(), &name, stop.clone());
        threads.push(thread::Builder::new().name(name).spawn(move || remover.run_removals(&to_remove))?);
    }
    let ways = receivers.events.into_iter().zip(hurried).zip(suspensions);
    for (i, ((items, hurried), suspension)) in ways.enumerate() {
        let name = event_writer_name(i);
        let writer = Writer::new(options.clone(), &name, stop.clone());
        let writer = EventWriter::new(writer, suspension);
        threads.push(thread::Builder::new().name(name).spawn(move || writer.run(&items, &hurried))?);
    }
    Ok((Pipeline { threads, health }, sender))
}

impl Pipeline {
    /// Returns the writers' counters.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Returns whether a writer has ended. None ends while there are senders, so it has panicked.
    pub fn has_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Waits until the writers have written everything or given up. All senders must be dropped before.
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
