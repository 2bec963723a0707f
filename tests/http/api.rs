//! The JSON API: what a client gets, who gets it, and what it costs when clients misbehave.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::ingester::{Ingester, answer, eventually};
use crate::common::pg::TestDb;

/// Two routers; the first has routes of a Loc-RIB and of a peer.
const ROUTES: &str = "
    INSERT INTO routers (router_id, hostname, as_number) VALUES ('192.0.2.1', 'edge1', 64500), ('192.0.2.2', 'edge2', 64500);
    INSERT INTO rib_sync_status (router_id, table_name, afi, eor_seen, synced_at) VALUES ('192.0.2.1', 'global', 4, true, now());
    INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id, nexthop, as_path, origin_asn, origin, communities_std, communities_ext, communities_large)
    SELECT '192.0.2.' || r, 'global', 4, network(set_masklen('198.18.0.0'::inet + i * 256, 24)), 0, '192.0.2.9'::inet, '64501 ' || 64502 + i % 2,
           64502 + i % 2, 'IGP', CASE WHEN i % 10 = 0 THEN '{64500:1,64500:2}'::text[] END, CASE WHEN i = 1 THEN '{RT:64500:7}'::text[] END,
           CASE WHEN i = 2 THEN '{64500:1:2}'::text[] END
    FROM generate_series(1, 2) r, generate_series(0, 49) i
    UNION ALL SELECT '192.0.2.1', 'blue', 6, '2001:db8::/32'::cidr, 7, '2001:db8::1'::inet, '', NULL, 'IGP', NULL, NULL, NULL;
    INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, nexthop, as_path, origin_asn)
    SELECT '192.0.2.1', ('203.0.113.' || p)::inet, 64510 + p, post, 'UNKNOWN', 4, '198.18.0.0/24'::cidr, '192.0.2.9'::inet, '64511', 64511
    FROM generate_series(1, 2) p, (VALUES (true), (false)) s(post)";

/// How complete the tables of the peer are.
const SYNC: &str = "
    INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi)
    SELECT DISTINCT router_id, peer_address, is_post_policy, table_name, afi FROM adj_rib_in";

/// The status, the head, and the body as JSON.
fn ask(ingester: &mut Ingester, target: &str) -> (u16, String, Value) {
    let (status, head, body) = ingester.get(&format!("/api/v1{target}"));
    let value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{target}: {error}: {head}\n{body}"));
    (status, head, value)
}

/// The rows of a list that is answered.
fn rows(ingester: &mut Ingester, target: &str) -> Vec<Value> {
    let (status, head, value) = ask(ingester, target);
    assert_eq!(status, 200, "{target}: {head} {value}");
    value["rows"].as_array().unwrap_or_else(|| panic!("{target}: {value}")).clone()
}

/// The status and the sentence of a problem.
fn problem(ingester: &mut Ingester, target: &str) -> (u16, String) {
    let (status, head, value) = ask(ingester, target);
    assert!(head.contains("Content-Type: application/problem+json"), "{target}: {head}");
    assert_eq!(value["status"], json!(status), "{value}");
    (status, value["detail"].as_str().unwrap().to_owned())
}

/// The value of a series among the metrics.
fn value_of(metrics: &str, series: &str) -> usize {
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}: {metrics}")).parse().unwrap()
}

/// The bytes of a body that came in chunks, and whether its end came.
fn dechunked(body: &str) -> (String, bool) {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (whole, true);
        }
        let Some(data) = after.get(..size) else { break };
        whole.push_str(data);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    (whole, false)
}

