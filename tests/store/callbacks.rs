//! Callbacks and their deliveries: who is told of what, once; and that nobody but the owner sees a secret.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use postgres::NoTls;
use rib_ingester::store::watch::{callbacks, deliveries};

use crate::common::incidents::event;
use crate::common::pg::TestDb;
use crate::common::server::Server;

const TOLD: &str =
    "SELECT c.name, d.subject, d.ordering_key FROM watch.deliveries d JOIN watch.callbacks c ON c.id = d.callback_id
                    ORDER BY d.id";

#[test]
fn events_go_to_callbacks_that_ask_for_them() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO watch.callbacks (name, format, url, min_severity, conditions, enabled, team) VALUES
                 ('all', 'generic', 'https://a.example/', 'info', NULL, true, NULL),
                 ('critical', 'generic', 'https://a.example/', 'critical', NULL, true, NULL),
                 ('origin', 'generic', 'https://a.example/', 'info', '{origin}', true, NULL),
                 ('off', 'generic', 'https://a.example/', 'info', NULL, false, NULL),
                 ('beat', 'heartbeat', 'https://a.example/', 'info', NULL, true, NULL),
                 ('theirs', 'generic', 'https://a.example/', 'info', NULL, true, 'blue')",
        )
        .unwrap();
    event(&mut client, "s/w/missing", "opened", "warning");
    assert_eq!(db.rows(TOLD), ["all|opened|s/w/missing"]);
    // Once it is told of an incident, it is told of its end, whatever the severity is then.
    event(&mut client, "s/w/missing", "worse", "critical");
    event(&mut client, "s/w/missing", "closed", "warning");
    assert_eq!(
        db.rows(TOLD)[1..],
        [
            "all|worse|s/w/missing",
            "critical|worse|s/w/missing",
            "all|closed|s/w/missing",
            "critical|closed|s/w/missing"
        ]
    );
    // The end of something that a callback was never told of is not told.
    client.batch_execute("UPDATE watch.callbacks SET enabled = false").unwrap();
    event(&mut client, "s/x/missing", "opened", "warning");
    client.batch_execute("UPDATE watch.callbacks SET enabled = true").unwrap();
    event(&mut client, "s/x/missing", "closed", "warning");
    assert_eq!(db.rows(TOLD).len(), 5);
    let body = db.rows("SELECT body #>> '{incident,first_severity}', body ? 'watch', body -> 'found' FROM watch.deliveries WHERE subject = 'closed'");
    assert_eq!(body, ["warning|f|{\"a\": null}", "warning|f|{\"a\": null}"]);
}

#[test]
fn an_event_goes_to_a_callback_once() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute("INSERT INTO watch.callbacks (name, format, url) VALUES ('a', 'generic', 'https://a.example/')")
        .unwrap();
    let id = event(&mut client, "s/w/missing", "opened", "critical");
    let mut transaction = client.transaction().unwrap();
    assert_eq!(deliveries::insert(&mut transaction, &[id]).unwrap(), 0);
    transaction.commit().unwrap();
    // What is rolled back was never on its way.
    let mut transaction = client.transaction().unwrap();
    transaction.execute("DELETE FROM watch.deliveries", &[]).unwrap();
    assert_eq!(deliveries::insert(&mut transaction, &[id]).unwrap(), 1);
    transaction.rollback().unwrap();
    assert_eq!(db.rows("SELECT count(*), min(state) FROM watch.deliveries"), ["1|pending"]);
}

#[test]
fn wrong_callbacks_are_refused_without_their_secrets() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let mut check = |columns: &str, values: &str, sentence: &str| {
        let sql = format!("INSERT INTO watch.callbacks (name, format, {columns}) VALUES ('a', 'slack', {values})");
        let error = client.batch_execute(&sql).unwrap_err();
        let error = error.as_db_error().unwrap();
        let text = format!("{} {:?} {:?}", error.message(), error.detail(), error.where_());
        assert!(text.contains(sentence) && !text.contains("hunter2"), "{text}");
    };
    check("url", "'https://me:hunter2@a.example/'", "without a user");
    check("url", "'ftp://a.example/hunter2'", "must be http");
    check("url", "NULL", "must be http");
    check("url", "'https://a.example/hunter2 https://b.example/hunter2'", "several URLs");
    check("url, url_end", "'https://a.example/hunter2', 'https://b.example/hunter2'", "url_end");
    check("url, headers", "'https://a.example/hunter2', '{\"Authorization\": \"hunter2\\r\\nX: y\"}'", "headers");
    check("url, headers", "'https://a.example/hunter2', '{\"Host\": \"hunter2\"}'", "headers");
    check("url, headers", "'https://a.example/hunter2', '[\"hunter2\"]'", "headers");
    check("url, time_zone", "'https://a.example/hunter2', 'Mars'", "time zone \"Mars\" is unknown");
    check("url, repeat_secs", "'https://a.example/hunter2', 1", "repeat_secs");
    check("url, min_severity", "'https://a.example/hunter2', 'bad'", "min_severity");
    check("url, max_per_minute", "'https://a.example/hunter2', 0", "max_per_minute");
    check("url, fallback", "'https://a.example/hunter2', 77", "fallback");
}

