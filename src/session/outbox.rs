//! The way out of one session for everything that its messages cause: changes, which it gathers and passes on to the
//! writers in pieces; what it asks of the writers; lines of the log; metrics. The modules that decide what a message
//! means call nothing else.
//!
//! It answers with stored routes (`begin`, `load`), which are read again after a restart, and with the end of the
//! session, which is to become a record of the journal.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{Level, log};

use super::anomaly::Anomaly;
use super::connection::Begun;
use super::earlier_tables::TableOrigin;
use super::end::{Cause, SessionEnd};
use super::peer_id::PeerId;
use super::peer_records;
use super::window::Window;
use crate::metrics::TableMeter;
use crate::model::{
    PeerName, Prefix, RouterId, SessionEvent, StatisticRecord, StoredRoute, Table, TableKey, TableNameRecord, Timestamp,
};
use crate::pipeline::{
    BATCH_BYTES_MAX, BATCH_ITEMS_MAX, EventBatch, FlapTargets, Flaps, HistorySender, NotSent, Ownership, RouteChange,
    RouteEvent, StateBatch, StateItem, StateOp, StoredPositions,
};

/// A piece is passed on when it has this many ops or events, and always before the session waits for
/// its socket. It bounds what one item on a writer's channel can contain.
const PIECE_MAX: usize = BATCH_ITEMS_MAX;

/// A piece is also passed on when its attribute sets and raw messages reach this many bytes: a router may send one
/// route with kilobytes of attributes in each UPDATE.
const PIECE_BYTES_MAX: usize = BATCH_BYTES_MAX;

/// The interval at which a session that waits for its events checks whether history is suspended.
const SUSPENSION_POLL: Duration = Duration::from_millis(100);

/// The ops and events of one session that are not on a channel yet.
#[derive(Debug)]
pub(crate) struct Outbox {
    owner: Arc<Ownership>,
    state: Sender<StateItem>,
    /// `None` when no history is kept.
    history: Option<HistorySender>,
    ops: Vec<StateOp>,
    events: Vec<RouteEvent>,
    /// The memory that `ops` and `events` use elsewhere, bytes: attribute sets, raw messages and texts.
    bytes: usize,
    /// The address of the attribute set that was counted last.
    weighed: Option<usize>,
    tables: Vec<Arc<Table>>,
    /// The addresses of the elements of `tables`, to find one among thousands.
    seen: HashSet<usize>,
    /// The octets of the session's input whose changes are all here, or have been passed on.
    position: u64,
    /// The positions after messages whose changes wait here, each with the number of changes up to there.
    marks: VecDeque<(usize, u64)>,
    /// When the first message was read whose changes wait here.
    read_at: Option<Instant>,
    /// The positions up to which input that an earlier process had read is stored.
    stored: StoredPositions,
    /// True if what is sent may be stored already, by a process that was killed.
    is_replayed: bool,
    /// True if an earlier process already sent what is sent now, so that no row of `session_events` is due.
    repeats: bool,
    /// True if the session is over: its end is sent even if the database refused an earlier command.
    is_ending: bool,
    flap_targets: FlapTargets,
    /// The tables begun, for a newer session that takes over a peer.
    begun: Arc<Begun>,
    /// Set while the session stands by: nothing is sent, and the events are kept here for a while.
    window: Option<Window>,
}

impl Outbox {
    /// Creates an empty outbox to the writers of this router.
    pub fn new(owner: Arc<Ownership>, state: Sender<StateItem>, history: Option<HistorySender>) -> Outbox {
        Outbox {
            flap_targets: FlapTargets::new(Arc::clone(&owner.flaps)),
            owner,
            state,
            history,
            ops: Vec::new(),
            events: Vec::new(),
            bytes: 0,
            weighed: None,
            tables: Vec::new(),
            seen: HashSet::new(),
            position: 0,
            marks: VecDeque::new(),
            read_at: None,
            stored: StoredPositions::default(),
            is_replayed: false,
            repeats: false,
            is_ending: false,
            begun: Arc::default(),
            window: None,
        }
    }

