//! One session's messages, applied to peers, identity and tables.
//!
//! Everything that the router sends before it is identified waits. The identity is determined at the first Peer Up or
//! Loc-RIB message that names it; then the waiting messages are applied, and `RouterTables` turns changes into ops
//! and events.

use std::sync::Arc;
use std::time::Duration;

use log::Level;

use super::add_path::Evidence;
use super::anomaly::{Anomalies, Anomaly};
use super::changes::{Changes, FamilyTable, PathIds, TableKind};
use super::drift::Drifts;
use super::end::{Cause, SessionEnd};
use super::host::Host;
use super::identity::Identity;
use super::input::{Input, is_of_peer};
use super::missing_withdrawals::MissingWithdrawals;
use super::peer_owners::Sharing;
use super::peer_up_cache::PeerUpCache;
use super::peers::Peers;
use super::reading::{Reading, Readings};
use super::rib_filter::{Decision, RibFilter};
use super::rib_source::RibSource;
use super::rules::{Moment, Stamp};
use super::shared::RawBytes;
use super::standby::Standby;
use super::tables::RouterTables;
use super::unnamed::Unnamed;
use super::version4::Version4;
use crate::journal::Checkpoint;
use crate::model::{Afi, RouterId, StoredFamilies, Timestamp};
use crate::pipeline::Ownership;
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
    pub(super) host: Host,
    pub(super) input: Arc<Input>,
    pub(super) resumed: Option<Resumed>,
    pub(super) identity: Identity,
    pub(super) anomalies: Anomalies,
    /// The evidence about path identifiers from its messages.
    pub(super) evidence: Evidence,
    /// The reading of each peer's messages, derived from the peers and `evidence`.
    pub(super) readings: Readings,
    pub(super) version_4: Version4,
    pub(super) path_ids: PathIds,
    pub(super) rib_filter: RibFilter,
    pub(super) stored_families: StoredFamilies,
    pub(super) identified: Option<IdentifiedRouter>,
    /// Set when another collector has the router.
    pub(super) standby: Option<Standby>,
    pub(super) unnamed: Unnamed,
    /// The messages after the one that ended the session, which are not applied.
    pub(super) skipped: usize,
    /// The lost input, to be reported at the session's end.
    pub(super) lost: Option<String>,
    /// True once messages are missing in the middle of the input: among them may be Peer Ups.
    pub(super) misses_input: bool,
    /// The messages that stay valid.
    pub(super) peer_ups: PeerUpCache,
    pub(super) messages: u64,
    /// The octets of its input that are applied.
    pub(super) position: u64,
    /// When its first message was read.
    pub(super) began: Option<Timestamp>,
    /// Time spent waiting for the socket since peers or routes arrived.
    pub(super) waited: Duration,
}

/// The state of a session once its router is identified.
pub(super) struct IdentifiedRouter {
    pub(super) router: RouterId,
    /// The router's name in the log: `router 10.0.0.1 (edge1)`.
    pub(super) subject: String,
    pub(super) tables: RouterTables,
    pub(super) owner: Arc<Ownership>,
    pub(super) drifts: Drifts,
    pub(super) missing: MissingWithdrawals,
    /// The session's age when the routes of its tables were last counted; `None` until the first idle moment.
    pub(super) audited: Option<Duration>,
    pub(super) sharing: Sharing,
}

/// The state of a session that continues one of another process.
pub(super) struct Resumed {
    /// The state that the other one left.
    pub(super) checkpoint: Checkpoint,
    /// True if what is taken in now was taken in there.
    pub(super) repeats: bool,
}

