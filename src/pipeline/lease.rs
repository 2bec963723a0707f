//! The collector's part in the leases of others: its own outages, and its claims that wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::lease::LEASE;

/// The time after its last answered heartbeat in which the collector judges leases: twice the interval.
const JUDGES_MAX: Duration = Duration::from_secs(4);

/// The collector's part in leases. While it could not reach the database, or was slow itself, it cannot know who could
/// not either: after that every lease runs for its whole time once more.
#[derive(Debug, Default)]
pub struct Lease {
    state: Mutex<LeaseState>,
}

#[derive(Debug, Default)]
struct LeaseState {
    /// When the database last answered the heartbeat; `None`: no thread sends one.
    answered: Option<Instant>,
    /// True if it has not answered the last one.
    is_away: bool,
    /// The first answer after the last interruption, if there was one.
    back_since: Option<Instant>,
    /// Since when each writer has been waiting for the answer to a claim.
    claims: Vec<Instant>,
}

impl Lease {
    /// Notes whether the database has answered the heartbeat.
    pub fn note_answer(&self, has_answered: bool) {
        let mut state = self.lock();
        if !has_answered {
            state.is_away = true;
            return;
        }
        let now = Instant::now();
        if state.is_away || state.answered.is_some_and(|last| now.duration_since(last) >= LEASE) {
            state.back_since = Some(now);
        }
        (state.is_away, state.answered) = (false, Some(now));
    }

    /// Returns whether a lease that is over counts as such.
    pub fn may_expire(&self) -> bool {
        let state = self.lock();
        !state.is_away
            && state.answered.is_none_or(|last| last.elapsed() < JUDGES_MAX)
            && state.back_since.is_none_or(|since| since.elapsed() >= LEASE)
    }

    /// Does `claim`, and notes that it waits.
    pub(super) fn claiming<T>(&self, claim: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        self.lock().claims.push(began);
        let claimed = claim();
        let claims = &mut self.lock().claims;
        if let Some(place) = claims.iter().position(|at| *at == began) {
            claims.swap_remove(place);
        }
        claimed
    }

    /// Returns whether a claim has been waiting for `time`.
    pub fn is_claim_waiting(&self, time: Duration) -> bool {
        self.lock().claims.iter().any(|began| began.elapsed() >= time)
    }

    /// Locks the state, which a panic elsewhere leaves consistent: every change is a single assignment or insert.
    fn lock(&self) -> MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_run_once_more_after_an_outage() {
        let ago = |time: Duration| Instant::now().checked_sub(time);
        let lease = Lease::default();
        assert!(lease.may_expire(), "no heartbeat");
        lease.note_answer(true);
        assert!(lease.may_expire());
        lease.note_answer(false);
        assert!(!lease.may_expire());
        lease.note_answer(true);
        lease.note_answer(true);
        assert!(!lease.may_expire());
        lease.lock().back_since = ago(LEASE);
        lease.note_answer(true);
        assert!(lease.may_expire());
        // The answer takes long, or the collector stood still.
        lease.lock().answered = ago(JUDGES_MAX);
        assert!(!lease.may_expire());
        lease.note_answer(true);
        assert!(lease.may_expire(), "no lease ran out meanwhile");
        lease.lock().answered = ago(LEASE);
        lease.note_answer(true);
        assert!(!lease.may_expire());
    }

    #[test]
    fn a_claim_waits_until_it_is_answered() {
        let lease = Lease::default();
        assert!(lease.claiming(|| lease.is_claim_waiting(Duration::ZERO)));
        assert!(!lease.is_claim_waiting(Duration::ZERO));
    }
}
