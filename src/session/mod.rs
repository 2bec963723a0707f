//! Sessions: one TCP connection from a router each, from its first byte to its last.
//!
//! ```text
//! listener: accept, allow-list, limits
//!    | one thread per connection
//! run: intake > frame > wire > messages: peers, identity, changes > tables: rib > outbox > channels
//! ```
//!
//! While a session is busy, the spooler reads its socket into the spool, and the session reads on from there
//! (`intake`).
//!
//! `changes`, `peers`, `identity` and `rib` are pure. A session ends with a [`SessionEnd`]; only a Termination removes
//! a router's routes at once, everything else leaves them for the stale time.

pub mod add_path;
mod anomalies;
pub mod anomaly;
mod begin;
mod capabilities;
pub mod changes;
pub mod connection;
mod departure;
pub mod drift;
mod due;
mod earlier_tables;
pub mod event_id;
pub mod frame;
mod gaps;
pub mod identity;
pub mod intake;
pub mod intakes;
pub mod listener;
pub mod md5;
pub mod messages;
pub mod open_json;
pub mod other_protocol;
pub mod outbox;
mod peer_changes;
mod peer_owners;
pub mod peer_records;
pub mod peers;
pub mod preamble;
pub mod read_timeout;
pub mod reading;
mod reconcile;
pub mod refused_connections;
pub mod registry;
pub mod remnants;
mod removal;
mod reread;
mod resume;
pub mod rib_filter;
mod rib_table;
pub mod route_map;
mod rules;
pub mod run;
mod seeded;
pub mod sharing;
pub mod standing;
pub mod stream;
pub mod table_names;
mod table_owners;
pub mod tables;
mod unnamed;
mod version4;
pub mod waiting;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ResyncOnDrift, StoredViews};
use crate::metrics::Meters;
use crate::pipeline::PipelineSender;
use crate::spool::{Spool, SpoolError};
use crate::stop::Stop;
use drift::Resyncs;
use identity::IdentityRule;
use intakes::Intakes;
use other_protocol::NotBmp;
use refused_connections::Refusals;
use registry::Registry;
use tables::Rules;

/// The settings of sessions.
pub struct Options {
    /// The longest BMP message accepted, bytes.
    pub message_max: usize,
    /// The longest wait for the rest of a message that has begun.
    pub message_time_max: Duration,
    /// The interval at which the routes of a router's tables are counted in the database.
    pub audit_every: Duration,
    /// The longest time that a socket is left unread before its bytes are read into the spool.
    pub stall: Duration,
    /// The rules for the life of tables.
    pub rules: Rules,
    /// The setting for keeping the BMP message with its first event.
    pub raw: RawBytes,
    /// Returns the identity rule for a router at this address.
    pub identity_rule: Box<dyn Fn(IpAddr) -> IdentityRule + Send + Sync>,
    /// Returns true if a router at this address sends one path per prefix under changing identifiers.
    pub ignore_path_id: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// Returns the RIBs that are stored for a router at this address.
    pub stored_views: Box<dyn Fn(IpAddr) -> StoredViews + Send + Sync>,
    /// The drift between stored routes and statistics at which a router has to dump again; `None`: never.
    pub resync_on_drift: Option<ResyncOnDrift>,
    /// The directory where rejected messages are kept.
    pub rejected_dir: PathBuf,
}

/// The state that all sessions of a collector share.
pub struct Shared {
    /// The settings of sessions.
    pub options: Options,
    /// The connected routers.
    pub registry: Registry,
    /// The refused connections.
    pub refusals: Refusals,
    /// The routers whose sessions were closed because of a drift.
    pub resyncs: Resyncs,
    /// The channels to the writers.
    pub pipeline: PipelineSender,
    /// The spool for input that the writers cannot accept yet.
    pub spool: Arc<Spool>,
    /// The input of all sessions.
    pub intakes: Arc<Intakes>,
    /// The signal that the collector stops.
    pub stop: Stop,
    /// The metrics.
    pub meters: Arc<Meters>,
}

/// The setting that determines whether `route_events.bmp_raw` is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawBytes {
    /// It stays NULL.
    Dropped,
    /// The first event of a message carries it.
    Stored,
}

