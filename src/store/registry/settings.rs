//! The settings of the registry that the collector follows.

use postgres::{Client, Transaction};

use super::super::error::Result;
use crate::model::Timestamp;

/// The settings, and whether there is anything to do.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    /// True if there is a session.
    pub(crate) has_sessions: bool,
    /// True if there are watches of sessions.
    pub(crate) has_watches: bool,
    /// True if there are callbacks of routers' agents.
    pub(crate) has_callbacks: bool,
    /// The settings, a JSON object of strings.
    pub(crate) settings: String,
    /// The time of the database.
    pub(crate) now: Timestamp,
}

/// Reads what a round begins with.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn begin(client: &mut Client) -> Result<Begin> {
    let row = client.query_typed_one(include_str!("../../../sql/statements/registry_settings.sql"), &[])?;
    Ok(Begin {
        has_sessions: row.get(0),
        has_watches: row.get(1),
        has_callbacks: row.get(2),
        settings: row.get::<_, Option<String>>(3).unwrap_or_else(|| "{}".to_owned()),
        now: Timestamp::from_unix_micros(row.get(4)),
    })
}

/// Returns the numbers and names that an operator has chosen; `None`: none has.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn chosen_codes(transaction: &mut Transaction<'_>) -> Result<Option<Vec<(i16, String)>>> {
    let rows = transaction.query_typed(
        "SELECT code, name FROM registry.status_codes() WHERE EXISTS (SELECT FROM registry.settings WHERE key = 'status_codes')",
        &[],
    )?;
    let codes: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok((!codes.is_empty()).then_some(codes))
}

/// Returns the numbers of `bgp_sessions.status` and their names.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn status_codes(client: &mut Client) -> Result<Vec<(i16, String)>> {
    let rows = client.query_typed("SELECT code, name FROM registry.status_codes()", &[])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
