//! `incidents` and `silence`: what operators say about what watches have found.
#![allow(missing_docs, clippy::unwrap_used)]

use super::watch::{done, refused};
use crate::common::pg::TestDb;

/// A database with a watch and an open incident of each kind that can be accepted; a hostile summary.
fn scene() -> TestDb {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "INSERT INTO watch.watches (name, kind, prefix, expected_origins, source)
             VALUES ('web', 'prefix', '192.0.2.0/24', '{64496}', 'ours.csv');
             INSERT INTO watch.watches (name, kind, peer_address) VALUES ('peer', 'session', '198.51.100.1');
             INSERT INTO watch.incidents (cause_key, watch_id, condition, subject, severity, state, opened_at, cause_at, affected,
                                          known, summary, detail)
             SELECT 'x/' || name || '/' || c.condition, w.id, c.condition, c.subject, c.severity, 'open', now() - c.age,
                    now() - c.age, 3, 4, c.summary, c.detail::jsonb
             FROM (VALUES (1, 'web', 'missing', '', 'warning', '3 min'::interval, 'GONE 192.0.2.0/24', '{}'),
                          (2, 'web', 'origin', '192.0.2.0/24 AS64511', 'critical', '2 min',
                           E'HIJACK? 192.0.2.0/24 \\x1b[31m<b>', '{\"origin\": 64511}'),
                          (3, 'web', 'more_specific', '192.0.2.128/25 AS64511', 'critical', '1 min', 'MORE SPECIFIC 192.0.2.128/25',
                           '{\"prefix\": \"192.0.2.128/25\", \"origin\": 64511}'),
                          (4, 'peer', 'session_down', '', 'warning', '1 min', 'PEER DOWN', '{}')
                  ) AS c (place, watch, condition, subject, severity, age, summary, detail)
             JOIN watch.watches w ON w.name = c.watch ORDER BY c.place;
             INSERT INTO watch.incidents (cause_key, watch_id, condition, severity, state, opened_at, cause_at, affected, known,
                                          summary, parent_id)
             SELECT 'x/child', id, 'missing', 'warning', 'open', now(), now(), 1, 1, 'a child', 4 FROM watch.watches WHERE name = 'web'",
        )
        .unwrap();
    db
}

fn events(db: &TestDb, id: i64) -> Vec<String> {
    db.rows(&format!(
        "SELECT event, who, note, state, is_told FROM watch.incident_events WHERE incident_id = {id} ORDER BY id"
    ))
}

