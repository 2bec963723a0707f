//! The tables of tenants, the exports of document stores, and the list of teams as CSV.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::names::is_same;
use super::source::{SourceRow, SourceTable};
use super::{Schema, Table};

/// The schema `tenant`.
pub(crate) const SCHEMA: Schema = Schema {
    name: "tenant",
    tables: &[
        Table { name: "teams", sources: &["team"], renamed: &[], left_out: &["v"] },
        Table {
            name: "users",
            sources: &["user"],
            renamed: &[("username", "name")],
            left_out: &[
                "v",
                "teams",
                "password",
                "passwordHash",
                "token",
                "tokens",
                "accessToken",
                "refreshToken",
                "apiKey",
                "apiKeys",
                "sessions",
                "twoFactorSecret",
            ],
        },
        Table {
            name: "members",
            sources: &["team_members", "memberships"],
            renamed: &[("team", "team_id"), ("user", "user_id")],
            left_out: &["v"],
        },
        Table {
            name: "domains",
            sources: &["domain"],
            renamed: &[
                ("team", "team_id"),
                ("name", "hostname"),
                ("domain", "hostname"),
                ("tlsStatus", "tls_state"),
                ("sslStatus", "tls_state"),
                ("verified", "is_verified"),
                ("wafStatus", "waf_state"),
            ],
            left_out: &["v", "certificate", "privateKey"],
        },
        Table {
            name: "dns_records",
            sources: &["dns_record", "records"],
            renamed: &[("team", "team_id"), ("domain", "domain_id"), ("value", "content")],
            left_out: &["v", "state", "address"],
        },
        Table {
            name: "proxy_configs",
            sources: &["proxy_config"],
            renamed: &[("team", "team_id"), ("domain", "domain_id")],
            left_out: &["v"],
        },
        Table {
            name: "alerts",
            sources: &["alert"],
            renamed: &[("team", "team_id"), ("domain", "domain_id")],
            left_out: &["v"],
        },
        Table { name: "resources", sources: &["resource"], renamed: &[("team", "team_id")], left_out: &[] },
        Table {
            name: "incidents",
            sources: &["incident"],
            renamed: &[
                ("team", "team_id"),
                ("domain", "domain_id"),
                ("status", "state"),
                ("description", "text"),
                ("startedAt", "opened_at"),
            ],
            // Only the collector says which of its incidents a row is about.
            left_out: &["v", "incident_id", "resource_id", "condition", "acknowledge_asked_by"],
        },
    ],
    left_out: &[
        "analytics_data",
        "analyticsdatas",
        "sessions",
        "tokens",
        "invites",
        "changes",
        "progress",
        "record_addresses",
    ],
};

/// Tables whose rows have the team of their domain.
const BELOW_DOMAINS: [&str; 4] = ["dns_records", "proxy_configs", "alerts", "incidents"];

/// Columns of a proxy configuration that are not part of it.
const NOT_CONFIG: [&str; 9] =
    ["id", "v", "team", "team_id", "domain", "domain_id", "config", "created_at", "updated_at"];

/// Brings the forms that sources have to tables of rows.
///
/// # Errors
/// A sentence, when a list of teams has a value that cannot be read.
pub(crate) fn prepare(sources: Vec<SourceTable>) -> Result<Vec<SourceTable>, String> {
    let mut tables = Vec::new();
    for mut source in sources {
        for row in &mut source.rows {
            row.values =
                std::mem::take(&mut row.values).into_iter().map(|(name, value)| (name, plain(value))).collect();
        }
        if is_list_of_teams(&source) {
            tables.extend(teams_and_resources(&source)?);
        } else {
            tables.push(source);
        }
    }
    add_members(&mut tables);
    add_teams_of_domains(&mut tables);
    for row in rows_of(&mut tables, "proxy_configs") {
        gather_config(row);
    }
    for row in rows_of(&mut tables, "domains") {
        for (name, value) in &mut row.values {
            if let (true, Value::String(text)) = (is_any(name, &["tls_state", "tlsStatus", "sslStatus"]), value) {
                text.make_ascii_lowercase();
            }
        }
    }
    Ok(tables)
}

