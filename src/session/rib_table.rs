//! One table during one session: its stored routes, the state of its dump, and the room left under its limit.

use std::sync::Arc;
use std::time::Duration;

use log::Level;

use super::changes::FamilyTable;
use super::earlier_tables::TableOrigin;
use super::end::SessionEnd;
use super::event_id::EventIds;
use super::flaps::{FlapMoment, TableFlaps};
use super::outbox::Outbox;
use super::peer_records::router_note;
use super::route_map::{RouteEffect, RouteMap};
use super::rules::{Redump, Rules, Stamp};
use crate::metrics::TableMeter;
use crate::model::{AfiSafi, Nlri, SessionEvent, SessionEventKind, Table, Timestamp};
use crate::pipeline::{Doubts, Existing, Flaps, RouteChange, RouteEvent, StateOp, WithdrawReason};
use crate::store::copy_encoding::EncodedRoute;

/// The state of one table in a session.
#[derive(Debug)]
pub(super) struct RibTable {
    pub table: Arc<Table>,
    /// The peer that it belongs to, whose Peer Down removes it, and its kind and name.
    pub origin: TableOrigin,
    pub rib: RouteMap,
    /// True if history may have valid events of it from before this session.
    pub(crate) has_past: bool,
    pub dump: SyncState,
    pub eor_seen: bool,
    /// True if a route or an End-of-RIB of it has arrived in this session.
    pub(crate) is_heard: bool,
    /// True if the database had routes of it when its dump began.
    pub(crate) was_stored: bool,
    /// The number of stored routes that this session's dump did not confirm.
    pub(crate) left_out: usize,
    pub room: LimitState,
    pub meter: Arc<TableMeter>,
    pub(super) flaps: TableFlaps,
}

/// The highest fill level of a table in this session, relative to [`Rules::routes_max`]; each step is logged once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LimitState {
    /// There is room.
    Left,
    /// Nine tenths are used.
    Scarce,
    /// New routes were refused.
    None,
}

/// The state of a table's dump. Durations are [`RouterTables::idle`](super::tables::RouterTables::idle) at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncState {
    /// Announced by a Peer Up, but no route has arrived yet.
    Expected { since: Duration },
    /// Routes are arriving.
    Running { since: Duration },
    /// Ended by an End-of-RIB or by silence.
    Over,
}

/// The outbox, and the data of the events of one message.
pub(super) struct Writer<'a> {
    pub outbox: &'a mut Outbox,
    pub(crate) ids: &'a mut EventIds,
    pub stamp: &'a mut Stamp,
}

impl Writer<'_> {
    /// Queues a change of a stored route. Call it after [`Writer::event`]: if a batch ends between the two, history is
    /// ahead of the tables.
    pub fn op(&mut self, table: &Arc<Table>, nlri: Nlri, change: RouteChange, was: Existing) -> Result<(), SessionEnd> {
        self.outbox.op(StateOp::Route { table: Arc::clone(table), nlri, change, was })
    }

    pub fn event(
        &mut self,
        table: &Arc<Table>,
        nlri: Nlri,
        change: RouteChange,
        doubts: Doubts,
    ) -> Result<(), SessionEnd> {
        // A session that stands by has to know the changes as well.
        if !self.outbox.keeps_history() && !self.outbox.stands_by() {
            return Ok(());
        }
        let Stamp { received_at, router_time, raw } = self.stamp;
        let id = self.ids.next(table, &nlri, &change, router_time.unwrap_or(*received_at));
        self.outbox.event(RouteEvent {
            id,
            table: Arc::clone(table),
            nlri,
            change,
            received_at: *received_at,
            router_time: *router_time,
            raw: raw.take(),
            doubts,
        })
    }

    /// Returns whether the collector that had the router before may have stored the same changes.
    pub(crate) fn is_taken_over(&self) -> bool {
        self.outbox.owner().is_taken_over
    }

    /// Notes that a dump repeats a stored route, which is no event but counts for the identifiers of later events that
    /// are the same.
    pub fn repeated(&mut self, table: &Arc<Table>, nlri: Nlri, change: &RouteChange) {
        if self.outbox.keeps_history() {
            let Stamp { received_at, router_time, .. } = self.stamp;
            self.ids.repeated(table, &nlri, change, router_time.unwrap_or(*received_at));
        }
    }
}

