//! The thread that writes `current_routes` and the tables that belong to it, for its share of the routers.
//!
//! Items are gathered until the batch is full or old; then one transaction writes all of it, or several if it is large:
//! those are shared with idle writers. Before that, the writer waits for the history of the same input (`lead`). Beyond
//! a usual batch, input joins only if it has arrived already and its history is stored: it costs no wait, so that the
//! writers of history and of state work side by side. Where changes replace each other and the writers do not keep up
//! (`batch_sizer`), more is gathered for longer, since that saves rows.
//!
//! Commands (a table's dump begins or ends, a table is removed) are gathered too and executed before or after the rows
//! (`ends`, `commands`); one that would overtake something waits for the next batch. Every transaction checks
//! `router_owner`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvError, Sender, select, unbounded};

use super::audit::Audit;
use super::backlog::{self, Backlog, Delayed};
use super::batch::Batch;
use super::batch_sizer::BatchSizer;
use super::ends::{Ends, Start};
use super::health::Health;
use super::late;
use super::lead::{self, Hurry, Lead};
use super::op::{Claim, ClaimRight, Claimed, Denial, Gap, Ownership, StateBatch, StateItem, StateOp, WhenStored};
use super::positions::positions_of;
use super::refused_rows::Writer;
use super::removals::{self, Removal, RemovalOver};
use super::told::Down;
use super::work_sharing::{HelperPool, WorkOffer};
use crate::metrics::RouterMeter;
use crate::model::{RouterId, new_uuid};
use crate::store::journal_positions::PositionOf;
use crate::store::owner::{self, Claimant, RouterClaim};

/// One state writer.
pub(super) struct StateWriter {
    writer: Writer,
    sizer: BatchSizer,
    helpers: HelperPool,
    /// The channel to the threads that read stored tables.
    loads: Sender<Start>,
    /// The channel to the threads that remove large tables, and the channel on which they report the ends.
    removals: Sender<Removal>,
    removals_over: (Sender<RemovalOver>, Receiver<RemovalOver>),
    /// The history that the gathered changes wait for.
    lead: Lead,
    batch: Batch,
    /// An item that was received and left for the next batch; it precedes everything received later.
    ahead: Option<StateItem>,
    backlog: Backlog,
    /// The epoch of each router that was claimed here, and whether it is lost.
    claims: HashMap<RouterId, (i64, Arc<AtomicBool>)>,
    /// The meters of routers whose changes were taken since the last wait for input.
    arrived: Vec<Arc<RouterMeter>>,
    /// The number of operations that were taken and are not written yet.
    unwritten: usize,
    audit: Audit,
    /// True if the helpers have written or refused everything, and removals are not given up. Pieces after one that was
    /// given up are not acknowledged.
    are_helpers_done: bool,
}

/// The channels from a state writer to other writers.
pub(super) struct Others {
    pub(super) helpers: HelperPool,
    pub(super) hurry: Hurry,
    pub(super) loads: Sender<Start>,
    pub(super) removals: Sender<Removal>,
}

/// The next task of an idle writer.
enum Task {
    Item(StateItem),
    Delayed,
    Removed(RemovalOver),
    Help(WorkOffer),
}

impl StateWriter {
    pub(super) fn new(writer: Writer, Others { helpers, hurry, loads, removals }: Others) -> StateWriter {
        let lead = Lead::new(hurry, writer.options.history_wait);
        StateWriter {
            sizer: BatchSizer::new(&writer.options),
            writer,
            helpers,
            loads,
            removals,
            removals_over: unbounded(),
            lead,
            batch: Batch::default(),
            ahead: None,
            backlog: Backlog::default(),
            claims: HashMap::new(),
            arrived: Vec::new(),
            unwritten: 0,
            audit: Audit::default(),
            are_helpers_done: true,
        }
    }

