//! The beginning and the end of a session: its state when the router has only connected, and what it leaves.

use std::sync::Arc;
use std::time::Duration;

use log::{debug, info, log};

use super::add_path::Evidence;
use super::anomaly::Anomalies;
use super::changes::PathIds;
use super::connection::Connection;
use super::end::{RoutesAfter, SessionEnd};
use super::host::Host;
use super::identity::Identity;
use super::input::Input;
use super::messages::Session;
use super::peer_up_cache::PeerUpCache;
use super::reading::Readings;
use super::rib_filter::RibFilter;
use super::shared::Shared;
use super::unnamed::Unnamed;
use super::version4::Version4;

impl Session {
    /// Creates the session of a router that has only connected.
    pub fn new(shared: Arc<Shared>, connection: Arc<Connection>, input: Arc<Input>) -> Session {
        let host = Host::new(shared, connection);
        let (options, source) = (host.options(), host.source());
        let identity = Identity::new(source, (options.identity_rule)(source));
        let path_ids = if (options.ignore_path_id)(source) { PathIds::Ignored } else { PathIds::Keyed };
        let rib_filter = RibFilter::new((options.stored_views)(source));
        let stored_families = options.stored_families;
        Session {
            host,
            input,
            resumed: None,
            identity,
            anomalies: Anomalies::default(),
            evidence: Evidence::default(),
            readings: Readings::default(),
            version_4: Version4::default(),
            path_ids,
            rib_filter,
            stored_families,
            identified: None,
            standby: None,
            unnamed: Unnamed::default(),
            skipped: 0,
            lost: None,
            misses_input: false,
            peer_ups: PeerUpCache::default(),
            messages: 0,
            position: 0,
            began: None,
            waited: Duration::ZERO,
        }
    }

    /// Records the session's end: its routes are removed or become stale.
    pub fn end(&mut self, end: &SessionEnd) {
        let subject = self.subject();
        if let Some(summary) = self.anomalies.summary() {
            info!("{subject}: in this session: {summary}");
        }
        if let Some(lost) = self.lost.take() {
            self.report_loss(&lost, end);
        }
        // A load balancer checks every few seconds whether the port is open.
        if end.is_by_connection() && self.host.connection.is_without_a_byte() {
            self.host.shared.meters.process.silent_connections.add(1);
            self.host.connection.end_unnamed(end);
            debug!("{subject}: connected and closed without a byte");
            return;
        }
        let consequences = end.consequences();
        let is_told_elsewhere = self.host.connection.end_unnamed(end);
        if let RoutesAfter::Refused(label) = consequences.routes {
            self.host.shared.meters.refused.count(label);
            self.host.shared.refusals.refuse(&self.host.shared.pipeline, self.host.connection.source, &end.detail);
            return;
        }
        if is_told_elsewhere {
            debug!("{subject}: session ended: {end}");
            return;
        }
        log!(consequences.level, "{subject}: session ended: {end}");
        if let Some(mut identified) = self.identified.take() {
            identified.owner.meter.session_ends(consequences.label);
            // If the writers are gone, that is reported where they ended.
            let _ = identified.end(end, &self.host.shared, &self.host.connection);
        }
    }
}
