//! Faults that PostgreSQL has in years of operation, injected into one of the test's own: it restarts, crashes, moves,
//! refuses, locks, fills up. After each the tables equal the router's, and every event is there once.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::PathBuf;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::proxy::Proxy;
use crate::common::server::{Folder, Server, Shutdown};
use postgres::{Client, NoTls, SimpleQueryMessage};
use rib_ingester::store::transaction_status::{self, Outcome};

/// Prefixes of the router's table.
const TABLE: u32 = 100;

/// Prefixes of one UPDATE.
const PER_UPDATE: u32 = 10;

/// The log lines at the beginning and the end of an outage.
const BEGINS: &str = " error database: ";
const ENDS: &str = "database: works again after ";

/// A server of its own, a collector, and a router that never stops sending changes.
struct Scene {
    server: Server,
    ingester: Option<Ingester>,
    state_dir: Folder,
    router: Option<FakeRouter>,
    peer: Peer,
    /// The number of times that the router has announced its table anew.
    generation: u32,
}

fn prefix(number: u32) -> String {
    format!("10.0.{number}.0/24")
}

/// The answer of a database that may be away: values joined by `|`.
fn ask(url: &str, sql: &str) -> Result<Vec<String>, String> {
    let mut client = Client::connect(url, NoTls).map_err(|error| error.to_string())?;
    let messages = client.simple_query(sql).map_err(|error| error.to_string())?;
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).unwrap_or("-")).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    Ok(messages.iter().filter_map(row).collect())
}

impl Scene {
    fn new(server: Server, url: &str) -> Scene {
        let state_dir = Folder::new();
        let peer = Peer::loc_rib("10.255.0.1");
        let mut scene = Scene { server, ingester: None, state_dir, router: None, peer, generation: 0 };
        scene.start(url);
        scene.connect();
        scene.generation(0);
        scene.is_whole();
        scene
    }

    fn start(&mut self, url: &str) {
        let settings = [
            ("STATE_DIR", self.state_dir.path().to_str().unwrap()),
            ("SHUTDOWN_TIMEOUT_SECS", "2"),
            ("MAINTENANCE_INTERVAL_SECS", "1"),
        ];
        self.ingester = Some(Ingester::start(url, &settings));
    }

