//! The messages from sessions to the writers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::flaps::Flaps;
use super::progress::{InFlight, Progress};
use crate::metrics::RouterMeter;
use crate::model::{
    AddPathRecord, Nlri, PeerName, PeerRecord, RouterId, RouterRecord, SessionEvent, SessionState, StatisticRecord,
    StoredRoute, Table, TableKey, TableNameRecord, Timestamp, View,
};
use crate::store::EncodedRoute;
use crate::store::journal_positions::StoredPositions;
use crate::store::recent::Recent;

/// The right to write one router's rows, as held by a session of this collector.
///
/// Every write transaction checks `epoch` against `router_owner`; when another collector has taken the router, all its
/// sessions here close without purging anything.
#[derive(Debug)]
pub struct Ownership {
    /// The router whose rows may be written.
    pub router: RouterId,
    /// The epoch in `router_owner` that this collector was given.
    pub epoch: i64,
    /// The session's key in `bmp_sessions`; empty if it has no row there.
    pub session: String,
    /// The session in the journal; empty if there is none.
    pub journal: String,
    /// The metrics of the router.
    pub meter: Arc<RouterMeter>,
    /// The progress of storing the session's input.
    pub progress: Progress,
    /// The changes and events of all sessions that wait in memory.
    pub waiting: Arc<InFlight>,
    /// The counts of changes of watched routes, of all sessions.
    pub(crate) flaps: Arc<Flaps>,
    /// True if another collector had the router before, and may have received the same events.
    pub(crate) is_taken_over: bool,
    /// When the session began, by the database's clock.
    pub began: Timestamp,
    /// When the oldest session of the router began that was alive when this one began.
    pub(crate) reporting_since: Timestamp,
    /// Shared by all sessions of the router with this epoch.
    pub(super) lost: Arc<AtomicBool>,
    in_doubt: AtomicBool,
    out_of_step: AtomicBool,
    refusal: OnceLock<Refusal>,
}

impl Ownership {
    /// Creates the ownership that `router_owner` granted.
    pub fn new(router: RouterId, epoch: i64, meter: Arc<RouterMeter>) -> Ownership {
        Ownership {
            router,
            epoch,
            session: String::new(),
            journal: String::new(),
            meter,
            progress: Progress::default(),
            waiting: Arc::default(),
            flaps: Arc::default(),
            is_taken_over: false,
            began: Timestamp::from_unix_micros(0),
            reporting_since: Timestamp::from_unix_micros(0),
            lost: Arc::default(),
            in_doubt: AtomicBool::new(false),
            out_of_step: AtomicBool::new(false),
            refusal: OnceLock::new(),
        }
    }

    /// Returns whether another collector has taken the router.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Notes the loss, which is logged once; called by the writer whose transaction found another epoch.
    pub fn set_lost(&self) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            log::warn!("router {}: taken over by another collector, no longer writing its data", self.router);
        }
    }

    /// Returns whether a statement has found other rows than expected since the last call: then the tables are counted.
    pub(crate) fn take_doubt(&self) -> bool {
        self.in_doubt.swap(false, Ordering::AcqRel)
    }

    /// Notes that a statement found other rows than expected; called by its writer.
    pub(crate) fn set_in_doubt(&self) {
        self.in_doubt.store(true, Ordering::Release);
    }

    /// Returns whether the database has another number of routes than the session knows of.
    pub fn is_out_of_step(&self) -> bool {
        self.out_of_step.load(Ordering::Acquire)
    }

    /// Notes a different number of routes; called by the writer that has counted.
    pub(crate) fn set_out_of_step(&self) {
        self.out_of_step.store(true, Ordering::Release);
    }

    /// Returns the first command of the session that the database refused: the session has to end, its rows become
    /// stale.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.get()
    }

    /// Notes a refused command; called by its writer. Later refusals of the same session change nothing.
    pub(crate) fn set_refused(&self, refusal: Refusal) {
        let _ = self.refusal.set(refusal);
    }
}