    /// Writes until all senders are gone. Returns the number of operations given up.
    pub(super) fn run(mut self, items: &Receiver<StateItem>) -> u64 {
        while let Ok(task) = self.next_task(items) {
            match task {
                Task::Help(call) => {
                    call.answer(|| !items.is_empty(), |part| self.writer.write_all(part));
                    continue;
                }
                Task::Removed(over) => {
                    self.are_helpers_done &= over.is_complete;
                    self.backlog.come_back(&over.router, over.removed);
                }
                Task::Item(item) => self.fill(item, items),
                Task::Delayed => {
                    // Other routers come first, as far as items of theirs have arrived.
                    while self.may_gather()
                        && !self.backlog.is_full()
                        && let Some(item) = self.ahead.take().or_else(|| items.try_recv().ok())
                    {
                        self.take(item);
                    }
                    match self.backlog.pop() {
                        Some(Delayed::Item(item)) => self.take_now(item),
                        Some(Delayed::Rest(batch)) => self.take_ops(batch),
                        None => {}
                    }
                }
            }
            self.flush();
            // Everything that was taken is committed by now, rejected, or given up.
            self.arrived.drain(..).for_each(|meter| meter.state.committed());
            self.writer.health.waiting.remove(std::mem::take(&mut self.unwritten));
            self.sizer.written(self.writer.health.waiting.queued());
        }
        self.writer.given_up()
    }

    fn may_gather(&self) -> bool {
        !self.batch.is_full(self.sizer.changes())
    }

    fn next_task(&mut self, items: &Receiver<StateItem>) -> Result<Task, RecvError> {
        if let Ok(over) = self.removals_over.1.try_recv() {
            return Ok(Task::Removed(over));
        }
        if self.backlog.is_ready() {
            return Ok(Task::Delayed);
        }
        match self.ahead.take() {
            Some(item) => Ok(Task::Item(item)),
            None => self.writer.connection.while_idle(|| self.next(items)),
        }
    }

    /// Waits for the next task. Input that has ended ends the writer when no removal is under way.
    fn next(&self, items: &Receiver<StateItem>) -> Result<Task, RecvError> {
        let over = &self.removals_over.1;
        if self.backlog.is_full() {
            return over.recv().map(Task::Removed);
        }
        select! {
            recv(items) -> item => match item {
                Err(_) if self.backlog.is_away() => over.recv().map(Task::Removed),
                item => item.map(Task::Item),
            },
            recv(over) -> over => over.map(Task::Removed),
            recv(self.helpers.calls()) -> call => call.map(Task::Help),
        }
    }

    /// Takes `first` and the items that join it.
    fn fill(&mut self, first: StateItem, items: &Receiver<StateItem>) {
        let begun = Instant::now();
        self.take(first);
        // A claim, and operations that need a batch of their own, have written everything before.
        while !self.batch.is_empty() && !self.backlog.is_full() {
            let is_usual = !self.batch.is_full(self.writer.options.batch_routes);
            let item = if is_usual || self.may_merge() {
                let gather = if is_usual { self.writer.options.flush } else { self.sizer.gather() };
                // What has arrived already joins a batch that a session waits for, and nothing else.
                let until = if self.batch.is_awaited() { begun } else { begun + gather };
                self.ahead.take().or_else(|| items.recv_deadline(until).ok())
            } else if !self.batch.is_full(self.sizer.stored()) {
                self.next_with_history(items)
            } else {
                None
            };
            let Some(item) = item else { break };
            self.take(item);
        }
    }

    /// Returns whether a batch larger than a usual one has room for changes that may replace each other.
    fn may_merge(&self) -> bool {
        self.sizer.is_merging() && !self.batch.is_full(self.sizer.changes())
    }

    /// Returns the next item, if it has arrived and waits for no history; otherwise it stays for the next batch.
    fn next_with_history(&mut self, items: &Receiver<StateItem>) -> Option<StateItem> {
        let item = self.ahead.take().or_else(|| items.try_recv().ok())?;
        if lead::has_history(&item) {
            return Some(item);
        }
        self.ahead = Some(item);
        None
    }

    fn take(&mut self, item: StateItem) {
        if self.backlog.precedes(&item) {
            self.backlog.push(item);
        } else {
            self.take_now(item);
        }
    }

    fn take_now(&mut self, item: StateItem) {
        match item {
            StateItem::Claim(claim) => self.claim(&claim),
            StateItem::Batch(batch) => self.take_batch(batch),
            StateItem::Note(router, event) => self.batch.push_event(router, event),
            StateItem::Gap(gap) => self.report(gap),
        }
    }

    fn report(&mut self, Gap { router, row, stored }: Gap) {
        match router {
            Some(router) => {
                self.flush();
                // What the database refuses is logged; what is given up is counted.
                let _ = late::report_gap(&mut self.writer, &router, &row);
            }
            None => {
                self.batch.push_event(None, row);
                self.flush();
            }
        }
        if self.writer.given_up() == 0 {
            stored.into_iter().for_each(WhenStored::call);
        }
    }

