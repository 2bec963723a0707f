//! Long-running work of one router, cut into slices or handed over (`removals`): other routers' items are written
//! meanwhile.
//!
//! Items that a router's session sends after such work wait here too, which keeps their order. Everything else goes on.

use std::collections::VecDeque;

use super::batch::GATHERED_BYTES_MAX;
use super::op::{Gap, RouteChange, StateBatch, StateItem, StateOp};
use crate::model::RouterId;

/// The number of stale routes in one slice of a purge: a fraction of a second.
pub(super) const SLICE_ROUTES: usize = 20_000;

/// Items that a writer has taken and not begun.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    items: VecDeque<Delayed>,
    /// An upper bound of the memory that whole items use, bytes: rows of one UPDATE share their attributes.
    bytes: usize,
    /// Routers whose removals other threads execute.
    away: Vec<RouterId>,
}

/// One item of the backlog.
#[derive(Debug)]
pub(super) enum Delayed {
    /// An item as received.
    Item(StateItem),
    /// The rest of a batch that was begun.
    Rest(StateBatch),
}

impl Backlog {
    /// Returns whether an item can be begun.
    pub(super) fn is_ready(&self) -> bool {
        self.next().is_some()
    }

    /// Returns whether other threads execute removals.
    pub(super) fn is_away(&self) -> bool {
        !self.away.is_empty()
    }

    /// Returns whether further items have to wait in the channel.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= GATHERED_BYTES_MAX
    }

    /// Returns whether work of the item's router is here, so that the item has to wait for it.
    pub(super) fn precedes(&self, item: &StateItem) -> bool {
        let Some(router) = router_of(item) else { return false };
        self.away.contains(router) || self.items.iter().any(|delayed| delayed.router() == Some(router))
    }

    pub(super) fn push(&mut self, item: StateItem) {
        self.bytes += bytes_of(&item);
        self.items.push_back(Delayed::Item(item));
    }

    /// Puts the rest of a batch that was begun in front.
    pub(super) fn push_rest(&mut self, rest: StateBatch) {
        self.items.push_front(Delayed::Rest(rest));
    }

    /// Returns the first item whose router is not waiting for a removal.
    pub(super) fn pop(&mut self) -> Option<Delayed> {
        let delayed = self.items.remove(self.next()?)?;
        if let Delayed::Item(item) = &delayed {
            self.bytes -= bytes_of(item);
        }
        Some(delayed)
    }

    fn next(&self) -> Option<usize> {
        self.items.iter().position(|delayed| delayed.router().is_none_or(|router| !self.away.contains(router)))
    }

    /// Lets the items of a router wait until its removal is over.
    pub(super) fn send_away(&mut self, router: RouterId) {
        self.away.push(router);
    }

    /// Notes that a removal of a router's tables is over, which had `removed` routes: the operation that caused it, the
    /// first one that waits, says that number, and is large no more.
    pub(super) fn come_back(&mut self, router: &RouterId, removed: u64) {
        self.away.retain(|away| away != router);
        let first = self.items.iter_mut().find_map(|delayed| match delayed {
            Delayed::Rest(batch) if batch.owner.router == *router => batch.ops.first_mut(),
            _ => None,
        });
        if let Some(StateOp::TablesDown { routes, event, .. }) = first {
            *routes = 0;
            event.iter_mut().for_each(|event| event.routes = i64::try_from(removed).ok());
        }
    }
}

impl Delayed {
    fn router(&self) -> Option<&RouterId> {
        match self {
            Delayed::Item(item) => router_of(item),
            Delayed::Rest(batch) => Some(&batch.owner.router),
        }
    }
}

fn router_of(item: &StateItem) -> Option<&RouterId> {
    match item {
        StateItem::Claim(claim) => Some(&claim.record.router),
        StateItem::Batch(batch) => Some(&batch.owner.router),
        StateItem::Note(router, _) | StateItem::Gap(Gap { router, .. }) => router.as_ref(),
    }
}

/// Returns the memory that an item uses, bytes.
fn bytes_of(item: &StateItem) -> usize {
    let ops = match item {
        StateItem::Batch(batch) => batch.ops.as_slice(),
        StateItem::Claim(_) | StateItem::Note(..) | StateItem::Gap(_) => &[],
    };
    size_of::<StateItem>() + ops.iter().map(|op| size_of::<StateOp>() + content(op)).sum::<usize>()
}

/// Returns the memory that the content of an operation uses, as far as it may be large, bytes.
fn content(op: &StateOp) -> usize {
    match op {
        StateOp::Route { change: RouteChange::Announce(route), .. } => route.size(),
        StateOp::EndOfRib { stale, .. } | StateOp::PurgeStale { stale, .. } => size_of_val(&**stale),
        _ => 0,
    }
}

/// Cuts an operation that takes long: it keeps its first stale routes, and the rest is returned for another slice.
pub(super) fn slice(op: &mut StateOp) -> Option<StateOp> {
    match op {
        StateOp::EndOfRib { table, stale } if stale.len() > SLICE_ROUTES => {
            Some(StateOp::EndOfRib { table: table.clone(), stale: stale.split_off(SLICE_ROUTES) })
        }
        StateOp::PurgeStale { table, stale } if stale.len() > SLICE_ROUTES => {
            Some(StateOp::PurgeStale { table: table.clone(), stale: stale.split_off(SLICE_ROUTES) })
        }
        _ => None,
    }
}
