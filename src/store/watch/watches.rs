//! Watches as operators make, list and remove them.
//!
//! A watch travels as a JSON object whose keys are the columns of `watch.watches`: the database converts the values,
//! and its trigger refuses a watch that cannot be judged, in a sentence.

use std::collections::BTreeSet;

use postgres::types::{ToSql, Type};
use postgres::{Client, Row, Transaction};
use serde_json::{Map, Value};

use super::super::error::{Error, Recovery, Result};
use super::super::slice::Slice;
use super::super::time::read_time;
use crate::model::Timestamp;
use crate::model::watch::WatchId;
use crate::model::watch::path_match::PathMatch;

/// The source of watches that were made by hand.
pub const MANUAL: &str = "manual";

/// The columns that operators set, in the order of the table.
pub const COLUMNS: [&str; 31] = [
    "team",
    "name",
    "kind",
    "prefix",
    "address",
    "asn",
    "router_id",
    "table_name",
    "peer_address",
    "expected_origins",
    "expected_upstreams",
    "expected_downstreams",
    "expected_via",
    "path_match",
    "max_length",
    "min_routes",
    "max_routes",
    "drop_percent",
    "rise_percent",
    "min_up",
    "min_vantages",
    "conditions",
    "open_after_secs",
    "close_after_secs",
    "settle_secs",
    "flap_changes",
    "flap_secs",
    "severity",
    "runbook_url",
    "enabled",
    "note",
];

/// The columns that say what a watch is about. A change of these makes it another watch under the same name.
const TARGET: [&str; 7] = ["kind", "prefix", "address", "asn", "router_id", "table_name", "peer_address"];

/// The number of watches that one statement writes.
const STEP_ROWS: usize = 1_000;

/// A watch to be stored.
#[derive(Clone, Debug)]
pub struct WatchDocument {
    /// Its place in its file, counted from 1.
    pub line: usize,
    /// Its columns and their values.
    pub fields: Map<String, Value>,
}

impl WatchDocument {
    /// Returns its team and name.
    fn key(&self) -> (Option<&str>, &str) {
        let text = |column| self.fields.get(column).and_then(Value::as_str);
        (text("team"), text("name").unwrap_or_default())
    }

    /// Returns all columns as a JSON object; what is not set has its default.
    fn row(&self, source: &str) -> Value {
        let mut row = self.fields.clone();
        for (column, default) in [("min_vantages", Value::from(1)), ("enabled", Value::from(true))] {
            let value = row.entry(column).or_insert(Value::Null);
            if value.is_null() {
                *value = default;
            }
        }
        row.insert("source".to_owned(), source.into());
        Value::Object(row)
    }
}

/// The treatment of watches that exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingWatches {
    /// They are refused.
    RefusedWatch,
    /// They are replaced, if they have the same source.
    Replaced,
}

/// The treatment of watches of the source that are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherWatches {
    /// They stay.
    Stay,
    /// They are removed.
    Removed,
}

/// Tells if the changes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutRun {
    /// They are.
    Real,
    /// They are undone.
    Dry,
}

/// The rules of [`put`].
#[derive(Clone, Copy, Debug)]
pub struct PutRules<'a> {
    /// The source of all given watches.
    pub source: &'a str,
    /// The rule for watches that exist.
    pub existing: ExistingWatches,
    /// The rule for watches that are not given.
    pub others: OtherWatches,
    /// Tells if the changes are kept.
    pub run: PutRun,
}

/// A watch that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedWatch {
    /// Its place in its file.
    pub line: usize,
    /// The reason, in a sentence.
    pub why: String,
}

/// The result of [`put`]: names, with the team before them where there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutWatches {
    /// Watches that are new.
    pub added: Vec<String>,
    /// Watches that were replaced by others.
    pub changed: Vec<String>,
    /// The number of watches that are as they were.
    pub same: u64,
    /// Watches that were removed.
    pub removed: Vec<String>,
    /// Watches that were refused. If there are any, nothing was changed.
    pub refused: Vec<RefusedWatch>,
}

/// Returns a watch's name, with its team before it.
pub fn full_name(team: Option<&str>, name: &str) -> String {
    team.map_or_else(|| name.to_owned(), |team| format!("{team}:{name}"))
}

