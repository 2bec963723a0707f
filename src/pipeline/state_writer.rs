//! The thread that writes `current_routes` and what belongs to it, for its share of the routers.
//!
//! Items are gathered until the batch is full or old; then one transaction writes all of it, or several if it is large: those
//! are shared with writers that have nothing to do. Before that it waits for the history of the same input. A command (a table's dump begins or ends, a table goes down) first writes
//! what was gathered and then runs in transactions of its own, so that nothing overtakes anything. Every transaction checks
//! `router_owner`.

use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvError, select};

use super::PipelineOptions;
use super::audit::Audit;
use super::batch::{Batch, PeerNews, Row};
use super::health::Health;
use super::help::{Call, Exchange};
use super::lead::{Hurry, Lead};
use super::link::{Attempt, Failure, Fate, Link};
use super::op::{Claim, ClaimRight, Claimed, Ownership, PeersOf, SessionEvent, StateBatch, StateItem, StateOp, Was};
use super::pace::Pace;
use super::rejected::RejectedRows;
use crate::metrics::RouterMeter;
use crate::model::{Nlri, RouterId, Table};
use crate::stop::Stop;
use crate::store::routes::{RouteKey, Scope};
use crate::store::{self, Client, Transaction, owner, peers, routes, sessions, sync};

/// How many routes one transaction of a purge deletes at most.
const PURGE_ROWS: usize = 20_000;

/// One state writer.
pub(super) struct StateWriter {
    options: Arc<PipelineOptions>,
    link: Link,
    pace: Pace,
    exchange: Exchange,
    /// The history that what was gathered waits for.
    lead: Lead,
    batch: Batch,
    /// Routers whose changes were taken since the last wait for input.
    arrived: Vec<Arc<RouterMeter>>,
    /// Of what was taken, how much is not written.
    unwritten: usize,
    audit: Audit,
    rejected: RejectedRows,
    health: Arc<Health>,
    given_up: u64,
    /// Whether all that was taken was written or refused. What comes behind something that was not is not acknowledged.
    is_complete: bool,
}

/// What a writer without work gets.
enum Task {
    Item(StateItem),
    Help(Call),
}

impl StateWriter {
    pub(super) fn new(
        options: Arc<PipelineOptions>,
        thread: &str,
        stop: Stop,
        health: Arc<Health>,
        (exchange, hurry): (Exchange, Hurry),
    ) -> StateWriter {
        StateWriter {
            link: Link::new(&options, thread, routes::prepare, stop, health.clone()),
            rejected: RejectedRows::new(&options.state_dir),
            pace: Pace::new(&options),
            exchange,
            lead: Lead::new(hurry),
            batch: Batch::default(),
            arrived: Vec::new(),
            unwritten: 0,
            audit: Audit::default(),
            given_up: 0,
            is_complete: true,
            options,
            health,
        }
    }

    /// Writes until all senders are gone. Returns how many operations were given up.
    pub(super) fn run(mut self, items: &Receiver<StateItem>) -> u64 {
        while let Ok(task) = self.link.resting(|| self.next(items)) {
            let item = match task {
                Task::Item(item) => item,
                Task::Help(call) => {
                    call.answer(|| !items.is_empty(), |part| self.write_all(part));
                    continue;
                }
            };
            let deadline = Instant::now() + self.pace.gather();
            self.take(item);
            while !self.batch.is_empty() && !self.batch.is_full(self.pace.changes()) {
                let Ok(item) = items.recv_deadline(deadline) else { break };
                self.take(item);
            }
            self.flush();
            // Whatever was taken is committed by now, rejected, or given up.
            self.arrived.drain(..).for_each(|meter| meter.state.committed());
            self.health.waiting.remove(std::mem::take(&mut self.unwritten));
            self.pace.written(self.health.waiting.queued());
        }
        self.given_up
    }

    fn next(&self, items: &Receiver<StateItem>) -> Result<Task, RecvError> {
        select! {
            recv(items) -> item => item.map(Task::Item),
            recv(self.exchange.calls()) -> call => call.map(Task::Help),
        }
    }

    fn take(&mut self, item: StateItem) {
        match item {
            StateItem::Claim(claim) => self.claim(&claim),
            StateItem::Batch(batch) => self.take_batch(batch),
            StateItem::Note(event) => self.batch.extras.events.push((None, event)),
        }
    }