/// A command that the database refuses for its values, in words: the command and the database's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// One item on a state writer's channel.
#[derive(Debug)]
pub enum StateItem {
    /// A session begins: the writer takes the router in `router_owner`, upserts `routers` and answers.
    Claim(Claim),
    /// Changes of one session, in order.
    Batch(StateBatch),
    /// A row of `session_events` that belongs to no session that may write its router, such as a refused connection.
    Note(Option<RouterId>, SessionEvent),
    /// Input of no session that may write its router is lost.
    Gap(Gap),
}

/// A row of `session_events` about lost input.
#[derive(Debug)]
pub struct Gap {
    /// The router, if it is known.
    pub router: Option<RouterId>,
    /// The row.
    pub row: SessionEvent,
    /// Called once the row is committed, or refused and kept; not if it is given up.
    pub stored: Option<WhenStored>,
}

/// A call that is due when a row is stored.
pub struct WhenStored(Box<dyn FnOnce() + Send>);

impl WhenStored {
    /// Returns this call.
    pub fn new(call: impl FnOnce() + Send + 'static) -> WhenStored {
        WhenStored(Box::new(call))
    }

    /// Calls it: the row is stored.
    pub(crate) fn call(self) {
        (self.0)();
    }
}

impl fmt::Debug for WhenStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhenStored")
    }
}

/// A session's first message to its state writer.
#[derive(Debug)]
pub struct Claim {
    /// The router's row.
    pub record: RouterRecord,
    /// The right by which the session claims the router.
    pub right: ClaimRight,
    /// The session in the journal; empty if there is none.
    pub journal: String,
    /// When the oldest other session of the router on this collector began; `None`: there is none.
    pub others_since: Option<Timestamp>,
    /// The channel for the answer; the writer never blocks on it. Without an answer the writers gave up.
    pub reply: Sender<Result<Claimed, Denial>>,
}

/// The reason why a session does not get its router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The database refused the claim.
    Refused(Refusal),
    /// Another collector has the router.
    Owned {
        /// That collector.
        by: String,
        /// The key of this session in `bmp_sessions`, where it stands by.
        session: String,
        /// The names of the router's tables, and the peers that the tables belong to.
        names: Vec<TableNameRecord>,
    },
}

/// The right by which a session may claim a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimRight {
    /// From a collector that has lost it: the router has connected to this one.
    Connected,
    /// The same after it has stood by: the answer has what is stored of the last so long.
    StoodBy(Duration),
    /// From no other collector: the replayed input is old, and another collector may have the router by now.
    Replaying,
}

/// The answer to a [`Claim`].
#[derive(Debug)]
pub struct Claimed {
    /// The ownership to send along with every batch.
    pub owner: Arc<Ownership>,
    /// The collector that had the router before, and why it does not any more; `None`: no other one did.
    pub taken_from: Option<String>,
    /// Stored tables of this router that no other session has begun.
    pub tables: Vec<TableKey>,
    /// Observations of path identifiers by earlier sessions.
    pub add_path: Vec<AddPathRecord>,
    /// The names of the router's tables, and the peers that the tables belong to.
    pub names: Vec<TableNameRecord>,
    /// The positions up to which the session's input is stored.
    pub positions: StoredPositions,
    /// The router's last minutes as they are stored, for a session that has stood by.
    pub recent: Recent,
}

/// Changes of one session, in the order in which the router reported them.
#[derive(Debug)]
pub struct StateBatch {
    /// The session that reports them.
    pub owner: Arc<Ownership>,
    /// The changes, in order.
    pub ops: Vec<StateOp>,
    /// When the first message was read that causes these changes.
    pub read_at: Instant,
    /// The last chunk of the session whose changes are all in this and earlier batches.
    pub upto: u64,
    /// The number of pieces of history that the session had sent before: all of them are stored before this batch is.
    pub history: u64,
    /// The octets of input that the first changes complete, each with the number of those changes, in order: where the
    /// batch is written in parts, the position moves that far with each.
    pub marks: VecDeque<(usize, u64)>,
}

