//! Work sharing: idle state writers help one that has much to write.
//!
//! A router always has the same writer, so its first dump would be the work of one connection while the others are
//! idle. The rows that this writer has gathered are in order and have each key once, so any writer can write parts of
//! them, side by side; only the commands before and after have to wait for all of them. A helper writes parts until
//! none is left or its own routers have sent something; a busy writer is not asked, and a helper never asks for help:
//! no cycle, no deadlock.

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::batch::Batch;

/// The channel on which idle state writers wait for offers; each state writer has a clone.
#[derive(Clone, Debug)]
pub(super) struct HelperPool {
    // Without capacity: an offer that was sent has been received by a writer that waited for it.
    ask: Sender<WorkOffer>,
    calls: Receiver<WorkOffer>,
}

/// The parts of a batch, offered to idle writers.
#[derive(Debug)]
pub(super) struct WorkOffer {
    parts: Receiver<Batch>,
    done: Sender<bool>,
}

/// The writers that were asked to help with a batch.
#[derive(Debug)]
pub(super) struct Helpers {
    asked: usize,
    done: Receiver<bool>,
    is_complete: bool,
}

impl HelperPool {
    pub(super) fn new() -> HelperPool {
        let (ask, calls) = bounded(0);
        HelperPool { ask, calls }
    }

    /// Returns the channel on which an idle writer waits for offers.
    pub(super) fn calls(&self) -> &Receiver<WorkOffer> {
        &self.calls
    }

    /// Writes `parts` by `write`, which returns whether it succeeded, with the help of every idle writer. When this
    /// returns, each part is written or a helper has it.
    pub(super) fn share(&self, parts: Vec<Batch>, mut write: impl FnMut(Batch) -> bool) -> Helpers {
        let (fill, left) = bounded(parts.len());
        parts.into_iter().for_each(|part| fill.send(part).expect("there is room for all, and both ends are here"));
        drop(fill);
        let (done, ends) = unbounded();
        let mut helpers = Helpers { asked: 0, done: ends, is_complete: true };
        while let Ok(part) = left.try_recv() {
            while !left.is_empty() && self.ask.try_send(WorkOffer { parts: left.clone(), done: done.clone() }).is_ok() {
                helpers.asked += 1;
            }
            helpers.is_complete &= write(part);
        }
        helpers
    }
}

impl WorkOffer {
    /// Writes parts by `write`, which returns whether it succeeded, until none is left or `is_needed` returns true.
    pub(super) fn answer(self, is_needed: impl Fn() -> bool, mut write: impl FnMut(Batch) -> bool) {
        let mut is_complete = true;
        while !is_needed()
            && let Ok(part) = self.parts.try_recv()
        {
            is_complete &= write(part);
        }
        // The writer that asked waits for this.
        let _ = self.done.send(is_complete);
    }
}

impl Helpers {
    /// Waits until every part is written. Returns whether all of them were.
    pub(super) fn finish(self) -> bool {
        let all: Vec<bool> = self.done.iter().collect();
        // A helper that panicked sends nothing.
        self.is_complete && all.len() == self.asked && all.into_iter().all(|is_complete| is_complete)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn parts(count: usize) -> Vec<Batch> {
        (0..count).map(|_| Batch::default()).collect()
    }

    #[test]
    fn with_nobody_there_it_is_done_alone() {
        let mut written = 0;
        let helpers = HelperPool::new().share(parts(3), |_| {
            written += 1;
            true
        });
        assert_eq!((written, helpers.asked), (3, 0));
        assert!(HelperPool::new().share(parts(3), |_| true).finish());
        assert!(!HelperPool::new().share(parts(3), |_| false).finish());
    }

    #[test]
    fn idle_threads_are_asked_and_each_part_is_done_once() {
        let pool = HelperPool::new();
        thread::scope(|scope| {
            let helper = scope.spawn(|| {
                let mut helped = 0;
                pool.calls().recv().unwrap().answer(
                    || false,
                    |_| {
                        helped += 1;
                        true
                    },
                );
                helped
            });
            let own = loop {
                let mut own = 0;
                let helpers = pool.share(parts(5), |_| {
                    own += 1;
                    true
                });
                // The helper may not have been waiting yet.
                if helpers.asked == 1 {
                    assert!(helpers.finish());
                    break own;
                }
                assert_eq!(own, 5);
            };
            assert_eq!(own + helper.join().unwrap(), 5);
        });
    }

    /// Returns whether one part that a helper was asked for was written, and whether it is left.
    fn answered(answer: impl FnOnce(WorkOffer)) -> (bool, bool) {
        let (fill, left) = bounded(1);
        let (done, ends) = unbounded();
        fill.send(Batch::default()).unwrap();
        answer(WorkOffer { parts: left.clone(), done });
        (Helpers { asked: 1, done: ends, is_complete: true }.finish(), !left.is_empty())
    }

    #[test]
    fn what_a_helper_did_not_get_through_is_known() {
        assert_eq!(answered(|call| call.answer(|| false, |_| true)), (true, false));
        assert_eq!(answered(|call| call.answer(|| false, |_| false)), (false, false));
        assert_eq!(answered(|call| call.answer(|| true, |_| false)), (true, true), "left to the one who asked");
        assert_eq!(answered(drop), (false, true), "a helper that ended without a word");
    }
}