/// Returns a value of a document store's extended JSON as the value that it stands for: `{"$oid": "…"}` is the text.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(mut fields) if fields.len() == 1 && fields.keys().all(|name| name.starts_with('$')) => {
            let (name, inner) = std::mem::take(&mut fields).into_iter().next().unwrap_or_default();
            match (name.as_str(), plain(inner)) {
                ("$date", Value::Number(millis)) => {
                    let time = millis.as_i64().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
                    time.map_or(Value::Null, |time| time.to_string().into())
                }
                ("$numberInt" | "$numberLong", Value::String(digits)) => {
                    digits.parse::<i64>().map_or(Value::String(digits), Value::from)
                }
                (_, inner) => inner,
            }
        }
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, plain(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| is_same(known, name))
}

fn get<'a>(row: &'a SourceRow, names: &[&str]) -> Option<&'a Value> {
    row.values.iter().find(|(name, value)| is_any(name, names) && !value.is_null()).map(|(_, value)| value)
}

/// Returns the rows of the tables that are this table of the schema.
fn rows_of<'a>(tables: &'a mut [SourceTable], name: &'a str) -> impl Iterator<Item = &'a mut SourceRow> {
    let is_it = move |table: &&mut SourceTable| SCHEMA.table(&table.name).is_some_and(|known| known.name == name);
    tables.iter_mut().filter(is_it).flat_map(|table| &mut table.rows)
}

fn is_list_of_teams(table: &SourceTable) -> bool {
    let has = |row: &SourceRow, name: &str| row.values.keys().any(|column| is_same(column, name));
    table.rows.first().is_some_and(|row| has(row, "prefixes") && has(row, "team"))
}

/// Makes teams and resources of rows of `asn,prefixes,team,mail`.
fn teams_and_resources(list: &SourceTable) -> Result<[SourceTable; 2], String> {
    let mut teams: BTreeMap<String, SourceRow> = BTreeMap::new();
    let mut resources: BTreeMap<(String, String), SourceRow> = BTreeMap::new();
    for row in &list.rows {
        let text = |name| get(row, &[name]).map(text_of).unwrap_or_default();
        let (team, mail, prefixes) = (text("team"), text("mail"), text("prefixes"));
        let wrong = |why: &str| format!("{}: {}: {why}", list.name, row.place);
        if team.is_empty() {
            return Err(wrong("team: is missing"));
        }
        let asn = match text("asn") {
            asn if asn.is_empty() => None,
            asn => {
                let digits = asn.strip_prefix("AS").or_else(|| asn.strip_prefix("as")).unwrap_or(&asn);
                Some(digits.parse::<u32>().map_err(|_| wrong(&format!("asn: {asn} is not an AS number")))?)
            }
        };
        let of = |values: Vec<(&str, Value)>| SourceRow {
            place: row.place.clone(),
            values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            is_text: false,
        };
        teams
            .entry(team.clone())
            .or_insert_with(|| of(vec![("id", team.as_str().into()), ("name", team.as_str().into())]));
        for prefix in prefixes.split([' ', ';', ',', '|']).filter(|prefix| !prefix.is_empty()) {
            let id = asn.map_or_else(|| prefix.to_owned(), |asn| format!("{prefix} AS{asn}"));
            let values = vec![
                ("team_id", team.as_str().into()),
                ("id", id.as_str().into()),
                ("prefix", prefix.into()),
                ("origin_asn", asn.map_or(Value::Null, Value::from)),
                ("mail", if mail.is_empty() { Value::Null } else { mail.as_str().into() }),
            ];
            resources.entry((team.clone(), id.clone())).or_insert_with(|| of(values));
        }
    }
    Ok([
        SourceTable { name: "teams".to_owned(), rows: teams.into_values().collect() },
        SourceTable { name: "resources".to_owned(), rows: resources.into_values().collect() },
    ])
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned())
}

/// Makes members of the lists of teams that users have.
fn add_members(tables: &mut Vec<SourceTable>) {
    if rows_of(tables, "members").next().is_some() {
        return;
    }
    let mut rows = Vec::new();
    for user in rows_of(tables, "users") {
        let (Some(id), Some(Value::Array(teams))) = (get(user, &["id"]), get(user, &["teams"])) else { continue };
        rows.extend(teams.iter().map(|team| SourceRow {
            place: user.place.clone(),
            values: [("team_id".to_owned(), team.clone()), ("user_id".to_owned(), id.clone())].into_iter().collect(),
            is_text: user.is_text,
        }));
    }
    if !rows.is_empty() {
        tables.push(SourceTable { name: "members".to_owned(), rows });
    }
}

