//! Converts Peer Up, Peer Down and Statistics Report messages to rows of `peers`, `peer_statistics` and
//! `session_events`. Pure.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::changes::TableKind;
use super::earlier_tables::TableOrigin;
use super::open_json;
use super::peer_id::PeerId;
use crate::metrics::{PeerStatistics, StatisticKey};
use crate::model::{
    AfiSafi, PeerName, PeerRecord, PeerState, Rd, RibKind, SessionEvent, SessionEventKind, StatisticRecord,
    TableNameRecord, cut_reason,
};
use crate::wire::bmp::peer::{PeerKey, PeerKind, PerPeerHeader};
use crate::wire::bmp::statistics::statistic_name;
use crate::wire::bmp::{Information, PeerDown, PeerUp, StatisticValue, StatisticsReport};

/// Returns the key of the rows of a peer or Loc-RIB instance.
pub fn name(peer: &PeerKey) -> PeerName {
    let kind = peer.kind.name().map_or_else(|| peer.kind.type_code().to_string(), str::to_owned);
    let rd = peer.kind.rd();
    let distinguisher = if rd.is_zero() { String::new() } else { rd.to_string() };
    PeerName { kind, distinguisher, address: peer.address, asn: peer.asn }
}

/// Returns the key of the rows with the table names of a peer or Loc-RIB instance.
fn name_of(peer: &PeerId) -> PeerName {
    let PeerId { kind, address, asn, bgp_id } = *peer;
    name(&PeerKey { kind, address: address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), asn, bgp_id })
}

/// Returns the row that records a table's name and origin.
pub fn table_name(rib: RibKind, origin: &TableOrigin, stored: &Arc<str>) -> TableNameRecord {
    let rd = match origin.part {
        TableKind::Unicast | TableKind::Labeled => String::new(),
        TableKind::Vpn(rd) => rd.to_string(),
        TableKind::Nlri(family) => family.afi.to_string(),
    };
    TableNameRecord {
        rib,
        peer: name_of(&origin.peer),
        bgp_id: origin.peer.bgp_id,
        name: Arc::clone(&origin.given),
        table_name: Arc::clone(stored),
        safi: origin.part.safi(),
        route_distinguisher: rd,
        unicast: Arc::clone(&origin.unicast),
    }
}

/// Returns the origin of the table that a row names; `None` if no collector can have written the row.
pub fn origin(record: &TableNameRecord) -> Option<TableOrigin> {
    let PeerName { kind, distinguisher, address, asn } = &record.peer;
    let rd = if distinguisher.is_empty() { Rd::default() } else { distinguisher.parse().ok()? };
    let kind = match kind.as_str() {
        "global" => PeerKind::Global,
        "rd" => PeerKind::Vrf(rd),
        "local" => PeerKind::Local(rd),
        "loc_rib" => PeerKind::LocRib(rd),
        other => PeerKind::Unknown { type_code: other.parse().ok()?, rd },
    };
    let address = (!matches!(kind, PeerKind::LocRib(_))).then_some(*address);
    let part = match record.safi {
        safi if record.rib.is_nlri() && safi != TableKind::Unicast.safi() => {
            TableKind::Nlri(AfiSafi { afi: record.route_distinguisher.parse().ok()?, safi })
        }
        1 => TableKind::Unicast,
        4 => TableKind::Labeled,
        128 => TableKind::Vpn(record.route_distinguisher.parse().ok()?),
        _ => return None,
    };
    Some(TableOrigin {
        peer: PeerId { kind, address, asn: *asn, bgp_id: record.bgp_id },
        given: Arc::clone(&record.name),
        unicast: Arc::clone(&record.unicast),
        part,
    })
}

