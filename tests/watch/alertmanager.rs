//! Alertmanager itself: what it shows is what is open here, after faults too.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::incidents::event;
use crate::common::ingester::{answer, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use crate::scene::{callback, start, states, try_now};

/// A running Alertmanager, killed with the value.
struct Alertmanager {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

impl Alertmanager {
    /// Returns `None` if there is none on this machine.
    fn start() -> Option<Alertmanager> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Alertmanager::start_at(address, Folder::new())
    }

    fn start_at(address: SocketAddr, folder: Folder) -> Option<Alertmanager> {
        let config = folder.path().join("alertmanager.yml");
        std::fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
        let child = command()
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let alertmanager = Alertmanager { child, address, folder };
        eventually("Alertmanager listens", || TcpStream::connect(address).ok());
        Some(alertmanager)
    }

    /// Its alerts that are not over, by our key.
    fn firing(&self) -> BTreeSet<String> {
        let request = format!("GET /api/v2/alerts HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        let (status, _, body) = answer(self.address, request.as_bytes());
        assert_eq!(status, 200, "{body}");
        let alerts: Value = serde_json::from_str(&body).unwrap();
        alerts.as_array().unwrap().iter().map(|alert| alert["labels"]["key"].as_str().unwrap().to_owned()).collect()
    }

    fn stop(mut self) -> (SocketAddr, Folder) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.folder, Folder::new());
        (self.address, folder)
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's Alertmanager reads its templates from a fixed folder, which it lacks where it is only unpacked: there it
/// runs with a view of the file system in which they are at their place.
fn command() -> Command {
    const NAME: &str = "prometheus-alertmanager";
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = std::env::split_paths(&paths)
        .filter(|folder| folder.join(NAME).is_file())
        .find_map(|folder| Some(folder.parent()?.join("share/prometheus/alertmanager")));
    match unpacked {
        Some(templates) if templates.is_dir() && templates != Path::new("/usr/share/prometheus/alertmanager") => {
            let mut command = Command::new("unshare");
            let script = "mount -t tmpfs none /usr/share && mkdir /usr/share/prometheus && cp -r \"$0\" /usr/share/prometheus && exec \"$@\"";
            command.args(["-rm", "sh", "-c", script]).arg(templates).arg(NAME);
            command
        }
        Some(_) | None => Command::new(NAME),
    }
}

fn open(db: &TestDb) -> BTreeSet<String> {
    db.rows("SELECT cause_key FROM watch.incidents WHERE state <> 'closed'").into_iter().collect()
}

#[test]
fn alertmanager_shows_what_is_open() {
    let Some(alertmanager) = Alertmanager::start() else {
        return println!("skipped: no prometheus-alertmanager on this machine");
    };
    let db = TestDb::migrated();
    let mut client = db.client();
    callback(&mut client, "a", "alertmanager", &format!("http://{}/", alertmanager.address), &[]);
    let ingester = start(&db, &[]);
    for number in 0..30 {
        event(&mut client, &format!("lab/w{number}/missing"), "opened", "warning");
    }
    eventually_equal(open(&db), || alertmanager.firing());
    for number in 0..20 {
        event(
            &mut client,
            &format!("lab/w{number}/missing"),
            if number % 2 == 0 { "closed" } else { "worse" },
            "critical",
        );
    }
    eventually_equal(open(&db), || alertmanager.firing());

    // Away, while incidents open, close and reopen; its memory is lost.
    let (address, _) = alertmanager.stop();
    event(&mut client, "lab/w1/missing", "closed", "critical");
    event(&mut client, "lab/w1/missing", "opened", "critical");
    event(&mut client, "lab/w3/missing", "closed", "critical");
    event(&mut client, "lab/new/missing", "opened", "critical");
    eventually("the failure is noted", || (db.rows("SELECT failures > 0 FROM watch.callbacks") == ["t"]).then_some(()));
    // The collector dies meanwhile.
    ingester.kill();
    let alertmanager = Alertmanager::start_at(address, Folder::new()).unwrap();
    let _ingester = start_again(&db);
    try_now(&mut client);
    // What it has forgotten comes with the refresh after the start.
    eventually_equal(open(&db), || alertmanager.firing());
    eventually("everything is over", || {
        states(&db, "a").iter().all(|state| !state.ends_with("|pending")).then_some(())
    });
    // Only the newest state was sent.
    assert!(states(&db, "a").iter().any(|state| state == "closed|superseded"));
}

fn start_again(db: &TestDb) -> crate::common::ingester::Ingester {
    crate::common::ingester::Ingester::start(&db.url(), &[])
}
