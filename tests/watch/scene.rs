//! Callbacks, and a collector that tells them of incidents that the tests write.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use postgres::Client;

use crate::common::ingester::Ingester;
use crate::common::pg::TestDb;
use crate::common::receiver::Received;

/// Stores a callback; `more` are further columns and their values.
pub fn callback(client: &mut Client, name: &str, format: &str, url: &str, more: &[(&str, &str)]) {
    let columns: String = more.iter().map(|(column, _)| format!(", {column}")).collect();
    let values: String = more.iter().map(|(_, value)| format!(", {value}")).collect();
    let sql = format!(
        "INSERT INTO watch.callbacks (name, format, url{columns}) VALUES ('{name}', '{format}', '{url}'{values})"
    );
    client.batch_execute(&sql).unwrap();
}

pub fn secret(client: &mut Client, name: &str, secret: &str) {
    let sql = "INSERT INTO watch.callback_secrets SELECT id, $2 FROM watch.callbacks WHERE name = $1";
    client.execute(sql, &[&name, &secret]).unwrap();
}

/// The states of the deliveries to a callback, in order.
pub fn states(db: &TestDb, name: &str) -> Vec<String> {
    db.rows(&format!(
        "SELECT d.subject, d.state FROM watch.deliveries d JOIN watch.callbacks c ON c.id = d.callback_id
         WHERE c.name = '{name}' ORDER BY d.id"
    ))
}

/// Ends the pauses, so that no test waits for them.
pub fn try_now(client: &mut Client) {
    client
        .batch_execute(
            "UPDATE watch.callbacks SET paused_until = NULL;
             UPDATE watch.deliveries SET next_try_at = now() WHERE state = 'pending'",
        )
        .unwrap();
}

/// Starts a collector that evaluates nothing: the tests write the incidents. It believes that another process
/// evaluates, because the lock of the evaluator is taken, until the database is dropped.
pub fn start(db: &TestDb, settings: &[(&str, &str)]) -> Ingester {
    let mut evaluator = db.client();
    evaluator.batch_execute("SELECT pg_try_advisory_lock(hashtext('rib_watch'))").unwrap();
    Box::leak(Box::new(evaluator));
    Ingester::start(&db.url(), settings)
}

/// The key and the event of a request.
pub fn told(request: &Received) -> (String, String) {
    let body = request.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&body["incident"]["key"]), text(&body["event"]))
}
