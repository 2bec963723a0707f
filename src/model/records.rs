//! Records: rows of the small tables, in the form that sessions report them and the database holds them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::as_path::Asn;
use super::family::{Afi, AfiSafi};
use super::prefix::Prefix;
use super::route::{RibKind, RouterId};

/// A row of `routers`, as far as the session knows it. `None` keeps the stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterRecord {
    /// The key.
    pub router: RouterId,
    /// The address the router connected from.
    pub address: IpAddr,
    /// sysName.
    pub hostname: Option<String>,
    /// The router's own AS.
    pub asn: Option<Asn>,
    /// sysDescr.
    pub description: Option<String>,
}

/// The key of a row of `peers`, and of those of `peer_statistics`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerName {
    /// `peer_type`.
    pub kind: String,
    /// `distinguisher`; empty where there is none.
    pub distinguisher: String,
    /// `peer_address`.
    pub address: IpAddr,
    /// `peer_asn`.
    pub asn: Asn,
}

/// A row of `table_names`, without the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNameRecord {
    /// `rib`.
    pub rib: RibKind,
    /// `peer_type`, `distinguisher`, `peer_address`, `peer_asn`.
    pub peer: PeerName,
    /// `bgp_id`; unspecified if it distinguishes no peers.
    pub bgp_id: Ipv4Addr,
    /// `name`.
    pub name: Arc<str>,
    /// `table_name`.
    pub table_name: Arc<str>,
    /// `safi`.
    pub safi: u8,
    /// `route_distinguisher`; empty where there is none.
    pub route_distinguisher: String,
    /// `unicast_table_name`.
    pub unicast: Arc<str>,
}

/// A row of `peers`. `None` keeps the stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// The key, without the router.
    pub name: PeerName,
    /// The peer's BGP identifier.
    pub bgp_id: Option<Ipv4Addr>,
    /// The router's address of the BGP session.
    pub local_address: Option<IpAddr>,
    /// The router's port.
    pub local_port: Option<u16>,
    /// The peer's port.
    pub remote_port: Option<u16>,
    /// The hold time in seconds.
    pub hold_time: Option<u16>,
    /// The capabilities as JSON.
    pub capabilities: Option<String>,
    /// The router's name for it; safe text.
    pub description: Option<String>,
    /// Its state.
    pub state: PeerState,
    /// The reason why it is down, in words.
    pub reason: Option<String>,
}

/// The `state` column of `peers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// A Peer Up arrived.
    Up,
    /// A Peer Down arrived.
    Down,
}

/// A row of `peer_statistics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticRecord {
    /// The peer.
    pub peer: PeerName,
    /// `stat_type`.
    pub type_code: u16,
    /// The address family's IANA number, 0 for all families.
    pub afi: u16,
    /// The subsequent address family's IANA number, 0 for all families.
    pub safi: u8,
    /// The type's name, or its number.
    pub name: String,
    /// The value.
    pub value: u64,
}

/// The key of a row of `add_path_evidence`, without the router and the family.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddPathPlace {
    /// `rib`.
    pub rib: RibKind,
    /// `is_post_policy`.
    pub is_post_policy: bool,
    /// The peer, or a Loc-RIB with address and AS zero.
    pub peer: PeerName,
    /// `peer_bgp_id`; zero if it distinguishes nothing.
    pub bgp_id: Ipv4Addr,
}

/// A row of `add_path_evidence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPathRecord {
    /// The peer and RIB.
    pub place: AddPathPlace,
    /// The family.
    pub family: AfiSafi,
    /// `is_sent`: the messages carried path identifiers.
    pub is_sent: bool,
    /// `is_announced`: the capabilities announced them.
    pub is_announced: bool,
    /// True if `closed_at` is set.
    pub(crate) is_closed_once: bool,
}

/// A route as the database has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRoute {
    /// The destination.
    pub prefix: Prefix,
    /// The `path_id` column.
    pub path_id: u32,
    /// The fingerprint of its attribute columns.
    pub fingerprint: u64,
}

