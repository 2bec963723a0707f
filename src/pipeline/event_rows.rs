//! The rows of `route_events` and `nlri_route_events` that an event writer has in its hands.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::op::{RouteChange, RouteEvent, WithdrawReason};
use super::refused_rows::Writer;
use crate::model::{Afi, Nlri, Prefix, RouterId, Table, Timestamp};
use crate::store::copy_encoding::EncodedRoute;
use crate::store::events::{self, Action, Check, EventRow};

/// One event with its time.
pub(super) struct Row {
    pub(super) time: Timestamp,
    pub(super) event: RouteEvent,
    /// The message as it is stored: compressed, if so configured.
    pub(super) raw: Option<Arc<[u8]>>,
    /// The check that finds out whether the event is stored already; `None`: it is not.
    pub(super) check: Option<Check>,
}

/// The attribute columns of withdraws, which are the same for all.
pub(super) struct WithdrawColumns {
    withdrawn: EncodedRoute,
    stale: EncodedRoute,
    reread: EncodedRoute,
}

impl Default for WithdrawColumns {
    fn default() -> WithdrawColumns {
        WithdrawColumns {
            withdrawn: EncodedRoute::withdrawn(),
            stale: EncodedRoute::stale(),
            reread: EncodedRoute::reread(),
        }
    }
}

impl Row {
    /// Compares in the order of the prefix index; all paths of a prefix are adjacent.
    pub(super) fn compare_keys(&self, other: &Row) -> Ordering {
        let (one, two) = (&self.event, &other.event);
        let tables = || {
            let key = |table: &Table| (table.view, table.afi);
            let (a, b) = (&one.table, &two.table);
            a.router.cmp(&b.router).then_with(|| a.name.cmp(&b.name)).then_with(|| key(a).cmp(&key(b)))
        };
        let tables = if Arc::ptr_eq(&one.table, &two.table) { Ordering::Equal } else { tables() };
        let path = |event: &RouteEvent| event.nlri.path_id_column();
        tables.then_with(|| one.nlri.prefix.cmp(&two.nlri.prefix)).then_with(|| path(one).cmp(&path(two)))
    }

    /// Returns whether both are about one route of one table.
    pub(super) fn is_of_key(&self, other: &Row) -> bool {
        self.compare_keys(other) == Ordering::Equal
    }

    /// Returns whether it is about an NLRI of another family, whose history is a table of its own.
    pub(super) fn is_nlri(&self) -> bool {
        self.event.table.view.is_nlri()
    }

    /// Returns the row with the check for a stored one.
    pub(super) fn with_check<'a>(&'a self, columns: &'a WithdrawColumns) -> (EventRow<'a>, Check) {
        (self.as_event_row(columns), self.check.unwrap_or(Check::none(self.time)))
    }

    pub(super) fn as_event_row<'a>(&'a self, columns: &'a WithdrawColumns) -> EventRow<'a> {
        let (action, route) = match &self.event.change {
            RouteChange::Announce(route) => (Action::Announce, route),
            RouteChange::Withdraw(WithdrawReason::Withdrawn) => (Action::Withdraw, &columns.withdrawn),
            RouteChange::Withdraw(WithdrawReason::Stale) => (Action::Withdraw, &columns.stale),
            RouteChange::Withdraw(WithdrawReason::Reread) => (Action::Withdraw, &columns.reread),
        };
        EventRow {
            id: &self.event.id,
            time: self.time,
            table: &self.event.table,
            nlri: &self.event.nlri,
            action,
            route,
            raw: self.raw.as_deref(),
            received_at: self.event.received_at,
            router_time: self.event.router_time,
        }
    }
}

/// The event as text for the rejected file.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RouteEvent { table, nlri, change, received_at, .. } = &self.event;
        write!(f, "event of {table} {} path {:?} received {received_at}", nlri.prefix, nlri.path_id)?;
        match change {
            RouteChange::Announce(route) => {
                f.write_str(" announced, columns ")?;
                route.columns().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            RouteChange::Withdraw(WithdrawReason::Withdrawn) => f.write_str(" withdrawn"),
            RouteChange::Withdraw(WithdrawReason::Stale) => f.write_str(" stale"),
            RouteChange::Withdraw(WithdrawReason::Reread) => f.write_str(" reread"),
        }
    }
}

/// Returns whether the database accepts an event at the moment that cannot be at fault: a canary with the same
/// time.
pub(super) fn would_store_another(writer: &mut Writer, columns: &WithdrawColumns, row: &Row) -> bool {
    let mut table = Table::loc_rib(RouterId::new("canary"), "canary", Afi::Ipv4);
    let nlri = Nlri { prefix: Prefix::new(Afi::Ipv4, &[], 0).expect("the default route"), path_id: None };
    if row.is_nlri() {
        table.view = table.view.of_nlri();
    }
    writer.connection.would_do(|transaction| {
        let (action, route) = (Action::Withdraw, &columns.withdrawn);
        let harmless = EventRow { table: &table, nlri: &nlri, action, route, raw: None, ..row.as_event_row(columns) };
        if row.is_nlri() {
            let all = std::iter::once((harmless, Check::none(row.time)));
            return events::copy_checked(transaction, table.view.kind(), &[], all).map(drop);
        }
        events::copy(transaction, std::iter::once(harmless)).map(drop)
    })
}
