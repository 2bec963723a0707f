//! The reasons for which a session ends.

use std::fmt;
use std::io;

use super::other_protocol::NotBmp;
use crate::spool::SpoolError;

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
