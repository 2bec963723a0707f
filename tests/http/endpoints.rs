//! The HTTP port of the running collector: metrics, health, and clients that misbehave.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, answer, eventually, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";

fn loc_rib() -> Peer {
    Peer::loc_rib(ROUTER)
}

fn greet(router: &mut FakeRouter, name: &[u8]) {
    router.send(&bmp::initiation(name, b"made by a test"));
    router.send(&bmp::peer_up(loc_rib(), &Open::of(64_500, ROUTER), Some("global")));
}

fn announce(prefixes: &[&str]) -> Vec<u8> {
    bmp::route_monitoring(loc_rib(), &bmp::announce(&Attributes::path(&[64_500, 64_501]), "192.0.2.1", prefixes))
}

/// The value of a series, as the text has it.
fn metric(ingester: &mut Ingester, series: &str) -> Option<String> {
    let (status, _, text) = ingester.get("/metrics");
    assert_eq!(status, 200);
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(str::to_owned)
}

fn anomaly_becomes(ingester: &mut Ingester, kind: &str, times: u32) {
    let series = format!("rib_ingester_anomalies_total{{router=\"10.255.0.1\",kind=\"{kind}\"}}");
    metric_becomes(ingester, &series, &times.to_string());
}

fn metric_becomes(ingester: &mut Ingester, series: &str, value: &str) {
    eventually_equal(Some(value.to_owned()), || metric(ingester, series));
}

#[test]
fn the_life_of_a_router_is_counted() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router, b"edge1");
    router.send(&announce(&["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]));
    router.send(&announce(&["10.3.0.0/16"]));
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::withdraw(&["10.1.0.0/16"])));
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib_ipv4()));
    // A Route Monitoring message whose UPDATE is cut short.
    router.send(&bmp::route_monitoring(loc_rib(), &[0xff; 19]));
    // The counter of the last message, so that all others are there.
    metric_becomes(&mut ingester, "rib_ingester_anomalies_total{router=\"10.255.0.1\",kind=\"rejected\"}", "1");
    let table = "{router=\"10.255.0.1\",table=\"global\",afi=\"4\"}";
    for (name, value) in [
        ("routes", "2"),
        ("announced_total", "4"),
        ("withdrawn_total", "1"),
        ("unchanged_total", "1"),
        ("purged_total", "0"),
        ("end_of_rib_seen", "1"),
        ("table_synced", "1"),
    ] {
        assert_eq!(metric(&mut ingester, &format!("rib_ingester_{name}{table}")).as_deref(), Some(value), "{name}");
    }
    let of_router = |name: &str| format!("rib_ingester_{name}{{router=\"10.255.0.1\"}}");
    assert_eq!(metric(&mut ingester, &of_router("session_up")).as_deref(), Some("1"));
    let info = "rib_ingester_router_info{router=\"10.255.0.1\",hostname=\"edge1\",address=\"127.0.0.1\"}";
    assert_eq!(metric(&mut ingester, info).as_deref(), Some("1"));
    for path in ["state", "history"] {
        let count = format!("rib_ingester_commit_lag_seconds_count{{router=\"10.255.0.1\",path=\"{path}\"}}");
        eventually(&count, || metric(&mut ingester, &count).filter(|count| count != "0"));
        let waiting = format!("rib_ingester_uncommitted_seconds{{path=\"{path}\"}}");
        metric_becomes(&mut ingester, &waiting, "0");
    }
    eventually("rows", || {
        metric(&mut ingester, "rib_ingester_rows_total{kind=\"event_written\"}").filter(|n| n == "4")
    });

    drop(router);
    metric_becomes(&mut ingester, &of_router("session_up"), "0");
    let ends = "rib_ingester_session_ends_total{router=\"10.255.0.1\",how=\"closed\"}";
    assert_eq!(metric(&mut ingester, ends).as_deref(), Some("1"));
    assert_eq!(metric(&mut ingester, &format!("rib_ingester_routes{table}")).as_deref(), Some("2"), "held");

    // It reconnects and sends the same again, but for one route: nothing is written twice, one route is stale.
    let mut router = ingester.connect();
    greet(&mut router, b"edge1");
    router.send(&announce(&["10.2.0.0/16"])).send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib_ipv4()));
    metric_becomes(&mut ingester, &format!("rib_ingester_purged_total{table}"), "1");
    assert_eq!(metric(&mut ingester, &format!("rib_ingester_routes{table}")).as_deref(), Some("1"));
    assert_eq!(metric(&mut ingester, &format!("rib_ingester_unchanged_total{table}")).as_deref(), Some("2"));
    router.send(&bmp::peer_down(loc_rib(), 6));
    eventually("the table's series end", || {
        metric(&mut ingester, &format!("rib_ingester_routes{table}")).is_none().then_some(())
    });
    assert!(ingester.stop().success());
}