impl RibTable {
    /// Returns the family of its routes.
    pub fn family(&self) -> AfiSafi {
        FamilyTable { afi: self.table.afi, part: self.origin.part }.family()
    }

    /// Returns the number of its routes; `None` while that cannot be compared with the router's statistics: during a
    /// dump, and after routes of it were refused.
    pub(crate) fn settled_routes(&self) -> Option<usize> {
        (self.dump == SyncState::Over && self.room != LimitState::None).then(|| self.rib.len())
    }

    /// Applies an announced route. Returns whether it confirmed a route from before the session.
    pub fn announce(
        &mut self,
        nlri: Nlri,
        route: &EncodedRoute,
        rules: Rules,
        writer: &mut Writer<'_>,
    ) -> Result<bool, SessionEnd> {
        if let Some(max) = rules.routes_max
            && !self.has_room(&nlri, max, writer.outbox)?
        {
            return Ok(false);
        }
        let announced = self.rib.announce(&nlri, route.fingerprint());
        let (received_at, sent_at) = (writer.stamp.received_at, writer.stamp.sent_at());
        if let Some(flaps) = self.watched(&nlri, writer.outbox) {
            let is_dump = self.dump != SyncState::Over;
            let moment = FlapMoment { table: &self.table, is_dump, received_at, sent_at };
            self.flaps.announce(&nlri, route, announced.verdict, moment, flaps);
        }
        let was = match announced.verdict {
            RouteEffect::New => Some(Existing::No),
            RouteEffect::Changed => Some(Existing::Maybe),
            RouteEffect::Same => None,
        };
        let change = RouteChange::Announce(route.clone());
        let is_dump = self.dump != SyncState::Over && rules.redump == Redump::Skip;
        if was.is_none() && is_dump {
            writer.repeated(&self.table, nlri, &change);
        } else {
            let is_shared = is_dump && writer.is_taken_over();
            let doubts = Doubts { is_dumped: is_dump && (self.has_past || is_shared), is_shared, ..Doubts::default() };
            writer.event(&self.table, nlri, change.clone(), doubts)?;
        }
        match was {
            Some(was) => writer.op(&self.table, nlri, change, was)?,
            None => self.meter.unchanged.add(1),
        }
        Ok(announced.confirmed)
    }

    /// Applies a withdrawn route.
    pub(crate) fn withdraw(&mut self, nlri: Nlri, writer: &mut Writer<'_>) -> Result<(), SessionEnd> {
        let change = RouteChange::Withdraw(WithdrawReason::Withdrawn);
        let is_dump = self.dump != SyncState::Over;
        let is_shared = is_dump && writer.is_taken_over();
        writer.event(&self.table, nlri, change.clone(), Doubts { is_shared, ..Doubts::default() })?;
        if !self.rib.withdraw(&nlri) {
            return Ok(());
        }
        let (received_at, sent_at) = (writer.stamp.received_at, writer.stamp.sent_at());
        if let Some(flaps) = self.watched(&nlri, writer.outbox) {
            self.flaps.withdraw(&nlri, FlapMoment { table: &self.table, is_dump, received_at, sent_at }, flaps);
        }
        writer.op(&self.table, nlri, change, Existing::Maybe)
    }

