//! `serve` as an operator sees it: SIGHUP, log lines, exit codes.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::common::ingester::{self, Ingester, eventually};
use crate::common::pg::TestDb;

/// A file of one test, removed at its end.
struct File(PathBuf);

impl File {
    fn create(name: &str, text: &str) -> File {
        let file = File(std::env::temp_dir().join(format!("rib-ingester-{name}-{}", std::process::id())));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// `serve` with settings that keep it from starting.
fn serve(settings: &[(&str, &str)]) -> Output {
    let vars = settings.iter().map(|(name, value)| (format!("RIB_INGESTER_{name}"), value));
    ingester::serve("").env_remove("RIB_INGESTER_DATABASE_URL").envs(vars).output().unwrap()
}

fn refused_for(settings: &[(&str, &str)], text: &str) {
    // Port 1 (tcpmux) is closed on every machine that runs these tests: no check may follow the database's.
    let database = ("DATABASE_URL", "postgresql://writer:hunter2@127.0.0.1:1/rib");
    let output = serve(&[&[database], settings].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(text) && !said.contains("hunter2"), "{said}");
}

#[test]
fn sighup_reloads_the_allow_list_unless_it_is_invalid() {
    let db = TestDb::create();
    let allow = File::create("allow", "192.0.2.0/24\n");
    let settings = [("ALLOW", "198.51.100.0/24"), ("ALLOW_FILE", allow.path())];
    let mut ingester = Ingester::start(&db.url(), &settings);

    let mut router = ingester.connect();
    ingester.logged("router at 127.0.0.1: refused");
    eventually("the refused connection is closed", || router.is_closed().then_some(()));

    allow.write("127.0.0.0/33\n");
    ingester.signal("HUP");
    let line = ingester.logged("old values kept");
    assert!(line.contains(allow.path()) && line.contains("line 1"), "{line}");

    allow.write("# the test\n127.0.0.0/8\n");
    ingester.signal("HUP");
    ingester.logged("allow-list: read again, 1 networks");
    let mut router = ingester.connect();
    // This is not BMP. The session is closed for that reason, so it had been admitted.
    router.send_or_be_cut(b"GET / HTTP/1.1\r\n\r\n");
    ingester.logged("not BMP: an HTTP request");
    assert!(ingester.stop().success());
}

#[test]
fn sighup_reloads_the_log_filter_unless_it_is_invalid() {
    let db = TestDb::create();
    let filter = File::create("filter", "info\n");
    let mut ingester = Ingester::start(&db.url(), &[("LOG_FILTER_FILE", filter.path())]);
    filter.write("loud\n");
    ingester.signal("HUP");
    let line = ingester.logged("log filter: old one kept");
    assert!(line.contains("is not a level"), "{line}");
    filter.write("info,rib_ingester=debug\n");
    ingester.signal("HUP");
    ingester.logged("log filter: read again, at most DEBUG");
    assert!(ingester.stop().success());
}

#[test]
fn ctrl_c_stops_as_sigterm_does() {
    let db = TestDb::create();
    let ingester = Ingester::start(&db.url(), &[]);
    ingester.signal("INT");
    let (status, log) = ingester.ended();
    assert!(status.success() && log.iter().any(|line| line.contains("collector: stopped")), "{log:?}");
}

#[test]
fn repeated_lines_are_folded_and_counted_at_the_end() {
    let db = TestDb::create();
    let mut ingester = Ingester::start(&db.url(), &[]);
    for _ in 0..5 {
        let mut router = ingester.connect();
        router.send_or_be_cut(b"SSH-2.0-OpenSSH_9.2\r\n");
        eventually("the connection is closed", || router.is_closed().then_some(()));
    }
    let line = ingester.logged("router at 127.0.0.1: session ended: not BMP");
    // Time, level and message: standard error is not the journal here.
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(words[0].ends_with('Z') && words[0].contains('T') && words[1] == "warn", "{line}");
    assert_eq!(ingester.count_logged("router at 127.0.0.1: session ended: not BMP"), 1);
    ingester.signal("TERM");
    let line = ingester.logged("(repeated 4 times)");
    assert!(line.contains("router at 127.0.0.1: session ended: not BMP"), "{line}");
}

#[test]
fn what_is_no_router_is_named_with_its_remedy() {
    let db = TestDb::create();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let cases: [(&[u8], &str); 6] = [
        (
            b"GET / HTTP/1.1\r\nHost: collector\r\n\r\n",
            "an HTTP request: the status page and /readyz are at RIB_INGESTER_HTTP_LISTEN",
        ),
        (
            &[22, 3, 1, 0, 5, 1, 0, 0, 1, 3],
            "a TLS handshake: this port accepts plain BMP; send TLS to RIB_INGESTER_BMP_TLS_LISTEN",
        ),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 11019\r\n",
            "the PROXY protocol, version 1: add the load balancer to RIB_INGESTER_PROXY_FROM",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
            "the PROXY protocol, version 2: add the load balancer to RIB_INGESTER_PROXY_FROM",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH client"),
        (&[0xff; 29], "a BGP message: configure the collector as a BMP station"),
    ];
    for (bytes, expected) in cases {
        let mut stranger = ingester.connect();
        stranger.send_or_be_cut(bytes);
        let line = ingester.logged(expected);
        assert!(line.contains("router at 127.0.0.1: session ended: not BMP: "), "{line}");
        eventually("it is closed", || stranger.is_closed().then_some(()));
    }
    assert!(ingester.stop().success());
}

#[test]
fn a_health_check_is_counted_and_logged_only_at_debug() {
    let db = TestDb::create();
    let filter = File::create("health", "info\n");
    let mut ingester = Ingester::start(&db.url(), &[("LOG_FILTER_FILE", filter.path())]);
    let is_counted = |ingester: &mut Ingester, times: u32| {
        let (_, _, metrics) = ingester.get("/metrics");
        metrics.lines().any(|line| line == format!("rib_ingester_silent_connections_total {times}"))
    };
    for _ in 0..3 {
        drop(ingester.connect());
        // Some end with a reset, which may arrive before the connection is accepted.
        let reset = std::net::TcpStream::connect(ingester.address()).unwrap();
        socket2::SockRef::from(&reset).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
    eventually("all are counted", || is_counted(&mut ingester, 6).then_some(()));
    assert_eq!(ingester.count_logged("router at "), 0, "{:?}", ingester.log());

    filter.write("debug\n");
    ingester.signal("HUP");
    ingester.logged("log filter: read again");
    drop(ingester.connect());
    ingester.logged("router at 127.0.0.1: connected and closed without a byte");
    assert!(ingester.stop().success());
}

#[test]
fn health_asks_the_collector_with_its_settings() {
    let health = |listen: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        command.env_clear().arg("health").args(arguments).env("RIB_INGESTER_HTTP_LISTEN", listen);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    // Where there is no database it is alive, and not ready.
    let mut ingester = Ingester::spawn("host=127.0.0.1 port=1", &[("HTTP_LISTEN", "0.0.0.0:0")]);
    let listen = ingester.http().to_string();
    assert_eq!(health(&listen, &[]), (Some(0), "ok\n".to_owned()));
    let (code, said) = health(&listen, &["--ready"]);
    assert!(code == Some(1) && said.contains("/readyz: status 503: ") && said.contains("database: "), "{said}");
    assert!(ingester.stop().success());
    let (code, said) = health(&listen, &[]);
    assert!(code == Some(1) && said.contains("/healthz: Connection refused"), "{said}");
    let (code, said) = health("off", &[]);
    assert!(code == Some(2) && said.contains("RIB_INGESTER_HTTP_LISTEN is off"), "{said}");
}

#[test]
fn a_replay_that_is_refused_fails() {
    let db = TestDb::create();
    let ingester = Ingester::start(&db.url(), &[("ALLOW", "192.0.2.0/24")]);
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/frr10-locrib.bmp");
    let to = ingester.address().to_string();
    let mut replay = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output = replay.env_clear().args(["replay", recording, "--to", &to]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("its log says why"), "{said}");
    assert!(ingester.stop().success());
}

#[test]
fn a_host_that_is_not_found_is_named() {
    let mut ingester = Ingester::spawn("postgresql://writer@no-such-host.invalid:5433/rib", &[]);
    let line = ingester.logged("database: not reached: writer@no-such-host.invalid:5433/rib: ");
    assert!(line.contains("lookup"), "{line}");
    assert!(ingester.stop().success());
}

#[test]
fn wrong_files_and_settings_stop_the_start() {
    refused_for(&[("ALLOW_FILE", "/nonexistent")], "RIB_INGESTER_ALLOW_FILE=/nonexistent: No such file");
    refused_for(&[("LOG_FILTER_FILE", "/nonexistent")], "RIB_INGESTER_LOG_FILTER_FILE=/nonexistent: No such file");
    refused_for(&[("LOG", "loud")], "RIB_INGESTER_LOG=loud: is not a level");
    refused_for(&[("STATE_WRITER", "2")], "did you mean RIB_INGESTER_STATE_WRITERS?");
    let output = serve(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("RIB_INGESTER_DATABASE_URL: is required"));
}

/// One of our own recordings (tests/data/README.md) through every command an operator types.
#[test]
fn a_recording_goes_from_replay_to_lookup() {
    let db = TestDb::create();
    let ingester = Ingester::start(&db.url(), &[]);
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/frr10-locrib.bmp");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        command.env_clear().env("RIB_INGESTER_DATABASE_URL", db.url()).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    command(&["replay", recording, "--to", &ingester.address().to_string()]);
    let tables = |status: &serde_json::Value| -> Vec<(String, u64)> {
        let tables = status["routers"][0]["tables"].as_array().cloned().unwrap_or_default();
        tables.iter().map(|t| (t["table_name"].to_string(), t["routes"].as_u64().unwrap())).collect()
    };
    // Written after the last route on the same channel.
    let lost = "SELECT kind FROM session_events WHERE kind = 'session_lost'";
    eventually("the end of the session", || (!db.rows(lost).is_empty()).then_some(()));
    let routes = tables(&serde_json::from_str(&command(&["status", "--json"])).unwrap());
    assert!(routes.iter().all(|(_, routes)| *routes > 0), "{routes:?}");
    assert_eq!(routes.len(), 2, "IPv4 and IPv6: {routes:?}");

    // Any prefix of the table is its own longest match.
    let prefix = db.rows("SELECT min(prefix::text) FROM current_routes WHERE afi = 4").remove(0);
    let found: serde_json::Value = serde_json::from_str(&command(&["lookup", "--json", &prefix])).unwrap();
    assert_eq!(found[0]["prefix"].as_str(), Some(prefix.as_str()));
    assert!(command(&["lookup", &prefix]).contains(&prefix));
    assert!(command(&["status"]).contains("  IPv6  "));
    assert!(ingester.stop().success());
}
