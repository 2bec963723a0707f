//! The rules for the life cycle of tables, and the data of a message that changes them.

use std::sync::Arc;
use std::time::Duration;

use crate::model::Timestamp;

/// The rules for the life cycle of tables.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The time that unconfirmed rows are kept after a session was lost.
    pub stale_time: Duration,
    /// The time without a confirmed route after which a dump without End-of-RIB counts as complete.
    pub quiet: Duration,
    /// The treatment of unchanged routes of a dump in history.
    pub redump: Redump,
    /// The maximum number of routes of one table and family; further new ones are refused. `None`: unlimited.
    pub routes_max: Option<usize>,
}

/// The treatment in history of a route that a dump only repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redump {
    /// It is not an event.
    Skip,
    /// It is an event like any other.
    Record,
}

/// A moment at which a session looks at its timers, as the one who runs it has seen it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time by the collector's clock.
    pub at: Timestamp,
    /// The session's age, by a clock that nobody sets.
    pub age: Duration,
}

/// The message of a change, and its times.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// When the collector read the message.
    pub received_at: Timestamp,
    /// The timestamp of the per-peer header.
    pub router_time: Option<Timestamp>,
    /// The whole BMP message, if raw bytes are stored; only the first event of a message gets it.
    pub raw: Option<Arc<[u8]>>,
}

impl Stamp {
    /// Returns the time by the router's clock, or when the message was read if the router gives none.
    pub(crate) fn sent_at(&self) -> Timestamp {
        self.router_time.unwrap_or(self.received_at)
    }
}
