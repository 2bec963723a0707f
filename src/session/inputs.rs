//! The input of all sessions, for those that look after it from outside: what is stored is let go of, and what is not
//! is left to the next start.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::input::Input;
use super::unnamed::Budget;
use crate::journal::{Journal, SYNC_EVERY};
use crate::model::{RouterId, Timestamp};
use crate::pipeline::Ownership;
use crate::stop::Stop;

/// The interval at which the thread of the journal looks whether the collector stops.
const TICK: Duration = Duration::from_millis(50);

/// The input of every session that is open, or of which something is not stored.
#[derive(Default)]
pub struct Inputs {
    list: Mutex<Vec<Arc<Input>>>,
    /// The memory of sessions without a name.
    pub(super) unnamed: Arc<Budget>,
    /// Sessions that the collector's end has ended with some of their input lost.
    given_up: AtomicUsize,
}

/// The result of [`Inputs::park`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parked {
    /// Sessions with input that is not stored.
    pub sessions: usize,
    /// Sessions whose input is lost, since it is in no journal.
    pub failed: usize,
    /// Sessions that had lost input before, which the database may not know.
    pub lost: usize,
}

impl Inputs {
    /// Takes in one more.
    pub fn add(&self, input: &Arc<Input>) {
        self.lock().push(Arc::clone(input));
    }

    /// Notes that a session has lost input, and that the collector's end ends it.
    pub fn give_up(&self) {
        self.given_up.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the octets that are not stored, and when the oldest of them was read.
    pub(crate) fn unstored(&self) -> (u64, Option<Timestamp>) {
        let all = self.lock().clone();
        let (octets, times): (Vec<u64>, Vec<Timestamp>) = all.iter().filter_map(|input| input.unstored()).unzip();
        (octets.iter().sum(), times.into_iter().min())
    }

    /// Returns the rights to write under which their sessions are.
    pub(crate) fn owners(&self) -> Vec<Arc<Ownership>> {
        self.lock().iter().filter_map(|input| input.owner().cloned()).collect()
    }

    /// Returns whether a session of the router is open, or input of one is not stored.
    pub(crate) fn are_of(&self, router: &RouterId) -> bool {
        let is_busy = |input: &Arc<Input>| input.is_wanted() || input.unstored().is_some();
        self.lock().iter().any(|input| input.router() == Some(router) && is_busy(input))
    }

    /// Lets go of what is stored.
    pub(crate) fn tidy(&self) {
        let all = self.lock().clone();
        let done: Vec<_> = all.into_iter().filter(|input| input.tidy()).collect();
        if !done.is_empty() {
            self.lock().retain(|input| !done.iter().any(|done| Arc::ptr_eq(done, input)));
        }
    }

    /// Looks at what is not stored when all sessions are over. `keeps_all`: as in [`Input::park`].
    pub(crate) fn park(&self, journal: &Journal, keeps_all: bool) -> Parked {
        let mut parked = Parked { lost: self.given_up.load(Ordering::Acquire), ..Parked::default() };
        for input in std::mem::take(&mut *self.lock()) {
            match input.park(keeps_all) {
                Ok(false) => {}
                Ok(true) => {
                    parked.sessions += 1;
                    parked.lost += usize::from(input.has_lost());
                }
                Err(error) => {
                    log::error!("journal: input of the router at {} is lost: {error}", input.source_address());
                    journal.count_gap();
                    parked.failed += 1;
                }
            }
        }
        journal.sync();
        parked
    }

    /// Brings the journal to the disk every [`SYNC_EVERY`], until the collector stops.
    pub(crate) fn run_sync(&self, journal: &Journal, stop: &Stop) {
        let mut due = Instant::now() + SYNC_EVERY;
        while !stop.is_stopping() {
            if Instant::now() >= due {
                journal.sync();
                journal.probe();
                due = Instant::now() + SYNC_EVERY;
                self.tidy();
            }
            std::thread::sleep(TICK);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Input>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
