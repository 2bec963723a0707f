//! `openapi.json` against the answers: every path of it that can be read is asked, on a filled database.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::ingester::{Ingester, answer};
use crate::common::pg::TestDb;

/// The release of schemathesis that the test runs.
const SCHEMATHESIS: [&str; 2] = ["schemathesis==4.1.4", "hypothesis==6.138.0"];

/// A router with everything that a list can have a row of.
const ROWS: &str = "
    INSERT INTO routers (router_id, router_ip, hostname, as_number) VALUES ('192.0.2.1', '192.0.2.1', 'edge1', 64500);
    INSERT INTO rib_sync_status (router_id, table_name, afi, eor_seen, eor_time, synced_at, session_start_time)
    VALUES ('192.0.2.1', 'global', 4, true, now(), now(), now());
    INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi)
    VALUES ('192.0.2.1', '203.0.113.1', true, 'UNKNOWN', 4);
    INSERT INTO bmp_sessions (router_id, collector_id, source, state) VALUES ('192.0.2.1', 'test', '192.0.2.1', 'up');
    INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, hold_time, last_reason)
    VALUES ('192.0.2.1', 'global', '203.0.113.1', 64511, 'up', 90, 'hold timer expired'),
           ('192.0.2.1', 'global', '203.0.113.2', 64512, 'down', NULL, NULL);
    INSERT INTO peer_statistics (router_id, peer_type, peer_address, peer_asn, stat_type, name, value)
    VALUES ('192.0.2.1', 'loc_rib', '0.0.0.0', 64500, 8, 'loc_rib_routes', 3);
    INSERT INTO route_counts (router_id, rib, peer_address, is_post_policy, table_name, afi, routes)
    VALUES ('192.0.2.1', 'loc-rib', '0.0.0.0', false, 'global', 4, 1), ('192.0.2.1', 'adj-rib-in', '203.0.113.1', true, 'UNKNOWN', 4, 1);
    INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path, origin_asn, origin, localpref, communities_std, attrs)
    VALUES ('192.0.2.1', 'global', 4, '198.51.100.0/24', '192.0.2.9', '64501 64502', 64502, 'IGP', 100, '{64500:1}', '{\"originator_id\": \"192.0.2.3\"}');
    INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, nexthop, as_path)
    VALUES ('192.0.2.1', '203.0.113.1', 64511, true, 'UNKNOWN', 4, '198.51.100.0/24', '203.0.113.1', '64511');
    INSERT INTO session_events (router_id, kind, peer_address, reason) VALUES ('192.0.2.1', 'peer_up', '203.0.113.1', 'up again');
    INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, nexthop, as_path, received_at, rib)
    SELECT sha256(i::text::bytea), now() - (10 - i) * interval '1 second', '192.0.2.1', 'global', 4, '198.51.100.0/24',
           CASE WHEN i % 2 = 1 THEN 'A' ELSE 'D' END, CASE WHEN i % 2 = 1 THEN '192.0.2.9'::inet END,
           CASE WHEN i % 2 = 1 THEN '64501 ' || 64500 + i END, now(), 'loc-rib'
    FROM generate_series(1, 5) i;
    CREATE TABLE nlri_today PARTITION OF nlri_route_events FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
    INSERT INTO nlri_loc_rib (router_id, table_name, afi, prefix, nexthop, attrs)
    SELECT '192.0.2.1', 'global|nlri:25/70', 6, ('2001:db8::' || i)::cidr, '192.0.2.9',
           jsonb_build_object('nlri', jsonb_build_object('type', 2, 'mac', '02:00:00:00:00:0' || i), 'nlri_key', 'evpn:2:mac=02:00:00:00:00:0' || i,
                              'nlri_afi', 25, 'nlri_safi', 70)
    FROM generate_series(1, 3) i;
    INSERT INTO nlri_adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, attrs)
    VALUES ('192.0.2.1', '203.0.113.1', 64511, true, 'UNKNOWN|nlri:1/132', 6, '2001:db8::9',
            '{\"nlri\": {\"origin_as\": 64511}, \"nlri_key\": \"rtc:origin_as=64511\", \"nlri_afi\": 1, \"nlri_safi\": 132}');
    INSERT INTO nlri_route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, received_at, rib, attrs)
    SELECT sha256(i::text::bytea), now() - (10 - i) * interval '1 second', r.router_id, r.table_name, r.afi, r.prefix,
           CASE WHEN i % 2 = 1 THEN 'A' ELSE 'D' END, now(), 'nlri-loc-rib', r.attrs
    FROM nlri_loc_rib r, generate_series(1, 3) i WHERE r.prefix = '2001:db8::1';
    INSERT INTO nlri_loc_rib_sync_status (router_id, table_name, afi, eor_seen) VALUES ('192.0.2.1', 'global|nlri:25/70', 6, true);
    INSERT INTO nlri_adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
    SELECT '192.0.2.1', ('203.0.113.' || i)::inet, true, 'UNKNOWN|nlri:1/132', 6, now() FROM generate_series(1, 2) i;
    INSERT INTO nlri_route_counts VALUES ('192.0.2.1', 'nlri-loc-rib', '0.0.0.0', false, 'global|nlri:25/70', 6, 3),
        ('192.0.2.1', 'nlri-adj-rib-in', '203.0.113.1', true, 'UNKNOWN|nlri:1/132', 6, 1);
    INSERT INTO peer_nlri_counts SELECT '192.0.2.1', ('203.0.113.' || i)::inet, 'UNKNOWN|nlri:1/132', 1, 132, date_trunc('hour', now()) - h * interval '1 hour', NULL, i * h, true
    FROM generate_series(1, 2) i, generate_series(1, 3) h;
    REFRESH MATERIALIZED VIEW route_summary";

