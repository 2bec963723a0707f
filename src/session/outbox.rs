//! The sending end of one session: gathers the changes from its messages and passes them on in pieces.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};

use super::end::SessionEnd;
use crate::model::{Prefix, SessionEvent, Table};
use crate::pipeline::{
    BATCH_BYTES_MAX, BATCH_ITEMS_MAX, EventBatch, FlapTargets, Flaps, Ownership, RouteChange, RouteEvent, StateBatch,
    StateItem, StateOp,
};

/// A piece is passed on when it has this many ops or events, and always before the session waits for
/// its socket. It bounds what one item on a writer's channel can contain.
const PIECE_MAX: usize = BATCH_ITEMS_MAX;

/// A piece is also passed on when its attribute sets and raw messages reach this many bytes: a router may send one
/// route with kilobytes of attributes in each UPDATE.
const PIECE_BYTES_MAX: usize = BATCH_BYTES_MAX;

/// The ops and events of one session that are not on a channel yet.
#[derive(Debug)]
pub(crate) struct Outbox {
    owner: Arc<Ownership>,
    state: Sender<StateItem>,
    /// `None` when no history is kept.
    history: Option<Sender<EventBatch>>,
    ops: Vec<StateOp>,
    events: Vec<RouteEvent>,
    /// The memory that `ops` and `events` use elsewhere, bytes: attribute sets, raw messages and texts.
    bytes: usize,
    /// The address of the attribute set that was counted last.
    weighed: Option<usize>,
    tables: Vec<Arc<Table>>,
    /// The addresses of the elements of `tables`, to find one among thousands.
    seen: HashSet<usize>,
    /// When the first message was read whose changes wait here.
    read_at: Option<Instant>,
    /// True if what is sent may be stored already, by a process that was killed.
    is_replayed: bool,
    /// True if an earlier process already sent what is sent now, so that no row of `session_events` is due.
    repeats: bool,
    /// True if the session is over: its end is sent even if the database refused an earlier command.
    is_ending: bool,
    flap_targets: FlapTargets,
}

