//! The thread that writes `route_events` and `nlri_route_events` for its share of the routers.
//!
//! A batch gets its times once, from the database's clock at the first contact, and keeps them through every retry, so
//! that rows stored by an attempt of unknown outcome are found again. Times are strictly increasing per router, so that
//! `ORDER BY ingest_time` is the order of events. Rows are written by COPY; rows that may be stored already are checked
//! first (`past`). Events that a session saw are written even when a newer session of this collector has its router by
//! now; events that are left when another collector takes the router are a gap (`late`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, select};
use jiff::civil::Date;
use zstd::bulk::Compressor;

use super::batch::GATHERED_BYTES_MAX;
use super::connection::{Failure, PriorCommit};
use super::event_rows::{Row, WithdrawColumns, would_store_another};
use super::health::Health;
use super::late;
use super::op::{EventBatch, Ownership, RouteChange, RouteEvent};
use super::past::{self, Pasts};
use super::positions::positions_of;
use super::refused_rows::{self, Piece, Work, Writer, rows_of};
use super::suspension::Suspension;
use crate::model::{RibKind, RouterId, Table, Timestamp};
use crate::store::events;
use crate::store::journal_positions::{self, Position, PositionOf};
use crate::store::partitions::{EVENTS, NLRI_EVENTS};
use crate::store::{Error, owner, partitions, sync};

/// The zstd level of raw messages: a higher one gains little on messages of a few hundred bytes.
const ZSTD_LEVEL: i32 = 3;

/// The maximum time that a router's last event may be ahead of the database's clock, in microseconds, and still be
/// continued from: one day. A clock that was wrong by more and was corrected must not date all history to come.
const AHEAD_MAX_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// One event writer.
pub(super) struct EventWriter {
    writer: Writer,
    suspension: Arc<Suspension>,
    /// The time of each router's last event.
    last: HashMap<RouterId, Timestamp>,
    pasts: Pasts,
    compressor: Option<Compressor<'static>>,
    columns: WithdrawColumns,
}

/// A batch whose events have their times.
struct Stamped {
    owners: BTreeMap<RouterId, Arc<Ownership>>,
    /// The routers that another collector has taken meanwhile.
    lost: BTreeSet<RouterId>,
    rows: Vec<Row>,
    tables: BTreeSet<Arc<Table>>,
    /// The pieces to acknowledge when the batch is stored: each session, and the last chunk that the piece completes.
    pieces: Vec<(Arc<Ownership>, u64)>,
}

/// The way in which rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CopyMode {
    /// Copied straight into the partition, except rows with a check of their own.
    Direct,
    /// Copied without the rows that are stored already.
    Checked,
}

/// Events of a batch, and how they are written.
struct Part {
    rows: Range<usize>,
    way: CopyMode,
}

impl Piece for Part {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn halve(self) -> (Part, Part) {
        let (first, second) = self.rows.halve();
        (Part { rows: first, way: self.way }, Part { rows: second, way: self.way })
    }
}

/// The events of a batch, in order, and its tables, which are noted along with the last events.
struct Events<'a> {
    writer: &'a mut EventWriter,
    batch: &'a mut Stamped,
    are_tables_noted: bool,
    /// True if partitions were created since events were last written.
    partitions_made: bool,
}

impl Work for Events<'_> {
    type Piece = Part;

    fn write(&mut self, part: &mut Part, is_last: bool) -> Result<(), Failure> {
        self.writer.write(self.batch, &part.rows, part.way, is_last)?;
        self.writer.committed();
        self.partitions_made = false;
        self.are_tables_noted |= is_last;
        Ok(())
    }

    fn resolve(&mut self, part: &mut Part, _: bool, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::NoPartition(_) if !self.partitions_made => {
                self.partitions_made = true;
                self.writer.make_partitions(self.batch).ok_or(Failure::GaveUp)
            }
            Failure::Duplicate(_) if part.way == CopyMode::Direct => {
                part.way = CopyMode::Checked;
                Ok(())
            }
            other => Err(other),
        }
    }

    fn would_do_canary(&mut self, part: &Part) -> bool {
        would_store_another(&mut self.writer.writer, &self.writer.columns, &self.batch.rows[part.rows.start])
    }

    fn reject(&mut self, part: &Part, error: Error) {
        for row in &self.batch.rows[part.rows.clone()] {
            self.writer.writer.reject(&row.event.table.router, row, &error);
        }
    }

    fn wait_after(&mut self, error: &Error) -> Result<(), Failure> {
        self.writer.writer.connection.wait_after(error)
    }
}

