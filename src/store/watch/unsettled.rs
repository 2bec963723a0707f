//! `watch.judged.unsettled`: where watches were not judged yet, because the routers were not settled.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Transaction;
use postgres::types::Type;

use crate::model::RouterId;
use crate::model::watch::WatchId;
use crate::store::error::Result;

/// Routers by watch.
pub type Unsettled = BTreeMap<WatchId, BTreeSet<RouterId>>;

/// Returns what is stored.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn load(transaction: &mut Transaction<'_>) -> Result<Unsettled> {
    let rows = transaction.query_typed("SELECT watch_id, unsettled FROM watch.judged WHERE unsettled <> '{}'", &[])?;
    let routers = |names: Vec<&str>| names.into_iter().map(RouterId::new).collect();
    Ok(rows.iter().map(|row| (WatchId(row.get(0)), routers(row.get(1)))).collect())
}

/// Stores what is known of these watches.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn store(transaction: &mut Transaction<'_>, watches: &BTreeSet<WatchId>, unsettled: &Unsettled) -> Result<()> {
    let ids: Vec<i64> = watches.iter().map(|id| id.0).collect();
    let known = watches.iter().filter_map(|id| Some((id, unsettled.get(id)?)));
    let pairs: Vec<(i64, &str)> =
        known.flat_map(|(id, routers)| routers.iter().map(|router| (id.0, router.as_str()))).collect();
    let (of, routers): (Vec<i64>, Vec<&str>) = pairs.into_iter().unzip();
    transaction.execute_typed(
        include_str!("../../../sql/statements/watch_set_unsettled.sql"),
        &[(&ids, Type::INT8_ARRAY), (&of, Type::INT8_ARRAY), (&routers, Type::TEXT_ARRAY)],
    )?;
    Ok(())
}
