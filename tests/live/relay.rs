//! Sessions of real routers, relayed to `pmbmpd` of pmacct 1.7.7.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::ingester::{Ingester, eventually};
use crate::common::lab::{Lab, Views, free_address};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use crate::routers::agree;

/// A running `pmbmpd`, which writes what it gets to a file; `None` where there is none.
struct Pmbmpd(Child);

impl Pmbmpd {
    fn start(address: SocketAddr, folder: &Path) -> Option<Pmbmpd> {
        let settings = format!(
            "daemonize: false\nbmp_daemon_ip: {}\nbmp_daemon_port: {}\nbmp_daemon_max_peers: 10\n\
             bmp_daemon_msglog_file: {}\nbmp_daemon_msglog_output: json\n",
            address.ip(),
            address.port(),
            folder.join("messages").display()
        );
        std::fs::write(folder.join("settings"), settings).unwrap();
        let mut command = Command::new("pmbmpd");
        command.arg("-f").arg(folder.join("settings")).stdin(Stdio::null()).stdout(Stdio::null());
        match command.spawn() {
            Ok(child) => Some(Pmbmpd(child)),
            Err(error) => {
                eprintln!("SKIPPED: no pmbmpd here (Debian's package pmacct): {error}");
                None
            }
        }
    }
}

impl Drop for Pmbmpd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_station_gets_the_routes_of_live_routers() {
    let (files, station) = (Folder::new(), free_address());
    let Some(_pmbmpd) = Pmbmpd::start(station, files.path()) else { return };
    if !Lab::is_possible() {
        return;
    }
    let db = TestDb::migrated();
    let relay = station.to_string();
    let mut collector = Ingester::start(&db.url(), &[("EOR_TIMEOUT_SECS", "2"), ("RELAY", &relay)]);
    collector.logged(&format!("relay: station {relay}: connected"));
    let lab = Lab::start(collector.address(), &["gobgp", "frr10"], Views::Chosen);
    lab.run(&["base"], &[]);
    agree(&lab, &db, "the routes are announced");
    let stored = db.rows("SELECT DISTINCT prefix FROM current_routes ORDER BY prefix");
    assert!(stored.len() > 5, "{stored:?}");
    let log = files.path().join("messages");
    eventually("pmbmpd names every prefix", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let is_named = |prefix: &&String| text.contains(&format!("\"ip_prefix\": \"{prefix}\""));
        let missing: Vec<&String> = stored.iter().filter(|prefix| !is_named(prefix)).collect();
        missing.is_empty().then_some(())
    });
    // It takes none of it as malformed, and its connections stay.
    assert_eq!(collector.count_logged("relay: station"), 1, "{:?}", collector.log());
    assert!(collector.stop().success());
}
