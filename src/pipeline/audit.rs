//! The response to a database that does not hold what a session has sent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::op::Ownership;
use crate::model::{RouterId, Table};

/// The time after such an end of a session during which no other session of its router is ended for this: a difference
/// that the next dump did not repair is not repaired by another one either.
const RESYNC_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// The response when the database does not hold the number of routes that a session knows of: the routers whose
/// sessions were ended for a new dump, and when.
///
/// Someone deleted rows by hand, or a failover lost the last commits. A session only keeps fingerprints of its routes,
/// so it cannot write them again: it ends, and the dump of the router's next session is compared with the stored
/// routes, which writes exactly the difference.
#[derive(Debug, Default)]
pub(super) struct Audit {
    resynced: HashMap<RouterId, Instant>,
}

impl Audit {
    /// Handles a table with `stored` routes instead of `routes`. Ends the session, unless that was tried in the last 24
    /// hours.
    pub(super) fn differs(&mut self, owner: &Ownership, table: &Table, routes: usize, stored: u64) {
        let tried = self.resynced.get(&owner.router).is_some_and(|at| at.elapsed() < RESYNC_PAUSE);
        if tried {
            log::error!(
                "{table}: route count mismatch: {stored} in database, {routes} expected; a new dump did not repair it"
            );
            return;
        }
        log::warn!(
            "{table}: route count mismatch: {stored} in database, {routes} expected; closing the session to force a resync"
        );
        self.resynced.insert(owner.router.clone(), Instant::now());
        owner.set_out_of_step();
    }
}
