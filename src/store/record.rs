//! Rows of the small tables, as the rest of the program knows them.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Afi, Asn, Prefix, RouterId};

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

/// A row of `session_events`: one change of a session, a peer or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// What happened.
    pub kind: SessionEventKind,
    /// The `table_name`, where one table is meant.
    pub table_name: Option<Arc<str>>,
    /// The BGP neighbour, where one is meant; the source address for refused connections.
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
    /// The collector stopped; rows stay.
    CollectorStopped,
    /// The hold of a table or router ran out; its rows went.
    HoldExpired,
    /// A Loc-RIB instance or peer came up.
    PeerUp,
    /// A Loc-RIB instance or peer went down.
    PeerDown,
    /// End-of-RIB.
    EndOfRib,
    /// The quiet fallback purged a table that never sent an End-of-RIB.
    ResyncQuiet,
    /// A connection was refused (allow-list, limits, identity conflict).
    Refused,
    /// A neighbour's routes before policy, stored for lack of others, went when those after policy came.
    ViewDropped,
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
            SessionEventKind::CollectorStopped => "collector_stopped",
            SessionEventKind::HoldExpired => "hold_expired",
            SessionEventKind::PeerUp => "peer_up",
            SessionEventKind::PeerDown => "peer_down",
            SessionEventKind::EndOfRib => "end_of_rib",
            SessionEventKind::ResyncQuiet => "resync_quiet",
            SessionEventKind::Refused => "refused",
            SessionEventKind::ViewDropped => "view_dropped",
            SessionEventKind::Isolated => "isolated",
            SessionEventKind::TableFull => "table_full",
        }
    }
}
