//! Incidents as commands and pages show them.

use std::time::SystemTime;

use postgres::types::{ToSql, Type};
use postgres::{Client, Row};

use super::super::error::Result;
use super::super::slice::Slice;
use super::super::time::read_time;
use crate::model::Timestamp;
use crate::model::watch::{Condition, Severity, WatchId};

/// An incident.
#[derive(Clone, Debug)]
pub struct ListedIncident {
    /// Its number.
    pub id: i64,
    /// The team of its watch.
    pub team: Option<String>,
    /// The number of its watch.
    pub watch_id: Option<WatchId>,
    /// The name of its watch.
    pub watch: Option<String>,
    /// The page that says what to do.
    pub runbook_url: Option<String>,
    /// The condition.
    pub condition: String,
    /// Its subject, where one watch can have several.
    pub subject: String,
    /// `critical`, `error`, `warning` or `info`.
    pub severity: String,
    /// `open`, `acknowledged`, `snoozed` or `closed`.
    pub state: String,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When the condition began to hold.
    pub cause_at: Timestamp,
    /// Who acknowledged it.
    pub acknowledged_by: Option<String>,
    /// Until when it is snoozed.
    pub snoozed_until: Option<Timestamp>,
    /// Since when the condition no longer holds.
    pub over_since: Option<Timestamp>,
    /// Since when too few routers are known to judge it.
    pub frozen_since: Option<Timestamp>,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// The number of routers where it holds.
    pub affected: i32,
    /// The number of routers that were asked.
    pub known: i32,
    /// The silence that keeps it from being delivered.
    pub silence_id: Option<i64>,
    /// True if it held already when the watch was made or changed.
    pub is_baseline: bool,
    /// One line for people.
    pub summary: String,
    /// The incident of the common cause.
    pub parent_id: Option<i64>,
    /// The number of incidents that have this one as their common cause and are not closed.
    pub children: i64,
    /// The whole row as a JSON object, columns in order.
    pub json: String,
}

/// The columns of an [`ListedIncident`].
const LISTED: &str = "
    SELECT i.*, w.name AS watch, w.runbook_url, to_json(i)::text AS json,
           (SELECT count(*) FROM watch.incidents child WHERE child.parent_id = i.id AND child.state <> 'closed') AS children
    FROM watch.incidents i LEFT JOIN watch.watches w ON w.id = i.watch_id";

/// The order in which they need someone: what nobody has seen yet first, then by severity, the newest ones first.
const URGENT_FIRST: &str = "
    ORDER BY i.state <> 'open', i.parent_id IS NOT NULL, i.silence_id IS NOT NULL OR i.is_baseline,
             array_position('{critical,error,warning,info}', i.severity), i.opened_at DESC, i.id DESC";

fn read(row: &Row) -> Result<ListedIncident> {
    let time = |column| row.get::<_, Option<SystemTime>>(column).map(read_time).transpose();
    Ok(ListedIncident {
        id: row.get("id"),
        team: row.get("team"),
        watch_id: row.get::<_, Option<i64>>("watch_id").map(WatchId),
        watch: row.get("watch"),
        runbook_url: row.get("runbook_url"),
        condition: row.get("condition"),
        subject: row.get("subject"),
        severity: row.get("severity"),
        state: row.get("state"),
        opened_at: read_time(row.get("opened_at"))?,
        cause_at: read_time(row.get("cause_at"))?,
        acknowledged_by: row.get("acknowledged_by"),
        snoozed_until: time("snoozed_until")?,
        over_since: time("over_since")?,
        frozen_since: time("frozen_since")?,
        closed_at: time("closed_at")?,
        affected: row.get("affected"),
        known: row.get("known"),
        silence_id: row.get("silence_id"),
        is_baseline: row.get("is_baseline"),
        summary: row.get("summary"),
        parent_id: row.get("parent_id"),
        children: row.get("children"),
        json: row.get("json"),
    })
}

/// Returns at most `limit` incidents that are not closed, the most urgent ones first, and the number of all of them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn open(client: &mut Client, limit: i64) -> Result<(Vec<ListedIncident>, i64)> {
    let rows = client
        .query_typed(&format!("{LISTED} WHERE i.state <> 'closed' {URGENT_FIRST} LIMIT $1"), &[(&limit, Type::INT8)])?;
    let total = client.query_typed_one("SELECT count(*) FROM watch.incidents WHERE state <> 'closed'", &[])?.get(0);
    Ok((rows.iter().map(read).collect::<Result<_>>()?, total))
}

/// Returns all incidents of a watch that are not closed.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn of_watch(client: &mut Client, watch: WatchId) -> Result<Vec<ListedIncident>> {
    let rows = client.query_typed(
        &format!("{LISTED} WHERE i.watch_id = $1 AND i.state <> 'closed' {URGENT_FIRST}"),
        &[(&watch.0, Type::INT8)],
    )?;
    rows.iter().map(read).collect()
}

