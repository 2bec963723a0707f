//! Events that were read before another collector took their router: stored before the events of that collector.
//!
//! Times are strictly increasing per router, and history is read in their order. So the events that this collector
//! still has are dated after the router's last event and before the other collector's claim, and are checked against
//! stored ones: both collectors may have received the same. Events that do not fit in between are recorded as a `gap`
//! row and counted.

use std::collections::HashMap;
use std::ops::Range;

use super::connection::Failure;
use super::event_rows::{Row, WithdrawColumns, would_store_another};
use super::health::Health;
use super::op::Ownership;
use super::refused_rows::{self, Piece, Work, Writer};
use crate::model::{RouterId, Table, Timestamp};
use crate::store::events::{self, Check};
use crate::store::{Error, owner, sync};

/// The latest start of late events, in microseconds before the claim: room for a million of them, a microsecond each.
const ROOM_MICROS: i64 = 1_000_000;

/// The time before the claim in which the router's last event is searched, in microseconds: one day.
const LOOK_BACK_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// The time of the last event that was stored late, for each router that another collector took.
#[derive(Debug, Default)]
pub(super) struct Late {
    last: HashMap<RouterId, Timestamp>,
}

/// Events of a router that another collector has, with their times.
struct LateEvents<'a> {
    writer: &'a mut Writer,
    columns: &'a WithdrawColumns,
    router: &'a RouterId,
    rows: &'a [Row],
}

impl Work for LateEvents<'_> {
    type Piece = Range<usize>;

    fn write(&mut self, range: &mut Range<usize>, _: bool) -> Result<(), Failure> {
        if range.rows() == 0 {
            return Ok(());
        }
        let columns = self.columns;
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
        let told = tell_gap(self.writer, self.router, rows, from, "their day is no longer kept");
        told.ok_or(Failure::GaveUp)
    }

    fn would_do_canary(&mut self, range: &Range<usize>) -> bool {
        would_store_another(self.writer, self.columns, &self.rows[range.start])
    }

    fn reject(&mut self, range: &Range<usize>, error: Error) {
        self.rows[range.clone()].iter().for_each(|row| self.writer.reject(self.router, row, &error));
    }

    fn wait_after(&mut self, error: &Error) -> Result<(), Failure> {
        self.writer.connection.wait_after(error)
    }
}

impl Late {
    /// Stores the events of a router that another collector has. `None`: the shutdown grace period is over.
    pub(super) fn write(
        &mut self,
        writer: &mut Writer,
        columns: &WithdrawColumns,
        of: &Ownership,
        mut rows: Vec<Row>,
    ) -> Option<()> {
        let router = &of.router;
        rows.sort_unstable_by_key(|row| row.time);
        let Some((since, floor)) = room(writer, of, &rows)? else {
            return tell_gap(writer, router, &rows, Timestamp::now(), "yet another collector has had it");
        };
        let mut last = self.last.get(router).map_or(floor, |late| floor.max(*late));
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
        let reaches = writer.connection.retry_forever(|client| events::reach(client, &tables))?;
        for (row, reach) in rows.iter_mut().zip(reaches) {
            let from = reach.unwrap_or(since).min(since);
            row.check = Some(Check { is_shared: true, ..Check::none(from) });
        }
        self.last.insert(router.clone(), last);
        if !rows.is_empty() {
            log::info!(
                "router {router}: {} events from before its take-over are stored with times before it",
                rows.len()
            );
        }
        let all = 0..rows.len();
        let given_up = refused_rows::write_all(&mut LateEvents { writer, columns, router, rows: &rows }, vec![all]);
        if !given_up.is_empty() {
            return None;
        }
        if rest.is_empty() { Some(()) } else { tell_gap(writer, router, &rest, add(floor, 1), "no time is left") }
    }
}

/// Returns when the next collector took the router, and the time of the last event before that. The inner `None`: a
/// later collector has it; the outer one: the shutdown grace period is over.
fn room(writer: &mut Writer, of: &Ownership, rows: &[Row]) -> Option<Option<(Timestamp, Timestamp)>> {
    let mut tables: Vec<&Table> = rows.iter().map(|row| &*row.event.table).collect();
    tables.sort_unstable();
    tables.dedup();
    writer.connection.retry_forever(|client| {
        let Some((since, epoch)) = owner::since(client, &of.router)? else { return Ok(None) };
        if epoch != of.epoch + 1 {
            return Ok(None);
        }
        let look_back = add(since, -LOOK_BACK_MICROS);
        let floor = events::latest_before(client, &of.router, &tables, look_back, since)?;
        Ok(Some((since, floor.unwrap_or(look_back))))
    })
}

/// Records that events of a router are lost, from the time `from` on.
fn tell_gap(writer: &mut Writer, router: &RouterId, rows: &[Row], from: Timestamp, why: &str) -> Option<()> {
    let reason = format!("{} events from before a take-over could not be stored: {why}", rows.len());
    log::error!("router {router}: {reason}");
    Health::count(&writer.health.events_lost, u64::try_from(rows.len()).unwrap_or(u64::MAX));
    let events =
        writer.connection.retry_forever(|client| sync::insert_gap(client, router, from, &reason, rows.len()))?;
    writer.options.notices.push(events);
    Some(())
}

fn add(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(time.unix_micros().saturating_add(micros))
}
