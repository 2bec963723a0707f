//! The record of one peer or Loc-RIB instance: all that a session knows of it, in one place, so that a Peer Up or Peer
//! Down changes it in one place. Pure.
//!
//! Two things of a peer are elsewhere. The evidence about path identifiers outlives its BGP sessions (`add_path`). The
//! tables from earlier sessions are the database's, until this session begins them (`earlier_tables`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::capabilities::{Capabilities, InUse};
use super::table_names::GivenNames;
use crate::model::{AfiSafi, TableKey, Timestamp, View};

/// The record of one peer or Loc-RIB instance.
#[derive(Debug, Default)]
pub(crate) struct PeerState {
    /// Its merged Peer Ups; `None` if it is not up.
    pub(super) up: Option<UpPeer>,
    /// True if it belongs to this session among those of its router.
    pub(super) is_own: bool,
    /// True if it has sent post-policy routes.
    pub(super) sends_post_policy: bool,
    /// The routes that it may have; `None` for a Loc-RIB, and for a peer that is not up.
    pub(super) reported: Option<ReportedRoutes>,
    /// By RIB and family, the difference between its stored routes and the router's last report.
    pub(super) drifts: BTreeMap<(View, Option<AfiSafi>), Drift>,
    /// Its tables that the session has begun.
    pub(super) tables: BTreeSet<TableKey>,
    /// Its RIBs and VPN families whose End-of-RIB has arrived.
    pub(super) completed: BTreeSet<(View, AfiSafi)>,
}

/// The merged Peer Ups of one peer.
#[derive(Debug, Default)]
pub(super) struct UpPeer {
    /// The local and remote port. For a link-local peer there is one entry per local address, since several peers may
    /// share one header; for any other peer there is one entry.
    pub ports: BTreeMap<Option<IpAddr>, (u16, u16)>,
    pub sent: Capabilities,
    pub received: Capabilities,
    pub in_use: InUse,
    pub names: GivenNames,
}

/// The most routes that a peer may have, by the router's statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportedRoutes {
    /// The most routes that it has; `None` if not reported.
    pub(super) at_most: Option<u64>,
    /// The time that the router keeps its routes while it restarts.
    pub(super) restart_time: Duration,
}

/// The difference between the stored routes of one RIB and the router's last report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drift {
    pub routes: u64,
    /// When the difference first exceeded the threshold, if every report since then has exceeded it.
    pub since: Option<Timestamp>,
}

impl PeerState {
    /// Begins another BGP session of a peer that was not reported down. Its tables are stale from now on; the caller
    /// restarts them.
    pub(super) fn begin_bgp_session(&mut self) {
        self.sends_post_policy = false;
        self.drifts.clear();
        self.completed.clear();
    }

    /// Ends its BGP session. Returns the routes that it may have had; its tables are removed by the caller.
    pub(super) fn go_down(&mut self) -> Option<ReportedRoutes> {
        self.begin_bgp_session();
        self.up = None;
        self.reported.take()
    }

    /// Leaves it to a newer session of its router.
    pub(super) fn hand_over(&mut self) {
        self.is_own = false;
        self.drifts.clear();
    }

    /// Returns true if nothing is known of it: the record may go.
    pub(super) fn is_empty(&self) -> bool {
        let PeerState { up, is_own, sends_post_policy, reported, drifts, tables, completed } = self;
        let is_idle = up.is_none() && reported.is_none() && !is_own && !sends_post_policy;
        is_idle && drifts.is_empty() && tables.is_empty() && completed.is_empty()
    }
}
