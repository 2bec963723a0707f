//! The surroundings of a session: what it asks and tells outside of itself, apart from the writers (`outbox`). The
//! modules that decide what a message means call nothing else.
//!
//! Its answers to [`claim_peer`](Host::claim_peer), [`peers_taken`](Host::peers_taken),
//! [`is_oldest`](Host::is_oldest) and [`is_of_newer`](Host::is_of_newer) are in no message: they are to become
//! records of the journal. An end by drift, which depends on [`resyncs`](Host::resyncs), is one as an end.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use log::{Level, log};

use super::connection::Connection;
use super::drift::Resyncs;
use super::peer_id::PeerId;
use super::peer_owners::Speech;
use super::shared::{Options, Shared};
use crate::model::RouterId;
use crate::quarantine::RejectedFile;

/// The surroundings of one session.
pub(super) struct Host {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Arc<Connection>,
    /// The file for messages that cannot be applied; `None` while the router is not identified.
    rejected: Option<RejectedFile>,
}

impl Host {
    pub(super) fn new(shared: Arc<Shared>, connection: Arc<Connection>) -> Host {
        Host { shared, connection, rejected: None }
    }

    /// Returns the router's address.
    pub(super) fn source(&self) -> IpAddr {
        self.connection.source
    }

    /// Returns the settings.
    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Writes a line to the log.
    pub(super) fn say(&self, level: Level, text: fmt::Arguments<'_>) {
        log!(level, "{text}");
    }

    /// Keeps messages that cannot be applied from now on: the router is identified.
    pub(super) fn keep_rejected_of(&mut self, router: &RouterId) {
        self.rejected = Some(RejectedFile::new(&self.options().rejected_dir, router.as_str(), "bmp"));
    }

    /// Keeps the bytes of a message that cannot be applied. Returns what is to be said of it.
    pub(super) fn keep_rejected(&mut self, bytes: &[u8]) -> String {
        let Some(file) = &mut self.rejected else {
            return "bytes not kept: router not identified yet".to_owned();
        };
        match file.append(bytes) {
            Ok(true) => format!("bytes kept in {}", file.path().display()),
            Ok(false) => format!("bytes not kept: no room for {}", file.path().display()),
            Err(failed) => format!("bytes not kept: {}: {failed}", file.path().display()),
        }
    }

    /// Returns the routers whose sessions were closed because of a drift.
    pub(super) fn resyncs(&self) -> &Resyncs {
        &self.shared.resyncs
    }

    /// Returns the peers that newer sessions of the router have taken over since the last call.
    pub(super) fn peers_taken(&self, router: &RouterId) -> Vec<PeerId> {
        self.shared.registry.take_lost(router, &self.connection)
    }

    /// Returns true if the session is the oldest one of the router.
    pub(super) fn is_oldest(&self, router: &RouterId) -> bool {
        self.shared.registry.is_oldest(router, &self.connection)
    }

    /// Returns true if a newer session of the router owns the peer.
    pub(super) fn is_of_newer(&self, router: &RouterId, peer: &PeerId) -> bool {
        self.shared.registry.is_of_newer(router, &self.connection, peer)
    }

    /// Claims a peer that the session reports; waits for an older session that owns it to apply its input.
    pub(super) fn claim_peer(&self, router: &RouterId, peer: PeerId) -> Speech {
        self.shared.registry.speak(router, &self.connection, peer, || self.shared.stop.is_stopping())
    }

    /// Releases a peer that went down.
    pub(super) fn release_peer(&self, router: &RouterId, peer: &PeerId) {
        self.shared.registry.forget_peer(router, &self.connection, peer);
    }
}
