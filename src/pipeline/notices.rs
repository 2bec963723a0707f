//! Rows of `session_events` that are committed and of which listeners of `rib_session` are still to hear.
//!
//! No writer notifies: all transactions of a database that do are committed one after the other. A thread with a
//! connection of its own does it, and nobody waits for that.

use crossbeam_channel::{Receiver, Sender, bounded};

/// The transactions whose rows can wait. A listener that needs every row reads `session_events` from the last number
/// that it has seen.
const WAITING_MAX: usize = 10_000;

/// The way from those who write the rows to the thread that notifies.
#[derive(Debug)]
pub struct Notices {
    sender: Sender<Vec<i64>>,
    receiver: Receiver<Vec<i64>>,
}

impl Default for Notices {
    fn default() -> Notices {
        let (sender, receiver) = bounded(WAITING_MAX);
        Notices { sender, receiver }
    }
}

impl Notices {
    /// Adds the numbers of committed rows. Beyond `WAITING_MAX` they are dropped.
    pub fn push(&self, rows: Vec<i64>) {
        if !rows.is_empty() {
            let _ = self.sender.try_send(rows);
        }
    }

    /// Returns the channel on which the numbers arrive.
    pub fn receiver(&self) -> &Receiver<Vec<i64>> {
        &self.receiver
    }
}
