//! Incidents over the API: who sees and changes what, silences, and the stream of events.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::ingester::{Ingester, answer, eventually};
use crate::common::pg::TestDb;

/// Two watches, of a team and of nobody, with an incident each, and one that belongs to no watch.
const FOUND: &str = "
    INSERT INTO routers (router_id, hostname) VALUES ('192.0.2.1', 'edge1');
    INSERT INTO watch.watches (id, team, name, kind, prefix, expected_origins) VALUES
        (1, 'noc', 'ours', 'prefix', '198.51.100.0/24', '{64496}'), (2, NULL, 'theirs', 'prefix', '203.0.113.0/24', '{64497}');
    INSERT INTO watch.incidents (team, cause_key, watch_id, condition, subject, severity, state, opened_at, cause_at, closed_at, affected, known, summary) VALUES
        ('noc', 'a', 1, 'origin', '198.51.100.0/24 AS64511', 'critical', 'open', now(), now(), NULL, 1, 1, 'HIJACK? 198.51.100.0/24'),
        (NULL, 'b', 2, 'missing', '', 'warning', 'open', now(), now(), NULL, 1, 1, 'GONE 203.0.113.0/24'),
        (NULL, 'c', NULL, 'isolated', '', 'error', 'closed', now(), now(), now(), 1, 1, 'ISOLATED');
    INSERT INTO watch.incident_events (team, incident_id, event, severity, state, affected, known, summary, is_told)
        SELECT team, id, 'opened', severity, 'open', 1, 1, summary, false FROM watch.incidents WHERE id < 3;
    INSERT INTO watch.conditions (team, watch_id, vantage, router_id, table_name, condition, subject, prefix, since) VALUES
        (NULL, 2, '192.0.2.1 global', '192.0.2.1', 'global', 'missing', '', '203.0.113.0/24', now())";

/// A collector's port, and the tokens that it knows.
struct Api {
    http: SocketAddr,
    reader: String,
    noc: String,
    operator: String,
}

impl Api {
    fn ask(&self, token: &str, method: &str, target: &str, body: &str) -> (u16, Value) {
        let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let length = body.len();
        let request =
            format!("{method} /api/v1{target} HTTP/1.1\r\n{authorization}Content-Length: {length}\r\n\r\n{body}");
        let (status, head, body) = answer(self.http, request.as_bytes());
        let value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{method} {target}: {head}\n{body}"));
        assert!(status < 400 || head.contains("application/problem+json"), "{target}: {head}");
        (status, value)
    }

