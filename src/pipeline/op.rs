//! What sessions say to the writers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crossbeam_channel::Sender;

use super::progress::{Progress, Waiting};
use crate::metrics::RouterMeter;
use crate::model::{Nlri, RouterId, Table, TableKey, Timestamp, View};
use crate::store::EncodedRoute;
pub use crate::store::record::{
    AddPathPlace, AddPathRecord, PeerName, PeerRecord, PeerState, RouterRecord, SessionEvent, SessionEventKind,
    StatisticRecord, StoredRoute, TableNameRecord, cut_reason,
};
pub use crate::store::sessions::SessionState;

/// The right to write one router's rows, as a session of this collector has it.
///
/// Every write transaction checks `epoch` against `router_owner`; where another collector has taken the router, all its
/// sessions here close without purging anything.
#[derive(Debug)]
pub struct Ownership {
    /// The router.
    pub router: RouterId,
    /// The epoch in `router_owner` that this collector was given.
    pub epoch: i64,
    /// The session's key in `bmp_sessions`; empty where it has no row there.
    pub session: String,
    /// What is counted of the router.
    pub meter: Arc<RouterMeter>,
    /// How much of the session's input is stored.
    pub progress: Progress,
    /// What waits in memory, of all sessions.
    pub waiting: Arc<Waiting>,
    /// Whether another collector had the router before, and may have been told of the same events.
    pub is_taken_over: bool,
    /// When the session began, by the database's clock.
    pub began: Timestamp,
    /// When the oldest session of the router began that lived then.
    pub reporting_since: Timestamp,
    /// Shared by all sessions of the router with this epoch.
    pub(super) lost: Arc<AtomicBool>,
    in_doubt: AtomicBool,
    out_of_step: AtomicBool,
    refusal: OnceLock<Refusal>,
}

impl Ownership {
    /// Ownership as `router_owner` gave it.
    pub fn new(router: RouterId, epoch: i64, meter: Arc<RouterMeter>) -> Ownership {
        Ownership {
            router,
            epoch,
            session: String::new(),
            meter,
            progress: Progress::default(),
            waiting: Arc::default(),
            is_taken_over: false,
            began: Timestamp::from_unix_micros(0),
            reporting_since: Timestamp::from_unix_micros(0),
            lost: Arc::default(),
            in_doubt: AtomicBool::new(false),
            out_of_step: AtomicBool::new(false),
            refusal: OnceLock::new(),
        }
    }

    /// Whether another collector has taken the router.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Called by the writer whose transaction found another epoch. Whether it was the first to say so.
    pub fn set_lost(&self) -> bool {
        !self.lost.swap(true, Ordering::AcqRel)
    }

    /// Whether a statement has found other rows than expected since this was last asked: the tables are to be counted.
    pub fn take_doubt(&self) -> bool {
        self.in_doubt.swap(false, Ordering::AcqRel)
    }

    /// Called by the writer whose statement found other rows than expected.
    pub fn set_in_doubt(&self) {
        self.in_doubt.store(true, Ordering::Release);
    }

    /// Whether the database holds another number of routes than the session knows of.
    pub fn is_out_of_step(&self) -> bool {
        self.out_of_step.load(Ordering::Acquire)
    }

    /// Called by the writer that has counted.
    pub fn set_out_of_step(&self) {
        self.out_of_step.store(true, Ordering::Release);
    }

    /// The first command of the session that the database refused: the session has to end, its rows become stale.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.get()
    }

    /// Called by the writer whose command was refused. Later refusals of the same session add nothing.
    pub fn set_refused(&self, refusal: Refusal) {
        let _ = self.refusal.set(refusal);
    }
}

/// A command that the database refuses for its values, as words: which command, and what the database said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// One item on a state writer's channel.
#[derive(Debug)]
pub enum StateItem {
    /// A session begins: take the router in `router_owner`, upsert `routers`, answer.
    Claim(Claim),
    /// Changes of one session, in order.
    Batch(StateBatch),
    /// A row of `session_events` that belongs to no router's session: refused connections, isolation.
    Note(Option<RouterId>, SessionEvent),
}