    /// Returns the counts of changes of watched routes, if this one is watched.
    fn watched<'o>(&self, nlri: &Nlri, outbox: &'o mut Outbox) -> Option<&'o Flaps> {
        if self.table.view.is_nlri() { None } else { outbox.flaps_of(&nlri.prefix) }
    }

    /// Returns whether the table has room for this route: one that it has, or a new one while there are fewer than
    /// `max`.
    pub(crate) fn has_room(&mut self, nlri: &Nlri, max: usize, outbox: &mut Outbox) -> Result<bool, SessionEnd> {
        // Routes that a dump has not confirmed are deleted at its end, and do not count until then.
        let routes = self.rib.len() - self.rib.unconfirmed();
        let room = match routes {
            _ if routes >= max && !self.rib.knows(nlri) => LimitState::None,
            _ if routes >= max - max / 10 => LimitState::Scarce,
            _ => LimitState::Left,
        };
        if room > self.room {
            self.room = room;
            match room {
                LimitState::Left => {}
                LimitState::Scarce => outbox.say(
                    Level::Warn,
                    format_args!(
                        "{}: {routes} routes; new ones are refused at {max} (RIB_INGESTER_MAX_ROUTES_PER_TABLE)",
                        self.table
                    ),
                ),
                LimitState::None => {
                    outbox.say(
                        Level::Warn,
                        format_args!(
                            "{}: full, new routes are refused: RIB_INGESTER_MAX_ROUTES_PER_TABLE is {max}",
                            self.table
                        ),
                    );
                    let reason = "new routes are refused until others are withdrawn: RIB_INGESTER_MAX_ROUTES_PER_TABLE";
                    outbox.session_event(self.note(SessionEventKind::TableFull, Some(reason), Some(routes)))?;
                }
            }
        }
        Ok(room != LimitState::None)
    }

    /// Removes the routes that this session has not confirmed, writes an event for each, and returns their keys.
    pub fn purge(
        &mut self,
        outbox: &mut Outbox,
        ids: &mut EventIds,
        received_at: Timestamp,
    ) -> Result<Vec<Nlri>, SessionEnd> {
        let stale = self.rib.take_stale();
        self.meter.purged.add(stale.len());
        self.left_out += stale.len();
        let mut stamp = Stamp { received_at, router_time: None, raw: None };
        let mut writer = Writer { outbox, ids, stamp: &mut stamp };
        for nlri in &stale {
            let change = RouteChange::Withdraw(WithdrawReason::Stale);
            let is_shared = writer.is_taken_over();
            writer.event(&self.table, *nlri, change, Doubts { is_shared, ..Doubts::default() })?;
        }
        Ok(stale)
    }

    /// Withdraws those of the routes that are stored. Returns their number.
    pub(crate) fn withdraw_each(
        &mut self,
        routes: &[Nlri],
        reason: WithdrawReason,
        outbox: &mut Outbox,
        ids: &mut EventIds,
        received_at: Timestamp,
    ) -> Result<usize, SessionEnd> {
        let mut stamp = Stamp { received_at, router_time: None, raw: None };
        let mut writer = Writer { outbox, ids, stamp: &mut stamp };
        let mut count = 0;
        for nlri in routes {
            if self.rib.withdraw(nlri) {
                let change = RouteChange::Withdraw(reason);
                writer.event(&self.table, *nlri, change.clone(), Doubts::default())?;
                writer.op(&self.table, *nlri, change, Existing::Maybe)?;
                count += 1;
            }
        }
        self.measure();
        Ok(count)
    }

    /// Updates the metrics of the table.
    pub fn measure(&self) {
        self.meter.routes.set(u64::try_from(self.rib.len()).unwrap_or(u64::MAX));
        self.meter.synchronized.set(u64::from(self.dump == SyncState::Over));
    }

    pub fn note(&self, kind: SessionEventKind, reason: Option<&str>, routes: Option<usize>) -> SessionEvent {
        SessionEvent {
            table_name: Some(Arc::clone(&self.table.name)),
            peer_address: self.table.view.peer().map(|of| of.address),
            afi: Some(self.table.afi),
            ..router_note(kind, reason, routes)
        }
    }
}
