//! The thread that writes `current_routes` and the tables that belong to it, for its share of the routers.
//!
//! Items are gathered until the batch is full or old; then one transaction writes all of it, or several if it is large:
//! those are shared with idle writers. Before that, the writer waits for the history of the same input. Commands (a
//! table's dump begins or ends, a table is removed) are gathered too and executed before or after the rows (`ends.rs`,
//! `commands.rs`); one that would overtake something waits for the next batch. Every transaction checks `router_owner`.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Receiver, RecvError, Sender, select};

use super::PipelineOptions;
use super::audit::Audit;
use super::backlog::{self, Backlog, Delayed};
use super::batch::{Batch, Row};
use super::batch_sizer::BatchSizer;
use super::connection::{Attempt, Failure, PriorCommit, RetryingClient};
use super::ends::{Count, Down, Over, Stale, Start};
use super::extras::Extras;
use super::health::Health;
use super::lead::{Hurry, Lead};
use super::op::{Claim, ClaimRight, Claimed, Ownership, Refusal, SessionEvent, StateBatch, StateItem, StateOp};
use super::refused_rows::RejectedRows;
use super::rows::{Done, write_rows};
use super::work_sharing::{HelperPool, WorkOffer};
use crate::metrics::RouterMeter;
use crate::model::RouterId;
use crate::stop::Stop;
use crate::store::{self, Client, owner, routes, sessions};

/// One state writer.
pub(super) struct StateWriter {
    pub(super) options: Arc<PipelineOptions>,
    pub(super) connection: RetryingClient,
    pub(super) pace: BatchSizer,
    exchange: HelperPool,
    /// The channel to the threads that read stored tables; `None`: this is one of them.
    loads: Option<Sender<Start>>,
    /// The history that the gathered changes wait for.
    lead: Lead,
    pub(super) batch: Batch,
    /// An item that was received and left for the next batch; it precedes everything received later.
    pub(super) ahead: Option<StateItem>,
    backlog: Backlog,
    /// The epoch of each router that was claimed here, and whether it is lost.
    claims: HashMap<RouterId, (i64, Arc<AtomicBool>)>,
    /// The meters of routers whose changes were taken since the last wait for input.
    arrived: Vec<Arc<RouterMeter>>,
    /// The number of operations that were taken and are not written yet.
    unwritten: usize,
    pub(super) audit: Audit,
    pub(super) rejected: RejectedRows,
    pub(super) health: Arc<Health>,
    given_up: u64,
    /// True if everything that was taken was written or refused. Pieces after one that was given up are not
    /// acknowledged.
    is_complete: bool,
}

/// The channels from a state writer to other writers.
pub(super) struct Others {
    pub(super) exchange: HelperPool,
    pub(super) hurry: Hurry,
    pub(super) loads: Option<Sender<Start>>,
}

/// The next task of an idle writer.
enum Task {
    Item(StateItem),
    Delayed,
    Help(WorkOffer),
}

impl StateWriter {
    pub(super) fn new(
        options: Arc<PipelineOptions>,
        thread: &str,
        stop: Stop,
        health: Arc<Health>,
        Others { exchange, hurry, loads }: Others,
    ) -> StateWriter {
        StateWriter {
            connection: RetryingClient::new(&options, thread, routes::prepare, stop, health.clone()),
            rejected: RejectedRows::new(&options.state_dir),
            pace: BatchSizer::new(&options),
            exchange,
            loads,
            lead: Lead::new(hurry),
            batch: Batch::default(),
            ahead: None,
            backlog: Backlog::default(),
            claims: HashMap::new(),
            arrived: Vec::new(),
            unwritten: 0,
            audit: Audit::default(),
            given_up: 0,
            is_complete: true,
            options,
            health,
        }
    }

