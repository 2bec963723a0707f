//! Removals of large tables: one transaction each, so that readers see all of it or nothing, on connections of their
//! own, so that no other router's changes wait for it.
//!
//! The state writer that hands a removal over has committed everything that the router's session reported before it,
//! and keeps the router's later items until the removal is over (`backlog`). It tells of the removal then, in the
//! transaction that moves the position: a removal that a kill has kept from being told is done again, of no routes.

use crossbeam_channel::{Receiver, Sender};

use super::op::StateOp;
use super::refused_rows::Writer;
use super::told::Down;
use crate::model::RouterId;

/// The routes in a table whose removal is handed over: a million take 1 to 2 s.
const LARGE_ROUTES: usize = 50_000;

/// A removal that another thread executes for a state writer.
#[derive(Debug)]
pub(super) struct Removal {
    down: Option<Down>,
    router: RouterId,
    over: Sender<RemovalOver>,
    is_complete: bool,
    removed: u64,
}

/// The end of a removal: it is committed or refused, or was given up.
#[derive(Debug)]
pub(super) struct RemovalOver {
    pub(super) router: RouterId,
    /// False if it was given up.
    pub(super) is_complete: bool,
    /// The number of routes.
    pub(super) removed: u64,
}

/// Returns whether an operation is a removal that is handed over.
pub(super) fn is_large(op: &StateOp) -> bool {
    matches!(op, StateOp::TablesDown { routes, .. } if *routes >= LARGE_ROUTES)
}

impl Removal {
    /// Creates a removal whose end is sent to `over`, whatever happens to it.
    pub(super) fn new(down: Down, over: &Sender<RemovalOver>) -> Removal {
        let router = down.owner.router.clone();
        Removal { down: Some(down), router, over: over.clone(), is_complete: false, removed: 0 }
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        // A state writer that has ended needs no answer.
        let Removal { router, is_complete, removed, .. } = self;
        let over = RemovalOver { router: router.clone(), is_complete: *is_complete, removed: *removed };
        let _ = self.over.send(over);
    }
}

impl Writer {
    /// Executes removals until all state writers are gone. Returns the number of removals given up.
    pub(super) fn run_removals(mut self, removals: &Receiver<Removal>) -> u64 {
        while let Ok(mut removal) = self.connection.while_idle(|| removals.recv()) {
            let before = self.given_up();
            removal.removed = removal.down.take().map_or(0, |down| self.remove_tables(down));
            removal.is_complete = self.given_up() == before;
        }
        self.given_up()
    }
}
