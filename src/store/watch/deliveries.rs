//! `watch.deliveries`: state changes of incidents on their way to callbacks.

use postgres::types::Type;
use postgres::{Client, Row, Transaction};

use super::super::error::Result;
use super::callbacks::Callback;
use crate::model::Timestamp;

/// A delivery that can be sent now.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// Its number, which is its idempotency key.
    pub id: i64,
    /// The receiver.
    pub callback: Callback,
    /// The URL that replaces the callback's.
    pub target_url: Option<String>,
    /// The event of the incident, or `repeated`.
    pub subject: String,
    /// Deliveries of one key are sent in order.
    pub ordering_key: String,
    /// The number of tries so far.
    pub attempts: i32,
    /// The body in the format `generic`, as JSON.
    pub body: String,
    /// True for the end of something that the receiver was never told of, because the opening was given up.
    pub is_orphan: bool,
    /// The seconds since the state changed.
    pub age_secs: f64,
}

/// The new state of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedDelivery {
    /// The delivery.
    pub id: i64,
    /// Its state.
    pub state: DeliveryState,
    /// The HTTP status of the answer, if there was one.
    pub status: Option<i32>,
    /// The reason why it was not accepted.
    pub error: Option<String>,
    /// The seconds until the next try.
    pub delay_secs: f64,
}

/// The column `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for its next try.
    Pending,
    /// The receiver has accepted it.
    Delivered,
    /// A newer one told the receiver the state.
    Superseded,
    /// It is given up.
    Dead,
}

impl DeliveryState {
    /// Returns the column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Superseded => "superseded",
            DeliveryState::Dead => "dead",
        }
    }
}

/// The answer of a callback to a try.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The callback.
    pub callback_id: i64,
    /// True if it accepted the message.
    pub is_accepted: bool,
    /// The HTTP status, if there was one.
    pub status: Option<i32>,
    /// The reason why it did not accept.
    pub error: Option<String>,
    /// The pause before it is tried again, in seconds.
    pub pause_secs: Option<f64>,
}

/// The deliveries that wait or were given up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliveryBacklog {
    /// The number that waits.
    pub pending: u64,
    /// The seconds for which the oldest of them has waited.
    pub oldest_secs: f64,
    /// The number that was given up, as long as they are kept.
    pub dead: u64,
    /// The name and team of each callback that fails, and the seconds for which it has.
    pub failing: Vec<(String, Option<String>, f64)>,
}

/// Writes the deliveries of new events of incidents, in the transaction that writes the events. Events that callbacks
/// are not told of are skipped.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn insert(transaction: &mut Transaction<'_>, events: &[i64]) -> Result<u64> {
    if events.is_empty() {
        return Ok(0);
    }
    let rows = transaction
        .query_typed(include_str!("../../../sql/statements/callbacks_to_tell.sql"), &[(&events, Type::INT8_ARRAY)])?;
    insert_pairs(transaction, &rows, None)
}

/// Holds back what was not sent yet of these incidents until a time.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn hold(transaction: &mut Transaction<'_>, incidents: &[i64], until: Timestamp) -> Result<()> {
    transaction.execute_typed(
        "UPDATE watch.deliveries SET next_try_at = 'epoch'::timestamptz + $2 * interval '1 microsecond'
         WHERE incident_id = ANY ($1) AND state = 'pending' AND attempts = 0",
        &[(&incidents, Type::INT8_ARRAY), (&until.unix_micros(), Type::INT8)],
    )?;
    Ok(())
}

/// Returns the incidents whose opening was not sent yet.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn unsent(transaction: &mut Transaction<'_>) -> Result<Vec<i64>> {
    let rows = transaction.query_typed(
        "SELECT DISTINCT incident_id FROM watch.deliveries
         WHERE state = 'pending' AND attempts = 0 AND subject IN ('opened', 'reopened') AND incident_id IS NOT NULL",
        &[],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Ends what was not sent yet of these incidents: their parent is told instead.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn supersede(transaction: &mut Transaction<'_>, incidents: &[i64]) -> Result<()> {
    transaction.execute_typed(
        "UPDATE watch.deliveries SET state = 'superseded', last_error = 'told with others'
         WHERE incident_id = ANY ($1) AND state = 'pending' AND attempts = 0",
        &[(&incidents, Type::INT8_ARRAY)],
    )?;
    Ok(())
}

/// Writes deliveries for the fallbacks of callbacks that have failed for `after_secs`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn insert_fallbacks(client: &mut Client, after_secs: f64) -> Result<u64> {
    let mut transaction = client.transaction()?;
    let sql = include_str!("../../../sql/statements/fallback_deliveries.sql");
    let rows = transaction.query_typed(sql, &[(&after_secs, Type::FLOAT8)])?;
    let written = insert_pairs(&mut transaction, &rows, None)?;
    transaction.commit()?;
    Ok(written)
}

