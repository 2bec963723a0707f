//! The sending end: the choice of a router's writers, and the limits of their queues.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use xxhash_rust::xxh3::xxh3_64;

use super::op::{EventBatch, StateItem};
use super::suspension::{HistorySender, Suspension};
use crate::metrics::{Meters, Queue};
use crate::model::RouterId;

/// The maximum number of operations or events that a session puts into one item; writers accept any number.
pub(crate) const BATCH_ITEMS_MAX: usize = 2048;

/// The bytes of attribute sets and raw messages that fill such an item; it exceeds them by at most one UPDATE.
pub(crate) const BATCH_BYTES_MAX: usize = 512 * 1024;

/// The maximum number of items that wait for one state writer. A [`StateOp`](super::StateOp) is at most 120 bytes (a
/// test checks this), so this is 30 MiB of operations; attribute sets, once per UPDATE, add 64 MiB.
pub(crate) const STATE_QUEUE_ITEMS_MAX: usize = 128;

/// The maximum number of items that wait for one event writer. A [`RouteEvent`](super::RouteEvent) is at most 136
/// bytes, so this is 34 MiB of events; attribute sets, which the state writer's items share, and raw messages add 64
/// MiB.
pub(crate) const EVENT_QUEUE_ITEMS_MAX: usize = 128;

/// The channels from sessions to the writers. When all clones are gone, the writers drain their queues and end.
#[derive(Clone, Debug)]
pub struct PipelineSender {
    state: Vec<Sender<StateItem>>,
    events: Vec<HistorySender>,
}

/// The receiving ends, one per writer thread.
#[derive(Debug)]
pub struct PipelineReceivers {
    /// One per state writer.
    pub state: Vec<Receiver<StateItem>>,
    /// One per event writer; empty when no history is kept.
    pub events: Vec<Receiver<EventBatch>>,
}

/// Creates the bounded channels for these numbers of writers: at least one for state, none for events when no history
/// is kept.
pub fn channels(state_writers: usize, event_writers: usize) -> (PipelineSender, PipelineReceivers) {
    let (state, state_ends) = (0..state_writers.max(1)).map(|_| bounded(STATE_QUEUE_ITEMS_MAX)).unzip();
    let (events, event_ends): (Vec<_>, Vec<_>) = (0..event_writers).map(|_| bounded(EVENT_QUEUE_ITEMS_MAX)).unzip();
    let events = events.into_iter().map(|channel| HistorySender::new(channel, Arc::default())).collect();
    (PipelineSender { state, events }, PipelineReceivers { state: state_ends, events: event_ends })
}

impl PipelineSender {
    /// Returns the channel of this router's state writer, always the same one.
    pub fn state(&self, router: &RouterId) -> &Sender<StateItem> {
        &self.state[writer_of(router, self.state.len())]
    }

    /// Returns the way to this router's event writer, always the same one; `None` when no history is kept.
    pub fn events(&self, router: &RouterId) -> Option<&HistorySender> {
        if self.events.is_empty() { None } else { self.events.get(writer_of(router, self.events.len())) }
    }

    /// Records the queue length of each writer in the meters.
    pub fn measure(&self, meters: &Meters) {
        for (i, channel) in self.state.iter().enumerate() {
            meters.set_queue(&format!("state-{i}"), Queue { waiting: channel.len(), capacity: STATE_QUEUE_ITEMS_MAX });
        }
        for (i, channel) in self.events.iter().enumerate() {
            meters.set_queue(&format!("events-{i}"), Queue { waiting: channel.len(), capacity: EVENT_QUEUE_ITEMS_MAX });
        }
    }

    /// Returns the suspensions of the event writers, in their order.
    pub(super) fn suspensions(&self) -> Vec<Arc<Suspension>> {
        self.events.iter().map(|way| Arc::clone(way.suspension())).collect()
    }

    /// Returns the channel of a state writer for items that belong to no router, such as [`StateItem::Note`].
    pub fn any_state(&self) -> &Sender<StateItem> {
        &self.state[0]
    }
}

/// Returns the index of the router's writer: a stable choice, the same after a restart.
pub(super) fn writer_of(router: &RouterId, writers: usize) -> usize {
    let writers = u64::try_from(writers).expect("usize is 64 bits or fewer");
    usize::try_from(xxh3_64(router.as_str().as_bytes()) % writers).expect("below the number of writers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{RouteEvent, StateOp};

    #[test]
    fn a_router_has_one_writer_and_no_writer_is_unused() {
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
