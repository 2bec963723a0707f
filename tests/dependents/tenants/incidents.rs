//! From a router's socket to what a team sees and is told.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::Command;
use std::time::Duration;

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;

use super::scene::{Scene, block, rows};
use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::receiver::Receiver;

fn announce(path: &[u32]) -> Vec<u8> {
    let update = bmp::announce(&Attributes::path(path), "192.0.2.1", &["198.51.100.0/24"]);
    bmp::route_monitoring(Peer::loc_rib("10.255.0.1"), &update)
}

fn withdraw() -> Vec<u8> {
    bmp::route_monitoring(Peer::loc_rib("10.255.0.1"), &bmp::withdraw(&["198.51.100.0/24"]))
}

fn router(ingester: &Ingester) -> FakeRouter {
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")))
        .send(&announce(&[64_500, 64_496]))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    router
}

/// What a command prints, run as a role.
fn command(url: &str, arguments: &[&str]) -> String {
    let mut run = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output = run.args(arguments).env_clear().env("RIB_INGESTER_DATABASE_URL", url).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const INCIDENTS: &str = "SELECT state, severity, title, text FROM tenant.own_incidents";

#[test]
fn a_team_follows_an_incident_through_its_states() {
    let scene = Scene::new();
    let (mut owner, mut blue, mut green) = (scene.owner(), scene.as_role("t1"), scene.as_role("t2"));
    let (receiver, of_others) = (Receiver::start(), Receiver::start());
    rows(&mut green, "LISTEN rib_incident");
    // The worked example of the page, with a receiver that there is.
    let example = block("tenants.md", "INSERT INTO tenant.own_domains")
        .replace("https://noc.blue.example/hook", &receiver.url("/"));
    rows(&mut blue, &example);
    rows(&mut blue, "UPDATE tenant.own_resources SET is_watched = false");
    let other = format!(
        "SELECT watch.set_callback('all', 'generic', '{0}', callback_conditions => '{{default_only}}')",
        of_others.url("/")
    );
    rows(&mut blue, &other);
    rows(&mut green, &other.replace("default_only", "missing"));
    let mut ingester =
        Ingester::start(&scene.url("rib_ingester"), &[("SITE", "lab"), ("CALLBACK_ALLOW", "127.0.0.0/8")]);
    let mut router = router(&ingester);
    let states = block("tenants.md", "SELECT name, content, state");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tenants.md")).unwrap();
    let shown =
        page.split(&states).nth(1).and_then(|after| after.split("```text\n").nth(1)?.split("\n```").next()).unwrap();
    eventually_equal(shown.lines().map(str::to_owned).collect::<Vec<_>>(), || rows(&mut blue, &states));
    assert_eq!(
        rows(&mut blue, "SELECT name, kind, address, expected_origins, source, note FROM tenant.watches()"),
        ["address 198.51.100.10|address|198.51.100.10|{64496}|tenant|www.blue.example"]
    );
    // What an operator sets on such a watch stays.
    owner
        .batch_execute(
            "UPDATE watch.watches SET open_after_secs = 0, settle_secs = 0, close_after_secs = 3, severity = 'critical' WHERE team = 'blue'",
        )
        .unwrap();
    eventually("the route is watched", || (rows(&mut owner, "SELECT count(*) FROM watch.seen") == ["1"]).then_some(()));
    router.send(&announce(&[64_500, 64_501, 64_496]));
    router.send(&withdraw());
    follow(&mut blue, &mut router);
    let received = receiver.wait_for(3);
    let events: Vec<_> = received.iter().map(|one| one.json()["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events, ["opened", "acknowledged", "closed"]);
    for one in &received {
        assert!(one.is_signed_with("shared-secret"));
        assert_eq!(one.json()["incident"]["team"], "blue");
    }
    assert_eq!(received[1].json()["who"], "t1");
    assert_eq!((receiver.received().len(), of_others.received().len()), (3, 0));
    numbers(&mut blue);
    // Another team hears that something happened, and not what.
    let heard: Vec<String> = green
        .notifications()
        .timeout_iter(Duration::from_millis(100))
        .map(|notification| Ok(notification.payload().to_owned()))
        .collect()
        .unwrap();
    assert!(heard.len() >= 2, "{heard:?}");
    for payload in &heard {
        let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
        assert_eq!(payload.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "state"]);
    }
    assert_eq!(rows(&mut green, "SELECT count(*) FROM tenant.own_incidents"), ["0"]);
    shown_to_operators(&scene, &mut ingester);
    assert_eq!(ingester.count_logged("not kept up to date"), 0);
    assert!(ingester.stop().success());
}

/// The four states, and edits that nothing overwrites.
fn follow(blue: &mut Client, router: &mut FakeRouter) {
    let state = |blue: &mut Client, wanted: &str| {
        eventually(&format!("it is {wanted}"), || {
            rows(blue, INCIDENTS).first().filter(|row| row.starts_with(wanted)).cloned()
        })
    };
    let opened = state(blue, "investigating");
    assert!(opened.starts_with("investigating|critical|www.blue.example: GONE 198.51.100.10"), "{opened}");
    rows(blue, "UPDATE tenant.own_incidents SET title = 'Shop is away', text = 'We are on it.'");
    assert_eq!(rows(blue, "SELECT tenant.acknowledge(id) FROM tenant.own_incidents"), ["t"]);
    assert_eq!(state(blue, "identified"), "identified|critical|Shop is away|We are on it.");
    assert_eq!(rows(blue, "SELECT acknowledged_by, edited_by FROM tenant.own_incidents"), ["t1|t1"]);
    assert_eq!(rows(blue, "SELECT incidents FROM tenant.overview()"), ["1"]);
    router.send(&announce(&[64_500, 64_496]));
    state(blue, "monitoring");
    assert_eq!(state(blue, "resolved"), "resolved|critical|Shop is away|We are on it.");
    let summary = rows(blue, "SELECT summary, resolved_at IS NOT NULL, acknowledge_asked_by FROM tenant.own_incidents");
    assert!(summary.len() == 1 && summary[0].starts_with("OVER after ") && summary[0].ends_with("|t|-"), "{summary:?}");
}

fn numbers(blue: &mut Client) {
    let counted = "SELECT domain_id IS NULL, width, sum(announcements), sum(withdrawals), sum(path_changes), bool_and(has_history)
                   FROM tenant.own_analytics_data GROUP BY 1, 2 ORDER BY 1, 2";
    let want = ["f|hour|3|1|1|t", "f|minute|3|1|1|t", "t|hour|3|1|1|t", "t|minute|3|1|1|t"];
    eventually_equal(want.map(str::to_owned).to_vec(), || rows(blue, counted));
    let away = "SELECT sum(unreachable_secs) FILTER (WHERE width = 'minute') > 0,
                       sum(unreachable_secs) FILTER (WHERE width = 'minute') = sum(unreachable_secs) FILTER (WHERE width = 'hour')
                FROM tenant.own_analytics_data WHERE domain_id = 'd1'";
    eventually_equal(vec!["t|t".to_owned()], || rows(blue, away));
    assert_eq!(
        rows(blue, "SELECT router, prefix, as_path, origin_asn FROM tenant.lookup('198.51.100.10')"),
        ["edge1|198.51.100.0/24|64500 64496|64496"]
    );
    assert_eq!(
        rows(blue, "SELECT action, as_path, rib FROM tenant.history('198.51.100.0/24')"),
        ["A|64500 64496|loc-rib", "D|-|loc-rib", "A|64500 64501 64496|loc-rib", "A|64500 64496|loc-rib"]
    );
}

fn shown_to_operators(scene: &Scene, ingester: &mut Ingester) {
    let url = scene.url("rib_reader");
    let list = command(&url, &["tenants"]);
    assert!(list.contains("blue") && list.contains("Blue Hosting") && list.contains("green"), "{list}");
    let one = command(&url, &["tenants", "Blue Hosting"]);
    for text in ["198.51.100.0/24", "AS64496", "Shop is away", "not_permitted", "192.0.2.1", "path changes"] {
        assert!(one.contains(text), "{text}: {one}");
    }
    let json: serde_json::Value = serde_json::from_str(&command(&url, &["tenants", "blue", "--json"])).unwrap();
    assert_eq!(json["incidents"][0]["state"], "resolved");
    assert_eq!(json["resources"][0]["announced"], 1);
    assert_eq!(json["last_day"][0]["withdrawals"], 1);
    let (status, _, body) = ingester.get("/tenants");
    assert!(status == 200 && body.contains("Blue Hosting"), "{body}");
    let (status, _, body) = ingester.get("/tenants?id=blue");
    assert!(status == 200 && body.contains("Shop is away") && body.contains("not permitted"), "{body}");
    assert_eq!(ingester.get("/tenants?id=nobody").0, 404);
}

/// An incident that the evaluator might have written, of the team `blue`.
fn incident(key: &str, condition: &str, severity: &str, state: &str, more: &str) -> String {
    format!(
        "INSERT INTO watch.incidents (team, cause_key, watch_id, condition, severity, state, opened_at, cause_at, affected, known, summary, {columns})
         SELECT team, '{key}', id, '{condition}', '{severity}', '{state}', now(), now() - interval '10 seconds', 1, 1, '{key}', {more}
         FROM watch.watches WHERE name = 'address 198.51.100.10';",
        columns = match state {
            "closed" => "closed_at",
            _ => "over_since",
        }
    )
}

#[test]
fn states_and_severities_of_teams_incidents() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO tenant.teams (id, name, max_watches) VALUES ('blue', 'Blue', 2), ('green', 'Green', 2);
             INSERT INTO tenant.resources (team_id, prefix, origin_asn)
             VALUES ('blue', '198.51.100.0/24', 64496), ('blue', '198.51.100.0/24', 64497), ('blue', '2001:db8:1::/48', NULL);
             INSERT INTO tenant.domains (team_id, id, hostname) VALUES ('blue', 'd1', 'Blue.example'), ('blue', 'd2', 'other.example');
             INSERT INTO tenant.dns_records (team_id, id, domain_id, type, name, content, created_at) VALUES
             ('blue', '1', 'd1', 'A', '@', '198.51.100.10', '2026-01-01'), ('blue', '2', 'd1', 'AAAA', 'www', '2001:db8:1::1', '2026-01-02'),
             ('blue', '3', 'd1', 'A', 'more', '198.51.100.11', '2026-01-03'), ('blue', '4', 'd1', 'A', 'far', '192.0.2.1', now()),
             ('blue', '5', 'd2', 'CNAME', '@', 'a.other.example.', now()), ('blue', '6', 'd2', 'CNAME', 'a', 'WWW.blue.example', now()),
             ('blue', '7', 'd2', 'CNAME', 'b', 'example.net', now()), ('blue', '8', 'd2', 'CNAME', 'loop', 'loop.other.example', now()),
             ('blue', '9', 'd2', 'MX', '@', 'mail.example.net', now())",
        )
        .unwrap();
    // Another process evaluates, as it seems: the incidents are the test's.
    let mut evaluator = db.client();
    evaluator.batch_execute("SELECT pg_try_advisory_lock(hashtext('rib_watch'))").unwrap();
    let ingester = Ingester::start(&db.url(), &[]);
    let records = "SELECT r.id, r.state, string_agg(host(a.address) || COALESCE(' ' || w.name, ''), ',') FROM tenant.dns_records r
        LEFT JOIN tenant.record_addresses a ON a.record_id = r.id LEFT JOIN watch.watches w ON w.id = a.watch_id GROUP BY r.id, r.state ORDER BY 1";
    let want = [
        "1|watched|198.51.100.10 address 198.51.100.10",
        "2|watched|2001:db8:1::1 address 2001:db8:1::1",
        "3|over_limit|198.51.100.11",
        "4|not_permitted|192.0.2.1",
        "5|watched|2001:db8:1::1 address 2001:db8:1::1",
        "6|watched|2001:db8:1::1 address 2001:db8:1::1",
        "7|unresolved|-",
        "8|unresolved|-",
        "9|not_followed|-",
    ];
    eventually_equal(want.map(str::to_owned).to_vec(), || db.rows(records));
    let watches = "SELECT name, expected_origins FROM watch.watches ORDER BY name";
    assert_eq!(
        db.rows(watches),
        [
            "address 198.51.100.10|{64496,64497}",
            "address 2001:db8:1::1|-",
            "resource 198.51.100.0-24|{64496,64497}",
            "resource 2001:db8:1::-48|-"
        ]
    );
    severities(&db, &mut client);
    ages(&db, &mut client);
    // What goes takes its watches along; so does the team, with everything else.
    client
        .batch_execute("DELETE FROM tenant.dns_records WHERE id = '2'; UPDATE tenant.resources SET is_watched = false")
        .unwrap();
    eventually_equal(
        vec!["address 198.51.100.10|{64496,64497}".to_owned(), "address 198.51.100.11|{64496,64497}".to_owned()],
        || db.rows(watches),
    );
    let mut other = db.client();
    other.batch_execute("DELETE FROM tenant.record_addresses").unwrap();
    client.batch_execute("BEGIN; DELETE FROM tenant.teams WHERE id = 'blue'").unwrap();
    // A round is at work on the team, and stores an address of a record that goes.
    other.batch_execute("INSERT INTO tenant.changes (team_id) VALUES ('blue')").unwrap();
    let waits =
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually_equal(vec!["t".to_owned()], || db.rows(waits));
    client.batch_execute("COMMIT").unwrap();
    let left = "SELECT (SELECT count(*) FROM watch.watches), (SELECT count(*) FROM tenant.changes)";
    eventually_equal(vec!["0|0".to_owned()], || db.rows(left));
    assert_eq!(ingester.count_logged("not kept up to date"), 0);
}

