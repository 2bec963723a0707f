//! The running collector's messages to systemd, on a socket of the test's own.

#![allow(missing_docs, clippy::unwrap_used)]

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use crate::common::bmp;
use crate::common::ingester::Ingester;
use crate::common::pg::TestDb;

/// systemd's end of the socket.
struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Manager {
    fn listen(test: &str) -> Manager {
        let path = std::env::temp_dir().join(format!("rib-ingester-notify-{test}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Manager { path, socket }
    }

    fn vars(&self) -> Vec<(&str, &str)> {
        vec![("NOTIFY_SOCKET", self.path.to_str().unwrap()), ("WATCHDOG_USEC", "3000000")]
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("systemd hears something within a minute");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Waits for a message with `text`; returns the messages before it.
    fn heard(&self, text: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let message = self.next();
            if message.contains(text) {
                return before;
            }
            before.push(message);
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn systemd_hears_ready_life_status_reload_and_stop() {
    let db = TestDb::migrated();
    let manager = Manager::listen("life");
    let ingester = Ingester::start_with(&db.url(), &[], &manager.vars());
    let before = manager.heard("READY=1\n");
    assert_eq!(before, ["STATUS=waiting for the database\n"]);
    // Twice: the message is repeated.
    manager.heard("WATCHDOG=1\n");
    manager.heard("WATCHDOG=1\n");
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(
        bmp::Peer::loc_rib("10.255.0.1"),
        &bmp::Open::of(64_500, "10.255.0.1"),
        Some("global"),
    ));
    manager.heard("STATUS=1 of 1 routers connected, 0 routes\n");
    ingester.signal("HUP");
    manager.heard("RELOADING=1\nMONOTONIC_USEC=");
    manager.heard("READY=1\n");
    ingester.signal("TERM");
    manager.heard("STOPPING=1\n");
}

#[test]
fn without_a_database_systemd_hears_nothing_of_ready() {
    let manager = Manager::listen("waiting");
    let mut ingester = Ingester::spawn_with("postgresql://writer@127.0.0.1:1/rib", &[], &manager.vars());
    ingester.logged("database: not reached");
    assert_eq!(manager.next(), "STATUS=waiting for the database\n");
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0; 100]).is_err(), "nothing more");
    assert!(ingester.stop().success());
}
