//! History leads: the events of an input are stored before the routes of the same input.
//!
//! A session counts the pieces of history that it has sent, and each piece of state carries that number. Before a state
//! writer opens a transaction, it waits until all of them are stored, so that no stored route ever lacks its event.
//! Nothing is locked meanwhile; the event writer, which waits for no other writer, wakes it. The event writer is
//! notified that a state writer waits, so that it stops gathering: a route is gathered once, not twice in succession.
//!
//! Where history is stalled, state is stalled too, and the log and `/readyz` report why: the event writer's error, or
//! the holder of the lock that it waits for. State does not go on without history: a crash would leave removals without
//! an event, which no later input reports, and the row of a mass removal would be read as older than the events that
//! arrive late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::connection::RetryingClient;
use super::health::Health;
use super::op::{Ownership, StateItem};
use super::sender::writer_of;
use crate::model::RouterId;
use crate::store::lock_waits;

/// The interval at which a waiting writer checks for a stop and for the loss of the router.
const POLL: Duration = Duration::from_millis(50);

/// The time that history may be stalled before the log and `/readyz` report that state waits for it.
const STANDSTILL_MAX: Duration = Duration::from_secs(5);

/// The interval at which the reason is checked.
const LOOK_EVERY: Duration = STANDSTILL_MAX;

/// The interval at which the reason is logged again while it stays the same.
const TELL_EVERY: Duration = Duration::from_secs(5 * 60);

/// The channels that notify event writers that a state writer waits for them.
#[derive(Clone, Debug)]
pub(super) struct Hurry {
    to: Arc<[Sender<()>]>,
}

/// The history that the gathered changes of one state writer wait for.
#[derive(Debug)]
pub(super) struct Lead {
    hurry: Hurry,
    /// The sessions, and the number of their pieces of history that have to be stored.
    awaited: Vec<(Arc<Ownership>, u64)>,
}

impl Hurry {
    /// Creates the channels to this many event writers, and their receiving ends.
    pub(super) fn new(event_writers: usize) -> (Hurry, Vec<Receiver<()>>) {
        // One message is enough until it is received.
        let (to, ends): (Vec<_>, Vec<_>) = (0..event_writers).map(|_| bounded(1)).unzip();
        (Hurry { to: to.into() }, ends)
    }

    /// Returns the thread name of a router's event writer.
    fn writer_of(&self, router: &RouterId) -> String {
        event_writer_name(writer_of(router, self.to.len().max(1)))
    }

    fn tell(&self, router: &RouterId) {
        if !self.to.is_empty() {
            // The channel is full until an earlier message is received, and closed when the writer has ended.
            let _ = self.to[writer_of(router, self.to.len())].try_send(());
        }
    }
}

/// Returns whether the history of an item's input is stored, or the item waits for none.
pub(super) fn has_history(item: &StateItem) -> bool {
    match item {
        StateItem::Batch(batch) => batch.owner.progress.events.has_stored(batch.history) || batch.owner.is_lost(),
        StateItem::Claim(_) | StateItem::Note(..) => true,
    }
}

impl Lead {
    pub(super) fn new(hurry: Hurry) -> Lead {
        Lead { hurry, awaited: Vec::new() }
    }

    /// Makes everything that is gathered from now on wait for the first `pieces` pieces of history of `owner`.
    pub(super) fn add(&mut self, owner: &Arc<Ownership>, pieces: u64) {
        // A batch that needs no history leaves its sessions here: each of them once, the latest in all likelihood.
        match self.awaited.iter_mut().rev().find(|(known, _)| Arc::ptr_eq(known, owner)) {
            Some((_, known)) => *known = pieces.max(*known),
            None => self.awaited.push((Arc::clone(owner), pieces)),
        }
    }

    /// Waits until that history is stored. `false`: the shutdown grace period is over.
    pub(super) fn wait(&mut self, connection: &mut RetryingClient, health: &Health) -> bool {
        self.awaited.iter().all(|(owner, pieces)| self.wait_for(owner, *pieces, connection, health)) && {
            self.awaited.clear();
            true
        }
    }

    fn wait_for(&self, owner: &Ownership, pieces: u64, connection: &mut RetryingClient, health: &Health) -> bool {
        let history = &owner.progress.events;
        let now = Instant::now();
        let writer = self.hurry.writer_of(&owner.router);
        let mut standstill = Standstill { writer, moved: now, at: (0, 0), looked: now, said: None };
        let is_there = loop {
            // The routes of a router that is lost are not written.
            if history.has_stored(pieces) || owner.is_lost() {
                break true;
            }
            if connection.is_giving_up() {
                break false;
            }
            self.hurry.tell(&owner.router);
            standstill.look((history.count_stored(), Health::read(&health.events_written)), owner, connection, health);
            history.wait(pieces, POLL);
        };
        standstill.end(is_there, connection, health);
        is_there
    }
}

/// Tracks whether history advances while a state writer waits for it.
struct Standstill {
    /// The thread name of the event writer.
    writer: String,
    moved: Instant,
    /// The number of pieces of this session and of events of all sessions that were stored then.
    at: (u64, u64),
    /// When the reason was last checked.
    looked: Instant,
    said: Option<Said>,
}

/// The last report of a stall.
struct Said {
    /// The time since which history had been stalled at the first report.
    since: Instant,
    /// When the stall was last reported, and its reason.
    at: Instant,
    why: String,
}

impl Standstill {
    fn look(&mut self, at: (u64, u64), owner: &Ownership, connection: &mut RetryingClient, health: &Health) {
        connection.progress();
        let now = Instant::now();
        if at != self.at {
            (self.moved, self.at) = (now, at);
        }
        if now - self.moved < STANDSTILL_MAX || (self.said.is_some() && now - self.looked < LOOK_EVERY) {
            return;
        }
        self.looked = now;
        let why = why(&self.writer, connection, health);
        health.history_stands_for(connection.thread(), &why);
        let is_news = self.said.as_ref().is_none_or(|said| said.why != why || now - said.at >= TELL_EVERY);
        if is_news {
            log::warn!(
                "router {}: {} waits for history, which has stored nothing for {} s: {why}",
                owner.router,
                connection.thread(),
                self.moved.elapsed().as_secs()
            );
            let since = self.said.as_ref().map_or(self.moved, |said| said.since);
            self.said = Some(Said { since, at: now, why });
        }
    }

    fn end(self, is_there: bool, connection: &RetryingClient, health: &Health) {
        if let Some(said) = self.said {
            health.history_moves_for(connection.thread());
            if is_there {
                let seconds = said.since.elapsed().as_secs_f64();
                log::info!("history: stored, {} continues after {seconds:.1} s", connection.thread());
            }
        }
    }
}

/// Returns why history is stalled, as far as it can be found. Numbers that only grow are left out: an unchanged reason
/// is logged once.
fn why(writer: &str, connection: &mut RetryingClient, health: &Health) -> String {
    let waits = connection.glance(|client| lock_waits::of_threads_at_once(client, writer));
    if let Some(wait) = waits.into_iter().flatten().find(|wait| wait.thread == writer) {
        return wait.to_string();
    }
    match health.cause_of(writer) {
        Some(cause) => format!("{writer}: {cause}"),
        None => format!("{writer} waits for the answer to a statement"),
    }
}
/// Returns the thread name of the event writer with this number.
pub(super) fn event_writer_name(number: usize) -> String {
    format!("events-{number}")
}