/// Writes deliveries that repeat critical incidents that nobody has acknowledged.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn insert_repeats(client: &mut Client) -> Result<u64> {
    let mut transaction = client.transaction()?;
    let rows = transaction.query_typed(include_str!("../../../sql/statements/repeated_deliveries.sql"), &[])?;
    let written = insert_pairs(&mut transaction, &rows, Some("repeated"))?;
    transaction.commit()?;
    Ok(written)
}

fn insert_pairs(transaction: &mut Transaction<'_>, rows: &[Row], subject: Option<&str>) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let column = |index| rows.iter().map(|row| row.get(index)).collect::<Vec<i64>>();
    let (callbacks, events) = (column(0), column(1));
    Ok(transaction.execute_typed(
        include_str!("../../../sql/statements/insert_deliveries.sql"),
        &[(&callbacks, Type::INT8_ARRAY), (&events, Type::INT8_ARRAY), (&subject, Type::TEXT)],
    )?)
}

/// Returns the deliveries that can be sent now to callbacks that are not `busy`, at most `max` of each, in order.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn due(client: &mut Client, busy: &[i64], max: i64) -> Result<Vec<DueDelivery>> {
    let sql = include_str!("../../../sql/statements/due_deliveries.sql");
    let rows = client.query_typed(sql, &[(&busy, Type::INT8_ARRAY), (&max, Type::INT8)])?;
    let due = rows.iter().map(|row| DueDelivery {
        id: row.get(0),
        callback: Callback::read(row, 1),
        target_url: row.get(11),
        subject: row.get(12),
        ordering_key: row.get(13),
        attempts: row.get(14),
        body: row.get(15),
        is_orphan: row.get(16),
        age_secs: row.get(17),
    });
    Ok(due.collect())
}

/// Notes what became of deliveries, and how their callback answered.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn finish(client: &mut Client, finished: &[FinishedDelivery], answers: &[Answered]) -> Result<()> {
    let mut transaction = client.transaction()?;
    // As `retry` does: whoever changes several deliveries of a callback locks the callback first.
    let callbacks: Vec<i64> = answers.iter().map(|one| one.callback_id).collect();
    let lock = "SELECT FROM watch.callbacks WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
    transaction.query_typed(lock, &[(&callbacks, Type::INT8_ARRAY)])?;
    let ids: Vec<i64> = finished.iter().map(|one| one.id).collect();
    let states: Vec<&str> = finished.iter().map(|one| one.state.as_str()).collect();
    let statuses: Vec<Option<i32>> = finished.iter().map(|one| one.status).collect();
    let errors: Vec<Option<&str>> = finished.iter().map(|one| one.error.as_deref()).collect();
    let delays: Vec<f64> = finished.iter().map(|one| one.delay_secs).collect();
    transaction.execute_typed(
        include_str!("../../../sql/statements/finish_deliveries.sql"),
        &[
            (&ids, Type::INT8_ARRAY),
            (&states, Type::TEXT_ARRAY),
            (&statuses, Type::INT4_ARRAY),
            (&errors, Type::TEXT_ARRAY),
            (&delays, Type::FLOAT8_ARRAY),
        ],
    )?;
    for answer in answers {
        transaction.execute_typed(
            include_str!("../../../sql/statements/finish_callback.sql"),
            &[
                (&answer.callback_id, Type::INT8),
                (&answer.is_accepted, Type::BOOL),
                (&answer.status, Type::INT4),
                (&answer.error, Type::TEXT),
                (&answer.pause_secs, Type::FLOAT8),
            ],
        )?;
    }
    Ok(transaction.commit()?)
}

/// Gives up what has waited for too long. Returns the number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn expire(client: &mut Client) -> Result<u64> {
    Ok(client.execute_typed(
        "UPDATE watch.deliveries SET state = 'dead', last_error = concat_ws('; ', last_error, 'given up after 24 hours')
         WHERE state = 'pending' AND expires_at <= now()",
        &[],
    )?)
}

