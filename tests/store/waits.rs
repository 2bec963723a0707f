//! Waits for the database that nobody answers: each has a bound of ours, signals are heard in all of them, and the log and
//! `/readyz` name the latest cause.
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, answer, eventually};
use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;
use crate::common::server::{Folder, Server};

/// How long what takes seconds at most may take on a slow machine.
const SOON: Duration = Duration::from_secs(15);

/// A port that accepts connections and never says anything: a paused pooler, a balancer with nothing behind it.
fn mute() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            kept.push(stream);
        }
    });
    port
}

fn run(command: &str, url: &str) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    run.env_clear().arg(command).env("RIB_INGESTER_DATABASE_URL", url).output().unwrap()
}

fn stops_soon(ingester: Ingester) {
    let begin = Instant::now();
    assert!(ingester.stop().success());
    assert!(begin.elapsed() < SOON, "took {:?}", begin.elapsed());
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let port = mute();
    let begin = Instant::now();
    let output = run("status", &format!("postgres://rib@127.0.0.1:{port}/rib?connect_timeout=1"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("rib@127.0.0.1:{port}/rib: ")) && said.contains("no answer for 1 s"), "{said}");
    assert!(begin.elapsed() < SOON, "took {:?}", begin.elapsed());
    for mode in ["disable", "require"] {
        let output = run("status", &format!("postgres://rib@127.0.0.1:{port}/rib?connect_timeout=1&sslmode={mode}"));
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    }

    // Behind it stands one that answers.
    let db = TestDb::create();
    let (host, real) = db.server();
    if !host.starts_with('/') {
        let url =
            db.url().replace(&format!("host={host} port={real}"), &format!("host=127.0.0.1,{host} port={port},{real}"));
        let output = run("migrate", &format!("{url} connect_timeout=1"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_stop_is_heard_while_nothing_answers() {
    let url = format!("postgres://rib@127.0.0.1:{}/rib", mute());
    let mut ingester = Ingester::spawn(&url, &[]);
    ingester.logged("http: ");
    stops_soon(ingester);
    let mut ingester = Ingester::spawn(&format!("{url}?connect_timeout=1"), &[]);
    ingester.logged("database: not reached: rib@127.0.0.1:");
    let (status, _, text) = ingester.get("/readyz");
    assert!(status == 503 && text.contains("not started: not reached: "), "{text}");
    stops_soon(ingester);
}

#[test]
fn a_migration_that_waits_says_for_whom() {
    let db = TestDb::create();
    let mut holder = db.client();
    holder
        .batch_execute("SET application_name = 'someone else'; SELECT pg_advisory_lock(x'007269626d696772'::bigint)")
        .unwrap();
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let mut ingester = Ingester::spawn(&db.url(), &[]);
    let line = ingester.logged("the migration waits for its lock, which is held by ");
    assert!(line.contains(&format!("process {pid} of the server (someone else, ")), "{line}");
    stops_soon(ingester);
    let mut ingester = Ingester::spawn(&db.url(), &[]);
    ingester.logged("the migration waits for its lock");
    drop(holder);
    ingester.logged("waiting for routers on ");
    stops_soon(ingester);
}

/// The processes of the server that serve these threads get a signal.
fn signal_backends(server: &Server, name: &str, pids: &[String]) {
    assert!(!pids.is_empty() && server.is_running());
    assert!(Command::new("kill").args(["-s", name]).args(pids).status().unwrap().success());
}

#[test]
fn frozen_backends_are_noticed_and_keep_nobody() {
    let server = Server::start("", &[]);
    let state = Folder::new();
    let settings = [("STATE_DIR", state.path().to_str().unwrap()), ("SHUTDOWN_TIMEOUT_SECS", "4")];
    let mut ingester = Ingester::start(&server.url, &settings);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    let up = bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global"));
    let announce = |prefix: &str| {
        bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &[prefix]))
    };
    router.send(&bmp::initiation(b"edge1", b"")).send(&up).send(&announce("10.1.0.0/16"));
    let stored = |prefix: &str| {
        let found = format!("SELECT count(*) FROM current_routes WHERE prefix = '{prefix}'");
        eventually("the route is stored", || (server.super_sql("rib", &found) == "1").then_some(()));
    };
    stored("10.1.0.0/16");
    let ours = "SELECT pid FROM pg_stat_activity WHERE application_name ~ '^rib-ingester/(state|events)-'";
    let pids: Vec<String> = server.super_sql("rib", ours).lines().map(str::to_owned).collect();
    signal_backends(&server, "STOP", &pids);
    router.send(&announce("10.2.0.0/16"));
    let begin = Instant::now();
    let http = ingester.http();
    eventually("readyz to say so", || {
        let (status, _, text) = answer(http, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (status == 503 && text.contains("has had no answer from the database for")).then_some(())
    });
    assert!(begin.elapsed() < 2 * SOON, "took {:?}", begin.elapsed());
    stops_soon(ingester);
    signal_backends(&server, "CONT", &pids);
    // What could not be written waited on the disk.
    let again = Ingester::start(&server.url, &settings);
    stored("10.2.0.0/16");
    stops_soon(again);
}

#[test]
fn the_latest_cause_is_named() {
    let server = Server::start("", &[]);
    server.super_sql("postgres", "ALTER DATABASE rib OWNER TO postgres");
    let proxy = Proxy::start("127.0.0.1", server.port());
    proxy.is_down.store(true, std::sync::atomic::Ordering::SeqCst);
    let url = server.url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port));
    let mut ingester = Ingester::spawn(&url, &[]);
    ingester.logged(&format!("database: not reached: rib@127.0.0.1:{}/rib: ", proxy.port));
    proxy.is_down.store(false, std::sync::atomic::Ordering::SeqCst);
    let line = ingester.logged("database: still not usable: rib@127.0.0.1:");
    assert!(line.contains("permission denied") && line.contains("42501"), "{line}");
    let (status, _, text) = ingester.get("/readyz");
    assert!(status == 503 && text.contains("writers: not started: not usable: ") && text.contains("42501"), "{text}");
    server.super_sql("postgres", "ALTER DATABASE rib OWNER TO rib");
    ingester.logged("database: connected after ");
    stops_soon(ingester);
}