/// Gives rows that name a domain and no team the team of that domain, where the source has it.
fn add_teams_of_domains(tables: &mut [SourceTable]) {
    let mut teams: BTreeMap<String, Value> = BTreeMap::new();
    for domain in rows_of(tables, "domains") {
        if let (Some(id), Some(team)) = (get(domain, &["id"]), get(domain, &["team_id", "team"])) {
            teams.insert(text_of(id), team.clone());
        }
    }
    for name in BELOW_DOMAINS {
        for row in rows_of(tables, name) {
            if get(row, &["team_id", "team"]).is_some() {
                continue;
            }
            let team = get(row, &["domain_id", "domain"]).and_then(|domain| teams.get(&text_of(domain)));
            if let Some(team) = team.cloned() {
                row.values.insert("team_id".to_owned(), team);
            }
        }
    }
}

/// Moves everything that a proxy configuration says into its column `config`, unless it has that already.
fn gather_config(row: &mut SourceRow) {
    if get(row, &["config"]).is_some() {
        return;
    }
    let (known, config): (Map<_, _>, Map<_, _>) =
        std::mem::take(&mut row.values).into_iter().partition(|(name, _)| is_any(name, &NOT_CONFIG));
    row.values = known;
    if !row.is_text {
        row.values.insert("config".to_owned(), config.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::source::read_json;
    use super::*;

    fn values(tables: &[SourceTable], name: &str) -> Value {
        let table = tables.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no {name}"));
        table.rows.iter().map(|row| Value::Object(row.values.clone())).collect()
    }

    #[test]
    fn documents_become_rows_with_their_teams() {
        let source = json!({
            "users": [{"_id": {"$oid": "u1"}, "email": "a@x", "teams": [{"$oid": "t1"}], "password": "x"}],
            "domains": [{"_id": {"$oid": "d1"}, "team": {"$oid": "t1"}, "name": "x.example", "tlsStatus": "Active",
                         "createdAt": {"$date": {"$numberLong": "1795662246000"}}}],
            "dnsrecords": [{"_id": {"$oid": "r1"}, "domainId": {"$oid": "d1"}, "type": "A", "ttl": {"$numberInt": "60"}}],
            "proxyconfigs": [{"_id": {"$oid": "p1"}, "domainId": {"$oid": "d1"}, "waf": {"rules": [1]}, "cache": "strict"}],
        });
        let tables = prepare(read_json(&source.to_string(), None).unwrap()).unwrap();
        assert_eq!(values(&tables, "members"), json!([{"team_id": "t1", "user_id": "u1"}]));
        let domain = &values(&tables, "domains")[0];
        assert_eq!((&domain["tlsStatus"], &domain["createdAt"]), (&json!("active"), &json!("2026-11-26T03:04:06Z")));
        let record = &values(&tables, "dnsrecords")[0];
        assert_eq!((&record["team_id"], &record["ttl"]), (&json!("t1"), &json!(60)));
        let config = &values(&tables, "proxyconfigs")[0];
        assert_eq!(config["config"], json!({"waf": {"rules": [1]}, "cache": "strict"}));
        assert_eq!(config["team_id"], "t1");
    }

    #[test]
    fn a_list_of_teams_names_what_is_wrong() {
        let list = |asn: &str, team: &str| {
            let rows = json!([{"asn": asn, "prefixes": "192.0.2.0/24", "team": team, "mail": ""}]);
            prepare(read_json(&rows.to_string(), Some("list")).unwrap())
        };
        assert_eq!(list("ASX", "blue").unwrap_err(), "list: item 1: asn: ASX is not an AS number");
        assert_eq!(list("1", "").unwrap_err(), "list: item 1: team: is missing");
        assert_eq!(values(&list("", "blue").unwrap(), "resources")[0]["id"], "192.0.2.0/24");
    }
}