/// Stores watches, all of them or, if one is refused, none.
///
/// # Errors
/// When a statement fails for another reason than a watch, or the connection is lost.
pub fn put(client: &mut Client, documents: &[WatchDocument], rules: &PutRules<'_>) -> Result<PutWatches> {
    let mut put = PutWatches::default();
    let mut known = BTreeSet::new();
    for document in documents {
        if !known.insert(document.key()) {
            let (team, name) = document.key();
            let why = format!("watch \"{}\": the name is given twice", full_name(team, name));
            put.refused.push(RefusedWatch { line: document.line, why });
        }
    }
    let mut transaction = client.transaction()?;
    for part in documents.chunks(STEP_ROWS) {
        store(&mut transaction, part, rules, &mut put)?;
    }
    if rules.others == OtherWatches::Removed && put.refused.is_empty() {
        put.removed = remove_others(&mut transaction, &known, rules.source)?;
    }
    put.refused.sort_by_key(|refused| refused.line);
    match rules.run {
        PutRun::Real if put.refused.is_empty() => transaction.commit()?,
        PutRun::Real | PutRun::Dry => transaction.rollback()?,
    }
    Ok(put)
}

/// Stores some watches; if the database refuses them, each half alone, down to the one at fault.
fn store(
    transaction: &mut Transaction<'_>,
    part: &[WatchDocument],
    rules: &PutRules<'_>,
    put: &mut PutWatches,
) -> Result<()> {
    let mut savepoint = transaction.transaction()?;
    let error = match store_all(&mut savepoint, part, rules) {
        Ok(of_part) => {
            savepoint.commit()?;
            put.added.extend(of_part.added);
            put.changed.extend(of_part.changed);
            put.same += of_part.same;
            put.refused.extend(of_part.refused);
            return Ok(());
        }
        Err(error) => error,
    };
    let is_of_row = matches!(error.verdict(), Recovery::BadRow | Recovery::NoPartition | Recovery::RowOrStatement);
    if !is_of_row || error.code().is_some_and(|code| code.starts_with("42")) {
        return Err(error);
    }
    savepoint.rollback()?;
    if let [one] = part {
        put.refused.push(RefusedWatch { line: one.line, why: why(&error) });
        return Ok(());
    }
    let (first, second) = part.split_at(part.len() / 2);
    store(transaction, first, rules, put)?;
    store(transaction, second, rules, put)
}

/// Returns the database's sentence without its code.
fn why(error: &Error) -> String {
    if let Error::Database(error) = error
        && let Some(refusal) = error.as_db_error()
    {
        let detail = refusal.detail().map_or(String::new(), |detail| format!(": {detail}"));
        return format!("{}{detail}", refusal.message());
    }
    error.to_string()
}

fn store_all(transaction: &mut Transaction<'_>, part: &[WatchDocument], rules: &PutRules<'_>) -> Result<PutWatches> {
    let mut put = PutWatches::default();
    let rows: Vec<Value> = part.iter().map(|document| document.row(rules.source)).collect();
    let columns = COLUMNS.join(", ");
    let of = |table: &str| COLUMNS.map(|column| format!("{table}.{column}")).join(", ");
    let compare = format!(
        "SELECT g.place, w.source, (w.id IS NOT NULL AND ROW({}) IS NOT DISTINCT FROM ROW({}))
         FROM (SELECT place, watch.* FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS given (one, place),
                      jsonb_populate_record(NULL::watch.watches, one) AS watch) AS g
         LEFT JOIN watch.watches w ON w.name = g.name AND w.team IS NOT DISTINCT FROM g.team
         ORDER BY g.place",
        of("w"),
        of("g"),
    );
    let json = Value::Array(rows.clone()).to_string();
    let found = transaction.query_typed(&compare, &[(&json, Type::TEXT)])?;
    let mut to_write = Vec::new();
    for ((row, document), value) in found.iter().zip(part).zip(rows) {
        let (team, name) = document.key();
        let name = full_name(team, name);
        let refuse = |why: &str| RefusedWatch { line: document.line, why: format!("watch \"{name}\" {why}") };
        match (row.get::<_, Option<&str>>(1), rules.existing) {
            (None, _) => {
                to_write.push(value);
                put.added.push(name);
            }
            (Some(_), ExistingWatches::RefusedWatch) => {
                put.refused.push(refuse("exists already: add --replace to change it"))
            }
            (Some(source), ExistingWatches::Replaced) if source != rules.source => {
                put.refused
                    .push(refuse(&format!("belongs to the source \"{source}\": change it there, or remove it first")));
            }
            (Some(_), ExistingWatches::Replaced) if row.get(2) => put.same += 1,
            (Some(_), ExistingWatches::Replaced) => {
                to_write.push(value);
                put.changed.push(name);
            }
        }
    }
    if !to_write.is_empty() {
        let target = |table: &str| TARGET.map(|column| format!("{table}.{column}")).join(", ");
        let write = format!(
            "INSERT INTO watch.watches AS w ({columns}, source)
             SELECT {columns}, source
             FROM jsonb_array_elements($1::text::jsonb) AS one, jsonb_populate_record(NULL::watch.watches, one)
             ON CONFLICT ON CONSTRAINT watches_name DO UPDATE SET ({columns}) = ROW({}), accepted_at =
                 CASE WHEN ROW({}) IS DISTINCT FROM ROW({}) THEN now() ELSE w.accepted_at END",
            of("EXCLUDED"),
            target("w"),
            target("EXCLUDED"),
        );
        transaction.execute_typed(&write, &[(&Value::Array(to_write).to_string(), Type::TEXT)])?;
    }
    Ok(put)
}