    /// The router connects; its peer is up.
    fn connect(&mut self) {
        let open = Open::of(64_500, &self.peer.bgp_id.to_string());
        let mut router = self.ingester.as_ref().unwrap().connect();
        router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(self.peer, &open, Some("global")));
        self.router = Some(router);
    }

    /// The announcements of the whole table in this generation, in which one prefix is missing.
    fn announcements(&self, generation: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for first in (0..TABLE).step_by(usize::try_from(PER_UPDATE).unwrap()) {
            let there = (first..first + PER_UPDATE).filter(|number| generation == 0 || *number != generation % TABLE);
            let prefixes: Vec<String> = there.map(prefix).collect();
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let attributes = Attributes { med: Some(generation), ..Attributes::path(&[64_500, 64_501]) };
            bytes.extend(bmp::route_monitoring(self.peer, &bmp::announce(&attributes, "192.0.2.1", &prefixes)));
        }
        bytes
    }

    /// The router announces its table anew, in this generation.
    fn generation(&mut self, generation: u32) {
        let mut bytes = self.announcements(generation);
        if generation > 0 {
            let gone = prefix(generation % TABLE);
            bytes.extend(bmp::route_monitoring(self.peer, &bmp::withdraw(&[&gone])));
        }
        if generation == 0 {
            bytes.extend(bmp::route_monitoring(self.peer, &bmp::end_of_rib_ipv4()));
        }
        self.router.as_mut().unwrap().send(&bytes);
        self.generation = generation;
    }

    /// This many changes of the whole table, each of which is one event per prefix.
    fn churn(&mut self, times: u32) {
        for _ in 0..times {
            self.generation(self.generation + 1);
        }
    }

    fn log(&self) -> &Ingester {
        self.ingester.as_ref().unwrap()
    }

    /// Waits until a write fails; `begun` is the number of earlier outages.
    fn fails(&self, begun: usize) {
        eventually("the trouble to be noticed", || (self.log().count_logged(BEGINS) > begun).then_some(()));
    }

    /// Waits until tables and history equal the router's messages.
    fn is_whole(&self) {
        let url = &self.server.url;
        let routes = if self.generation == 0 { TABLE } else { TABLE - 1 };
        let all = vec![format!("{routes}|{0}|{0}", self.generation)];
        eventually_equal(Ok(all), || ask(url, "SELECT count(*), min(med), max(med) FROM current_routes"));
        let events = TABLE * (self.generation + 1);
        let each_once = "SELECT count(*), count(DISTINCT event_id) FROM route_events";
        eventually_equal(Ok(vec![format!("{events}|{events}")]), || ask(url, each_once));
        let unordered = "SELECT count(*) FROM (SELECT med < max(med) OVER (PARTITION BY router_id ORDER BY ingest_time)
                         AS late FROM route_events WHERE action = 'A') e WHERE late";
        assert_eq!(ask(url, unordered), Ok(vec!["0".to_owned()]));
        assert_eq!(ask(url, "SELECT count(*) FROM session_events WHERE kind = 'gap'"), Ok(vec!["0".to_owned()]));
    }

    /// All outages are over, and each was logged once when it began and once when it was over.
    fn are_over(&self, troubles: usize) {
        eventually_equal(troubles, || self.log().count_logged(ENDS));
        assert_eq!(self.log().count_logged(BEGINS), troubles);
        assert_eq!(self.log().count_logged("Z error "), troubles);
    }

    fn stop(mut self) {
        assert!(self.ingester.take().unwrap().stop().success());
    }
}