#[test]
fn a_peers_statistics_are_series_until_it_goes() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router, b"edge1");
    let (one, two) = (Peer::global_instance("192.0.2.1", 64_501), Peer::global_instance("192.0.2.2", 64_502));
    router.send(&bmp::statistics(one, 3)).send(&bmp::statistics(two, 4)).send(&bmp::statistics(one, 5));
    let series = |peer: &str, of: &str| {
        format!(
            "rib_ingester_peer_statistic{{router=\"10.255.0.1\",peer=\"{peer}\",statistic=\"adj_rib_in_routes{of}\"}}"
        )
    };
    let (all, of_family) = ("\",family=\"", "_per_family\",family=\"IPv4 unicast");
    metric_becomes(&mut ingester, &series("192.0.2.1", all), "5");
    metric_becomes(&mut ingester, &series("192.0.2.1", of_family), "5");
    metric_becomes(&mut ingester, &series("192.0.2.2", all), "4");
    router.send(&bmp::peer_down(one, 4));
    eventually("its series end", || metric(&mut ingester, &series("192.0.2.1", all)).is_none().then_some(()));
    assert_eq!(metric(&mut ingester, &series("192.0.2.2", all)).as_deref(), Some("4"));
    drop(router);
    eventually("all end", || metric(&mut ingester, &series("192.0.2.2", all)).is_none().then_some(()));
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router, b"edge \"1\"\\\n");
    router.send(&announce(&["10.1.0.0/16"])).send(&bmp::route_monitoring(loc_rib(), &[0xff; 19]));
    eventually("the first batch", || {
        metric(&mut ingester, "rib_ingester_rows_total{kind=\"route_written\"}").filter(|count| count == "1")
    });
    let (_, head, text) = ingester.get("/metrics");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else { return println!("skipped: no promtool on this machine") };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn ready_says_which_part_is_not() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    eventually("ready", || (ingester.get("/readyz").0 == 200).then_some(()));
    let (_, _, text) = ingester.get("/readyz");
    assert_eq!(text, "database: ok\nschema: ok\nwriters: ok\njournal: ok\nthreads: ok\n");
    assert_eq!(ingester.get("/healthz"), (200, ingester.get("/healthz").1, "ok\n".to_owned()));
    db.client().batch_execute("UPDATE schema_migrations SET checksum = 'other' WHERE name = '0001_routes'").unwrap();
    let text = eventually("not ready", || Some(ingester.get("/readyz")).filter(|(status, ..)| *status == 503)).2;
    assert!(text.contains("schema: lacks 0001_routes\n") && text.contains("database: ok\n"), "{text}");
    // A collector that is not ready is still alive.
    assert_eq!(ingester.get("/healthz").0, 200);
    assert_eq!(metric(&mut ingester, "rib_ingester_ready{part=\"schema\"}").as_deref(), Some("0"));
}

#[test]
fn without_a_database_health_works_and_ready_fails() {
    let db = TestDb::create();
    let mut ingester = Ingester::spawn("postgresql://writer:hunter2@127.0.0.1:1/rib", &[]);
    let (status, _, text) = eventually("the error", || {
        Some(ingester.get("/readyz")).filter(|(_, _, text)| text.contains("writers: not started: not reached: "))
    });
    assert_eq!(status, 503);
    assert!(text.starts_with("database: ") && !text.contains("hunter2"), "{text}");
    assert!(text.contains("schema: not yet\n"), "{text}");
    assert_eq!(ingester.get("/healthz").0, 200);
    assert_eq!(ingester.get("/metrics").0, 200);
    assert!(ingester.stop().success());
    drop(db);
}

#[test]
fn invalid_requests_are_answered_or_closed() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let http = ingester.http();
    assert_eq!(answer(http, b"POST /metrics HTTP/1.1\r\n\r\n").0, 405);
    assert_eq!(answer(http, b"\x03\0\0\x30\x04").0, 400);
    assert_eq!(ingester.get("/../etc/passwd").0, 404);
    let (status, head, body) = answer(http, b"HEAD /healthz HTTP/1.1\r\n\r\n");
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("Content-Length: 3"), "{head}");
    for expected in ["X-Content-Type-Options: nosniff", "Content-Security-Policy: default-src 'none'", "no-store"] {
        assert!(head.contains(expected), "{head}");
    }
    let endless = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'x'; 9_000]].concat();
    assert_eq!(answer(http, &endless).0, 431);

    // More silent clients than threads: each is closed at its deadline, and then others are answered.
    let began = Instant::now();
    let mut silent: Vec<TcpStream> = (0..6).map(|_| TcpStream::connect(http).unwrap()).collect();
    silent.iter_mut().for_each(|client| client.write_all(b"GET / HT").unwrap());
    assert_eq!(ingester.get("/healthz").0, 200);
    for client in &mut silent {
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0, "cut without an answer");
    }
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn who_is_slow_keeps_nobody_waiting() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let http = ingester.http();
    eventually("it is ready", || (ingester.get("/readyz").0 == 200).then_some(()));
    // Some send nothing, some half of a request, more than there is room for; some do not read their page.
    let mut slow: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(http).unwrap()).collect();
    slow.iter_mut().step_by(2).for_each(|client| drop(client.write_all(b"GET / HT")));
    for _ in 0..30 {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(1024).unwrap();
        socket.connect(&http.into()).unwrap();
        let mut client: TcpStream = socket.into();
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        slow.push(client);
    }
    for _ in 0..10 {
        for path in ["/healthz", "/readyz"] {
            let began = Instant::now();
            assert_eq!(ingester.get(path).0, 200, "{path}");
            assert!(began.elapsed() < Duration::from_secs(3), "{path} took {:?}", began.elapsed());
        }
        // New ones connect all the time.
        slow.extend((0..20).map(|_| TcpStream::connect(http).unwrap()));
    }
    drop(slow);
    // Pages wait for those that were requested before.
    eventually("a page to be answered", || (ingester.get("/").0 == 200).then_some(()));
    assert!(ingester.stop().success());
}

