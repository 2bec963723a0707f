//! The alert rules and the dashboard: each of their queries runs here, against a collector that has routers.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, answer, eventually};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana-dashboard.json")).unwrap()
}

/// Every value of this name anywhere in the dashboard's panels.
fn all_of(name: &str) -> Vec<String> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.filter_map(|target| target[name].as_str()).map(str::to_owned).collect()
}

/// Names of our series in a text of PromQL.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("rib_ingester_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// A collector that has seen everything that the queries name.
fn eventful(db: &TestDb) -> (Ingester, FakeRouter) {
    let vrps = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.json", db.name()));
    std::fs::write(&vrps, r#"[{"prefix": "10.1.0.0/16", "maxLength": 16, "asn": 64500, "ta": "ripe"}]"#).unwrap();
    let settings = [
        ("MAINTENANCE_INTERVAL_SECS", "1"),
        ("VRPS", vrps.to_str().unwrap()),
        ("RPKI_SCAN_SECS", "1"),
        ("CONNECT", "127.0.0.1:1"),
    ];
    let ingester = Ingester::start(&db.url(), &settings);
    let loc_rib = Peer::loc_rib(ROUTER);
    let greet = |router: &mut FakeRouter| {
        router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(
            loc_rib,
            &Open { families: vec![(1, 1)], ..Open::of(64_500, ROUTER) },
            Some("global"),
        ));
    };
    let announce = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &["10.1.0.0/16", "10.2.0.0/16"]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&bmp::route_monitoring(loc_rib, &announce)).send(&bmp::termination(0));
    eventually("the end of the session", || router.is_closed().then_some(()));
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&bmp::route_monitoring(loc_rib, &announce));
    router.send(&bmp::route_monitoring(loc_rib, &bmp::end_of_rib_ipv4()));
    router.send(&bmp::route_monitoring(loc_rib, &bmp::withdraw(&["10.2.0.0/16"])));
    router.send(&bmp::statistics(Peer::global_instance("192.0.2.9", 64_501), 7));
    // More than is stored.
    router.send(&bmp::loc_rib_statistics(loc_rib, 5));
    // A session that is not there, and an incident that is over.
    let watch = format!(
        "INSERT INTO watch.watches (name, kind, peer_address, router_id, open_after_secs, settle_secs)
         VALUES ('transit', 'session', '192.0.2.77', '{ROUTER}', 0, 0)"
    );
    db.client().batch_execute(&watch).unwrap();
    // A session that waits for its setup.
    let registered = "INSERT INTO registry.routers (name) VALUES ('edge1');
                      INSERT INTO registry.bgp_sessions (router, asn, status) SELECT uuid, 64510, 4 FROM registry.routers";
    db.client().batch_execute(registered).unwrap();
    db.client()
        .batch_execute(
            "INSERT INTO watch.incidents (cause_key, condition, severity, state, opened_at, cause_at, closed_at, affected, known, summary)
             VALUES ('x', 'missing', 'warning', 'closed', now(), now(), now(), 0, 1, 'OVER')",
        )
        .unwrap();
    (ingester, router)
}

#[test]
fn promtool_accepts_the_alerts_and_tests_each() {
    let promtool = |arguments: &[&str]| Command::new("promtool").args(arguments).current_dir(folder()).output();
    let rules: BTreeSet<String> = alerts("alerts.yml", "- alert: ");
    let tried = alerts("alerts_test.yml", "alertname: ");
    assert_eq!(rules, tried);
    assert!(rules.len() > 10);
    let Ok(check) = promtool(&["check", "rules", "alerts.yml"]) else {
        return println!("skipped: no promtool on this machine");
    };
    assert!(check.status.success(), "{check:?}");
    let test = promtool(&["test", "rules", "alerts_test.yml"]).unwrap();
    assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stdout));
}

fn alerts(file: &str, before: &str) -> BTreeSet<String> {
    read(file).lines().filter_map(|line| line.split_once(before)).map(|(_, name)| name.trim().to_owned()).collect()
}

#[test]
fn every_series_of_alerts_and_dashboard_exists() {
    let db = TestDb::migrated();
    let (mut ingester, _router) = eventful(&db);
    let wanted: BTreeSet<String> =
        names(&read("alerts.yml")).into_iter().chain(all_of("expr").iter().flat_map(|expr| names(expr))).collect();
    assert!(wanted.len() > 20, "{wanted:?}");
    let mut missing = wanted.clone();
    eventually("all series", || {
        let (_, _, text) = ingester.get("/metrics");
        let there: BTreeSet<&str> = text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
        missing = wanted.iter().filter(|name| !there.contains(name.as_str())).cloned().collect();
        if !missing.is_empty() {
            println!("missing: {missing:?}");
        }
        missing.is_empty().then_some(())
    });
}

#[test]
fn every_sql_query_of_the_dashboard_finds_rows() {
    let db = TestDb::migrated();
    let (_ingester, _router) = eventful(&db);
    let queries = all_of("rawSql");
    assert!(queries.len() >= 4);
    for query in queries {
        let query = query
            .replace("$__timeFrom()", "now() - interval '1 hour'")
            .replace("$__timeTo()", "now() + interval '1 hour'");
        assert!(!query.contains("$__"), "{query}");
        eventually(&query, || (!db.rows(&query).is_empty()).then_some(()));
    }
}

