//! `collectors` and `bmp_sessions`: which collectors are alive, and which routers are connected to them.

use std::net::IpAddr;
use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::Result;
use super::statement::PerRib;
use super::time::system_time;
use crate::model::{RibKind, RouterId, RouterRecord, SessionState, Timestamp, cut_reason};

static STALE_OF_COLLECTOR: PerRib = PerRib::new(
    "UPDATE {sync} SET stale_since = now(), synced_at = NULL, updated_at = now()
     WHERE stale_since IS NULL AND router_id IN (SELECT router_id FROM router_owner WHERE collector_id = $1)",
);

/// The data of a process in `collectors`.
#[derive(Clone, Debug)]
pub struct Itself {
    /// Its `COLLECTOR_ID`.
    pub collector: String,
    /// Its version.
    pub version: &'static str,
    /// The machine or container that it runs on.
    pub host: Option<String>,
    /// Its process ID there.
    pub process_id: u32,
}

/// Records that a process begins its work and is alive for `ahead`. Marks the sessions and tables that an earlier
/// process left as stale: no one else could do so. Returns the process's `instance`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn begin_collector(client: &mut Client, process: &Itself, ahead: Duration) -> Result<String> {
    let collector = process.collector.as_str();
    let mut transaction = client.transaction()?;
    let row = transaction.query_typed_one(
        "INSERT INTO collectors AS c (collector_id, instance, alive_until, started_at, version, host, process_id)
         VALUES ($1, gen_random_uuid(), now() + make_interval(secs => $3), now(), $2, $4, $5)
         ON CONFLICT (collector_id) DO UPDATE SET instance = EXCLUDED.instance, alive_until = EXCLUDED.alive_until,
             started_at = EXCLUDED.started_at, version = EXCLUDED.version, host = EXCLUDED.host,
             process_id = EXCLUDED.process_id
         RETURNING instance::text",
        &[
            (&collector, Type::TEXT),
            (&process.version, Type::TEXT),
            (&ahead.as_secs_f64(), Type::FLOAT8),
            (&process.host, Type::TEXT),
            (&i64::from(process.process_id), Type::INT8),
        ],
    )?;
    transaction.execute_typed(
        "UPDATE bmp_sessions SET state = 'stale', since = now(), reason = 'the collector was started again'
         WHERE collector_id = $1 AND state IN ('dumping', 'up')",
        &[(&collector, Type::TEXT)],
    )?;
    transaction.execute_typed(
        "UPDATE bmp_sessions SET state = 'ended', since = now(), reason = 'the collector was started again'
         WHERE collector_id = $1 AND state = 'standby'",
        &[(&collector, Type::TEXT)],
    )?;
    for kind in RibKind::ALL {
        transaction.execute_typed(STALE_OF_COLLECTOR.on(kind), &[(&collector, Type::TEXT)])?;
    }
    transaction.commit()?;
    Ok(row.get(0))
}

/// The settings of a collector that others read in `collectors`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedSettings {
    /// The time for which it keeps routes of a router that was lost.
    pub stale: Duration,
    /// The same if it lost most routers at once.
    pub mass_loss_stale: Duration,
    /// True if it evaluates watches where no other collector does.
    pub watch: bool,
}

/// Stores settings of `collector`, so that others can report when stale routes expire, and whether anyone reads
/// `watch.outbox`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn note_settings(client: &mut Client, collector: &str, settings: SharedSettings) -> Result<()> {
    let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
    client.execute_typed(
        "UPDATE collectors SET stale_routes_secs = $2, mass_loss_stale_secs = $3, watch = $4 WHERE collector_id = $1",
        &[
            (&collector, Type::TEXT),
            (&seconds(settings.stale), Type::INT4),
            (&seconds(settings.mass_loss_stale), Type::INT4),
            (&settings.watch, Type::BOOL),
        ],
    )?;
    Ok(())
}