#[test]
fn open_incidents_are_listed_the_worst_first() {
    let db = TestDb::migrated();
    assert_eq!(done(&db, &["incidents"]), "no incident is open\n");
    let db = scene();
    let list = done(&db, &["incidents"]);
    let ids: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, ["3", "2", "4", "1", "and"], "{list}");
    assert!(list.contains("HIJACK? 192.0.2.0/24 \\u{1b}[31m<b>\n"), "{list}");
    assert!(list.ends_with("and 1 incident below them: --all shows all\n"), "{list}");
    assert!(done(&db, &["incidents", "--all"]).contains("open, below 4"));
    let json: serde_json::Value = serde_json::from_str(&done(&db, &["incidents", "--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 5);
    assert_eq!(json[0]["detail"]["origin"], 64511);
}

#[test]
fn operators_change_incidents() {
    let db = scene();
    db.client()
        .batch_execute(
            "INSERT INTO watch.callbacks (name, format, url) VALUES ('hook', 'generic', 'http://192.0.2.1/');
             INSERT INTO watch.deliveries (callback_id, subject, ordering_key, incident_id, body)
             SELECT 1, 'opened', 'x', id, '{}' FROM watch.incidents",
        )
        .unwrap();
    assert_eq!(done(&db, &["incidents", "ack", "1", "--by", "ada", "--note", "on it"]), "incident 1: acknowledged\n");
    assert_eq!(events(&db, 1), ["acknowledged|ada|on it|acknowledged|t"]);
    assert!(
        done(&db, &["incidents", "snooze", "1", "--for", "2h", "--by", "ada"])
            .starts_with("incident 1: snoozed until ")
    );
    assert_eq!(
        db.rows("SELECT state, snoozed_until - now() > '119 min', snoozed_until - now() <= '2 h' FROM watch.incidents WHERE id = 1"),
        ["snoozed|t|t"]
    );
    let shown = done(&db, &["incidents", "show", "1"]);
    assert!(shown.starts_with("incident 1: snoozed, warning\nGONE 192.0.2.0/24\n"), "{shown}");
    assert!(shown.contains("on it") && shown.contains("snoozed until") && shown.contains("3 of 4"), "{shown}");
    // Nobody is told of what belongs to a common cause.
    done(&db, &["incidents", "ack", "5", "--by", "ada"]);
    assert_eq!(events(&db, 5), ["acknowledged|ada|-|acknowledged|f"]);
    let deliveries = "SELECT incident_id, subject FROM watch.deliveries WHERE subject <> 'opened' ORDER BY id";
    assert_eq!(db.rows(deliveries), ["1|acknowledged"]);

    // What still holds would open again.
    db.client()
        .batch_execute(
            "INSERT INTO watch.conditions (watch_id, vantage, router_id, condition, subject, since)
             SELECT id, 'r/t', 'r', 'missing', '', now() FROM watch.watches WHERE name = 'web'",
        )
        .unwrap();
    let (code, said) = refused(&db, &["incidents", "close", "1", "--by", "ada"]);
    assert!(code == Some(1) && said.contains("it still holds at 1 vantage and would open again"), "{said}");
    db.client().batch_execute("DELETE FROM watch.conditions").unwrap();
    assert_eq!(done(&db, &["incidents", "close", "1", "--by", "ada"]), "incident 1: closed\n");
    assert_eq!(db.rows("SELECT state, closed_at IS NOT NULL FROM watch.incidents WHERE id = 1"), ["closed|t"]);
    let (code, said) = refused(&db, &["incidents", "ack", "1", "--by", "ada"]);
    assert_eq!((code, said.as_str()), (Some(1), "rib-ingester: incident 1: it is closed already\n"));
    assert!(refused(&db, &["incidents", "ack", "99", "--by", "ada"]).1.contains("there is no such incident"));
    for wrong in [
        &["incidents", "ack", "2"][..],
        &["incidents", "ack", "2", "--by", " "],
        &["incidents", "snooze", "2", "--by", "ada"],
        &["incidents", "snooze", "2", "--by", "ada", "--for", "soon"],
        &["incidents", "snooze", "2", "--by", "ada", "--until", "2020-01-01 00:00 UTC"],
        &["incidents", "snooze", "2", "--by", "ada", "--until", "2030-01-01 00:00"],
    ] {
        assert_eq!(refused(&db, wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn what_is_accepted_is_expected_from_then_on() {
    let db = scene();
    let accept = |id: &str| done(&db, &["incidents", "accept", id, "--by", "ada", "--note", "moved"]);
    assert!(accept("1").contains("routers that do not have it now no longer count"));
    assert_eq!(db.rows("SELECT name FROM watch.watches WHERE accepted_at > created_at"), ["web"]);
    let said = accept("2");
    assert!(
        said.contains("AS64511 is now one of the expected_origins of watch \"web\"; add it to ours.csv too"),
        "{said}"
    );
    accept("2");
    assert!(accept("3").contains("the watch \"web 192.0.2.128-25\" expects 192.0.2.128/25 from now on"));
    accept("3");
    assert_eq!(
        db.rows("SELECT name, prefix, expected_origins, conditions, source, note FROM watch.watches WHERE kind = 'prefix' ORDER BY id"),
        [
            "web|192.0.2.0/24|{64496,64511}|-|ours.csv|-",
            "web 192.0.2.128-25|192.0.2.128/25|{64496,64511}|{}|manual|accepted by ada: moved"
        ]
    );
    assert_eq!(events(&db, 2)[0], "accepted|ada|moved|open|f");
    let (code, said) = refused(&db, &["incidents", "accept", "4", "--by", "ada"]);
    assert!(code == Some(1) && said.contains("remove its watch, or snooze the incident"), "{said}");
}

fn add<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["silence", "add", "--by", "ada", "--note", "new cards"], more].concat()
}

#[test]
fn silences_have_a_scope_a_zone_and_an_end() {
    let db = scene();
    assert_eq!(done(&db, &["silence", "list"]), "no silence is planned or active\n");
    let said = done(&db, &add(&["--router", "10.255.0.1", "--from", "2040-11-26 01:00 Europe/Berlin", "--for", "3h"]));
    assert_eq!(said, "silence 1: router 10.255.0.1 from 2040-11-26 00:00:00 UTC until 2040-11-26 03:00:00 UTC\n");
    done(&db, &add(&["--watch", "web", "--condition", "origin", "--for", "30m"]));
    done(&db, &add(&["--peer", "AS64500", "--until", "2040-01-01 00:00 UTC"]));
    done(&db, &add(&["--peer", "2001:db8::1", "--prefix", "192.0.2.0/24", "--for", "1d"]));
    assert_eq!(
        db.rows("SELECT id, router_id, host(peer_address), peer_asn, prefix, watch_id, condition FROM watch.silences ORDER BY id"),
        ["1|10.255.0.1|-|-|-|-|-", "2|-|-|-|-|1|origin", "3|-|-|64500|-|-|-", "4|-|2001:db8::1|-|192.0.2.0/24|-|-"]
    );
    assert_eq!(
        db.rows("SELECT ends_at - starts_at FROM watch.silences WHERE id IN (2, 4) ORDER BY id"),
        ["00:30:00", "1 day"]
    );
    let check = |more: &[&str], code: i32, want: &str| {
        let (got, said) = refused(&db, &add(more));
        assert!(got == Some(code) && said.contains(want), "{more:?}: {said}");
    };
    check(&["--for", "3h"], 2, "required arguments were not provided");
    check(&["--router", "r"], 2, "required arguments were not provided");
    check(&["--router", "r", "--for", "3h", "--from", "2040-11-26 01:00"], 2, "has no time zone");
    check(&["--router", "r", "--for", "3"], 2, "is not a duration");
    check(&["--router", "r", "--from", "2020-01-01 00:00 UTC", "--for", "3h"], 2, "which is over");
    check(&["--router", "r", "--condition", "origin", "--for", "3h"], 2, "is silenced by --watch or --prefix only");
    check(&["--router", "r", "--condition", "mising", "--for", "3h"], 2, "did you mean missing?");
    check(&["--peer", "edge", "--prefix", "10.0.0.1/8", "--for", "3h"], 2, "neither an IP address nor an AS");
    check(&["--watch", "wbe", "--for", "3h"], 1, "did you mean web?");

    let list = done(&db, &["silence", "list"]);
    assert!(list.contains("planned") && list.contains("active") && list.contains("watch web origin"), "{list}");
    assert!(done(&db, &["silence", "end", "2"]).contains("silence 2: ended, watch web origin"));
    assert_eq!(refused(&db, &["silence", "end", "2"]).0, Some(1));
    assert!(refused(&db, &["silence", "end", "9"]).1.contains("there is none"));
    assert!(!done(&db, &["silence", "list"]).contains("watch web"));
    assert!(done(&db, &["silence", "list", "--all"]).contains("over"));
    // One that has not begun is over without having begun.
    done(&db, &["silence", "end", "1"]);
    assert_eq!(db.rows("SELECT count(*) FROM watch.silences WHERE LEAST(ends_at, ended_at) > now()"), ["2"]);
    let json: serde_json::Value = serde_json::from_str(&done(&db, &["silence", "list", "--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
}

#[test]
fn a_simulation_sends_nothing() {
    let db = scene();
    db.client()
        .batch_execute(
            "INSERT INTO watch.callbacks (name, format, url, conditions, min_severity, enabled, team) VALUES
                 ('all', 'generic', 'http://192.0.2.1/secret', NULL, 'info', true, NULL),
                 ('critical', 'slack', 'http://192.0.2.1/', NULL, 'critical', true, NULL),
                 ('flaps', 'flapalerted', 'http://192.0.2.1/', NULL, 'info', true, NULL),
                 ('peers', 'ntfy', 'http://192.0.2.1/t', '{session_down}', 'info', true, NULL),
                 ('off', 'generic', 'http://192.0.2.1/', NULL, 'info', false, NULL),
                 ('theirs', 'generic', 'http://192.0.2.1/', NULL, 'info', true, 'other')",
        )
        .unwrap();
    let simulate = |watch, condition| done(&db, &["incidents", "simulate", watch, condition]);
    let origin = simulate("web", "origin");
    assert!(origin.starts_with("critical: HIJACK? 192.0.2.0/24 origin AS64511, expected AS64496; "), "{origin}");
    let rest = "opens when it has held for 0 s\nwould be told: all (generic)\nwould be told: critical (slack)\n";
    assert!(origin.ends_with(rest), "{origin}");
    let flapping = simulate("web", "flapping");
    assert!(flapping.starts_with("warning: FLAPPING 192.0.2.0/24: 30 changes in 10 min at "), "{flapping}");
    assert!(flapping.ends_with("told: all (generic)\nwould be told: flaps (flapalerted)\n"), "{flapping}");
    let own = simulate("web", "more_specific_own");
    assert!(own.contains("does not judge it") && own.contains("told 30 s later"), "{own}");
    db.client()
        .batch_execute(
            "INSERT INTO watch.silences (starts_at, ends_at, peer_address, created_by, note)
             VALUES (now() - interval '1 hour', now() + interval '1 hour', '198.51.100.1', 'ada', 'work')",
        )
        .unwrap();
    let down = simulate("peer", "session_down");
    assert!(down.contains("PEER DOWN") && down.contains("Hold Timer Expired"), "{down}");
    assert!(down.contains("silence 1 is in force: nobody would be told\n"), "{down}");
    assert!(down.contains("would be told: peers (ntfy)\n"), "{down}");
    let (_, wrong) = refused(&db, &["incidents", "simulate", "web", "session_down"]);
    assert!(wrong.contains("a watch of kind prefix has no condition session_down; allowed: missing, "), "{wrong}");
    let all = "SELECT (SELECT count(*) FROM watch.deliveries), (SELECT count(*) FROM watch.incident_events)";
    assert_eq!(db.rows(all), ["0|0"]);
}
