//! The pages of watches and incidents.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::ingester::Ingester;
use crate::common::pg::TestDb;

/// A collector that does not judge: the incidents stay as the test has made them.
fn scene() -> (TestDb, Ingester) {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "INSERT INTO routers (router_id, hostname) VALUES ('10.0.0.1', '<b>edge1');
             INSERT INTO watch.watches (name, kind, prefix, expected_origins, note, runbook_url)
             VALUES ('<i>web', 'prefix', '192.0.2.0/24', '{64496,64497}', '<u>the shop', 'https://example.net/web');
             INSERT INTO watch.watches (name, kind, prefix, conditions) VALUES ('later', 'prefix', '192.0.2.0/25', '{missing,flapping}');
             INSERT INTO watch.watches (name, kind, prefix, conditions, enabled) VALUES ('off', 'prefix', '192.0.2.0/26', '{}', false);
             INSERT INTO watch.conditions (watch_id, vantage, router_id, table_name, condition, subject, since, detail)
             VALUES (1, '10.0.0.1/global', '10.0.0.1', 'global', 'origin', '192.0.2.0/24 AS64511', now(),
                     '{\"path\": \"<s>64500 64511\", \"before_policy\": true}');
             INSERT INTO watch.incidents (cause_key, watch_id, condition, subject, severity, state, opened_at, cause_at, affected,
                                          known, summary)
             VALUES ('a', 1, 'origin', '192.0.2.0/24 AS64511', 'critical', 'open', now(), now(), 3, 4, 'HIJACK? <script>alert(1)</script>'),
                    ('b', NULL, 'session_down', '', 'warning', 'open', now(), now(), 1, 1, 'PEER DOWN');
             INSERT INTO watch.incidents (cause_key, watch_id, condition, severity, state, opened_at, cause_at, affected, known, summary,
                                          parent_id)
             SELECT 'c' || i, 1, 'missing', 'warning', 'open', now(), now(), 1, 1, 'GONE ' || i, 2 FROM generate_series(1, 20) i;
             INSERT INTO watch.incidents (cause_key, condition, severity, state, opened_at, cause_at, closed_at, affected, known, summary)
             SELECT 'd' || i, 'missing', 'warning', 'closed', now() - i * interval '1 min', now(), now(), 1, 1, 'OVER ' || i
             FROM generate_series(1, 250) i;
             INSERT INTO watch.incident_events (incident_id, event, who, note, severity, state, affected, known, summary, is_told)
             VALUES (1, 'opened', NULL, NULL, 'critical', 'open', 3, 4, 'HIJACK?', true),
                    (1, 'acknowledged', '<em>ada', '<q>on it', 'critical', 'acknowledged', 3, 4, 'HIJACK?', false);
             INSERT INTO watch.silences (starts_at, ends_at, router_id, created_by, note)
             VALUES (now(), now() + interval '1 h', '10.0.0.1', 'ada', '<q>new cards')",
        )
        .unwrap();
    let ingester = Ingester::start(&db.url(), &[("WATCH", "off")]);
    (db, ingester)
}

fn page(ingester: &mut Ingester, target: &str) -> String {
    let (status, head, body) = ingester.get(target);
    assert_eq!(status, 200, "{target}: {head}");
    for raw in ["<script", "<b>edge1", "<i>web", "<u>the", "<s>64500", "<em>ada", "<q>"] {
        assert!(!body.contains(raw), "{target} holds {raw}");
    }
    body
}

#[test]
fn open_incidents_are_first_on_the_first_page() {
    let (db, mut ingester) = scene();
    let first = page(&mut ingester, "/");
    let at = |text: &str| first.find(text).unwrap_or_else(|| panic!("no {text}: {first}"));
    assert!(at("HIJACK? &lt;script&gt;") < at("PEER DOWN") && at("PEER DOWN") < at("Routers connected"));
    // Those below a common cause are counted there.
    assert!(first.contains("and 20 incidents below it") && !first.contains("GONE 1"), "{first}");
    assert!(first.contains("href=\"/incidents?id=1\"") && first.contains("href=\"/incidents\""));
    db.client()
        .batch_execute("UPDATE watch.incidents SET state = 'closed', closed_at = now() WHERE state = 'open'")
        .unwrap();
    assert!(!page(&mut ingester, "/").contains("Open incidents"));
}

