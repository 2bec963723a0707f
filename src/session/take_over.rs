//! A session whose router another collector has: it applies what it reads and sends nothing, so that it can take the
//! router over as it is.
//!
//! What it has then is a map of fingerprints for each table, and the events of its last minutes (`window`). At the
//! take-over it claims the router, begins the tables in the database as any session does, and sends the differences
//! (`catch_up`). A route that differs and has changed before the window has no attributes here: the session is closed,
//! and the router's next one has a dump.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::info;

use super::drift::Drifts;
use super::earlier_tables::EarlierTables;
use super::end::{Cause, SessionEnd};
use super::input::for_each_frame;
use super::messages::{IdentifiedRouter, Session};
use super::missing_withdrawals::MissingWithdrawals;
use super::outbox::Outbox;
use super::peer_id::PeerId;
use super::peer_owners::Sharing;
use super::peer_records;
use super::peers::Peers;
use super::reading::Readings;
use super::standby::Standby;
use super::tables::RouterTables;
use super::window::{HeardDown, Window};
use crate::model::{TableNameRecord, Timestamp};
use crate::pipeline::{ClaimRight, Denial, Ownership, Recent};
use crate::wire::bmp::{self, Frame, Message, PeerDown};

/// The time before the window for which stored events are looked up: both collectors may have read a message at
/// different times, by clocks that differ, and the owner may have stored it late.
const MARGIN: Duration = Duration::from_secs(120);

/// The largest difference between the clocks of a collector and of the database that is expected.
const CLOCKS_APART_MICROS: i64 = 30_000_000;

impl Session {
    /// Goes on as a session that stands by; `names` are those of the router's tables.
    pub(super) fn begin_standby(&mut self, standby: Standby, names: &[TableNameRecord]) {
        let (router, shared) = (standby.router.clone(), Arc::clone(&self.host.shared));
        let mut owner = Ownership::new(router.clone(), 0, Arc::default());
        // Its dump repeats what the owner of the router has stored.
        owner.is_taken_over = true;
        let owner = Arc::new(owner);
        let (state, history) = (shared.pipeline.state(&router).clone(), shared.pipeline.events(&router).cloned());
        let mut outbox = Outbox::new(Arc::clone(&owner), state, history);
        outbox.stand_by(Window::new(shared.options.standby_window, shared.standbys.memory()));
        let mut peers = Peers::new();
        self.remember(peers.names(), names, Vec::new(), &router);
        let mut tables = RouterTables::new(outbox, shared.options.rules, EarlierTables::default());
        tables.peers = peers;
        shared.standbys.begin(&standby, &self.host.connection, Some(&self.input));
        info!("router {router}: session from {} stands by: {}", self.host.connection.source, standby.why());
        self.input.stand_by(true);
        let (drifts, missing) = (Drifts::new(None), MissingWithdrawals::new(None, &router, &shared.resyncs));
        let (subject, sharing) = (format!("router {router} (standby)"), Sharing::new(Arc::default(), false));
        self.identified =
            Some(IdentifiedRouter { router, subject, tables, owner, drifts, missing, audited: None, sharing });
        self.standby = Some(standby);
    }

    /// Drops what a session has heard that still stands by at its end. Returns whether it does.
    pub(super) fn forget_standby(&mut self) -> bool {
        if self.standby.is_some() {
            self.identified = None;
        }
        self.standby.is_some()
    }

    /// Notes a Peer Down that a session has heard that stands by.
    pub(super) fn note_down(&mut self, frame: &Frame<'_>, down: &PeerDown<'_>, received_at: Timestamp) {
        let Some(identified) = &mut self.identified else { return };
        let peer = identified.tables.peers.up(&down.peer).unwrap_or(PeerId::of(&down.peer.peer));
        if let Some(window) = identified.tables.outbox().window() {
            window.push_down(HeardDown { peer, received_at, message: frame.bytes.into() });
        }
    }

