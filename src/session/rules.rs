//! What the life of a table depends on, and what is known of a message that changes it.

use std::sync::Arc;
use std::time::Duration;

use crate::model::Timestamp;

/// What the life of a table depends on.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long rows that nobody confirms stay after a session was lost.
    pub stale_time: Duration,
    /// How long nothing may be confirmed before a dump without End-of-RIB counts as over.
    pub quiet: Duration,
    /// Whether unchanged routes of a dump are events.
    pub redump: Redump,
    /// How many routes one table and family may hold; further new ones are refused. `None`: any number.
    pub routes_max: Option<usize>,
}

/// What history does with a route that a dump only repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redump {
    /// It is no event.
    Skip,
    /// It is an event like any other.
    Record,
}

/// When and in which message a change was said.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// When the collector read the message.
    pub received_at: Timestamp,
    /// The per-peer timestamp.
    pub router_time: Option<Timestamp>,
    /// The whole BMP message, if raw bytes are stored; taken by the first event.
    pub raw: Option<Arc<[u8]>>,
}
