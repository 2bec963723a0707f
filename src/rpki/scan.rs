//! Validates the stored routes and stores what changed.

use crate::metrics::Heartbeat;
use crate::model::rpki::RouteState;
use crate::model::rpki::table::VrpTable;
use crate::store::rpki::validity::{self, Pair, Validated};
use crate::store::{self, Client};

/// The result of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The numbers of pairs of each router in each state of [`RouteState::ALL`].
    pub routers: Vec<(String, [u64; 3])>,
    /// Pairs whose state is another one.
    pub changed: usize,
    /// Distinct pairs.
    pub pairs: usize,
}

/// Validates the routes of these routers by the VRPs of `version`. With all routers, what is nobody's route any more
/// goes too.
///
/// # Errors
/// When a statement fails or the connection is lost: nothing is changed then.
pub fn scan(
    client: &mut Client,
    routers: &[String],
    is_of_all: bool,
    version: i64,
    heartbeat: &Heartbeat,
) -> store::Result<Scanned> {
    let mut transaction = client.transaction()?;
    let table = validity::vrp_table(&mut transaction)?;
    let mut found: Validated = Vec::new();
    let mut scanned = Scanned::default();
    for router in routers {
        heartbeat.progress();
        let mut pairs = Vec::new();
        validity::read_pairs(&mut transaction, router, |pair| pairs.push(pair))?;
        let of_router = validate(&table, pairs);
        let mut counts = [0; 3];
        of_router.iter().for_each(|(_, state)| counts[index(*state)] += 1);
        validity::set_router_states(&mut transaction, router, counts)?;
        scanned.routers.push((router.clone(), counts));
        found = merge(found, of_router);
    }
    heartbeat.progress();
    let changes = validity::compare(&mut transaction, &found, is_of_all)?;
    validity::write(&mut transaction, &changes)?;
    if is_of_all {
        validity::prune_lost(&mut transaction, &found)?;
        let routers: Vec<&str> = routers.iter().map(String::as_str).collect();
        validity::finish(&mut transaction, &routers, version)?;
    }
    transaction.commit()?;
    scanned.changed = changes.set.len() + changes.removed.len();
    scanned.pairs = found.len();
    Ok(scanned)
}

/// Validates the pairs of a router, each once.
fn validate(table: &VrpTable, mut pairs: Vec<Pair>) -> Validated {
    pairs.sort_unstable();
    pairs.dedup();
    let mut walk = table.in_order();
    pairs.into_iter().map(|pair| (pair, walk.validate(&pair.0, pair.1))).collect()
}

/// Returns what is in either; both are in order.
fn merge(one: Validated, other: Validated) -> Validated {
    if one.is_empty() {
        return other;
    }
    let mut all = [one, other].concat();
    // Two runs that are in order: a stable sort merges them.
    all.sort();
    all.dedup();
    all
}

fn index(state: RouteState) -> usize {
    match state {
        RouteState::Valid => 0,
        RouteState::Invalid => 1,
        RouteState::NotFound => 2,
    }
}