impl Session {
    /// Applies one message, which was read at `received_at`, or lets it wait until the router is identified.
    ///
    /// # Errors
    /// The session is over. A message that cannot be decoded is only rejected.
    pub fn message(&mut self, frame: &Frame<'_>, received_at: Timestamp) -> Result<(), SessionEnd> {
        if let Some(identified) = &self.identified {
            identified.tables.outbox.count_message(frame.bytes.len(), received_at);
        }
        self.peer_ups.take(frame);
        let decoded = bmp::decode(frame);
        if self.messages == 0 && !matches!(decoded, Ok(Message::Initiation(_)) | Err(_)) {
            self.note_anomaly(Anomaly::NoInitiation);
        }
        self.messages += u64::from(decoded.is_ok());
        if let Ok(message) = &decoded {
            self.count_version_4(frame, message);
            self.identity.learn(message);
            if let Message::Termination(information) = message {
                return Err(SessionEnd::new(Cause::Termination, bmp::termination_text(information)));
            }
        }
        if self.identified.is_none() {
            self.unnamed.count(decoded.is_ok() && is_of_peer(frame));
            if self.identity.is_ready() {
                self.identify()?;
            } else if is_of_peer(frame) {
                self.unnamed.wait(frame.bytes.len(), self.position);
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
            Message::PeerDown(down) => self.hear_down(frame, &down, received_at),
            Message::RouteMonitoring(monitoring) => self.route_monitoring(frame, &monitoring, received_at),
            Message::StatisticsReport(report) => self.statistics(&report, received_at),
            Message::RouteMirroring(_) | Message::Termination(_) => Ok(()),
            Message::Unknown { type_code } => {
                let subject = self.subject();
                let text = format_args!("{subject}: unknown BMP message type {type_code} skipped");
                self.host.say(Level::Debug, text);
                self.note_anomaly(Anomaly::UnknownMessage);
                Ok(())
            }
        }
    }

    /// Passes on the changes of the messages so far; to be called before waiting for the socket.
    pub fn flush(&mut self) -> Result<(), SessionEnd> {
        match &mut self.identified {
            None => Ok(()),
            Some(identified) => identified.tables.outbox().flush(),
        }
    }

    /// Handles a socket that has been silent for another `waited`, at the moment `now`.
    pub fn idle(&mut self, waited: Duration, now: Moment) -> Result<(), SessionEnd> {
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
                let silent = identified.tables.idle(waited, now.at)?;
                identified.audit(self.host.options().audit_every, now.age)?;
                identified.tables.outbox().flush()?;
                (0..silent).for_each(|_| self.note_anomaly(Anomaly::EndOfRibMissing));
            }
        }
        // While input is read from the journal, `waited` is zero; that input may still change the result of the check.
        if waited.is_zero() { Ok(()) } else { self.look_at_loc_rib(now.at) }
    }

    /// Returns the router's name in the log.
    pub fn subject(&self) -> String {
        match (&self.identified, &self.standby) {
            (Some(identified), _) => identified.subject.clone(),
            (None, Some(Standby { router, .. })) => format!("router {router} (standby)"),
            (None, None) => format!("router at {}", self.host.source()),
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
        let Some(identified) = &mut self.identified else { return Ok(()) };
        let header = &monitoring.peer;
        let peers = &mut identified.tables.peers;
        let reading = self.readings.of(frame, header, peers, &mut self.evidence);
        let Reading { source, is_up, negotiated, context } = reading;
        if !is_up && self.may_miss_peer_ups() {
            // Its table and the form of its routes are in the Peer Up.
            self.note_anomaly(Anomaly::PeerUpMissing);
            return Ok(());
        }
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
        let Some(identified) = &mut self.identified else { return Ok(()) };
        match self.rib_filter.decide(&source, &mut identified.tables.peers) {
            Decision::Kept => {}
            Decision::KeptInsteadOf(view) => {
                identified.tables.drop_view(&source, view, "routes after policy have come")?;
            }
            Decision::Counted(anomaly) => {
                self.note_anomaly(anomaly);
                return Ok(());
            }
        }
        self.learn_add_path(frame, &source, negotiated, monitoring, &decoded, received_at)?;
        let raw = match self.host.options().raw {
            RawBytes::Dropped => None,
            RawBytes::Stored => Some(frame.bytes.into()),
        };
        let stamp = Stamp { received_at, router_time: monitoring.time(), raw };
        self.store(&source, (frame, monitoring), decoded, stamp)
    }

    fn store(
        &mut self,
        source: &RibSource,
        (frame, monitoring): (&Frame<'_>, &RouteMonitoring<'_>),
        decoded: Decoded<'_, '_>,
        stamp: Stamp,
    ) -> Result<(), SessionEnd> {
        if let Update::Routes(routes) = &decoded.update
            && let Some(fault) = routes.actions.first()
        {
            let subject = self.subject();
            let text = format_args!("{subject}: attribute {}: {}", fault.attribute, fault.why);
            self.host.say(Level::Debug, text);
            self.note_anomaly(Anomaly::AttributeErrors);
        }
        let stored = self.stored_families;
        let Some(IdentifiedRouter { tables, .. }) = &mut self.identified else { return Ok(()) };
        let name = |peers: &Peers, slot: FamilyTable| peers.table_of(monitoring, slot.family());
        match decoded.update {
            Update::RouteRefresh(_) => {}
            Update::EndOfRib(family) => {
                let is_first = match (family.afi, family.safi) {
                    (1 | 2, 1 | 4) => {
                        let part = if family.safi == 1 { TableKind::Unicast } else { TableKind::Labeled };
                        let slot = FamilyTable { afi: if family.afi == 1 { Afi::Ipv4 } else { Afi::Ipv6 }, part };
                        let name = name(&tables.peers, slot);
                        tables.end_of_rib(source, &name, slot, stamp.received_at)?
                    }
                    (1, 128) => tables.end_of_vpn_rib(source, Afi::Ipv4, stamp.received_at)?,
                    (2, 128) => tables.end_of_vpn_rib(source, Afi::Ipv6, stamp.received_at)?,
                    _ if stored.contains(family) => {
                        let slot = FamilyTable::nlri(family);
                        let name = name(&tables.peers, slot);
                        tables.end_of_rib(source, &name, slot, stamp.received_at)?
                    }
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
                let changes = Changes::with(routes, self.path_ids, stored);
                if let Some(error) = &changes.unreadable {
                    return self.reject(frame, error);
                }
                let has_room = tables.apply(source, name, &changes, stamp)?;
                changes.anomalies(has_room).for_each(|anomaly| self.note_anomaly(anomaly));
            }
        }
        Ok(())
    }

    /// Keeps the bytes of a message that cannot be applied; the session continues.
    fn reject(&mut self, frame: &Frame<'_>, error: &DecodeError) -> Result<(), SessionEnd> {
        let subject = self.subject();
        let kept = self.host.keep_rejected(frame.bytes);
        let (type_code, bytes) = (frame.type_code, frame.bytes.len());
        if self.count(Anomaly::Rejected) {
            let text = format_args!("{subject}: message type {type_code} of {bytes} bytes rejected: {error}; {kept}");
            self.host.say(Level::Warn, text);
        } else {
            let text = format_args!("{subject}: message type {type_code} rejected: {error}; {kept}");
            self.host.say(Level::Debug, text);
        }
        Ok(())
    }
}

impl IdentifiedRouter {
    /// Requests a count of the routes periodically, and when a writer found unexpected rows.
    fn audit(&mut self, every: Duration, age: Duration) -> Result<(), SessionEnd> {
        let owner = self.tables.outbox().owner();
        if owner.is_out_of_step() {
            return Err(Cause::DatabaseDiffers.into());
        }
        let since = *self.audited.get_or_insert(age);
        if owner.take_doubt() || age.saturating_sub(since) >= every {
            self.audited = Some(age);
            self.tables.audit()?;
        }
        Ok(())
    }
}
