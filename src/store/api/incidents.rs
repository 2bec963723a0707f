//! Incidents, watches, silences and the set of VRPs, for the API. A caller of a team sees its own only.

use postgres::Client;
use postgres::types::Type;

use super::ApiRow;
use super::list::ListQuery;
use crate::store::Result;

/// The most changes of one incident that are returned.
const EVENTS_MAX: i64 = 1_000;

/// Which incidents are wanted; `None`: all.
#[derive(Clone, Debug, Default)]
pub(crate) struct IncidentFilter {
    /// Their states.
    pub states: Option<Vec<String>>,
    /// Their severities.
    pub severities: Option<Vec<String>>,
    /// Their conditions.
    pub conditions: Option<Vec<String>>,
    /// Their watches, by number or name.
    pub watches: Option<Vec<String>>,
    /// The team of the caller.
    pub team: Option<String>,
    /// The incident.
    pub id: Option<i64>,
}

/// Returns the list of incidents, the newest ones first.
pub(crate) fn incidents(filter: IncidentFilter) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_incidents.sql"))
        .with(filter.states, Type::TEXT_ARRAY)
        .with(filter.severities, Type::TEXT_ARRAY)
        .with(filter.conditions, Type::TEXT_ARRAY)
        .with(filter.watches, Type::TEXT_ARRAY)
        .with(filter.team, Type::TEXT)
        .with(filter.id, Type::INT8)
}

/// Returns one incident that the team may see, with its changes in the member `events`.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn incident(client: &mut Client, id: i64, team: Option<&str>) -> Result<Option<ApiRow>> {
    let filter = IncidentFilter { id: Some(id), team: team.map(str::to_owned), ..IncidentFilter::default() };
    let Some(mut row) = incidents(filter).page(client, None, 1)?.pop() else { return Ok(None) };
    let sql = include_str!("../../../sql/statements/api_incident_events.sql");
    let events: String = client.query_typed_one(sql, &[(&id, Type::INT8), (&EVENTS_MAX, Type::INT8)])?.get(0);
    row.json.pop();
    row.json.push_str(&format!(",\"events\":{events}}}"));
    Ok(Some(row))
}

/// Returns the list of watches, by number.
pub(crate) fn watches(kinds: Option<Vec<String>>, team: Option<String>) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_watches.sql"))
        .with(kinds, Type::TEXT_ARRAY)
        .with(team, Type::TEXT)
}

/// Returns whether there is a watch with this number that the team may see.
///
/// # Errors
/// As [`incident`].
pub(crate) fn has_watch(client: &mut Client, id: i64, team: Option<&str>) -> Result<bool> {
    let row = client.query_typed_one(
        "SELECT EXISTS (SELECT FROM watch.watches WHERE id = $1 AND ($2::text IS NULL OR team = $2))",
        &[(&id, Type::INT8), (&team, Type::TEXT)],
    )?;
    Ok(row.get(0))
}

/// Returns the list of silences that are planned or active, the newest ones first; with a number that one.
pub(crate) fn silences(team: Option<String>, id: Option<i64>) -> ListQuery {
    ListQuery::new(include_str!("../../../sql/statements/api_silences.sql")).with(team, Type::TEXT).with(id, Type::INT8)
}

/// Returns the set of VRPs.
///
/// # Errors
/// As [`incident`].
pub(crate) fn rpki(client: &mut Client) -> Result<ApiRow> {
    let row = client.query_typed_one(include_str!("../../../sql/statements/api_rpki.sql"), &[])?;
    Ok(ApiRow { json: row.get("json"), key: None })
}