    /// Writes until all senders are gone. Returns the number of operations given up.
    pub(super) fn run(mut self, items: &Receiver<StateItem>) -> u64 {
        while let Ok(task) = self.next_task(items) {
            match task {
                Task::Help(call) => {
                    call.answer(|| !items.is_empty(), |part| self.write_all(part));
                    continue;
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
            self.health.waiting.remove(std::mem::take(&mut self.unwritten));
            self.pace.written(self.health.waiting.queued());
        }
        self.given_up
    }

    fn may_gather(&self) -> bool {
        !self.batch.is_full(self.pace.changes())
    }

    /// Answers sessions that ask for the stored routes of tables, until all state writers are gone: reading a table of
    /// a million routes takes seconds, and no other router's changes wait for that. Returns the number of answers given
    /// up.
    pub(super) fn run_loads(mut self, starts: &Receiver<Start>) -> u64 {
        while let Ok(start) = self.connection.while_idle(|| starts.recv()) {
            self.answer(start);
        }
        self.given_up
    }

    fn next_task(&mut self, items: &Receiver<StateItem>) -> Result<Task, RecvError> {
        if !self.backlog.is_empty() {
            return Ok(Task::Delayed);
        }
        match self.ahead.take() {
            Some(item) => Ok(Task::Item(item)),
            None => self.connection.while_idle(|| self.next(items)),
        }
    }

    fn next(&self, items: &Receiver<StateItem>) -> Result<Task, RecvError> {
        select! {
            recv(items) -> item => item.map(Task::Item),
            recv(self.exchange.calls()) -> call => call.map(Task::Help),
        }
    }

    pub(super) fn take(&mut self, item: StateItem) {
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
        }
    }

    fn take_batch(&mut self, batch: StateBatch) {
        let meter = &batch.owner.meter;
        meter.state.arrived(batch.read_at);
        self.unwritten += batch.ops.len();
        self.health.waiting.take(batch.ops.len());
        if self.arrived.last().is_none_or(|last| !Arc::ptr_eq(last, meter)) {
            self.arrived.push(Arc::clone(meter));
        }
        self.take_ops(batch);
    }

    fn take_ops(&mut self, StateBatch { owner, ops, read_at, upto, history }: StateBatch) {
        if !self.batch.admits(&owner) {
            self.flush();
        }
        self.lead.add(&owner, history);
        let mut ops = ops.into_iter();
        while let Some(mut op) = ops.next() {
            // The events and the state of a session are written whichever collector has the router now.
            if owner.is_lost() && !matches!(op, StateOp::SessionEvent(_) | StateOp::SessionState { .. }) {
                continue;
            }
            if !self.batch.may_take(&owner, &op) {
                self.flush();
            }
            if let Some(rest) = backlog::slice(&mut op) {
                self.take_op(&owner, op);
                self.batch.ends.over.iter_mut().next_back().expect("the slice of a purge was put there").is_part = true;
                let ops = std::iter::once(rest).chain(ops).collect();
                return self.backlog.push_rest(StateBatch { owner, ops, read_at, upto, history });
            }
            self.take_op(&owner, op);
        }
        self.batch.pieces.push((owner, upto));
    }

    fn take_op(&mut self, owner: &Arc<Ownership>, op: StateOp) {
        match op {
            StateOp::RouterSeen(record) => {
                let batch = self.gather(owner);
                batch.weigh(1, size_of_val(&record));
                batch.extras.push_router(record);
            }
            StateOp::Route { table, nlri, change, was } => {
                self.gather(owner).push(Row::new(table, &nlri, change, was));
            }
            StateOp::TableSeen(table) => self.gather(owner).push_seen(table),
            StateOp::PeerSeen(peer) => {
                let batch = self.gather(owner);
                batch.weigh(1, size_of_val(&*peer) + peer.capabilities.as_ref().map_or(0, String::len));
                batch.extras.push_peer(&owner.router, *peer);
            }
            StateOp::PeersUnknown(of) => {
                let batch = self.gather(owner);
                batch.weigh(1, 0);
                batch.extras.push_forgotten(&owner.router, of);
            }
            StateOp::Statistics(all) => {
                let batch = self.gather(owner);
                batch.weigh(all.len(), size_of_val(&*all));
                batch.extras.push_statistics(&owner.router, all);
            }
            StateOp::AddPathSeen(record) => {
                let batch = self.gather(owner);
                batch.weigh(1, size_of_val(&record));
                batch.extras.push_add_path(&owner.router, record);
            }
            StateOp::SessionEvent(event) => self.batch.push_event(Some(owner.router.clone()), event),
            StateOp::SyncStart { tables, stored } => {
                self.gather(owner).push_start(Start { tables, stored, ..Start::of(owner) });
            }
            StateOp::Load { tables, stored } => {
                let start = Start { loaded: tables, stored: Some(stored), ..Start::of(owner) };
                self.gather(owner).push_start(start);
            }
            StateOp::TableNames(names) => self.gather(owner).push_start(Start { names, ..Start::of(owner) }),
            StateOp::EndOfRib { table, stale } => {
                self.gather(owner).push_over(Over {
                    owner: Arc::clone(owner),
                    table,
                    stale,
                    eor_seen: true,
                    is_part: false,
                });
            }
            StateOp::PurgeStale { table, stale } => {
                self.gather(owner).push_over(Over {
                    owner: Arc::clone(owner),
                    table,
                    stale,
                    eor_seen: false,
                    is_part: false,
                });
            }
            StateOp::Audit { table, routes } => {
                let batch = self.gather(owner);
                batch.weigh(1, size_of::<Count>());
                batch.ends.push_count(Count { owner: Arc::clone(owner), table, routes });
            }
            StateOp::TablesDown { tables, event } => {
                let batch = self.gather(owner);
                batch.weigh(1 + tables.len(), size_of_val(&*tables));
                batch.ends.push_down(Down { owner: Arc::clone(owner), tables, event });
            }
            StateOp::MarkStale(tables) => {
                let batch = self.gather(owner);
                batch.weigh(1 + tables.len(), size_of_val(&*tables));
                batch.ends.push_stale(Stale { owner: Arc::clone(owner), tables });
            }
            StateOp::SessionState { state, reason } => {
                self.batch.weigh(1, 0);
                self.batch.ends.push_state(owner, state, reason);
            }
        }
    }

    /// Returns the batch, with `owner` among its owners.
    fn gather(&mut self, owner: &Arc<Ownership>) -> &mut Batch {
        match self.batch.owners.get_mut(&owner.router) {
            None => {
                self.batch.owners.insert(owner.router.clone(), vec![Arc::clone(owner)]);
            }
            Some(owners) if owners.iter().any(|known| Arc::ptr_eq(known, owner)) => {}
            Some(owners) => owners.push(Arc::clone(owner)),
        }
        &mut self.batch
    }

    /// Writes the gathered changes: dumps that begin, then rows, with the help of idle writers if they are many, then
    /// the commands that follow them. Sessions that ask for stored routes are answered on another connection.
    fn flush(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return self.acknowledge(&batch.pieces);
        }
        Health::count(&self.health.state_batches, 1);
        let pieces = std::mem::take(&mut batch.pieces);
        let ends = std::mem::take(&mut batch.ends);
        let starts = self.begin_dumps(std::mem::take(&mut batch.starts));
        let gathered = batch.rows.len();
        batch.coalesce();
        self.pace.coalesced(gathered, batch.rows.len());
        let needs_history = !(batch.rows.is_empty() && batch.extras.is_empty() && ends.is_empty());
        if needs_history && !self.lead.wait(&mut self.connection, &self.health) {
            self.count_given_up(ends.len());
            let all = 0..batch.rows.len();
            return self.give_up(&batch, all, &[]);
        }
        // Changes of routers that were lost meanwhile are not written.
        batch.drop_lost();
        if batch.rows.len() > self.options.batch_routes {
            let parts = batch.take_parts(self.options.batch_routes);
            let helpers = self.exchange.clone().share(parts, |part| self.write_all(part));
            self.is_complete &= self.connection.while_idle(|| helpers.finish());
        }
        self.write_all(batch);
        self.end(ends);
        self.acknowledge(&pieces);
        if let Some(loads) = &self.loads {
            // A session that gets no answer finds its channel closed, and so learns that its writers are gone.
            starts.into_iter().for_each(|start| drop(loads.send(start)));
        }
    }