/// A session's first word to its state writer.
#[derive(Debug)]
pub struct Claim {
    /// The router's row.
    pub record: RouterRecord,
    /// Whose router it may be now.
    pub right: ClaimRight,
    /// When the oldest other session of the router on this collector began; `None`: there is none.
    pub others_since: Option<Timestamp>,
    /// Where the answer goes; the writer never blocks on it. Without an answer, the router is another collector's or the
    /// writers gave up.
    pub reply: Sender<Result<Claimed, Refusal>>,
}

/// Whose router a session may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimRight {
    /// Anybody's: the router has connected to us.
    Connected,
    /// Nobody's or our own: what we heard of it is old, and another collector may have it by now. Without the right there
    /// is no answer.
    Replaying,
}

/// The answer to a [`Claim`].
#[derive(Debug)]
pub struct Claimed {
    /// To be sent along with every batch.
    pub owner: Arc<Ownership>,
    /// Tables of this router that are stored and that no other session has begun.
    pub tables: Vec<TableKey>,
    /// What earlier sessions have seen of path identifiers.
    pub add_path: Vec<AddPathRecord>,
    /// What tables of the router are called, and whose they are.
    pub names: Vec<TableNameRecord>,
}

/// Changes of one session, in the order the router said them.
#[derive(Debug)]
pub struct StateBatch {
    /// Who says so.
    pub owner: Arc<Ownership>,
    /// What changed.
    pub ops: Vec<StateOp>,
    /// When the first message was read that says so.
    pub read_at: Instant,
    /// All that the session's chunks up to this one changed is in this and earlier batches.
    pub upto: u64,
    /// How many pieces of history the session had sent before: all of them are stored before this is.
    pub history: u64,
}

/// A change of state. On one channel, so that an End-of-RIB or Peer Down never overtakes the routes before it.
#[derive(Debug)]
pub enum StateOp {
    /// What the router says of itself.
    RouterSeen(RouterRecord),
    /// Dumps of tables begin: `session_start_time = now()`, `eor_seen = false`, committed before any route behind it.
    SyncStart {
        /// The tables, each once.
        tables: Vec<Arc<Table>>,
        /// Gets every stored route of each table, in their order; the writer never blocks on it. `None`: the session knows
        /// that nothing is stored of any of them, and goes on at once.
        ///
        /// History is read by comparing the times of events and of rows of `session_events`. So the session waits for an
        /// answer where such a row may still be on its way: for its first tables (`session_up`), and for the next ones after
        /// a [`StateOp::TablesDown`]. One answer stands for all that was said before it.
        stored: Option<Sender<Vec<Vec<StoredRoute>>>>,
    },
    /// What is stored of tables is asked for, though their dumps do not begin.
    Load {
        /// The tables, each once.
        tables: Vec<Arc<Table>>,
        /// As that of [`StateOp::SyncStart`].
        stored: Sender<Vec<Vec<StoredRoute>>>,
    },
    /// What tables are called whose dumps have just begun: stored before their first rows.
    TableNames(Vec<TableNameRecord>),
    /// One route was announced or withdrawn.
    Route {
        /// The table.
        table: Arc<Table>,
        /// The key.
        nlri: Nlri,
        /// What happened to it.
        change: RouteChange,
        /// What the database had of it before, as far as the session knows.
        was: Existing,
    },
    /// The table had a message in this batch, whether it changed a row or not: `last_parsed_msg_time`.
    TableSeen(Arc<Table>),
    /// End-of-RIB: `eor_seen`, `eor_time`, and the routes this session did not confirm go.
    EndOfRib {
        /// The table.
        table: Arc<Table>,
        /// Keys not seen in this session; deleted where `updated_at < session_start_time` still holds.
        stale: Vec<Nlri>,
    },
    /// No End-of-RIB came and the dump is over all the same: as `EndOfRib`, but `eor_seen` stays false.
    PurgeStale {
        /// The table.
        table: Arc<Table>,
        /// Keys not seen in this session.
        stale: Vec<Nlri>,
    },
    /// The session knows of so many stored routes of the table: they are counted.
    Audit {
        /// The table.
        table: Arc<Table>,
        /// How many there have to be behind everything said before this.
        routes: usize,
    },
    /// Tables of the router go in all their families, routes and synchronization rows: one Loc-RIB, or what there is of
    /// one peer.
    TablesDown {
        /// Which RIB, and its `table_name`.
        tables: Vec<(View, Arc<str>)>,
        /// The row for `session_events`; the writer fills in `routes`. `None`: not worth one.
        event: Option<SessionEvent>,
    },
    /// The session ended without saying so: its tables are stale (`stale_since`), their rows stay.
    MarkStale(Vec<TableKey>),
    /// The session comes into another state: its row of `bmp_sessions`.
    SessionState {
        /// The state.
        state: SessionState,
        /// Why, in words.
        reason: Option<String>,
    },
    /// What a Peer Up or Peer Down says of a peer.
    PeerSeen(Box<PeerRecord>),
    /// What a Statistics Report says.
    Statistics(Vec<StatisticRecord>),
    /// Nobody tells of these peers of the router any more.
    PeersUnknown(PeersOf),
    /// What messages of a peer have shown of path identifiers.
    AddPathSeen(AddPathRecord),
    /// A row of `session_events`.
    SessionEvent(SessionEvent),
}

