//! The decision about which events of a batch may be stored already, and which check finds them.
//!
//! Routers stamp a route with the time they learned it, so that a dump after a crash repeats stored events; and events
//! that a journal replays may have been stored by the process that was killed. One query for each dump asks whether the
//! table has any event that matters, so the first dump of a router is stored without comparing.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::connection::RetryingClient;
use super::event_rows::Row;
use super::op::RouteChange;
use crate::model::{Table, Timestamp};
use crate::store::events::{self, Check};

/// The maximum difference between the clocks of a collector and of the database: the search for an event starts this
/// long before it was received.
const CLOCKS_APART_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// The number of known tables at which those that are gone are first removed.
const TABLES_MIN: usize = 1024;

/// The time from which on the events of a table matter, for tables whose dumps are reported, as of the start of each
/// dump.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    /// By the address of the table: a session creates one for each dump. While the weak reference is here, the address
    /// is not used again.
    known: HashMap<usize, (Weak<Table>, Option<Timestamp>)>,
    /// The number of known tables at which those that are gone are next removed.
    tidy_at: usize,
}

impl Pasts {
    /// Queries the times that are not known of the rows' tables. `None`: the shutdown grace period is over.
    pub(super) fn learn(&mut self, rows: &[Row], connection: &mut RetryingClient) -> Option<()> {
        let mut new: HashMap<usize, &Arc<Table>> = HashMap::new();
        for row in rows.iter().filter(|row| row.event.doubts.is_dumped || row.event.doubts.is_shared) {
            let place = place(&row.event.table);
            if !self.known.contains_key(&place) {
                new.insert(place, &row.event.table);
            }
        }
        if new.is_empty() {
            return Some(());
        }
        let new: Vec<(usize, &Arc<Table>)> = new.into_iter().collect();
        let tables: Vec<&Table> = new.iter().map(|(_, table)| &***table).collect();
        let times = connection.retry_forever(|client| events::reach(client, &tables))?;
        self.known.extend(new.iter().zip(times).map(|((place, table), time)| (*place, (Arc::downgrade(table), time))));
        if self.known.len() >= self.tidy_at.max(TABLES_MIN) {
            self.known.retain(|_, (table, _)| table.strong_count() > 0);
            self.tidy_at = 2 * self.known.len();
        }
        Some(())
    }

    fn of(&self, table: &Arc<Table>) -> Option<Timestamp> {
        self.known.get(&place(table)).and_then(|(_, from)| *from)
    }
}

/// Removes events that a dump repeats among the rows themselves, and decides by which check each of the others is
/// compared with stored events. The rows are sorted by key, those of a key in their order.
pub(super) fn sift(rows: &mut Vec<Row>, pasts: &Pasts) {
    if rows.iter().all(|row| row.event.doubts == Default::default()) {
        return;
    }
    let mut repeats = vec![false; rows.len()];
    for i in 0..rows.len() {
        // Only the first event of a key can be compared with stored ones; each later one is compared with the one
        // before.
        let before = i.checked_sub(1).map(|before| &rows[before]).filter(|before| before.is_of_key(&rows[i]));
        let is_first = before.is_none();
        let is_dumped = rows[i].event.doubts.is_dumped;
        repeats[i] = is_dumped && before.is_some_and(|before| says_the_same(before, &rows[i]));
        rows[i].check = check(&rows[i], is_first, pasts);
    }
    let mut repeats = repeats.into_iter();
    rows.retain(|_| repeats.next() != Some(true));
}

fn check(row: &Row, is_first: bool, pasts: &Pasts) -> Option<Check> {
    let doubts = row.event.doubts;
    let earliest = |time: Timestamp| Timestamp::from_unix_micros(time.unix_micros() - CLOCKS_APART_MICROS);
    let past = pasts.of(&row.event.table).filter(|_| is_first);
    let is_shared = doubts.is_shared && past.is_some();
    let dumped_from = past.filter(|_| doubts.is_dumped && !is_shared);
    let from = [
        dumped_from,
        past.filter(|_| is_shared),
        doubts.is_replayed.then(|| earliest(row.event.received_at.min(row.time))),
    ];
    let from = from.into_iter().flatten().min()?;
    Some(Check { from, dumped_from, is_replayed: doubts.is_replayed, is_shared })
}

/// Returns whether a route is announced once more without a change, with the same stamp.
fn says_the_same(before: &Row, row: &Row) -> bool {
    let stamp = |row: &Row| row.event.router_time.unwrap_or(row.event.received_at);
    let (RouteChange::Announce(then), RouteChange::Announce(now)) = (&before.event.change, &row.event.change) else {
        return false;
    };
    stamp(before) == stamp(row) && then == now
}

fn place(table: &Arc<Table>) -> usize {
    Arc::as_ptr(table).addr()
}
