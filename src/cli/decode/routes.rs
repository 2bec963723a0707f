//! A Route Monitoring message as JSON: the routes as they would be stored, and the corrections that were needed to read
//! them.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use crate::model::write_text::hex;
use crate::model::{AfiSafi, Fixed, List, NextHop, Nlri, PathAttributes, PathId, PathStatus};
use crate::session::add_path::{Evidence, Of};
use crate::session::peers::Peers;
use crate::wire::DecodeError;
use crate::wire::bgp::nlri::NlriSet;
use crate::wire::bgp::nlri::opaque::OtherNlri;
use crate::wire::bgp::rfc7606::{Fault, FaultAction};
use crate::wire::bgp::routes::Routes;
use crate::wire::bgp::update::{Deviations, Update};
use crate::wire::bmp::numbering::GROUP_BIT;
use crate::wire::bmp::{RouteMonitoring, Tlv, TlvKind};

/// A JSON object that grows field by field.
pub(super) type Object = Map<String, Value>;

/// The state from earlier messages that determines how later ones are read.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// The peers that are up.
    pub(super) peers: Peers,
    /// The evidence for reading their NLRI.
    pub(super) evidence: Evidence,
}

/// Adds the fields of a Route Monitoring message that begins at `offset` in the stream.
pub fn add(line: &mut Object, monitoring: &RouteMonitoring<'_>, offset: u64, heard: &mut StreamState) {
    let peer = &monitoring.peer;
    let mut routes = Routes::default();
    let StreamState { peers, evidence } = heard;
    let (of, negotiated) = (Of::from(&peers.source(peer)), peers.context(peer));
    let context = evidence.context(of, negotiated);
    let decoded = match monitoring.decode_update(context, &mut routes) {
        Ok(decoded) => decoded,
        Err(error) => {
            line.insert("error".into(), error_value(&error, offset));
            return;
        }
    };
    let family = family_of(&decoded.update);
    line.insert("table_name".into(), json!(&*peers.table_of(monitoring, family).stored));
    if !monitoring.tlvs.is_empty() {
        line.insert("tlvs".into(), monitoring.tlvs.iter().map(tlv).collect());
    }
    add_deviations(line, decoded.deviations);
    let announced = monitoring.context(negotiated).add_path;
    evidence.learn(of, negotiated.add_path, announced, decoded.add_path_shown);
    let is_open = |family: &AfiSafi| context.add_path_seen.reading(*family).is_none();
    let open: Vec<Value> = decoded
        .add_path_ambiguous
        .iter()
        .map(|(family, _)| family)
        .filter(is_open)
        .map(|AfiSafi { afi, safi }| json!({ "afi": afi, "safi": safi }))
        .collect();
    if !open.is_empty() {
        line.insert("add_path_ambiguous".into(), Value::Array(open));
    }
    match decoded.update {
        Update::EndOfRib(family) => {
            line.insert("end_of_rib".into(), json!({ "afi": family.afi, "safi": family.safi }));
        }
        Update::Routes(routes) => add_routes(line, routes, offset),
        Update::RouteRefresh(refresh) => {
            let AfiSafi { afi, safi } = refresh.family;
            let mut value = json!({ "afi": afi, "safi": safi, "subtype": refresh.code() });
            if let Some(name) = refresh.name() {
                value["name"] = json!(name);
            }
            line.insert("route_refresh".into(), value);
        }
    }
}

/// Returns the family for which the table's name is looked up: that of the announced routes, else of the withdrawn
/// ones.
fn family_of(update: &Update<'_, '_>) -> AfiSafi {
    match update {
        Update::EndOfRib(family) => *family,
        Update::RouteRefresh(refresh) => refresh.family,
        Update::Routes(routes) => {
            let announced = routes.announced.iter().map(|announced| announced.family);
            let withdrawn = routes.withdrawn.iter().map(|withdrawn| withdrawn.family);
            announced.chain(withdrawn).next().unwrap_or(AfiSafi::IPV4_UNICAST)
        }
    }
}

/// Returns a TLV of a version 4 message; an index with the group bit is written as `group`.
fn tlv(tlv: &Tlv<'_>) -> Value {
    let mut object = Object::new();
    object.insert("type".into(), json!(tlv.type_code));
    if let Some(enterprise) = tlv.enterprise {
        object.insert("enterprise".into(), json!(enterprise));
    }
    object.insert(if tlv.index & GROUP_BIT == 0 { "index" } else { "group" }.into(), json!(tlv.index & !GROUP_BIT));
    object.insert("hex".into(), json!(hex(tlv.value)));
    let name = match tlv.kind {
        TlvKind::SequenceNumber => "sequence_number",
        TlvKind::ExtendedFlags => "extended_flags",
        TlvKind::Timestamp => "timestamp",
        TlvKind::Group => "group",
        TlvKind::TableName => "table_name",
        TlvKind::StatelessParsing => "stateless_parsing",
        TlvKind::PathMarking => {
            let status = PathStatus::from_wire(tlv.value);
            object.insert("status".into(), status.into_iter().flat_map(PathStatus::names).collect());
            "path_marking"
        }
        TlvKind::Unknown => return Value::Object(object),
    };
    object.insert("name".into(), json!(name));
    Value::Object(object)
}

/// Adds the deviations of the message from what the router had announced.
fn add_deviations(line: &mut Object, deviations: Deviations) {
    let Deviations { add_path_missing, add_path_unannounced, as_width_other, labels_unannounced, trailing_bytes } =
        deviations;
    let all = [
        (add_path_missing, "add_path_missing"),
        (add_path_unannounced, "add_path_unannounced"),
        (as_width_other, "as_width_other"),
        (labels_unannounced, "labels_unannounced"),
        (trailing_bytes, "trailing_bytes"),
    ];
    let told: Vec<&str> = all.into_iter().filter(|(is_present, _)| *is_present).map(|(_, name)| name).collect();
    if !told.is_empty() {
        line.insert("deviations".into(), json!(told));
    }
}

