//! One BMP message as a JSON object.

use serde_json::{Value, json};

use super::routes::{self, Object, StreamState, error_value};
use crate::model::Text;
use crate::model::write_text::hex;
use crate::session::open_json;
use crate::wire::bmp::peer::{AsWidth, PerPeerHeader, Rib};
use crate::wire::bmp::statistics::statistic_name;
use crate::wire::bmp::{
    self, Frame, Information, Message, Mirrored, PeerDown, RouteMirroring, Statistic, StatisticValue,
    termination_reason,
};

/// Returns all fields of a message's line except `index` and `offset`. `offset` is where the message begins in the
/// stream.
pub fn line(frame: &Frame<'_>, offset: u64, heard: &mut StreamState) -> Object {
    let mut line = Object::new();
    line.insert("length".into(), json!(frame.bytes.len()));
    line.insert("version".into(), json!(frame.version));
    line.insert("type".into(), json!(type_name(frame.type_code)));
    if let Some(header) = bmp::decode_peer(frame) {
        line.insert("peer".into(), peer(&header));
    }
    match bmp::decode(frame) {
        Ok(message) => {
            add(&mut line, &message, offset, heard);
            if let Some(defect) = message.defect() {
                line.insert("error".into(), error_value(defect, offset));
            }
        }
        Err(error) => {
            line.insert("error".into(), error_value(&error, offset));
        }
    }
    line
}

fn type_name(type_code: u8) -> &'static str {
    match type_code {
        0 => "route_monitoring",
        1 => "statistics_report",
        2 => "peer_down",
        3 => "peer_up",
        4 => "initiation",
        5 => "termination",
        6 => "route_mirroring",
        _ => "unknown",
    }
}

fn add(line: &mut Object, message: &Message<'_>, offset: u64, heard: &mut StreamState) {
    match message {
        Message::Initiation(tlvs) => add_information(line, tlvs, initiation_name),
        Message::Termination(tlvs) => {
            line.insert("information".into(), tlvs.iter().map(termination).collect());
        }
        Message::PeerUp(up) => {
            line.insert("local_address".into(), json!(up.local_address));
            line.insert("local_port".into(), json!(up.local_port));
            line.insert("remote_port".into(), json!(up.remote_port));
            line.insert("sent_open".into(), open_json::value(&up.sent_open));
            line.insert("received_open".into(), open_json::value(&up.received_open));
            add_information(line, &up.information, peer_name);
            heard.peers.peer_up(up);
        }
        Message::PeerDown(down) => {
            add_peer_down(line, down);
            if let Some(peer) = heard.peers.peer_down(&down.peer) {
                heard.evidence.down(&peer);
            }
        }
        Message::StatisticsReport(report) => {
            line.insert("statistics".into(), report.statistics.iter().map(statistic).collect());
        }
        Message::RouteMirroring(mirroring) => {
            line.insert("items".into(), mirrored(mirroring));
        }
        Message::RouteMonitoring(monitoring) => routes::add(line, monitoring, offset, heard),
        Message::Unknown { type_code } => {
            line.insert("type_code".into(), json!(type_code));
        }
    }
}

fn peer(header: &PerPeerHeader) -> Value {
    let mut peer = Object::new();
    let kind = header.peer.kind;
    peer.insert("type".into(), json!(kind.name().unwrap_or("unknown")));
    peer.insert("type_code".into(), json!(kind.type_code()));
    let rd = kind.rd();
    if !rd.is_zero() {
        peer.insert("distinguisher".into(), json!(rd.to_string()));
    }
    let is_loc_rib = matches!(header.rib, Rib::LocRib { .. });
    if !is_loc_rib || !header.peer.address.is_unspecified() {
        peer.insert("address".into(), json!(header.peer.address));
    }
    peer.insert("asn".into(), json!(header.peer.asn.0));
    peer.insert("bgp_id".into(), json!(header.peer.bgp_id));
    if let Rib::LocRib { filtered } = header.rib {
        peer.insert("filtered".into(), json!(filtered));
    }
    peer.insert("rib".into(), json!(header.rib.kind().name(header.rib.policy()).replace('-', "_")));
    let width = match header.as_width {
        AsWidth::Two => 2,
        AsWidth::Four => 4,
    };
    peer.insert("as_width".into(), json!(width));
    if let Some(time) = header.time {
        peer.insert("timestamp".into(), json!(time.to_string()));
    }
    Value::Object(peer)
}