/// Some of a router's peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeersOf {
    /// All of them.
    Router,
    /// Those that no session has reported since then.
    ReportedBefore(Timestamp),
    /// These.
    Named(Vec<PeerName>),
}

/// What the database has of a key, by the session's map: a hint that decides how a row is written, never whether.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// No such row: it can be copied in as it is.
    No,
    /// A row with other attributes, or perhaps one.
    Maybe,
}

/// What happened to one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteChange {
    /// It is there, with these attributes.
    Announce(EncodedRoute),
    /// It is gone.
    Withdraw(WithdrawReason),
}

/// Why a route is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithdrawReason {
    /// The router withdrew it: `attrs` is NULL.
    Withdrawn,
    /// The router's new dump did not name it: `attrs = {"reason": "stale"}`.
    Stale,
    /// It never was: its NLRI had been read the wrong way, with path identifiers or without: `attrs = {"reason": "reread"}`.
    Reread,
}

/// History of one session, in order.
#[derive(Debug)]
pub struct EventBatch {
    /// Who says so.
    pub owner: Arc<Ownership>,
    /// The rows.
    pub events: Vec<RouteEvent>,
    /// Tables that had a message, whether it made an event or not: `last_raw_msg_time`.
    pub tables: Vec<Arc<Table>>,
    /// When the first message was read that says so.
    pub read_at: Instant,
    /// Dropped when this batch and all before it are stored, or given up: a session that has to know holds the other end.
    pub stored: Option<Sender<()>>,
    /// All that the session's chunks up to this one made happen is in this and earlier batches.
    pub upto: u64,
}

/// A row of `route_events`.
#[derive(Clone, Debug)]
pub struct RouteEvent {
    /// `event_id`: SHA-256 over what the event is, see `session::event_id`.
    pub id: [u8; 32],
    /// The table.
    pub table: Arc<Table>,
    /// The key.
    pub nlri: Nlri,
    /// Announce or withdraw.
    pub change: RouteChange,
    /// When the collector read the message.
    pub received_at: Timestamp,
    /// The per-peer timestamp, unless zero.
    pub router_time: Option<Timestamp>,
    /// The whole BMP message, on the first event of a message when raw bytes are stored.
    pub raw: Option<Arc<[u8]>>,
    /// Why it may be stored already.
    pub doubts: Doubts,
}

/// Why an event may be stored already. None of them: it is stored without a look at what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// A dump announces the route, and there may be events of its table from before: routers stamp a route with the time
    /// they learned it. It is stored already if the newest event of its key says the same.
    pub is_dumped: bool,
    /// A process that was killed had the message already. It is stored already if an event has its id and its time of
    /// receipt.
    pub is_replayed: bool,
    /// Another collector may have been told of it as well. It is stored already if an event has its id.
    pub is_shared: bool,
}