    /// Publishes the tables that this session begins in `begun`, for newer sessions.
    pub(crate) fn share(&mut self, begun: &Arc<Begun>) {
        self.begun = Arc::clone(begun);
    }

    /// Publishes a table that has begun.
    pub(super) fn show(&self, peer: PeerId, key: &TableKey, origin: &TableOrigin) {
        lock(&self.begun).entry(peer).or_default().insert(key.clone(), origin.clone());
    }

    /// Takes back a table that is gone.
    pub(super) fn unshare(&self, peer: &PeerId, key: &TableKey) {
        let mut begun = lock(&self.begun);
        if let Some(keys) = begun.get_mut(peer) {
            keys.remove(key);
            if keys.is_empty() {
                begun.remove(peer);
            }
        }
    }

    /// Lets nothing out from now on; events go to the window.
    pub(super) fn stand_by(&mut self, window: Window) {
        self.window = Some(window);
    }

    /// Returns the window of a session that stands by.
    pub(super) fn window(&mut self) -> Option<&mut Window> {
        self.window.as_mut()
    }

    /// Returns whether nothing is let out.
    pub(super) fn stands_by(&self) -> bool {
        self.window.is_some()
    }

    /// Writes a line to the log. What the owner of the router says too is not said by one who stands by.
    pub(crate) fn say(&self, level: Level, text: fmt::Arguments<'_>) {
        let level = if self.stands_by() && level == Level::Info { Level::Debug } else { level };
        log!(level, "{text}");
    }

    /// Returns the router.
    pub(crate) fn router(&self) -> &RouterId {
        &self.owner.router
    }

    /// Counts a message that was read.
    #[inline]
    pub(super) fn count_message(&self, bytes: usize, received_at: Timestamp) {
        self.owner.meter.message(bytes, received_at);
    }

    /// Counts an anomaly.
    pub(super) fn count_anomaly(&self, anomaly: Anomaly) {
        self.owner.meter.anomalies.count(anomaly.label());
    }

    /// Shows a peer's statistics.
    pub(super) fn show_statistics(&self, all: &[StatisticRecord]) {
        peer_records::measure(&self.owner.meter.statistics, all);
    }

    /// Hides the statistics of a peer that went down.
    pub(super) fn forget_statistics(&self, peer: &PeerName) {
        self.owner.meter.statistics.forget(&peer_records::label(peer));
    }

    /// Shows by how many routes each kind of RIB differs from the router's reports.
    pub(super) fn show_drift(&self, by_rib: BTreeMap<&'static str, u64>) {
        self.owner.meter.set_drift(by_rib);
    }

    /// Returns the metrics of a table.
    pub(super) fn table_meter(&self, table: &Table) -> Arc<TableMeter> {
        self.owner.meter.table(table)
    }

    /// Begins tables, with the names to store for them, and waits for their stored routes, and for those of the tables
    /// `beside`, which do not begin.
    pub(super) fn begin(
        &mut self,
        tables: Vec<Arc<Table>>,
        names: Vec<TableNameRecord>,
        beside: Vec<Arc<Table>>,
    ) -> Result<Vec<Vec<StoredRoute>>, SessionEnd> {
        let (reply, answer) = bounded(1);
        self.op(StateOp::SyncStart { tables, names, beside, stored: Some(reply) })?;
        self.answer(&answer)
    }

    fn answer<T>(&mut self, answer: &Receiver<T>) -> Result<T, SessionEnd> {
        // What may not be stored twice goes with the end of the message, at which the position moves.
        let begun = self.marks.back().map_or(0, |(changes, _)| *changes);
        let is_down = |op: &StateOp| matches!(op, StateOp::TablesDown { .. });
        let from = self.ops.iter().rposition(is_down).map_or(begun, |down| begun.max(down + 1));
        let is_once = |op: &mut StateOp| matches!(op, StateOp::SessionEvent(_) | StateOp::PeerSeen(_));
        let once: Vec<StateOp> = self.ops.extract_if(from.., is_once).collect();
        self.flush()?;
        self.ops.extend(once);
        answer.recv().map_err(|_| match self.owner.refusal() {
            _ if self.owner.is_lost() => Cause::OwnershipLost.into(),
            Some(refusal) => SessionEnd::new(Cause::DatabaseRefused, &refusal.0),
            None => Cause::WritersGone.into(),
        })
    }