fn add_routes(line: &mut Object, routes: &Routes<'_>, offset: u64) {
    let mut withdrawn = Vec::new();
    for item in &routes.withdrawn {
        add_nlri(&mut withdrawn, (item.family, &item.nlri), None, None, offset);
    }
    let mut announced = Vec::new();
    for item in &routes.announced {
        add_nlri(&mut announced, (item.family, &item.nlri), item.next_hop, item.path_status, offset);
    }
    line.insert("withdrawn".into(), Value::Array(withdrawn));
    line.insert("announced".into(), Value::Array(announced));
    let attributes = attributes(&routes.attributes);
    if !attributes.is_empty() {
        line.insert("attributes".into(), Value::Object(attributes));
    }
    if !routes.actions.is_empty() {
        line.insert("actions".into(), routes.actions.iter().map(action).collect());
    }
}

fn add_nlri(
    list: &mut Vec<Value>,
    (family, nlri): (AfiSafi, &NlriSet<'_>),
    next_hop: Option<NextHop>,
    path_status: Option<PathStatus>,
    offset: u64,
) {
    let route = || {
        let mut route = Object::new();
        route.insert("afi".into(), json!(family.afi));
        route.insert("safi".into(), json!(family.safi));
        if let Some(NextHop { address, link_local }) = next_hop {
            route.insert("next_hop".into(), json!(address));
            if let Some(link_local) = link_local {
                route.insert("link_local_next_hop".into(), json!(link_local));
            }
        }
        if let Some(path_status) = path_status {
            route.insert("path_status".into(), path_status.json());
        }
        route
    };
    match nlri {
        NlriSet::Prefixes(all) => {
            for nlri in all {
                let mut route = route();
                add_prefix(&mut route, &nlri);
                list.push(Value::Object(route));
            }
        }
        NlriSet::Labeled(all) => {
            for labeled in all {
                let mut route = route();
                add_prefix(&mut route, &labeled.nlri);
                route.insert("labels".into(), json!(labeled.labels[..]));
                if let Some(rd) = labeled.rd {
                    route.insert("rd".into(), json!(rd.to_string()));
                }
                list.push(Value::Object(route));
            }
        }
        NlriSet::Opaque(nlri) => {
            let whole = |error: Option<&DecodeError>| {
                let mut route = route();
                route.insert("hex".into(), json!(hex(nlri.octets())));
                route.extend(error.map(|error| ("error".into(), error_value(error, offset))));
                Value::Object(route)
            };
            match nlri.decode(family) {
                _ if nlri.is_empty() => {}
                None => list.push(whole(None)),
                Some(Err(error)) => list.push(whole(Some(&error))),
                Some(Ok(all)) => list.extend(all.into_iter().map(|nlri| other_nlri(route(), nlri, offset))),
            }
        }
    }
}

/// Returns an NLRI that is not a prefix: as sent, and structured unless it is malformed.
fn other_nlri(mut route: Object, nlri: OtherNlri<'_>, offset: u64) -> Value {
    if let Some(PathId(id)) = nlri.path_id {
        route.insert("path_id".into(), json!(id));
    }
    route.insert("hex".into(), json!(hex(nlri.octets)));
    match nlri.fields {
        Ok(fields) => {
            route.insert("nlri_key".into(), json!(fields.key()));
            route.insert("nlri".into(), Value::Object(fields.into_json()));
        }
        Err(error) => {
            route.insert("error".into(), error_value(&error, offset));
        }
    }
    Value::Object(route)
}

fn add_prefix(route: &mut Object, nlri: &Nlri) {
    route.insert("prefix".into(), json!(nlri.prefix.to_string()));
    if let Some(PathId(id)) = nlri.path_id {
        route.insert("path_id".into(), json!(id));
    }
}

/// Returns the columns of the schema reference, under their names there; those that would be NULL are absent.
fn attributes(attributes: &PathAttributes<'_>) -> Object {
    let mut object = Object::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.into(), value);
        }
    };
    add("origin", attributes.origin.map(|origin| json!(origin.as_str())));
    add("as_path", attributes.as_path.as_ref().map(|path| json!(path.to_string())));
    add("origin_asn", attributes.as_path.as_ref().and_then(|path| path.origin_asn()).map(|asn| json!(asn.0)));
    add("localpref", attributes.local_pref.map(|value| json!(value)));
    add("med", attributes.med.map(|value| json!(value)));
    add("communities_std", attributes.communities.as_ref().map(texts));
    add("communities_ext", attributes.extended_communities.as_ref().map(texts));
    add("communities_large", attributes.large_communities.as_ref().map(texts));
    let attrs = attributes.attrs();
    add("attrs", (!attrs.is_empty()).then_some(Value::Object(attrs)));
    object
}

fn texts<T: Fixed + Display>(items: &List<'_, T>) -> Value {
    items.iter().map(|item| item.to_string()).collect()
}

fn action(fault: &Fault) -> Value {
    let action = match fault.action {
        FaultAction::TreatAsWithdraw => "treat_as_withdraw",
        FaultAction::AttributeDiscard => "attribute_discard",
    };
    json!({ "attribute": fault.attribute, "action": action, "why": fault.why })
}

/// Returns an error with its offset in the stream, for a message that begins at `offset`.
pub(crate) fn error_value(error: &DecodeError, offset: u64) -> Value {
    let at = offset + u64::try_from(error.offset).expect("a length in memory fits into 64 bits");
    json!({ "offset": at, "field": error.field, "message": error.message })
}
