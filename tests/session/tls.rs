//! BMP inside TLS: a router that speaks it is stored in SQL, all others are refused.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::certificates::{Authority, Issued};
use crate::common::ingester::{Ingester, eventually, eventually_equal, serve};
use crate::common::pg::TestDb;
use crate::common::server::Folder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type TlsRouter = StreamOwned<ClientConnection, TcpStream>;

/// A collector with a TLS port, and an authority that its routers know.
struct Secure {
    files: Folder,
    authority: Authority,
    ingester: Ingester,
    port: SocketAddr,
}

impl Secure {
    fn start(db: &TestDb, more: &[(&str, &str)]) -> Secure {
        let (files, authority) = (Folder::new(), Authority::new("authority"));
        authority.write(&files.path().join("authority.crt"));
        let (chain, key) = authority.issue(&["collector.example"]).write(files.path(), "bmp");
        let mut settings = vec![
            ("BMP_TLS_LISTEN", "127.0.0.1:0"),
            ("BMP_TLS_CERTIFICATE_FILE", chain.to_str().unwrap()),
            ("BMP_TLS_KEY_FILE", key.to_str().unwrap()),
        ];
        let authorities = files.path().join("authority.crt");
        let asked = more.contains(&("BMP_TLS_CLIENT_CA_FILE", ""));
        settings.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        settings.extend(asked.then_some(("BMP_TLS_CLIENT_CA_FILE", authorities.to_str().unwrap())));
        let mut ingester = Ingester::start(&db.url(), &settings);
        let port = ingester.address_logged("waiting for routers with TLS on ");
        Secure { files, authority, ingester, port }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A router that trusts the authority, with a certificate of its own or none.
    fn connect(&self, own: Option<&Issued>) -> TlsRouter {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("authority.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from_pem_slice(own.chain.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let name = "collector.example".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, TcpStream::connect(self.port).unwrap())
    }
}

/// All messages of a router with one route.
fn said_by(id: &str, prefix: &str) -> Vec<u8> {
    let peer = Peer::loc_rib(id);
    let update = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &[prefix]);
    [
        bmp::initiation(b"edge1", b""),
        bmp::peer_up(peer, &Open::of(64_500, id), Some("global")),
        bmp::route_monitoring(peer, &update),
    ]
    .concat()
}

fn routes(db: &TestDb) -> Vec<String> {
    db.rows("SELECT prefix FROM current_routes ORDER BY prefix")
}

#[test]
fn a_router_behind_tls_ends_in_sql() {
    let db = TestDb::migrated();
    let secure = Secure::start(&db, &[]);
    let mut router = secure.connect(None);
    router.write_all(&said_by("10.255.0.1", "10.1.0.0/16")).unwrap();
    eventually_equal(vec!["10.1.0.0/16".to_owned()], || routes(&db));
    // More than a record and a read hold, in one write.
    let peer = Peer::loc_rib("10.255.0.1");
    let many: Vec<u8> = (0..2_000u32)
        .flat_map(|i| {
            let prefix = format!("10.{}.{}.0/24", 128 + (i >> 8), i & 0xff);
            bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &[&prefix]))
        })
        .collect();
    router.write_all(&many).unwrap();
    eventually_equal(2_001, || routes(&db).len());
    // The orderly end of TLS is no Termination: the rows stay.
    router.conn.send_close_notify();
    router.flush().unwrap();
    drop(router);
    let ends = "SELECT kind, reason FROM session_events WHERE kind = 'session_lost'";
    eventually_equal(vec!["session_lost|closed by the router without Termination".to_owned()], || db.rows(ends));
    assert_eq!(routes(&db).len(), 2_001);
    // The other port accepts no TLS and needs none.
    let mut plain = secure.ingester.connect();
    plain.send(&said_by("10.255.0.2", "10.2.0.0/16"));
    eventually_equal(2_002, || routes(&db).len());
    assert!(secure.ingester.stop().success());
}