    /// Writes a batch that is in order; halves it where a value is at fault or it takes too long. Returns whether it is
    /// written, or refused and kept elsewhere.
    fn write_all(&mut self, mut batch: Batch) -> bool {
        let all = 0..batch.rows.len();
        let mut waiting = Vec::from([all]);
        // The extras, once they are separated from the last rows because one of the two is at fault.
        let mut apart = None;
        // The row that is tried alone after the same statement stored a canary.
        let mut tried = None;
        while let Some(range) = waiting.pop() {
            let failure = match self.write(&mut batch, range.clone(), waiting.is_empty()) {
                Ok(()) => continue,
                Err(failure) => failure,
            };
            let is_alone = range.len() == 1 && (!waiting.is_empty() || batch.extras.is_empty());
            match failure {
                // The session's map was wrong about a key: the rows are written by the statement that checks the table.
                Failure::Duplicate(_) if batch.expects_absent(&range) => {
                    batch.expect_stored(&range);
                    waiting.push(range);
                }
                Failure::BadRow(_) | Failure::Duplicate(_) | Failure::RowOrStatement(_) | Failure::TooLong(_)
                    if range.len() > 1 =>
                {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                }
                Failure::BadRow(_) | Failure::Duplicate(_) | Failure::RowOrStatement(_) | Failure::TooLong(_)
                    if !is_alone =>
                {
                    apart = Some(std::mem::take(&mut batch.extras));
                    waiting.push(range);
                }
                Failure::RowOrStatement(error) if tried != Some(range.start) => {
                    let harmless = [batch.rows[range.start].harmless()];
                    let would_do = self
                        .connection
                        .would_do(|transaction| write_rows(transaction, &harmless, &mut Done::default()));
                    if would_do {
                        tried = Some(range.start);
                    } else if self.connection.wait_after(&error).is_err() {
                        self.give_up(&batch, range, &waiting);
                        return false;
                    }
                    waiting.push(range);
                }
                Failure::BadRow(error) | Failure::Duplicate(error) | Failure::RowOrStatement(error) => {
                    let last = waiting.is_empty();
                    self.reject(&batch.rows[range.start], &error);
                    // The extras of the last rows are still to be written.
                    if last {
                        waiting.push(0..0);
                    }
                }
                Failure::TooLong(error) | Failure::NoPartition(error) => match self.connection.wait_after(&error) {
                    Ok(()) => waiting.push(range),
                    Err(_) => {
                        self.give_up(&batch, range, &waiting);
                        return false;
                    }
                },
                Failure::GaveUp => {
                    self.give_up(&batch, range, &waiting);
                    return false;
                }
            }
        }
        apart.is_none_or(|extras| self.write_extras(&batch.owners, extras))
    }

