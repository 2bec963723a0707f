//! Incidents as the evaluator writes them, for tests of what comes after.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use postgres::Client;
use rib_ingester::store::watch::deliveries;

/// Writes an event of the incident with this key, which is made if none is open, and its deliveries. Returns the
/// number of the event.
pub fn event(client: &mut Client, key: &str, event: &str, severity: &str) -> i64 {
    let summary = if event == "closed" { format!("OVER {key}") } else { format!("GONE {key}") };
    let (state, condition) = match event {
        "closed" => ("closed", key.rsplit('/').next().unwrap()),
        "acknowledged" => ("acknowledged", key.rsplit('/').next().unwrap()),
        _ => ("open", key.rsplit('/').next().unwrap()),
    };
    // lab/blue:w/missing is an incident of the team blue.
    let team = key.split('/').nth(1).and_then(|watch| watch.split_once(':')).map(|(team, _)| team);
    let mut transaction = client.transaction().unwrap();
    let found = transaction
        .query_opt("SELECT id FROM watch.incidents WHERE cause_key = $1 AND state <> 'closed'", &[&key])
        .unwrap()
        .map(|row| row.get::<_, i64>(0));
    let incident = found.unwrap_or_else(|| {
        let sql = "INSERT INTO watch.incidents (team, cause_key, condition, severity, state, opened_at, cause_at, affected, known,
                       is_baseline, summary, detail)
                   VALUES ($5, $1, $2, $3, 'open', now(), now() - interval '1 minute', 1, 2, false, $4, '{\"a\": null}') RETURNING id";
        transaction.query_one(sql, &[&key, &condition, &severity, &summary, &team]).unwrap().get(0)
    });
    let sql = "UPDATE watch.incidents SET state = $2, severity = $3, summary = $4, closed_at = CASE $2 WHEN 'closed' THEN now() END
               WHERE id = $1";
    transaction.execute(sql, &[&incident, &state, &severity, &summary]).unwrap();
    let sql =
        "INSERT INTO watch.incident_events (team, incident_id, event, severity, state, affected, known, summary, is_told)
               VALUES ($6, $1, $2, $3, $4, 1, 2, $5, true) RETURNING id";
    let id: i64 = transaction.query_one(sql, &[&incident, &event, &severity, &state, &summary, &team]).unwrap().get(0);
    deliveries::insert(&mut transaction, &[id]).unwrap();
    transaction.commit().unwrap();
    id
}