#[test]
fn an_outage_is_two_lines_for_any_number_of_threads() {
    let server = Server::start("", &[]);
    let url = server.url.clone();
    let mut scene = Scene::new(server, &url);
    scene.server.shut_down(Shutdown::Fast);
    scene.churn(5);
    // Both writers have work, and maintenance is due every second: all three have met the outage.
    scene.fails(0);
    let retries = "rib_ingester_retries_total";
    eventually("both writers and maintenance to have tried", || {
        let (_, _, metrics) = scene.ingester.as_mut().unwrap().get("/metrics");
        let value = |name: &str| -> u64 {
            let line = metrics.lines().find(|line| line.split([' ', '{']).next() == Some(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        (value(retries) >= 4 && value("rib_ingester_maintenance_failures_total") >= 1).then_some(())
    });
    scene.server.start_again();
    scene.is_whole();
    scene.are_over(1);
    let line = scene.ingester.as_mut().unwrap().logged(ENDS);
    let words: Vec<&str> = line.split(' ').collect();
    let number_before = |word: &str| words[words.iter().position(|w| *w == word).unwrap() - 1].parse::<f64>().unwrap();
    assert!(number_before("s;") > 0.0 && number_before("changes") >= f64::from(TABLE), "{line}");
    assert!(line.contains(" bytes of input were in the journal"), "{line}");
    scene.stop();
}

#[test]
fn a_server_that_restarts_crashes_and_moves() {
    let server = Server::start("", &[]);
    let proxy = Proxy::start("127.0.0.1", server.port());
    let url = server.url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port));
    let mut scene = Scene::new(server, &url);
    for (number, how) in [Shutdown::Fast, Shutdown::Immediate, Shutdown::Immediate].into_iter().enumerate() {
        scene.churn(10);
        scene.server.shut_down(how);
        scene.churn(10);
        scene.fails(number);
        match number {
            // The same address leads to another server.
            2 => {
                scene.server.start_elsewhere();
                proxy.target.lock().unwrap().1 = scene.server.port();
            }
            _ => scene.server.start_again(),
        }
        scene.churn(10);
        scene.is_whole();
        scene.are_over(number + 1);
    }
    scene.stop();
}

#[test]
fn a_server_that_is_away_while_the_collector_restarts() {
    let server = Server::start("", &[]);
    let url = server.url.clone();
    let mut scene = Scene::new(server, &url);
    scene.server.shut_down(Shutdown::Immediate);
    scene.churn(10);
    scene.fails(0);
    let router = scene.router.as_ref().unwrap();
    eventually("the collector has read it", || (router.unread() == 0).then_some(()));
    let settings: Vec<(&str, &str)> = vec![("STATE_DIR", scene.state_dir.path().to_str().unwrap())];
    // Stopped with a database away, it leaves its input in the journal.
    assert!(scene.ingester.take().unwrap().stop().success());
    let mut ingester = Ingester::spawn(&url, &settings);
    ingester.logged("database: not reached: rib@127.0.0.1:");
    scene.server.start_again();
    ingester.logged("database: connected after ");
    ingester.logged("waiting for routers on ");
    scene.ingester = Some(ingester);
    scene.is_whole();
    scene.stop();
}

#[test]
fn a_standby_that_takes_over() {
    let server = Server::start("", &[]);
    let standby = server.standby();
    // From here on a commit is answered once the standby has it.
    server.super_sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    server.super_sql("postgres", "SELECT pg_reload_conf()");
    let state = "SELECT sync_state FROM pg_stat_replication";
    eventually_equal("sync".to_owned(), || server.super_sql("postgres", state));
    let both = format!("127.0.0.1:{},127.0.0.1:{}/", server.port(), standby.port());
    let url = server.url.replace(&format!("127.0.0.1:{}/", server.port()), &both);
    let mut scene = Scene::new(server, &format!("{url}?target_session_attrs=read-write"));
    scene.churn(10);
    scene.server.shut_down(Shutdown::Immediate);
    scene.churn(10);
    scene.fails(0);
    assert_eq!(standby.super_sql("postgres", "SELECT pg_promote()"), "t");
    scene.server = standby;
    scene.churn(10);
    scene.is_whole();
    scene.are_over(1);
    scene.stop();
}

/// It is promoted without what was committed since it was cut off: the collector ends, and its next start stores that
/// again.
#[test]
fn a_standby_that_lacks_the_last_commits() {
    let server = Server::start("", &[]);
    let standby = server.standby();
    let both = format!("127.0.0.1:{},127.0.0.1:{}/", server.port(), standby.port());
    let url = server.url.replace(&format!("127.0.0.1:{}/", server.port()), &both);
    let url = format!("{url}?target_session_attrs=read-write");
    let mut scene = Scene::new(server, &url);
    scene.churn(5);
    scene.is_whole();
    let events = "SELECT count(*) FROM route_events";
    eventually_equal(scene.server.super_sql("rib", events), || standby.super_sql("rib", events));
    standby.super_sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
    standby.super_sql("postgres", "SELECT pg_reload_conf()");
    let receivers = "SELECT count(*) FROM pg_stat_replication";
    eventually_equal("0".to_owned(), || scene.server.super_sql("postgres", receivers));
    scene.churn(5);
    scene.is_whole();
    scene.server.shut_down(Shutdown::Immediate);
    assert_eq!(standby.super_sql("postgres", "SELECT pg_promote()"), "t");
    scene.server = standby;
    let lost = u64::from(5 * TABLE);
    let has = u64::from(TABLE * (scene.generation + 1)) - lost;
    assert_eq!(scene.server.super_sql("rib", events), has.to_string());
    scene.churn(1);
    let (status, log) = scene.ingester.take().unwrap().ended();
    assert_eq!(status.code(), Some(1));
    assert!(log.iter().any(|line| line.contains("the database lacks what it had committed")), "{log:?}");
    scene.start(&url);
    // The router dumps what it has.
    scene.connect();
    let dump = [scene.announcements(scene.generation), bmp::route_monitoring(scene.peer, &bmp::end_of_rib_ipv4())];
    scene.router.as_mut().unwrap().send(&dump.concat());
    let synced = "SELECT count(*) FROM rib_sync_status WHERE synced_at IS NOT NULL";
    eventually_equal("1".to_owned(), || scene.server.super_sql("rib", synced));
    scene.churn(5);
    scene.is_whole();
    scene.stop();
}

#[test]
fn a_transaction_unknown_to_a_standby_is_not_its_own() {
    let server = Server::start("", &[]);
    let standby = server.standby();
    let mut client = Client::connect(&server.url, NoTls).unwrap();
    let mut transaction = client.transaction().unwrap();
    let id = transaction_status::id_of(&mut transaction).unwrap();
    let number = "SELECT pg_current_xact_id()";
    let lost: u64 = transaction.query_one(&format!("{number}::text"), &[]).unwrap().get::<_, &str>(0).parse().unwrap();
    server.shut_down(Shutdown::Immediate);
    assert_eq!(standby.super_sql("postgres", "SELECT pg_promote()"), "t");
    let mut client = Client::connect(&standby.url, NoTls).unwrap();
    // The standby assigns its number once more, to a transaction that it commits.
    while standby.super_sql("postgres", number).parse::<u64>().unwrap() <= lost {}
    let status = format!("SELECT pg_xact_status('{lost}')");
    assert_eq!(standby.super_sql("postgres", &status), "committed");
    assert_eq!(transaction_status::outcome_of(&mut client, &id).unwrap(), Outcome::Unknown);
}

/// A change that an administrator makes and reverts.
struct Deed {
    what: &'static str,
    does: &'static [&'static str],
    undoes: &'static [&'static str],
}