    /// Takes the router over if that is wanted and all is applied that was read until then. Call it when all that was
    /// taken is applied.
    ///
    /// # Errors
    /// The session is over.
    pub(crate) fn take_over_if_wanted(&mut self, now: Timestamp) -> Result<(), SessionEnd> {
        if let Some(window) = self.identified.as_mut().and_then(|identified| identified.tables.outbox().window()) {
            window.forget_before(now);
        }
        let Some(standby) = self.standby.as_mut().filter(|standby| standby.is_wanted.load(Ordering::Acquire)) else {
            return Ok(());
        };
        if self.input.taken() < *standby.wanted_at.get_or_insert_with(|| self.input.read()) {
            return Ok(());
        }
        standby.wanted_at = None;
        standby.is_wanted.store(false, Ordering::Release);
        let (Some(standby), Some(heard)) = (self.standby.take(), self.identified.take()) else { return Ok(()) };
        let age = self.host.shared.options.standby_window + MARGIN;
        let joined = self.claim_here(&standby.router)?;
        let record = self.identity.record(standby.router.clone());
        let hostname = record.hostname.clone();
        match self.claim(record, ClaimRight::StoodBy(age), &joined)? {
            Ok(mut claimed) => {
                let recent = std::mem::take(&mut claimed.recent);
                self.begin(standby.router, hostname, joined, claimed)?;
                self.go_on(heard.tables, recent, now)
            }
            Err(Denial::Refused(refusal)) => Err(SessionEnd::new(Cause::DatabaseRefused, refusal.0)),
            Err(Denial::Owned { .. }) => {
                self.host.shared.registry.leave(&standby.router, &self.host.connection);
                (self.standby, self.identified) = (Some(standby), Some(heard));
                Ok(())
            }
        }
    }

    /// Brings the router that was just claimed up to what was heard of it.
    fn go_on(&mut self, mut heard: RouterTables, recent: Recent, now: Timestamp) -> Result<(), SessionEnd> {
        if self.peer_ups.is_cut() {
            return Err(Cause::DatabaseDiffers.into());
        }
        self.readings = Readings::default();
        let position = self.position;
        // Not all of it is stored before the last difference is.
        self.set_position(position.saturating_sub(1));
        let downs = heard.outbox().window().map(Window::take_downs).unwrap_or_default();
        let downs: Vec<HeardDown> = downs.into_iter().filter(|down| !is_stored(down, &recent)).collect();
        let mut result = Ok(());
        for down in &downs {
            self.repeat(&down.message, &mut result, |_| false, now);
        }
        let has_gone_down = |peer: &PeerId| downs.iter().any(|down| down.peer == *peer);
        let is_stored = |frame: &Frame<'_>| {
            let Ok(Message::PeerUp(up)) = bmp::decode(frame) else { return true };
            let peer = PeerId::of(&up.peer.peer);
            let is_up = peer.address.is_none() || recent.up.contains(&peer_records::name(&up.peer.peer));
            is_up && !has_gone_down(&peer)
        };
        let peer_ups = self.peer_ups.to_bytes();
        self.repeat(&peer_ups, &mut result, is_stored, now);
        result?;
        let Some(identified) = &mut self.identified else { return Ok(()) };
        identified.tables.ids = std::mem::take(&mut heard.ids);
        // What was stored before the routes of a peer were removed says nothing of them any more.
        let Recent { mut newest, downs: stored_downs, .. } = recent;
        newest.retain(|event| {
            let address = event.table.view.peer().map(|of| of.address);
            let is_over = stored_downs.iter().any(|(of, at)| *of == address && *at > event.stored_at);
            !is_over && !downs.iter().any(|down| down.peer.address == address)
        });
        identified.tables.catch_up(heard, newest, now)?;
        self.set_position(position);
        self.flush()?;
        let shared = Arc::clone(&self.host.shared);
        shared.standbys.end(&self.host.connection, "has taken the router over");
        if let Some(checkpoint) = self.checkpoint() {
            self.input.take_over(checkpoint);
        }
        Ok(())
    }

    /// Applies messages once more that were applied while the session stood by. Those that `is_stored` make no rows of
    /// `session_events`.
    fn repeat(
        &mut self,
        messages: &[u8],
        result: &mut Result<(), SessionEnd>,
        is_stored: impl Fn(&Frame<'_>) -> bool,
        now: Timestamp,
    ) {
        for_each_frame(messages, self.host.options().message_max, |frame| {
            self.set_repeats(is_stored(frame));
            if result.is_ok() {
                *result = self.apply(frame, bmp::decode(frame), now);
            }
        });
        self.set_repeats(false);
    }

    fn set_repeats(&mut self, repeats: bool) {
        if let Some(identified) = &mut self.identified {
            identified.tables.outbox().set_repeats(repeats);
        }
    }
}

/// Returns whether the collector before has stored that the peer went down.
fn is_stored(down: &HeardDown, recent: &Recent) -> bool {
    let since = down.received_at.unix_micros() - CLOCKS_APART_MICROS;
    recent.downs.iter().any(|(address, at)| *address == down.peer.address && at.unix_micros() >= since)
}
