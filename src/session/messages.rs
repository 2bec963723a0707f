//! One session's messages, applied to peers, identity and tables.
//!
//! Everything that the router sends before it is identified waits. The identity is determined at the first Peer Up or
//! Loc-RIB message that names it; then the waiting messages are applied, and `RouterTables` turns changes into ops
//! and events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, info, warn};

use super::add_path::Evidence;
use super::anomaly::{Anomalies, Anomaly};
use super::changes::{Changes, FamilyTable, PathIds, TableKind};
use super::connection::Connection;
use super::drift::Drifts;
use super::end::SessionEnd;
use super::identity::Identity;
use super::intake::is_of_peer;
use super::peer_owners::Sharing;
use super::peers::{Peers, RibSource};
use super::reading::{Reading, Readings};
use super::remnants::Remnants;
use super::rib_filter::{Decision, RibFilter};
use super::rules::Stamp;
use super::shared::{RawBytes, Shared};
use super::standing::Standing;
use super::tables::RouterTables;
use super::unnamed::Unnamed;
use super::version4::Version4;
use super::waiting::Waiting;
use crate::metrics::RouterMeter;
use crate::model::{Afi, RouterId, Timestamp};
use crate::pipeline::Ownership;
use crate::quarantine::RejectedFile;
use crate::wire::DecodeError;
use crate::wire::bgp::routes::Routes;
use crate::wire::bgp::update::{Decoded, Update};
use crate::wire::bmp::peer::Rib;
use crate::wire::bmp::{self, Frame, Information, Message, RouteMonitoring};

/// The silence after which a router that sends peers or routes but no name is identified by its address. FRR has routes
/// of its own to send before its first peer is up; they wait, and none of them is lost.
const NAME_WAIT_MAX: Duration = Duration::from_secs(10);

/// One router's session, message by message.
pub struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Arc<Connection>,
    pub(super) standing: Arc<Standing>,
    pub(super) resumed: Option<Resumed>,
    pub(super) identity: Identity,
    pub(super) peers: Peers,
    pub(super) anomalies: Anomalies,
    /// The evidence about path identifiers from its messages.
    pub(super) evidence: Evidence,
    /// The reading of each peer's messages, derived from `peers` and `evidence`.
    pub(super) readings: Readings,
    pub(super) version_4: Version4,
    pub(super) path_ids: PathIds,
    pub(super) rib_filter: RibFilter,
    pub(super) identified: Option<IdentifiedRouter>,
    pub(super) waiting: Waiting,
    pub(super) unnamed: Unnamed,
    pub(super) losses: Losses,
    /// Messages of the previous session, until they are applied.
    pub(super) preamble: Vec<u8>,
    messages: u64,
    /// The chunk of input that is being applied, or was applied last.
    pub(super) chunk: u64,
    /// Time spent waiting for the socket since peers or routes arrived.
    waited: Duration,
}

/// The state of a session once its router is identified.
pub(super) struct IdentifiedRouter {
    pub(super) router: RouterId,
    /// The router's name in the log: `router 10.0.0.1 (edge1)`.
    pub(super) subject: String,
    pub(super) tables: RouterTables,
    pub(super) owner: Arc<Ownership>,
    pub(super) rejected: RejectedFile,
    pub(super) drifts: Drifts,
    pub(super) remnants: Remnants,
    pub(super) meter: Arc<RouterMeter>,
    /// When the routes of its tables were last counted, or the session began.
    pub(super) audited: Instant,
    pub(super) sharing: Sharing,
}

/// The input that a session received and did not apply.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Number of messages after the one that ended the session.
    pub(super) skipped: usize,
    /// The lost input, to be reported at the session's end.
    pub(super) lost: Option<String>,
}

/// The state of a session that continues one of another process.
pub(super) struct Resumed {
    pub(super) router: Option<RouterId>,
    /// When the other one began.
    pub(super) since: Timestamp,
    /// The last chunk of which everything is stored.
    pub(super) behind: u64,
    /// True if what is taken in now was taken in there.
    pub(super) repeats: bool,
}