#[test]
fn the_api_answers_json_and_problems() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("API_RATE", "10000")]);
    db.client().batch_execute(ROUTES).unwrap();
    let http = ingester.http();

    let (status, head, first) = ask(&mut ingester, "/routers?limit=1");
    assert_eq!((status, first["truncated"].clone()), (200, json!(true)), "{head}");
    assert_eq!((&first["rows"][0]["router_id"], &first["rows"][0]["as_number"]), (&json!("192.0.2.1"), &json!(64_500)));
    let next = first["next"].as_str().unwrap();
    let link = head.lines().find_map(|line| line.strip_prefix("Link: </api/v1")).unwrap();
    let (_, _, second) = ask(&mut ingester, link.split_once(">; rel=\"next\"").unwrap().0);
    assert_eq!((&second["rows"][0]["hostname"], &second["next"]), (&json!("edge2"), &Value::Null));
    // The number of rows is no filter; of another list it is not.
    assert_eq!(rows(&mut ingester, &format!("/routers?limit=9&next={next}")).len(), 1);
    let foreign = problem(&mut ingester, &format!("/routes?next={next}"));
    assert_eq!(foreign, (400, "next belongs to a request with other parameters".to_owned()));

    let (_, _, router) = ask(&mut ingester, "/routers/edge1");
    assert_eq!((&router["router_id"], &router["all_afis_synced"]), (&json!("192.0.2.1"), &json!(true)));
    let table = &router["tables"][0];
    assert_eq!(
        (&table["table_name"], &table["view"], &table["peers"]),
        (&json!("global"), &json!("loc-rib"), &Value::Null)
    );

    for (target, status, words) in [
        ("/nothing", 404, "there is no such path"),
        ("", 404, "there is no such path"),
        ("/routers/nobody", 404, "no router, or more than one"),
        ("/routers?color=red", 400, "there is no parameter \"color\": there are limit, next"),
        ("/routers?limit=0", 400, "limit: is not a number from 1 to 10000"),
        ("/routers?limit=1&limit=2", 400, "limit is given twice"),
        ("/routers?next=x", 400, "next is not one"),
        ("/routes?router=nobody", 400, "router: no router is called \"nobody\""),
        ("/routes?prefix=10.0.0.1/8", 400, "prefix: 10.0.0.1/8 has host bits; did you mean 10.0.0.0/8?"),
        ("/routes?as_path=64500.*", 400, "as_path: is not AS numbers"),
        ("/routers/%ff", 400, "the path is not UTF-8"),
    ] {
        let (is, said) = problem(&mut ingester, target);
        assert!(is == status && said.starts_with(words), "{target}: {is} {said}");
    }
    for (request, status, words) in [
        ("PUT /api/v1/routers HTTP/1.1\r\n\r\n".to_owned(), 405, "Allow: GET, HEAD"),
        (
            "OPTIONS /api/v1/routers HTTP/1.1\r\nOrigin: https://evil.example\r\n\r\n".to_owned(),
            405,
            "Allow: GET, HEAD",
        ),
        ("GET /api/v1/routers HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 421, "problem+json"),
        (format!("GET /api/v1/routers HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(9_000)), 431, "problem+json"),
        ("POST /api/v1/routers HTTP/1.1\r\nContent-Length: 70000\r\n\r\n".to_owned(), 413, "problem+json"),
        ("GET /api/v1/routers HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n".to_owned(), 401, "WWW-Authenticate: Bearer"),
    ] {
        let (is, head, body) = answer(http, request.as_bytes());
        assert!(is == status && head.contains(words), "{request}: {head}\n{body}");
        assert!(serde_json::from_str::<Value>(&body).is_ok_and(|value| value["status"] == json!(status)), "{body}");
    }
    let (status, head, body) = answer(http, b"HEAD /api/v1/routers HTTP/1.1\r\n\r\n");
    assert!((status, body.as_str()) == (200, "") && head.contains("Content-Type: application/json"), "{head}");

    let (_, head, document) = ask(&mut ingester, "/openapi.json");
    assert_eq!(document["paths"]["/routers/{router}"]["get"]["parameters"][0]["in"], json!("path"));
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
    let known = format!("GET /api/v1/openapi.json HTTP/1.1\r\nIf-None-Match: {tag}\r\n\r\n");
    let (status, _, body) = answer(http, known.as_bytes());
    assert_eq!((status, body.as_str()), (304, ""));
    assert!(ingester.stop().success());
}

#[test]
fn routes_by_filter_by_page_and_by_line() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("API_RATE", "10000")]);
    db.client().batch_execute(ROUTES).unwrap();
    db.client().batch_execute(SYNC).unwrap();
    let http = ingester.http();
    for (filter, want) in [
        ("limit=1000", 101),
        ("router=edge1&limit=1000", 51),
        ("router=edge1&router=192.0.2.2&limit=1000", 101),
        ("table=blue", 1),
        ("afi=6", 1),
        ("prefix=198.18.1.0/24", 2),
        ("covering=198.18.1.9", 2),
        ("covered=198.18.0.0/22&router=edge2", 4),
        ("origin_asn=64502&router=edge2", 25),
        ("origin_asn=AS64502&origin_asn=64503&router=edge2", 50),
        ("nexthop=2001:db8::1", 1),
        ("community=64500:1", 10),
        ("community=64500:1&community=64500:3", 0),
        ("community=rt:64500:7", 2),
        ("community=64500:1:2", 2),
        ("as_path=*+64502&router=edge2", 25),
        ("as_path=64502", 0),
        ("view=adj-rib-in-post", 2),
        ("view=adj-rib-in-pre&peer=203.0.113.1", 1),
        ("view=adj-rib-in-pre&peer=203.0.113.1&peer=203.0.113.2&router=edge1", 2),
        ("view=adj-rib-out-post", 0),
    ] {
        assert_eq!(rows(&mut ingester, &format!("/routes?{filter}")).len(), want, "{filter}");
    }
    let one = rows(&mut ingester, "/routes?table=blue").remove(0);
    assert_eq!((&one["prefix"], &one["path_id"], &one["as_path"]), (&json!("2001:db8::/32"), &json!(7), &json!("")));
    assert!(one["updated_at"].as_str().unwrap().ends_with("+00:00"), "{one}");
    let post = rows(&mut ingester, "/routes?view=adj-rib-in-post").remove(0);
    assert_eq!((&post["peer_asn"], &post["is_post_policy"]), (&json!(64_511), &json!(true)));

    // Pages, while rows before, at and behind the key come and go: none twice, none lost that stays.
    for filter in [
        "router=edge2&router=edge1",
        "origin_asn=64502&origin_asn=64503",
        "view=adj-rib-in-post&peer=203.0.113.1&peer=203.0.113.2",
    ] {
        let (mut target, mut seen) = (format!("/routes?{filter}&limit=7"), Vec::new());
        loop {
            let (_, _, page) = ask(&mut ingester, &target);
            let keys = page["rows"].as_array().unwrap().iter().map(|row| {
                format!("{} {} {} {}", row["router_id"], row["peer_address"], row["table_name"], row["prefix"])
            });
            seen.extend(keys);
            db.client().batch_execute("DELETE FROM current_routes WHERE prefix = '198.18.6.0/24'; UPDATE current_routes SET updated_at = now()").unwrap();
            let Some(next) = page["next"].as_str() else { break };
            target = format!("/routes?{filter}&limit=7&next={next}");
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all, "{filter}: {seen:?}");
        assert!(all == 2 || all >= 98, "{filter}: {all}");
    }

    let request = "GET /api/v1/routes?router=edge1 HTTP/1.1\r\nAccept: application/x-ndjson\r\n\r\n";
    let (status, head, body) = answer(http, request.as_bytes());
    assert!(status == 200 && head.contains("Content-Type: application/x-ndjson"), "{head}");
    let (lines, is_whole) = dechunked(&body);
    assert!(is_whole && lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
    assert_eq!(lines.lines().count(), 50);
    // Without chunks, to the end of the connection.
    let (_, head, plain) = answer(http, request.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    assert!(plain == lines && !head.contains("chunked"), "{head}");
    let limited = request.replace("edge1", "edge1&limit=1");
    assert_eq!(answer(http, limited.as_bytes()).0, 400);
    let asked = "rib_ingester_api_requests_total{path=\"/routes\",status=\"4xx\"}";
    let metrics = ingester.get("/metrics").2;
    assert_eq!(value_of(&metrics, asked), 1, "{metrics}");
    assert!(value_of(&metrics, &asked.replace("4xx", "2xx")) > 20, "{metrics}");
    assert!(value_of(&metrics, "rib_ingester_api_sent_bytes_total") > 2 * lines.len(), "{metrics}");
    eventually("no stream is open", || {
        (value_of(&ingester.get("/metrics").2, "rib_ingester_api_streams") == 0).then_some(())
    });
    assert!(ingester.stop().success());
}

/// A token, and its line of the file.
fn token(arguments: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester")).arg("token").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    (said.trim().rsplit(' ').next().unwrap().to_owned(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn beyond_loopback_the_api_needs_a_token() {
    let db = TestDb::migrated();
    let folder = std::env::temp_dir().join(format!("rib-ingester-tokens-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tokens");
    let (reader, reader_line) = token(&["graphs"]);
    let (writer, writer_line) = token(&["pager", "--scope", "write", "--team", "noc"]);
    assert!(writer_line.starts_with("pager ") && writer_line.ends_with(" write noc\n"), "{writer_line}");
    std::fs::write(&file, &reader_line).unwrap();
    let settings = [
        ("HTTP_LISTEN", "0.0.0.0:0"),
        ("API_TOKEN_FILE", file.to_str().unwrap()),
        // More than is asked here before it is exceeded, and little enough for a slow machine to exceed it.
        ("API_RATE", "6"),
        ("API_CORS", "https://graphs.example"),
    ];
    let mut ingester = Ingester::start(&db.url(), &settings);
    ingester.logged("every user of this machine may read or write");
    let http = ingester.http();
    let status = |credentials: &str| {
        let header = if credentials.is_empty() { String::new() } else { format!("Authorization: {credentials}\r\n") };
        answer(http, format!("GET /api/v1/routers HTTP/1.1\r\n{header}\r\n").as_bytes()).0
    };
    assert_eq!(status(""), 401);
    assert_eq!(status("Bearer nonsense"), 401);
    assert_eq!(status(&format!("Bearer {reader}")), 200);
    assert_eq!(status(&format!("Bearer {writer}")), 401);
    // Health and metrics are as open as they were.
    assert_eq!(ingester.get("/healthz").0, 200);

    let preflight = "OPTIONS /api/v1/routers HTTP/1.1\r\nOrigin: https://graphs.example\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    let (is, head, _) = answer(http, preflight.as_bytes());
    assert!(is == 204 && head.contains("Access-Control-Allow-Origin: https://graphs.example\r\n"), "{head}");
    assert_eq!(answer(http, preflight.replace("graphs.", "evil.").as_bytes()).0, 405);

    // The file is read again when it changes; an invalid one changes nothing.
    std::fs::write(&file, format!("{reader_line}{writer_line}")).unwrap();
    eventually("the new token", || (status(&format!("Bearer {writer}")) == 200).then_some(()));
    std::fs::write(&file, "nonsense\n").unwrap();
    ingester.logged("API tokens: old ones kept");
    assert_eq!(status(&format!("Bearer {reader}")), 200);

    // One caller too fast keeps nobody else from asking.
    let refused = eventually("too many", || {
        let request = format!("GET /api/v1/routers HTTP/1.1\r\nAuthorization: Bearer {reader}\r\n\r\n");
        Some(answer(http, request.as_bytes())).filter(|(status, ..)| *status == 429)
    });
    assert!(refused.1.contains("Retry-After: 1\r\n"), "{}", refused.1);
    assert_eq!(status(&format!("Bearer {writer}")), 200);
    // Guesses count for the address that they come from, whatever they guess.
    let mut guesses = 0;
    eventually("guesses are slowed down", || {
        guesses += 1;
        (status(&format!("Bearer guess-{guesses}")) == 429).then_some(())
    });
    assert_eq!(status(&format!("Bearer {writer}")), 200);
    assert_eq!(ingester.get("/healthz").0, 200);
    let metrics = ingester.get("/metrics").2;
    assert!(value_of(&metrics, "rib_ingester_api_refused_requests_total") >= 2, "{metrics}");
    assert!(ingester.stop().success());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_many_routes_have_is_found_far_along() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    // More than are sorted for each page, after more than are walked along.
    let many = "INSERT INTO current_routes (router_id, table_name, afi, prefix, communities_std)
        SELECT '192.0.2.1', 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 256, 24)), ARRAY['64500:' || (i / 12000)::text]
        FROM generate_series(0, 11999) i
        UNION ALL
        SELECT '192.0.2.2', 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 256, 24)), '{64500:1}'
        FROM generate_series(0, 20499) i";
    db.client().batch_execute(many).unwrap();
    let mut next = String::new();
    for page in 0..3 {
        let (status, _, body) = ingester.get(&format!("/api/v1/routes?community=64500:1&limit=5000{next}"));
        let list: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200, "{body}");
        let prefixes: Vec<&str> =
            list["rows"].as_array().unwrap().iter().map(|row| row["prefix"].as_str().unwrap()).collect();
        let want = (page * 5000..(page + 1) * 5000).map(|i| format!("10.{}.{}.0/24", i / 256, i % 256));
        assert!(want.eq(prefixes), "page {page}");
        next = format!("&next={}", list["next"].as_str().unwrap());
    }
    assert!(ingester.stop().success());
}

