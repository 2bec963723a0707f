//! History leads: the events of an input are stored before the routes of the same input.
//!
//! A session counts the pieces of history that it has sent, and each piece of state carries that number. Before a state
//! writer opens a transaction, it waits until all of them are stored, so that no stored route ever lacks its event.
//! Nothing is locked meanwhile; the event writer, which waits for no other writer, wakes it. The event writer is
//! notified that a state writer waits, so that it stops gathering: a route is gathered once, not twice in succession.
//!
//! Where history is stalled, state is stalled too, and the log and `/readyz` report why: the event writer's error, or
//! the holder of the lock that it waits for. If history alone is in trouble, that lasts a minute at most: then it is
//! suspended (`suspension`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::connection::RetryingClient;
use super::health::Health;
use super::op::{Ownership, StateItem};
use super::sender::writer_of;
use super::suspension::Suspension;
use crate::model::{RouterId, Timestamp};
use crate::store::lock_waits;

/// The interval at which a waiting writer checks for a stop and for the loss of the router.
const POLL: Duration = Duration::from_millis(50);

/// The time that history may be stalled before the log and `/readyz` report that state waits for it.
const STANDSTILL_MAX: Duration = Duration::from_secs(5);

/// The interval at which the reason is checked.
const LOOK_EVERY: Duration = STANDSTILL_MAX;

/// The interval at which the reason is logged again while it stays the same.
const TELL_EVERY: Duration = Duration::from_secs(5 * 60);

/// The classes of SQLSTATE that speak of one table: no right, no such table or partition, a constraint, a trigger, a state
/// of the table. All others may be of the whole server.
const CLASSES_OF_A_TABLE: [&str; 5] = ["42", "23", "P0", "55", "0A"];

/// The channels that notify event writers that a state writer waits for them, and their suspensions.
#[derive(Clone, Debug)]
pub(super) struct Hurry {
    to: Arc<[(Sender<()>, Arc<Suspension>)]>,
}

/// The history that the gathered changes of one state writer wait for.
#[derive(Debug)]
pub(super) struct Lead {
    hurry: Hurry,
    /// The longest time that routes wait if history alone is in trouble.
    longest: Duration,
    /// The sessions, and the number of their pieces of history that have to be stored.
    awaited: Vec<(Arc<Ownership>, u64)>,
    /// Sessions whose history is suspended, which is to be recorded.
    suspended: Vec<Suspended>,
}

/// A session whose history is suspended.
#[derive(Debug)]
pub(super) struct Suspended {
    pub(super) owner: Arc<Ownership>,
    /// The reason.
    pub(super) why: String,
    /// The time after which events are missing.
    pub(super) after: Timestamp,
}

impl Hurry {
    /// Creates the channels to the event writers with these suspensions, and their receiving ends.
    pub(super) fn new(suspensions: &[Arc<Suspension>]) -> (Hurry, Vec<Receiver<()>>) {
        // One message is enough until it is received.
        let (to, ends): (Vec<_>, Vec<_>) = suspensions.iter().map(|_| bounded(1)).unzip();
        (Hurry { to: to.into_iter().zip(suspensions.iter().cloned()).collect() }, ends)
    }

    /// Returns the suspension of a router's event writer; `None` if no history is kept.
    fn suspension_of(&self, router: &RouterId) -> Option<&Arc<Suspension>> {
        self.to.get(writer_of(router, self.to.len().max(1))).map(|(_, suspension)| suspension)
    }

    /// Returns the thread name of a router's event writer.
    fn writer_of(&self, router: &RouterId) -> String {
        event_writer_name(writer_of(router, self.to.len().max(1)))
    }

    fn tell(&self, router: &RouterId) {
        if !self.to.is_empty() {
            // The channel is full until an earlier message is received, and closed when the writer has ended.
            let _ = self.to[writer_of(router, self.to.len())].0.try_send(());
        }
    }
}

/// Returns whether the history of an item's input is stored, or the item waits for none.
pub(super) fn has_history(item: &StateItem) -> bool {
    match item {
        StateItem::Batch(batch) => batch.owner.progress.events.has_stored(batch.history) || batch.owner.is_lost(),
        StateItem::Claim(_) | StateItem::Note(..) | StateItem::Gap(_) => true,
    }
}

impl Lead {
    /// Creates it; history that alone is in trouble is waited for so long at most.
    pub(super) fn new(hurry: Hurry, longest: Duration) -> Lead {
        Lead { hurry, longest, awaited: Vec::new(), suspended: Vec::new() }
    }

    /// Makes everything that is gathered from now on wait for the first `pieces` pieces of history of `owner`.
    pub(super) fn add(&mut self, owner: &Arc<Ownership>, pieces: u64) {
        // A batch that needs no history leaves its sessions here: each of them once, the latest in all likelihood.
        match self.awaited.iter_mut().rev().find(|(known, _)| Arc::ptr_eq(known, owner)) {
            Some((_, known)) => *known = pieces.max(*known),
            None => self.awaited.push((Arc::clone(owner), pieces)),
        }
    }

