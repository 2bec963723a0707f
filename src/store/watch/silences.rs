//! Silences: planned work, of which incidents are recorded and not delivered.

use std::net::IpAddr;

use postgres::types::{ToSql, Type};
use postgres::{Client, Row};

use super::super::error::Result;
use super::super::time::{read_time, system_time};
use crate::model::Timestamp;
use crate::model::watch::WatchId;

/// A silence to be stored. What is given narrows it; one of router, peer, AS, prefix and watch must be.
#[derive(Clone, Debug, Default)]
pub struct SilenceScope {
    /// Only at this router.
    pub router_id: Option<String>,
    /// Only for this peer.
    pub peer_address: Option<IpAddr>,
    /// Only for peers of this AS.
    pub peer_asn: Option<u32>,
    /// Only for this prefix and what it covers.
    pub prefix: Option<String>,
    /// Only for this watch.
    pub watch: Option<WatchId>,
    /// Only for watches of this team.
    pub team: Option<String>,
    /// Only for this condition.
    pub condition: Option<String>,
}

/// A stored silence.
#[derive(Clone, Debug)]
pub struct SilenceRow {
    /// Its number.
    pub id: i64,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when; earlier if someone ended it.
    pub ends_at: Timestamp,
    /// `planned`, `active` or `over`.
    pub state: String,
    /// Its scope, in words.
    pub scope: String,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub note: String,
    /// The number of open incidents that it keeps from being delivered.
    pub incidents: i64,
    /// The whole row as a JSON object, columns in order.
    pub json: String,
}

/// The columns of a [`SilenceRow`].
const LISTED: &str = "
    SELECT s.id, s.starts_at, LEAST(s.ends_at, s.ended_at) AS ends_at, s.created_by, s.note,
           CASE WHEN LEAST(s.ends_at, s.ended_at) <= now() THEN 'over' WHEN s.starts_at > now() THEN 'planned'
                ELSE 'active' END AS state,
           concat_ws(' ', 'router ' || s.router_id, 'peer ' || host(s.peer_address), 'peers of AS' || s.peer_asn,
                     'prefix ' || s.prefix::text, 'watch ' || w.name, 'team ' || s.team, s.condition) AS scope,
           (SELECT count(*) FROM watch.incidents i WHERE i.silence_id = s.id AND i.state <> 'closed') AS incidents,
           to_json(s)::text AS json
    FROM watch.silences s LEFT JOIN watch.watches w ON w.id = s.watch_id";

fn read(row: &Row) -> Result<SilenceRow> {
    Ok(SilenceRow {
        id: row.get("id"),
        starts_at: read_time(row.get("starts_at"))?,
        ends_at: read_time(row.get("ends_at"))?,
        state: row.get("state"),
        scope: row.get("scope"),
        created_by: row.get("created_by"),
        note: row.get("note"),
        incidents: row.get("incidents"),
        json: row.get("json"),
    })
}

/// Stores a silence with its beginning and its end. Returns it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn add(
    client: &mut Client,
    scope: &SilenceScope,
    (starts_at, ends_at): (Timestamp, Timestamp),
    created_by: &str,
    note: &str,
) -> Result<SilenceRow> {
    let (starts_at, ends_at) = (system_time(starts_at), system_time(ends_at));
    let (asn, watch) = (scope.peer_asn.map(i64::from), scope.watch.map(|watch| watch.0));
    let parameters: [(&(dyn ToSql + Sync), Type); 11] = [
        (&starts_at, Type::TIMESTAMPTZ),
        (&ends_at, Type::TIMESTAMPTZ),
        (&scope.router_id, Type::TEXT),
        (&scope.peer_address, Type::INET),
        (&asn, Type::INT8),
        (&scope.prefix, Type::TEXT),
        (&watch, Type::INT8),
        (&scope.team, Type::TEXT),
        (&scope.condition, Type::TEXT),
        (&created_by, Type::TEXT),
        (&note, Type::TEXT),
    ];
    let row = client.query_typed_one(
        "INSERT INTO watch.silences (starts_at, ends_at, router_id, peer_address, peer_asn, prefix, watch_id, team, condition,
                                     created_by, note)
         VALUES ($1, $2, $3, $4, $5, $6::cidr, $7, $8, $9, $10, $11) RETURNING id",
        &parameters,
    )?;
    let id: i64 = row.get(0);
    read(&client.query_typed_one(&format!("{LISTED} WHERE s.id = $1"), &[(&id, Type::INT8)])?)
}

/// Which silences are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceFilter {
    /// Those that are planned or active.
    Current,
    /// All of them.
    All,
}

/// Returns silences, the latest ones first.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn list(client: &mut Client, which: SilenceFilter) -> Result<Vec<SilenceRow>> {
    let condition = match which {
        SilenceFilter::Current => "WHERE LEAST(s.ends_at, s.ended_at) > now()",
        SilenceFilter::All => "",
    };
    let rows = client.query_typed(&format!("{LISTED} {condition} ORDER BY s.starts_at DESC, s.id DESC"), &[])?;
    rows.iter().map(read).collect()
}

/// The result of [`end`].
#[derive(Clone, Debug)]
pub enum EndedSilence {
    /// It is over now.
    Now(Box<SilenceRow>),
    /// It was over already.
    Before(Box<SilenceRow>),
    /// There is none with this number.
    Unknown,
}

/// Ends a silence. One that has not begun is over without having begun.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn end(client: &mut Client, id: i64) -> Result<EndedSilence> {
    let ended = client.execute_typed(
        "UPDATE watch.silences SET ended_at = now() WHERE id = $1 AND LEAST(ends_at, ended_at) > now()",
        &[(&id, Type::INT8)],
    )?;
    let row = client.query_typed_opt(&format!("{LISTED} WHERE s.id = $1"), &[(&id, Type::INT8)])?;
    Ok(match row {
        None => EndedSilence::Unknown,
        Some(row) if ended > 0 => EndedSilence::Now(Box::new(read(&row)?)),
        Some(row) => EndedSilence::Before(Box::new(read(&row)?)),
    })
}