impl StateBatch {
    /// Takes out the octets of input that the first `taken` changes complete, if any; the rest counts from there.
    pub(super) fn complete(marks: &mut VecDeque<(usize, u64)>, taken: usize) -> Option<u64> {
        let mut octet = None;
        while marks.front().is_some_and(|(changes, _)| *changes <= taken) {
            octet = marks.pop_front().map(|(_, octet)| octet);
        }
        marks.iter_mut().for_each(|(changes, _)| *changes -= taken);
        octet
    }
}

/// A change of state. All kinds share one channel, so that an End-of-RIB or Peer Down never overtakes the routes before
/// it.
#[derive(Debug)]
pub enum StateOp {
    /// The router's record of itself.
    RouterSeen(RouterRecord),
    /// Dumps of tables begin: `session_start_time = now()`, `eor_seen = false`, committed before any route after it.
    SyncStart {
        /// The tables, each once.
        tables: Vec<Arc<Table>>,
        /// Their names, stored before their first rows.
        names: Vec<TableNameRecord>,
        /// Tables whose dumps do not begin, and whose stored routes the session wants too.
        beside: Vec<Arc<Table>>,
        /// Receives every stored route of each table, in the order of the tables, then of those beside; the writer never
        /// blocks on it. `None`: the session knows that nothing is stored of any of them, and goes on immediately.
        ///
        /// History is read by comparing the times of events and of rows of `session_events`. So the session waits for
        /// an answer where such a row may still be on its way: for its first tables (`session_up`), and for the next
        /// ones after a [`StateOp::TablesDown`]. One answer covers everything that was reported before it.
        stored: Option<Sender<Vec<Vec<StoredRoute>>>>,
    },
    /// One route was announced or withdrawn.
    Route {
        /// The table of the route.
        table: Arc<Table>,
        /// The key of the route.
        nlri: Nlri,
        /// The announcement or withdrawal.
        change: RouteChange,
        /// A hint whether the database had the route before, as far as the session knows.
        was: Existing,
    },
    /// The table had a message in this batch, even one that changed no row: `last_parsed_msg_time`.
    TableSeen(Arc<Table>),
    /// End-of-RIB: `eor_seen` and `eor_time` are set, and the routes that this session did not confirm are deleted.
    EndOfRib {
        /// The table whose dump is complete.
        table: Arc<Table>,
        /// Keys not seen in this session; deleted where `updated_at < session_start_time` still holds.
        stale: Vec<Nlri>,
    },
    /// No End-of-RIB arrived and the dump is over anyway: as `EndOfRib`, but `eor_seen` stays false.
    PurgeStale {
        /// The table whose dump is considered complete.
        table: Arc<Table>,
        /// Keys not seen in this session.
        stale: Vec<Nlri>,
    },
    /// The writer counts the table's stored routes and compares them with the number that the session knows of.
    Audit {
        /// The table to count.
        table: Arc<Table>,
        /// The number of routes that must be stored after everything reported before this.
        routes: usize,
    },
    /// Tables of the router are removed in all their families, routes and synchronization rows: one Loc-RIB, or all
    /// tables of one peer.
    TablesDown {
        /// The RIB and its `table_name`, for each table.
        tables: Vec<(View, Arc<str>)>,
        /// The routes that the session knows of in them: how long the removal takes.
        routes: usize,
        /// The row for `session_events`; the writer fills in `routes`. `None`: not worth one.
        event: Option<SessionEvent>,
    },
    /// Tables have lost their session and are stale (`stale_since`), their rows stay: this session was lost, or it took
    /// the tables over from an older one.
    MarkStale(Vec<TableKey>),
    /// The session enters another state: its row of `bmp_sessions`.
    SessionState {
        /// The new state.
        state: SessionState,
        /// The reason, in words.
        reason: Option<String>,
    },
    /// The record of a peer from a Peer Up or Peer Down.
    PeerSeen(Box<PeerRecord>),
    /// The values of a Statistics Report.
    Statistics(Vec<StatisticRecord>),
    /// No session reports these peers of the router any more.
    PeersUnknown(PeersOf),
    /// An observation of path identifiers in messages of a peer.
    AddPathSeen(AddPathRecord),
    /// A row of `session_events`.
    SessionEvent(SessionEvent),
}

