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

/// A collector that has met everything the queries speak of.
fn eventful(db: &TestDb) -> (Ingester, FakeRouter) {
    let ingester = Ingester::start(&db.url(), &[("MAINTENANCE_INTERVAL_SECS", "1")]);
    let loc_rib = Peer::loc_rib(ROUTER);
    let greet = |router: &mut FakeRouter| {
        router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(
            loc_rib,
            &Open::of(64_500, ROUTER),
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
    router.send(&bmp::statistics(Peer::neighbour("192.0.2.9", 64_501), 7));
    (ingester, router)
}

#[test]
fn promtool_takes_the_alerts_and_each_of_them_is_tried() {
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
fn every_series_that_alerts_and_dashboard_speak_of_exists() {
    let db = TestDb::create();
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
fn every_sql_query_of_the_dashboard_runs_and_finds_something() {
    let db = TestDb::create();
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

/// A Prometheus that reads one collector.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// `None`: there is none on this machine.
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
fn every_promql_query_of_the_dashboard_runs_in_prometheus() {
    let db = TestDb::create();
    let (mut ingester, mut router) = eventful(&db);
    let Some(prometheus) = Prometheus::start(ingester.http()) else {
        return println!("skipped: no prometheus on this machine");
    };
    for expr in all_of("expr") {
        let expr = expr.replace("$instance", ".*").replace("$router", ".*").replace("$__rate_interval", "1m");
        assert!(!expr.contains('$'), "{expr}");
        // Nobody is left waiting here.
        let may_be_empty = expr.contains("blocked_seconds");
        let mut flap = 0u8;
        eventually(&expr, || {
            // Rates need something that moves between two readings.
            flap = flap.wrapping_add(1);
            let update = bmp::announce(&Attributes::path(&[u32::from(flap)]), "192.0.2.1", &["10.1.0.0/16"]);
            router.send(&bmp::route_monitoring(Peer::loc_rib(ROUTER), &update));
            let result = prometheus.query(&expr)?;
            assert_eq!(result["status"], "success", "{expr}: {result}");
            (may_be_empty || result["data"]["result"].as_array().is_some_and(|series| !series.is_empty())).then_some(())
        });
    }
}
