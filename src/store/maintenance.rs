//! What maintenance does beside the partitions.

use postgres::Client;
use postgres::types::Type;

use super::error::Result;

/// The key of the advisory lock under which one collector does the maintenance: "ribmain" in ASCII.
const LOCK: i64 = 0x0072_6962_6d61_696e;

/// How long one statement of maintenance may take.
const STATEMENT_TIMEOUT: &str = "30min";

/// How long it may wait for a lock: readers and writers come first.
const LOCK_TIMEOUT: &str = "5s";

/// How old the statistics of the partitioned parent may get, which autovacuum never makes.
const ANALYZE_EVERY: &str = "6 hours";

/// Gives the connection the time limits of maintenance and takes its lock. One core is enough for it: counting ten million
/// routes takes seconds, and the others are the writers'. Whether it was to be had.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn begin(client: &mut Client) -> Result<bool> {
    client.batch_execute(&format!(
        "SET statement_timeout = '{STATEMENT_TIMEOUT}'; SET lock_timeout = '{LOCK_TIMEOUT}';
         SET max_parallel_workers_per_gather = 0"
    ))?;
    Ok(client.query_typed_one("SELECT pg_try_advisory_lock($1)", &[(&LOCK, Type::INT8)])?.get(0))
}

/// Lets another collector have its turn.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn end(client: &mut Client) -> Result<()> {
    client.query_typed("SELECT pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)])?;
    Ok(())
}

/// The materialized views.
const SUMMARIES: [&str; 3] = ["route_summary", "adj_rib_in_summary", "adj_rib_out_summary"];

/// Refreshes the summaries without making their readers wait, except for the very first time.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn refresh_summary(client: &mut Client) -> Result<()> {
    for view in SUMMARIES {
        let row = client
            .query_typed_one(&format!("SELECT relispopulated FROM pg_class WHERE oid = '{view}'::regclass"), &[])?;
        // A view without data (a dump restores it so) cannot be refreshed CONCURRENTLY, and nobody can read it yet.
        let how = if row.get::<_, bool>(0) { "CONCURRENTLY" } else { "" };
        client.batch_execute(&format!("REFRESH MATERIALIZED VIEW {how} {view}"))?;
    }
    Ok(())
}

/// Makes statistics of `route_events` as a whole if they are missing or old. Whether they were.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn analyze_history(client: &mut Client) -> Result<bool> {
    let row = client.query_typed_one(
        &format!(
            "SELECT COALESCE(max(last_analyze) < now() - interval '{ANALYZE_EVERY}', true)
             FROM pg_stat_user_tables WHERE relid = 'route_events'::regclass"
        ),
        &[],
    )?;
    let is_due = row.get(0);
    if is_due {
        client.batch_execute("ANALYZE route_events")?;
    }
    Ok(is_due)
}

/// Forgets rows of `session_events` older than so many days. Returns how many.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn forget_session_events(client: &mut Client, days: u32) -> Result<u64> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    Ok(client.execute_typed(
        "DELETE FROM session_events WHERE event_time < now() - make_interval(days => $1)",
        &[(&days, Type::INT4)],
    )?)
}

/// Forgets peers, with what was counted of them, that are gone: not up, unchanged for so many days, and their router has
/// had a complete dump since. Returns how many.
///
/// # Errors
/// As PostgreSQL reports.
pub fn forget_peers(client: &mut Client, days: u32) -> Result<u64> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let row = client.query_typed_one(include_str!("../../sql/statements/forget_peers.sql"), &[(&days, Type::INT4)])?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}
