//! Long-running work of one router, cut into slices: other routers' items are written between two slices.
//!
//! Items that a router's session sends after such work wait here too, which keeps their order. Everything else goes on.

use std::collections::VecDeque;

use super::op::{StateBatch, StateItem, StateOp};
use crate::model::RouterId;

/// The number of stale routes in one slice of a purge: a fraction of a second.
pub(super) const SLICE_ROUTES: usize = 20_000;

/// The maximum number of items that wait here, besides one in slices; further ones wait in the channel.
const ITEMS_MAX: usize = 64;

/// Items that a writer has taken and not begun.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    items: VecDeque<Delayed>,
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
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() > ITEMS_MAX
    }

    /// Returns whether work of the item's router is here, so that the item has to wait for it.
    pub(super) fn precedes(&self, item: &StateItem) -> bool {
        let router = router_of(item);
        router.is_some() && self.items.iter().any(|delayed| delayed.router() == router)
    }

    pub(super) fn push(&mut self, item: StateItem) {
        self.items.push_back(Delayed::Item(item));
    }

    /// Puts the rest of a batch that was begun in front.
    pub(super) fn push_rest(&mut self, rest: StateBatch) {
        self.items.push_front(Delayed::Rest(rest));
    }

    pub(super) fn pop(&mut self) -> Option<Delayed> {
        self.items.pop_front()
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
        StateItem::Note(router, _) => router.as_ref(),
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