/// A collector with its schema and a filled database.
fn filled(db: &TestDb, settings: &[(&str, &str)]) -> Ingester {
    let mut ingester = Ingester::start(&db.url(), settings);
    ingester.logged(": created");
    let partition = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'route_events'::regclass";
    crate::common::ingester::eventually("the partitions", || (db.rows(partition) == ["2"]).then_some(()));
    db.client().batch_execute(ROWS).unwrap();
    ingester
}

/// Collects what is wrong with a value by a schema: the parts of JSON Schema that the document uses.
fn validate(value: &Value, schema: &Value, at: &str, wrong: &mut Vec<String>) {
    let is = |kind: &str| match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("{at}: the validator does not know the type {other}"),
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        other => panic!("{at}: {other}"),
    };
    if !fits {
        wrong.push(format!("{at}: {value} is not {}", schema["type"]));
    }
    if schema["format"] == json!("date-time")
        && value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_err())
    {
        wrong.push(format!("{at}: {value} is no time"));
    }
    for item in value.as_array().into_iter().flatten() {
        validate(item, &schema["items"], &format!("{at}[]"), wrong);
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            wrong.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, member) in members {
        match properties.get(name) {
            Some(property) => validate(member, property, &format!("{at}.{name}"), wrong),
            None => wrong.push(format!("{at}: {name} is not described")),
        }
    }
}

#[test]
fn a_wrong_answer_is_found() {
    let schema = json!({ "type": "object", "required": ["a"], "properties": {
        "a": { "type": ["string", "null"], "format": "date-time" }, "b": { "type": "array", "items": { "type": "integer" } } } });
    let check = |value: Value, count: usize| {
        let mut wrong = Vec::new();
        validate(&value, &schema, "", &mut wrong);
        assert_eq!(wrong.len(), count, "{value}: {wrong:?}");
    };
    check(json!({ "a": "2026-01-01T00:00:00+00:00", "b": [1] }), 0);
    check(json!({ "a": null }), 0);
    check(json!({ "a": "yesterday", "b": ["1", 2], "c": 1 }), 3);
    check(json!([]), 1);
    check(json!({}), 1);
}

