//! Waits for a database that does not answer: each has a bound of ours, signals interrupt all of them, and the log and
//! `/readyz` name the latest cause.
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, answer, eventually};
use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;
use crate::common::server::{Folder, Server};

/// The longest time on a slow machine for what takes seconds at most.
const SOON: Duration = Duration::from_secs(15);

/// A port that accepts connections and never answers: a paused pooler, a balancer with no server.
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

    // The next address is one that answers.
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

/// Sends a signal to the server's processes for these threads.
fn signal_backends(server: &Server, name: &str, pids: &[String]) {
    assert!(!pids.is_empty() && server.is_running());
    assert!(Command::new("kill").args(["-s", name]).args(pids).status().unwrap().success());
}

/// A collector at a server of the test's own, and a router with one route that is stored.
struct Scene {
    server: Server,
    state: Folder,
    ingester: Ingester,
    router: FakeRouter,
    peer: Peer,
}

impl Scene {
    /// `url` is the way to the server.
    fn start(url: impl Fn(&Server) -> String) -> Scene {
        let server = Server::start("", &[]);
        let state = Folder::new();
        let ingester = Ingester::start(&url(&server), &Scene::settings(&state));
        let peer = Peer::loc_rib("10.255.0.1");
        let mut router = ingester.connect();
        let up = bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global"));
        router.send(&bmp::initiation(b"edge1", b"")).send(&up);
        let mut scene = Scene { server, state, ingester, router, peer };
        scene.announce("10.1.0.0/16");
        scene.stored("10.1.0.0/16");
        scene
    }

    fn settings(state: &Folder) -> [(&str, &str); 3] {
        let folder = state.path().to_str().unwrap();
        [("STATE_DIR", folder), ("SHUTDOWN_TIMEOUT_SECS", "4"), ("MAINTENANCE_INTERVAL_SECS", "1")]
    }

    fn announce(&mut self, prefix: &str) {
        let update = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &[prefix]);
        self.router.send(&bmp::route_monitoring(self.peer, &update));
    }

    fn ask(&self, sql: &str) -> String {
        self.server.super_sql("rib", sql)
    }

    fn stored(&self, prefix: &str) {
        let found = format!("SELECT count(*) FROM current_routes WHERE prefix = '{prefix}'");
        eventually("the route is stored", || (self.ask(&found) == "1").then_some(()));
    }

    /// The server's processes for threads of the collector.
    fn backends(&self, threads: &str) -> Vec<String> {
        let ours = format!("SELECT pid FROM pg_stat_activity WHERE application_name ~ '^rib-ingester/({threads})'");
        self.ask(&ours).lines().map(str::to_owned).collect()
    }
}

/// The ways to a server, with a time-out of statements that tests need not wait a minute for.
const WAYS: [fn(&Server) -> String; 2] = [
    |server| format!("{}?options=-c%20statement_timeout=2s", server.url),
    |server| format!("{}?options=-c%20statement_timeout=2s", server.socket_url()),
];