    /// Acknowledges pieces, which their sessions then need not keep. They keep those that were given up and all after
    /// them.
    fn acknowledge(&self, pieces: &[(Arc<Ownership>, u64)]) {
        if self.is_complete {
            pieces.iter().for_each(|(owner, upto)| owner.progress.state.acknowledge(*upto));
        }
    }

    /// Writes the rows of `range` in one transaction, and with the last of them the extras.
    fn write(&mut self, batch: &mut Batch, range: Range<usize>, is_last: bool) -> Result<(), Failure> {
        let mut done = Done::default();
        let mut is_sure = false;
        if range.is_empty() && (!is_last || batch.extras.is_empty()) {
            return Ok(());
        }
        let epochs = batch.epochs();
        let lost = self.connection.retry(|client, attempt| {
            (done, is_sure) = (Done::default(), attempt.fate == PriorCommit::No);
            let mut transaction = client.transaction()?;
            let lost = owner::lost(&mut transaction, &epochs)?;
            if !lost.is_empty() {
                return Ok(lost);
            }
            // Sorted, so the rows of each kind of RIB are adjacent.
            for rows in batch.rows[range.clone()].chunk_by(|a, b| a.kind() == b.kind()) {
                write_rows(&mut transaction, rows, &mut done)?;
            }
            if is_last {
                batch.extras.write(&mut transaction)?;
            }
            attempt.commit(transaction, lost)
        })?;
        Health::count(&self.health.routes_written, done.written);
        Health::count(&self.health.routes_deleted, done.deleted);
        if lost.is_empty() {
            if is_sure && done.unexpected > 0 {
                log::warn!("database: {} rows changed outside the collector; verifying table counts", done.unexpected);
                batch.owners.values().flatten().for_each(|owner| owner.set_in_doubt());
            }
            return Ok(());
        }
        // Nothing of this range was written. Its rows are written again from a copy without those of lost routers, so
        // that the ranges that wait stay valid.
        for owner in batch.owners.values().flatten().filter(|owner| lost.contains(&owner.router)) {
            mark_lost(owner);
        }
        self.write_without_lost(batch, range, is_last)
    }

    fn write_without_lost(&mut self, batch: &mut Batch, range: Range<usize>, is_last: bool) -> Result<(), Failure> {
        let rows: Vec<Row> = batch.rows[range].to_vec();
        let extras = if is_last { std::mem::take(&mut batch.extras) } else { Extras::default() };
        let mut rest = Batch::of(batch.owners.clone(), rows, extras);
        rest.drop_lost();
        let length = rest.rows.len();
        let result = self.write(&mut rest, 0..length, is_last);
        if is_last {
            batch.extras = rest.extras;
        }
        result
    }

    /// Counts a row that the database refuses and keeps it in the rejected file.
    fn reject(&mut self, row: &Row, error: &store::Error) {
        Health::count(&self.health.rows_rejected, 1);
        self.rejected.keep(&row.table.router, row, error);
    }