/// Removes the watches of a source that are not among `known`. Returns their names.
fn remove_others(
    transaction: &mut Transaction<'_>,
    known: &BTreeSet<(Option<&str>, &str)>,
    source: &str,
) -> Result<Vec<String>> {
    let teams: Vec<Option<&str>> = known.iter().map(|(team, _)| *team).collect();
    let names: Vec<&str> = known.iter().map(|(_, name)| *name).collect();
    let rows = transaction.query_typed(
        "DELETE FROM watch.watches w
         WHERE source = $1 AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS known (team, name)
                                           WHERE known.name = w.name AND known.team IS NOT DISTINCT FROM w.team)
         RETURNING team, name",
        &[(&source, Type::TEXT), (&teams, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY)],
    )?;
    let mut removed: Vec<String> = rows.iter().map(|row| full_name(row.get(0), row.get(1))).collect();
    removed.sort();
    Ok(removed)
}

/// Removes one watch with its conditions. Returns whether there was one.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn remove(client: &mut Client, team: Option<&str>, name: &str) -> Result<bool> {
    let removed = client.execute_typed(
        "DELETE FROM watch.watches WHERE team IS NOT DISTINCT FROM $1 AND name = $2",
        &[(&team, Type::TEXT), (&name, Type::TEXT)],
    )?;
    Ok(removed > 0)
}

/// A watch as lists show it.
#[derive(Clone, Debug)]
pub struct ListedWatch {
    /// Its number.
    pub id: WatchId,
    /// The team that it belongs to.
    pub team: Option<String>,
    /// Its name.
    pub name: String,
    /// The text of its kind.
    pub kind: String,
    /// Its target, in words.
    pub target: String,
    /// The conditions that it lists; `None`: those of its kind.
    pub conditions: Option<Vec<String>>,
    /// Its source.
    pub source: String,
    /// False if it is not judged.
    pub enabled: bool,
    /// The note on it.
    pub note: Option<String>,
    /// The page that says what to do.
    pub runbook_url: Option<String>,
    /// The number of conditions that hold now, each vantage counted.
    pub holding: i64,
    /// The number of its incidents that are not closed.
    pub incidents: i64,
    /// The whole row as a JSON object, columns in order.
    pub json: String,
}

impl ListedWatch {
    /// Returns why its expression for AS paths cannot be used; `None`: it can, or there is none. Commands check it, but a
    /// row that was written with SQL may have any text: the database has other expressions.
    pub fn fault(&self) -> Option<String> {
        let row: serde_json::Value = serde_json::from_str(&self.json).unwrap_or_default();
        Some(format!("path_match {}", PathMatch::parse(row["path_match"].as_str()?).err()?))
    }
}

/// The columns of a [`ListedWatch`].
const LISTED: &str = "
    SELECT w.id, w.team, w.name, w.kind, w.conditions, w.source, w.enabled, w.note, w.runbook_url,
           concat_ws(' ', w.prefix::text, host(w.address), 'AS' || w.asn, 'peer ' || host(w.peer_address),
                     CASE w.kind WHEN 'router' THEN w.router_id ELSE 'at ' || w.router_id END,
                     'table ' || w.table_name) AS target,
           COALESCE(c.holding, 0) AS holding, COALESCE(i.incidents, 0) AS incidents, to_json(w)::text AS json
    FROM watch.watches w
    LEFT JOIN (SELECT watch_id, count(*) AS holding FROM watch.conditions GROUP BY watch_id) AS c ON c.watch_id = w.id
    LEFT JOIN (SELECT watch_id, count(*) AS incidents FROM watch.incidents WHERE state <> 'closed' GROUP BY watch_id) AS i
        ON i.watch_id = w.id";

