//! Routers behind load balancers: the PROXY protocol, by hand and by haproxy, and health checks.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::certificates::Authority;
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, SockRef, Socket, Type};

/// All messages of a router with one route.
fn said_by(id: &str) -> Vec<u8> {
    let peer = Peer::loc_rib(id);
    let update = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &["10.1.0.0/16"]);
    [
        bmp::initiation(b"edge1", b""),
        bmp::peer_up(peer, &Open::of(64_500, id), Some("global")),
        bmp::route_monitoring(peer, &update),
    ]
    .concat()
}

/// A header of version 2: command, family, and what follows the length.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

/// A header of version 2 for a connection from 192.0.2.`last`, with TLVs.
fn from(last: u8) -> Vec<u8> {
    version_2(0x21, 0x11, &[192, 0, 2, last, 198, 51, 100, 9, 0xdc, 4, 0x2b, 0x0b, 5, 0, 2, 7, 7, 4, 0, 1, 0])
}

/// The routers with a route, and the addresses that their sessions are from.
fn routers(db: &TestDb) -> Vec<String> {
    db.rows("SELECT router_id, host(router_ip) FROM routers JOIN current_routes USING (router_id) ORDER BY 1")
}

fn refusals(db: &TestDb) -> Vec<String> {
    db.rows("SELECT host(peer_address), reason FROM session_events WHERE kind = 'refused' ORDER BY id")
}

