//! `status --json`: the same facts for programs, times in UTC (RFC 3339).

use serde_json::{Value, json};

use crate::model::Timestamp;
use crate::store::orphans::Orphans;
use crate::store::pages::PeerRow;
use crate::store::partitions::{Partition, PartitionState};
use crate::store::router_state::RouterState;
use crate::store::status::{
    AdjRibStatus, RefusedSource, RouterDetail, RouterStatus, SessionStatus, Status, TableStatus,
};

/// Returns the whole status.
pub(super) fn all(status: &Status) -> Value {
    json!({
        "now": status.now.to_string(),
        "summary": summary(&status.routers),
        "routers": status.routers.iter().map(router_json).collect::<Vec<_>>(),
        "adj_ribs": status.adj_ribs.iter().map(adj_rib_json).collect::<Vec<_>>(),
        "partitions": status.partitions.iter().map(partition_json).collect::<Vec<_>>(),
        "without_collector": status.without_collector.iter().map(orphans_json).collect::<Vec<_>>(),
        "refused": status.refused.iter().map(refused_json).collect::<Vec<_>>(),
    })
}

/// Returns the selected routers.
pub(super) fn some(now: Timestamp, routers: &[RouterStatus], shown: &[RouterStatus]) -> Value {
    json!({
        "now": now.to_string(),
        "summary": summary(routers),
        "routers": shown.iter().map(router_json).collect::<Vec<_>>(),
    })
}

/// Returns the selected routers in full.
pub(super) fn details(now: Timestamp, details: &[RouterDetail]) -> Value {
    let one = |detail: &RouterDetail| {
        let mut one = router_json(&detail.router);
        one["adj_ribs"] = detail.adj_ribs.iter().map(adj_rib_json).collect();
        one["sessions"] = detail.sessions.iter().map(session_json).collect();
        one["peers"] = detail.peers.iter().map(peer_json).collect();
        one
    };
    json!({ "now": now.to_string(), "routers": details.iter().map(one).collect::<Vec<_>>() })
}

/// Returns the number of routers in each state.
fn summary(routers: &[RouterStatus]) -> Value {
    let count = |state: RouterState| routers.iter().filter(|router| router.standing.state == state).count();
    let states: serde_json::Map<String, Value> =
        RouterState::ALL.into_iter().map(|state| (state.as_str().replace(' ', "_"), count(state).into())).collect();
    json!({ "routers": routers.len(), "by_state": states })
}

fn session_json(session: &SessionStatus) -> Value {
    json!({
        "collector_id": session.collector_id,
        "source": session.source.map(|source| source.to_string()),
        "state": session.state,
        "since": session.since.to_string(),
        "reason": session.reason,
    })
}

fn peer_json(peer: &PeerRow) -> Value {
    json!({
        "address": peer.address,
        "distinguisher": (!peer.distinguisher.is_empty()).then_some(&peer.distinguisher),
        "asn": peer.asn,
        "state": peer.state,
        "since": peer.since.to_string(),
        "last_reason": peer.last_reason,
        "flaps": peer.flaps,
        "description": peer.description,
    })
}

fn router_json(router: &RouterStatus) -> Value {
    let standing = &router.standing;
    json!({
        "router_id": router.router_id,
        "router_ip": router.address.map(|address| address.to_string()),
        "hostname": router.hostname,
        "as_number": router.as_number,
        "description": router.description,
        "first_seen": router.first_seen.to_string(),
        "last_seen": router.last_seen.to_string(),
        "collector_id": router.collector_id,
        "session_state": standing.state.as_str(),
        "session_since": standing.since.map(|time| time.to_string()),
        "session_collector": standing.session_collector,
        "session_source": standing.source.map(|source| source.to_string()),
        "session_reason": standing.reason,
        "stale_since": standing.stale_since.map(|time| time.to_string()),
        "expires_at": standing.expires_at.map(|time| time.to_string()),
        "tables": router.tables.iter().map(table_json).collect::<Vec<_>>(),
    })
}

fn table_json(table: &TableStatus) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "table_name": table.name,
        "afi": table.afi.column(),
        "routes": table.routes,
        "eor_seen": table.eor_seen,
        "eor_time": time(table.eor_time),
        "synced_at": time(table.synced_at),
        "stale_since": time(table.stale_since),
        "session_start_time": time(table.session_start_time),
        "last_parsed_msg_time": time(table.last_parsed_msg_time),
        "last_raw_msg_time": time(table.last_raw_msg_time),
    })
}

fn adj_rib_json(one: &AdjRibStatus) -> Value {
    json!({
        "router_id": one.router_id,
        "view": one.view,
        "table_name": one.name,
        "afi": one.afi.column(),
        "peers": one.peers,
        "synchronized": one.synchronized,
        "routes": one.routes,
        "last_parsed_msg_time": one.last_parsed_msg_time.map(|time| time.to_string()),
    })
}

fn partition_json(partition: &Partition) -> Value {
    json!({
        "name": partition.name,
        "day": partition.day().map(|day| day.to_string()),
        "from": partition.starts.map(|time| time.to_string()),
        "to": partition.stops.map(|time| time.to_string()),
        "default": partition.is_default,
        "rows": partition.rows,
        "bytes": partition.bytes,
        "attached": partition.state == PartitionState::Attached,
    })
}

fn orphans_json(orphans: &Orphans) -> Value {
    json!({
        "collector_id": orphans.collector,
        "alive_until": orphans.alive_until.map(|time| time.to_string()),
        "routers": orphans.routers,
    })
}

fn refused_json(source: &RefusedSource) -> Value {
    json!({
        "address": source.address.to_string(),
        "times": source.times,
        "last_time": source.last_time.to_string(),
        "reason": source.reason,
    })
}