/// A client that asks for all routes and reads none, with a small buffer.
fn slow_client(http: SocketAddr, request: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1024).unwrap();
    socket.connect(&http.into()).unwrap();
    let mut client: TcpStream = socket.into();
    client.write_all(request.as_bytes()).unwrap();
    client
}

#[test]
fn slow_clients_of_streams_keep_nobody_waiting() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("API_RATE", "100000")]);
    let http = ingester.http();
    let many = "INSERT INTO routers (router_id) VALUES ('192.0.2.1');
        INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path)
        SELECT '192.0.2.1', 'global', 4, network(set_masklen('10.0.0.0'::inet + i * 256, 24)), '192.0.2.9'::inet, '64500 64501 64502'
        FROM generate_series(0, 39999) i";
    db.client().batch_execute(many).unwrap();
    let lines = "GET /api/v1/routes HTTP/1.1\r\nAccept: application/x-ndjson\r\n\r\n";
    let (_, _, body) = answer(http, lines.as_bytes());
    let (whole, is_whole) = dechunked(&body);
    assert!(is_whole && whole.lines().count() == 40_000, "{}", whole.lines().count());
    let before = ingester.proc_status("VmRSS");

    // Those that take all streams, those that do not read a large answer, and a thousand that do not finish asking.
    let mut slow: Vec<TcpStream> = Vec::new();
    let busy = eventually("all streams are taken", || {
        let mut client = slow_client(http, lines);
        let mut status = [0; 12];
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client.read_exact(&mut status).unwrap();
        if &status == b"HTTP/1.1 200" {
            slow.push(client);
            return None;
        }
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        Some(format!("{}{rest}", String::from_utf8_lossy(&status)))
    });
    assert!(busy.starts_with("HTTP/1.1 503") && busy.contains("Retry-After: 2\r\n"), "{busy}");
    assert!(slow.len() <= 8 && busy.contains("8 streams run already"), "{}: {busy}", slow.len());
    slow.extend((0..40).map(|_| slow_client(http, "GET /api/v1/routes?limit=10000 HTTP/1.1\r\n\r\n")));
    for round in 0..20 {
        slow.extend((0..50).map(|_| slow_client(http, "GET /api/v1/routes?covered=0.0.0.0/0&next=")));
        let began = Instant::now();
        assert_eq!(ingester.get("/healthz").0, 200);
        assert!(began.elapsed() < Duration::from_secs(1), "round {round}: {:?}", began.elapsed());
    }
    let grown = ingester.proc_status("VmRSS").saturating_sub(before);
    assert!(grown < 200 * 1024, "{grown} KiB more");
    // Whoever takes nothing is cut, and the next one has its turn.
    eventually("a stream is free again", || {
        let (status, _, body) = answer(http, lines.as_bytes());
        (status == 200 && dechunked(&body).1).then_some(())
    });
    // The one that was cut sees that its part is not the whole.
    let is_whole = |client: &mut TcpStream| {
        let mut taken = Vec::new();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let _ = client.read_to_end(&mut taken);
        let text = String::from_utf8_lossy(&taken);
        text.split_once("\r\n\r\n").is_some_and(|(_, body)| dechunked(body).1)
    };
    assert!(slow.iter_mut().take(8).any(|client| !is_whole(client)));
    assert!(ingester.stop().success());
}
