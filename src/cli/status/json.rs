//! `status --json`: the same facts for programs, times in UTC (RFC 3339). The fields' names are those of `store`.

use serde_json::{Value, json};

use super::super::unreached::Unreached;
use crate::model::Timestamp;
use crate::store::partitions::{Partition, PartitionState};
use crate::store::router_state::RouterState;
use crate::store::status::{RouterDetail, RouterStatus, Status};

/// Returns the whole status.
pub(super) fn all(status: &Status, unreached: &[Unreached]) -> Value {
    json!({
        "now": status.now,
        "summary": summary(&status.routers),
        "routers": status.routers,
        "adj_ribs": status.adj_ribs,
        "nlri_tables": status.nlri_tables,
        "partitions": status.partitions.iter().map(partition_json).collect::<Vec<_>>(),
        "without_collector": status.without_collector,
        "not_reached": unreached,
        "refused": status.refused,
    })
}

/// Returns the selected routers.
pub(super) fn some(now: Timestamp, routers: &[RouterStatus], shown: &[RouterStatus]) -> Value {
    json!({ "now": now, "summary": summary(routers), "routers": shown })
}

/// Returns the selected routers in full.
pub(super) fn details(now: Timestamp, details: &[RouterDetail]) -> Value {
    json!({ "now": now, "routers": details })
}

/// Returns the number of routers in each state.
fn summary(routers: &[RouterStatus]) -> Value {
    let count = |state: RouterState| routers.iter().filter(|router| router.standing.state == state).count();
    let states: serde_json::Map<String, Value> =
        RouterState::ALL.into_iter().map(|state| (state.as_str().replace(' ', "_"), count(state).into())).collect();
    json!({ "routers": routers.len(), "by_state": states })
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
