//! Sessions as people read them, and for how long they were up.

use postgres::types::Type;
use postgres::{Client, Row};

use super::super::error::Result;
use super::super::slice::Slice;
use crate::model::Timestamp;

/// The sessions to list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// True for those only that somebody should look at.
    pub(crate) is_bad: bool,
    /// The router by its name in the registry or its identifier; empty: all.
    pub(crate) router: &'a str,
    /// A word in them; empty: all.
    pub(crate) find: &'a str,
}

/// A row of `registry.sessions_overview`.
#[derive(Clone, Debug)]
pub(crate) struct ListedSession {
    /// The name of its router.
    pub(crate) router: Option<String>,
    /// The AS of the peer.
    pub(crate) asn: i64,
    /// Who has it.
    pub(crate) person: Option<String>,
    /// Its status in words.
    pub(crate) status: String,
    /// The verdict of the collector.
    pub(crate) verdict: Option<String>,
    /// Since when.
    pub(crate) since: Option<Timestamp>,
    /// The number of its peers that are up.
    pub(crate) up: Option<i32>,
    /// The number that should be.
    pub(crate) expected: Option<i32>,
    /// The number of routes that they sent.
    pub(crate) routes: Option<i64>,
    /// Its first address.
    pub(crate) address: Option<String>,
    /// Its error.
    pub(crate) error: Option<String>,
    /// The reason of the verdict.
    pub(crate) reason: Option<String>,
    /// An incident that is not closed.
    pub(crate) incident: Option<i64>,
    /// The whole row.
    pub(crate) json: String,
}

/// Returns sessions, the bad ones first, and the number of all of them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn sessions(client: &mut Client, wanted: Wanted<'_>, slice: Slice) -> Result<(Vec<ListedSession>, i64)> {
    let rows = client.query_typed(
        include_str!("../../../sql/statements/registry_list.sql"),
        &[
            (&wanted.is_bad, Type::BOOL),
            (&wanted.router, Type::TEXT),
            (&wanted.find, Type::TEXT),
            (&slice.size, Type::INT8),
            (&slice.page, Type::INT8),
        ],
    )?;
    let read = |row: &Row| ListedSession {
        router: row.get(0),
        asn: row.get(1),
        person: row.get(2),
        status: row.get(3),
        verdict: row.get(4),
        since: row.get::<_, Option<i64>>(5).map(Timestamp::from_unix_micros),
        up: row.get(6),
        expected: row.get(7),
        routes: row.get(8),
        address: row.get(9),
        error: row.get(10),
        reason: row.get(11),
        incident: row.get(12),
        json: row.get(13),
    };
    Ok((rows.iter().map(read).collect(), rows.first().map_or(0, |row| row.get(14))))
}

/// The time for which a peer of a session was up.
#[derive(Clone, Debug)]
pub(crate) struct Uptime {
    /// The session.
    pub(crate) uuid: String,
    /// The name of its router.
    pub(crate) router: Option<String>,
    /// The AS of the peer.
    pub(crate) asn: i64,
    /// Who has the session.
    pub(crate) person: Option<String>,
    /// The address of the peer.
    pub(crate) address: String,
    /// The seconds for which it was up.
    pub(crate) up: f64,
    /// The seconds for which nobody knows.
    pub(crate) unknown: f64,
    /// The number of times that it went down.
    pub(crate) downs: i64,
}

/// Returns for how long the peers of sessions were up in the last seconds.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn uptime(client: &mut Client, seconds: i64, router: &str) -> Result<Vec<Uptime>> {
    let rows = client.query_typed(
        include_str!("../../../sql/statements/registry_uptime.sql"),
        &[(&seconds, Type::INT8), (&router, Type::TEXT)],
    )?;
    let read = |row: &Row| Uptime {
        router: row.get(0),
        asn: row.get(1),
        person: row.get(2),
        address: row.get(3),
        up: row.get(4),
        unknown: row.get(5),
        downs: row.get(6),
        uuid: row.get(7),
    };
    Ok(rows.iter().map(read).collect())
}

/// Returns the number of peers that are up without a session, and whether statuses are written.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn remarks(client: &mut Client) -> Result<(i64, bool)> {
    let row = client.query_typed_one(
        "SELECT (SELECT count(*) FROM registry.unregistered_peers),
                EXISTS (SELECT FROM registry.settings WHERE key = 'write_status' AND value = 'on')
                AND EXISTS (SELECT FROM registry.settings WHERE key = 'status_codes')",
        &[],
    )?;
    Ok((row.get(0), row.get(1)))
}