/// The values of required parameters, and of those of the path.
fn value_of(name: &str) -> &'static str {
    match name {
        "router" => "edge1",
        "prefix" => "198.51.100.0/24",
        "time" | "to" => "2100-01-01T00:00:00Z",
        "from" => "2026-01-01T00:00:00Z",
        other => panic!("a value for {other}"),
    }
}

#[test]
fn every_answer_is_as_the_document_says() {
    let db = TestDb::migrated();
    let mut ingester = filled(&db, &[("API_RATE", "100000")]);
    let http = ingester.http();
    let document: Value = serde_json::from_str(&ingester.get("/api/v1/openapi.json").2).unwrap();
    let (mut wrong, mut lists, mut streams) = (Vec::new(), 0, 0);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(operation) = methods.get("get") else { continue };
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        // Events have no end, and the ids of incidents are another test's.
        if schema.is_null() || path.contains("{id}") {
            continue;
        }
        let parameters = operation["parameters"].as_array().unwrap();
        let query: Vec<String> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == json!("query"))
            .filter(|parameter| parameter["required"] == json!(true) || (parameter["name"] == json!("router")))
            .map(|parameter| parameter["name"].as_str().unwrap())
            .map(|name| format!("{name}={}", value_of(name)))
            .collect();
        let more = if path == "/lookup" { "&address=198.51.100.7" } else { "" };
        let target = format!("/api/v1{}?{}{more}", path.replace("{router}", "edge1"), query.join("&"));
        let (status, head, body) = ingester.get(&target);
        assert_eq!(status, 200, "{target}: {head}\n{body}");
        let value: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{target}: {error}\n{body}"));
        validate(&value, schema, path, &mut wrong);
        if let Some(rows) = value["rows"].as_array() {
            lists += 1;
            println!("{target}: {} rows", rows.len());
        }
        let lines = &operation["responses"]["200"]["content"]["application/x-ndjson"]["schema"];
        if !lines.is_null() {
            let request = format!("GET {target} HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n");
            let (_, _, body) = answer(http, request.as_bytes());
            let all: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(all.as_slice(), value["rows"].as_array().unwrap().as_slice(), "{target}");
            streams += usize::from(!all.is_empty());
        } else {
            assert!(value.get("rows").is_none() || path == "/lookup", "{path}: a list without lines");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lists >= 12 && streams >= 10, "{lists} lists, {streams} with lines");
    check_values(&mut ingester);
    check_other_families(&mut ingester);
    check_completeness(&db, &mut ingester);
    run_examples(&mut ingester);
    run_schemathesis(&mut ingester);
    assert!(ingester.stop().success());
}

/// What some lists say of the filled database.
fn check_values(ingester: &mut Ingester) {
    let mut rows = |target: &str| {
        let (status, _, body) = ingester.get(&format!("/api/v1{target}"));
        assert_eq!(status, 200, "{target}: {body}");
        let value: Value = serde_json::from_str(&body).unwrap();
        (value["rows"].as_array().unwrap().clone(), value["complete"].clone())
    };
    let (peers, _) = rows("/peers?asn=64511&asn=64512&state=down");
    assert_eq!((peers.len(), &peers[0]["peer_address"]), (1, &json!("203.0.113.2")));
    let (peers, _) = rows("/routers/edge1/peers?peer=203.0.113.1");
    assert_eq!((&peers[0]["post_policy_routes"], &peers[0]["last_reason"]), (&json!(1), &json!("hold timer expired")));
    let (found, _) = rows("/lookup?address=198.51.100.7");
    assert_eq!(
        found.iter().map(|row| row["view"].as_str().unwrap()).collect::<Vec<_>>(),
        ["loc-rib", "adj-rib-in-post"]
    );
    assert_eq!(rows("/lookup?address=198.51.100.7&view=loc-rib&table=global&router=edge1").0.len(), 1);
    assert_eq!(rows("/lookup?address=198.51.100.7&table=blue").0.len(), 0);
    // The connection has the statement prepared from the second time on.
    for _ in 0..9 {
        assert_eq!(rows("/lookup?address=198.51.100.7&view=loc-rib").0.len(), 1);
    }
    let (history, complete) = rows("/history?prefix=198.51.100.0/24&router=edge1&limit=2");
    assert_eq!(history.iter().map(|row| row["action"].as_str().unwrap()).collect::<Vec<_>>(), ["A", "D"]);
    assert!(complete.is_boolean(), "{complete}");
    assert_eq!(rows("/at?time=2100-01-01T00:00:00Z&router=edge1").0.len(), 1);
    assert_eq!(
        rows("/between?from=2026-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&router=edge1").0[0]["change"],
        json!("added")
    );
    assert_eq!(rows("/flaps?router=edge1").0[0]["flaps"], json!(2));
    assert_eq!(rows("/events/sessions?kind=peer_up&router=edge1").0.len(), 1);
    assert_eq!(rows("/sync?router=edge1").0.len(), 2);
    assert_eq!(rows("/summary").0[0]["route_count"], json!(1));
}