impl EventWriter {
    pub(super) fn new(writer: Writer, suspension: Arc<Suspension>) -> EventWriter {
        let compressor = writer.options.compress_raw.then(|| Compressor::new(ZSTD_LEVEL).ok()).flatten();
        EventWriter {
            writer,
            suspension,
            last: HashMap::new(),
            pasts: Pasts::default(),
            compressor,
            columns: WithdrawColumns::default(),
        }
    }

    /// Writes until all senders are gone. Returns the number of events given up.
    ///
    /// A message in `hurried` means that a state writer waits for the events that are here.
    pub(super) fn run(mut self, items: &Receiver<EventBatch>, hurried: &Receiver<()>) -> u64 {
        while let Ok(first) = self.writer.connection.while_idle(|| items.recv()) {
            let deadline = Instant::now() + self.writer.options.flush;
            let mut events = first.events.len();
            let mut bytes = bytes_of(&first.events);
            let mut awaited = first.stored.is_some();
            let mut is_hurried = false;
            let mut batches = vec![first];
            while events < self.writer.options.batch_routes && bytes < GATHERED_BYTES_MAX && !awaited {
                let item = if is_hurried {
                    items.try_recv().ok()
                } else {
                    select! {
                        recv(items) -> item => item.ok(),
                        recv(hurried) -> _ => {
                            is_hurried = true;
                            continue;
                        }
                        default(deadline.saturating_duration_since(Instant::now())) => None,
                    }
                };
                let Some(item) = item else { break };
                events += item.events.len();
                bytes += bytes_of(&item.events);
                awaited = item.stored.is_some();
                batches.push(item);
            }
            self.writer.health.waiting.take(events);
            let arrived: Vec<_> = batches.iter().map(|batch| (Arc::clone(&batch.owner), batch.read_at)).collect();
            arrived.iter().for_each(|(owner, read_at)| owner.meter.history.arrived(*read_at));
            let waiting: Vec<_> = batches.iter_mut().filter_map(|batch| batch.stored.take()).collect();
            self.write_batches(batches);
            // Everything that was taken is committed by now, rejected, or given up.
            arrived.iter().for_each(|(owner, _)| owner.meter.history.committed());
            self.writer.health.waiting.remove(events);
            drop(waiting);
        }
        self.writer.given_up()
    }

    /// Notes that a transaction was committed. Where history was suspended, it goes on with the next sessions.
    fn committed(&self) {
        let Some(lasted) = self.suspension.commit() else { return };
        self.writer.health.history_moves_for(self.writer.connection.thread());
        log::warn!(
            "history: works again, suspended for {} s; sessions of the time before end for a new dump",
            lasted.as_secs()
        );
    }

    fn write_batches(&mut self, mut batches: Vec<EventBatch>) {
        // After a hole, later events of the same session would say what is not so.
        batches.retain(|batch| !batch.owner.progress.events.is_off());
        if batches.is_empty() {
            return;
        }
        let events: usize = batches.iter().map(|batch| batch.events.len()).sum();
        Health::count(&self.writer.health.history_batches, 1);
        match self.stamp(batches) {
            Some(mut stamped) => {
                self.write_all(&mut stamped);
                self.write_lost(&mut stamped);
                // The sessions have to keep everything that was given up, and everything after it.
                if self.writer.given_up() == 0 {
                    stamped.pieces.iter().for_each(|(owner, upto)| owner.progress.events.acknowledge(*upto));
                }
            }
            None => self.writer.give_up(events),
        }
    }