#[test]
fn routers_lost_before_a_restart_raise_the_alert() {
    const LOST: usize = 300;
    let db = TestDb::migrated();
    assert!(Ingester::start(&db.url(), &[]).stop().success());
    // The collector keeps nothing of most of them any more.
    db.client()
        .batch_execute(&format!(
            "INSERT INTO routers (router_id, hostname, router_ip) SELECT 'lost-' || i, 'edge' || i, '192.0.2.7' FROM generate_series(1, {LOST}) i;
             INSERT INTO routers (router_id) VALUES ('elsewhere');
             INSERT INTO router_owner (router_id, collector_id, epoch)
                 SELECT router_id, CASE router_id WHEN 'elsewhere' THEN 'another' ELSE 'test' END, 1 FROM routers;
             INSERT INTO rib_sync_status (router_id, table_name, afi, stale_since) SELECT 'lost-' || i, 'global', 4, now() FROM generate_series(1, 10) i"
        ))
        .unwrap();
    let mut ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "8")]);
    ingester.logged("collector: 10 routers have 8s to reconnect");
    let up = |ingester: &mut Ingester| -> Vec<String> {
        let (_, _, text) = ingester.get("/metrics");
        text.lines().filter(|line| line.starts_with("rib_ingester_session_up{")).map(str::to_owned).collect()
    };
    let series = up(&mut ingester);
    assert_eq!(series.len(), LOST, "{series:?}");
    assert!(series.iter().all(|line| line.ends_with("} 0")) && !series.iter().any(|line| line.contains("elsewhere")));
    let (_, _, text) = ingester.get("/metrics");
    assert!(
        text.contains("rib_ingester_router_info{router=\"lost-7\",hostname=\"edge7\",address=\"192.0.2.7\"} 1"),
        "{text}"
    );
    alarms(&series);

    // A router that connects is up; one that another collector has, or that is forgotten, does not concern this
    // collector.
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(Peer::loc_rib(ROUTER), &Open::of(64_500, ROUTER), Some("global")));
    db.client()
        .batch_execute(
            "UPDATE router_owner SET collector_id = 'another', epoch = 2 WHERE router_id = 'lost-1';
             DELETE FROM router_owner WHERE router_id = 'lost-2'; DELETE FROM routers WHERE router_id = 'lost-2'",
        )
        .unwrap();
    let mut last = Vec::new();
    eventually("the series of those that are left", || {
        last = up(&mut ingester);
        let has = |router: &str| last.iter().any(|line| line.contains(&format!("\"{router}\"")));
        let is_up = last.contains(&format!("rib_ingester_session_up{{router=\"{ROUTER}\"}} 1"));
        (is_up && last.len() == LOST - 1 && !has("lost-1") && !has("lost-2") && has("lost-3")).then_some(())
    });
}

/// These series, unchanged, raise both alerts on sessions, if there is a promtool on this machine.
fn alarms(series: &[String]) {
    let folder = std::env::temp_dir().join(format!("rib-ingester-alarms-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("alerts.yml"), read("alerts.yml")).unwrap();
    let names = |line: &String| line.split('"').nth(1).unwrap().to_owned();
    let input: String = series
        .iter()
        .map(|line| {
            let router = names(line);
            format!("      - series: 'rib_ingester_session_up{{instance=\"a\",job=\"rib-ingester\",router=\"{router}\"}}'\n        values: '0x20'\n")
        })
        .collect();
    let down: String = series
        .iter()
        .map(|line| format!("          - {{labels: '{{router=\"{}\"}}', value: 1}}\n", names(line)))
        .collect();
    let fired = |alert: &str, by: &str| {
        format!(
            "      - expr: count by ({by}) (ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})\n        eval_time: 15m\n        exp_samples:\n"
        )
    };
    let test = format!(
        "rule_files: [alerts.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{input}    promql_expr_test:\n{}{down}{}          - {{labels: '{{instance=\"a\"}}', value: 1}}\n",
        fired("RibIngesterSessionDown", "router"),
        fired("RibIngesterManySessionsDown", "instance"),
    );
    std::fs::write(folder.join("test.yml"), test).unwrap();
    match Command::new("promtool").args(["test", "rules", "test.yml"]).current_dir(&folder).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(_) => println!("skipped: no promtool on this machine"),
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// A Prometheus that reads one collector.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Returns `None` if there is none on this machine.
    fn start(target: SocketAddr) -> Option<Prometheus> {
        let folder = std::env::temp_dir().join(format!("rib-ingester-prometheus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: rib-ingester\n    static_configs: \
             [{{targets: ['{target}']}}]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Prometheus { child, address, folder })
    }

    /// The result of an instant query; `None` while there is no answer.
    fn query(&self, expr: &str) -> Option<Value> {
        std::net::TcpStream::connect(self.address).ok()?;
        let query: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
        let (_, _, body) = answer(self.address, request.as_bytes());
        serde_json::from_str(&body).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn every_promql_query_of_the_dashboard_runs() {
    let db = TestDb::migrated();
    let (mut ingester, mut router) = eventful(&db);
    let Some(prometheus) = Prometheus::start(ingester.http()) else {
        return println!("skipped: no prometheus on this machine");
    };
    for expr in all_of("expr") {
        let expr = expr.replace("$instance", ".*").replace("$router", ".*").replace("$__rate_interval", "1m");
        assert!(!expr.contains('$'), "{expr}");
        // No client is left waiting here.
        let may_be_empty = expr.contains("blocked_seconds");
        let mut flap = 0u8;
        eventually(&expr, || {
            // Rates need something that changes between two readings.
            flap = flap.wrapping_add(1);
            let update = bmp::announce(&Attributes::path(&[u32::from(flap)]), "192.0.2.1", &["10.1.0.0/16"]);
            router.send(&bmp::route_monitoring(Peer::loc_rib(ROUTER), &update));
            let result = prometheus.query(&expr)?;
            assert_eq!(result["status"], "success", "{expr}: {result}");
            (may_be_empty || result["data"]["result"].as_array().is_some_and(|series| !series.is_empty())).then_some(())
        });
    }
}