#[test]
fn only_routers_with_a_trusted_certificate_connect() {
    let db = TestDb::migrated();
    let mut secure = Secure::start(&db, &[("BMP_TLS_CLIENT_CA_FILE", "")]);
    let stranger = Authority::new("stranger").issue(&["edge9"]);
    for own in [None, Some(&stranger)] {
        let mut router = secure.connect(own);
        // The refusal may arrive before or after the router's first message.
        let _ = router.write_all(&said_by("10.255.0.9", "10.9.0.0/16"));
        eventually("the collector hangs up", || {
            let _ = router.write_all(b"\x03");
            std::io::Read::read(&mut router, &mut [0; 1]).map_or_else(|_| Some(()), |count| (count == 0).then_some(()))
        });
    }
    secure.ingester.logged("session ended: lost: TLS: peer sent no certificates");
    secure.ingester.logged("session ended: lost: TLS: invalid peer certificate");
    let mut router = secure.connect(Some(&secure.authority.issue(&["edge1"])));
    router.write_all(&said_by("10.255.0.1", "10.1.0.0/16")).unwrap();
    eventually_equal(vec!["10.1.0.0/16".to_owned()], || routes(&db));
    assert!(secure.ingester.stop().success());
}

#[test]
fn sighup_reloads_a_certificate_unless_it_is_invalid() {
    let db = TestDb::migrated();
    let mut secure = Secure::start(&db, &[]);
    let mut first = secure.connect(None);
    first.write_all(&said_by("10.255.0.1", "10.1.0.0/16")).unwrap();
    eventually_equal(1, || routes(&db).len());
    let shown = |router: &TlsRouter| router.conn.peer_certificates().unwrap()[0].to_vec();

    std::fs::write(secure.file("bmp.crt"), "nonsense").unwrap();
    secure.ingester.signal("HUP");
    secure.ingester.logged("TLS for routers: old certificate kept");
    let mut second = secure.connect(None);
    second.write_all(&said_by("10.255.0.2", "10.2.0.0/16")).unwrap();
    eventually_equal(2, || routes(&db).len());
    assert_eq!(shown(&first), shown(&second));

    secure.authority.issue(&["collector.example"]).write(secure.files.path(), "bmp");
    secure.ingester.signal("HUP");
    secure.ingester.logged("TLS for routers: certificate read again");
    let mut third = secure.connect(None);
    third.write_all(&said_by("10.255.0.3", "10.3.0.0/16")).unwrap();
    eventually_equal(3, || routes(&db).len());
    assert_ne!(shown(&first), shown(&third));
    // Existing sessions continue.
    let peer = Peer::loc_rib("10.255.0.1");
    first.write_all(&bmp::route_monitoring(peer, &bmp::withdraw(&["10.1.0.0/16"]))).unwrap();
    eventually_equal(2, || routes(&db).len());
}

#[test]
fn a_connection_without_a_tls_handshake_is_closed() {
    let db = TestDb::migrated();
    let mut secure = Secure::start(&db, &[("MESSAGE_TIMEOUT_SECS", "1")]);
    let mut plain = TcpStream::connect(secure.port).unwrap();
    plain.write_all(&said_by("10.255.0.1", "10.1.0.0/16")).unwrap();
    secure.ingester.logged("session ended: lost: TLS: not TLS: send plain BMP to RIB_INGESTER_BMP_LISTEN");
    // The beginning of a ClientHello of 512 bytes, then a byte at intervals: bytes of TLS alone, forever.
    let mut drips = TcpStream::connect(secure.port).unwrap();
    drips.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).unwrap();
    eventually("the dripping handshake is cut", || drips.write_all(&[0]).err());
    secure.ingester.logged("session ended: no BMP message received");
    assert_eq!(routes(&db), Vec::<String>::new());
}

#[test]
fn a_port_without_its_files_stops_the_start() {
    let start = |more: &[(&str, &Path)]| {
        let mut run = serve("host=127.0.0.1 port=1");
        run.env("RIB_INGESTER_BMP_TLS_LISTEN", "127.0.0.1:0");
        run.envs(more.iter().map(|(name, value)| (format!("RIB_INGESTER_BMP_TLS_{name}_FILE"), value)));
        let output = run.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = start(&[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("RIB_INGESTER_BMP_TLS_KEY_FILE: is required with RIB_INGESTER_BMP_TLS_LISTEN"), "{said}");
    let folder = Folder::new();
    let (chain, _) = Authority::new("one").issue(&["a"]).write(folder.path(), "one");
    let (_, key) = Authority::new("two").issue(&["a"]).write(folder.path(), "two");
    let (code, said) = start(&[("CERTIFICATE", &chain), ("KEY", &key)]);
    assert_eq!(code, Some(2));
    assert!(said.contains("two.key") && said.contains("TLS for routers"), "{said}");
}
