//! Maintenance other than that of the partitions.

use postgres::Client;
use postgres::types::Type;

use super::error::Result;
use super::time::system_time;
use super::watch::outbox::{self, Cause};
use crate::model::{RouterId, Timestamp};

/// The key of the advisory lock under which one collector runs maintenance: "ribmain" in ASCII.
const LOCK: i64 = 0x0072_6962_6d61_696e;

/// The longest time one statement of maintenance may take.
const STATEMENT_TIMEOUT: &str = "30min";

/// The longest time it may wait for a lock: readers and writers come first.
const LOCK_TIMEOUT: &str = "5s";

/// The age at which the statistics of the partitioned parent are renewed; autovacuum never makes them.
const ANALYZE_EVERY: &str = "6 hours";

/// Sets the time limits of maintenance on the connection and tries to take the lock of maintenance. Returns whether it
/// got the lock. Maintenance uses one core: counting ten million routes takes seconds, and the other cores are for the
/// writers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn begin(client: &mut Client) -> Result<bool> {
    limit(client)?;
    Ok(client.query_typed_one("SELECT pg_try_advisory_lock($1)", &[(&LOCK, Type::INT8)])?.get(0))
}

/// Sets the time limits of maintenance on the connection.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn limit(client: &mut Client) -> Result<()> {
    Ok(client.batch_execute(&format!(
        "SET statement_timeout = '{STATEMENT_TIMEOUT}'; SET lock_timeout = '{LOCK_TIMEOUT}';
         SET max_parallel_workers_per_gather = 0"
    ))?)
}

/// Releases the lock for other collectors.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn end(client: &mut Client) -> Result<()> {
    client.query_typed("SELECT pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)])?;
    Ok(())
}

/// The materialized views.
const SUMMARIES: [&str; 3] = ["route_summary", "adj_rib_in_summary", "adj_rib_out_summary"];

/// Refreshes the summaries without blocking their readers, except the very first time.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn refresh_summary(client: &mut Client) -> Result<()> {
    for view in SUMMARIES {
        let row = client
            .query_typed_one(&format!("SELECT relispopulated FROM pg_class WHERE oid = '{view}'::regclass"), &[])?;
        // A view without data (a restored dump leaves it so) cannot be refreshed CONCURRENTLY, and no one can read it
        // yet.
        let how = if row.get::<_, bool>(0) { "CONCURRENTLY" } else { "" };
        client.batch_execute(&format!("REFRESH MATERIALIZED VIEW {how} {view}"))?;
    }
    Ok(())
}

/// Returns whether NLRI of other families are stored: only then their history needs partitions in advance.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn has_other_families(client: &mut Client) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM nlri_loc_rib_sync_status) OR EXISTS (SELECT FROM nlri_adj_rib_in_sync_status)
                   OR EXISTS (SELECT FROM nlri_adj_rib_out_sync_status)";
    Ok(client.query_typed_one(sql, &[])?.get(0))
}

/// Analyzes the history as a whole if its statistics are missing or old: `route_events`, and `nlri_route_events` if it has
/// partitions. Returns whether they were.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn analyze_history(client: &mut Client) -> Result<bool> {
    let rows = client.query_typed(
        &format!(
            "SELECT s.relname::text AS name FROM pg_stat_user_tables s
             WHERE s.relid IN ('route_events'::regclass, 'nlri_route_events'::regclass)
               AND COALESCE(s.last_analyze < now() - interval '{ANALYZE_EVERY}', true)
               AND (s.relname = 'route_events' OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = s.relid))"
        ),
        &[],
    )?;
    for row in &rows {
        client.batch_execute(&format!("ANALYZE {}", row.get::<_, &str>("name")))?;
    }
    Ok(!rows.is_empty())
}

/// Deletes rows of `session_events` that are more than `days` days old at this time. Returns the number of rows.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn forget_session_events(client: &mut Client, now: Timestamp, days: u32) -> Result<u64> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    Ok(client.execute_typed(
        "DELETE FROM session_events WHERE event_time < $2::timestamptz - make_interval(days => $1)",
        &[(&days, Type::INT4), (&system_time(now), Type::TIMESTAMPTZ)],
    )?)
}

/// Deletes peers that are gone, with their statistics: not up, unchanged for `days` days at this time, and with a complete dump of
/// their router since. The evaluator of watches is told. Returns the number of peers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn forget_peers(client: &mut Client, now: Timestamp, days: u32) -> Result<u64> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let mut transaction = client.transaction()?;
    let sql = include_str!("../../sql/statements/forget_peers.sql");
    let rows = transaction.query_typed(sql, &[(&days, Type::INT4), (&system_time(now), Type::TIMESTAMPTZ)])?;
    for row in &rows {
        outbox::insert_if_watched(&mut transaction, &RouterId::new(row.get(0)), Cause::Peer)?;
    }
    transaction.commit()?;
    Ok(rows.iter().map(|row| u64::try_from(row.get::<_, i64>(1)).unwrap_or(0)).sum())
}
