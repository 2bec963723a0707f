//! The lock that makes this process the collector of its `COLLECTOR_ID`, as far as writers have to know.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The time that the server's last answer on the lock's connection is valid. A process that was suspended has to ask
/// again before it writes. Longer than a query may take (two seconds until it is sent, seven until it is cut off), and
/// shorter than the server keeps the session of a client that is silent.
const LEASE: Duration = Duration::from_secs(10);

/// The known state of the advisory lock. Where no thread acquires it (tests of the writers), every writer may write.
#[derive(Debug, Default)]
pub struct CollectorLock {
    state: Mutex<LockState>,
    /// The text that says what the database lacks of what it had committed.
    went_back: OnceLock<String>,
}

#[derive(Debug, Default)]
enum LockState {
    /// No thread acquires it.
    #[default]
    Unused,
    /// It is held: the server confirmed that when it was asked at this time.
    Held(Instant),
    /// The connection that held it is gone.
    Lost,
    /// Another process, named here, has served under the identifier since.
    Taken(String),
}

impl CollectorLock {
    /// Returns whether a write transaction may begin.
    pub(crate) fn may_write(&self) -> bool {
        if self.went_back.get().is_some() {
            return false;
        }
        match &*self.lock() {
            LockState::Unused => true,
            LockState::Held(asked) => asked.elapsed() < LEASE,
            LockState::Lost | LockState::Taken(_) => false,
        }
    }

    /// Notes that the server answered a query sent at `asked` on the connection that holds the lock.
    pub fn hold(&self, asked: Instant) {
        *self.lock() = LockState::Held(asked);
    }

    /// Notes that the connection that held the lock is gone.
    pub(crate) fn lose(&self) {
        *self.lock() = LockState::Lost;
    }

    /// Notes that another process, `by`, has served under the identifier meanwhile.
    pub fn give_up(&self, by: String) {
        *self.lock() = LockState::Taken(by);
    }

    /// Returns the process that has taken the identifier.
    pub(crate) fn taken_by(&self) -> Option<String> {
        match &*self.lock() {
            LockState::Taken(by) => Some(by.clone()),
            LockState::Unused | LockState::Held(_) | LockState::Lost => None,
        }
    }

    /// Notes that the database lacks what it had committed, described here: nothing more may be written.
    pub(crate) fn set_went_back(&self, what: &str) {
        let _ = self.went_back.set(what.to_owned());
    }

    /// Returns what the database lacks of what it had committed.
    pub(crate) fn went_back(&self) -> Option<&str> {
        self.went_back.get().map(String::as_str)
    }

    /// Locks the state, which a panic elsewhere leaves consistent: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, LockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_counts_for_a_while() {
        let lock = CollectorLock::default();
        assert!(lock.may_write());
        lock.hold(Instant::now());
        assert!(lock.may_write());
        lock.hold(Instant::now().checked_sub(LEASE).unwrap());
        assert!(!lock.may_write(), "a process that slept");
        lock.hold(Instant::now());
        lock.lose();
        assert!(!lock.may_write() && lock.taken_by().is_none());
        lock.give_up("instance b".to_owned());
        assert!(!lock.may_write());
        assert_eq!(lock.taken_by().as_deref(), Some("instance b"));
    }
}
