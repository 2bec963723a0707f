//! Work of one router that takes long, cut into slices: between two of them other routers' items are written.
//!
//! What a router said behind such work waits here too, so its order stays. All else goes on.

use std::collections::VecDeque;

use super::op::{StateBatch, StateItem, StateOp};
use crate::model::RouterId;

/// How many stale routes a slice of a purge has: a fraction of a second.
pub(super) const SLICE_ROUTES: usize = 20_000;

/// How many items wait here at most, besides one in slices; further ones wait in the channel.
const ITEMS_MAX: usize = 64;

/// What a writer has taken and not begun.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    items: VecDeque<Delayed>,
}

/// One item of the backlog.
#[derive(Debug)]
pub(super) enum Delayed {
    /// As it came.
    Item(StateItem),
    /// What is left of a batch.
    Rest(StateBatch),
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() > ITEMS_MAX
    }

    /// Whether the item has to wait behind what is here.
    pub(super) fn precedes(&self, item: &StateItem) -> bool {
        let router = router_of(item);
        router.is_some() && self.items.iter().any(|delayed| delayed.router() == router)
    }

    pub(super) fn push(&mut self, item: StateItem) {
        self.items.push_back(Delayed::Item(item));
    }

    /// What is left of a batch that was begun.
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

/// What an operation leaves for another slice, if it takes long: it keeps its first stale routes.
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