impl Outbox {
    /// Creates an empty outbox to the writers of this router.
    pub fn new(owner: Arc<Ownership>, state: Sender<StateItem>, history: Option<Sender<EventBatch>>) -> Outbox {
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
            read_at: None,
            is_replayed: false,
            repeats: false,
            is_ending: false,
        }
    }

    /// Marks that what is sent may be stored already, by a process that was killed.
    pub(crate) fn set_replayed(&mut self) {
        self.is_replayed = true;
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
    ///
    /// # Errors
    /// As [`Outbox::flush`].
    pub fn op(&mut self, op: StateOp) -> Result<(), SessionEnd> {
        self.read_at.get_or_insert_with(Instant::now);
        match &op {
            StateOp::Route { change, .. } => self.count_bytes(change),
            other => self.bytes += octets_beside(other),
        }
        self.ops.push(op);
        self.pass_on_if_full()
    }

    /// Adds a row of history.
    ///
    /// # Errors
    /// As [`Outbox::flush`].
    pub fn event(&mut self, mut event: RouteEvent) -> Result<(), SessionEnd> {
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
    ///
    /// # Errors
    /// As [`Outbox::flush`].
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
        if self.seen.remove(&place(table)) {
            self.tables.retain(|seen| !Arc::ptr_eq(seen, table));
        }
    }

    /// Passes everything on and waits until the events are stored, or given up because the collector stops: what is
    /// written after this is later than all of them by the database's clock.
    ///
    /// # Errors
    /// As [`Outbox::flush`].
    pub(crate) fn wait_until_stored(&mut self) -> Result<(), SessionEnd> {
        let read_at = self.read_at.unwrap_or_else(Instant::now);
        self.flush()?;
        self.read_at = Some(read_at);
        let Some(history) = &self.history else { return Ok(()) };
        let (stored, is_stored) = bounded(0);
        let owner = Arc::clone(&self.owner);
        let (events, tables, upto) = (Vec::new(), Vec::new(), owner.progress.processed());
        owner.progress.events.count_sent();
        let batch = EventBatch { owner, events, tables, read_at, upto, stored: Some(stored) };
        history.send(batch).map_err(|_| SessionEnd::WritersGone)?;
        // Nothing is ever sent: the writer drops its end.
        let _ = is_stored.recv();
        Ok(())
    }

    /// Passes everything on; blocks while the writers' channels are full, and TCP then blocks the router.
    ///
    /// # Errors
    /// The writers are gone, or another session owns the router now.
    pub fn flush(&mut self) -> Result<(), SessionEnd> {
        // Another collector has the router: what was read before is history anyway, dated before its claim.
        let is_lost = self.owner.is_lost();
        if !self.is_ending
            && !is_lost
            && let Some(refusal) = self.owner.refusal()
        {
            return Err(SessionEnd::DatabaseRefused(refusal.0.clone()));
        }
        let tables = std::mem::take(&mut self.tables);
        self.seen.clear();
        (self.bytes, self.weighed) = (0, None);
        let sending = Instant::now();
        let read_at = self.read_at.take().unwrap_or(sending);
        let progress = &self.owner.progress;
        let upto = progress.processed();
        if let Some(history) = &self.history
            && !(self.events.is_empty() && tables.is_empty())
        {
            let events = std::mem::take(&mut self.events);
            let (owner, tables) = (Arc::clone(&self.owner), tables.clone());
            let batch = EventBatch { owner, events, tables, read_at, upto, stored: None };
            progress.events.count_sent();
            self.owner.waiting.add(batch.events.len());
            history.send(batch).map_err(|_| SessionEnd::WritersGone)?;
        }
        if is_lost {
            self.ops.clear();
            return Err(SessionEnd::OwnershipLost);
        }
        self.ops.extend(tables.into_iter().map(StateOp::TableSeen));
        if self.ops.is_empty() {
            return Ok(());
        }
        let history = progress.events.count_of_sent();
        let ops = std::mem::take(&mut self.ops);
        let batch = StateBatch { owner: Arc::clone(&self.owner), ops, read_at, upto, history };
        progress.state.count_sent();
        self.owner.waiting.add(batch.ops.len());
        self.state.send(StateItem::Batch(batch)).map_err(|_| SessionEnd::WritersGone)?;
        // Close to zero, unless a queue was full.
        self.owner.meter.blocked_for(sending.elapsed());
        Ok(())
    }
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
        StateOp::TableNames(names) => names.iter().map(|name| size_of_val(name) + 3 * name.table_name.len()).sum(),
        StateOp::Route { .. }
        | StateOp::RouterSeen(_)
        | StateOp::SyncStart { .. }
        | StateOp::Load { .. }
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
mod tests {
    use super::*;
    use crate::model::{Afi, Nlri, Prefix, RouterId, SessionEvent, SessionEventKind, Timestamp};
    use crate::pipeline::{Doubts, Existing, channels};
    use crate::session::peer_records::router_note;
    use crate::store::copy_encoding::EncodedRoute;

    /// Size of each attribute set and of each raw message, bytes: a few of either fill a piece.
    const BYTES: usize = 100 * 1024;

    /// Returns the pieces that the state writer and the event writer received for `said` routes, each in an UPDATE of
    /// its own.
    fn pieces(said: u8, is_raw: bool) -> (Vec<StateBatch>, Vec<EventBatch>) {
        let router = RouterId::new("10.0.0.1");
        let (sender, receivers) = channels(1, 1);
        let owner = Arc::new(Ownership::new(router.clone(), 1, Arc::default()));
        let mut outbox = Outbox::new(owner, sender.state(&router).clone(), sender.events(&router).cloned());
        let table = Arc::new(Table::loc_rib(router, "global", Afi::Ipv4));
        for octet in 0..said {
            let nlri = Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: None };
            let change = RouteChange::Announce(EncodedRoute::from_columns(&[octet; BYTES]));
            let event = RouteEvent {
                id: [octet; 32],
                table: Arc::clone(&table),
                nlri,
                change: change.clone(),
                received_at: Timestamp::from_unix_micros(0),
                router_time: None,
                raw: is_raw.then(|| [octet; BYTES].into()),
                doubts: Doubts::default(),
            };
            outbox.event(event).unwrap();
            outbox.op(StateOp::Route { table: Arc::clone(&table), nlri, change, was: Existing::No }).unwrap();
        }
        outbox.flush().unwrap();
        let state = receivers.state[0].try_iter().map(|item| match item {
            StateItem::Batch(batch) => batch,
            other => panic!("{other:?}"),
        });
        (state.collect(), receivers.events[0].try_iter().collect())
    }

    /// Returns the number of routes in each piece.
    fn routes(batches: &[StateBatch]) -> Vec<usize> {
        batches.iter().map(|batch| batch.ops.iter().filter(|op| matches!(op, StateOp::Route { .. })).count()).collect()
    }

    #[test]
    fn large_attribute_sets_end_a_piece_early() {
        let (state, events) = pieces(15, false);
        // The event of the sixth route exceeds 512 KiB; its op is in the next piece.
        assert_eq!(routes(&state), [5, 5, 5]);
        assert_eq!(events.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [6, 5, 4]);
    }

    #[test]
    fn a_piece_of_state_waits_for_all_history_before_it() {
        for (said, is_raw) in [(15, false), (12, true)] {
            let (state, events) = pieces(said, is_raw);
            let mut told = 0;
            for batch in &state {
                told += routes(std::slice::from_ref(batch))[0];
                let awaited = usize::try_from(batch.history).unwrap();
                let stored: usize = events.iter().take(awaited).map(|piece| piece.events.len()).sum();
                assert!(stored >= told, "{told} routes, {stored} events in front of them");
            }
            assert_eq!(told, usize::from(said));
        }
    }

    #[test]
    fn raw_messages_count_too() {
        let (state, events) = pieces(12, true);
        assert_eq!(routes(&state), [2, 3, 3, 3, 1]);
        assert_eq!(events.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [3, 3, 3, 3]);
    }

    #[test]
    fn what_is_said_of_peers_counts_in_bytes_too() {
        let router = RouterId::new("10.0.0.1");
        let (sender, receivers) = channels(1, 1);
        let owner = Arc::new(Ownership::new(router.clone(), 1, Arc::default()));
        let mut outbox = Outbox::new(owner, sender.state(&router).clone(), None);
        for _ in 0..20 {
            let note =
                SessionEvent { reason: Some("x".repeat(BYTES)), ..router_note(SessionEventKind::PeerUp, None, None) };
            outbox.op(StateOp::SessionEvent(note)).unwrap();
        }
        outbox.flush().unwrap();
        let pieces = receivers.state[0].try_iter().map(|item| match item {
            StateItem::Batch(batch) => batch.ops.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(pieces.collect::<Vec<_>>(), [6, 6, 6, 2]);
    }
}
