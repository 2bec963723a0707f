//! The sending end: which writer a router's items go to, and how much may wait.

use crossbeam_channel::{Receiver, Sender, bounded};
use xxhash_rust::xxh3::xxh3_64;

use super::op::{EventBatch, StateItem};
use crate::metrics::{Meters, Queue};
use crate::model::RouterId;

/// How many operations or events a session puts into one item at most; writers accept any number.
pub const BATCH_ITEMS_MAX: usize = 2048;

/// How many bytes of attribute sets and raw messages make such an item full: one UPDATE more at most.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;

/// How many items wait in front of one state writer at most. A [`StateOp`](super::StateOp) is 120 bytes at most (a
/// test says so), so this is 30 MiB of operations; attribute sets come on top, once per UPDATE: 64 MiB.
pub const STATE_QUEUE_ITEMS_MAX: usize = 128;

/// How many items wait in front of one event writer at most. A [`RouteEvent`](super::RouteEvent) is 136 bytes at most,
/// so this is 34 MiB of events; attribute sets, which the state writer's items share, and raw messages come on top: 64 MiB.
pub const EVENT_QUEUE_ITEMS_MAX: usize = 128;

/// The way from sessions to the writers. When all clones are gone, the writers drain their queues and end.
#[derive(Clone, Debug)]
pub struct PipelineSender {
    state: Vec<Sender<StateItem>>,
    events: Vec<Sender<EventBatch>>,
}

/// The receiving ends, one per writer thread.
#[derive(Debug)]
pub struct PipelineReceivers {
    /// One per state writer.
    pub state: Vec<Receiver<StateItem>>,
    /// One per event writer; none when no history is kept.
    pub events: Vec<Receiver<EventBatch>>,
}

/// The bounded channels for so many writers: at least one for state, none for events when no history is kept.
pub fn channels(state_writers: usize, event_writers: usize) -> (PipelineSender, PipelineReceivers) {
    let (state, state_ends) = (0..state_writers.max(1)).map(|_| bounded(STATE_QUEUE_ITEMS_MAX)).unzip();
    let (events, event_ends) = (0..event_writers).map(|_| bounded(EVENT_QUEUE_ITEMS_MAX)).unzip();
    (PipelineSender { state, events }, PipelineReceivers { state: state_ends, events: event_ends })
}

impl PipelineSender {
    /// The state writer of this router, always the same one.
    pub fn state(&self, router: &RouterId) -> &Sender<StateItem> {
        &self.state[writer_of(router, self.state.len())]
    }

    /// The event writer of this router, always the same one; `None` when no history is kept.
    pub fn events(&self, router: &RouterId) -> Option<&Sender<EventBatch>> {
        if self.events.is_empty() { None } else { self.events.get(writer_of(router, self.events.len())) }
    }

    /// Notes how much waits in front of each writer.
    pub fn measure(&self, meters: &Meters) {
        for (i, channel) in self.state.iter().enumerate() {
            meters.set_queue(&format!("state-{i}"), Queue { waiting: channel.len(), capacity: STATE_QUEUE_ITEMS_MAX });
        }
        for (i, channel) in self.events.iter().enumerate() {
            meters.set_queue(&format!("events-{i}"), Queue { waiting: channel.len(), capacity: EVENT_QUEUE_ITEMS_MAX });
        }
    }

    /// A state writer for what belongs to no router, such as [`StateItem::Note`].
    pub fn any_state(&self) -> &Sender<StateItem> {
        &self.state[0]
    }
}

/// A stable choice: the same router meets the same writer after a restart too.
pub(super) fn writer_of(router: &RouterId, writers: usize) -> usize {
    let writers = u64::try_from(writers).expect("usize is 64 bits or fewer");
    usize::try_from(xxh3_64(router.as_str().as_bytes()) % writers).expect("below the number of writers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{RouteEvent, StateOp};

    #[test]
    fn a_router_has_one_writer_and_all_writers_have_routers() {
        let (sender, receivers) = channels(3, 0);
        let mut met = std::collections::HashSet::new();
        for i in 0..100 {
            let router = RouterId::new(&format!("10.0.0.{i}"));
            assert!(sender.state(&router).same_channel(sender.clone().state(&router)));
            assert!(sender.events(&router).is_none());
            met.insert(writer_of(&router, 3));
        }
        assert_eq!((met.len(), receivers.state.len(), receivers.events.len()), (3, 3, 0));
    }

    #[test]
    fn the_bounds_mean_what_they_say() {
        assert!(size_of::<StateOp>() <= 120, "{}", size_of::<StateOp>());
        assert!(size_of::<RouteEvent>() <= 136, "{}", size_of::<RouteEvent>());
    }
}