#[test]
fn incidents_have_a_list_and_a_page_each() {
    let (_db, mut ingester) = scene();
    let list = page(&mut ingester, "/incidents");
    assert!(
        list.contains("HIJACK? &lt;script&gt;") && list.contains(">OVER 1<") && !list.contains(">OVER 101<"),
        "{list}"
    );
    assert!(list.contains("router 10.0.0.1") && list.contains("&lt;q&gt;new cards"), "{list}");
    assert!(page(&mut ingester, "/incidents?page=2").contains(">OVER 101<"));
    assert!(page(&mut ingester, "/incidents?page=4711").contains("page 3 of 3"));
    let one = page(&mut ingester, "/incidents?id=1");
    for text in [
        "192.0.2.0/24 AS64511",
        "3 of 4",
        "&lt;em&gt;ada",
        "&lt;q&gt;on it",
        "https://example.net/web",
        "/watches?id=1",
    ] {
        assert!(one.contains(text), "{text}: {one}");
    }
    let parent = page(&mut ingester, "/incidents?id=2");
    assert!(parent.contains("Incidents of this cause") && parent.contains(">GONE 20<"), "{parent}");
    for id in ["9999", "x", "-1", "%3Cscript%3E"] {
        let (status, _, body) = ingester.browse(&format!("/incidents?id={id}"));
        assert!(status == 404 && !body.contains("<script"), "{id}: {status}");
    }
}

#[test]
fn watches_have_a_list_and_a_page_each() {
    let (db, mut ingester) = scene();
    let list = page(&mut ingester, "/watches");
    assert!(list.contains("&lt;i&gt;web") && list.contains("flapping"), "{list}");
    assert!(list.contains("no collector that is alive evaluates watches"), "{list}");
    // The one with an incident is first.
    assert!(list.find("&lt;i&gt;web").unwrap() < list.find(">later<").unwrap());
    let found = page(&mut ingester, "/watches?find=LATER");
    assert!(found.contains(">later<") && !found.contains("&lt;i&gt;web"), "{found}");
    assert!(page(&mut ingester, "/watches?find=nothing").contains("No watch matches"));
    let one = page(&mut ingester, "/watches?id=1");
    for text in [
        "&lt;u&gt;the shop",
        "64496 64497",
        "path &lt;s&gt;64500 64511",
        "before policy",
        "&lt;b&gt;edge1",
        "HIJACK? &lt;script&gt;",
        "href=\"https://example.net/web\"",
    ] {
        assert!(one.contains(text), "{text}: {one}");
    }
    assert_eq!(ingester.browse("/watches?id=99").0, 404);
    // An expression that SQL let in and nobody can use.
    db.client().batch_execute("UPDATE watch.watches SET path_match = '(64500' WHERE id = 2").unwrap();
    assert!(page(&mut ingester, "/watches").contains("wrong path_match"));
    let one = page(&mut ingester, "/watches?id=2");
    assert!(one.contains("path_match is no regular expression: unclosed group: paths are not judged"), "{one}");
    db.client()
        .batch_execute(
            "INSERT INTO watch.watches (name, kind, prefix)
             SELECT 'n' || i, 'prefix', ('10.' || i / 250 || '.' || i % 250 || '.0/24')::cidr FROM generate_series(1, 5000) i",
        )
        .unwrap();
    let many = page(&mut ingester, "/watches");
    assert!(many.contains("page 1 of 51") && many.len() < 200_000, "{} bytes", many.len());
    assert!(page(&mut ingester, "/watches?page=51&find=n").contains("page 51 of 51"));
}
