//! The changes of one table's watched routes, as the condition `flapping` counts them: a route came, went, or has
//! another AS path or next hop.
//!
//! Dumps do not count, nor does the first minute of a table. A change of nothing but MED, communities or the path
//! identifier is none.

use std::collections::HashMap;
use std::time::Duration;

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3;

use super::route_map::RouteEffect;
use crate::model::watch::flaps::FlapPlace;
use crate::model::{Nlri, Prefix, Table, Timestamp, View};
use crate::pipeline::Flaps;
use crate::store::copy_encoding::{EncodedRoute, RouteWay};

/// The time after the first message of a table in which nothing counts, by the router's clock: what waits on its way is
/// read faster than it was sent.
const FIRST: Duration = Duration::from_secs(60);

/// The time within which a route that comes under another path identifier has not been away.
const RENUMBERED_WITHIN: Duration = Duration::from_secs(1);

/// The watched routes of one table.
#[derive(Debug, Default)]
pub(super) struct TableFlaps {
    /// When changes begin to count; `None`: no message has arrived.
    counts_from: Option<Timestamp>,
    prefixes: HashMap<Prefix, Paths>,
}

/// The routes for one prefix.
#[derive(Debug, Default)]
struct Paths {
    known: SmallVec<[Path; 1]>,
    /// The withdrawal before, if it was counted.
    gone: Option<Box<(Path, Timestamp)>>,
}

#[derive(Clone, Debug)]
struct Path {
    path_id: u32,
    /// A hash of AS path and next hop.
    way: u64,
    /// The AS path, once a change to it was counted.
    text: Option<Box<[u8]>>,
}

/// A message of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlapMoment<'a> {
    pub(super) table: &'a Table,
    /// True during a dump.
    pub(super) is_dump: bool,
    pub(super) received_at: Timestamp,
    /// The same by the router's clock, if it gives a time.
    pub(super) sent_at: Timestamp,
}

impl FlapMoment<'_> {
    fn place(&self, prefix: Prefix) -> FlapPlace {
        FlapPlace {
            router: self.table.router.clone(),
            table: self.table.name.clone(),
            view: self.table.view,
            prefix,
            minute: self.received_at.unix_micros().div_euclid(60_000_000),
        }
    }
}

impl TableFlaps {
    /// Notes that a message has arrived.
    #[inline]
    pub(super) fn heard(&mut self, sent_at: Timestamp) {
        self.counts_from.get_or_insert_with(|| later(sent_at, FIRST));
    }

    fn counts(&self, moment: FlapMoment<'_>) -> bool {
        let is_out = matches!(moment.table.view, View::AdjRibOut(_));
        !is_out && !moment.is_dump && self.counts_from.is_some_and(|from| moment.sent_at >= from)
    }

    /// Notes an announcement. `effect`: what it means for the stored routes.
    pub(super) fn announce(
        &mut self,
        nlri: &Nlri,
        route: &EncodedRoute,
        effect: RouteEffect,
        moment: FlapMoment<'_>,
        flaps: &Flaps,
    ) {
        let is_counted = self.counts(moment);
        let (path_id, columns) = (nlri.path_id_column(), RouteWay::of(route));
        let way = hash(columns);
        let paths = self.prefixes.entry(nlri.prefix).or_default();
        let before = match paths.known.iter_mut().find(|path| path.path_id == path_id) {
            Some(path) => Some(std::mem::replace(&mut path.way, way)),
            None => {
                paths.known.push(Path { path_id, way, text: None });
                None
            }
        };
        let before = before.filter(|_| effect != RouteEffect::New);
        // It was stored before anything was known of it.
        let is_unknown = before.is_none() && effect != RouteEffect::New;
        if !is_counted || is_unknown || before == Some(way) {
            return;
        }
        let others = |way: u64| paths.known.iter().any(|path| path.path_id != path_id && path.way == way);
        if others(way) && before.is_none_or(others) {
            return;
        }
        if before.is_none()
            && let Some((gone, at)) = paths.gone.take().map(|gone| *gone)
            && (gone.way, gone.path_id != path_id) == (way, true)
            && moment.sent_at < later(at, RENUMBERED_WITHIN)
        {
            flaps.add(moment.place(nlri.prefix), gone.text.as_deref(), 0, -1);
            return;
        }
        if let Some(path) = paths.known.iter_mut().find(|path| path.path_id == path_id) {
            path.text = columns.path.map(Into::into);
        }
        flaps.add(moment.place(nlri.prefix), columns.path, 1, 0);
    }

    /// Notes the withdrawal of a route that was stored.
    pub(super) fn withdraw(&mut self, nlri: &Nlri, moment: FlapMoment<'_>, flaps: &Flaps) {
        let is_counted = self.counts(moment);
        let paths = self.prefixes.entry(nlri.prefix).or_default();
        let place = paths.known.iter().position(|path| path.path_id == nlri.path_id_column());
        let gone = place.map(|place| paths.known.swap_remove(place));
        let is_left = gone.as_ref().is_some_and(|gone| paths.known.iter().any(|path| path.way == gone.way));
        if !is_counted || is_left {
            return;
        }
        flaps.add(moment.place(nlri.prefix), gone.as_ref().and_then(|gone| gone.text.as_deref()), 0, 1);
        paths.gone = gone.map(|gone| Box::new((gone, moment.sent_at)));
    }
}

fn hash(way: RouteWay<'_>) -> u64 {
    let mut hash = Xxh3::new();
    for column in [way.next_hop, way.path] {
        let length = column.map_or(u64::MAX, |column| u64::try_from(column.len()).unwrap_or(0));
        hash.update(&length.to_ne_bytes());
        hash.update(column.unwrap_or_default());
    }
    hash.digest()
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_unix_micros(time.unix_micros().saturating_add(i64::try_from(by.as_micros()).unwrap_or(0)))
}

#[cfg(test)]
#[path = "flaps_tests.rs"]
mod tests;
