//! The settings of sessions, and the state that all sessions of a collector share.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::drift::Resyncs;
use super::identity::IdentityRule;
use super::inputs::Inputs;
use super::refused_connections::Refusals;
use super::registry::Registry;
use super::rules::Rules;
use super::standby::Standbys;
use crate::config::{ResyncOnDrift, StoredViews};
use crate::journal::{Feeds, Journal};
use crate::metrics::Meters;
use crate::model::StoredFamilies;
use crate::pipeline::PipelineSender;
use crate::stop::Stop;

/// The settings of sessions.
pub struct Options {
    /// The longest BMP message accepted, bytes.
    pub message_max: usize,
    /// The longest wait for the rest of a message that has begun.
    pub message_time_max: Duration,
    /// The interval at which the routes of a router's tables are counted in the database.
    pub audit_every: Duration,
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
    /// The families whose NLRI are not prefixes and are stored.
    pub stored_families: StoredFamilies,
    /// The drift between stored routes and statistics at which a router has to dump again; `None`: never.
    pub resync_on_drift: Option<ResyncOnDrift>,
    /// The time for which a session that stands by keeps what it hears; zero: it keeps nothing, and is closed when it
    /// takes its router over.
    pub standby_window: Duration,
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
    /// The sessions of routers that another collector has.
    pub standbys: Standbys,
    /// The routers whose sessions were closed because of a drift.
    pub resyncs: Resyncs,
    /// The channels to the writers.
    pub pipeline: PipelineSender,
    /// The journal of all input.
    pub journal: Arc<Journal>,
    /// The input of all sessions, for those who relay it.
    pub feeds: Arc<Feeds>,
    /// The input of all sessions.
    pub inputs: Arc<Inputs>,
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
