//! `tenants`: the teams that share the collector, and how one of them does.

use clap::Args;

use super::command::{CommandError, connect, counted, print};
use super::table::{self, Column, Table};
use crate::config::Settings;
use crate::model::text::{printable, printable_json};
use crate::store::slice::Slice;
use crate::store::tenants::overview::{self, ListedTeam, TeamOverview};

/// The team to show.
#[derive(Args, Debug)]
pub struct TenantsArguments {
    /// Show this team, by its identifier or name: resources, incidents, records that are not watched, the last day
    team: Option<String>,
    /// Print JSON: an array of teams, or an object with the lists of one
    #[arg(long)]
    json: bool,
}

/// The largest number of teams that are listed.
const LISTED_MAX: i64 = 10_000;

/// Lists teams, or shows one.
pub(super) fn run(arguments: &TenantsArguments, settings: &Settings) -> Result<(), CommandError> {
    let mut client = connect(settings, "tenants")?;
    let Some(wanted) = &arguments.team else {
        let (teams, total) = overview::teams(&mut client, Slice { size: LISTED_MAX, page: 0 })?;
        if arguments.json {
            return print(&array(teams.iter().map(|team| team.json.as_str())));
        }
        return print(&list(&teams, total));
    };
    let Some(id) = overview::find(&mut client, wanted)? else {
        let unknown = format!("there is no team {}: `rib-ingester tenants` lists them", printable(wanted));
        return Err(CommandError::Failed(unknown));
    };
    let team = overview::of_team(&mut client, &id)?;
    print(&if arguments.json { object(&team) } else { text(&team) })
}

fn array<'a>(rows: impl Iterator<Item = &'a str>) -> String {
    printable_json(&format!("[{}]\n", rows.collect::<Vec<_>>().join(",\n "))).into_owned()
}

fn object(team: &TeamOverview) -> String {
    let rows = |rows: Vec<&str>| rows.join(", ");
    printable_json(&format!(
        "{{\"resources\": [{}],\n \"incidents\": [{}],\n \"last_day\": [{}]}}\n",
        rows(team.resources.iter().map(|row| row.json.as_str()).collect()),
        rows(team.incidents.iter().map(|row| row.json.as_str()).collect()),
        rows(team.day.iter().map(|row| row.json.as_str()).collect()),
    ))
    .into_owned()
}

fn list(teams: &[ListedTeam], total: i64) -> String {
    if teams.is_empty() {
        return "no team: `rib-ingester import tenants` or SQL makes them, see docs/tenants.md\n".to_owned();
    }
    let mut table = Table::new(&[
        ("team", Column::Word),
        ("name", Column::Text),
        ("resources", Column::Number),
        ("domains", Column::Number),
        ("watched", Column::Number),
        ("not permitted", Column::Number),
        ("members", Column::Number),
        ("incidents", Column::Number),
        ("worst", Column::Word),
    ]);
    for team in teams {
        table.push([
            team.id.clone(),
            team.name.clone(),
            team.resources.to_string(),
            team.domains.to_string(),
            team.watched.to_string(),
            team.not_permitted.to_string(),
            team.members.to_string(),
            team.incidents.to_string(),
            team.worst.clone().unwrap_or_default(),
        ]);
    }
    let mut out = table.render(table::line_width());
    if total > LISTED_MAX {
        out.push_str(&format!("the first {LISTED_MAX} of {total} are shown\n"));
    }
    out
}

fn text(team: &TeamOverview) -> String {
    let mut out = resources(team);
    out.push_str(&incidents(team));
    out.push_str(&day(team));
    if !team.unwatched.is_empty() {
        let mut table = Table::new(&[
            ("domain", Column::Word),
            ("record", Column::Word),
            ("type", Column::Word),
            ("content", Column::Text),
            ("state", Column::Word),
        ]);
        for record in &team.unwatched {
            table.push([
                record.hostname.clone(),
                record.name.clone(),
                record.kind.clone(),
                record.content.clone(),
                record.state.clone(),
            ]);
        }
        out.push_str(&format!(
            "\n{} not watched\n{}",
            counted(team.unwatched.len() as u64, "record"),
            table.render(table::line_width())
        ));
    }
    out
}

fn resources(team: &TeamOverview) -> String {
    if team.resources.is_empty() {
        return "no resource: nothing of this team can be watched or looked up\n".to_owned();
    }
    let mut table = Table::new(&[
        ("resource", Column::Word),
        ("origin", Column::Word),
        ("announced", Column::Number),
        ("routers", Column::Number),
        ("origins seen", Column::Text),
        ("valid", Column::Number),
        ("invalid", Column::Number),
        ("not found", Column::Number),
        ("blackholed", Column::Text),
        ("incidents", Column::Number),
    ]);
    for row in &team.resources {
        let [valid, invalid, not_found] = row.rpki;
        let origins: Vec<String> = row.origins.iter().map(|asn| format!("AS{asn}")).collect();
        table.push([
            row.prefix.clone(),
            row.origin_asn.map_or_else(|| "any".to_owned(), |asn| format!("AS{asn}")),
            row.announced.to_string(),
            row.routers.to_string(),
            origins.join(" "),
            valid.to_string(),
            invalid.to_string(),
            not_found.to_string(),
            row.blackholed.join(" "),
            row.incidents.to_string(),
        ]);
    }
    table.render(table::line_width())
}

fn incidents(team: &TeamOverview) -> String {
    if team.incidents.is_empty() {
        return "\nno incident\n".to_owned();
    }
    let mut table = Table::new(&[
        ("state", Column::Word),
        ("severity", Column::Word),
        ("opened (UTC)", Column::Word),
        ("id", Column::Number),
        ("about", Column::Word),
        ("title", Column::Text),
    ]);
    for row in &team.incidents {
        table.push([
            row.state.clone(),
            row.severity.clone(),
            row.opened_at.to_utc().trim_end_matches(" UTC").to_owned(),
            row.incident_id.map_or_else(String::new, |id| id.to_string()),
            row.about.clone().unwrap_or_default(),
            row.title.clone(),
        ]);
    }
    format!("\n{}", table.render(table::line_width()))
}

fn day(team: &TeamOverview) -> String {
    if team.day.is_empty() {
        return "\nno change of a route within the last day\n".to_owned();
    }
    let mut table = Table::new(&[
        ("last day", Column::Text),
        ("announcements", Column::Number),
        ("withdrawals", Column::Number),
        ("path changes", Column::Number),
        ("unreachable s", Column::Number),
    ]);
    for row in &team.day {
        table.push([
            row.about.clone(),
            row.announcements.to_string(),
            row.withdrawals.to_string(),
            row.path_changes.to_string(),
            row.unreachable_secs.to_string(),
        ]);
    }
    let mut out = format!("\n{}", table.render(table::line_width()));
    if team.day.iter().any(|row| !row.has_history) {
        out.push_str("the history of a router was off: its changes are not counted\n");
    }
    out
}