#[test]
fn frozen_backends_are_noticed_and_keep_nobody() {
    for url in [|server: &Server| server.url.clone(), Server::socket_url] {
        let mut scene = Scene::start(url);
        let pids = scene.backends("state|events");
        signal_backends(&scene.server, "STOP", &pids);
        scene.announce("10.2.0.0/16");
        let begin = Instant::now();
        let http = scene.ingester.http();
        eventually("readyz to say so", || {
            let (status, _, text) = answer(http, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            (status == 503 && text.contains("has had no answer from the database for")).then_some(())
        });
        assert!(begin.elapsed() < 2 * SOON, "took {:?}", begin.elapsed());
        let Scene { server, state, ingester, .. } = scene;
        stops_soon(ingester);
        signal_backends(&server, "CONT", &pids);
        // Input that could not be written waited on the disk.
        let again = Ingester::start(&url(&server), &Scene::settings(&state));
        let stored = "SELECT count(*) FROM current_routes WHERE prefix = '10.2.0.0/16'";
        eventually("the route is stored", || (server.super_sql("rib", stored) == "1").then_some(()));
        stops_soon(again);
    }
}

/// The time of the last successful maintenance run, in seconds since 1970; 0 if there was none.
fn last_maintenance(ingester: &mut Ingester) -> f64 {
    let (_, _, metrics) = ingester.get("/metrics");
    let name = "rib_ingester_maintenance_last_success_timestamp_seconds ";
    metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap_or(0.0)
}

#[test]
fn a_statement_on_a_frozen_backend_ends_in_time() {
    for url in WAYS {
        let mut scene = Scene::start(url);
        // The page and the probe read on the same connections.
        assert_eq!(scene.ingester.get("/").0, 200);
        let threads = ["state", "events", "heartbeat", "expiry", "reader"];
        let frozen = eventually("all threads to be connected", || {
            let pids = threads.map(|thread| scene.backends(thread));
            pids.iter().all(|pids| !pids.is_empty()).then(|| pids.concat())
        });
        // Maintenance, which is due every second, waits for a lock when it is frozen. One that has its advisory lock by
        // then would keep that, and no other run could begin.
        let mut holder = postgres::Client::connect(&scene.server.url, postgres::NoTls).unwrap();
        holder.batch_execute("BEGIN; LOCK TABLE route_events IN ACCESS EXCLUSIVE MODE").unwrap();
        let waiting = "SELECT pid FROM pg_stat_activity a
                       WHERE application_name = 'rib-ingester/maintenance' AND wait_event_type = 'Lock'
                         AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory'
                                         AND l.mode = 'ExclusiveLock')";
        let maintenance = eventually("maintenance to wait for a lock", || {
            let pid = scene.ask(waiting);
            (!pid.is_empty()).then_some(pid)
        });
        let frozen: Vec<String> = frozen.into_iter().chain([maintenance]).collect();
        signal_backends(&scene.server, "STOP", &frozen);
        let before = last_maintenance(&mut scene.ingester);
        holder.batch_execute("COMMIT").unwrap();
        scene.announce("10.2.0.0/16");
        scene.stored("10.2.0.0/16");
        // Each thread has another connection by now, or is making one.
        let anew = format!(
            "SELECT count(DISTINCT substring(application_name FROM '/([a-z]+)')) FROM pg_stat_activity
             WHERE application_name ~ '^rib-ingester/({})' AND pid NOT IN ({})",
            threads.join("|"),
            frozen.join(", ")
        );
        let all = threads.len().to_string();
        eventually("all threads to be connected anew", || {
            scene.ingester.get("/");
            (scene.ask(&anew) == all).then_some(())
        });
        eventually("all troubles to be over", || {
            let (begun, ended) = ("error database: not reached: ", "database: works again after ");
            let (status, _, _) = scene.ingester.get("/readyz");
            let counts = (scene.ingester.count_logged(begun), scene.ingester.count_logged(ended));
            (counts.0 > 0 && counts.0 == counts.1 && status == 200).then_some(())
        });
        // Its trouble is a line of its own only where no other thread has met the same one.
        eventually("maintenance to run again", || (last_maintenance(&mut scene.ingester) > before).then_some(()));
        // Two seconds of the server's and five of ours, and some for a slow machine; without the bound it would be a
        // minute.
        for line in scene.ingester.log() {
            let silence =
                line.split_once("no answer for ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
            assert!(silence.is_none_or(|seconds| (7..30).contains(&seconds)), "{line}");
        }
        signal_backends(&scene.server, "CONT", &frozen);
        // The statements that the old ones had received before they were given up store nothing twice.
        let left = format!("SELECT count(*) FROM pg_stat_activity WHERE pid IN ({})", frozen.join(", "));
        eventually("the old ones to end", || (scene.ask(&left) == "0").then_some(()));
        scene.announce("10.3.0.0/16");
        scene.stored("10.3.0.0/16");
        let each_once = "SELECT count(*), count(DISTINCT event_id) FROM route_events";
        assert_eq!(scene.ask(each_once), "3|3");
        stops_soon(scene.ingester);
    }
}

#[test]
fn a_commit_that_freezes_is_checked_and_stored_once() {
    let mut scene = Scene::start(|server| format!("{}?options=-c%20statement_timeout=4s", server.url));
    for (number, thread) in ["events", "state"].into_iter().enumerate() {
        // From here on a commit waits for a standby that does not exist.
        scene.ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        scene.ask("SELECT pg_reload_conf()");
        let prefix = format!("10.{}.0.0/16", number + 2);
        scene.announce(&prefix);
        let committing = |thread: &str| {
            scene.ask(&format!(
                "SELECT pid FROM pg_stat_activity
                 WHERE wait_event = 'SyncRep' AND application_name ~ '^rib-ingester/{thread}'"
            ))
        };
        let pid = eventually("a commit that waits", || {
            // History is first; the test lets it through.
            if thread == "state" {
                let events = committing("events");
                if !events.is_empty() {
                    scene.ask(&format!("SELECT pg_cancel_backend({events})"));
                }
            }
            Some(committing(thread)).filter(|pid| !pid.is_empty())
        });
        signal_backends(&scene.server, "STOP", std::slice::from_ref(&pid));
        scene.ask("ALTER SYSTEM RESET synchronous_standby_names");
        scene.ask("SELECT pg_reload_conf()");
        // The next attempt finds that the server is still busy with it.
        let told = ["no answer for 9 s", "is still running on a connection that is gone"];
        eventually("its answer to be given up", || {
            let log = scene.ingester.log();
            let of_thread = |line: &&String| line.contains(&format!("({thread}"));
            let is_told = |line: &String| told.iter().any(|text| line.contains(text));
            log.iter().filter(of_thread).any(is_told).then_some(())
        });
        signal_backends(&scene.server, "CONT", &[pid]);
        scene.stored(&prefix);
        let events = (number + 2).to_string();
        assert_eq!(scene.ask("SELECT count(*) FROM route_events"), events);
        assert_eq!(scene.ask("SELECT count(DISTINCT event_id) FROM route_events"), events);
    }
    stops_soon(scene.ingester);
}

#[test]
fn commands_bound_their_waits_on_a_unix_socket_too() {
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let url = format!("host={} user=rib dbname=rib connect_timeout=1", folder.path().display());
    for command in ["status", "doctor", "maintenance", "migrate"] {
        let begin = Instant::now();
        let output = run(command, &url);
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(!output.status.success() && said.contains("no answer for 1 s"), "{command}: {said}");
        assert!(begin.elapsed() < SOON, "{command} took {:?}", begin.elapsed());
    }
    drop(listener);
    let said = String::from_utf8(run("status", &url).stderr).unwrap();
    assert!(said.contains(".s.PGSQL.5432: Connection refused"), "{said}");
    // With a server at the next name.
    let server = Server::start("", &[]);
    let (real, port) = (server.folder().join("socket"), server.port());
    let both = format!("host={},{} port=5432,{port} user=rib dbname=rib", folder.path().display(), real.display());
    assert!(run("migrate", &both).status.success());
    // A statement that waits on a frozen backend.
    let url = format!("{}?options=-c%20statement_timeout=4s", server.socket_url());
    let mut holder = postgres::Client::connect(&server.url, postgres::NoTls).unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE route_events, router_owner IN ACCESS EXCLUSIVE MODE").unwrap();
    let waiting =
        "SELECT pid FROM pg_stat_activity WHERE application_name ~ '^rib-ingester/' AND wait_event_type = 'Lock'";
    let mut frozen = Vec::new();
    std::thread::scope(|scope| {
        for command in ["status", "maintenance"] {
            let url = &url;
            scope.spawn(move || {
                let output = run(command, url);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(!output.status.success() && said.contains("no answer for 9 s"), "{command}: {said}");
            });
        }
        let pids = eventually("both to wait", || {
            let pids: Vec<_> = server.super_sql("rib", waiting).lines().map(str::to_owned).collect();
            (pids.len() == 2).then_some(pids)
        });
        signal_backends(&server, "STOP", &pids);
        frozen = pids;
    });
    signal_backends(&server, "CONT", &frozen);
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