fn severities(db: &TestDb, client: &mut Client) {
    let cases = [
        ("1", "origin", "critical", "open", "NULL", "investigating|critical"),
        ("2", "origin", "error", "acknowledged", "NULL", "identified|critical"),
        ("3", "missing", "warning", "open", "NULL", "investigating|major"),
        ("4", "default_only", "warning", "snoozed", "NULL", "identified|minor"),
        ("5", "origin", "info", "open", "NULL", "investigating|minor"),
        ("6", "origin", "warning", "acknowledged", "now()", "monitoring|minor"),
        ("7", "origin", "critical", "closed", "now()", "resolved|critical"),
    ];
    let mut script: String = cases.iter().map(|case| incident(case.0, case.1, case.2, case.3, case.4)).collect();
    script.push_str(
        "INSERT INTO watch.conditions (team, watch_id, vantage, router_id, condition, since)
         SELECT team, id, 'edge1/global', 'edge1', 'missing', now() FROM watch.watches WHERE name = 'address 198.51.100.10';
         INSERT INTO watch.incident_events (team, incident_id, event, severity, state, affected, known, summary, is_told)
         SELECT team, id, 'opened', severity, state, 1, 1, summary, false FROM watch.incidents",
    );
    client.batch_execute(&format!("BEGIN; {script}; COMMIT")).unwrap();
    let shown = "SELECT summary, state, severity FROM tenant.incidents WHERE domain_id = 'd1' ORDER BY summary";
    let want: Vec<String> = cases.iter().map(|case| format!("{}|{}", case.0, case.5)).collect();
    eventually_equal(want, || db.rows(shown));
    // A default route is left.
    client
        .batch_execute(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path) VALUES ('edge1', 'global', 4, '0.0.0.0/0', '64500')",
        )
        .unwrap();
    eventually_equal(vec!["minor".to_owned()], || db.rows("SELECT severity FROM tenant.incidents WHERE summary = '3'"));
    // Without history nothing is counted but the time without a route.
    client
        .batch_execute(
            "INSERT INTO bmp_sessions (router_id, collector_id, state) SELECT 'edge1', collector_id, 'up' FROM collectors;
             INSERT INTO session_events (router_id, kind) VALUES ('edge1', 'history_off')",
        )
        .unwrap();
    let counted =
        "SELECT bool_or(has_history), sum(announcements), sum(unreachable_secs) >= 10 FROM tenant.analytics_data
                   WHERE domain_id = 'd1' AND width = 'minute'";
    eventually_equal(vec!["f|0|t".to_owned()], || db.rows(counted));
}

