//! The identification of a session's router: when it happens, the claim to the router, and the session's state from
//! then on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use log::info;

use super::anomaly::Anomaly;
use super::drift::Drifts;
use super::earlier_tables::EarlierTables;
use super::end::{Cause, SessionEnd, WaitingMessages};
use super::input::{for_each_frame, is_of_peer, octets};
use super::messages::{IdentifiedRouter, Session};
use super::missing_withdrawals::MissingWithdrawals;
use super::outbox::Outbox;
use super::peer_owners::Sharing;
use super::peer_records::{self, router_note};
use super::peers::Peers;
use super::read_timeout;
use super::registry::{ClaimError, Joined};
use super::standby::Standby;
use super::table_names::TableNames;
use super::tables::RouterTables;
use super::unnamed::Unnamed;
use crate::journal::Chunk;
use crate::model::{RouterId, RouterRecord, SessionEventKind, TableKey, TableNameRecord};
use crate::pipeline::{Claim, ClaimRight, Claimed, Denial, StateItem};
use crate::wire::bmp;

/// The time that a session waits for the database to accept its router while the collector stops. If the answer takes
/// longer, its input goes to the journal.
const CLAIM_AT_STOP_MAX: Duration = Duration::from_secs(2);

/// The interval at which it checks in the meantime whether the collector stops.
const CLAIM_TICK: Duration = Duration::from_millis(100);

/// Messages that have waited for the router's name: those of these chunks that are about a peer and begin before an
/// octet of the input.
struct Waiting {
    chunks: Vec<Chunk>,
    before: u64,
    /// The octets of the messages.
    bytes: usize,
}

impl Session {
    /// Identifies the router: claims it here and in the database, and applies the messages that waited for that.
    pub(super) fn identify(&mut self) -> Result<(), SessionEnd> {
        let mut record = self.identity.settle(&self.host.shared.registry.known(self.host.connection.source));
        if self.identity.has_address_alone()
            && let Some(router) = self.host.shared.registry.absent(self.host.connection.source)
        {
            record.router = router;
        }
        if let Some(router) = self.resumed.as_ref().and_then(|resumed| resumed.checkpoint.router.clone()) {
            record.router = router;
        }
        let router = record.router.clone();
        let hostname = record.hostname.clone();
        self.input.identify(&router);
        self.host.connection.note_named();
        let joined = self.claim_here(&router)?;
        // What becomes of the claim may let go of them.
        let waiting = self.read_waiting();
        let right = if self.resumed.is_some() { ClaimRight::Replaying } else { ClaimRight::Connected };
        match self.claim(record, right, &joined)? {
            Ok(claimed) => self.begin(router, hostname, joined, claimed)?,
            Err(denial) => self.denied(router, denial)?,
        }
        self.apply_waiting(&waiting)
    }

    /// Reads the messages that have waited for the router's name once more.
    fn read_waiting(&self) -> Waiting {
        let Unnamed { waiting: bytes, waiting_before: before, .. } = self.unnamed;
        let chunks = if bytes > 0 { self.input.again(&(0..before)) } else { Vec::new() };
        Waiting { chunks, before, bytes }
    }

    /// Applies them.
    fn apply_waiting(&mut self, waiting: &Waiting) -> Result<(), SessionEnd> {
        let position = self.position;
        let (mut result, mut bytes) = (Ok(()), 0);
        for chunk in &waiting.chunks {
            let mut start = chunk.start;
            for_each_frame(&chunk.bytes, usize::MAX, |frame| {
                if is_of_peer(frame) && start < waiting.before {
                    bytes += frame.bytes.len();
                    if result.is_ok() {
                        self.set_position(start);
                        result = self.apply(frame, bmp::decode(frame), chunk.received_at);
                    }
                }
                start += octets(frame.bytes.len());
            });
        }
        result?;
        self.set_position(position);
        if bytes < waiting.bytes {
            let lost = waiting.bytes - bytes;
            self.hole(&format!("input lost: {lost} bytes that waited for the router's name cannot be read back"));
        }
        Ok(())
    }

    /// Claims the router in the database.
    pub(super) fn claim(
        &self,
        record: RouterRecord,
        right: ClaimRight,
        joined: &Joined,
    ) -> Result<Result<Claimed, Denial>, SessionEnd> {
        let (reply, answer) = bounded(1);
        let state = self.host.shared.pipeline.state(&record.router);
        let (journal, others_since) = (self.input.session().to_owned(), joined.others_since);
        state
            .send(StateItem::Claim(Claim { record, right, journal, others_since, reply }))
            .map_err(|_| Cause::WritersGone)?;
        self.claimed(&answer)
    }

