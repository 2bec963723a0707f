//! Events that were read before another collector took their router: stored before the events of that collector.
//!
//! Times are strictly increasing per router, and history is read in their order. So the events that this collector
//! still has are dated after the router's last event and before the other collector's claim, and are checked against
//! stored ones: both collectors may have received the same. Events that do not fit in between are recorded as a `gap`
//! row and counted.

use std::ops::Range;
use std::sync::Arc;

use super::connection::Failure;
use super::event_writer::{EventWriter, Row};
use super::health::Health;
use super::op::Ownership;
use super::refused_rows::{self, Piece, Work};
use crate::model::{RouterId, Table, Timestamp};
use crate::store::events::{self, Check};
use crate::store::{Error, owner, sync};

/// The latest start of late events, in microseconds before the claim: room for a million of them, a microsecond each.
const ROOM_MICROS: i64 = 1_000_000;

/// The time before the claim in which the router's last event is searched, in microseconds: one day.
const LOOK_BACK_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// Events of a router that another collector has, with their times.
struct LateEvents<'a> {
    writer: &'a mut EventWriter,
    router: &'a RouterId,
    rows: &'a [Row],
}

impl Work for LateEvents<'_> {
    type Piece = Range<usize>;

    fn write(&mut self, range: &mut Range<usize>, _: bool) -> Result<(), Failure> {
        if range.rows() == 0 {
            return Ok(());
        }
        let columns = &self.writer.columns;
        let written = self.writer.connection.retry(|client, attempt| {
            let mut transaction = client.transaction()?;
            let check = |row: &Row| row.check.unwrap_or(Check::none(row.time));
            let all = self.rows[range.clone()].iter().map(|row| (row.as_event_row(columns), check(row)));
            let written = events::copy_checked(&mut transaction, &[self.router.as_str()], all)?;
            attempt.commit(transaction, written)
        })?;
        Health::count(&self.writer.health.events_written, written);
        Ok(())
    }

    fn resolve(&mut self, range: &mut Range<usize>, _: bool, failure: Failure) -> Result<(), Failure> {
        let Failure::NoPartition(_) = failure else { return Err(failure) };
        let rows = &self.rows[std::mem::take(range)];
        let from = rows.first().map_or_else(Timestamp::now, |row| row.time);
        let told = self.writer.tell_gap(self.router, rows, from, "their day is no longer kept");
        told.ok_or(Failure::GaveUp)
    }

    fn would_do_canary(&mut self, range: &Range<usize>) -> bool {
        self.writer.would_store_another(&self.rows[range.start])
    }

    fn reject(&mut self, range: &Range<usize>, error: Error) {
        self.rows[range.clone()].iter().for_each(|row| self.writer.reject(row, &error));
    }

    fn wait_after(&mut self, error: &Error) -> Result<(), Failure> {
        self.writer.connection.wait_after(error)
    }
}

impl EventWriter {
    /// Stores the events of a router that another collector has. `None`: the shutdown grace period is over.
    pub(super) fn write_late(&mut self, of: &Arc<Ownership>, mut rows: Vec<Row>) -> Option<()> {
        let router = &of.router;
        rows.sort_unstable_by_key(|row| row.time);
        let Some((since, floor)) = self.room(of, &rows)? else {
            return self.tell_gap(router, &rows, Timestamp::now(), "yet another collector has had it");
        };
        let mut last = self.late.get(router).map_or(floor, |late| floor.max(*late));
        let begins = add(since, -ROOM_MICROS);
        let mut fits = 0;
        for row in &mut rows {
            let time = add(last, 1).max(row.time.min(begins));
            if time >= since {
                break;
            }
            (row.time, last) = (time, time);
            fits += 1;
        }
        let rest = rows.split_off(fits);
        let tables: Vec<&Table> = rows.iter().map(|row| &*row.event.table).collect();
        let reaches = self.connection.retry_forever(|client| events::reach(client, &tables))?;
        for (row, reach) in rows.iter_mut().zip(reaches) {
            let from = reach.unwrap_or(since).min(since);
            row.check = Some(Check { is_shared: true, ..Check::none(from) });
        }
        self.late.insert(router.clone(), last);
        if !rows.is_empty() {
            log::info!(
                "router {router}: {} events from before its take-over are stored with times before it",
                rows.len()
            );
        }
        self.store_late(router, &rows)?;
        if rest.is_empty() { Some(()) } else { self.tell_gap(router, &rest, add(floor, 1), "no time is left") }
    }

    /// Returns when the next collector took the router, and the time of the last event before that. The inner `None`: a
    /// later collector has it; the outer one: the shutdown grace period is over.
    fn room(&mut self, of: &Ownership, rows: &[Row]) -> Option<Option<(Timestamp, Timestamp)>> {
        let mut tables: Vec<&Table> = rows.iter().map(|row| &*row.event.table).collect();
        tables.sort_unstable();
        tables.dedup();
        self.connection.retry_forever(|client| {
            let Some((since, epoch)) = owner::since(client, &of.router)? else { return Ok(None) };
            if epoch != of.epoch + 1 {
                return Ok(None);
            }
            let look_back = add(since, -LOOK_BACK_MICROS);
            let floor = events::latest_before(client, &of.router, &tables, look_back, since)?;
            Ok(Some((since, floor.unwrap_or(look_back))))
        })
    }

    fn store_late(&mut self, router: &RouterId, rows: &[Row]) -> Option<()> {
        let all = 0..rows.len();
        let given_up = refused_rows::write_all(&mut LateEvents { writer: self, router, rows }, vec![all]);
        given_up.is_empty().then_some(())
    }

    /// Records that events of a router are lost, from the time `from` on.
    fn tell_gap(&mut self, router: &RouterId, rows: &[Row], from: Timestamp, why: &str) -> Option<()> {
        let reason = format!("{} events from before a take-over could not be stored: {why}", rows.len());
        log::error!("router {router}: {reason}");
        Health::count(&self.health.events_lost, u64::try_from(rows.len()).unwrap_or(u64::MAX));
        let events =
            self.connection.retry_forever(|client| sync::insert_gap(client, router, from, &reason, rows.len()))?;
        self.options.notices.push(events);
        Some(())
    }
}

fn add(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(time.unix_micros().saturating_add(micros))
}