#[test]
fn a_reader_sees_no_secret_whatever_is_granted() {
    let server = Server::start("", &[]);
    let connect = |url: &str| url.parse::<postgres::Config>().unwrap().connect(NoTls).unwrap();
    server.super_script(
        "rib",
        "CREATE ROLE reader LOGIN PASSWORD 'x'; CREATE ROLE blue LOGIN PASSWORD 'x';
         ALTER DEFAULT PRIVILEGES FOR ROLE rib GRANT SELECT ON TABLES TO reader;",
    );
    let mut owner = rib_ingester::store::connect(&server.url, "test").unwrap();
    rib_ingester::store::migrate(&mut owner).unwrap();
    owner
        .batch_execute(
            "INSERT INTO watch.callbacks (name, format, url, headers) VALUES ('a', 'generic', 'https://a.example/hunter2', '{\"X\": \"hunter2\"}');
             INSERT INTO watch.callback_secrets SELECT id, 'hunter2' FROM watch.callbacks;
             INSERT INTO watch.team_roles VALUES ('blue', 'blue');
             GRANT USAGE ON SCHEMA watch TO reader, blue;
             GRANT EXECUTE ON FUNCTION watch.set_callback TO blue",
        )
        .unwrap();
    event(&mut owner, "s/w/missing", "opened", "critical");
    let port = server.port();
    let url = |role: &str| format!("host=127.0.0.1 port={port} dbname=rib user={role} password=x");
    let mut reader = connect(&url("reader"));
    let public = reader.query_one("SELECT name, target, pending FROM watch.callbacks_public", &[]).unwrap();
    assert_eq!(
        (public.get::<_, &str>(0), public.get::<_, &str>(1), public.get::<_, i64>(2)),
        ("a", "https://a.example/…", 1)
    );
    for table in ["callbacks", "callback_secrets", "deliveries", "team_roles"] {
        let sql = format!("SELECT * FROM watch.{table}");
        assert!(reader.query(&sql, &[]).unwrap_err().to_string().contains("db error"), "{table} was revoked");
        // As somebody may who follows the documentation of PostgreSQL and not ours.
        owner.batch_execute(&format!("GRANT ALL ON watch.{table} TO reader")).unwrap();
        assert!(reader.query(&sql, &[]).unwrap().is_empty(), "{table} has rows for a reader");
    }
    assert!(reader.query("SELECT watch.set_callback('x', 'generic', 'https://b.example/')", &[]).is_err());
    let health = callbacks::health(&mut owner).unwrap();
    assert_eq!((health.enabled, health.grantees.as_deref(), health.unprotected), (1, Some("reader"), None));

    let mut blue = connect(&url("blue"));
    let set = "SELECT watch.set_callback('x', 'generic', 'https://b.example/hunter3', 'sé\"cret')";
    let id: i64 = blue.query_one(set, &[]).unwrap().get(0);
    assert_eq!(blue.query_one(set, &[]).unwrap().get::<_, i64>(0), id);
    assert!(blue.query("SELECT * FROM watch.callbacks", &[]).is_err());
    let stored = owner.query_one("SELECT team, secret FROM watch.callbacks c JOIN watch.callback_secrets s ON s.callback_id = c.id WHERE c.id = $1", &[&id]).unwrap();
    assert_eq!((stored.get::<_, &str>(0), stored.get::<_, &str>(1)), ("blue", "sé\"cret"));
    // A team cannot touch the operator's.
    blue.query("SELECT watch.set_callback('a', 'generic', NULL)", &[]).unwrap();
    let left: i64 =
        owner.query_one("SELECT count(*) FROM watch.callbacks WHERE name = 'a' AND team IS NULL", &[]).unwrap().get(0);
    assert_eq!(left, 1);
}