impl Session {
    /// Creates the session of a router that has only connected.
    pub fn new(shared: Arc<Shared>, connection: Arc<Connection>, standing: Arc<Standing>) -> Session {
        let source = connection.source;
        let identity = Identity::new(source, (shared.options.identity_rule)(source));
        let path_ids = if (shared.options.ignore_path_id)(source) { PathIds::Ignored } else { PathIds::Keyed };
        let rib_filter = RibFilter::new((shared.options.stored_views)(source));
        Session {
            shared,
            connection,
            standing,
            resumed: None,
            identity,
            peers: Peers::new(),
            anomalies: Anomalies::default(),
            evidence: Evidence::default(),
            readings: Readings::default(),
            version_4: Version4::default(),
            path_ids,
            rib_filter,
            identified: None,
            waiting: Waiting::default(),
            unnamed: Unnamed::default(),
            losses: Losses::default(),
            preamble: Vec::new(),
            messages: 0,
            chunk: 0,
            waited: Duration::ZERO,
        }
    }

    /// Applies one message, which was read at `received_at`, or lets it wait until the router is identified.
    ///
    /// # Errors
    /// The session is over. A message that cannot be decoded is only rejected.
    pub fn message(&mut self, frame: &Frame<'_>, received_at: Timestamp) -> Result<(), SessionEnd> {
        if let Some(identified) = &self.identified {
            identified.meter.message(frame.bytes.len(), received_at);
        }
        let decoded = bmp::decode(frame);
        if self.messages == 0 && !matches!(decoded, Ok(Message::Initiation(_)) | Err(_)) {
            self.note_anomaly(Anomaly::NoInitiation);
        }
        self.messages += u64::from(decoded.is_ok());
        if let Ok(message) = &decoded {
            self.count_version_4(frame, message);
            self.identity.learn(message);
            if let Message::Termination(information) = message {
                return Err(SessionEnd::Termination { reason: bmp::termination_text(information) });
            }
        }
        if self.identified.is_none() {
            self.unnamed.count(decoded.is_ok() && is_of_peer(frame));
            if self.identity.is_ready() {
                self.identify()?;
            } else if is_of_peer(frame) {
                self.waiting.add(frame, received_at);
                return Ok(());
            }
        }
        self.apply(frame, decoded, received_at)
    }

    /// Applies a decoded message, or rejects one that could not be decoded.
    pub(super) fn apply(
        &mut self,
        frame: &Frame<'_>,
        decoded: Result<Message<'_>, DecodeError>,
        received_at: Timestamp,
    ) -> Result<(), SessionEnd> {
        let message = match decoded {
            Ok(message) => message,
            Err(error) => return self.reject(frame, &error),
        };
        self.note_anomalies([
            (message.tlv_defect().is_some(), Anomaly::TlvCutShort),
            (message.capability_defect().is_some(), Anomaly::CapabilityCutShort),
        ]);
        if !self.may_speak(frame, &message)? {
            return Ok(());
        }
        match message {
            Message::Initiation(information) => self.initiation(&information),
            Message::PeerUp(up) => self.peer_up(&up, received_at),
            Message::PeerDown(down) => self.peer_down(&down, received_at),
            Message::RouteMonitoring(monitoring) => self.route_monitoring(frame, &monitoring, received_at),
            Message::StatisticsReport(report) => self.statistics(&report, received_at),
            Message::RouteMirroring(_) | Message::Termination(_) => Ok(()),
            Message::Unknown { type_code } => {
                debug!("{}: unknown BMP message type {type_code} skipped", self.subject());
                self.note_anomaly(Anomaly::UnknownMessage);
                Ok(())
            }
        }
    }

    /// Passes on the changes of the messages so far; to be called before waiting for the socket.
    ///
    /// # Errors
    /// The session cannot continue.
    pub fn flush(&mut self) -> Result<(), SessionEnd> {
        match &mut self.identified {
            None => Ok(()),
            Some(identified) => identified.tables.outbox().flush(),
        }
    }

