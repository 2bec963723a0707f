//! The input of all sessions, for those that look after it from outside: the spooler, and the collector at its end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::intake::Intake;
use super::unnamed::Budget;
use crate::spool::{SYNC_EVERY, Spool};
use crate::stop::Stop;

/// The interval at which the spooler looks at every session.
const TICK: Duration = Duration::from_millis(50);

/// Every intake with something that is not stored.
#[derive(Default)]
pub struct Intakes {
    list: Mutex<Vec<Arc<Intake>>>,
    /// The memory of sessions without a name.
    pub(super) unnamed: Arc<Budget>,
    /// Sessions that the collector's end has ended with some of their input lost.
    given_up: AtomicUsize,
}

/// The result of [`Intakes::park`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parked {
    /// Sessions with input that was not stored.
    pub sessions: usize,
    /// Those of them whose input is lost.
    pub failed: usize,
    /// Sessions that had lost input before, which the database may not know.
    pub lost: usize,
}

impl Intakes {
    /// Takes in one more.
    pub fn add(&self, intake: &Arc<Intake>) {
        self.lock().push(Arc::clone(intake));
    }

    /// A session has lost input, and the collector's end ends it.
    pub fn give_up(&self) {
        self.given_up.fetch_add(1, Ordering::AcqRel);
    }

    /// The spooler: reads the sockets of sessions that are busy for too long, until the collector stops.
    pub(crate) fn run_spooler(&self, spool: &Arc<Spool>, stall: Duration, stop: &Stop) {
        while !stop.is_stopping() {
            self.relieve(spool, stall);
            std::thread::sleep(TICK);
        }
    }

    /// One look at every session.
    pub(crate) fn relieve(&self, spool: &Arc<Spool>, stall: Duration) {
        let all = self.lock().clone();
        let done: Vec<_> = all.into_iter().filter(|intake| intake.relieve(spool, stall)).collect();
        if !done.is_empty() {
            self.lock().retain(|intake| !done.iter().any(|done| Arc::ptr_eq(done, intake)));
        }
    }

    /// Brings everything that is not stored to the spool; all sessions have to be over.
    pub(crate) fn park(&self, spool: &Arc<Spool>) -> Parked {
        let mut parked = Parked { lost: self.given_up.load(Ordering::Acquire), ..Parked::default() };
        for intake in std::mem::take(&mut *self.lock()) {
            match intake.park(spool) {
                Ok(false) => {}
                Ok(true) => {
                    parked.sessions += 1;
                    parked.lost += usize::from(intake.has_lost());
                }
                Err(error) => {
                    log::error!("spool: input of the router at {} is lost: {error}", intake.source_address());
                    spool.note_error(&error);
                    spool.count_gap();
                    parked.failed += 1;
                }
            }
        }
        spool.sync();
        parked
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Intake>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings the spool to the disk every [`SYNC_EVERY`], until the collector stops.
pub(crate) fn run_sync(spool: &Spool, stop: &Stop) {
    let mut due = Instant::now() + SYNC_EVERY;
    while !stop.is_stopping() {
        if Instant::now() >= due {
            spool.sync();
            spool.probe();
            due = Instant::now() + SYNC_EVERY;
        }
        std::thread::sleep(TICK);
    }
}