    /// Counts a row of `session_events` that the database refuses and keeps it in the rejected file.
    pub(super) fn reject_event(&mut self, router: Option<&RouterId>, event: &SessionEvent, error: &store::Error) {
        Health::count(&self.health.rows_rejected, 1);
        let nobody = RouterId::new("unknown");
        self.rejected.keep(router.unwrap_or(&nobody), &format_args!("{event:?}"), error);
    }

    fn give_up(&mut self, batch: &Batch, range: Range<usize>, waiting: &[Range<usize>]) {
        let rows = range.len() + waiting.iter().map(Range::len).sum::<usize>();
        self.count_given_up(rows + batch.extras.len());
    }

    pub(super) fn count_given_up(&mut self, operations: usize) {
        let operations = u64::try_from(operations).unwrap_or(u64::MAX);
        self.given_up += operations;
        self.is_complete = false;
        Health::count(&self.health.given_up, operations);
    }

    fn claim(&mut self, claim: &Claim) {
        self.flush();
        let collector = self.options.collector_id.clone();
        let record = &claim.record;
        let must_be_ours = claim.right == ClaimRight::Replaying;
        let session = sessions::new_key();
        let taken = self.command(&record.router, |client, _| {
            owner::claim(client, &collector, &session, record, must_be_ours, claim.others_since.is_some())
        });
        let taken = match taken {
            Ok(Some(taken)) => taken,
            // Another collector has the router, or the claim was given up: there is no answer.
            Ok(None) | Err(None) => return,
            Err(Some(refusal)) => {
                // A session that is gone needs no answer.
                let _ = claim.reply.try_send(Err(refusal));
                return;
            }
        };
        let meter = self.options.meters.router(&record.router);
        let mut owner = Ownership::new(record.router.clone(), taken.epoch, meter);
        owner.session = session;
        owner.began = taken.began;
        owner.reporting_since = claim.others_since.map_or(taken.began, |since| since.min(taken.began));
        // A router that is lost is lost for all its sessions.
        let known = self.claims.entry(record.router.clone()).or_insert_with(|| (taken.epoch, Arc::default()));
        if known.0 != taken.epoch {
            *known = (taken.epoch, Arc::default());
        }
        owner.lost = Arc::clone(&known.1);
        owner.is_taken_over = taken.is_taken_over;
        owner.waiting = Arc::clone(&self.health.waiting);
        let owner = Arc::new(owner);
        let owner::RouterClaim { tables, add_path, names, .. } = taken;
        let _ = claim.reply.try_send(Ok(Claimed { owner, tables, add_path, names }));
    }

    /// Does work that cannot be halved, until it is done.
    ///
    /// # Errors
    /// The database refuses its values; `None`: it was given up.
    pub(super) fn command<T>(
        &mut self,
        what: &dyn Display,
        mut work: impl FnMut(&mut Client, &mut Attempt<T>) -> store::Result<T>,
    ) -> Result<T, Option<Refusal>> {
        // True if a canary command succeeded after the first refusal.
        let mut is_tried = false;
        loop {
            let error = match self.connection.retry(&mut work) {
                Ok(value) => return Ok(value),
                Err(Failure::RowOrStatement(_)) if !is_tried && self.would_do_commands() => {
                    is_tried = true;
                    continue;
                }
                Err(Failure::RowOrStatement(error)) if is_tried => return Err(Some(self.refused(what, &error))),
                Err(Failure::BadRow(error) | Failure::Duplicate(error)) => {
                    return Err(Some(self.refused(what, &error)));
                }
                Err(Failure::RowOrStatement(error) | Failure::TooLong(error) | Failure::NoPartition(error)) => error,
                Err(Failure::GaveUp) => {
                    self.count_given_up(1);
                    return Err(None);
                }
            };
            if self.connection.wait_after(&error).is_err() {
                self.count_given_up(1);
                return Err(None);
            }
        }
    }

    /// Logs and counts a command that the database refuses.
    pub(super) fn refused(&mut self, what: &dyn Display, error: &store::Error) -> Refusal {
        log::error!("{what}: the database refused a command, its session cannot go on: {error}");
        Health::count(&self.health.rows_rejected, 1);
        Refusal(format!("{what}: {error}"))
    }
}

/// Marks the router as taken by another collector, which is logged once.
pub(super) fn mark_lost(owner: &Ownership) {
    if owner.set_lost() {
        log::warn!("router {}: taken by another collector, nothing more is written for it", owner.router);
    }
}