    /// Handles a socket that has been silent for another `waited`.
    ///
    /// # Errors
    /// The session cannot continue.
    pub fn idle(&mut self, waited: Duration) -> Result<(), SessionEnd> {
        if self.identity.has_peers_or_routes() {
            self.waited += waited;
        }
        let has_waited = self.waited >= NAME_WAIT_MAX;
        if self.identified.is_none() && (self.identity.has_candidate() || has_waited) {
            self.identify()?;
        }
        match &mut self.identified {
            None => return Ok(()),
            Some(identified) => {
                let silent = identified.tables.idle(waited, Timestamp::now())?;
                identified.audit(self.shared.options.audit_every)?;
                identified.tables.outbox().flush()?;
                (0..silent).for_each(|_| self.note_anomaly(Anomaly::EndOfRibMissing));
            }
        }
        // While input is read from the spool, `waited` is zero; that input may still change the result of the check.
        if waited.is_zero() { Ok(()) } else { self.look_at_loc_rib(Timestamp::now()) }
    }

    /// Returns the router's name in the log.
    pub fn subject(&self) -> String {
        match &self.identified {
            Some(identified) => identified.subject.clone(),
            None => format!("router at {}", self.connection.source),
        }
    }

    /// Records the session's end: its routes are removed or become stale.
    pub fn end(&mut self, end: &SessionEnd) {
        let subject = self.subject();
        if let Some(summary) = self.anomalies.summary() {
            info!("{subject}: in this session: {summary}");
        }
        let refused = match end {
            SessionEnd::Refused(why) => Some(("identifier_taken", why)),
            SessionEnd::Unnamed(why) => Some(("unnamed", why)),
            _ => None,
        };
        self.tell_lost();
        // A load balancer checks every few seconds whether the port is open.
        if matches!(end, SessionEnd::Lost(_)) && self.connection.is_without_a_byte() {
            self.shared.meters.process.silent_connections.add(1);
            debug!("{subject}: connected and closed without a byte");
            return;
        }
        if let Some((label, why)) = refused {
            self.shared.meters.refused.count(label);
            self.shared.refusals.refuse(&self.shared.pipeline, self.connection.source, why);
            return;
        }
        match end {
            SessionEnd::Termination { .. } | SessionEnd::Stopping | SessionEnd::SpoolRead => {
                info!("{subject}: session ended: {end}");
            }
            SessionEnd::Lost(_)
            | SessionEnd::Stalled
            | SessionEnd::Mute
            | SessionEnd::Unnamed(_)
            | SessionEnd::OutOfStep(_)
            | SessionEnd::AddPath(_)
            | SessionEnd::Superseded
            | SessionEnd::Drift(_)
            | SessionEnd::Refused(_)
            | SessionEnd::OwnershipLost
            | SessionEnd::DatabaseDiffers
            | SessionEnd::DatabaseRefused(_)
            | SessionEnd::WritersGone
            | SessionEnd::Spool(_)
            | SessionEnd::SpoolDamaged(_)
            | SessionEnd::Panicked => warn!("{subject}: session ended: {end}"),
        }
        if let Some(mut identified) = self.identified.take() {
            identified.meter.session_ends(end.label());
            // If the writers are gone, that is reported where they ended.
            let _ = identified.end(end, &self.shared, &self.connection);
        }
    }