    /// Begins the session of a router that is claimed: its tables, and the rows that record the session.
    pub(super) fn begin(
        &mut self,
        router: RouterId,
        hostname: Option<String>,
        joined: Joined,
        claimed: Claimed,
    ) -> Result<(), SessionEnd> {
        let state = self.host.shared.pipeline.state(&router).clone();
        let history = self.host.shared.pipeline.events(&router).cloned();
        let owner = claimed.owner;
        self.host.shared.registry.begin(&router, &self.host.connection, owner.began);
        let meter = Arc::clone(&owner.meter);
        meter.session_begins(self.host.connection.source, hostname.as_deref());
        for anomaly in Anomaly::ALL.into_iter().filter(|anomaly| self.anomalies.of(*anomaly) > 0) {
            meter.anomalies.add(anomaly.label(), self.anomalies.of(anomaly));
        }
        self.input.settle(&owner);
        let mut outbox = Outbox::new(Arc::clone(&owner), state, history);
        // What waits for the name comes first.
        outbox.set_position(self.resumed.as_ref().map_or(0, |resumed| resumed.checkpoint.octet));
        if self.resumed.is_some() {
            outbox.set_replayed(claimed.positions);
        }
        let subject = match hostname {
            None => format!("router {router}"),
            Some(hostname) => format!("router {router} ({hostname})"),
        };
        info!("{subject}: session from {} begins", self.host.connection.source);
        self.host.keep_rejected_of(&router);
        let mut peers = Peers::new();
        let earlier = self.remember(peers.names(), &claimed.names, claimed.tables, &router);
        let mut tables = RouterTables::new(outbox, self.host.shared.options.rules, earlier);
        (tables.ids, tables.resumed) = self.resumed_tables();
        tables.peers = peers;
        tables.outbox().share(self.host.connection.begun());
        if joined.others_since.is_some() {
            tables.set_shared();
        }
        let resumed = self.resumed.as_ref().map(|_| "input of an earlier session".to_owned());
        let reason = resumed.or_else(|| claimed.taken_from.map(|from| format!("taken over from {from}")));
        let mut up = router_note(SessionEventKind::SessionUp, reason.as_deref(), None);
        up.peer_address = Some(self.host.connection.source);
        tables.outbox().session_event(up)?;
        if !tables.outbox().keeps_history() {
            tables.outbox().session_event(router_note(SessionEventKind::HistoryOff, None, None))?;
        }
        tables.outbox().set_repeats(self.resumed.as_ref().is_some_and(|resumed| resumed.repeats));
        self.unnamed = Unnamed::default();
        // The session of replayed input is over: no connection is left to close.
        let rule = self.host.shared.options.resync_on_drift.filter(|_| self.resumed.is_none());
        let (drifts, missing) = (Drifts::new(rule), MissingWithdrawals::new(rule, &router, &self.host.shared.resyncs));
        self.evidence.remember(claimed.add_path);
        let sharing = Sharing::new(joined.generation, joined.others_since.is_none());
        self.identified =
            Some(IdentifiedRouter { router, subject, tables, owner, drifts, missing, audited: None, sharing });
        Ok(())
    }

    /// Records the names of the router's tables and their origins; returns the stored tables, each with its origin if
    /// known.
    pub(super) fn remember(
        &self,
        known: &mut TableNames,
        names: &[TableNameRecord],
        stored: Vec<TableKey>,
        router: &RouterId,
    ) -> EarlierTables {
        let router_id = self.identity.bgp_id(router);
        known.set_router_id(router_id);
        let mut origins = HashMap::new();
        for name in names {
            let Some(origin) = peer_records::origin(name) else { continue };
            known.remember(name.rib.of_routes(), origin.peer, Arc::clone(&origin.given), Arc::clone(&origin.unicast));
            origins.insert((name.rib, origin.peer.address, Arc::clone(&name.table_name)), origin);
        }
        let origin = |key: &TableKey| {
            let address = key.view.peer().map(|of| of.address);
            origins.get(&(key.view.kind(), address, Arc::clone(&key.name))).cloned()
        };
        EarlierTables::new(stored.into_iter().map(|key| (key.clone(), origin(&key))))
    }