/// The lists of other families, with each of their conditions, and their pages.
fn check_other_families(ingester: &mut Ingester) {
    let mut ask = |target: &str| {
        let (status, _, body) = ingester.get(&format!("/api/v1{target}"));
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    for (query, want) in [
        ("", 4),
        ("view=loc-rib", 3),
        ("view=adj-rib-in-post", 1),
        ("view=adj-rib-in-pre", 0),
        ("peer=203.0.113.1", 1),
        ("peer=203.0.113.9", 0),
        ("family=evpn", 3),
        ("family=rtc&router=edge1", 1),
        ("type=2&contains=00:03", 1),
        ("type=3", 0),
        ("key=evpn:2:mac=02:00:00:00:00:02", 1),
        ("table=UNKNOWN%7Cnlri:1/132", 1),
    ] {
        let (status, answer) = ask(&format!("/nlri?{query}"));
        assert_eq!((status, answer["rows"].as_array().unwrap().len()), (200, want), "{query}: {answer}");
    }
    let (mut keys, mut next) = (Vec::new(), String::new());
    for _ in 0..2 {
        let (_, answer) = ask(&format!("/nlri?limit=2{next}"));
        keys.extend(answer["rows"].as_array().unwrap().iter().map(|row| row["nlri_key"].as_str().unwrap().to_owned()));
        next = format!("&next={}", answer["next"].as_str().unwrap_or_default());
    }
    let of_mac = |last: u8| format!("evpn:2:mac=02:00:00:00:00:0{last}");
    assert_eq!(keys, ["rtc:origin_as=64511".to_owned(), of_mac(1), of_mac(2), of_mac(3)]);
    let (_, past) = ask("/nlri/history?router=edge1&limit=2&contains=mac");
    let told: Vec<&str> = past["rows"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!((told.as_slice(), &past["truncated"]), (["A", "D"].as_slice(), &json!(true)));
    let (_, rest) =
        ask(&format!("/nlri/history?router=edge1&limit=2&contains=mac&next={}", past["next"].as_str().unwrap()));
    assert_eq!((rest["rows"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    check_tables_and_counts(&mut ask);
    assert_eq!(ask("/nlri/history?router=edge1&to=2026-01-01T00:00:00Z").1["rows"], json!([]));
    assert_eq!((ask("/nlri/history").0, ask("/nlri?family=unicast").0, ask("/nlri?router=nobody").0), (400, 400, 400));
}

/// The tables of other families and their numbers of routes, page by page.
fn check_tables_and_counts(ask: &mut impl FnMut(&str) -> (u16, Value)) {
    let mut all = |path: &str| {
        let (mut rows, mut next) = (Vec::new(), String::new());
        loop {
            let (status, answer) = ask(&format!("{path}&limit=1{next}"));
            assert_eq!(status, 200, "{answer}");
            rows.extend(answer["rows"].as_array().unwrap().clone());
            match answer["next"].as_str() {
                Some(text) => next = format!("&next={text}"),
                None => return rows,
            }
        }
    };
    let tables = all("/nlri/tables?router=edge1");
    let tables: Vec<_> = tables
        .iter()
        .map(|row| json!([row["view"], row["afi"], row["safi"], row["routes"], row["eor_seen"]]))
        .collect();
    let peers = [1, 0].map(|routes| json!(["adj-rib-in-post", 1, 132, routes, false]));
    assert_eq!(tables, [&peers[..], &[json!(["loc-rib", 25, 70, 3, true])]].concat());
    let counts = all("/nlri/counts?router=edge1");
    let counts: Vec<_> = counts.iter().map(|row| json!([row["peer_address"], row["pre"], row["post"]])).collect();
    let line = |peer: u8, post: u8| json!([format!("203.0.113.{peer}"), null, post]);
    assert_eq!(counts, [line(2, 2), line(1, 1), line(2, 4), line(1, 2), line(2, 6), line(1, 3)]);
    assert_eq!(all("/nlri/counts?peer=203.0.113.1").len(), 3);
    assert!(all("/nlri/counts?to=2026-01-01T00:00:00Z").is_empty());
}

/// The history of a prefix is complete where that of all tables is, those of peers too.
fn check_completeness(db: &TestDb, ingester: &mut Ingester) {
    let target =
        "/api/v1/history?prefix=198.51.100.0/24&router=edge1&from=2100-01-01T00:00:00Z&to=2100-01-02T00:00:00Z";
    let mut after = |kind: &str, table: &str, peer: &str| {
        let sql = format!(
            "INSERT INTO session_events (router_id, kind, table_name, peer_address, afi) VALUES ('192.0.2.1', '{kind}', {table}, {peer}, 4)"
        );
        db.client().batch_execute(&sql).unwrap();
        let value: Value = serde_json::from_str(&ingester.get(target).2).unwrap();
        value["complete"].clone()
    };
    assert_eq!(after("peer_up", "NULL", "'203.0.113.1'"), json!(true));
    assert_eq!(after("gap", "NULL", "NULL"), json!(false));
    assert_eq!(after("end_of_rib", "'global'", "NULL"), json!(false), "the peer's table is not known again");
    assert_eq!(after("end_of_rib", "'UNKNOWN'", "'203.0.113.2'"), json!(false), "that of another peer is");
    assert_eq!(after("end_of_rib", "'UNKNOWN'", "'203.0.113.1'"), json!(true));
    assert_eq!(after("gap", "NULL", "NULL"), json!(false));
    assert_eq!(after("end_of_rib", "'global'", "NULL"), json!(false));
    assert_eq!(after("peer_down", "'UNKNOWN'", "'203.0.113.1'"), json!(true), "an empty table is known");
}

/// Runs the commands of `docs/api.md`.
fn run_examples(ingester: &mut Ingester) {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
    let address = ingester.http().to_string();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands: Vec<String> =
        blocks.flat_map(str::lines).map(|line| line.replace("127.0.0.1:11020", &address)).collect();
    assert!(commands.len() >= 10 && commands.iter().all(|command| command.starts_with("curl -fsS ")), "{commands:?}");
    if Command::new("curl").arg("--version").output().is_err() {
        return println!("skipped: no curl on this machine");
    }
    for command in commands {
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{command}: {output:?}");
    }
}

/// Lets a real client send what the document allows and what it does not; skipped where it cannot be installed.
fn run_schemathesis(ingester: &mut Ingester) {
    // It is installed once.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let python = folder.join("bin/schemathesis");
    if !python.exists() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output();
        let installed = made.ok().filter(|output| output.status.success()).and_then(|_| {
            Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(SCHEMATHESIS).output().ok()
        });
        if !installed.is_some_and(|output| output.status.success()) {
            return println!("skipped: {SCHEMATHESIS:?} cannot be installed here");
        }
    }
    let url = format!("http://{}/api/v1/openapi.json", ingester.http());
    let output = Command::new(python)
        .args(["run", &url, "--phases", "fuzzing", "--max-examples", "3", "--no-shrink", "--seed", "1"])
        .args(["--include-method", "GET", "--exclude-path", "/events", "--request-timeout", "10", "--no-color"])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