/// Returns one page of the closed incidents, the latest ones first, and the number of all of them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn closed(client: &mut Client, slice: Slice) -> Result<(Vec<ListedIncident>, i64)> {
    let total: i64 = client.query_typed_one("SELECT count(*) FROM watch.incidents WHERE state = 'closed'", &[])?.get(0);
    let skipped = slice.page.min((total - 1).max(0) / slice.size.max(1)) * slice.size;
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&slice.size, Type::INT8), (&skipped, Type::INT8)];
    let rows = client.query_typed(
        &format!("{LISTED} WHERE i.state = 'closed' ORDER BY i.opened_at DESC, i.id DESC LIMIT $1 OFFSET $2"),
        &parameters,
    )?;
    Ok((rows.iter().map(read).collect::<Result<_>>()?, total))
}

/// Returns one incident.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn numbered(client: &mut Client, id: i64) -> Result<Option<ListedIncident>> {
    let row = client.query_typed_opt(&format!("{LISTED} WHERE i.id = $1"), &[(&id, Type::INT8)])?;
    row.as_ref().map(read).transpose()
}

/// A change of an incident.
#[derive(Clone, Debug)]
pub struct ListedChange {
    /// When.
    pub at: Timestamp,
    /// The event: `opened`, `worse`, `closed` and so on.
    pub event: String,
    /// Who did it; `None`: the collector.
    pub who: Option<String>,
    /// Why, where someone said it.
    pub note: Option<String>,
    /// The line for people then.
    pub summary: String,
    /// True if callbacks are notified.
    pub is_told: bool,
}

/// Returns at most `limit` changes of an incident, the latest ones first.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn changes(client: &mut Client, id: i64, limit: i64) -> Result<Vec<ListedChange>> {
    let rows = client.query_typed(
        "SELECT at, event, who, note, summary, is_told FROM watch.incident_events
         WHERE incident_id = $1 ORDER BY at DESC, id DESC LIMIT $2",
        &[(&id, Type::INT8), (&limit, Type::INT8)],
    )?;
    let changes = rows.iter().map(|row| {
        Ok(ListedChange {
            at: read_time(row.get("at"))?,
            event: row.get("event"),
            who: row.get("who"),
            note: row.get("note"),
            summary: row.get("summary"),
            is_told: row.get("is_told"),
        })
    });
    changes.collect()
}

/// Returns at most `limit` incidents that are not closed and have this one as their common cause.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn children(client: &mut Client, id: i64, limit: i64) -> Result<Vec<ListedIncident>> {
    let rows = client.query_typed(
        &format!(
            "{LISTED} WHERE i.parent_id = $1 AND i.state <> 'closed' ORDER BY i.opened_at DESC, i.id DESC LIMIT $2"
        ),
        &[(&id, Type::INT8), (&limit, Type::INT8)],
    )?;
    rows.iter().map(read).collect()
}

/// Counts for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchCounts {
    /// The number of enabled watches.
    pub watches: u64,
    /// The number of collectors that are alive and evaluate watches, or would if another one stopped.
    pub evaluators: u64,
    /// The seconds for which the oldest change has waited to be evaluated.
    pub outbox_oldest_secs: u64,
    /// The number of incidents that are not closed, by condition and severity.
    pub incidents: Vec<(Condition, Severity, u64)>,
    /// The same by watch.
    pub by_watch: Vec<WatchSeries>,
}

/// The open incidents of a watch, or of all watches of a team and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSeries {
    /// The team; empty: the operator.
    pub team: String,
    /// The name of the watch; empty: all of the team and kind.
    pub name: String,
    /// The kind.
    pub kind: String,
    /// The number of incidents that are not closed.
    pub incidents: u64,
}

/// The number of watches up to which each is counted by itself.
const SERIES_MAX: u64 = 1_000;

/// Counts watches and open incidents.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn counts(client: &mut Client) -> Result<WatchCounts> {
    let count = |row: &Row, i: usize| u64::try_from(row.get::<_, i64>(i)).unwrap_or(0);
    let row = client.query_typed_one(
        "SELECT (SELECT count(*) FROM watch.watches WHERE enabled),
                (SELECT count(*) FROM collectors WHERE watch AND alive_until > now()),
                (SELECT COALESCE(extract(epoch FROM now() - min(received_at)), 0)::bigint FROM watch.outbox)",
        &[],
    )?;
    let open = client.query_typed(
        "SELECT condition, severity, count(*) FROM watch.incidents WHERE state <> 'closed' GROUP BY 1, 2",
        &[],
    )?;
    let named = |row: &Row| Some((Condition::parse(row.get(0))?, Severity::parse(row.get(1))?, count(row, 2)));
    let watches = count(&row, 0);
    let by_watch = client.query_typed(
        include_str!("../../../sql/statements/watch_series.sql"),
        &[(&(watches <= SERIES_MAX), Type::BOOL), (&(SERIES_MAX as i64), Type::INT8)],
    )?;
    let series =
        |row: &Row| WatchSeries { team: row.get(0), name: row.get(1), kind: row.get(2), incidents: count(row, 3) };
    Ok(WatchCounts {
        watches,
        evaluators: count(&row, 1),
        outbox_oldest_secs: count(&row, 2),
        incidents: open.iter().filter_map(named).collect(),
        by_watch: by_watch.iter().map(series).collect(),
    })
}