    /// Reports the events of routers that another collector has taken.
    fn write_lost(&mut self, batch: &mut Stamped) {
        for router in std::mem::take(&mut batch.lost) {
            let count = batch.rows.iter().filter(|row| row.event.table.router == router).count();
            // Times after the claim are the other collector's, so a later claim starts from the stored events.
            self.last.remove(&router);
            if count > 0 && late::report_events(&mut self.writer, &router, count) == Err(None) {
                self.writer.give_up(count);
            }
        }
    }

    /// Assigns each event its time. `None`: the shutdown grace period is over.
    fn stamp(&mut self, batches: Vec<EventBatch>) -> Option<Stamped> {
        let base = self.writer.connection.retry_forever(events::clock)?;
        let mut stamped = Stamped {
            owners: BTreeMap::new(),
            lost: BTreeSet::new(),
            rows: Vec::new(),
            tables: BTreeSet::new(),
            pieces: Vec::new(),
        };
        let mut latest = base;
        for batch in batches {
            let router = &batch.owner.router;
            let mut last = match self.last.get(router) {
                Some(last) => *last,
                // The clock may have stepped back since an earlier process wrote this router's events.
                None => self
                    .writer
                    .connection
                    .retry_forever(|client| events::latest(client, router, base))?
                    .unwrap_or(Timestamp::from_unix_micros(0)),
            };
            if last.unix_micros() - base.unix_micros() > AHEAD_MAX_MICROS {
                log::warn!(
                    "router {router}: its last event is at {last}, the database's clock is at {base}: history continues from there"
                );
                last = base;
            }
            for event in batch.events {
                last = Timestamp::from_unix_micros(base.unix_micros().max(last.unix_micros() + 1));
                let raw = event.raw.as_ref().map(|raw| self.pack(raw));
                stamped.rows.push(Row { time: last, event, raw, check: None });
            }
            latest = latest.max(last);
            self.last.insert(router.clone(), last);
            stamped.tables.extend(batch.tables);
            stamped.pieces.push((batch.owner.clone(), batch.upto));
            stamped.owners.insert(router.clone(), batch.owner);
        }
        self.suspension.set_last_event(latest);
        // In key order the pages of the prefix index are found in memory, which saves a tenth of the time. The order of
        // events is in their times.
        stamped.rows.sort_unstable_by(|a, b| a.compare_keys(b).then_with(|| a.time.cmp(&b.time)));
        self.pasts.learn(&stamped.rows, &mut self.writer.connection)?;
        past::sift(&mut stamped.rows, &self.pasts);
        Some(stamped)
    }

    fn pack(&mut self, raw: &Arc<[u8]>) -> Arc<[u8]> {
        // Readers recognize compression by the magic number, so a message that cannot be compressed may stay
        // uncompressed.
        match self.compressor.as_mut().map(|compressor| compressor.compress(raw)) {
            Some(Ok(packed)) => packed.into(),
            Some(Err(_)) | None => raw.clone(),
        }
    }

    fn write_all(&mut self, batch: &mut Stamped) {
        let rows = 0..batch.rows.len();
        let mut events = Events { writer: self, batch, are_tables_noted: false, partitions_made: false };
        let mut given_up = refused_rows::write_all(&mut events, vec![Part { rows, way: CopyMode::Direct }]);
        if given_up.is_empty() && !events.are_tables_noted {
            // The last event was rejected.
            given_up = refused_rows::write_all(&mut events, vec![Part { rows: 0..0, way: CopyMode::Direct }]);
        }
        if !given_up.is_empty() {
            self.writer.give_up(rows_of(&given_up));
        }
    }

    /// Writes `range`, in one transaction. The last one of a batch also notes the tables.
    fn write(
        &mut self,
        batch: &mut Stamped,
        range: &Range<usize>,
        way: CopyMode,
        is_last: bool,
    ) -> Result<(), Failure> {
        loop {
            let lost = self.try_write(batch, range, way, is_last)?;
            if lost.is_empty() {
                return Ok(());
            }
            for router in lost {
                // From here on its rows are skipped, and reported at the end.
                if let Some(owner) = batch.owners.remove(&router) {
                    owner.set_lost();
                    batch.lost.insert(router);
                }
            }
        }
    }

