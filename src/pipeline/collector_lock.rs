//! Whether this process is the collector of its `COLLECTOR_ID`, as far as writers have to know.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the server's last sign of life on the lock's connection counts. A process that was suspended has to ask again
/// before it writes. Longer than a question may take (two seconds until it is asked, seven until it is cut), and shorter than
/// the server keeps the session of a client that is silent.
const LEASE: Duration = Duration::from_secs(10);

/// What is known of the advisory lock. Without anyone who takes it (tests of the writers), everyone may write.
#[derive(Debug, Default)]
pub struct CollectorLock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody takes it.
    #[default]
    Unused,
    /// It is held: the server said so when it was asked then.
    Held(Instant),
    /// Its connection is gone.
    Lost,
    /// Another process has served under the identifier since.
    Taken(String),
}

impl CollectorLock {
    /// Whether a write transaction may begin.
    pub fn may_write(&self) -> bool {
        match &*self.lock() {
            State::Unused => true,
            State::Held(asked) => asked.elapsed() < LEASE,
            State::Lost | State::Taken(_) => false,
        }
    }

    /// The server answered a question of `asked` on the connection that holds it.
    pub fn hold(&self, asked: Instant) {
        *self.lock() = State::Held(asked);
    }

    /// The connection that held it is gone.
    pub fn lose(&self) {
        *self.lock() = State::Lost;
    }

    /// Another process has served under the identifier meanwhile: `by`.
    pub fn give_up(&self, by: String) {
        *self.lock() = State::Taken(by);
    }

    /// Which process has taken the identifier.
    pub fn taken_by(&self) -> Option<String> {
        match &*self.lock() {
            State::Taken(by) => Some(by.clone()),
            State::Unused | State::Held(_) | State::Lost => None,
        }
    }

    /// A panic elsewhere leaves this whole: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
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