    fn initiation(&mut self, information: &[Information<'_>]) -> Result<(), SessionEnd> {
        self.odd_information(information, Information::SYS_NAME);
        self.tell_who_it_is()
    }

    fn route_monitoring(
        &mut self,
        frame: &Frame<'_>,
        monitoring: &RouteMonitoring<'_>,
        received_at: Timestamp,
    ) -> Result<(), SessionEnd> {
        let header = &monitoring.peer;
        let reading = self.readings.of(frame, header, &self.peers, &mut self.evidence);
        let Reading { source, is_up, negotiated, context } = reading;
        let mut routes = Routes::default();
        let decoded = match monitoring.decode_update(context, &mut routes) {
            Ok(decoded) => decoded,
            Err(error) => return self.reject(frame, &error),
        };
        self.deviations(decoded.deviations);
        self.odd_texts(monitoring.table_name().as_slice());
        self.note_numbering(monitoring);
        if let Update::RouteRefresh(_) = decoded.update {
            self.note_anomaly(Anomaly::RouteRefresh);
            return Ok(());
        }
        if let Rib::LocRib { filtered } = header.rib {
            self.note_anomalies([(filtered, Anomaly::FilteredLocRib), (!is_up, Anomaly::LocRibWithoutPeerUp)]);
        }
        match self.rib_filter.decide(&source) {
            Decision::Kept => {}
            Decision::KeptInsteadOf(view) => {
                if let Some(identified) = &mut self.identified {
                    identified.tables.drop_view(&source, view, "routes after policy have come")?;
                }
            }
            Decision::Counted(anomaly) => {
                self.note_anomaly(anomaly);
                return Ok(());
            }
        }
        self.learn_add_path(frame, &source, negotiated, monitoring, &decoded, received_at)?;
        let raw = match self.shared.options.raw {
            RawBytes::Dropped => None,
            RawBytes::Stored => Some(frame.bytes.into()),
        };
        let stamp = Stamp { received_at, router_time: monitoring.time(), raw };
        self.store(&source, monitoring, decoded, stamp)
    }

    fn store(
        &mut self,
        source: &RibSource,
        monitoring: &RouteMonitoring<'_>,
        decoded: Decoded<'_, '_>,
        stamp: Stamp,
    ) -> Result<(), SessionEnd> {
        if let Update::Routes(routes) = &decoded.update
            && let Some(fault) = routes.actions.first()
        {
            debug!("{}: attribute {}: {}", self.subject(), fault.attribute, fault.why);
            self.note_anomaly(Anomaly::AttributeErrors);
        }
        let Some(IdentifiedRouter { tables, .. }) = &mut self.identified else { return Ok(()) };
        let peers = &self.peers;
        let name = |slot: FamilyTable| peers.table_of(monitoring, slot.family());
        match decoded.update {
            Update::RouteRefresh(_) => {}
            Update::EndOfRib(family) => {
                let is_first = match (family.afi, family.safi) {
                    (1 | 2, 1 | 4) => {
                        let part = if family.safi == 1 { TableKind::Unicast } else { TableKind::Labeled };
                        let slot = FamilyTable { afi: if family.afi == 1 { Afi::Ipv4 } else { Afi::Ipv6 }, part };
                        tables.end_of_rib(source, &name(slot), slot, stamp.received_at)?
                    }
                    (1, 128) => tables.end_of_vpn_rib(source, Afi::Ipv4, stamp.received_at)?,
                    (2, 128) => tables.end_of_vpn_rib(source, Afi::Ipv6, stamp.received_at)?,
                    _ => {
                        self.note_anomaly(Anomaly::FamilyNotStored);
                        return Ok(());
                    }
                };
                if !is_first {
                    self.note_anomaly(Anomaly::EndOfRibRepeated);
                }
            }
            Update::Routes(routes) => {
                let changes = Changes::of(routes, self.path_ids);
                let has_room = tables.apply(source, name, &changes, stamp)?;
                changes.anomalies(has_room).for_each(|anomaly| self.note_anomaly(anomaly));
            }
        }
        Ok(())
    }

    /// Keeps the bytes of a message that cannot be applied; the session continues.
    fn reject(&mut self, frame: &Frame<'_>, error: &DecodeError) -> Result<(), SessionEnd> {
        let subject = self.subject();
        let kept = match &mut self.identified {
            None => "bytes not kept: router not identified yet".to_owned(),
            Some(identified) => match identified.rejected.append(frame.bytes) {
                Ok(true) => format!("bytes kept in {}", identified.rejected.path().display()),
                Ok(false) => format!("bytes not kept: no room for {}", identified.rejected.path().display()),
                Err(failed) => format!("bytes not kept: {}: {failed}", identified.rejected.path().display()),
            },
        };
        if self.count(Anomaly::Rejected) {
            warn!(
                "{subject}: message type {} of {} bytes rejected: {error}; {kept}",
                frame.type_code,
                frame.bytes.len()
            );
        } else {
            debug!("{subject}: message type {} rejected: {error}; {kept}", frame.type_code);
        }
        Ok(())
    }
}

impl IdentifiedRouter {
    /// Requests a count of the routes periodically, and when a writer found unexpected rows.
    fn audit(&mut self, every: Duration) -> Result<(), SessionEnd> {
        let owner = self.tables.outbox().owner();
        if owner.is_out_of_step() {
            return Err(SessionEnd::DatabaseDiffers);
        }
        if owner.take_doubt() || self.audited.elapsed() >= every {
            self.audited = Instant::now();
            self.tables.audit()?;
        }
        Ok(())
    }
}