    fn take_batch(&mut self, batch: StateBatch) {
        let meter = &batch.owner.meter;
        meter.state.arrived(batch.read_at);
        self.unwritten += batch.ops.len();
        self.writer.health.waiting.take(batch.ops.len());
        if self.arrived.last().is_none_or(|last| !Arc::ptr_eq(last, meter)) {
            self.arrived.push(Arc::clone(meter));
        }
        self.take_ops(batch);
    }

    fn take_ops(&mut self, StateBatch { owner, ops, read_at, upto, history, mut marks }: StateBatch) {
        if !self.batch.admits(&owner) {
            self.flush();
        }
        self.lead.add(&owner, history);
        let rest = |ops, marks| StateBatch { owner: Arc::clone(&owner), ops, read_at, upto, history, marks };
        let mut ops = ops.into_iter();
        // The changes that are taken since the position was noted last.
        let mut taken = 0;
        while let Some(mut op) = ops.next() {
            // The events and the state of a session are written whichever collector has the router now.
            if owner.is_lost() && !op.is_of_session() {
                taken += 1;
                continue;
            }
            let is_large = removals::is_large(&op);
            if is_large || !self.batch.may_take(&owner, &op) {
                self.batch.note_part(&owner, StateBatch::complete(&mut marks, std::mem::take(&mut taken)));
                self.flush();
            }
            if is_large {
                let op = self.hand_over(&owner, &op).then_some(op);
                return self.backlog.push_rest(rest(op.into_iter().chain(ops).collect(), marks));
            }
            if let Some(left) = backlog::slice(&mut op) {
                self.batch.push_op(&owner, op);
                self.batch.ends.over.iter_mut().next_back().expect("the slice of a purge was put there").is_part = true;
                self.batch.note_part(&owner, StateBatch::complete(&mut marks, taken));
                return self.backlog.push_rest(rest(std::iter::once(left).chain(ops).collect(), marks));
            }
            self.batch.push_op(&owner, op);
            taken += 1;
            if self.batch.is_long_removal() && ops.len() > 0 {
                self.batch.note_part(&owner, StateBatch::complete(&mut marks, taken));
                return self.backlog.push_rest(rest(ops.collect(), marks));
            }
        }
        self.batch.pieces.push((owner, upto));
    }

    /// Hands the deletion of large tables over to another thread, after everything that was reported before it. What
    /// tells of it is written afterwards, with the rest of the piece. `false`: it is given up.
    fn hand_over(&mut self, owner: &Arc<Ownership>, op: &StateOp) -> bool {
        let StateOp::TablesDown { tables, .. } = op else { return false };
        if !self.await_history() {
            self.writer.give_up(1);
            return false;
        }
        self.backlog.send_away(owner.router.clone());
        let down = Down { owner: Arc::clone(owner), tables: tables.clone(), event: None };
        let removal = Removal::new(down, &self.removals_over.0);
        // Without such threads, which have panicked then, the removal is dropped, and its end is reported.
        let _ = self.removals.send(removal);
        true
    }