/// Extends the process's life by `ahead`. `false` if another process has taken the collector's name.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn heartbeat(client: &mut Client, process: &Itself, instance: &str, ahead: Duration) -> Result<bool> {
    let written = client.execute_typed(
        "INSERT INTO collectors AS c (collector_id, instance, alive_until, started_at, version, host, process_id)
         VALUES ($1, $2::text::uuid, now() + make_interval(secs => $4), now(), $3, $5, $6)
         ON CONFLICT (collector_id) DO UPDATE SET alive_until = EXCLUDED.alive_until
         WHERE c.instance = EXCLUDED.instance",
        &[
            (&process.collector, Type::TEXT),
            (&instance, Type::TEXT),
            (&process.version, Type::TEXT),
            (&ahead.as_secs_f64(), Type::FLOAT8),
            (&process.host, Type::TEXT),
            (&i64::from(process.process_id), Type::INT8),
        ],
    )?;
    Ok(written > 0)
}

/// Records that the process ends, so that no one has to wait until its time is over.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn end_collector(client: &mut Client, collector: &str, instance: &str) -> Result<()> {
    client.execute_typed(
        "UPDATE collectors SET alive_until = now() WHERE collector_id = $1 AND instance = $2::text::uuid",
        &[(&collector, Type::TEXT), (&instance, Type::TEXT)],
    )?;
    Ok(())
}

/// Begins the session `key` of `router` on `collector`. It replaces sessions that were lost before, and those of a
/// collector that owned the router before.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn begin(
    transaction: &mut Transaction<'_>,
    key: &str,
    collector: &str,
    router: &RouterId,
    source: IpAddr,
) -> Result<()> {
    transaction.execute_typed(
        "UPDATE bmp_sessions SET state = 'ended', since = now(), reason = 'the router has another session'
         WHERE router_id = $1 AND (state IN ('stale', 'isolated') OR state IN ('dumping', 'up') AND collector_id <> $2)",
        &[(&router.as_str(), Type::TEXT), (&collector, Type::TEXT)],
    )?;
    transaction.execute_typed(
        "INSERT INTO bmp_sessions (session, router_id, collector_id, source, state)
         VALUES ($1::text::uuid, $2, $3, $4, 'dumping') ON CONFLICT (session) DO NOTHING",
        &[(&key, Type::TEXT), (&router.as_str(), Type::TEXT), (&collector, Type::TEXT), (&source, Type::INET)],
    )?;
    Ok(())
}

/// Stores the session `key` of `collector`, which stands by because `owner` has the router.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(super) fn stand_by(
    transaction: &mut Transaction<'_>,
    key: &str,
    collector: &str,
    record: &RouterRecord,
    owner: &str,
) -> Result<()> {
    transaction.execute_typed(
        "INSERT INTO bmp_sessions (session, router_id, collector_id, source, state, reason)
         VALUES ($1::text::uuid, $2, $3, $4, 'standby', 'collector ' || $5 || ' has the router')
         ON CONFLICT (session) DO NOTHING",
        &[
            (&key, Type::TEXT),
            (&record.router.as_str(), Type::TEXT),
            (&collector, Type::TEXT),
            (&record.address, Type::INET),
            (&owner, Type::TEXT),
        ],
    )?;
    Ok(())
}