impl StateOp {
    /// Returns whether it is written whichever collector has the router now: the events and the state of a session are.
    pub(super) fn is_of_session(&self) -> bool {
        matches!(self, StateOp::SessionEvent(_) | StateOp::SessionState { .. })
    }
}

/// Some of a router's peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeersOf {
    /// All peers of the router.
    Router,
    /// Those that no session has reported since then.
    ReportedBefore(Timestamp),
    /// The peers with these names.
    Named(Vec<PeerName>),
}

/// The session's knowledge of whether the database has a row of a key: a hint that decides how a row is written, never
/// whether it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// No such row: the new one can be copied in.
    No,
    /// A row with other attributes, or possibly one.
    Maybe,
}

/// A change of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteChange {
    /// The route is announced with these attributes.
    Announce(EncodedRoute),
    /// The route is gone, for this reason.
    Withdraw(WithdrawReason),
}

/// The reason why a route is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithdrawReason {
    /// The router withdrew it: `attrs` is NULL.
    Withdrawn,
    /// The router's new dump did not contain it: `attrs = {"reason": "stale"}`.
    Stale,
    /// It never existed: its NLRI was decoded wrongly, with or without path identifiers: `attrs = {"reason":
    /// "reread"}`.
    Reread,
}

/// History of one session, in order.
#[derive(Debug)]
pub struct EventBatch {
    /// The session that reports them.
    pub owner: Arc<Ownership>,
    /// The rows of `route_events`.
    pub events: Vec<RouteEvent>,
    /// Tables that had a message, even one that made no event: `last_raw_msg_time`.
    pub tables: Vec<Arc<Table>>,
    /// When the first message was read that causes these events.
    pub read_at: Instant,
    /// Dropped when this batch and all before it are stored, or given up: a session that has to know holds the
    /// receiving end.
    pub stored: Option<Sender<()>>,
    /// The last chunk of the session whose events are all in this and earlier batches.
    pub upto: u64,
}

/// A row of `route_events`.
#[derive(Clone, Debug)]
pub struct RouteEvent {
    /// `event_id`: SHA-256 over the content that identifies the event, see `session::event_id`.
    pub id: [u8; 32],
    /// The table of the route.
    pub table: Arc<Table>,
    /// The key of the route.
    pub nlri: Nlri,
    /// The announcement or withdrawal.
    pub change: RouteChange,
    /// When the collector read the message.
    pub received_at: Timestamp,
    /// The per-peer timestamp, unless zero.
    pub router_time: Option<Timestamp>,
    /// The whole BMP message; only on the first event of a message, and only when raw bytes are stored.
    pub raw: Option<Arc<[u8]>>,
    /// The reasons why it may be stored already.
    pub doubts: Doubts,
}

/// The reasons why an event may be stored already. With none of them, it is stored without checking stored events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// True if a dump announces the route and its table may have events from before: routers stamp a route with the
    /// time they learned it. It is stored already if the newest event of its key says the same.
    pub(crate) is_dumped: bool,
    /// True if a process that was killed had the message already. It is stored already if an event has its ID and its
    /// time of receipt.
    pub is_replayed: bool,
    /// True if the collector that had the router before may have stored it, from its own session: with another time of
    /// receipt, and so another ID. It is stored already if the newest event of its key says the same.
    pub is_shared: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_completes_the_messages_that_end_in_it() {
        let mut marks: VecDeque<(usize, u64)> = [(2, 100), (5, 200), (5, 210), (9, 300)].into();
        assert_eq!(StateBatch::complete(&mut marks, 1), None);
        // Of what is left: one change of the first message, three of the next two, four of the last.
        assert_eq!(StateBatch::complete(&mut marks, 4), Some(210));
        assert_eq!(StateBatch::complete(&mut marks, 3), None);
        assert_eq!(StateBatch::complete(&mut marks, 1), Some(300));
    }
}
