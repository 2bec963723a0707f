//! Watches as text, JSON and CSV.

use serde_json::{Map, Value, json};

use super::fields;
use crate::cli::command::{CommandError, counted};
use crate::cli::incidents;
use crate::cli::table::{self, Column, Table};
use crate::model::text::{printable, printable_json};
use crate::store::Client;
use crate::store::watch::incident_list;
use crate::store::watch::watches::{self, COLUMNS, HeldCondition, ListedWatch};
use crate::watch::check::Checked;

/// The largest number of conditions that are shown.
const CONDITIONS_MAX: i64 = 1_000;

/// Returns a watch's name for the terminal.
pub(super) fn shown(row: &ListedWatch) -> String {
    printable(&watches::full_name(row.team.as_deref(), &row.name)).into_owned()
}

/// The state of a watch in a few words.
pub(super) fn state(row: &ListedWatch) -> String {
    if row.fault().is_some() {
        return "wrong path_match".to_owned();
    }
    match (row.enabled, row.incidents, row.holding) {
        (false, ..) => "off".to_owned(),
        (true, 0, 0) if row.conditions.as_ref().is_some_and(Vec::is_empty) => "expects".to_owned(),
        (true, 0, 0) => "quiet".to_owned(),
        (true, 0, _) => "pending".to_owned(),
        (true, incidents, _) => counted(incidents.unsigned_abs(), "incident"),
    }
}

/// Formats watches as a JSON array, one row on each line.
pub(super) fn json(rows: &[ListedWatch]) -> String {
    let rows: Vec<&str> = rows.iter().map(|row| row.json.as_str()).collect();
    format!("[{}]\n", rows.join(",\n "))
}

/// Formats watches as CSV, with the columns that an import reads.
pub(super) fn csv(rows: &[ListedWatch]) -> Result<String, CommandError> {
    let failed = |error: csv::Error| CommandError::Failed(format!("CSV cannot be written: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(failed)?;
    for row in rows {
        let values = columns(row);
        let texts = COLUMNS.map(|column| fields::to_text(column, values.get(column).unwrap_or(&Value::Null)));
        writer.write_record(texts).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| CommandError::Failed(format!("CSV cannot be written: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn columns(row: &ListedWatch) -> Map<String, Value> {
    serde_json::from_str(&row.json).unwrap_or_default()
}

/// Formats one watch: the columns that are set, the conditions that hold, and its incidents.
pub(super) fn one(client: &mut Client, row: &ListedWatch) -> Result<String, CommandError> {
    let mut out = format!("watch {}: {}\n\n", shown(row), state(row));
    let values = columns(row);
    for column in COLUMNS.into_iter().chain(["source", "accepted_at"]) {
        let text = fields::to_text(column, values.get(column).unwrap_or(&Value::Null));
        if !text.is_empty() && column != "name" {
            out.push_str(&format!("{column:<22} {}\n", printable(&text)));
        }
    }
    if let Some(fault) = row.fault() {
        out.push_str(&format!("\n{}: paths are not judged\n", printable(&fault)));
    }
    let conditions = watches::conditions(client, row.id, CONDITIONS_MAX)?;
    out.push_str("\nCONDITIONS\n");
    if conditions.is_empty() {
        out.push_str("none holds\n");
    } else {
        out.push_str(&held(&conditions).render(table::line_width()));
    }
    let more = row.holding - CONDITIONS_MAX;
    if more > 0 {
        out.push_str(&format!("and {} more\n", counted(more.unsigned_abs(), "condition")));
    }
    let incidents = incident_list::of_watch(client, row.id)?;
    out.push_str("\nINCIDENTS\n");
    out.push_str(&incidents::text(&incidents, "none is open"));
    Ok(out)
}

fn held(conditions: &[HeldCondition]) -> Table {
    let mut table = Table::new(&[
        ("condition", Column::Word),
        ("router", Column::Text),
        ("table", Column::Text),
        ("subject", Column::Text),
        ("since (UTC)", Column::Word),
        ("detail", Column::Text),
    ]);
    for row in conditions {
        table.push([
            row.condition.clone(),
            row.hostname.as_ref().map_or_else(|| row.router_id.clone(), |name| format!("{name} ({})", row.router_id)),
            row.table_name.clone().unwrap_or_else(|| "-".to_owned()),
            row.subject.clone(),
            row.since.to_utc().trim_end_matches(" UTC").to_owned(),
            row.detail.clone(),
        ]);
    }
    table
}

/// Formats the same as one JSON object.
pub(super) fn one_json(client: &mut Client, row: &ListedWatch) -> Result<String, CommandError> {
    let detail = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let conditions = watches::conditions(client, row.id, CONDITIONS_MAX)?;
    let conditions = conditions.iter().map(|row| {
        json!({
            "condition": row.condition, "router_id": row.router_id, "hostname": row.hostname, "table_name": row.table_name,
            "subject": row.subject, "since": row.since.to_string(), "detail": detail(&row.detail),
        })
    });
    let conditions: Vec<Value> = conditions.collect();
    let incidents = incident_list::of_watch(client, row.id)?;
    let incidents: Vec<Value> = incidents.iter().map(|row| detail(&row.json)).collect();
    let whole = json!({ "watch": columns(row), "conditions": conditions, "incidents": incidents });
    Ok(printable_json(&format!("{whole:#}\n")).into_owned())
}

/// Formats what a check has found.
pub(super) fn checked(row: &ListedWatch, checked: &Checked) -> String {
    let mut out =
        format!("watch {}: judged at {} of {}\n", shown(row), checked.known, counted(checked.asked as u64, "router"));
    if checked.undecided > 0 {
        out.push_str(&format!("{} cannot be told now\n", counted(checked.undecided as u64, "condition")));
    }
    if checked.conditions.is_empty() {
        return out + "nothing is wrong\n";
    }
    let mut table = Table::new(&[
        ("condition", Column::Word),
        ("router", Column::Word),
        ("table", Column::Text),
        ("subject", Column::Text),
        ("detail", Column::Text),
    ]);
    for condition in &checked.conditions {
        table.push([
            condition.condition.to_string(),
            condition.router.to_string(),
            condition.table.clone().unwrap_or_else(|| "-".to_owned()),
            condition.subject.clone(),
            condition.detail.clone(),
        ]);
    }
    out + &table.render(table::line_width())
}
