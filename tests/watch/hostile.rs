//! Receivers over TLS, receivers whose answers do not end, and what the log says of them.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::common::certificates::{Authority, Issued};
use crate::common::incidents::event;
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::receiver::{Receiver, Reply};
use crate::scene::{callback, secret};

/// Reads a request to the end of its body, as its Content-Length says.
fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut chunk = [0; 65_536];
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        text.push_str(&String::from_utf8_lossy(&chunk[..count]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
    }
}

/// A receiver on loopback that gives each connection to `serve`.
fn receiver(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(&serve));
    address
}

/// A receiver with a certificate for this name.
fn tls_receiver(issued: &Issued) -> SocketAddr {
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    receiver(move |stream| {
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            let _ = stream.flush();
        }
    })
}

#[test]
fn answers_are_bounded_and_secrets_stay_secret() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let folder = std::env::temp_dir().join(format!("rib-ingester-{}", db.name()));
    std::fs::create_dir_all(&folder).unwrap();
    let (ours, private, others) = (Authority::new("ours"), Authority::new("private"), Authority::new("others"));
    let roots = ours.write(&folder.join("ca.pem"));
    let more_roots = private.write(&folder.join("private.pem"));
    let tls = |authority: &Authority, name: &str| tls_receiver(&authority.issue(&[name])).port();
    let endless = receiver(|mut stream| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'T'; 4_096]).is_ok() {}
        }
    });
    // An octet every 100 ms, of the head or of the body: the time for everything ends it.
    let slow = |beginning: &'static str| {
        receiver(move |mut stream| {
            if read_request(&mut stream).is_some() {
                let _ = stream.write_all(beginning.as_bytes());
                while stream.write_all(b"T").is_ok() {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            }
        })
    };
    let full = Receiver::start();
    full.answer(Reply::Status(413));
    let odd = Receiver::start();
    let urls = [
        ("full", full.url("/T0KEN")),
        ("endless", format!("http://{endless}/T0KEN")),
        ("odd", odd.url("/T0KEN")),
        ("slow-head", format!("http://{}/T0KEN", slow("HTTP/1.1 200 OK\r\nX-Token: "))),
        ("slow-body", format!("http://{}/T0KEN", slow("HTTP/1.1 200 OK\r\n\r\n"))),
        ("private", format!("https://localhost:{}/T0KEN", tls(&private, "localhost"))),
        ("good", format!("https://localhost:{}/T0KEN", tls(&ours, "localhost"))),
        ("wrong", format!("https://localhost:{}/T0KEN", tls(&ours, "example.net"))),
        ("stranger", format!("https://localhost:{}/T0KEN", tls(&others, "localhost"))),
    ];
    for (name, url) in &urls {
        callback(&mut client, name, "generic", url, &[("headers", r#"'{"Authorization": "Bearer T0KEN"}'"#)]);
        secret(&mut client, name, "T0KEN \"'\\ \u{fc}\u{1f511}%s$(x)");
    }
    let vars = [("SSL_CERT_FILE", roots.to_str().unwrap())];
    let mut evaluator = db.client();
    evaluator.batch_execute("SELECT pg_try_advisory_lock(hashtext('rib_watch'))").unwrap();
    let settings = [("CALLBACK_CA", more_roots.to_str().unwrap())];
    let ingester = Ingester::start_with(&db.url(), &settings, &vars);
    event(&mut client, "lab/w/missing", "opened", "critical");
    let tried = "SELECT c.name, d.state, d.last_status, d.last_error FROM watch.deliveries d
                 JOIN watch.callbacks c ON c.id = d.callback_id ORDER BY c.id";
    let want = [
        "full|dead|413|HTTP 413",
        "endless|delivered|200|-",
        "odd|delivered|200|-",
        "slow-head|pending|-|no answer within 10 s",
        "slow-body|delivered|200|-",
        "private|delivered|204|-",
        "good|delivered|204|-",
        "wrong|pending|-|invalid peer certificate: certificate not valid for name \"localhost\"",
        "stranger|pending|-|invalid peer certificate: UnknownIssuer",
    ];
    eventually_equal(want.map(str::to_owned).to_vec(), || {
        let rows = db.rows(tried);
        let beginning = |row: &String| row.split(';').next().unwrap_or_default().replace("TLS: ", "");
        rows.iter().map(beginning).collect()
    });
    let received = odd.received();
    assert!(received.len() == 1 && received[0].is_signed_with("T0KEN \"'\\ \u{fc}\u{1f511}%s$(x)"));
    assert!(ingester.count_logged("callback full") > 0, "what was given up is in the log");
    assert_eq!(ingester.count_logged("T0KEN"), 0);
    std::fs::remove_dir_all(&folder).unwrap();
}
