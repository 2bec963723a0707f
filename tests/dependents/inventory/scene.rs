//! An inventory, and routers that carry its addresses.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::{Command, Output};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester};
use crate::common::pg::TestDb;

/// Two sites; the second one is judged by the Loc-RIB of edge2 alone. Watches wait for nothing.
pub const INVENTORY: &str = "
    INSERT INTO inventory.settings VALUES ('watch_settle_secs', '0'), ('watch_open_after_secs', '0'),
        ('watch_close_after_secs', '0'), ('watch_severity', 'critical');
    INSERT INTO inventory.sites (id, name, external_ip) VALUES (1, 'fra1', '203.0.113.10'), (2, 'fra2', NULL);
    INSERT INTO inventory.nodes (id, name, ipv4_address, site_id) VALUES (1, 'n1', '198.51.100.5', 1), (2, 'n2', NULL, 2);
    INSERT INTO inventory.containers (id, hostname, node_id, container_id, ipv4_address, status) VALUES
        (1, 'web1', 1, 100, '198.51.100.9', 'running'), (2, 'db1', 1, 101, '192.0.2.20', 'running'),
        (3, 'priv1', 1, 102, '10.0.0.7', 'running'), (4, 'priv2', 2, 100, '10.9.0.7', 'running');
    INSERT INTO inventory.external_domains (id, domain) VALUES (1, 'example.com');
    INSERT INTO inventory.services (id, container_id, type, container_port) VALUES
        (1, 1, 'http', 80), (2, 2, 'transport', 5432), (3, 3, 'dns', 53), (4, 4, 'transport', 22);
    INSERT INTO inventory.http_services (service_id, external_hostname, external_domain_id) VALUES (1, 'www', 1);
    INSERT INTO inventory.transport_services (service_id, protocol) VALUES (2, 'tcp'), (4, 'tcp');
    INSERT INTO inventory.dns_services (service_id, service_name) VALUES (3, '_ldap._tcp');
    INSERT INTO inventory.site_vantages VALUES (2, '10.255.0.2', 'global')";

/// A router with its Loc-RIB.
pub struct Router {
    pub socket: FakeRouter,
    pub loc_rib: Peer,
}

impl Router {
    /// Connects; its Loc-RIB has these routes, each `prefix via next hop path`, and is complete.
    pub fn connect(ingester: &Ingester, name: &str, id: &str, routes: &[(&str, &str, &[u32])]) -> Router {
        let loc_rib = Peer::loc_rib(id);
        let mut router = Router { socket: ingester.connect(), loc_rib };
        router.socket.send(&bmp::initiation(name.as_bytes(), b""));
        router.socket.send(&bmp::peer_up(loc_rib, &Open::of(64_500, id), Some("global")));
        for (prefix, next_hop, path) in routes {
            router.announce(loc_rib, prefix, next_hop, path);
        }
        router.socket.send(&bmp::route_monitoring(loc_rib, &bmp::end_of_rib_ipv4()));
        router.socket.send(&bmp::route_monitoring(loc_rib, &bmp::end_of_rib(2, 1)));
        router
    }

    /// Brings up a peer that sends these routes before policy.
    pub fn peer(&mut self, address: &str, asn: u32, routes: &[(&str, &[u32])]) -> Peer {
        let peer = Peer::global_instance(address, asn);
        self.socket.send(&bmp::peer_up_of(
            peer,
            &Open::of(64_500, "10.255.0.1").bytes(),
            &Open::of(asn, address).bytes(),
            &[],
        ));
        for (prefix, path) in routes {
            self.announce(peer, prefix, address, path);
        }
        self.socket.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
        self.socket.send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
        peer
    }

    pub fn announce(&mut self, peer: Peer, prefix: &str, next_hop: &str, path: &[u32]) {
        let update = bmp::announce(&Attributes::path(path), next_hop, &[prefix]);
        self.socket.send(&bmp::route_monitoring(peer, &update));
    }

    pub fn withdraw(&mut self, prefix: &str) {
        let loc_rib = self.loc_rib;
        self.socket.send(&bmp::route_monitoring(loc_rib, &bmp::withdraw(&[prefix])));
    }
}

/// Runs a command on the database.
pub fn command(db: &TestDb, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
        .args(arguments)
        .env_clear()
        .env("RIB_INGESTER_DATABASE_URL", db.url())
        .output()
        .unwrap()
}

/// The exit code of a command, and its standard output.
pub fn run(db: &TestDb, arguments: &[&str]) -> (i32, String) {
    let output = command(db, arguments);
    eprintln!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}