    /// Claims the router within the collector; waits until all earlier input from it is applied.
    pub(super) fn claim_here(&self, router: &RouterId) -> Result<Joined, SessionEnd> {
        let is_over = || self.host.shared.stop.is_stopping();
        self.host.shared.registry.claim(router, &self.host.connection, is_over).map_err(|none| match none {
            ClaimError::GaveUp => Cause::Stopping.into(),
            ClaimError::Conflict { holder } => SessionEnd::new(Cause::Refused, format!(
                "router identifier {router} belongs to a live session from {holder}; if these are two routers, give \
                 one another identifier with RIB_INGESTER_ROUTER_ID_FROM={}/{}=address",
                self.host.connection.source,
                if self.host.connection.source.is_ipv4() { 32 } else { 128 },
            )),
        })
    }

    /// Goes on without the router, if another collector has it.
    fn denied(&mut self, router: RouterId, denial: Denial) -> Result<(), SessionEnd> {
        match denial {
            Denial::Refused(refusal) => Err(SessionEnd::new(Cause::DatabaseRefused, refusal.0)),
            Denial::Owned { .. } if self.resumed.is_some() => Err(Cause::OwnershipLost.into()),
            Denial::Owned { by, session, names } => {
                self.host.shared.registry.leave(&router, &self.host.connection);
                self.unnamed = Unnamed::default();
                let standby = Standby::new(router, session, by.clone());
                if !self.host.options().standby_window.is_zero() && !self.input.is_relayed() {
                    self.begin_standby(standby, &names);
                    return Ok(());
                }
                self.standby = Some(standby);
                Err(SessionEnd::new(Cause::StandsBy, by))
            }
        }
    }

    /// Enforces the limits of a session of this age whose router is not identified. `size` returns what its
    /// input takes of memory or journal, in bytes.
    ///
    /// # Errors
    /// The session exceeds the limits and has sent no readable message about a peer, or its router cannot be identified
    /// or written.
    pub(crate) fn bound_unnamed(&mut self, age: Duration, size: impl FnOnce() -> usize) -> Result<(), SessionEnd> {
        if self.identified.is_some() {
            return Ok(());
        }
        let bytes = size() + self.unnamed.waiting;
        let time_max = read_timeout::greeting_time(self.host.shared.options.message_time_max);
        let budget = &self.host.shared.inputs.unnamed;
        let Some(why) = self.unnamed.excess(budget, bytes, age, time_max) else { return Ok(()) };
        if !self.unnamed.has_said {
            return Err(SessionEnd::new(Cause::Unnamed, why));
        }
        log::warn!("{}: {why}: identified by its address", self.subject());
        self.identify().and_then(|()| self.flush())
    }

    /// Identifies the router at the end of the input by the messages that have arrived, and applies them. Returns why
    /// the session ends.
    pub(crate) fn settle_at_end(&mut self, end: SessionEnd) -> SessionEnd {
        let is_dropped = end.consequences().waiting == WaitingMessages::Dropped;
        if is_dropped || self.identified.is_some() || !self.has_what_to_apply() {
            return end;
        }
        match self.identify().and_then(|()| self.flush()) {
            Ok(()) => end,
            Err(other) => other,
        }
    }

    /// Returns whether the waiting messages change anything. A Peer Down or statistics change nothing for a router that
    /// is not known.
    fn has_what_to_apply(&self) -> bool {
        let is_known = || self.host.shared.registry.absent(self.host.connection.source).is_some();
        let is_resumed = self.resumed.as_ref().is_some_and(|resumed| resumed.checkpoint.router.is_some());
        self.identity.has_peers_or_routes() || self.unnamed.has_said && (is_resumed || is_known())
    }

    /// Waits for the writer's answer to a claim.
    fn claimed(&self, answer: &Receiver<Result<Claimed, Denial>>) -> Result<Result<Claimed, Denial>, SessionEnd> {
        let mut stopping_since = None;
        loop {
            match answer.recv_timeout(CLAIM_TICK) {
                Ok(claimed) => return Ok(claimed),
                Err(RecvTimeoutError::Disconnected) => return Err(Cause::WritersGone.into()),
                Err(RecvTimeoutError::Timeout) if self.host.shared.stop.is_stopping() => {
                    if stopping_since.get_or_insert_with(Instant::now).elapsed() >= CLAIM_AT_STOP_MAX {
                        return Err(Cause::Stopping.into());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