    /// Notes that all input up to this octet is applied.
    #[inline]
    pub(super) fn set_position(&mut self, octet: u64) {
        self.position = octet;
        match self.marks.back_mut() {
            Some((changes, completed)) if *changes == self.ops.len() => *completed = octet,
            _ if self.ops.is_empty() => {}
            _ => self.marks.push_back((self.ops.len(), octet)),
        }
    }

    /// Notes that input is applied that an earlier process had read: up to these positions everything is stored, and what
    /// comes after them may be.
    pub(crate) fn set_replayed(&mut self, stored: StoredPositions) {
        self.is_replayed = true;
        // History leads: where only the state has a position, no history was kept.
        self.stored = StoredPositions { history: stored.history.or(stored.state), ..stored };
    }

    /// Returns whether all that the current message changes is stored already.
    pub(super) fn is_repeating(&self) -> bool {
        self.is_stored(self.stored.state)
    }

    /// Notes that everything that an earlier process had read is applied.
    pub(super) fn end_replay(&mut self) {
        self.stored = StoredPositions::default();
    }

    /// Returns how far everything was stored when the session took up what an earlier process had left.
    pub(super) fn stored_before(&self) -> StoredPositions {
        self.stored
    }

    /// Returns whether what the current message changes is stored already. A position is the end of a message, and
    /// includes the end of a session that the message causes.
    fn is_stored(&self, position: Option<u64>) -> bool {
        position.is_some_and(|stored| self.position < stored)
    }

    /// Sets whether an earlier process already sent what is sent from now on.
    pub(crate) fn set_repeats(&mut self, repeats: bool) {
        self.repeats = repeats;
    }

    /// Marks that the session is over; what follows is its end.
    pub(crate) fn set_ending(&mut self) {
        self.is_ending = true;
    }

    /// Returns the ownership that the session writes under.
    pub fn owner(&self) -> &Arc<Ownership> {
        &self.owner
    }

    /// Returns the counts of changes, if those of this prefix are counted.
    #[inline]
    pub(crate) fn flaps_of(&mut self, prefix: &Prefix) -> Option<&Flaps> {
        self.flap_targets.of(prefix).filter(|_| !self.owner.is_lost())
    }

    /// Returns true if history is kept.
    pub(crate) fn keeps_history(&self) -> bool {
        self.history.is_some()
    }

    /// Adds a change of state.
    pub fn op(&mut self, mut op: StateOp) -> Result<(), SessionEnd> {
        if self.stands_by() {
            // It has heard every route itself.
            if let StateOp::SyncStart { tables, beside, stored: Some(reply), .. } = op {
                let _ = reply.try_send(vec![Vec::new(); tables.len() + beside.len()]);
            }
            return Ok(());
        }
        if self.is_stored(self.stored.state) {
            // What is loaded is what is stored at that position, where the tables may have other names by now.
            let StateOp::SyncStart { names, .. } = &mut op else { return Ok(()) };
            names.clear();
        }
        self.read_at.get_or_insert_with(Instant::now);
        match &op {
            StateOp::Route { change, .. } => self.count_bytes(change),
            other => self.bytes += octets_beside(other),
        }
        self.ops.push(op);
        self.pass_on_if_full()
    }