/// The reason why a session is over.
#[derive(Debug)]
pub enum SessionEnd {
    /// The router sent a Termination (RFC 7854 section 4.5).
    Termination {
        /// The reason, in words.
        reason: String,
    },
    /// The connection was closed or broke without a Termination.
    Lost(Option<io::Error>),
    /// The router sends messages, but none that identifies it; the text names the limit that was exceeded.
    Unnamed(String),
    /// A message began and did not end in time.
    Stalled,
    /// No BMP message was received.
    Mute,
    /// The stream is not, or no longer, BMP: the next message boundary cannot be found.
    OutOfStep(NotBmp),
    /// More routes than are kept were misread, with path identifiers or without: a new dump is read correctly.
    AddPath(String),
    /// A newer session of the same router exists, from the same address.
    Superseded,
    /// The router's identifier belongs to another session; the text names the remedy.
    Refused(String),
    /// Another collector, or a newer session, owns the router.
    OwnershipLost,
    /// The database has other routes than the session expects: the router's next dump repairs that.
    DatabaseDiffers,
    /// The database refused a command that the session depends on: its rows become stale. The text describes the
    /// refusal.
    DatabaseRefused(String),
    /// The stored routes have differed from the router's statistics for too long: a new dump is needed.
    Drift(String),
    /// The collector stops.
    Stopping,
    /// The writers are gone: the collector is ending.
    WritersGone,
    /// Its input could not be kept: the latest input is lost.
    Spool(SpoolError),
    /// This many bytes of its spooled input cannot be read back.
    SpoolDamaged(u64),
    /// All input that an earlier process left in the spool is applied.
    SpoolRead,
    /// An internal error: the thread panicked.
    Panicked,
}

impl SessionEnd {
    /// Returns its label in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            SessionEnd::Termination { .. } => "terminated",
            SessionEnd::Lost(None) => "closed",
            SessionEnd::Lost(Some(_)) => "lost",
            SessionEnd::Stalled => "stalled",
            SessionEnd::Mute => "mute",
            SessionEnd::Unnamed(_) => "unnamed",
            SessionEnd::OutOfStep(_) => "out_of_step",
            SessionEnd::AddPath(_) => "add_path",
            SessionEnd::Superseded => "superseded",
            SessionEnd::Refused(_) => "refused",
            SessionEnd::OwnershipLost => "ownership_lost",
            SessionEnd::DatabaseDiffers => "database_differs",
            SessionEnd::DatabaseRefused(_) => "database_refused",
            SessionEnd::Drift(_) => "drift",
            SessionEnd::Stopping => "stopping",
            SessionEnd::WritersGone => "writers_gone",
            SessionEnd::Spool(_) => "spool",
            SessionEnd::SpoolDamaged(_) => "spool_damaged",
            SessionEnd::SpoolRead => "spool_read",
            SessionEnd::Panicked => "panicked",
        }
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionEnd::Termination { reason } => write!(f, "terminated by the router: {reason}"),
            SessionEnd::Lost(None) => f.write_str("closed by the router without Termination"),
            SessionEnd::Lost(Some(error)) => write!(f, "lost: {error}"),
            SessionEnd::Stalled => f.write_str("stalled inside a message"),
            SessionEnd::Mute => f.write_str("no BMP message received"),
            SessionEnd::Unnamed(why) => write!(f, "router not identified: {why}"),
            SessionEnd::OutOfStep(why) => write!(f, "not BMP: {why}"),
            SessionEnd::AddPath(what) => write!(f, "routes decoded the wrong way, a new dump is needed: {what}"),
            SessionEnd::Superseded => f.write_str("superseded by a newer session of the same router"),
            SessionEnd::Refused(why) => write!(f, "refused: {why}"),
            SessionEnd::OwnershipLost => f.write_str("router is owned by another collector or a newer session"),
            SessionEnd::DatabaseDiffers => f.write_str("database does not match the session; resync required"),
            SessionEnd::DatabaseRefused(what) => write!(f, "the database refused a command: {what}"),
            SessionEnd::Drift(what) => write!(f, "drift: {what}"),
            SessionEnd::Stopping => f.write_str("collector stops"),
            SessionEnd::WritersGone => f.write_str("writers have ended"),
            SessionEnd::Spool(error) => write!(f, "input lost: {error}"),
            SessionEnd::SpoolDamaged(bytes) => write!(f, "{bytes} bytes of spooled input cannot be read back"),
            SessionEnd::SpoolRead => f.write_str("end of the spooled input"),
            SessionEnd::Panicked => f.write_str("internal error"),
        }
    }
}