    fn take_batch(&mut self, StateBatch { owner, ops, read_at, upto, history }: StateBatch) {
        if !self.batch.admits(&owner) {
            self.flush();
        }
        self.lead.add(&owner, history);
        owner.meter.state.arrived(read_at);
        self.unwritten += ops.len();
        self.health.waiting.take(ops.len());
        if self.arrived.last().is_none_or(|last| !Arc::ptr_eq(last, &owner.meter)) {
            self.arrived.push(Arc::clone(&owner.meter));
        }
        for op in ops {
            // What happened to a session is told whoever has the router now.
            if !owner.is_lost() || matches!(op, StateOp::SessionEvent(_) | StateOp::SessionState { .. }) {
                self.take_op(&owner, op);
            }
        }
        self.batch.pieces.push((owner, upto));
    }

    fn take_op(&mut self, owner: &Arc<Ownership>, op: StateOp) {
        match op {
            StateOp::RouterSeen(record) => self.gather(owner).extras.routers.push(record),
            StateOp::Route { table, nlri, change, was } => {
                self.gather(owner).push(Row::new(table, &nlri, change, was));
            }
            StateOp::TableSeen(table) => {
                self.gather(owner).extras.seen.insert(table);
            }
            StateOp::PeerSeen(peer) => {
                self.gather(owner).extras.peers.push((owner.router.clone(), PeerNews::Seen(peer)))
            }
            StateOp::PeersUnknown(of) => {
                self.gather(owner).extras.peers.push((owner.router.clone(), PeerNews::Unknown(of)));
            }
            StateOp::Statistics(all) => {
                let latest = all
                    .into_iter()
                    .map(|one| ((owner.router.clone(), one.peer.clone(), (one.type_code, one.afi, one.safi)), one));
                self.gather(owner).extras.statistics.extend(latest);
            }
            StateOp::SessionEvent(event) => self.batch.extras.events.push((Some(owner.router.clone()), event)),
            StateOp::SyncStart { table, stored } => {
                self.flush();
                let started = self.owned(owner, &table, |transaction| sync::start(transaction, &table));
                let Some(()) = started else { return };
                if let Some(routes) = self.command(&table, |client, _| store::load::load(client, &table)) {
                    // A session that is gone needs no answer.
                    let _ = stored.try_send(routes);
                }
            }
            StateOp::EndOfRib { table, stale } => {
                self.flush_behind_history();
                if self.purge_stale(owner, &table, stale) {
                    self.owned(owner, &table, |transaction| sync::end_of_rib(transaction, &table));
                }
            }
            StateOp::PurgeStale { table, stale } => {
                self.flush_behind_history();
                if self.purge_stale(owner, &table, stale) {
                    self.owned(owner, &table, |transaction| sync::complete(transaction, &table));
                }
            }
            StateOp::Audit { table, routes } => {
                self.flush();
                let stored = self.owned(owner, &table, |transaction| sync::count(transaction, &table));
                if let Some(stored) = stored.filter(|stored| u64::try_from(routes) != Ok(*stored)) {
                    self.audit.differs(owner, &table, routes, stored);
                }
            }
            StateOp::TablesDown { tables, event } => {
                self.flush_behind_history();
                let scopes: Vec<Scope> = tables.into_iter().map(|(view, name)| Scope::of(view, name)).collect();
                self.remove(owner, &scopes, event);
            }
            StateOp::MarkStale(tables) => {
                // What is stale may be removed at once, and no event may come behind that.
                self.flush_behind_history();
                self.owned(owner, &owner.router, |transaction| sync::mark_stale(transaction, &owner.router, &tables));
            }
            StateOp::SessionState { state, reason } => {
                if owner.session.is_empty() {
                    return;
                }
                self.flush();
                let work = |client: &mut Client| sessions::set_state(client, &owner.session, state, reason.as_deref());
                self.command(&owner.router, |client, _| work(client));
            }
        }
    }

    /// The batch, with `owner` among those it is written for.
    fn gather(&mut self, owner: &Arc<Ownership>) -> &mut Batch {
        if !self.batch.owners.contains_key(&owner.router) {
            self.batch.owners.insert(owner.router.clone(), owner.clone());
        }
        &mut self.batch
    }

