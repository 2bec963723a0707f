//! Routers that listen: the collector connects to them, and their sessions are as all others.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::certificates::Authority;
use crate::common::ingester::{self, FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use rib_ingester::session::md5;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

const ID: &str = "10.255.0.1";

/// A router that listens on loopback.
struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    fn start() -> Listening {
        Listening::at("127.0.0.1:0".parse().unwrap())
    }

    /// Listens at an address, maybe again.
    fn at(address: SocketAddr) -> Listening {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        Listening { listener, address }
    }

    /// The next connection of a collector.
    fn accept(&self) -> TcpStream {
        let stream = eventually("the collector connects", || self.listener.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        stream
    }

    /// The next session, with a dump of these prefixes.
    fn dump(&self, prefixes: &[&str]) -> FakeRouter {
        let mut router = FakeRouter::of(self.accept());
        router.send(&said(prefixes));
        router
    }
}

/// All messages of a router with these routes.
fn said(prefixes: &[&str]) -> Vec<u8> {
    let peer = Peer::loc_rib(ID);
    [
        bmp::initiation(b"edge1", b""),
        bmp::peer_up(peer, &Open::of(64_500, ID), Some("global")),
        bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", prefixes)),
        bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()),
    ]
    .concat()
}

fn routes(db: &TestDb) -> Vec<String> {
    db.rows("SELECT prefix FROM current_routes ORDER BY prefix")
}