/// Numbers go by age, however many there are; so do incidents that nobody has edited.
fn ages(db: &TestDb, client: &mut Client) {
    client
        .batch_execute(
            "INSERT INTO tenant.analytics_data (team_id, domain_id, bucket, width)
             SELECT 'blue', 'd1', now() - interval '8 days' - i * interval '1 minute', 'minute' FROM generate_series(1, 25000) AS i
             UNION ALL
             SELECT 'blue', 'd1', now() - age, width
             FROM (VALUES (interval '7 days 1 minute', 'minute'), ('6 days 23 hours', 'minute'), ('400 days 1 hour', 'hour'),
                          ('399 days 23 hours', 'hour')) AS one (age, width);
             INSERT INTO tenant.incidents (team_id, severity, state, title, opened_at, resolved_at, edited_at)
             SELECT 'blue', 'minor', 'resolved', title, now() - interval '500 days', now() - age, edited
             FROM (VALUES ('old', interval '401 days', NULL), ('edited', '401 days', now()), ('young', '399 days', NULL))
                  AS one (title, age, edited);
             UPDATE tenant.progress SET forgotten_at = '-infinity'",
        )
        .unwrap();
    let left = "SELECT width, count(*)::TEXT FROM tenant.analytics_data WHERE bucket < now() - interval '6 days' GROUP BY 1
                UNION ALL SELECT title, state FROM tenant.incidents WHERE opened_at < now() - interval '499 days' ORDER BY 1";
    let want = ["edited|resolved", "hour|1", "minute|1", "young|resolved"];
    eventually_equal(want.map(str::to_owned).to_vec(), || db.rows(left));
}
