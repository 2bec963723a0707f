//! The choice of the items that a state writer puts into one batch.
//!
//! A usual batch is gathered until it is full or `flush` old, and then waits for its history (`lead`). Beyond a usual
//! batch, input joins only if it has arrived already and its history is stored: it costs no wait, so that the writers
//! of history and of state work side by side. Where changes replace each other and the writers do not keep up
//! (`batch_sizer`), more is gathered for longer, since that saves rows.

use std::time::Instant;

use crossbeam_channel::Receiver;

use super::lead;
use super::op::StateItem;
use super::state_writer::StateWriter;

impl StateWriter {
    /// Takes `first` and the items that join it.
    pub(super) fn fill(&mut self, first: StateItem, items: &Receiver<StateItem>) {
        let begun = Instant::now();
        self.take(first);
        // A claim, and operations that need a batch of their own, have written everything before.
        while !self.batch.is_empty() {
            let is_usual = !self.batch.is_full(self.options.batch_routes);
            let item = if is_usual || self.may_merge() {
                let gather = if is_usual { self.options.flush } else { self.pace.gather() };
                self.ahead.take().or_else(|| items.recv_deadline(begun + gather).ok())
            } else if !self.batch.is_full(self.pace.stored()) {
                self.next_with_history(items)
            } else {
                None
            };
            let Some(item) = item else { break };
            self.take(item);
        }
    }

    /// Returns whether a batch larger than a usual one has room for changes that may replace each other.
    fn may_merge(&self) -> bool {
        self.pace.is_merging() && !self.batch.is_full(self.pace.changes())
    }

    /// Returns the next item, if it has arrived and waits for no history; otherwise it stays for the next batch.
    fn next_with_history(&mut self, items: &Receiver<StateItem>) -> Option<StateItem> {
        let item = self.ahead.take().or_else(|| items.try_recv().ok())?;
        if lead::has_history(&item) {
            return Some(item);
        }
        self.ahead = Some(item);
        None
    }
}