/// The longest reason in a row of `session_events`, in octets: one Termination causes a row for each of a router's
/// tables.
pub(crate) const REASON_MAX: usize = 1000;

/// Returns `reason`, cut to [`REASON_MAX`] octets at a character boundary.
pub(crate) fn cut_reason(reason: &str) -> &str {
    let end = (0..=REASON_MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    &reason[..end.unwrap_or(0)]
}

/// A row of `session_events`: one change of a session, a peer or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// The kind of the event.
    pub kind: SessionEventKind,
    /// The `table_name`, if the event is about one table.
    pub table_name: Option<Arc<str>>,
    /// The BGP peer, if the event is about one; the source address for refused connections.
    pub peer_address: Option<IpAddr>,
    /// The family, if the event is about one.
    pub afi: Option<Afi>,
    /// The reason, in words; safe text.
    pub reason: Option<String>,
    /// The number of routes that were added or removed with it.
    pub routes: Option<i64>,
}

/// The `kind` column of `session_events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionEventKind {
    /// A router's session began (the router is identified).
    SessionUp,
    /// The session that just began writes no history: changes until the next one begins are in no event.
    HistoryOff,
    /// A session ended by a Termination message.
    Terminated,
    /// A session ended without one; its routes are stale.
    SessionLost,
    /// The collector closed the session: stream out of step, session superseded, ownership lost.
    SessionClosed,
    /// The collector closed the session because stored routes differ from those that the router reports.
    Drift,
    /// The collector stopped; its rows stay.
    CollectorStopped,
    /// The stale time of a table or router expired; its rows were deleted.
    StaleExpired,
    /// A Loc-RIB instance or peer came up.
    PeerUp,
    /// A Loc-RIB instance or peer went down.
    PeerDown,
    /// End-of-RIB.
    EndOfRib,
    /// The timeout for a missing End-of-RIB purged a table.
    EorTimeout,
    /// A connection was refused (allow-list, limits, identity conflict).
    Refused,
    /// A peer's pre-policy routes, stored for lack of post-policy ones, were deleted when post-policy routes arrived.
    ViewDropped,
    /// Input of a router was lost: the journal was full, or damaged.
    Gap,
    /// Most sessions vanished at once: stale times are extended.
    Isolated,
    /// A table has as many routes as it may: new ones are rejected.
    TableFull,
}

impl SessionEventKind {
    /// Returns the text of the column.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionEventKind::SessionUp => "session_up",
            SessionEventKind::HistoryOff => "history_off",
            SessionEventKind::Terminated => "terminated",
            SessionEventKind::SessionLost => "session_lost",
            SessionEventKind::SessionClosed => "session_closed",
            SessionEventKind::Drift => "drift",
            SessionEventKind::CollectorStopped => "collector_stopped",
            SessionEventKind::StaleExpired => "stale_expired",
            SessionEventKind::PeerUp => "peer_up",
            SessionEventKind::PeerDown => "peer_down",
            SessionEventKind::EndOfRib => "end_of_rib",
            SessionEventKind::EorTimeout => "eor_timeout",
            SessionEventKind::Refused => "refused",
            SessionEventKind::ViewDropped => "view_dropped",
            SessionEventKind::Gap => "gap",
            SessionEventKind::Isolated => "isolated",
            SessionEventKind::TableFull => "table_full",
        }
    }
}

/// The `state` column of `bmp_sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// A dump of one of its tables is not complete.
    Dumping,
    /// All dumps are complete.
    Up,
    /// The session was lost, and its routes are kept as stale for a limited time.
    Stale,
    /// The session was lost together with most others.
    Isolated,
    /// The session is over, and none of its routes are kept.
    Ended,
}

impl SessionState {
    /// Returns the column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionState::Dumping => "dumping",
            SessionState::Up => "up",
            SessionState::Stale => "stale",
            SessionState::Isolated => "isolated",
            SessionState::Ended => "ended",
        }
    }
}