/// Connects from an address and closes, by a reset if `is_reset`.
fn check_health(ingester: &Ingester, source: &str, sends: &[u8], is_reset: bool) {
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&ingester.address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(sends).unwrap();
    if is_reset {
        SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

fn silent_connections(ingester: &mut Ingester) -> u64 {
    let (_, _, metrics) = ingester.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("rib_ingester_silent_connections_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn the_address_in_the_header_is_the_routers() {
    let db = TestDb::migrated();
    // The load balancer itself is not in the allow-list.
    let settings = [
        ("PROXY_FROM", "127.0.0.9"),
        ("ALLOW", "192.0.2.0/24,2001:db8::/32"),
        ("ROUTER_ID_FROM", "192.0.2.3/32=address,0.0.0.0/0=bgp-id,::/0=bgp-id"),
        ("MAX_SESSIONS_PER_ADDRESS", "1"),
    ];
    let ingester = Ingester::start(&db.url(), &settings);
    let through = |header: &[u8], id: &str| {
        let mut router = ingester.connect_from("127.0.0.9");
        router.send(&[header, &said_by(id)].concat());
        router
    };
    let six = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mapped = "::ffff:192.0.2.6".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut first = through(b"PROXY TCP4 192.0.2.1 198.51.100.9 56324 11019\r\n", "10.255.0.1");
    let _others = [
        through(&from(2), "10.255.0.2"),
        through(&from(3), "10.255.0.3"),
        through(b"PROXY TCP6 2001:db8::5 2001:db8::9 1 2\r\n", "10.255.0.5"),
        through(&version_2(0x21, 0x21, &[&mapped[..], &[0; 20]].concat()), "10.255.0.6"),
        through(&version_2(0x21, 0x21, &[&six[..], &[0; 20]].concat()), "10.255.0.7"),
    ];
    // Octet by octet, from the header into the first message.
    let mut slow = ingester.connect_from("127.0.0.9");
    for octet in [from(8), said_by("10.255.0.8")].concat() {
        slow.send(&[octet]);
    }
    let all = [
        "10.255.0.1|192.0.2.1",
        "10.255.0.2|192.0.2.2",
        "10.255.0.5|2001:db8::5",
        "10.255.0.6|192.0.2.6",
        "10.255.0.7|2001:db8::7",
        "10.255.0.8|192.0.2.8",
        "192.0.2.3|192.0.2.3",
    ];
    eventually_equal(all.map(str::to_owned).to_vec(), || routers(&db));
    // The allow-list and the limits judge the router's address.
    let mut stranger = through(b"PROXY TCP4 198.51.100.1 198.51.100.9 1 2\r\n", "10.255.0.9");
    eventually("the stranger is cut", || stranger.is_closed().then_some(()));
    let mut second = through(&from(1), "10.255.0.1");
    eventually("its second session is cut", || second.is_closed().then_some(()));
    let expected = [
        "198.51.100.1|not in the allow-list; to admit it add 198.51.100.1/32 to RIB_INGESTER_ALLOW",
        "192.0.2.1|1 sessions from this address are open: RIB_INGESTER_MAX_SESSIONS_PER_ADDRESS is reached",
    ];
    eventually_equal(expected.map(str::to_owned).to_vec(), || refusals(&db));
    assert!(!first.is_closed());
    let up = "SELECT host(peer_address) FROM session_events WHERE kind = 'session_up' AND router_id = '10.255.0.1'";
    assert_eq!(db.rows(up), ["192.0.2.1"]);
    // A header from anybody else is not believed.
    let mut forger = ingester.connect_from("127.0.0.8");
    forger.send_or_be_cut(&from(1));
    eventually("the forger is cut", || forger.is_closed().then_some(()));
    assert!(ingester.stop().success());
}

#[test]
fn what_is_no_header_closes_with_one_line() {
    let db = TestDb::migrated();
    let settings =
        [("PROXY_FROM", "127.0.1.0/24"), ("ALLOW", "127.0.0.0/8,192.0.2.0/24"), ("MESSAGE_TIMEOUT_SECS", "1")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let missing = "no header of the PROXY protocol: enable it on the load balancer, or take its address out of \
                   RIB_INGESTER_PROXY_FROM";
    let late = "no header of the PROXY protocol within 1s";
    let cases: [(&[u8], &str); 9] = [
        (&said_by("10.255.0.1"), missing),
        (b"GET / HTTP/1.1\r\n\r\n", missing),
        (b"PROXY TCP4 192.0.2.1\r\n", "malformed header of the PROXY protocol, version 1"),
        (&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 300]].concat(), "malformed header of the PROXY protocol, version 1"),
        (&version_2(0x22, 0x11, &[0; 12]), "malformed header of the PROXY protocol: version and command 0x22"),
        (&version_2(0x21, 0x11, &[0; 9_000]), "malformed header of the PROXY protocol, version 2: length 9000"),
        (b"PROXY TCP4 192.0.2.1 198", late),
        (b"", late),
        (
            &[&version_2(0x21, 0, &[])[..], &said_by("10.255.0.1")].concat(),
            "the header of the PROXY protocol does not say the router's address",
        ),
    ];
    for (i, (octets, why)) in cases.into_iter().enumerate() {
        let source = format!("127.0.1.{i}");
        for _ in 0..2 {
            let mut router = ingester.connect_from(&source);
            router.send_or_be_cut(octets);
            eventually("it is closed", || router.is_closed().then_some(()));
        }
        ingester.logged(&format!("router at {source}: refused: {why}"));
        assert_eq!(ingester.count_logged(&format!("router at {source}: ")), 1, "{octets:?}");
        eventually_equal(Some(format!("{source}|{why}")), || refusals(&db).get(i).cloned());
    }
    // One that ends in the middle.
    check_health(&ingester, "127.0.1.100", b"PROXY TCP4 192.0.2.1 198", false);
    ingester.logged("router at 127.0.1.100: refused: the connection ended inside the header of the PROXY protocol");
    let (_, _, metrics) = ingester.get("/metrics");
    assert!(metrics.contains("rib_ingester_refused_connections_total{reason=\"proxy_header\"} 19"), "{metrics}");
    // A connection that waits for its header holds nobody up.
    let _waiting = ingester.connect_from("127.0.1.200");
    let mut router = ingester.connect_from("127.0.1.1");
    router.send(&[from(7), said_by("10.255.0.7")].concat());
    eventually_equal(vec!["10.255.0.7|192.0.2.7".to_owned()], || routers(&db));
    assert!(ingester.stop().success());
}

#[test]
fn health_checks_cost_a_line_and_a_row_at_most() {
    let db = TestDb::migrated();
    let settings = [("PROXY_FROM", "127.0.0.9"), ("ALLOW", "127.0.0.1")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    for _ in 0..20 {
        for is_reset in [false, true] {
            check_health(&ingester, "127.0.0.1", b"", is_reset);
            check_health(&ingester, "127.0.0.9", b"", is_reset);
        }
        check_health(&ingester, "127.0.0.9", &version_2(0x20, 0, &[]), false);
        check_health(&ingester, "127.0.0.9", b"PROXY UNKNOWN\r\n", false);
        check_health(&ingester, "127.0.0.9", &version_2(0x21, 0, &[]), false);
        // The router that it is for says nothing.
        check_health(&ingester, "127.0.0.9", b"PROXY TCP4 127.0.0.1 127.0.0.9 1 2\r\n", false);
        // Not allowed.
        check_health(&ingester, "127.0.0.2", b"", false);
    }
    eventually_equal(160, || silent_connections(&mut ingester));
    let refused = "127.0.0.2|not in the allow-list; to admit it add 127.0.0.2/32 to RIB_INGESTER_ALLOW";
    eventually_equal(vec![refused.to_owned()], || refusals(&db));
    assert_eq!(ingester.count_logged(" at 127.0.0."), 1, "{:?}", ingester.log());
    assert_eq!(db.rows("SELECT count(*) FROM session_events"), ["1"]);
    assert_eq!(db.rows("SELECT count(*) FROM bmp_sessions"), ["0"]);
    assert!(ingester.stop().success());
}

#[test]
fn the_header_comes_before_the_tls_handshake() {
    let db = TestDb::migrated();
    let (files, authority) = (Folder::new(), Authority::new("authority"));
    let root = authority.write(&files.path().join("authority.crt"));
    let (chain, key) = authority.issue(&["collector.example"]).write(files.path(), "bmp");
    let settings = [
        ("BMP_TLS_LISTEN", "127.0.0.1:0"),
        ("BMP_TLS_CERTIFICATE_FILE", chain.to_str().unwrap()),
        ("BMP_TLS_KEY_FILE", key.to_str().unwrap()),
        ("PROXY_FROM", "127.0.0.1"),
        ("ALLOW", "192.0.2.0/24"),
    ];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let port = ingester.address_logged("waiting for routers with TLS on ");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connection = ClientConnection::new(config.into(), "collector.example".try_into().unwrap()).unwrap();
    let mut socket = TcpStream::connect(port).unwrap();
    socket.write_all(&from(4)).unwrap();
    let mut router = StreamOwned::new(connection, socket);
    router.write_all(&said_by("10.255.0.4")).unwrap();
    eventually_equal(vec!["10.255.0.4|192.0.2.4".to_owned()], || routers(&db));
    assert!(ingester.stop().success());
}

/// A running haproxy.
struct Haproxy(Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Haproxy {
    /// Starts it with a port for each of these ways to talk to the collector; `None` where there is no haproxy.
    fn start(folder: &Folder, collector: SocketAddr, ways: &[(SocketAddr, &str)]) -> Option<Haproxy> {
        let file = folder.path().join("haproxy.cfg");
        let mut text = "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n".to_owned();
        for (i, (address, way)) in ways.iter().enumerate() {
            let server = format!("server one {collector} source 127.0.0.9 check inter 50 {way}");
            text.push_str(&format!("listen bmp{i}\n bind {address}\n {server}\n"));
        }
        std::fs::write(&file, text).unwrap();
        let program = ["/usr/sbin/haproxy", "haproxy"].into_iter().find_map(|program| {
            Command::new(program).arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).spawn().ok()
        });
        if program.is_none() {
            eprintln!("skipped: there is no haproxy here");
        }
        program.map(Haproxy)
    }
}

#[test]
fn routers_behind_haproxy_keep_their_addresses() {
    let db = TestDb::migrated();
    let settings = [("PROXY_FROM", "127.0.0.9"), ("ALLOW", "127.0.2.0/24")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let free: Vec<SocketAddr> =
        (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()).collect();
    let ways = [(free[0], "send-proxy check-send-proxy"), (free[1], "send-proxy-v2 check-send-proxy")];
    let folder = Folder::new();
    let Some(_haproxy) = Haproxy::start(&folder, ingester.address(), &ways) else { return };
    let mut routers_of_it: Vec<FakeRouter> = Vec::new();
    for (i, (address, _)) in ways.iter().enumerate() {
        let source: SocketAddr = format!("127.0.2.{}:0", i + 1).parse().unwrap();
        let socket = eventually("haproxy listens", || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&source.into()).unwrap();
            socket.connect(&(*address).into()).is_ok().then_some(socket)
        });
        let mut router = FakeRouter::of(socket.into());
        router.send(&said_by(&format!("10.255.0.{}", i + 1)));
        routers_of_it.push(router);
    }
    let expected = ["10.255.0.1|127.0.2.1", "10.255.0.2|127.0.2.2"];
    eventually_equal(expected.map(str::to_owned).to_vec(), || routers(&db));
    eventually("health checks of both have come", || (silent_connections(&mut ingester) > 40).then_some(()));
    assert_eq!(ingester.count_logged("127.0.0.9"), 0, "{:?}", ingester.log());
    assert_eq!(refusals(&db), [""; 0]);
    assert!(routers_of_it.iter_mut().all(|router| !router.is_gone()));
    assert!(ingester.stop().success());
}
