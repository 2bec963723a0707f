//! A session whose router another collector has: it applies what it reads and sends nothing, so that it can take the
//! router over as it is.
//!
//! What it has then is a map of fingerprints for each table, and the events of its last minutes (`window`). At the
//! take-over it claims the router, begins the tables in the database as any session does, and sends the differences
//! (`catch_up`). A route that differs and has changed before the window has no attributes here: the session is closed,
//! and the router's next one has a dump.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::info;

use super::downs::{HeardDown, not_stored};
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
use super::window::Window;
use crate::model::{PeerName, SessionEventKind, TableNameRecord, Timestamp};
use crate::pipeline::{ClaimRight, Denial, Ownership, Recent};
use crate::wire::bmp::{self, Frame, Message, PeerDown};

/// The time before the window for which stored events are looked up: both collectors may have read a message at
/// different times, by clocks that differ, and the owner may have stored it late.
const MARGIN: Duration = Duration::from_secs(120);

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

    /// Applies a Peer Down, and notes it if the session stands by.
    pub(super) fn hear_down(
        &mut self,
        frame: &Frame<'_>,
        down: &PeerDown<'_>,
        received_at: Timestamp,
    ) -> Result<(), SessionEnd> {
        let heard = self.identified.as_ref().filter(|_| self.standby.is_some());
        let Some((peer, was_up, before)) = heard.map(|identified| {
            let up = identified.tables.peers.up(&down.peer);
            let peer = up.unwrap_or(PeerId::of(&down.peer.peer));
            (peer, up.is_some(), identified.tables.names_in_rows(&peer))
        }) else {
            return self.peer_down(down, received_at);
        };
        self.peer_down(down, received_at)?;
        let Some(identified) = &mut self.identified else { return Ok(()) };
        let after = identified.tables.names_in_rows(&peer);
        let is_up = identified.tables.peers.up(&down.peer) == Some(peer);
        let tables: Vec<_> = before.difference(&after).cloned().collect();
        // One of several links, or one table that has no routes, changes nothing.
        if let Some(window) = identified.tables.outbox().window().filter(|_| !(is_up && tables.is_empty())) {
            let name = peer_records::name(&down.peer.peer);
            window.push_down(HeardDown { peer, name, was_up, tables, received_at, message: frame.bytes.into() });
        }
        Ok(())
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
        let router = standby.router.clone();
        let joined = self.claim_here(&router)?;
        // What it has heard is in its memory alone. If this process is killed before that is stored, the next one finds
        // less stored than the journal begins with, and says so.
        if let Some(checkpoint) = self.checkpoint() {
            self.input.take_over(checkpoint);
        }
        let record = self.identity.record(router.clone());
        let hostname = record.hostname.clone();
        let age = self.host.shared.options.standby_window + MARGIN;
        let mut claimed = match self.claim(record, ClaimRight::StoodBy(age), &joined) {
            Ok(Ok(claimed)) => claimed,
            denied => {
                self.input.stand_by(true);
                self.host.shared.registry.leave(&router, &self.host.connection);
                return match denied? {
                    Err(Denial::Refused(refusal)) => Err(SessionEnd::new(Cause::DatabaseRefused, refusal.0)),
                    Ok(_) | Err(Denial::Owned { .. }) => Ok(()),
                };
            }
        };
        self.standby = None;
        let Some(heard) = self.identified.take() else { return Ok(()) };
        let recent = std::mem::take(&mut claimed.recent);
        self.begin(router, hostname, joined, claimed)?;
        self.go_on(heard.tables, recent, now)
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
        let is_up = |down: &HeardDown| heard.peers.is_up_id(&down.peer);
        let downs = not_stored(downs, &recent, self.began.unwrap_or(now), is_up);
        let mut events = heard.outbox().window().map(Window::take_events).unwrap_or_default();
        let mut result = Ok(());
        for down in &downs {
            if let (Ok(()), Some(identified)) = (&result, &mut self.identified) {
                result = identified.tables.send_removed(down, &heard, &mut events, &recent);
            }
            self.repeat_down(down, &mut result, now);
        }
        let has_gone_down = |peer: &PeerId| downs.iter().any(|down| down.peer == *peer);
        let up_before: HashSet<&PeerName> =
            recent.peers.iter().filter(|peer| peer.is_up).map(|peer| &peer.name).collect();
        let is_stored = |frame: &Frame<'_>| {
            let Ok(Message::PeerUp(up)) = bmp::decode(frame) else { return true };
            let peer = PeerId::of(&up.peer.peer);
            let is_up = peer.address.is_none() || up_before.contains(&peer_records::name(&up.peer.peer));
            is_up && !has_gone_down(&peer)
        };
        let peer_ups = self.peer_ups.to_bytes();
        self.repeat(&peer_ups, &mut result, is_stored, now);
        result?;
        let Some(identified) = &mut self.identified else { return Ok(()) };
        identified.tables.ids = std::mem::take(&mut heard.ids);
        identified.tables.catch_up((heard, events), recent, &downs, now)?;
        self.set_position(position);
        self.flush()?;
        let shared = Arc::clone(&self.host.shared);
        shared.standbys.end(&self.host.connection, "has taken the router over");
        if let Some(checkpoint) = self.checkpoint() {
            self.input.has_taken_over(checkpoint);
        }
        Ok(())
    }

    /// Applies a Peer Down that the collector before has not stored. Tables that are stored make its row; that of a peer
    /// without any is made here.
    fn repeat_down(&mut self, heard: &HeardDown, result: &mut Result<(), SessionEnd>, now: Timestamp) {
        let is_stored = |identified: &IdentifiedRouter| identified.tables.has_earlier(&heard.peer);
        let has_row = !heard.was_up || self.identified.as_ref().is_none_or(is_stored);
        self.repeat(&heard.message, result, |_| false, now);
        for_each_frame(&heard.message, self.host.options().message_max, |frame| {
            if let (Ok(()), false, Ok(Message::PeerDown(down))) = (&result, has_row, bmp::decode(frame))
                && let Some(identified) = &mut self.identified
            {
                let row = peer_records::note(SessionEventKind::PeerDown, &down.peer, Some(down.to_string()));
                *result = identified.tables.outbox().session_event(row);
            }
        });
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