    /// Writes the gathered changes: dumps that begin, then rows, with the help of idle writers if they are many, then
    /// the commands that follow them. Sessions that ask for stored routes are answered on another connection.
    fn flush(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return self.acknowledge(&batch.pieces);
        }
        Health::count(&self.writer.health.state_batches, 1);
        let pieces = std::mem::take(&mut batch.pieces);
        let ends = std::mem::take(&mut batch.ends);
        let starts = self.writer.begin_dumps(std::mem::take(&mut batch.starts));
        let gathered = batch.rows.len();
        batch.coalesce();
        self.sizer.coalesced(gathered, batch.rows.len());
        let needs_history = !(batch.rows.is_empty() && batch.extras.is_empty() && ends.is_empty());
        if needs_history && !self.await_history() {
            return self.writer.give_up(ends.len() + batch.rows.len() + batch.extras.len());
        }
        // Changes of routers that were lost meanwhile are not written.
        batch.drop_lost();
        if batch.rows.len() > self.writer.options.batch_routes {
            let parts = batch.take_parts(self.writer.options.batch_routes);
            let helpers = self.helpers.clone().share(parts, |part| self.writer.write_all(part));
            self.are_helpers_done &= self.writer.connection.while_idle(|| helpers.finish());
        }
        if needs_history && self.are_helpers_done {
            let positions = positions_of(PositionOf::State, pieces.iter().chain(&batch.parts));
            batch.extras.push_positions(&self.writer.options.collector_id, positions);
        }
        self.write_in_order(batch, ends);
        self.acknowledge(&pieces);
        // A session that gets no answer finds its channel closed, and so learns that its writers are gone.
        starts.into_iter().for_each(|start| drop(self.loads.send(start)));
    }

    /// Writes rows, the commands after them, and last what may not be written twice, with the positions.
    fn write_in_order(&mut self, mut batch: Batch, ends: Ends) {
        if ends.is_empty() {
            self.writer.write_all(batch);
            return;
        }
        let (extras, owners) = (std::mem::take(&mut batch.extras), batch.owners.clone());
        self.writer.write_all(batch);
        self.writer.end(ends, &mut self.audit);
        if self.writer.given_up() == 0 {
            self.writer.write_extras(&owners, extras);
        } else {
            self.writer.give_up(extras.len());
        }
    }

    /// Waits for the history of the gathered changes, and records where it was suspended. `false`: the shutdown grace
    /// period is over.
    fn await_history(&mut self) -> bool {
        let is_there = self.lead.wait(&mut self.writer.connection, &self.writer.health);
        for suspended in self.lead.take_suspended() {
            // What the database refuses is logged; what is given up is counted.
            let _ = late::report_suspended(&mut self.writer, &suspended);
        }
        is_there
    }

    /// Acknowledges pieces, which their sessions then need not keep. They keep those that were given up and all after
    /// them.
    fn acknowledge(&self, pieces: &[(Arc<Ownership>, u64)]) {
        if self.are_helpers_done && self.writer.given_up() == 0 {
            pieces.iter().for_each(|(owner, upto)| owner.progress.state.acknowledge(*upto));
        }
    }

    fn claim(&mut self, claim: &Claim) {
        self.flush();
        let collector = self.writer.options.collector_id.clone();
        let record = &claim.record;
        let session = new_uuid();
        let health = Arc::clone(&self.writer.health);
        let taken = self.writer.command(&record.router, |client, _| {
            let claimant = Claimant {
                collector: &collector,
                session: &session,
                journal: &claim.journal,
                has_others: claim.others_since.is_some(),
                must_be_ours: claim.right == ClaimRight::Replaying,
                may_expire: health.lease.may_expire(),
                stood_by: match claim.right {
                    ClaimRight::StoodBy(age) => Some(age),
                    ClaimRight::Connected | ClaimRight::Replaying => None,
                },
            };
            health.lease.claiming(|| owner::claim(client, claimant, record))
        });
        let denial = match taken {
            Ok(Ok(taken)) => return self.give(claim, session, taken),
            Ok(Err((by, names))) => Denial::Owned { by, session, names },
            Err(Some(refusal)) => Denial::Refused(refusal),
            // Given up: there is no answer.
            Err(None) => return,
        };
        // A session that is gone needs no answer.
        let _ = claim.reply.try_send(Err(denial));
    }

    /// Gives the router to the session that has claimed it.
    fn give(&mut self, claim: &Claim, session: String, taken: RouterClaim) {
        let record = &claim.record;
        self.writer.options.watching.note_router(&record.router);
        let meter = self.writer.options.meters.router(&record.router);
        let mut owner = Ownership::new(record.router.clone(), taken.epoch, meter);
        owner.session = session;
        owner.journal.clone_from(&claim.journal);
        owner.began = taken.began;
        owner.reporting_since = claim.others_since.map_or(taken.began, |since| since.min(taken.began));
        // A router that is lost is lost for all its sessions.
        let known = self.claims.entry(record.router.clone()).or_insert_with(|| (taken.epoch, Arc::default()));
        if known.0 != taken.epoch {
            *known = (taken.epoch, Arc::default());
        }
        owner.lost = Arc::clone(&known.1);
        // A further session of the router that stood by takes over what is this collector's by then.
        owner.is_taken_over = taken.taken_from.is_some() || matches!(claim.right, ClaimRight::StoodBy(_));
        owner.waiting = Arc::clone(&self.writer.health.waiting);
        owner.flaps = Arc::clone(self.writer.options.watching.flaps());
        let owner = Arc::new(owner);
        let RouterClaim { taken_from, tables, add_path, names, positions, recent, .. } = taken;
        let _ = claim.reply.try_send(Ok(Claimed { owner, taken_from, tables, add_path, names, positions, recent }));
    }
}
