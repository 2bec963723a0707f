//! One table during one session: what is stored of it, where its dump stands, how much room there is.

use std::sync::Arc;
use std::time::Duration;

use log::warn;

use super::SessionEnd;
use super::changes::FamilyTable;
use super::held::Origin;
use super::outbox::Outbox;
use super::rib::{Rib, Verdict};
use super::standing::Standing;
use super::tables::{Redump, Rules, Stamp, router_note};
use crate::metrics::TableMeter;
use crate::model::{AfiSafi, Nlri, Table, Timestamp};
use crate::pipeline::{
    Doubts, EncodedRoute, Existing, RouteChange, RouteEvent, SessionEvent, SessionEventKind, StateOp, WithdrawReason,
};

/// What a session knows of one table.
#[derive(Debug)]
pub(super) struct RibTable {
    pub table: Arc<Table>,
    /// Whose it is: that peer's Peer Down takes it away.
    pub origin: Origin,
    pub rib: Rib,
    /// Whether there may be events of it from before this session that count.
    pub has_past: bool,
    pub dump: SyncState,
    pub eor_seen: bool,
    /// Whether a route or an End-of-RIB of it has come in this session.
    pub is_heard: bool,
    /// Whether the database had routes of it when its dump began.
    pub was_stored: bool,
    /// How many stored routes this session's dump did not confirm.
    pub left_out: usize,
    pub room: LimitState,
    pub meter: Arc<TableMeter>,
}

/// How near a table has come to [`Rules::routes_max`] in this session; each step is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LimitState {
    /// There is room.
    Left,
    /// Nine tenths are taken.
    Scarce,
    /// New routes were refused.
    None,
}

/// Where a table's dump stands. Durations are [`RouterTables::idle`](super::tables::RouterTables::idle) at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncState {
    /// Announced by a Peer Up, no route yet.
    Expected { since: Duration },
    /// Routes are coming.
    Running { since: Duration },
    /// Ended by an End-of-RIB or by silence.
    Over,
}

/// The outbox together with what an event needs.
pub(super) struct Writer<'a> {
    pub outbox: &'a mut Outbox,
    pub standing: &'a Standing,
    pub stamp: &'a mut Stamp,
}

impl Writer<'_> {
    /// To be called behind [`Writer::event`]: whatever ends a piece between the two, history leads.
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
        if !self.outbox.keeps_history() {
            return Ok(());
        }
        let Stamp { received_at, router_time, raw } = self.stamp;
        let id = self.standing.event_id(table, &nlri, &change, router_time.unwrap_or(*received_at));
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

    /// Whether the collector that had the router before may have been told the same.
    pub fn is_taken_over(&self) -> bool {
        self.outbox.owner().is_taken_over
    }

    /// A dump repeats what is stored, which is no event. It counts where the same is said again.
    pub fn repeated(&mut self, table: &Arc<Table>, nlri: Nlri, change: &RouteChange) {
        if self.outbox.keeps_history() {
            let Stamp { received_at, router_time, .. } = self.stamp;
            self.standing.repeated(table, &nlri, change, router_time.unwrap_or(*received_at));
        }
    }
}

impl RibTable {
    /// The family that its routes are of.
    pub fn family(&self) -> AfiSafi {
        FamilyTable { afi: self.table.afi, part: self.origin.part }.family()
    }

    /// How many routes it has, once that can be compared with what the router says of itself: not inside a dump, and
    /// not when routes of it were refused.
    pub fn settled_routes(&self) -> Option<usize> {
        (self.dump == SyncState::Over && self.room != LimitState::None).then(|| self.rib.len())
    }

    /// Whether a route from before the session was confirmed by this one.
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
        let was = match announced.verdict {
            Verdict::New => Some(Existing::No),
            Verdict::Changed => Some(Existing::Maybe),
            Verdict::Same => None,
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

    /// Whether the table may take this route: one that it has, or a new one while there are fewer than `max`.
    pub fn has_room(&mut self, nlri: &Nlri, max: usize, outbox: &mut Outbox) -> Result<bool, SessionEnd> {
        // What a dump has not confirmed goes at its end, and keeps nobody out until then.
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
                LimitState::Scarce => warn!(
                    "{}: {routes} routes, RIB_INGESTER_MAX_ROUTES_PER_TABLE is {max}: further ones are refused there",
                    self.table
                ),
                LimitState::None => {
                    warn!("{}: full, new routes are refused: RIB_INGESTER_MAX_ROUTES_PER_TABLE is {max}", self.table);
                    let reason = "new routes are refused until others go: RIB_INGESTER_MAX_ROUTES_PER_TABLE";
                    outbox.session_event(self.note(SessionEventKind::TableFull, Some(reason), Some(routes)))?;
                }
            }
        }
        Ok(room != LimitState::None)
    }

    /// The keys that this session has not confirmed, each with its event.
    pub fn purge(
        &mut self,
        outbox: &mut Outbox,
        standing: &Standing,
        received_at: Timestamp,
    ) -> Result<Vec<Nlri>, SessionEnd> {
        let stale = self.rib.take_stale();
        self.meter.purged.add(stale.len());
        self.left_out += stale.len();
        let mut stamp = Stamp { received_at, router_time: None, raw: None };
        let mut writer = Writer { outbox, standing, stamp: &mut stamp };
        for nlri in &stale {
            let change = RouteChange::Withdraw(WithdrawReason::Stale);
            writer.event(&self.table, *nlri, change, Doubts::default())?;
        }
        Ok(stale)
    }

    /// Lets others know where the table stands.
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
