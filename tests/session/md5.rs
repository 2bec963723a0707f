//! TCP MD5 signatures (RFC 2385): a router with a key must use it, and the right one.
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use rib_ingester::session::md5;
use socket2::{Domain, Socket, Type};

/// The time that a router tries for: the kernel drops unsigned segments without an answer.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// A connection from `source` that is signed with `key`, if it is established.
fn connect(port: u16, source: &str, key: Option<&str>) -> Option<TcpStream> {
    let source: IpAddr = source.parse().unwrap();
    let to = SocketAddr::new(if source.is_ipv4() { [127, 0, 0, 1].into() } else { source }, port);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    if let Some(key) = key {
        md5::set_key(&socket, source, to.ip().into(), key.as_bytes()).unwrap();
    }
    socket.connect_timeout(&to.into(), PATIENCE).ok()?;
    Some(socket.into())
}

/// Returns whether this system has such signatures at all.
fn is_supported() -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let is_supported = md5::set_key(&socket, loopback, loopback.into(), b"key").is_ok();
    if !is_supported {
        eprintln!("skipped: this system has no TCP MD5 signatures");
    }
    is_supported
}

#[test]
fn a_router_with_a_key_must_sign_and_keys_reload() {
    use std::io::Write;
    if !is_supported() {
        return;
    }
    let db = TestDb::migrated();
    let folder = Folder::new();
    let file = folder.path().join("keys");
    std::fs::write(&file, "127.0.1.0/24 of the network\n127.0.1.9 of one\n2001:db8::/32 far away\n").unwrap();
    let settings = [("MD5_FILE", file.to_str().unwrap()), ("ALLOW", "127.0.0.0/8,::1"), ("BMP_LISTEN", "[::]:0")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    ingester.logged("TCP MD5 keys: every user of this machine may read or write");
    let port = ingester.address().port();
    let is_open = |source: &str, key: Option<&str>| connect(port, source, key).is_some();

    let mut router = connect(port, "127.0.1.2", Some("of the network")).unwrap();
    let peer = Peer::loc_rib("10.255.0.1");
    let update = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &["10.1.0.0/16"]);
    for message in [
        bmp::initiation(b"edge1", b""),
        bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")),
        bmp::route_monitoring(peer, &update),
    ] {
        router.write_all(&message).unwrap();
    }
    eventually_equal(vec!["10.1.0.0/16".to_owned()], || db.rows("SELECT prefix FROM current_routes"));
    assert!(!is_open("127.0.1.3", None) && !is_open("127.0.1.3", Some("another")));
    // The longest match counts, and a router without a key needs no signature.
    assert!(is_open("127.0.1.9", Some("of one")) && !is_open("127.0.1.9", Some("of the network")));
    assert!(is_open("127.0.0.2", None));

    std::fs::write(&file, "127.0.1.9\n").unwrap();
    ingester.signal("HUP");
    ingester.logged("TCP MD5 keys: old ones kept: RIB_INGESTER_MD5_FILE");
    assert!(is_open("127.0.1.9", Some("of one")) && !is_open("127.0.1.9", None));

    std::fs::write(&file, "127.0.1.0/24 renewed\n").unwrap();
    ingester.signal("HUP");
    ingester.logged("TCP MD5 keys: read again, 1 networks");
    eventually("the new key is in force", || is_open("127.0.1.9", Some("renewed")).then_some(()));
    assert!(!is_open("127.0.1.9", Some("of one")) && !is_open("127.0.1.2", Some("of the network")));
    // A session that has begun keeps the key it began with.
    router.write_all(&bmp::route_monitoring(peer, &bmp::withdraw(&["10.1.0.0/16"]))).unwrap();
    eventually_equal(Vec::<String>::new(), || db.rows("SELECT prefix FROM current_routes"));

    std::fs::write(&file, "# none\n").unwrap();
    ingester.signal("HUP");
    ingester.logged("TCP MD5 keys: read again, 0 networks");
    eventually("no key is asked for", || is_open("127.0.1.9", None).then_some(()));
    for key in ["of the network", "of one", "renewed", "far away"] {
        assert_eq!(ingester.count_logged(key), 0);
    }
}

#[test]
fn keys_of_ipv6_routers() {
    if !is_supported() {
        return;
    }
    if Socket::new(Domain::IPV6, Type::STREAM, None)
        .and_then(|socket| socket.bind(&SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0)).into()))
        .is_err()
    {
        eprintln!("skipped: this system has no IPv6 loopback");
        return;
    }
    let db = TestDb::migrated();
    let folder = Folder::new();
    let file = folder.path().join("keys");
    std::fs::write(&file, "::1 six\n").unwrap();
    let settings = [("MD5_FILE", file.to_str().unwrap()), ("BMP_LISTEN", "[::]:0")];
    let ingester = Ingester::start(&db.url(), &settings);
    let port = ingester.address().port();
    assert!(connect(port, "::1", Some("six")).is_some() && connect(port, "::1", None).is_none());
    assert!(connect(port, "127.0.0.1", None).is_some());
}
