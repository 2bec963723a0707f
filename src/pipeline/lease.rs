//! The collector's part in the leases of others: its own outages, and its claims that wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::lease::LEASE;

/// The collector's part in leases. While it could not reach the database, it cannot know who could not either: after an
/// outage every lease runs for its whole time once more.
#[derive(Debug, Default)]
pub struct Lease {
    state: Mutex<LeaseState>,
}

#[derive(Debug, Default)]
struct LeaseState {
    outage: Outage,
    /// Since when each writer has been waiting for the answer to a claim.
    claims: Vec<Instant>,
}

#[derive(Debug, Default)]
enum Outage {
    /// There was none.
    #[default]
    None,
    /// The last heartbeat had no answer.
    Now,
    /// The first answer after the last one came then.
    Until(Instant),
}

impl Lease {
    /// Notes whether the database has answered the heartbeat.
    pub fn note_answer(&self, has_answered: bool) {
        let mut state = self.lock();
        state.outage = match (&state.outage, has_answered) {
            (_, false) => Outage::Now,
            (Outage::Now, true) => Outage::Until(Instant::now()),
            (Outage::None, true) => Outage::None,
            (Outage::Until(at), true) => Outage::Until(*at),
        };
    }

    /// Returns whether a lease that is over counts as such.
    pub fn may_expire(&self) -> bool {
        match self.lock().outage {
            Outage::None => true,
            Outage::Now => false,
            Outage::Until(at) => at.elapsed() >= LEASE,
        }
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
        let lease = Lease::default();
        lease.note_answer(true);
        assert!(lease.may_expire());
        lease.note_answer(false);
        assert!(!lease.may_expire());
        lease.note_answer(true);
        lease.note_answer(true);
        assert!(!lease.may_expire());
        lease.lock().outage = Outage::Until(Instant::now().checked_sub(LEASE).unwrap());
        lease.note_answer(true);
        assert!(lease.may_expire());
    }

    #[test]
    fn a_claim_waits_until_it_is_answered() {
        let lease = Lease::default();
        assert!(lease.claiming(|| lease.is_claim_waiting(Duration::ZERO)));
        assert!(!lease.is_claim_waiting(Duration::ZERO));
    }
}