    /// Writes what was gathered, with the help of others if it is much.
    fn flush(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return self.acknowledge(&batch.pieces);
        }
        Health::count(&self.health.state_batches, 1);
        batch.coalesce();
        let pieces = std::mem::take(&mut batch.pieces);
        if !self.lead.wait(&self.link, &self.health) {
            let all = 0..batch.rows.len();
            return self.give_up(&batch, all, &[]);
        }
        // Whose router was lost meanwhile.
        batch.drop_lost();
        if batch.rows.len() > self.options.batch_routes {
            let parts = batch.take_parts(self.options.batch_routes);
            let helpers = self.exchange.clone().share(parts, |part| self.write_all(part));
            self.is_complete &= self.link.resting(|| helpers.finish());
        }
        self.write_all(batch);
        self.acknowledge(&pieces);
    }

    /// As [`StateWriter::flush`], where a command follows that removes routes: their events come first, even if nothing was
    /// gathered.
    fn flush_behind_history(&mut self) {
        self.flush();
        // When the grace is over, the command is not done either.
        let _ = self.lead.wait(&self.link, &self.health);
    }

    /// Writes a batch that is in order; halves it where a value is at fault or it takes too long. Whether it is written, or
    /// refused and kept elsewhere.
    fn write_all(&mut self, mut batch: Batch) -> bool {
        let all = 0..batch.rows.len();
        let mut waiting = Vec::from([all]);
        while let Some(range) = waiting.pop() {
            let failure = match self.write(&mut batch, range.clone(), waiting.is_empty()) {
                Ok(()) => continue,
                Err(failure) => failure,
            };
            match failure {
                // The session's map was wrong about a key: the rows go by the way that asks the table.
                Failure::Duplicate(_) if batch.expects_absent(&range) => {
                    batch.expect_stored(&range);
                    waiting.push(range);
                }
                Failure::BadRow(_) | Failure::Duplicate(_) | Failure::TooLong(_) if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    waiting.push(middle..range.end);
                    waiting.push(range.start..middle);
                }
                Failure::BadRow(error) | Failure::Duplicate(error) => {
                    let last = waiting.is_empty();
                    self.reject(&mut batch, range, &error);
                    // What goes along with the last rows is still to be written.
                    if last {
                        waiting.push(0..0);
                    }
                }
                Failure::TooLong(error) | Failure::NoPartition(error) => match self.link.wait_after(&error) {
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
        true
    }

    /// The sessions need not keep these pieces. What was given up is theirs to keep, and all behind it.
    fn acknowledge(&self, pieces: &[(Arc<Ownership>, u64)]) {
        if self.is_complete {
            pieces.iter().for_each(|(owner, upto)| owner.progress.state.acknowledge(*upto));
        }
    }

    /// One transaction: the rows of `range`, and with the last of them everything else.
    fn write(&mut self, batch: &mut Batch, range: Range<usize>, is_last: bool) -> Result<(), Failure> {
        let mut done = Done::default();
        let mut is_sure = false;
        if range.is_empty() && (!is_last || batch.extras.is_empty()) {
            return Ok(());
        }
        let epochs: Vec<_> = batch.owners.values().map(|owner| (owner.router.clone(), owner.epoch)).collect();
        let lost = self.link.attempt(|client, attempt| {
            (done, is_sure) = (Done::default(), attempt.fate == Fate::Fresh);
            let mut transaction = client.transaction()?;
            let lost = owner::lost(&mut transaction, &epochs)?;
            if !lost.is_empty() {
                return Ok(lost);
            }
            // Sorted, so each kind of RIB stands together.
            for rows in batch.rows[range.clone()].chunk_by(|a, b| a.kind() == b.kind()) {
                write_rows(&mut transaction, rows, &mut done)?;
            }
            if is_last {
                let extras = &batch.extras;
                extras.routers.iter().try_for_each(|record| owner::upsert_router(&mut transaction, record))?;
                for (router, peer) in &extras.peers {
                    match peer {
                        PeerNews::Seen(peer) => peers::upsert(&mut transaction, router, peer)?,
                        PeerNews::Unknown(PeersOf::Router) => peers::forget(&mut transaction, router)?,
                        PeerNews::Unknown(PeersOf::EarlierSessions) => {
                            peers::forget_unreported(&mut transaction, router)?;
                        }
                    }
                }
                peers::statistics(&mut transaction, extras.statistics.iter().map(|((router, ..), one)| (router, one)))?;
                sync::seen(&mut transaction, &extras.seen.iter().map(|table| &**table).collect::<Vec<_>>())?;
                for (router, event) in &extras.events {
                    sync::insert_event(&mut transaction, router.as_ref(), event)?;
                }
            }
            attempt.commit(transaction, lost)
        })?;
        Health::count(&self.health.routes_written, done.written);
        Health::count(&self.health.routes_deleted, done.deleted);
        if lost.is_empty() {
            if is_sure && done.unexpected > 0 {
                log::warn!("database: {} rows were not as they were left, their tables are counted", done.unexpected);
                batch.owners.values().for_each(|owner| owner.set_in_doubt());
            }
            return Ok(());
        }
        // Nothing of this range was written. Rows of a lost router turn into nothing where they are, so that the
        // ranges that wait keep their meaning; then the rest is written.
        for owner in batch.owners.values().filter(|owner| lost.contains(&owner.router)) {
            mark_lost(owner);
        }
        self.write_without_lost(batch, range, is_last)
    }

    fn write_without_lost(&mut self, batch: &mut Batch, range: Range<usize>, is_last: bool) -> Result<(), Failure> {
        let rows: Vec<Row> = batch.rows[range].to_vec();
        let extras = if is_last { std::mem::take(&mut batch.extras) } else { super::batch::Extras::default() };
        let mut rest = Batch { owners: batch.owners.clone(), rows, extras, ..Batch::default() };
        rest.drop_lost();
        let length = rest.rows.len();
        let result = self.write(&mut rest, 0..length, is_last);
        if is_last {
            batch.extras = rest.extras;
        }
        result
    }

    /// The one row of `range`, or what goes along with a batch, is what the database refuses.
    fn reject(&mut self, batch: &mut Batch, range: Range<usize>, error: &store::Error) {
        Health::count(&self.health.rows_rejected, 1);
        if let Some(row) = batch.rows.get(range.start).filter(|_| !range.is_empty()) {
            self.rejected.keep(&row.table.router, row, error);
            return;
        }
        let extras = std::mem::take(&mut batch.extras);
        for (router, event) in &extras.events {
            let nobody = RouterId::new("unknown");
            self.rejected.keep(router.as_ref().unwrap_or(&nobody), &format_args!("{event:?}"), error);
        }
        for (router, peer) in &extras.peers {
            self.rejected.keep(router, &format_args!("{peer:?}"), error);
        }
        for ((router, ..), statistic) in &extras.statistics {
            self.rejected.keep(router, &format_args!("{statistic:?}"), error);
        }
        for record in &extras.routers {
            self.rejected.keep(&record.router, &format_args!("{record:?}"), error);
        }
    }

    fn give_up(&mut self, batch: &Batch, range: Range<usize>, waiting: &[Range<usize>]) {
        let rows = range.len() + waiting.iter().map(Range::len).sum::<usize>();
        self.count_given_up(rows + batch.extras.events.len() + batch.extras.routers.len());
    }

    fn count_given_up(&mut self, operations: usize) {
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
        let taken =
            self.command(&record.router, |client, _| owner::claim(client, &collector, &session, record, must_be_ours));
        let Some(Some(taken)) = taken else { return };
        let meter = self.options.meters.router(&record.router);
        let mut owner = Ownership::new(record.router.clone(), taken.epoch, meter);
        owner.session = session;
        owner.waiting = Arc::clone(&self.health.waiting);
        let owner = Arc::new(owner);
        // A session that is gone needs no answer.
        let _ = claim.reply.try_send(Claimed { owner, tables: taken.tables });
    }

    /// Deletes stale keys in chunks. Whether the router is still ours.
    fn purge_stale(&mut self, owner: &Arc<Ownership>, table: &Table, mut stale: Vec<Nlri>) -> bool {
        stale.sort_unstable_by_key(|nlri| (nlri.prefix, nlri.path_id_column()));
        for chunk in stale.chunks(PURGE_ROWS) {
            let keys =
                || chunk.iter().map(|nlri| RouteKey { table, prefix: nlri.prefix, path_id: nlri.path_id_column() });
            let deleted = self.owned(owner, table, |transaction| routes::delete_stale(transaction, table, keys()));
            let Some(deleted) = deleted else { return false };
            Health::count(&self.health.routes_deleted, deleted);
        }
        !owner.is_lost()
    }

    /// Deletes the routes of all scopes with their status, and writes the event that says so: at once, so that readers see
    /// all of it or nothing.
    fn remove(&mut self, owner: &Arc<Ownership>, scopes: &[Scope], mut event: Option<SessionEvent>) {
        let router = &owner.router;
        let removed = self.command(router, |client, attempt| {
            let mut transaction = client.transaction()?;
            if !check(&mut transaction, owner)? {
                return Ok(0);
            }
            let mut removed = 0;
            for scope in scopes {
                removed += routes::remove(&mut transaction, router, scope)?;
                sync::remove(&mut transaction, router, scope)?;
            }
            if let Some(event) = &mut event {
                event.routes = i64::try_from(removed).ok();
                sync::insert_event(&mut transaction, Some(router), event)?;
            }
            attempt.commit(transaction, removed)
        });
        Health::count(&self.health.routes_deleted, removed.unwrap_or(0));
    }

    /// A transaction of one session. `None`: the router is not ours any more, or the work cannot be done.
    fn owned<T>(
        &mut self,
        owner: &Arc<Ownership>,
        what: &dyn Display,
        mut work: impl FnMut(&mut Transaction<'_>) -> store::Result<T>,
    ) -> Option<T> {
        self.command(what, |client, attempt| {
            let mut transaction = client.transaction()?;
            if !check(&mut transaction, owner)? {
                return Ok(None);
            }
            let value = work(&mut transaction)?;
            attempt.commit(transaction, Some(value))
        })?
    }

    /// Work that cannot be halved: done until it is done. `None`: the database refuses its values, or we give up.
    fn command<T>(
        &mut self,
        what: &dyn Display,
        mut work: impl FnMut(&mut Client, &mut Attempt<T>) -> store::Result<T>,
    ) -> Option<T> {
        loop {
            match self.link.attempt(&mut work) {
                Ok(value) => return Some(value),
                Err(Failure::TooLong(error) | Failure::NoPartition(error)) => {
                    if self.link.wait_after(&error).is_err() {
                        self.count_given_up(1);
                        return None;
                    }
                }
                Err(Failure::BadRow(error) | Failure::Duplicate(error)) => {
                    log::error!("{what}: the database refused a command, its session cannot go on: {error}");
                    Health::count(&self.health.rows_rejected, 1);
                    return None;
                }
                Err(Failure::GaveUp) => {
                    self.count_given_up(1);
                    return None;
                }
            }
        }
    }
}

/// What one transaction did.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    written: u64,
    deleted: u64,
    /// Rows that were missing where one was to be changed or deleted.
    unexpected: u64,
}

/// Writes rows of one kind of RIB.
fn write_rows(transaction: &mut Transaction<'_>, rows: &[Row], done: &mut Done) -> store::Result<()> {
    let Some(kind) = rows.first().map(Row::kind) else { return Ok(()) };
    let of = |was| rows.iter().filter_map(move |row| Some((row.key(), row.route_if(was)?)));
    let mut inserts = of(Was::Absent).peekable();
    let mut upserts = of(Was::Stored).peekable();
    let mut deletes = rows.iter().filter(|row| row.route.is_none()).map(Row::key).peekable();
    if inserts.peek().is_some() {
        done.written += routes::insert(transaction, kind, inserts)?;
    }
    if upserts.peek().is_some() {
        let upserted = routes::upsert(transaction, kind, upserts)?;
        done.written += upserted.written;
        done.unexpected += upserted.new;
    }
    if deletes.peek().is_some() {
        let expected = rows.iter().filter(|row| row.route.is_none() && row.was == Was::Stored).count();
        let deleted = routes::delete(transaction, kind, deletes)?;
        done.deleted += deleted;
        done.unexpected += u64::try_from(expected).unwrap_or(0).saturating_sub(deleted);
    }
    Ok(())
}

/// Whether the router is still this session's; tells the session if not.
fn check(transaction: &mut Transaction<'_>, owner: &Ownership) -> store::Result<bool> {
    let lost = owner::lost(transaction, &[(owner.router.clone(), owner.epoch)])?;
    if !lost.is_empty() {
        mark_lost(owner);
    }
    Ok(lost.is_empty())
}

/// Says once that another session or collector has taken the router.
pub(super) fn mark_lost(owner: &Ownership) {
    if owner.set_lost() {
        log::warn!(
            "router {}: taken by another session or collector, nothing more is written for this one",
            owner.router
        );
    }
}