const END_ALL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^rib-ingester'";

const DEEDS: [Deed; 4] = [
    Deed { what: "connections are killed", does: &[END_ALL], undoes: &[] },
    Deed {
        what: "too many connections",
        does: &["ALTER DATABASE rib CONNECTION LIMIT 0", END_ALL],
        undoes: &["ALTER DATABASE rib CONNECTION LIMIT -1"],
    },
    Deed {
        what: "read only, as after a failover",
        does: &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
        undoes: &["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"],
    },
    Deed {
        what: "no privilege any more",
        does: &["REVOKE ALL ON ALL TABLES IN SCHEMA public FROM rib"],
        undoes: &["GRANT ALL ON ALL TABLES IN SCHEMA public TO rib"],
    },
];

#[test]
fn a_server_that_refuses() {
    let server = Server::start("", &[]);
    let url = server.url.clone();
    let mut scene = Scene::new(server, &url);
    for (number, deed) in DEEDS.iter().enumerate() {
        eprintln!("{}", deed.what);
        scene.churn(5);
        deed.does.iter().for_each(|sql| drop(scene.server.super_sql("rib", sql)));
        scene.churn(5);
        scene.fails(number);
        deed.undoes.iter().for_each(|sql| drop(scene.server.super_sql("rib", sql)));
        scene.churn(5);
        scene.is_whole();
        scene.are_over(number + 1);
    }
    scene.stop();
}