/// Returns the source addresses of a collector's live sessions, those that stand by included; none if it is not alive.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn live_sources(client: &mut Client, collector: &str) -> Result<Vec<IpAddr>> {
    let rows = client.query_typed(
        "SELECT DISTINCT s.source FROM bmp_sessions s JOIN collectors c USING (collector_id)
         WHERE s.collector_id = $1 AND s.state IN ('dumping', 'up', 'standby') AND c.alive_until > now() AND s.source IS NOT NULL",
        &[(&collector, Type::TEXT)],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Ends sessions that stood by: their keys, each with the reason.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn end_standbys(client: &mut Client, ended: &[(String, String)]) -> Result<()> {
    let keys: Vec<&str> = ended.iter().map(|(key, _)| key.as_str()).collect();
    let reasons: Vec<&str> = ended.iter().map(|(_, reason)| cut_reason(reason)).collect();
    client.execute_typed(
        "UPDATE bmp_sessions AS s SET state = 'ended', since = now(), reason = ended.reason
         FROM unnest($1::text[], $2::text[]) AS ended (session, reason)
         WHERE s.session = ended.session::uuid AND s.state = 'standby'",
        &[(&keys, Type::TEXT_ARRAY), (&reasons, Type::TEXT_ARRAY)],
    )?;
    Ok(())
}

/// The progress of a session that stands by.
#[derive(Clone, Debug)]
pub(crate) struct StandbyRow {
    /// Its key.
    pub(crate) session: String,
    /// `heard_until`.
    pub(crate) heard_until: Timestamp,
    /// `lag_secs`.
    pub(crate) lag: Duration,
    /// `waiting_octets`.
    pub(crate) waiting: u64,
}

/// Stores the progress of sessions that stand by, each once.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn note_standbys(client: &mut Client, all: &[StandbyRow]) -> Result<()> {
    let keys: Vec<&str> = all.iter().map(|one| one.session.as_str()).collect();
    let heard: Vec<_> = all.iter().map(|one| system_time(one.heard_until)).collect();
    let lags: Vec<f64> = all.iter().map(|one| one.lag.as_secs_f64()).collect();
    let waiting: Vec<i64> = all.iter().map(|one| i64::try_from(one.waiting).unwrap_or(i64::MAX)).collect();
    client.execute_typed(
        "UPDATE bmp_sessions AS s
         SET heard_until = new.heard_until, lag_secs = new.lag_secs, waiting_octets = new.waiting_octets
         FROM unnest($1::text[], $2::timestamptz[], $3::float8[], $4::bigint[]) AS new (session, heard_until, lag_secs, waiting_octets)
         WHERE s.session = new.session::uuid AND s.state = 'standby'",
        &[
            (&keys, Type::TEXT_ARRAY),
            (&heard, Type::TIMESTAMPTZ_ARRAY),
            (&lags, Type::FLOAT8_ARRAY),
            (&waiting, Type::INT8_ARRAY),
        ],
    )?;
    Ok(())
}

/// Ends the live state of sessions of a router whose end was not stored; not that of one that has just begun.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn release(client: &mut Client, collector: &str, router: &RouterId) -> Result<()> {
    client.execute_typed(
        "UPDATE bmp_sessions SET state = 'stale', since = now(), reason = 'its end was not stored'
         WHERE router_id = $2 AND collector_id = $1 AND state IN ('dumping', 'up') AND began_at < now() - interval '10 s'",
        &[(&collector, Type::TEXT), (&router.as_str(), Type::TEXT)],
    )?;
    Ok(())
}

/// A session, its new state, and the reason.
pub(crate) type NewState<'a> = (&'a str, SessionState, Option<&'a str>);

/// Sets the states of sessions, each once. One that has ended stays ended.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn set_states(transaction: &mut Transaction<'_>, states: &[NewState<'_>]) -> Result<()> {
    let sessions: Vec<&str> = states.iter().map(|(session, ..)| *session).collect();
    let names: Vec<&str> = states.iter().map(|(_, state, _)| state.as_str()).collect();
    let reasons: Vec<Option<&str>> = states.iter().map(|(.., reason)| reason.map(cut_reason)).collect();
    transaction.execute_typed(
        "UPDATE bmp_sessions AS s SET state = new.state, since = now(), reason = new.reason
         FROM unnest($1::text[], $2::text[], $3::text[]) AS new (session, state, reason)
         WHERE s.session = new.session::uuid AND s.state <> 'ended'",
        &[(&sessions, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY), (&reasons, Type::TEXT_ARRAY)],
    )?;
    Ok(())
}

/// Deletes sessions that ended more than a day before this time. Returns their number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn forget_ended(client: &mut Client, now: Timestamp) -> Result<u64> {
    Ok(client.execute_typed(
        "DELETE FROM bmp_sessions WHERE state = 'ended' AND since < $1::timestamptz - interval '1 day'",
        &[(&system_time(now), Type::TIMESTAMPTZ)],
    )?)
}