#[test]
fn over_loopback_only_names_of_loopback_are_answered() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let http = ingester.http();
    let status = |host: &str, path: &str| answer(http, format!("GET {path} HTTP/1.1\r\n{host}\r\n").as_bytes()).0;
    for host in ["Host: localhost\r\n", "host: 127.0.0.1:11020\r\n", "Host: [::1]:80\r\n", ""] {
        assert_eq!(status(host, "/"), 200, "{host}");
    }
    for path in ["/", "/metrics", "/readyz", "/lookup?q=10.0.0.0"] {
        assert_eq!(status("Host: evil.example:11020\r\n", path), 421, "{path}");
    }
    assert!(ingester.stop().success());
}

#[test]
fn every_anomaly_is_counted_by_kind_and_logged_once() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("EOR_TIMEOUT_SECS", "1")]);
    let mut router = ingester.connect();
    let monitored = |bgp: &[u8]| bmp::route_monitoring(loc_rib(), bgp);
    let header = bmp::bgp(1, &[]);
    let refresh = |subtype| monitored(&bmp::bgp(5, &[0, 1, subtype, 1]));
    let attributes = Attributes::path(&[64_500]);
    let with_id = monitored(&bmp::announce_paths(&attributes, "192.0.2.1", &[("10.128.0.0/9", Some(255))]));
    // No Initiation: the first message is a Peer Up, whose other OPEN is a bare header; then it is repeated.
    let open = Open::of(64_500, "10.255.0.1");
    router.send(&bmp::peer_up_of(loc_rib(), &open.bytes(), &header, &[]));
    // It is of identifier 0.0.0.0, with a capability that is cut short and a TLV that is.
    let cut = Open { bgp_id: None, further: vec![65, 9], ..open.clone() };
    router.send(&bmp::peer_up_of(loc_rib(), &cut.bytes(), &open.bytes(), &[0, 3, 0, 9]));
    // Path identifiers that were not announced, and none where they were.
    router.send(&with_id).send(&with_id);
    let add_path = Open { add_path: vec![(1, 1)], ..open.clone() };
    router.send(&bmp::peer_up(loc_rib(), &add_path, None)).send(&announce(&["10.1.0.0/16"]));
    // The F flag.
    router.send(&bmp::route_monitoring(Peer { flags: 0x80, ..loc_rib() }, &bmp::withdraw(&["2001:db8::/32"])));
    // The markers of a refresh, and a request for one.
    router.send(&refresh(1)).send(&refresh(2)).send(&refresh(0));
    // Octets after the BGP message; one End-of-RIB too many; none at all for IPv6.
    router.send(&monitored(&[&bmp::end_of_rib_ipv4()[..], &[1]].concat())).send(&monitored(&bmp::end_of_rib_ipv4()));
    // An instance that no Peer Up named.
    let vrf = loc_rib().with_rd(0x0000_fde8_0000_0007);
    router.send(&bmp::route_monitoring(vrf, &bmp::announce(&attributes, "192.0.2.1", &["10.1.0.0/16"])));
    for (kind, times) in [
        ("no_initiation", 1),
        ("dummy_open", 1),
        ("zero_identifier", 1),
        ("repeated_peer_up", 2),
        ("capability_cut_short", 1),
        ("tlv_cut_short", 1),
        ("add_path_unannounced", 2),
        ("add_path_missing", 1),
        ("filtered_loc_rib", 1),
        ("route_refresh", 3),
        ("trailing_bytes", 1),
        ("end_of_rib_repeated", 1),
        ("loc_rib_without_peer_up", 1),
        // The IPv6 table, and that of the instance.
        ("end_of_rib_missing", 2),
        ("rejected", 0),
    ] {
        anomaly_becomes(&mut ingester, kind, times);
    }
    let said = |ingester: &Ingester, words: &str| ingester.log().iter().filter(|line| line.contains(words)).count();
    for words in ["ROUTE-REFRESH in Route Monitoring", "sends path identifiers it did not announce", "further Peer Up"]
    {
        assert_eq!(said(&ingester, words), 1, "{words}");
    }
    assert!(ingester.stop().success());
}