#[test]
fn threads_besides_the_writers_report_outages_alike() {
    let server = Server::start("", &[]);
    let url = server.url.clone();
    let scene = Scene::new(server, &url);
    let target = format!("rib@127.0.0.1:{}/rib: ", scene.server.port());
    let told = |threads: &[&str], how: &str, code: &str| {
        let names = threads.iter().map(|thread| format!("({thread})")).collect::<Vec<_>>();
        let is_told = |line: &String| {
            [how, code, &target].iter().all(|part| line.contains(part)) && names.iter().any(|name| line.contains(name))
        };
        eventually(&format!("{threads:?} to say {how}{code}"), || scene.log().log().iter().any(is_told).then_some(()));
    };
    // Several threads need it: the first one that meets the trouble says so.
    let of_collectors = ["heartbeat", "standby", "watch-trie"];
    scene.server.super_sql("rib", "REVOKE ALL ON collectors FROM rib");
    told(&of_collectors, "error database: not usable: ", "42501");
    // Another cause is another log line.
    scene.server.super_sql("rib", "ALTER TABLE collectors RENAME TO elsewhere");
    told(&of_collectors, "warn  database: still not usable: ", "42P01");
    scene.server.super_sql("rib", "ALTER TABLE elsewhere RENAME TO collectors; GRANT ALL ON collectors TO rib");
    scene.are_over(1);
    // No writer needs this one.
    scene.server.super_sql("rib", "REVOKE ALL ON adj_rib_in_sync_status FROM rib");
    told(&["expiry"], "error database: not usable: ", "42501");
    scene.server.super_sql("rib", "GRANT ALL ON adj_rib_in_sync_status TO rib");
    scene.are_over(2);
    scene.stop();
}

#[test]
fn a_lock_that_somebody_holds_for_too_long() {
    let server = Server::start("", &[]);
    let url = server.url.clone();
    let mut scene = Scene::new(server, &url);
    let mut holder = Client::connect(&url, NoTls).unwrap();
    let mut transaction = holder.transaction().unwrap();
    transaction.batch_execute("LOCK TABLE current_routes, route_events").unwrap();
    scene.churn(10);
    // 20 seconds: the time that a statement waits for a lock.
    let line = scene.ingester.as_mut().unwrap().logged(BEGINS);
    assert!(line.contains("55P03"), "{line}");
    transaction.commit().unwrap();
    scene.churn(10);
    scene.is_whole();
    scene.are_over(1);
    scene.stop();
}

#[test]
fn a_statement_that_takes_too_long() {
    let server = Server::start("", &[]);
    let url = server.url.clone();
    let mut scene = Scene::new(server, &url);
    // As long as the fault lasts, a statement that would take a minute is canceled immediately, as the time-out does.
    let slow = "CREATE TABLE slow (); CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF to_regclass('slow') IS NOT NULL AND (SELECT count(*) FROM new_rows) > 5 THEN
                        PERFORM pg_cancel_backend(pg_backend_pid());
                        PERFORM pg_sleep(60);
                    END IF;
                    RETURN NULL;
                END $$;
                CREATE TRIGGER slow AFTER UPDATE ON current_routes REFERENCING NEW TABLE AS new_rows
                    FOR EACH STATEMENT EXECUTE FUNCTION slow()";
    Client::connect(&url, NoTls).unwrap().batch_execute(slow).unwrap();
    scene.churn(3);
    scene.is_whole();
    Client::connect(&url, NoTls).unwrap().batch_execute("DROP TABLE slow").unwrap();
    scene.churn(3);
    scene.is_whole();
    scene.are_over(0);
    scene.stop();
}

/// A file system of its own, unmounted with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Returns `None`, and prints a note, where this test may not mount.
    fn mount(folder: &Folder) -> Option<SmallDisk> {
        let path = folder.path().join("pg");
        std::fs::create_dir(&path).unwrap();
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=192m", "tmpfs"]).arg(&path).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(path));
        }
        eprintln!("skipped: no file system can be mounted here, which takes root");
        None
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Uses all room that is left.
    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.filler()).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[test]
fn a_disk_that_is_full() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(&folder) else { return };
    let server = Server::start_in(folder, "-c max_wal_size=64MB -c min_wal_size=32MB", &[]);
    let url = server.url.clone();
    let mut scene = Scene::new(server, &url);
    disk.fill();
    // Until not even the room within its files is enough; without room for its log the server may end.
    while scene.log().count_logged(BEGINS) == 0 {
        scene.churn(20);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    std::fs::remove_file(disk.filler()).unwrap();
    if !scene.server.is_running() {
        scene.server.start_again();
    }
    scene.churn(5);
    scene.is_whole();
    scene.stop();
}
