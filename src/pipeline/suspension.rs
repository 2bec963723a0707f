//! The suspension of history: where it alone has been in trouble for too long, routes go on without it.
//!
//! A state writer that has waited for an event writer for `PipelineOptions::history_wait` suspends it, if the database
//! takes everything but its rows. From then on its sessions send no events, no state writer waits for them, and a row
//! `history_off` of each router says after which event history has a hole. When the event writer stores something
//! again, the suspension is over: what sessions of the time before have sent is dropped, and they end, so that history
//! begins anew with a dump of each router.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender};

use super::op::EventBatch;
use crate::model::Timestamp;

/// The interval at which a session whose event writer takes nothing checks for a suspension.
const POLL: Duration = Duration::from_millis(100);

/// The suspension of one event writer.
#[derive(Debug, Default)]
pub struct Suspension {
    is_on: AtomicBool,
    /// The time of the last event that the event writer has taken, microseconds since 1970.
    last_event: AtomicI64,
    /// Transactions that the event writer has committed.
    committed: AtomicU64,
    began: Mutex<Option<(Instant, String)>>,
}

impl Suspension {
    /// Returns whether history is suspended.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Begins it, for this reason. Returns false if it has begun already.
    pub(super) fn begin(&self, why: &str) -> bool {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        if began.is_some() {
            return false;
        }
        *began = Some((Instant::now(), why.to_owned()));
        self.is_on.store(true, Ordering::Release);
        true
    }

    /// Notes that the event writer has committed a transaction, which ends it. Returns how long it has lasted; `None` if
    /// there was none.
    pub(super) fn commit(&self) -> Option<Duration> {
        self.committed.fetch_add(1, Ordering::AcqRel);
        if !self.is_on() {
            return None;
        }
        let (began, _) = self.began.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        self.is_on.store(false, Ordering::Release);
        Some(began.elapsed())
    }

    /// Returns the number of transactions that the event writer has committed.
    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Returns the reason, while there is one.
    pub(super) fn why(&self) -> Option<String> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(_, why)| why.clone())
    }

    /// Notes the time of the last event that the event writer has taken.
    pub(super) fn set_last_event(&self, time: Timestamp) {
        self.last_event.store(time.unix_micros(), Ordering::Release);
    }

    /// Returns the time after which events are missing.
    pub(super) fn last_event(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.last_event.load(Ordering::Acquire))
    }
}

/// The way from a session to its event writer.
#[derive(Clone, Debug)]
pub struct HistorySender {
    channel: Sender<EventBatch>,
    suspension: Arc<Suspension>,
}

/// The reason why an event writer does not get a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum NotSent {
    /// History is suspended.
    Suspended,
    /// The writer is gone.
    Closed,
}

impl HistorySender {
    /// Creates the way through this channel.
    pub(crate) fn new(channel: Sender<EventBatch>, suspension: Arc<Suspension>) -> HistorySender {
        HistorySender { channel, suspension }
    }

    /// Returns the suspension of the event writer.
    pub(crate) fn suspension(&self) -> &Arc<Suspension> {
        &self.suspension
    }

    /// Sends a batch; blocks while the channel is full and history is not suspended.
    ///
    /// # Errors
    /// The batch is dropped, because history is suspended or the writer is gone.
    pub fn send(&self, batch: EventBatch) -> Result<(), NotSent> {
        let mut batch = batch;
        loop {
            if self.suspension.is_on() {
                return Err(NotSent::Suspended);
            }
            match self.channel.send_timeout(batch, POLL) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => batch = back,
                Err(SendTimeoutError::Disconnected(_)) => return Err(NotSent::Closed),
            }
        }
    }

    /// Returns the number of batches that wait.
    pub(super) fn len(&self) -> usize {
        self.channel.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RouterId;
    use crate::pipeline::Ownership;
    use crossbeam_channel::bounded;

    fn batch() -> EventBatch {
        let owner = Arc::new(Ownership::new(RouterId::new("10.0.0.1"), 1, Arc::default()));
        EventBatch { owner, events: Vec::new(), tables: Vec::new(), read_at: Instant::now(), upto: 0, stored: None }
    }

    #[test]
    fn a_suspension_frees_a_session_that_waits_to_send() {
        let (channel, ends) = bounded(1);
        let way = HistorySender::new(channel, Arc::default());
        way.send(batch()).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| way.send(batch()));
            assert!(way.suspension().begin("a lock") && !way.suspension().begin("another"));
            assert_eq!(waits.join().unwrap(), Err(NotSent::Suspended));
        });
        assert_eq!(way.suspension().why().as_deref(), Some("a lock"));
        assert!(way.suspension().commit().is_some());
        assert_eq!((way.suspension().commit(), way.suspension().why(), way.suspension().committed()), (None, None, 2));
        drop(ends.recv());
        way.send(batch()).unwrap();
        drop(ends);
        assert_eq!(way.send(batch()), Err(NotSent::Closed));
    }
}