    fn try_write(
        &mut self,
        batch: &Stamped,
        range: &Range<usize>,
        way: CopyMode,
        is_last: bool,
    ) -> Result<Vec<RouterId>, Failure> {
        let epochs: Vec<_> = batch.owners.values().map(|owner| (owner.router.clone(), owner.epoch)).collect();
        let columns = &self.columns;
        let (others, rows): (Vec<&Row>, Vec<&Row>) = batch.rows[range.clone()]
            .iter()
            .filter(|row| batch.owners.contains_key(&row.event.table.router))
            .partition(|row| row.is_nlri());
        let mut written = 0;
        let collector = self.writer.options.collector_id.clone();
        let mut positions = if is_last { positions_of(PositionOf::History, &batch.pieces) } else { Vec::new() };
        positions.retain(|position| batch.owners.contains_key(&position.router));
        let lost = self.writer.connection.retry(|client, attempt| {
            written = 0;
            let mut transaction = client.transaction()?;
            let lost = owner::lost(&mut transaction, &epochs)?;
            if !lost.is_empty() {
                return Ok(lost);
            }
            let is_first = way == CopyMode::Direct && attempt.prior == PriorCommit::No;
            let is_checked = |row: &&&Row| !is_first || row.check.is_some();
            // Rows that are compared with stored ones come first, then the rows after them.
            let mut checked = rows.iter().filter(is_checked).peekable();
            let routers = || -> Vec<&str> { batch.owners.keys().map(RouterId::as_str).collect() };
            if checked.peek().is_some() {
                let all = checked.map(|row| row.with_check(columns));
                written += events::copy_checked(&mut transaction, RibKind::LocRib, &routers(), all)?;
            }
            let mut direct = rows.iter().filter(|row| !is_checked(row)).peekable();
            if direct.peek().is_some() {
                written += events::copy(&mut transaction, direct.map(|row| row.as_event_row(columns)))?;
            }
            if !others.is_empty() {
                let all = others.iter().map(|row| row.with_check(columns));
                written += events::copy_checked(&mut transaction, RibKind::NlriLocRib, &routers(), all)?;
            }
            if is_last {
                let tables = batch.tables.iter().map(|table| &**table);
                let tables: Vec<&Table> = tables.filter(|table| batch.owners.contains_key(&table.router)).collect();
                sync::seen_raw(&mut transaction, &tables)?;
                journal_positions::put(&mut transaction, PositionOf::History, &collector, &positions)?;
            }
            attempt.commit(transaction, lost)
        })?;
        if lost.is_empty() {
            positions.iter().for_each(Position::commit);
        }
        Health::count(&self.writer.health.events_written, written);
        Ok(lost)
    }

    /// Creates the partitions of the batch's days. `None`: the shutdown grace period is over.
    fn make_partitions(&mut self, batch: &Stamped) -> Option<()> {
        let days: BTreeSet<(bool, Date)> =
            batch.rows.iter().map(|row| (row.is_nlri(), partitions::day_of(row.time))).collect();
        for (is_nlri, day) in days {
            let series = if is_nlri { &NLRI_EVENTS } else { &EVENTS };
            if self.writer.connection.retry_forever(|client| partitions::ensure_in(client, series, day))? {
                log::info!("partition {}: created by the event writer", series.name_of(day));
            }
        }
        Some(())
    }
}

/// Returns an upper bound in bytes of the memory that the events use: those of one UPDATE share their attributes.
fn bytes_of(events: &[RouteEvent]) -> usize {
    let columns = |event: &RouteEvent| match &event.change {
        RouteChange::Announce(route) => route.size(),
        RouteChange::Withdraw(_) => 0,
    };
    let own = |event| columns(event) + event.raw.as_ref().map_or(0, |raw| raw.len());
    events.iter().map(|event| size_of::<RouteEvent>() + own(event)).sum()
}