/// Returns the row of a peer that came up.
pub fn up(up: &PeerUp<'_>) -> PeerRecord {
    let capabilities = |all: &[_]| all.iter().map(open_json::capability).collect::<Value>();
    let description = up.information.iter().find(|tlv| tlv.type_code == Information::STRING);
    let description = description.map(|tlv| tlv.note().as_str().to_owned());
    PeerRecord {
        name: name(&up.peer.peer),
        bgp_id: known_id(&up.peer.peer),
        local_address: Some(up.local_address),
        local_port: Some(up.local_port),
        remote_port: Some(up.remote_port),
        // BGP uses the smaller of the two (RFC 4271 section 4.2).
        hold_time: Some(up.sent_open.hold_time.min(up.received_open.hold_time)),
        capabilities: Some(
            json!({
                "sent": capabilities(&up.sent_open.capabilities),
                "received": capabilities(&up.received_open.capabilities),
            })
            .to_string(),
        ),
        description: description.filter(|text| !text.is_empty()),
        state: PeerState::Up,
        reason: None,
    }
}

/// Returns the row of a peer that went down or was never up.
pub fn down(down: &PeerDown<'_>) -> PeerRecord {
    PeerRecord {
        name: name(&down.peer.peer),
        bgp_id: known_id(&down.peer.peer),
        local_address: None,
        local_port: None,
        remote_port: None,
        hold_time: None,
        capabilities: None,
        description: None,
        state: PeerState::Down,
        reason: Some(down.to_string()),
    }
}

/// Returns the BGP identifier; `None` for zero, which headers of a peer that is not up contain.
fn known_id(peer: &PeerKey) -> Option<Ipv4Addr> {
    Some(peer.bgp_id).filter(|id| !id.is_unspecified())
}

/// Returns a row of `session_events` about the router as a whole.
pub(crate) fn router_note(kind: SessionEventKind, reason: Option<&str>, routes: Option<usize>) -> SessionEvent {
    SessionEvent {
        kind,
        table_name: None,
        peer_address: None,
        afi: None,
        reason: reason.map(|reason| cut_reason(reason).to_owned()),
        routes: routes.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

/// Returns a row of `session_events` about a peer or Loc-RIB instance.
pub fn note(kind: SessionEventKind, header: &PerPeerHeader, reason: Option<String>) -> SessionEvent {
    let peer_address = match header.peer.kind {
        PeerKind::LocRib(_) => None,
        PeerKind::Global
        | PeerKind::GlobalVrf(_)
        | PeerKind::Vrf(_)
        | PeerKind::Local(_)
        | PeerKind::Unknown { .. } => Some(header.peer.address),
    };
    SessionEvent { peer_address, reason, ..router_note(kind, None, None) }
}

/// Returns a record for each numeric value of a report, per-family values included.
pub fn statistics(report: &StatisticsReport<'_>) -> Vec<StatisticRecord> {
    let peer = name(&report.peer.peer);
    let all = report.statistics.iter().filter_map(|statistic| {
        let (family, value) = match statistic.value {
            StatisticValue::Number(value) => (None, value),
            StatisticValue::PerFamily(family, value) => (Some(family), value),
            StatisticValue::Opaque(_) => return None,
        };
        let AfiSafi { afi, safi } = family.unwrap_or(AfiSafi { afi: 0, safi: 0 });
        let type_code = statistic.type_code;
        let name = statistic_name(type_code).map_or_else(|| type_code.to_string(), str::to_owned);
        Some(StatisticRecord { peer: peer.clone(), type_code, afi, safi, name, value })
    });
    all.collect()
}

/// Returns the label of a peer in metrics: its address, after the distinguisher if there is one; `loc_rib` for a
/// Loc-RIB, which has no address.
pub fn label(peer: &PeerName) -> String {
    let address = if peer.kind == "loc_rib" { peer.kind.clone() } else { peer.address.to_string() };
    if peer.distinguisher.is_empty() { address } else { format!("{} {address}", peer.distinguisher) }
}

/// Sets the metrics to the values of a report.
pub fn measure(statistics: &PeerStatistics, all: &[StatisticRecord]) {
    for one in all {
        let family = match (one.afi, one.safi) {
            (0, 0) => String::new(),
            (afi, safi) => AfiSafi { afi, safi }.to_string(),
        };
        statistics.note(StatisticKey { peer: label(&one.peer), name: one.name.clone(), family }, one.value);
    }
}
