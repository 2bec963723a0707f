//! The rows of the stream of events: changes of incidents, and the conditions that hold.

use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, Row};

use crate::store::Result;

/// A change of an incident, or a condition that holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Happening {
    /// The number of the change; 0 for a condition.
    pub id: i64,
    /// The team of its watch.
    pub team: Option<String>,
    /// The number of its watch.
    pub watch_id: Option<i64>,
    /// The name of its watch.
    pub watch: Option<String>,
    /// All of it, as a JSON object.
    pub json: String,
}

fn read(row: &Row) -> Happening {
    Happening {
        id: row.try_get("id").unwrap_or_default(),
        team: row.get("team"),
        watch_id: row.get("watch_id"),
        watch: row.get("watch"),
        json: row.get("json"),
    }
}

/// Returns the number of the latest change that is at least this old; 0: there is none.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn settled(client: &mut Client, age: Duration) -> Result<i64> {
    let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    let row = client.query_typed_opt(
        "SELECT id FROM watch.incident_events WHERE at <= now() - $1 * interval '1 second' ORDER BY id DESC LIMIT 1",
        &[(&seconds, Type::INT8)],
    )?;
    Ok(row.map_or(0, |row| row.get(0)))
}

/// Returns at most `limit` changes of the last hour after a number, in their order.
///
/// # Errors
/// As [`settled`].
pub(crate) fn changes(client: &mut Client, after: i64, limit: i64) -> Result<Vec<Happening>> {
    let sql = include_str!("../../../sql/statements/api_events.sql");
    let rows = client.query_typed(sql, &[(&after, Type::INT8), (&limit, Type::INT8)])?;
    Ok(rows.iter().map(read).collect())
}

/// Returns whether all changes after this number are of the last hour, so that [`changes`] has them.
///
/// # Errors
/// As [`settled`].
pub(crate) fn reaches(client: &mut Client, after: i64) -> Result<bool> {
    let row = client.query_typed_one(
        "SELECT NOT EXISTS (SELECT FROM watch.incident_events WHERE id > $1 AND at <= now() - interval '1 hour')",
        &[(&after, Type::INT8)],
    )?;
    Ok(row.get(0))
}

/// Returns at most `limit` conditions that hold now.
///
/// # Errors
/// As [`settled`].
pub(crate) fn conditions(client: &mut Client, limit: i64) -> Result<Vec<Happening>> {
    let sql = include_str!("../../../sql/statements/api_conditions.sql");
    Ok(client.query_typed(sql, &[(&limit, Type::INT8)])?.iter().map(read).collect())
}
