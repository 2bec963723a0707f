//! `lookup --family`: routes of the families that are not prefixes, by text in their keys.

use clap::Args;
use serde_json::Value;

use crate::cli::command::{CommandError, connect, print, say};
use crate::cli::table::{self, Column, Table};
use crate::config::Settings;
use crate::model::OtherFamily;
use crate::model::text::printable_json;
use crate::store::Client;
use crate::store::api::ApiRow;
use crate::store::api::nlri::{self, NlriFilter};
use crate::store::status;

/// The number of routes that are printed at most unless another one is given.
const LIMIT: u32 = 1_000;

/// Which routes of other families.
#[derive(Args, Debug)]
pub(crate) struct NlriArguments {
    /// Look up routes of this family instead, whose NLRI are not prefixes
    #[arg(long, value_name = "FAMILY", value_parser = OtherFamily::NAMES)]
    family: Option<String>,
    /// With --family: the whole key of an NLRI, or text that is somewhere in it
    #[arg(long, value_name = "TEXT", requires = "family")]
    key: Option<String>,
    /// With --family: look at this router only, by its identifier, name or address
    #[arg(long, value_name = "ROUTER", requires = "family")]
    router: Option<String>,
    /// With --family: print at most this many routes; 1000 unless given
    #[arg(long, value_name = "COUNT", requires = "family", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Prints the routes in the order of router, view, peer, table and key. None gives exit code 1.
pub(super) fn run(
    arguments: &NlriArguments,
    view: Option<String>,
    is_json: bool,
    settings: &Settings,
) -> Result<(), CommandError> {
    let limit = arguments.limit.unwrap_or(LIMIT);
    let mut client = connect(settings, "lookup")?;
    let routers = arguments.router.as_deref().map(|name| routers(&mut client, name)).transpose()?;
    let filter = NlriFilter { routers, view, family: arguments.family.clone(), ..NlriFilter::default() };
    let mut rows = found(&mut client, filter, arguments.key.as_deref(), limit)?;
    let is_cut = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if is_cut {
        rows.pop();
    }
    if is_json {
        let rows: Vec<&str> = rows.iter().map(|row| row.json.as_str()).collect();
        print(&printable_json(&format!("[{}]\n", rows.join(",\n "))))?;
    } else if !rows.is_empty() {
        print(&text(&rows).render(table::line_width()))?;
    }
    if is_cut {
        say(format!("there are more than {limit} such routes: name more of the key, a router, or a --limit"));
    }
    match rows.as_slice() {
        [] => Err(CommandError::Failed("no such route of the family is stored".to_owned())),
        _ => Ok(()),
    }
}

/// Returns the identifiers of the routers that are called so.
fn routers(client: &mut Client, name: &str) -> Result<Vec<String>, CommandError> {
    let named = status::named(client, name)?;
    if named.is_empty() {
        let why = format!("no router is called {name}: no identifier, name or address matches");
        return Err(CommandError::Failed(why));
    }
    Ok(named.into_iter().map(|(router, _)| router.as_str().to_owned()).collect())
}

/// Returns at most one row more than the limit: those with the key, which an index finds; if there are none, those that
/// have it as a part of theirs.
fn found(client: &mut Client, filter: NlriFilter, key: Option<&str>, limit: u32) -> Result<Vec<ApiRow>, CommandError> {
    let limit = i64::from(limit) + 1;
    let Some(key) = key.map(str::to_owned) else { return Ok(nlri::routes(filter).page(client, None, limit)?) };
    let whole = NlriFilter { key: Some(key.clone()), ..filter.clone() };
    let rows = nlri::routes(whole).page(client, None, limit)?;
    if !rows.is_empty() {
        return Ok(rows);
    }
    let part = NlriFilter { contains: Some(key), ..filter };
    Ok(nlri::routes(part).page(client, None, limit)?)
}

fn text(rows: &[ApiRow]) -> Table {
    let mut out = Table::new(&[
        ("router", Column::Word),
        ("view", Column::Word),
        ("peer", Column::Word),
        ("table", Column::Text),
        ("key", Column::List),
        ("path", Column::Number),
        ("next hop", Column::Word),
        ("AS path", Column::List),
        ("updated (UTC)", Column::Word),
    ]);
    for row in rows {
        let row: Value = serde_json::from_str(&row.json).unwrap_or_default();
        let cell = |name: &str| match &row[name] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let updated = cell("updated_at").parse().map_or_else(|_| "-".to_owned(), minute);
        let columns = ["router_id", "view", "peer_address", "table_name", "nlri_key", "path_id", "nexthop", "as_path"];
        out.push(columns.map(cell).into_iter().chain([updated]));
    }
    out
}

/// Formats a time as `2026-11-21 07:45`.
fn minute(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}
