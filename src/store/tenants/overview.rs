//! Teams as commands and pages show them.

use postgres::types::Type;
use postgres::{Client, Row};

use super::super::error::Result;
use super::super::slice::Slice;
use super::super::time::read_time;
use crate::model::Timestamp;

/// A team with its numbers.
#[derive(Clone, Debug)]
pub(crate) struct ListedTeam {
    /// Its identifier.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// The number of its resources.
    pub(crate) resources: i64,
    /// The number of its domains.
    pub(crate) domains: i64,
    /// The number of its DNS records that are watched.
    pub(crate) watched: i64,
    /// The number of those that no resource permits.
    pub(crate) not_permitted: i64,
    /// The number of its members.
    pub(crate) members: i64,
    /// The number of incidents that are not resolved.
    pub(crate) incidents: i64,
    /// The worst severity of those.
    pub(crate) worst: Option<String>,
    /// The whole row as a JSON object.
    pub(crate) json: String,
}

/// A resource of a team, and what is announced in it.
#[derive(Clone, Debug)]
pub(crate) struct ListedResource {
    /// The prefix.
    pub(crate) prefix: String,
    /// The AS that may originate it.
    pub(crate) origin_asn: Option<i64>,
    /// The number of prefixes that are announced in it.
    pub(crate) announced: i64,
    /// The number of routers that have them.
    pub(crate) routers: i64,
    /// The ASes that originate them.
    pub(crate) origins: Vec<i64>,
    /// The numbers of pairs of prefix and origin that are valid, invalid, and not found.
    pub(crate) rpki: [i64; 3],
    /// Prefixes with the community BLACKHOLE.
    pub(crate) blackholed: Vec<String>,
    /// The number of incidents that are not resolved.
    pub(crate) incidents: i64,
    /// The whole row as a JSON object.
    pub(crate) json: String,
}

/// An incident of a team.
#[derive(Clone, Debug)]
pub(crate) struct TeamIncident {
    /// The number in `watch.incidents`.
    pub(crate) incident_id: Option<i64>,
    /// The hostname of the domain or the prefix of the resource that it is about.
    pub(crate) about: Option<String>,
    /// `critical`, `major` or `minor`.
    pub(crate) severity: String,
    /// `investigating`, `identified`, `monitoring` or `resolved`.
    pub(crate) state: String,
    /// The title.
    pub(crate) title: String,
    /// When it opened.
    pub(crate) opened_at: Timestamp,
    /// The whole row as a JSON object.
    pub(crate) json: String,
}

/// A DNS record of a team whose address is not watched, or leads nowhere.
#[derive(Clone, Debug)]
pub(crate) struct UnwatchedRecord {
    /// The hostname of its domain.
    pub(crate) hostname: String,
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) kind: String,
    /// Its content.
    pub(crate) content: String,
    /// Its state.
    pub(crate) state: String,
}

/// The changes of routes of a domain or resource within the last day.
#[derive(Clone, Debug)]
pub(crate) struct DayOf {
    /// The hostname or the prefix.
    pub(crate) about: String,
    /// Announcements.
    pub(crate) announcements: i64,
    /// Withdrawals.
    pub(crate) withdrawals: i64,
    /// Changes of the AS path.
    pub(crate) path_changes: i64,
    /// Seconds without a route.
    pub(crate) unreachable_secs: i64,
    /// False if the history of a router was off.
    pub(crate) has_history: bool,
    /// The whole row as a JSON object.
    pub(crate) json: String,
}

/// Everything about one team.
#[derive(Clone, Debug)]
pub(crate) struct TeamOverview {
    /// Its resources.
    pub(crate) resources: Vec<ListedResource>,
    /// Its incidents that are not resolved, then the latest of the others.
    pub(crate) incidents: Vec<TeamIncident>,
    /// Records that are not watched.
    pub(crate) unwatched: Vec<UnwatchedRecord>,
    /// The last day.
    pub(crate) day: Vec<DayOf>,
}

/// The largest number of rows of one list of a team.
const ROWS_MAX: i64 = 200;

