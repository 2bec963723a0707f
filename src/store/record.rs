//! Rows of the small tables, as the rest of the program knows them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::model::{Afi, AfiSafi, Asn, Prefix, RibKind, RouterId};

/// A row of `routers`, as far as the session knows it. `None` keeps what is stored.
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

/// A row of `table_names`, but for the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNameRecord {
    /// `rib`.
    pub rib: RibKind,
    /// `peer_type`, `distinguisher`, `peer_address`, `peer_asn`.
    pub peer: PeerName,
    /// `bgp_id`; unspecified where it tells nobody apart.
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

/// A row of `peers`. `None` keeps what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// The key, but for the router.
    pub name: PeerName,
    /// The peer's BGP identifier.
    pub bgp_id: Option<Ipv4Addr>,
    /// The router's end.
    pub local_address: Option<IpAddr>,
    /// The router's port.
    pub local_port: Option<u16>,
    /// The peer's port.
    pub remote_port: Option<u16>,
    /// Seconds.
    pub hold_time: Option<u16>,
    /// JSON.
    pub capabilities: Option<String>,
    /// What the router calls it; safe text.
    pub description: Option<String>,
    /// Whether it is up.
    pub state: PeerState,
    /// Why it is down, in words.
    pub reason: Option<String>,
}

/// The `state` column of `peers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// A Peer Up came.
    Up,
    /// A Peer Down came.
    Down,
}

/// A row of `peer_statistics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticRecord {
    /// Whose.
    pub peer: PeerName,
    /// `stat_type`.
    pub type_code: u16,
    /// IANA number, 0 for all families.
    pub afi: u16,
    /// IANA number, 0 for all families.
    pub safi: u8,
    /// The type's name, or its number.
    pub name: String,
    /// The value.
    pub value: u64,
}

/// Whose path identifiers a row of `add_path_evidence` is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddPathPlace {
    /// `rib`.
    pub rib: RibKind,
    /// `is_post_policy`.
    pub is_post_policy: bool,
    /// The peer, or a Loc-RIB with address and AS zero.
    pub peer: PeerName,
    /// `peer_bgp_id`; zero where it tells nothing apart.
    pub bgp_id: Ipv4Addr,
}

/// A row of `add_path_evidence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPathRecord {
    /// Whose.
    pub place: AddPathPlace,
    /// Of which family.
    pub family: AfiSafi,
    /// `is_sent`.
    pub is_sent: bool,
    /// `is_announced`.
    pub is_announced: bool,
    /// Whether `closed_at` is set.
    pub is_closed_once: bool,
}

/// A route as the database holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRoute {
    /// The destination.
    pub prefix: Prefix,
    /// The `path_id` column.
    pub path_id: u32,
    /// [`EncodedRoute::fingerprint`](super::EncodedRoute::fingerprint) of its attribute columns.
    pub fingerprint: u64,
}

/// The longest reason in a row of `session_events`, in octets: one Termination is a row for each of a router's tables.
pub const REASON_MAX: usize = 1000;

/// `reason`, cut to [`REASON_MAX`] octets at a character boundary.
pub fn cut_reason(reason: &str) -> &str {
    let end = (0..=REASON_MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    &reason[..end.unwrap_or(0)]
}

/// A row of `session_events`: one change of a session, a peer or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// What happened.
    pub kind: SessionEventKind,
    /// The `table_name`, where one table is meant.
    pub table_name: Option<Arc<str>>,
    /// The BGP peer, where one is meant; the source address for refused connections.
    pub peer_address: Option<IpAddr>,
    /// The family, where one is meant.
    pub afi: Option<Afi>,
    /// Why, in words; safe text.
    pub reason: Option<String>,
    /// How many routes went or came with it.
    pub routes: Option<i64>,
}

/// The `kind` column of `session_events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionEventKind {
    /// A router's session began (its identity is settled).
    SessionUp,
    /// The session that just began writes no history: what changes until the next one begins is in no event.
    HistoryOff,
    /// A session ended by a Termination message.
    Terminated,
    /// A session ended without one; its rows are held.
    SessionLost,
    /// The collector closed the session: stream out of step, superseded, ownership lost.
    SessionClosed,
    /// The collector closed the session because what is stored differs from what the router says it has.
    Drift,
    /// The collector stopped; rows stay.
    CollectorStopped,
    /// The hold of a table or router ran out; its rows went.
    StaleExpired,
    /// A Loc-RIB instance or peer came up.
    PeerUp,
    /// A Loc-RIB instance or peer went down.
    PeerDown,
    /// End-of-RIB.
    EndOfRib,
    /// The quiet fallback purged a table that never sent an End-of-RIB.
    EorTimeout,
    /// A connection was refused (allow-list, limits, identity conflict).
    Refused,
    /// A peer's routes before policy, stored for lack of others, went when those after policy came.
    ViewDropped,
    /// Input of a router was lost: the spool was full, or damaged.
    Gap,
    /// Most sessions vanished at once: holds are stretched.
    Isolated,
    /// A table holds as many routes as it may: new ones are refused.
    TableFull,
}

impl SessionEventKind {
    /// The text of the column.
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