    fn ids(&self, token: &str, target: &str) -> Vec<Value> {
        let (status, list) = self.ask(token, "GET", target, "");
        assert_eq!(status, 200, "{list}");
        list["rows"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect()
    }

    fn post(&self, token: &str, target: &str, body: &str) -> (u16, Value) {
        self.ask(token, "POST", target, body)
    }

    /// A stream of events, after its head.
    fn events(&self, token: &str, query: &str, last: Option<&str>) -> Events {
        let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!("GET /api/v1/events{query} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut events = Events { stream, text: String::new() };
        events.until("\r\n\r\n");
        events
    }
}

/// What has come of a stream.
struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    /// Reads until a text has come, and returns all that has.
    fn until(&mut self, wanted: &str) -> &str {
        let mut buffer = [0; 4096];
        while !self.text.contains(wanted) {
            let read = self.stream.read(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}: {}", self.text));
            assert!(read > 0, "{wanted}: cut: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        &self.text
    }
}

fn token(arguments: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester")).arg("token").args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (said.trim().rsplit(' ').next().unwrap().to_owned(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn incidents_are_read_and_changed_over_the_api() {
    let db = TestDb::migrated();
    db.client().batch_execute(FOUND).unwrap();
    let file = std::env::temp_dir().join(format!("rib-ingester-api-{}", db.name()));
    let (reader, reader_line) = token(&["graphs"]);
    let (noc, noc_line) = token(&["pager", "--scope", "write", "--team", "noc"]);
    let (operator, operator_line) = token(&["bot", "--scope", "write"]);
    std::fs::write(&file, reader_line + &noc_line + &operator_line).unwrap();
    let settings = [("API_TOKEN_FILE", file.to_str().unwrap()), ("API_RATE", "10000"), ("WATCH", "off")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let api = Api { http: ingester.http(), reader, noc, operator };
    lists_have_pages_and_teams(&api);
    streams_tell_and_resume(&api, &db);
    changes_are_made_in_the_name_of_a_token(&api, &db);
    buttons_need_a_token_and_this_site(&api, &mut ingester);
    silences_are_made_and_ended(&api);
    assert!(ingester.stop().success());
    std::fs::remove_file(file).unwrap();
}

fn lists_have_pages_and_teams(api: &Api) {
    assert_eq!(api.ids("", "/incidents"), [json!(3), json!(2), json!(1)]);
    let (_, first) = api.ask("", "GET", "/incidents?limit=2", "");
    assert_eq!((&first["rows"][1]["id"], &first["truncated"]), (&json!(2), &json!(true)));
    let next = format!("/incidents?limit=2&next={}", first["next"].as_str().unwrap());
    assert_eq!(api.ids("", &next), [json!(1)]);
    for (query, want) in [
        ("?state=open&state=acknowledged", vec![2, 1]),
        ("?severity=critical", vec![1]),
        ("?condition=isolated", vec![3]),
        ("?watch=ours&watch=2", vec![2, 1]),
        ("?watch=nobody", vec![]),
    ] {
        assert_eq!(json!(api.ids("", &format!("/incidents{query}"))), json!(want), "{query}");
    }
    let (status, one) = api.ask(&api.reader, "GET", "/incidents/1", "");
    assert_eq!((status, &one["watch"], &one["events"][0]["event"]), (200, &json!("ours"), &json!("opened")));
    // A team's token shows its own.
    assert_eq!(api.ids(&api.noc, "/incidents"), [json!(1)]);
    assert_eq!(api.ids(&api.noc, "/watches"), [json!(1)]);
    assert_eq!(api.ids("", "/watches?kind=prefix&limit=1"), [json!(1)]);
    let (_, watches) = api.ask("", "GET", "/watches", "");
    assert_eq!((&watches["rows"][1]["holding"], &watches["rows"][1]["incidents"]), (&json!(1), &json!(1)));
    let (status, rpki) = api.ask("", "GET", "/rpki", "");
    assert_eq!((status, &rpki["is_usable"], &rpki["trust_anchors"]), (200, &json!(false), &json!([])));
    for (token, target, want) in [
        (api.noc.as_str(), "/incidents/2", 404),
        ("", "/incidents/99", 404),
        ("", "/incidents/x", 400),
        ("", "/incidents/-1", 400),
        ("", "/incidents?state=asleep", 400),
        ("", "/watches?kind=x", 400),
        ("", "/rpki?x=1", 400),
    ] {
        assert_eq!(api.ask(token, "GET", target, "").0, want, "{target}");
    }
}

fn streams_tell_and_resume(api: &Api, db: &TestDb) {
    // What holds comes first, then what happens; each hears of its own.
    let mut all = api.events(&api.reader, "", None);
    let head = all.until("\"holds\": true").to_owned();
    assert!(head.contains("Content-Type: text/event-stream") && head.contains("event: condition"), "{head}");
    assert!(!head.contains("event: incident"), "{head}");
    let mut team = api.events(&api.noc, "", None);
    let mut of_watch = api.events(&api.reader, "?watch=theirs", None);
    of_watch.until("\"holds\": true");
    team.until("retry: 5000");
    let add = |incident: i64, event: &str| {
        db.rows(&format!(
            "INSERT INTO watch.incident_events (team, incident_id, event, severity, state, affected, known, summary, is_told)
             SELECT team, id, '{event}', severity, 'open', 1, 1, 'a' || chr(10) || 'b', false FROM watch.incidents WHERE id = {incident} RETURNING id"
        ))
        .remove(0)
    };
    let of_theirs = add(2, "worse");
    let of_ours = add(1, "worse");
    let seen = all.until(&format!("id: {of_ours}\n")).to_owned();
    assert!(seen.contains(&format!("id: {of_theirs}\nevent: incident\ndata: {{")), "{seen}");
    team.until(&format!("id: {of_ours}\n"));
    assert!(!team.text.contains("theirs") && !team.text.contains("event: condition"), "{}", team.text);
    of_watch.until(&format!("id: {of_theirs}\n"));
    db.rows("DELETE FROM watch.conditions");
    all.until("\"holds\": false");
    assert!(!of_watch.text.contains(&format!("id: {of_ours}\n")), "{}", of_watch.text);
    // A client that comes back gets what it has missed, once.
    let mut back = api.events(&api.reader, "", Some(&of_theirs));
    back.until(&format!("id: {of_ours}\n"));
    assert!(!back.text.contains(&format!("id: {of_theirs}\n")), "{}", back.text);
    // More than an hour ago is too long.
    db.rows("UPDATE watch.incident_events SET at = now() - interval '2 hours' WHERE id = 1");
    api.events(&api.reader, "", Some("0")).until("event: reset");
    assert_eq!(api.ask(&api.reader, "GET", "/events?limit=1", "").0, 400);
    let nonsense =
        format!("GET /api/v1/events HTTP/1.1\r\nAuthorization: Bearer {}\r\nLast-Event-ID: x\r\n\r\n", api.reader);
    assert_eq!(answer(api.http, nonsense.as_bytes()).0, 400);
    // There are a hundred places, which are free again when their clients have gone.
    drop((all, team, of_watch, back));
    let request = format!("GET /api/v1/events HTTP/1.1\r\nAuthorization: Bearer {}\r\n\r\n", api.reader);
    let open = || {
        let mut stream = TcpStream::connect(api.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        Events { stream, text: String::new() }
    };
    // One after the other: many at once would be too many for the listener's queue, which answers 503 too.
    let mut clients = Vec::new();
    let mut refused = 0;
    for _ in 0..105 {
        let mut client = open();
        refused += usize::from(client.until("\r\n\r\n").starts_with("HTTP/1.1 503"));
        clients.push(client);
    }
    // Those before them may not have left yet.
    assert!((5..=10).contains(&refused), "{refused}");
    clients.clear();
    eventually("a free place", || {
        // Those that have gone are noticed when they are told something.
        add(1, "worse");
        open().until("\r\n\r\n").starts_with("HTTP/1.1 200").then_some(())
    });
}

fn changes_are_made_in_the_name_of_a_token(api: &Api, db: &TestDb) {
    let (noc, operator) = (&api.noc, &api.operator);
    for (token, target, body, want, words) in [
        ("", "/incidents/1/ack", "", 401, "a change needs a token of scope write"),
        (api.reader.as_str(), "/incidents/1/ack", "", 403, "for reading only"),
        (noc, "/incidents/2/ack", "", 404, "there is no such incident"),
        (operator, "/incidents/99/ack", "", 404, "there is no such incident"),
        (operator, "/incidents/3/ack", "", 409, "it is closed already"),
        (noc, "/incidents/1/ack", "{", 400, "the body"),
        (noc, "/incidents/1/ack", r#"{"by": "me"}"#, 400, "the body: unknown field `by`"),
        (noc, "/incidents/1/ack", r#"{"note": "a\u0000b"}"#, 400, "note: contains a NUL character"),
        (noc, "/incidents/1/ack", r#"{"for_secs": 1}"#, 400, "until and for_secs are for snooze only"),
        (noc, "/incidents/1/snooze", "", 400, "either until or for_secs is required"),
        (noc, "/incidents/1/snooze", r#"{"until": "2020-01-01T00:00:00Z"}"#, 400, "it would end at 2020-01-01"),
        (operator, "/incidents/2/accept", r#"{"note": 1}"#, 400, "the body"),
    ] {
        let (status, problem) = api.post(token, target, body);
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == want && detail.contains(words), "{target} {body}: {status} {detail}");
    }
    db.rows("INSERT INTO watch.conditions (watch_id, vantage, router_id, condition, since) VALUES (2, 'x', '192.0.2.1', 'missing', now())");
    let (status, refused) = api.post(operator, "/incidents/2/close", "");
    assert!(
        status == 409 && refused["detail"].as_str().unwrap().starts_with("it still holds at 1 vantage"),
        "{refused}"
    );
    db.rows("DELETE FROM watch.conditions");

    let (status, done) = api.post(noc, "/incidents/1/ack", r#"{"note": "on it"}"#);
    let incident = &done["incident"];
    assert_eq!((status, &done["done"], &incident["acknowledged_by"]), (200, &json!("acknowledged"), &json!("pager")));
    let last = incident["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["event"], &last["who"], &last["note"]),
        (&json!("acknowledged"), &json!("pager"), &json!("on it"))
    );
    let (status, done) = api.post(operator, "/incidents/1/snooze", r#"{"for_secs": 3600}"#);
    assert_eq!((status, &done["incident"]["state"]), (200, &json!("snoozed")));
    let (status, done) = api.post(noc, "/incidents/1/accept", "{}");
    assert_eq!(status, 200, "{done}");
    assert_eq!(db.rows("SELECT expected_origins FROM watch.watches WHERE id = 1"), ["{64496,64511}"]);
    let (status, done) = api.post(operator, "/incidents/2/close", "");
    assert_eq!((status, &done["incident"]["state"]), (200, &json!("closed")));
}

fn buttons_need_a_token_and_this_site(api: &Api, ingester: &mut Ingester) {
    let page = ingester.get("/incidents?id=1").2;
    assert!(page.contains("<form class=\"change\" method=\"post\" action=\"/incidents\">"), "{page}");
    assert!(!ingester.get("/incidents?id=3").2.contains("form class=\"change\""));
    let post = |headers: &str, body: &str| {
        let length = body.len();
        let request = format!("POST /incidents HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        answer(api.http, request.as_bytes())
    };
    let basic = |token: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("me:{token}")));
    let (own, form) = ("Sec-Fetch-Site: same-origin\r\n", "id=1&do=snooze-hour&note=%3Cb%3E");
    let (status, head, body) = post(own, form);
    assert!(status == 401 && head.contains("WWW-Authenticate: Basic realm"), "{head}");
    assert!(body.contains("a change needs a token") && !ingester.get("/incidents?id=1").2.contains("&lt;b&gt;"));
    for headers in [basic(&api.noc), basic(&api.noc) + "Sec-Fetch-Site: cross-site\r\nOrigin: http://evil.example\r\n"]
    {
        assert_eq!(post(&headers, form).0, 403, "{headers}");
    }
    assert_eq!(post(&(own.to_owned() + &basic(&api.reader)), form).0, 403);
    let own = own.to_owned() + &basic(&api.noc);
    for (body, want) in [("id=2&do=ack", 404), ("id=x&do=ack", 400), ("id=1&do=x", 400), ("", 400)] {
        assert_eq!(post(&own, body).0, want, "{body}");
    }
    let (status, head, _) = post(&own, form);
    assert!(status == 303 && head.contains("Location: /incidents?id=1\r\n"), "{status} {head}");
    let page = ingester.get("/incidents?id=1").2;
    assert!(page.contains("Snoozed until") && page.contains("&lt;b&gt;") && page.contains("by pager"), "{page}");
}

fn silences_are_made_and_ended(api: &Api) {
    let (noc, operator) = (&api.noc, &api.operator);
    for (token, body, want, words) in [
        (noc, r#"{"router": "edge1", "for_secs": 60, "note": "x"}"#, 403, "silences its own watches"),
        (noc, r#"{"condition": "missing", "for_secs": 60, "note": "x"}"#, 403, "silences its own watches"),
        (noc, r#"{"watch_id": 1, "team": "other", "for_secs": 60, "note": "x"}"#, 403, "for another team"),
        (noc, r#"{"watch_id": 2, "for_secs": 60, "note": "x"}"#, 400, "there is no such watch"),
        (operator, r#"{"for_secs": 60, "note": "x"}"#, 400, "one of router"),
        (operator, r#"{"router": "nobody", "for_secs": 60, "note": "x"}"#, 400, "no router"),
        (operator, r#"{"prefix": "10.0.0.1/8", "for_secs": 60, "note": "x"}"#, 400, "prefix: 10.0.0.1/8 has host bits"),
        (operator, r#"{"peer_asn": 64500, "condition": "origin", "for_secs": 60, "note": "x"}"#, 400, "a hijack"),
        (operator, r#"{"watch_id": 2, "for_secs": 60, "note": " "}"#, 400, "note: is empty"),
        (operator, r#"{"watch_id": 2, "for_secs": 60}"#, 400, "missing field `note`"),
    ] {
        let (status, problem) = api.post(token, "/silences", body);
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == want && detail.contains(words), "{body}: {status} {detail}");
    }
    let (status, ours) = api.post(noc, "/silences", r#"{"watch_id": 1, "for_secs": 600, "note": "new router"}"#);
    assert_eq!((status, &ours["created_by"], &ours["team"]), (200, &json!("pager"), &json!("noc")), "{ours}");
    let planned = r#"{"router": "edge1", "peer_asn": 64500, "starts_at": "2099-01-01T00:00:00Z", "until": "2099-01-02T00:00:00+01:00", "note": "cable"}"#;
    let (status, theirs) = api.post(operator, "/silences", planned);
    assert_eq!((status, &theirs["router_id"]), (200, &json!("192.0.2.1")), "{theirs}");
    let (ours, theirs) = (ours["id"].clone(), theirs["id"].clone());
    assert_eq!(api.ids(operator, "/silences"), [theirs.clone(), ours.clone()]);
    assert_eq!(api.ids(noc, "/silences"), std::slice::from_ref(&ours));
    assert_eq!(api.ask(noc, "DELETE", &format!("/silences/{theirs}"), "").0, 404);
    assert_eq!(api.ask("", "DELETE", &format!("/silences/{theirs}"), "").0, 401);
    assert_eq!(api.ask(operator, "DELETE", &format!("/silences/{theirs}"), "").0, 200);
    assert_eq!(api.ask(noc, "DELETE", &format!("/silences/{ours}"), "").0, 200);
    assert_eq!(api.ask(noc, "DELETE", &format!("/silences/{ours}"), "").0, 404);
    assert_eq!(api.ids(operator, "/silences"), Vec::<Value>::new());
}