/// Returns one slice of the teams, those with incidents first, and the number of all.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn teams(client: &mut Client, slice: Slice) -> Result<(Vec<ListedTeam>, i64)> {
    let rows = client.query_typed(
        include_str!("../../../sql/statements/tenant_teams.sql"),
        &[(&slice.size, Type::INT8), (&slice.page.saturating_mul(slice.size), Type::INT8)],
    )?;
    let total = client.query_typed_one("SELECT count(*) FROM tenant.teams", &[])?.get(0);
    Ok((rows.iter().map(team).collect(), total))
}

fn team(row: &Row) -> ListedTeam {
    ListedTeam {
        id: row.get("id"),
        name: row.get("name"),
        resources: row.get("resources"),
        domains: row.get("domains"),
        watched: row.get("watched"),
        not_permitted: row.get("not_permitted"),
        members: row.get("members"),
        incidents: row.get("incidents"),
        worst: row.get("worst"),
        json: row.get("json"),
    }
}

/// Returns the identifier of the team with this identifier or, where only one has it, name.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn find(client: &mut Client, wanted: &str) -> Result<Option<String>> {
    let rows = client.query_typed(
        "SELECT id, id = $1 FROM tenant.teams WHERE id = $1 OR lower(name) = lower($1) ORDER BY id <> $1 LIMIT 2",
        &[(&wanted, Type::TEXT)],
    )?;
    Ok(match rows.as_slice() {
        [only] => Some(only.get(0)),
        [first, _] if first.get(1) => Some(first.get(0)),
        _ => None,
    })
}

/// Returns everything about one team.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn of_team(client: &mut Client, id: &str) -> Result<TeamOverview> {
    let mut ask = |statement: &str| client.query_typed(statement, &[(&id, Type::TEXT), (&ROWS_MAX, Type::INT8)]);
    let resources = ask(
        "SELECT o.prefix::text AS prefix, o.origin_asn, o.announced, o.routers, COALESCE(o.origins, '{}') AS origins,
                o.rpki_valid, o.rpki_invalid, o.rpki_not_found, COALESCE(o.blackholed::text[], '{}') AS blackholed,
                o.incidents, to_json(o)::text AS json
         FROM tenant.overview($1) o LIMIT $2",
    )?;
    let incidents = ask(include_str!("../../../sql/statements/tenant_team_incidents.sql"))?;
    let unwatched = ask("SELECT d.hostname, r.name, r.type, r.content, r.state
         FROM tenant.dns_records r JOIN tenant.domains d ON d.team_id = r.team_id AND d.id = r.domain_id
         WHERE r.team_id = $1 AND r.state NOT IN ('watched', 'not_followed') ORDER BY d.hostname, r.name, r.id LIMIT $2")?;
    let day = ask(include_str!("../../../sql/statements/tenant_team_day.sql"))?;
    Ok(TeamOverview {
        resources: resources.iter().map(resource).collect(),
        incidents: incidents.iter().map(incident).collect::<Result<_>>()?,
        unwatched: unwatched.iter().map(record).collect(),
        day: day.iter().map(day_of).collect(),
    })
}

fn resource(row: &Row) -> ListedResource {
    ListedResource {
        prefix: row.get("prefix"),
        origin_asn: row.get("origin_asn"),
        announced: row.get("announced"),
        routers: row.get("routers"),
        origins: row.get("origins"),
        rpki: [row.get("rpki_valid"), row.get("rpki_invalid"), row.get("rpki_not_found")],
        blackholed: row.get("blackholed"),
        incidents: row.get("incidents"),
        json: row.get("json"),
    }
}

fn incident(row: &Row) -> Result<TeamIncident> {
    Ok(TeamIncident {
        incident_id: row.get("incident_id"),
        about: row.get("about"),
        severity: row.get("severity"),
        state: row.get("state"),
        title: row.get("title"),
        opened_at: read_time(row.get("opened_at"))?,
        json: row.get("json"),
    })
}

fn record(row: &Row) -> UnwatchedRecord {
    UnwatchedRecord { hostname: row.get(0), name: row.get(1), kind: row.get(2), content: row.get(3), state: row.get(4) }
}

fn day_of(row: &Row) -> DayOf {
    DayOf {
        about: row.get("about"),
        announcements: row.get("announcements"),
        withdrawals: row.get("withdrawals"),
        path_changes: row.get("path_changes"),
        unreachable_secs: row.get("unreachable_secs"),
        has_history: row.get("has_history"),
        json: row.get("json"),
    }
}