fn add_information(line: &mut Object, tlvs: &[Information<'_>], name: fn(u16) -> Option<&'static str>) {
    let all = tlvs.iter().map(|tlv| information(tlv, name(tlv.type_code))).collect();
    line.insert("information".into(), all);
}

fn information(tlv: &Information<'_>, name: Option<&str>) -> Value {
    let mut object = Object::new();
    object.insert("type".into(), json!(tlv.type_code));
    if let Some(name) = name {
        object.insert("name".into(), json!(name));
    }
    let text = Text::whole(tlv.value);
    if text.was_replaced() {
        object.insert("hex".into(), json!(hex(tlv.value)));
    } else {
        object.insert("text".into(), json!(text.as_str()));
    }
    Value::Object(object)
}

fn termination(tlv: &Information<'_>) -> Value {
    match (tlv.type_code, tlv.value) {
        (Information::REASON, [high, low]) => {
            let code = u16::from_be_bytes([*high, *low]);
            json!({ "type": tlv.type_code, "name": "reason", "code": code, "meaning": termination_reason(code) })
        }
        (Information::REASON, value) => json!({ "type": tlv.type_code, "name": "reason", "hex": hex(value) }),
        (Information::STRING, _) => information(tlv, Some("string")),
        _ => information(tlv, None),
    }
}

/// Returns the name of an Initiation TLV: RFC 7854 section 4.4 and the IANA registry of BMP Initiation Information
/// TLVs.
fn initiation_name(type_code: u16) -> Option<&'static str> {
    match type_code {
        Information::STRING => Some("string"),
        Information::SYS_DESCR => Some("sys_descr"),
        Information::SYS_NAME => Some("sys_name"),
        Information::TABLE_NAME => Some("table_name"),
        Information::ADMIN_LABEL => Some("admin_label"),
        _ => None,
    }
}

/// Returns the name of a Peer Up or Peer Down TLV (RFC 9736).
fn peer_name(type_code: u16) -> Option<&'static str> {
    match type_code {
        Information::STRING => Some("string"),
        Information::TABLE_NAME => Some("table_name"),
        Information::ADMIN_LABEL => Some("admin_label"),
        _ => None,
    }
}

fn add_peer_down(line: &mut Object, down: &PeerDown<'_>) {
    line.insert("reason".into(), json!(down.reason));
    line.insert("name".into(), json!(down.reason_name()));
    if let Some(notification) = down.notification {
        let value = json!({ "code": notification.code, "subcode": notification.subcode });
        line.insert("notification".into(), value);
    }
    if let Some(event) = down.fsm_event {
        line.insert("fsm_event".into(), json!(event));
    }
    if !down.information.is_empty() {
        add_information(line, &down.information, peer_name);
    }
}

fn statistic(statistic: &Statistic<'_>) -> Value {
    let mut object = Object::new();
    object.insert("type".into(), json!(statistic.type_code));
    if let Some(name) = statistic_name(statistic.type_code) {
        object.insert("name".into(), json!(name));
    }
    match statistic.value {
        StatisticValue::Number(value) => {
            object.insert("value".into(), json!(value));
        }
        StatisticValue::PerFamily(family, value) => {
            object.insert("afi".into(), json!(family.afi));
            object.insert("safi".into(), json!(family.safi));
            object.insert("value".into(), json!(value));
        }
        StatisticValue::Opaque(value) => {
            object.insert("hex".into(), json!(hex(value)));
        }
    }
    Value::Object(object)
}

fn mirrored(mirroring: &RouteMirroring<'_>) -> Value {
    mirroring
        .items
        .iter()
        .map(|item| match item {
            Mirrored::Bgp(bgp) => json!({ "type": 0, "name": "bgp_message", "bgp": hex(bgp) }),
            Mirrored::Information(code) => json!({ "type": 1, "name": "information", "code": code }),
            Mirrored::Unknown { type_code, value } => json!({ "type": type_code, "hex": hex(value) }),
        })
        .collect()
}