/// Deletes up to `max` deliveries older than `days` whose incident is over.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn prune(client: &mut Client, days: i32, max: i64) -> Result<u64> {
    Ok(client.execute_typed(
        "DELETE FROM watch.deliveries WHERE id IN (
             SELECT d.id FROM watch.deliveries d LEFT JOIN watch.incidents i ON i.id = d.incident_id
             WHERE d.created_at < now() - make_interval(days => $1) AND d.state <> 'pending'
               AND (i.id IS NULL OR i.state = 'closed') ORDER BY d.created_at LIMIT $2)",
        &[(&days, Type::INT4), (&max, Type::INT8)],
    )?)
}

/// Revives what was given up, of one callback, and ends its pause. Returns the number of deliveries.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn retry(client: &mut Client, callback_id: i64) -> Result<u64> {
    let mut transaction = client.transaction()?;
    transaction.execute_typed(
        "UPDATE watch.callbacks SET paused_until = NULL, failures = 0 WHERE id = $1",
        &[(&callback_id, Type::INT8)],
    )?;
    let revived = transaction.execute_typed(
        "UPDATE watch.deliveries SET state = 'pending', attempts = CASE state WHEN 'dead' THEN 0 ELSE attempts END,
             next_try_at = now(), expires_at = now() + interval '24 hours'
         WHERE callback_id = $1 AND state IN ('dead', 'pending')",
        &[(&callback_id, Type::INT8)],
    )?;
    transaction.commit()?;
    Ok(revived)
}

/// Returns how much waits, and which callbacks fail.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn backlog(client: &mut Client) -> Result<DeliveryBacklog> {
    let row = client.query_typed_one(
        "SELECT (SELECT count(*) FROM watch.deliveries WHERE state = 'pending'),
                (SELECT extract(epoch FROM now() - min(created_at))::FLOAT8 FROM watch.deliveries WHERE state = 'pending'),
                (SELECT count(*) FROM watch.deliveries WHERE state = 'dead')",
        &[],
    )?;
    let failing = client.query_typed(
        "SELECT name, team, extract(epoch FROM now() - failing_since)::FLOAT8 FROM watch.callbacks
         WHERE enabled AND failing_since IS NOT NULL ORDER BY failing_since LIMIT 100",
        &[],
    )?;
    Ok(DeliveryBacklog {
        pending: count(&row, 0),
        oldest_secs: row.get::<_, Option<f64>>(1).unwrap_or(0.0),
        dead: count(&row, 2),
        failing: failing.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
    })
}

fn count(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or(0)
}

/// Returns what callbacks of the format `alertmanager` know to be open: each with the bodies, as JSON.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn open_for_alertmanager(client: &mut Client) -> Result<Vec<(Callback, Vec<String>)>> {
    let rows = client.query_typed(include_str!("../../../sql/statements/open_for_callbacks.sql"), &[])?;
    let mut found: Vec<(Callback, Vec<String>)> = Vec::new();
    for row in &rows {
        let callback = Callback::read(row, 0);
        match found.last_mut() {
            Some((last, bodies)) if last.id == callback.id => bodies.push(row.get(10)),
            Some(_) | None => found.push((callback, vec![row.get(10)])),
        }
    }
    Ok(found)
}

/// Opens the connection of the thread that delivers, whose statements may take `statement_timeout_ms`.
///
/// # Errors
/// When the database cannot be reached or a statement fails.
pub fn connect(url: &str, thread: &str, statement_timeout_ms: u32) -> Result<Client> {
    let mut client = super::super::connect(url, thread)?;
    client.batch_execute(&format!("SET statement_timeout = {statement_timeout_ms}"))?;
    Ok(client)
}

/// Returns whether a process evaluates watches and keeps up: only then is what is open known to be open.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn is_evaluated(client: &mut Client) -> Result<bool> {
    // It begins a round several times a second. Another role's activity is not shown.
    let sql = "SELECT EXISTS (SELECT FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
                   WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND ((l.classid::BIGINT << 32) | l.objid::BIGINT) = hashtext('rib_watch')
                   AND (a.state_change > now() - interval '5 minutes') IS NOT FALSE)
               AND NOT EXISTS (SELECT FROM watch.outbox WHERE received_at < now() - interval '5 minutes')";
    Ok(client.query_typed_one(sql, &[])?.get(0))
}

/// Takes the lock of the process that delivers, for the session of `client`. `false` if another session has it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn take_lock(client: &mut Client) -> Result<bool> {
    let sql =
        "SELECT pg_try_advisory_lock(hashtextextended('rib_deliveries', 'watch.deliveries'::regclass::oid::bigint))";
    Ok(client.query_typed_one(sql, &[])?.get(0))
}
