//! `watch.callbacks`: receivers of incidents, and their secrets.

use std::fmt;
use std::time::SystemTime;

use postgres::error::SqlState;
use postgres::types::Type;
use postgres::{Client, Row, Transaction};

use super::super::error::Result;
use super::super::time::read_time;
use crate::model::Timestamp;
use crate::model::watch::{Condition, Kind, Severity};

/// A receiver, as messages are made for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Callback {
    /// Its number.
    pub id: i64,
    /// Its team.
    pub team: Option<String>,
    /// Its name.
    pub name: String,
    /// The column `format`.
    pub format: String,
    /// Where messages go; several with spaces between them.
    pub url: String,
    /// Where ends go, where that is another place.
    pub url_end: Option<String>,
    /// Header fields, a JSON object of strings.
    pub headers: String,
    /// The secret that signs messages.
    pub secret: Option<String>,
    /// The number of messages in a minute.
    pub max_per_minute: i32,
    /// The number of tries in a row that failed.
    pub failures: i32,
}

/// A URL, a header and the secret are secrets: none of them is ever printed.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Callback {
    /// Reads ten columns from `first` on.
    pub(super) fn read(row: &Row, first: usize) -> Callback {
        Callback {
            id: row.get(first),
            team: row.get(first + 1),
            name: row.get(first + 2),
            format: row.get(first + 3),
            url: row.get(first + 4),
            url_end: row.get(first + 5),
            headers: row.get(first + 6),
            secret: row.get(first + 7),
            max_per_minute: row.get(first + 8),
            failures: row.get(first + 9),
        }
    }
}

const COLUMNS: &str = "c.id, c.team, c.name, c.format, c.url, c.url_end, c.headers::TEXT, s.secret, c.max_per_minute, \
                       c.failures FROM watch.callbacks c LEFT JOIN watch.callback_secrets s ON s.callback_id = c.id";

/// Returns the callback with this name.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn find(client: &mut Client, team: Option<&str>, name: &str) -> Result<Option<Callback>> {
    let sql = format!("SELECT {COLUMNS} WHERE c.team IS NOT DISTINCT FROM $1 AND c.name = $2");
    let row = client.query_typed_opt(&sql, &[(&team, Type::TEXT), (&name, Type::TEXT)])?;
    Ok(row.map(|row| Callback::read(&row, 0)))
}

/// Returns the enabled callbacks of the format `heartbeat`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn heartbeats(client: &mut Client) -> Result<Vec<Callback>> {
    let rows = client.query_typed(&format!("SELECT {COLUMNS} WHERE c.format = 'heartbeat' AND c.enabled"), &[])?;
    Ok(rows.iter().map(|row| Callback::read(row, 0)).collect())
}

/// A new callback.
#[derive(Clone, Default)]
pub struct NewCallback {
    /// Its team; `None`: the operator.
    pub team: Option<String>,
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: String,
    /// Its URL.
    pub url: String,
    /// Where ends go.
    pub url_end: Option<String>,
    /// Header fields, a JSON object.
    pub headers: String,
    /// Its secret.
    pub secret: Option<String>,
    /// The conditions that it hears of; `None`: all.
    pub conditions: Option<Vec<String>>,
    /// The least severity that it hears of.
    pub min_severity: String,
    /// The time zone in its texts.
    pub time_zone: Option<String>,
    /// After how many seconds critical incidents are repeated.
    pub repeat_secs: Option<i32>,
    /// The number of messages in a minute.
    pub max_per_minute: i32,
    /// The name of the callback that stands in for it.
    pub fallback: Option<String>,
}

/// The outcome of [`add()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddedCallback {
    /// It is stored.
    Done,
    /// The database refuses it, with this sentence, which holds no secret.
    Refused(String),
    /// One with this name exists.
    Exists,
    /// There is no callback with the name of the fallback.
    NoFallback,
}

/// Stores a callback.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn add(client: &mut Client, new: &NewCallback) -> Result<AddedCallback> {
    let mut transaction = client.transaction()?;
    let id_of = "SELECT id FROM watch.callbacks WHERE team IS NOT DISTINCT FROM $1 AND name = $2";
    if transaction.query_typed_opt(id_of, &[(&new.team, Type::TEXT), (&new.name, Type::TEXT)])?.is_some() {
        return Ok(AddedCallback::Exists);
    }
    let fallback: Option<i64> = match &new.fallback {
        None => None,
        Some(name) => match transaction.query_typed_opt(id_of, &[(&new.team, Type::TEXT), (name, Type::TEXT)])? {
            Some(row) => Some(row.get(0)),
            None => return Ok(AddedCallback::NoFallback),
        },
    };
    let inserted = transaction.query_typed_one(
        "INSERT INTO watch.callbacks (team, name, format, url, url_end, headers, conditions, min_severity, time_zone,
             repeat_secs, max_per_minute, fallback)
         VALUES ($1, $2, $3, $4, $5, $6::JSONB, $7, $8, $9, $10, $11, $12) RETURNING id",
        &[
            (&new.team, Type::TEXT),
            (&new.name, Type::TEXT),
            (&new.format, Type::TEXT),
            (&new.url, Type::TEXT),
            (&new.url_end, Type::TEXT),
            (&new.headers, Type::TEXT),
            (&new.conditions, Type::TEXT_ARRAY),
            (&new.min_severity, Type::TEXT),
            (&new.time_zone, Type::TEXT),
            (&new.repeat_secs, Type::INT4),
            (&new.max_per_minute, Type::INT4),
            (&fallback, Type::INT8),
        ],
    );
    let row = match inserted {
        Ok(row) => row,
        Err(error) => match error.as_db_error() {
            // The trigger's own sentence.
            Some(refusal) if *refusal.code() == SqlState::CHECK_VIOLATION => {
                return Ok(AddedCallback::Refused(refusal.message().to_owned()));
            }
            Some(_) | None => return Err(error.into()),
        },
    };
    if let Some(secret) = &new.secret {
        let sql = "INSERT INTO watch.callback_secrets VALUES ($1, $2)";
        transaction.execute_typed(sql, &[(&row.get::<_, i64>(0), Type::INT8), (secret, Type::TEXT)])?;
    }
    transaction.commit()?;
    Ok(AddedCallback::Done)
}

