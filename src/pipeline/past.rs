//! Which events of a batch may be stored already, and by what that is told.
//!
//! Routers stamp a route with the time they learned it, so that a dump behind a crash repeats what is stored; and what a
//! spool replays may have been stored by the process that was killed. Whether the table has any event that counts is
//! asked once for each dump, so the first dump of a router goes without a look at what is there.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::connection::RetryingClient;
use super::event_writer::Row;
use super::op::RouteChange;
use crate::model::{Table, Timestamp};
use crate::store::events::{self, Check};

/// How far the clocks of a collector and of the database may lie apart: an event is looked for from so long before it was
/// received on.
const CLOCKS_APART_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// So many tables are known before the first look for those that are gone.
const TABLES_MIN: usize = 1024;

/// From when on the events of tables count whose dumps are told, each as it was when its dump began.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    /// By where the table is: a session makes one for each dump. As long as the reference is here, no other is made there.
    known: HashMap<usize, (Weak<Table>, Option<Timestamp>)>,
    /// With so many of them it is looked which are gone.
    tidy_at: usize,
}

impl Pasts {
    /// Asks for what is not known of the rows' tables. `None`: the grace at the stop is over.
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

/// Takes out what a dump repeats of the rows themselves, and decides by what each of the others is told from what is stored.
/// The rows stand by key, those of a key in their order.
pub(super) fn sift(rows: &mut Vec<Row>, pasts: &Pasts) {
    if rows.iter().all(|row| row.event.doubts == Default::default()) {
        return;
    }
    let mut repeats = vec![false; rows.len()];
    for i in 0..rows.len() {
        // Only the first event of a key can be told from what is stored; those behind it, from the one before.
        let before = i.checked_sub(1).map(|before| &rows[before]).filter(|before| before.is_of_key(&rows[i]));
        let is_dumped = rows[i].event.doubts.is_dumped;
        repeats[i] = is_dumped && before.is_some_and(|before| says_the_same(before, &rows[i]));
        rows[i].check = check(&rows[i], is_dumped && before.is_none(), pasts);
    }
    let mut repeats = repeats.into_iter();
    rows.retain(|_| repeats.next() != Some(true));
}

fn check(row: &Row, is_dumped: bool, pasts: &Pasts) -> Option<Check> {
    let doubts = row.event.doubts;
    let earliest = |time: Timestamp| Timestamp::from_unix_micros(time.unix_micros() - CLOCKS_APART_MICROS);
    let past = pasts.of(&row.event.table);
    // What another collector stores at this moment is not in the answer yet.
    let past = if doubts.is_shared { past.or(Some(earliest(row.time))) } else { past };
    let dumped_from = past.filter(|_| is_dumped);
    let is_shared = doubts.is_shared && !doubts.is_dumped;
    let from = [
        dumped_from,
        past.filter(|_| is_shared),
        doubts.is_replayed.then(|| earliest(row.event.received_at.min(row.time))),
    ];
    let from = from.into_iter().flatten().min()?;
    Some(Check { from, dumped_from, is_replayed: doubts.is_replayed, is_shared })
}

/// Whether a route is announced once more as it is, with the same stamp.
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