fn metric(ingester: &mut Ingester, name: &str, target: &str) -> u64 {
    let (_, _, metrics) = ingester.get("/metrics");
    let series = format!("rib_ingester_connect_{name}{{target=\"{target}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(series.as_str())).unwrap().parse().unwrap()
}

/// What a command prints that has the collector's settings.
fn printed(db: &TestDb, target: &str, command: &[&str]) -> String {
    let mut run = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    run.args(command).env_clear().env("RIB_INGESTER_DATABASE_URL", db.url());
    run.env("RIB_INGESTER_CONNECT", target).env("RIB_INGESTER_COLLECTOR_ID", "test");
    String::from_utf8(run.output().unwrap().stdout).unwrap()
}

#[test]
fn a_router_that_listens_has_a_session_as_any() {
    let db = TestDb::migrated();
    let router = Listening::start();
    let address = router.address;
    let target = format!("localhost:{}", address.port());
    // The allow-list is for those that connect.
    let settings = [("CONNECT", target.as_str()), ("ALLOW", "192.0.2.0/24"), ("ROUTER_ID_FROM", "address")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let session = router.dump(&["10.1.0.0/16", "10.2.0.0/16"]);
    eventually_equal(2, || routes(&db).len());
    assert_eq!(db.rows("SELECT router_id, host(router_ip) FROM routers"), ["127.0.0.1|127.0.0.1"]);
    ingester.logged(&format!("router at {target}: reached at 127.0.0.1, tries=1"));
    eventually_equal(1, || metric(&mut ingester, "reached", &target));
    assert!(!printed(&db, &target, &["status"]).contains("NOT REACHED"));
    assert!(printed(&db, &target, &["doctor"]).contains("1 in RIB_INGESTER_CONNECT, all of them have a session"));

    // It restarts: refuses for a while, and listens again.
    drop((session, router));
    let line = ingester.logged(&format!("router at {target}: not reached, trying again: "));
    assert!(line.contains("Connection refused"), "{line}");
    eventually("it was tried again", || (metric(&mut ingester, "tries_total", &target) > 3).then_some(()));
    assert_eq!((metric(&mut ingester, "reached", &target), routes(&db).len()), (0, 2));
    assert!(ingester.get("/readyz").2.contains("connect: degraded: 1 of 1 routers are not reached: localhost:"));
    assert_eq!(ingester.get("/readyz").0, 200);
    let without = format!("{target}: no session from 127.0.0.1");
    assert!(printed(&db, &target, &["status"]).contains(&format!("NOT REACHED (RIB_INGESTER_CONNECT)\n{without}\n")));
    assert!(printed(&db, &target, &["status", "--json"]).contains(&format!("\"target\": \"{target}\"")));
    let doctor = printed(&db, &target, &["doctor"]);
    assert!(doctor.contains("connect") && doctor.contains(&without), "{doctor}");

    let router = Listening::at(address);
    let session = router.dump(&["10.1.0.0/16", "10.3.0.0/16"]);
    eventually_equal(vec!["10.1.0.0/16".to_owned(), "10.3.0.0/16".to_owned()], || routes(&db));
    eventually_equal(2, || ingester.count_logged(&format!("router at {target}: reached at ")));
    assert_eq!(ingester.count_logged(&format!("router at {target}: not reached")), 1);
    assert!(!ingester.get("/readyz").2.contains("degraded"));
    // A stop ends it as all others.
    let state = ingester.state_dir().join("journal");
    assert!(std::fs::read_dir(state).unwrap().any(|entry| entry.unwrap().path().is_dir()));
    assert!(ingester.stop().success());
    let ends = "SELECT kind, reason FROM session_events WHERE kind LIKE '%stopped'";
    assert_eq!(db.rows(ends), ["collector_stopped|collector stops"]);
    drop(session);
}

#[test]
fn what_answers_as_no_router_does_is_told_once() {
    let db = TestDb::migrated();
    let (mute, closes, ssh) = (Listening::start(), Listening::start(), Listening::start());
    let target = |router: &Listening| router.address.to_string();
    let named = format!("no-such-host.invalid:1790,{},{},{}", target(&mute), target(&closes), target(&ssh));
    let settings = [("CONNECT", named.as_str()), ("MESSAGE_TIMEOUT_SECS", "1")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    // Each is tried several times.
    let (mut silent, mut tried) = (Vec::new(), 0);
    eventually("all were tried again", || {
        silent.extend(mute.listener.accept());
        tried += closes.listener.accept().map_or(0, |_| 1);
        if let Ok((mut stream, _)) = ssh.listener.accept() {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            tried += 1;
        }
        (silent.len() >= 2 && tried >= 4).then_some(())
    });
    for (router, why) in [
        ("no-such-host.invalid:1790".to_owned(), "failed to lookup address information"),
        (target(&mute), "no BMP message received"),
        (target(&closes), "closed by the router without Termination"),
        (target(&ssh), "not BMP: an SSH client: wrong port"),
    ] {
        let line = ingester.logged(&format!("router at {router}: not reached, trying again: "));
        assert!(line.contains(why), "{line}");
        assert_eq!(metric(&mut ingester, "reached", &router), 0);
    }
    let about = ingester.log().iter().filter(|line| line.contains("router at ")).count();
    assert_eq!(about, 4, "{:?}", ingester.log());
    assert_eq!(db.rows("SELECT count(*) FROM session_events"), ["0"]);
    let readyz = ingester.get("/readyz").2;
    assert!(
        readyz.contains("connect: degraded: 4 of 4 routers are not reached: ") && readyz.contains(", ..\n"),
        "{readyz}"
    );
    // Nothing of it delays a stop.
    let stopping = std::time::Instant::now();
    assert!(ingester.stop().success());
    assert!(stopping.elapsed().as_secs() < 10, "{:?}", stopping.elapsed());
}

#[test]
fn routers_with_tls_show_a_certificate() {
    let db = TestDb::migrated();
    let (files, authority) = (Folder::new(), Authority::new("authority"));
    let root = authority.write(&files.path().join("authority.crt"));
    let (chain, key) = authority.issue(&["collector.example"]).write(files.path(), "bmp");
    let router = Listening::start();
    let target = format!("tls://localhost:{}", router.address.port());
    let settings = [
        ("CONNECT", target.as_str()),
        ("BMP_TLS_CLIENT_CA_FILE", root.to_str().unwrap()),
        ("BMP_TLS_CERTIFICATE_FILE", chain.to_str().unwrap()),
        ("BMP_TLS_KEY_FILE", key.to_str().unwrap()),
    ];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let trusted = CertificateDer::from_pem_file(&root).unwrap();
    let serve = |names: &[&str], by: &Authority| {
        let own = by.issue(names);
        let chain = vec![CertificateDer::from_pem_slice(own.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(verifier.unwrap()).with_single_cert(chain, key).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config.into()).unwrap(), router.accept());
        let written = stream.write_all(&said(&["10.1.0.0/16"])).and_then(|()| stream.flush());
        (stream, written)
    };
    // A certificate of somebody else, and one for another name.
    let _ = serve(&["localhost"], &Authority::new("stranger"));
    let line = ingester.logged(&format!("router at {target}: not reached, trying again: "));
    assert!(line.contains("TLS: invalid peer certificate: UnknownIssuer"), "{line}");
    let _ = serve(&["edge9.example"], &authority);
    let plain = router.accept();
    (&plain).write_all(&said(&["10.9.0.0/16"])).unwrap();
    drop(plain);
    let (stream, written) = serve(&["localhost"], &authority);
    written.unwrap();
    eventually_equal(vec!["10.1.0.0/16".to_owned()], || routes(&db));
    assert!(stream.conn.peer_certificates().is_some(), "the collector shows its own");
    ingester.logged(&format!("router at {target}: reached at 127.0.0.1, tries=4"));
    assert_eq!(ingester.count_logged("router at "), 2, "{:?}", ingester.log());
    assert!(ingester.stop().success());

    let output = ingester::serve("host=127.0.0.1 port=1").env("RIB_INGESTER_CONNECT", &target).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("RIB_INGESTER_BMP_TLS_CLIENT_CA_FILE: is required with tls:// in RIB_INGESTER_CONNECT"),
        "{said}"
    );
}

#[test]
fn the_stand_by_connects_again_to_take_over() {
    let db = TestDb::migrated();
    let router = Listening::start();
    let target = router.address.to_string();
    let start = |name: &str| {
        let settings = [("CONNECT", target.as_str()), ("COLLECTOR_ID", name), ("STANDBY_WINDOW_SECS", "0")];
        Ingester::start(&db.url(), &settings)
    };
    let owner = || db.rows("SELECT collector_id FROM router_owner");
    let first = start("one");
    let _first_session = router.dump(&["10.1.0.0/16"]);
    eventually_equal(1, || routes(&db).len());
    let mut second = start("two");
    let mut at_second = router.dump(&["10.1.0.0/16"]);
    second.logged("stands by: collector one has the router");
    second.logged(&format!("router at {target}: reached at 127.0.0.1, tries=1"));
    first.kill();
    eventually("the stand-by closes its session", || at_second.is_closed().then_some(()));
    let _again = router.dump(&["10.1.0.0/16", "10.2.0.0/16"]);
    eventually_equal(vec!["two".to_owned()], owner);
    eventually_equal(2, || routes(&db).len());
    assert_eq!(second.count_logged("not reached"), 0);
    assert!(second.stop().success());
}

#[test]
fn a_session_that_was_dialed_is_taken_over_open() {
    let db = TestDb::migrated();
    let router = Listening::start();
    let target = router.address.to_string();
    let start = |name: &str| Ingester::start(&db.url(), &[("CONNECT", target.as_str()), ("COLLECTOR_ID", name)]);
    let first = start("one");
    let first_session = router.dump(&["10.1.0.0/16"]);
    eventually_equal(1, || routes(&db).len());
    let mut second = start("two");
    let mut at_second = router.dump(&["10.1.0.0/16"]);
    second.logged("stands by: collector one has the router");
    first.kill();
    drop(first_session);
    // Of this the first one knows nothing.
    at_second.send(&bmp::route_monitoring(
        Peer::loc_rib(ID),
        &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &["10.2.0.0/16"]),
    ));
    eventually_equal(vec!["two".to_owned()], || db.rows("SELECT collector_id FROM router_owner"));
    eventually_equal(2, || routes(&db).len());
    assert_eq!(
        db.rows("SELECT prefix, count(*) FROM route_events GROUP BY 1 ORDER BY 1"),
        ["10.1.0.0/16|1", "10.2.0.0/16|1"]
    );
    // The collector that comes back dials, and stands by.
    let mut first = start("one");
    let at_first = router.dump(&["10.1.0.0/16", "10.2.0.0/16"]);
    first.logged("stands by: collector two has the router");
    assert_eq!((at_second.is_gone(), metric(&mut second, "reached", &target)), (false, 1));
    // A session that is lost is dialed again, by whoever has the router.
    drop(at_second);
    eventually_equal(vec!["one".to_owned()], || db.rows("SELECT collector_id FROM router_owner"));
    let _again = router.dump(&["10.1.0.0/16", "10.2.0.0/16"]);
    second.logged("stands by: collector one has the router");
    eventually_equal(2, || routes(&db).len());
    drop(at_first);
    assert!(first.stop().success() && second.stop().success());
}

#[test]
fn a_drift_makes_the_collector_connect_again() {
    let db = TestDb::migrated();
    let router = Listening::start();
    let target = router.address.to_string();
    let settings = [("CONNECT", target.as_str()), ("STORED_RIBS", "loc-rib"), ("RESYNC_ON_DRIFT", "30%,1s")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let peer = Peer::global_instance("192.0.2.1", 64_501);
    let all = ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];
    let mut session = FakeRouter::of(router.accept());
    let open = Open { families: vec![(1, 1)], ..Open::of(64_500, ID) };
    let table = Peer::loc_rib(ID);
    session.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(table, &open, Some("global")));
    session.send(&bmp::peer_up(peer, &open, None)).send(&bmp::statistics(peer, 2));
    let update = bmp::announce(&Attributes::path(&[64_501]), "192.0.2.9", &all);
    session.send(&bmp::route_monitoring(table, &update)).send(&bmp::route_monitoring(table, &bmp::end_of_rib_ipv4()));
    eventually_equal(4, || routes(&db).len());
    session.send(&bmp::peer_down(peer, 4));
    eventually("the session is closed", || session.is_closed().then_some(()));
    ingester.logged("drift: loc-rib: 4 routes stored, up to 2 left behind by peers that went down");
    let _again = router.dump(&all[..2]);
    eventually_equal(2, || routes(&db).len());
    assert!(ingester.stop().success());
}

#[test]
fn a_router_with_a_key_is_answered_with_signatures() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
    if md5::set_key(&socket, local.ip(), local.ip().into(), b"of one").is_err() {
        eprintln!("skipped: this system has no TCP MD5 signatures");
        return;
    }
    socket.bind(&local.into()).unwrap();
    socket.listen(8).unwrap();
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).unwrap();
    let router = Listening { address: listener.local_addr().unwrap(), listener };
    let (db, files) = (TestDb::migrated(), Folder::new());
    let keys = files.path().join("keys");
    std::fs::write(&keys, "127.0.0.0/8 of the network\n127.0.0.1 of one\n").unwrap();
    let target = router.address.to_string();
    let settings = [("CONNECT", target.as_str()), ("MD5_FILE", keys.to_str().unwrap())];
    let ingester = Ingester::start(&db.url(), &settings);
    let _session = router.dump(&["10.1.0.0/16"]);
    eventually_equal(1, || routes(&db).len());
    assert!(ingester.stop().success());
}