    /// Waits until that history is stored, or suspended. `false`: the shutdown grace period is over.
    pub(super) fn wait(&mut self, connection: &mut RetryingClient, health: &Health) -> bool {
        if !self.awaited.iter().all(|(owner, pieces)| self.wait_for(owner, *pieces, connection, health)) {
            return false;
        }
        for (owner, _) in self.awaited.drain(..).filter(|(owner, _)| owner.progress.events.take_news_of_off()) {
            let Some(suspension) = self.hurry.suspension_of(&owner.router) else { continue };
            let why = suspension.why().unwrap_or_else(|| "history was suspended".to_owned());
            self.suspended.push(Suspended { owner, why, after: suspension.last_event() });
        }
        true
    }

    /// Takes out the sessions whose history was found suspended.
    pub(super) fn take_suspended(&mut self) -> Vec<Suspended> {
        std::mem::take(&mut self.suspended)
    }

    fn wait_for(&self, owner: &Ownership, pieces: u64, connection: &mut RetryingClient, health: &Health) -> bool {
        let history = &owner.progress.events;
        let Some(suspension) = self.hurry.suspension_of(&owner.router) else { return true };
        let now = Instant::now();
        let writer = self.hurry.writer_of(&owner.router);
        let mut standstill = Standstill { writer, moved: now, at: (0, 0), looked: now, said: None };
        let is_there = loop {
            // The routes of a router that is lost are not written.
            if history.has_stored(pieces) || owner.is_lost() {
                break true;
            }
            if suspension.is_on() {
                history.set_off();
                break true;
            }
            if connection.is_giving_up() {
                break false;
            }
            self.hurry.tell(&owner.router);
            let at = (history.count_stored(), suspension.committed());
            if let Some(why) = standstill.look(at, owner, connection, health)
                && standstill.moved.elapsed() >= self.longest
                && suspension.begin(&why)
            {
                standstill.suspend(&why, health);
            }
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
    /// The number of pieces of this session that were stored, and of transactions of the event writer, then.
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
    /// Notes how far history has come. Returns why it is stalled, if it alone is in trouble.
    fn look(
        &mut self,
        at: (u64, u64),
        owner: &Ownership,
        connection: &mut RetryingClient,
        health: &Health,
    ) -> Option<String> {
        connection.progress();
        let now = Instant::now();
        if at != self.at {
            (self.moved, self.at) = (now, at);
        }
        if now - self.moved < STANDSTILL_MAX || (self.said.is_some() && now - self.looked < LOOK_EVERY) {
            return None;
        }
        self.looked = now;
        let (why, is_of_history) = why(&self.writer, connection, health);
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
            self.said = Some(Said { since, at: now, why: why.clone() });
        }
        is_of_history.then_some(why)
    }

    /// Says that history is suspended.
    fn suspend(&self, why: &str, health: &Health) {
        log::error!(
            "history: suspended after {} s: {why}; current routes go on without it, and the routers of {} need a new \
             dump when it works again",
            self.moved.elapsed().as_secs(),
            self.writer
        );
        health.history_stands_for(&self.writer, &format!("history is suspended: {why}"));
    }

    fn end(self, is_there: bool, connection: &RetryingClient, health: &Health) {
        if let Some(said) = self.said {
            health.history_moves_for(connection.thread());
            if is_there && !health.is_history_suspended(&self.writer) {
                let seconds = said.since.elapsed().as_secs_f64();
                log::info!("history: stored, {} continues after {seconds:.1} s", connection.thread());
            }
        }
    }
}

/// Returns why history is stalled, as far as it can be found, and whether history alone is in trouble, while the database
/// answers. Numbers that only grow are left out: an unchanged reason is logged once.
fn why(writer: &str, connection: &mut RetryingClient, health: &Health) -> (String, bool) {
    let waits = connection.glance(|client| lock_waits::of_threads_at_once(client, writer));
    let is_answered = waits.is_some();
    if let Some(wait) = waits.into_iter().flatten().find(|wait| wait.thread == writer) {
        let is_of_history = wait.relations.as_deref().is_some_and(|relations| relations.contains("route_events"));
        return (wait.to_string(), is_of_history);
    }
    let is_of_a_table =
        |code: String| code.len() == 5 && CLASSES_OF_A_TABLE.iter().any(|class| code.starts_with(class));
    match health.cause_of(writer) {
        Some(cause) => (format!("{writer}: {cause}"), is_answered && health.code_of(writer).is_some_and(is_of_a_table)),
        None => (format!("{writer} waits for the answer to a statement"), false),
    }
}

/// Returns the thread name of the event writer with this number.
pub(super) fn event_writer_name(number: usize) -> String {
    format!("events-{number}")
}