    /// Adds a row of history.
    pub fn event(&mut self, mut event: RouteEvent) -> Result<(), SessionEnd> {
        if let Some(window) = &mut self.window {
            window.push(event);
            return Ok(());
        }
        if self.is_stored(self.stored.history) {
            return Ok(());
        }
        event.doubts.is_replayed = self.is_replayed;
        self.read_at.get_or_insert_with(Instant::now);
        self.count_bytes(&event.change);
        self.bytes += event.raw.as_ref().map_or(0, |raw| raw.len());
        self.events.push(event);
        self.pass_on_if_full()
    }

    /// Counts the bytes of a change. All routes of an UPDATE share an attribute set, in both pieces, so it is counted
    /// once.
    fn count_bytes(&mut self, change: &RouteChange) {
        let RouteChange::Announce(route) = change else { return };
        if self.weighed.replace(route.shared_at()) != Some(route.shared_at()) {
            self.bytes += route.size();
        } else {
            self.bytes += route.own_size();
        }
    }

    fn pass_on_if_full(&mut self) -> Result<(), SessionEnd> {
        let is_full = self.ops.len() >= PIECE_MAX || self.events.len() >= PIECE_MAX || self.bytes >= PIECE_BYTES_MAX;
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Adds a row of `session_events`.
    pub fn session_event(&mut self, event: SessionEvent) -> Result<(), SessionEnd> {
        if self.repeats { Ok(()) } else { self.op(StateOp::SessionEvent(event)) }
    }

    /// Records that the table received a message, whether or not a row changes.
    pub fn touch(&mut self, table: &Arc<Table>) {
        let is_last = self.tables.last().is_some_and(|last| Arc::ptr_eq(last, table));
        if !is_last && self.seen.insert(place(table)) {
            self.tables.push(Arc::clone(table));
        }
    }

    /// Forgets a table that is gone: an earlier message must not bring its row back.
    pub fn forget(&mut self, table: &Arc<Table>) {
        self.owner.meter.forget_table(table);
        if self.seen.remove(&place(table)) {
            self.tables.retain(|seen| !Arc::ptr_eq(seen, table));
        }
    }

    /// Passes everything on and waits until the events are stored, or given up because the collector stops or history is
    /// suspended: what is written after this is later than all of them by the database's clock.
    pub(crate) fn wait_until_stored(&mut self) -> Result<(), SessionEnd> {
        if self.stands_by() {
            return Ok(());
        }
        let read_at = self.read_at.unwrap_or_else(Instant::now);
        self.flush()?;
        self.read_at = Some(read_at);
        let Some(history) = &self.history else { return Ok(()) };
        let (stored, is_stored) = bounded::<()>(0);
        let owner = Arc::clone(&self.owner);
        let (events, tables, upto) = (Vec::new(), Vec::new(), self.position);
        self.send_events(history, EventBatch { owner, events, tables, read_at, upto, stored: Some(stored) })?;
        // Nothing is ever sent: the writer drops its end.
        while is_stored.recv_timeout(SUSPENSION_POLL) == Err(RecvTimeoutError::Timeout) {
            if history.suspension().is_on() {
                self.owner.progress.events.set_off();
                break;
            }
        }
        Ok(())
    }

    /// Sends a piece of history. While that is suspended, it is dropped, as is all that the session sends later: after a
    /// hole it would say what is not so.
    fn send_events(&self, history: &HistorySender, batch: EventBatch) -> Result<(), SessionEnd> {
        let lane = &self.owner.progress.events;
        if lane.is_off() {
            return Ok(());
        }
        let events = batch.events.len();
        lane.count_sent();
        self.owner.waiting.add(events);
        match history.send(batch) {
            Ok(()) => Ok(()),
            Err(NotSent::Suspended) => {
                self.owner.waiting.take(events);
                self.owner.waiting.remove(events);
                lane.set_off();
                Ok(())
            }
            Err(NotSent::Closed) => Err(Cause::WritersGone.into()),
        }
    }

    /// Returns whether history was suspended and works again, so that the session lacks some of it.
    fn lacks_history(&self) -> bool {
        let is_back = |history: &HistorySender| !history.suspension().is_on();
        self.owner.progress.events.is_off() && self.history.as_ref().is_some_and(is_back)
    }

    /// Passes everything on; blocks while the writers' channels are full, and TCP then blocks the router.
    ///
    /// # Errors
    /// The writers are gone, another session owns the router now, or a new dump is needed.
    pub fn flush(&mut self) -> Result<(), SessionEnd> {
        if self.stands_by() {
            self.tables.clear();
            self.seen.clear();
            return Ok(());
        }
        // Another collector has the router: what was read before is history anyway, dated before its claim.
        let is_lost = self.owner.is_lost();
        if !self.is_ending
            && !is_lost
            && let Some(refusal) = self.owner.refusal()
        {
            return Err(SessionEnd::new(Cause::DatabaseRefused, &refusal.0));
        }
        // Input that an earlier process left is followed by a new dump anyway.
        if !self.is_ending && !self.is_replayed && self.lacks_history() {
            return Err(Cause::HistoryResumed.into());
        }
        let tables = std::mem::take(&mut self.tables);
        self.seen.clear();
        (self.bytes, self.weighed) = (0, None);
        let sending = Instant::now();
        let read_at = self.read_at.take().unwrap_or(sending);
        let progress = &self.owner.progress;
        let upto = self.position;
        if let Some(history) = &self.history
            && !(self.events.is_empty() && tables.is_empty())
        {
            let events = std::mem::take(&mut self.events);
            let (owner, tables) = (Arc::clone(&self.owner), tables.clone());
            self.send_events(history, EventBatch { owner, events, tables, read_at, upto, stored: None })?;
        }
        let marks = std::mem::take(&mut self.marks);
        if is_lost {
            self.ops.clear();
            return Err(Cause::OwnershipLost.into());
        }
        self.ops.extend(tables.into_iter().map(StateOp::TableSeen));
        if self.ops.is_empty() {
            progress.set_processed(upto);
            return Ok(());
        }
        let history = progress.events.count_of_sent();
        let ops = std::mem::take(&mut self.ops);
        let batch = StateBatch { owner: Arc::clone(&self.owner), ops, read_at, upto, history, marks };
        progress.state.count_sent();
        self.owner.waiting.add(batch.ops.len());
        self.state.send(StateItem::Batch(batch)).map_err(|_| Cause::WritersGone)?;
        progress.set_processed(upto);
        // Close to zero, unless a queue was full.
        self.owner.meter.blocked_for(sending.elapsed());
        Ok(())
    }
}

/// Locks the map. A panic elsewhere leaves it consistent: every change is a single insert or remove.
fn lock(begun: &Begun) -> MutexGuard<'_, HashMap<PeerId, BTreeMap<TableKey, TableOrigin>>> {
    begun.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the octets that a change of anything but a route uses beside itself.
fn octets_beside(op: &StateOp) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match op {
        StateOp::PeerSeen(peer) => {
            size_of_val(&**peer) + text(&peer.capabilities) + text(&peer.description) + text(&peer.reason)
        }
        StateOp::SessionEvent(event) => event.table_name.as_ref().map_or(0, |name| name.len()) + text(&event.reason),
        StateOp::EndOfRib { stale, .. } | StateOp::PurgeStale { stale, .. } => size_of_val(stale.as_slice()),
        StateOp::Statistics(all) => size_of_val(all.as_slice()),
        StateOp::SyncStart { names, .. } => {
            names.iter().map(|name| size_of_val(name) + 3 * name.table_name.len()).sum()
        }
        StateOp::Route { .. }
        | StateOp::RouterSeen(_)
        | StateOp::TableSeen(_)
        | StateOp::Audit { .. }
        | StateOp::TablesDown { .. }
        | StateOp::MarkStale(_)
        | StateOp::SessionState { .. }
        | StateOp::AddPathSeen(_)
        | StateOp::PeersUnknown(_) => 0,
    }
}

/// Returns the address of a table, which identifies it within a session as long as it is referenced.
fn place(table: &Arc<Table>) -> usize {
    Arc::as_ptr(table).addr()
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