/// Deletes a callback with all that waits for it. `false` if there is none.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn remove(client: &mut Client, team: Option<&str>, name: &str) -> Result<bool> {
    let sql = "DELETE FROM watch.callbacks WHERE team IS NOT DISTINCT FROM $1 AND name = $2";
    Ok(client.execute_typed(sql, &[(&team, Type::TEXT), (&name, Type::TEXT)])? > 0)
}

/// A row of `watch.callbacks_public`.
#[derive(Clone, Debug)]
pub struct CallbackRow {
    /// Its team.
    pub team: Option<String>,
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: String,
    /// Scheme and host of its URL.
    pub target: String,
    /// The least severity that it hears of.
    pub min_severity: String,
    /// False: it hears of nothing.
    pub is_enabled: bool,
    /// When it was tried last.
    pub last_at: Option<Timestamp>,
    /// The HTTP status of its last answer.
    pub last_status: Option<i32>,
    /// Since when it fails.
    pub failing_since: Option<Timestamp>,
    /// Deliveries that wait.
    pub pending: i64,
    /// Deliveries that were given up.
    pub dead: i64,
    /// The row as a JSON object.
    pub json: String,
}

/// Returns all callbacks, without their secrets.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn list(client: &mut Client) -> Result<Vec<CallbackRow>> {
    let rows = client.query_typed(
        "SELECT team, name, format, target, min_severity, enabled, last_at, last_status, failing_since, pending, dead,
             to_json(c)::TEXT FROM watch.callbacks_public c ORDER BY team NULLS FIRST, name",
        &[],
    )?;
    let time = |row: &Row, column| row.get::<_, Option<SystemTime>>(column).map(read_time).transpose();
    let one = |row: &Row| {
        Ok(CallbackRow {
            team: row.get(0),
            name: row.get(1),
            format: row.get(2),
            target: row.get(3),
            min_severity: row.get(4),
            is_enabled: row.get(5),
            last_at: time(row, 6)?,
            last_status: row.get(7),
            failing_since: time(row, 8)?,
            pending: row.get(9),
            dead: row.get(10),
            json: row.get(11),
        })
    };
    rows.iter().map(one).collect()
}

/// The facts about callbacks for `doctor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallbackHealth {
    /// The number of callbacks that are enabled.
    pub enabled: i64,
    /// The name, the time of the first failure and the last error of those that have failed for five minutes.
    pub failing: Vec<(String, Timestamp, String)>,
    /// The number of deliveries that were given up.
    pub dead: i64,
    /// Roles beside the owner that have rights on the tables with secrets.
    pub grantees: Option<String>,
    /// Those of the tables that every role with rights on them can read.
    pub unprotected: Option<String>,
}

/// Returns how callbacks do.
///
/// # Errors
/// When a statement fails, as for a role that may not read them, or the connection is lost.
pub fn health(client: &mut Client) -> Result<CallbackHealth> {
    let row = client.query_typed_one(include_str!("../../../sql/statements/doctor_callbacks.sql"), &[])?;
    let failing = client.query_typed(
        "SELECT concat_ws(':', team, name), failing_since, COALESCE(last_error, '') FROM watch.callbacks
         WHERE enabled AND failing_since < now() - interval '5 minutes' ORDER BY failing_since LIMIT 10",
        &[],
    )?;
    let failing = failing.iter().map(|row| Ok((row.get(0), read_time(row.get(1))?, row.get(2))));
    Ok(CallbackHealth {
        enabled: row.get(0),
        failing: failing.collect::<Result<_>>()?,
        dead: row.get(1),
        grantees: row.get(2),
        unprotected: row.get(3),
    })
}

/// Returns the names and formats of the callbacks that would hear of the opening of an incident.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn receivers(
    transaction: &mut Transaction<'_>,
    team: Option<&str>,
    condition: Condition,
    severity: Severity,
    kind: Kind,
) -> Result<Vec<(String, String)>> {
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_receivers.sql"),
        &[
            (&team, Type::TEXT),
            (&condition.as_str(), Type::TEXT),
            (&severity.as_str(), Type::TEXT),
            (&kind.as_str(), Type::TEXT),
        ],
    )?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