fn read(row: &Row) -> ListedWatch {
    ListedWatch {
        id: WatchId(row.get("id")),
        team: row.get("team"),
        name: row.get("name"),
        kind: row.get("kind"),
        target: row.get("target"),
        conditions: row.get("conditions"),
        source: row.get("source"),
        enabled: row.get("enabled"),
        note: row.get("note"),
        runbook_url: row.get("runbook_url"),
        holding: row.get("holding"),
        incidents: row.get("incidents"),
        json: row.get("json"),
    }
}

/// Returns all watches by team and name.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn all(client: &mut Client) -> Result<Vec<ListedWatch>> {
    let rows = client.query_typed(&format!("{LISTED} ORDER BY w.team NULLS FIRST, w.name"), &[])?;
    Ok(rows.iter().map(read).collect())
}

/// Returns one page of the watches whose name, target or team contains `find`, those with open incidents first, and the
/// number of all of them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn page(client: &mut Client, find: &str, slice: Slice) -> Result<(Vec<ListedWatch>, i64)> {
    let sql = format!(
        "WITH found AS ({LISTED}), matching AS (
             SELECT * FROM found WHERE $1 = '' OR strpos(lower(concat_ws(' ', team, name, target, kind, source)), lower($1)) > 0),
         total AS (SELECT count(*) AS total FROM matching)
         SELECT matching.*, total.total FROM matching, total
         ORDER BY incidents > 0 DESC, holding > 0 DESC, team NULLS FIRST, name
         LIMIT $2 OFFSET LEAST($3, GREATEST(0, ((SELECT total FROM total) - 1) / $2)) * $2"
    );
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&find, Type::TEXT), (&slice.size, Type::INT8), (&slice.page, Type::INT8)];
    let rows = client.query_typed(&sql, &parameters)?;
    Ok((rows.iter().map(read).collect(), rows.first().map_or(0, |row| row.get("total"))))
}

/// Returns one watch by its name.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn named(client: &mut Client, team: Option<&str>, name: &str) -> Result<Option<ListedWatch>> {
    let row = client.query_typed_opt(
        &format!("{LISTED} WHERE w.team IS NOT DISTINCT FROM $1 AND w.name = $2"),
        &[(&team, Type::TEXT), (&name, Type::TEXT)],
    )?;
    Ok(row.as_ref().map(read))
}

/// Returns one watch by its number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn numbered(client: &mut Client, id: WatchId) -> Result<Option<ListedWatch>> {
    let row = client.query_typed_opt(&format!("{LISTED} WHERE w.id = $1"), &[(&id.0, Type::INT8)])?;
    Ok(row.as_ref().map(read))
}

/// Returns the full names of all watches, for hints.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn names(client: &mut Client, team: Option<&str>) -> Result<Vec<String>> {
    let rows = client.query_typed(
        "SELECT name FROM watch.watches WHERE team IS NOT DISTINCT FROM $1 ORDER BY name LIMIT 10000",
        &[(&team, Type::TEXT)],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A condition that holds at a vantage.
#[derive(Clone, Debug)]
pub struct HeldCondition {
    /// The router.
    pub router_id: String,
    /// Its host name.
    pub hostname: Option<String>,
    /// Its table.
    pub table_name: Option<String>,
    /// The condition.
    pub condition: String,
    /// Its subject, where one watch can have several.
    pub subject: String,
    /// Since when it holds.
    pub since: Timestamp,
    /// The findings, a JSON object.
    pub detail: String,
}

/// Returns at most `limit` conditions of a watch, the longest ones first.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn conditions(client: &mut Client, id: WatchId, limit: i64) -> Result<Vec<HeldCondition>> {
    let rows = client.query_typed(
        "SELECT c.router_id, r.hostname, c.table_name, c.condition, c.subject, c.since, c.detail::text AS detail
         FROM watch.conditions c LEFT JOIN routers r USING (router_id)
         WHERE c.watch_id = $1 ORDER BY c.since, c.condition, c.subject, c.vantage LIMIT $2",
        &[(&id.0, Type::INT8), (&limit, Type::INT8)],
    )?;
    let conditions = rows.iter().map(|row| {
        Ok(HeldCondition {
            router_id: row.get("router_id"),
            hostname: row.get("hostname"),
            table_name: row.get("table_name"),
            condition: row.get("condition"),
            subject: row.get("subject"),
            since: read_time(row.get("since"))?,
            detail: row.get("detail"),
        })
    });
    conditions.collect()
}
