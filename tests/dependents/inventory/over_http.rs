//! The member export of an exchange over HTTP and HTTPS: what is taken, what is refused, and what goes.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::common::certificates::{Authority, Issued};
use crate::common::pg::TestDb;
use crate::common::server::Folder;

/// An export with these members, each of one address.
fn export(members: &[u32]) -> String {
    let member = |number: &u32| {
        format!(
            r#"{{"asnum": {}, "name": "Example Networks", "connection_list": [{{"ixp_id": 1, "state": "active", "vlan_list": [
                 {{"vlan_id": 1, "ipv4": {{"address": "192.0.2.{number}", "routeserver": true}}}}]}}]}}"#,
            64_496 + number
        )
    };
    let members: Vec<String> = members.iter().map(member).collect();
    format!(
        r#"{{"version": "1.0", "timestamp": "2026-11-26T00:00:00Z", "ixp_list": [{{"ixp_id": 1, "shortname": "EX-IX"}}],
             "member_list": [{}]}}"#,
        members.join(", ")
    )
}

/// Answers one request by its path.
fn answer(stream: &mut (impl Read + Write)) {
    let lines = BufReader::new(&mut *stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
    let with_length = |body: &str, length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    let whole = |body: &str| with_length(body, body.len());
    let text = match path {
        "/members.json" => whole(&export(&[1, 2])),
        "/later.json" => whole(&export(&[2])),
        "/cut.json" => with_length(&export(&[1]), 100_000),
        "/moved.json" => "HTTP/1.1 302 Found\r\nLocation: /members.json\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "/huge.json" => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(text.as_bytes());
    if path == "/huge.json" {
        while stream.write_all(&[b' '; 65_536]).is_ok() {}
    }
    let _ = stream.flush();
}

/// A server on loopback; with a certificate it speaks TLS. Returns its URL.
fn serve(issued: Option<&Issued>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = issued.map(|issued| {
        let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    });
    let scheme = if config.is_some() { "https" } else { "http" };
    let serve_one = move |mut stream: TcpStream| match &config {
        Some(config) => answer(&mut StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)),
        None => answer(&mut stream),
    };
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve_one));
    format!("{scheme}://localhost:{port}")
}

#[test]
fn members_of_an_exchange_over_http() {
    let (db, folder) = (TestDb::migrated(), Folder::new());
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let roots = ours.write(&folder.path().join("ca.pem"));
    let plain = serve(None);
    let secure = serve(Some(&ours.issue(&["localhost"])));
    let stranger = serve(Some(&others.issue(&["localhost"])));
    let import = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        command.env_clear().env("SSL_CERT_FILE", &roots).env("RIB_INGESTER_DATABASE_URL", db.url());
        let output = command.args(["import", "ix-f"]).args(arguments).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), out, err)
    };
    for (url, why) in [
        (format!("{plain}/moved.json"), "HTTP 302: redirects are not followed, name the target"),
        (format!("{plain}/none.json"), "HTTP 404"),
        (format!("{plain}/huge.json"), "is larger than 64 MB"),
        (format!("{plain}/cut.json"), ""),
        (format!("{stranger}/members.json"), "UnknownIssuer"),
    ] {
        let (code, out, err) = import(&[&url]);
        assert!(code == Some(1) && out.is_empty() && err.contains(&url) && err.contains(why), "{code:?} {out} {err}");
    }
    assert!(db.rows("SELECT 1 FROM watch.watches").is_empty());
    let names = || db.rows("SELECT name FROM watch.watches ORDER BY name");
    let imported = |arguments: &[&str], report: &str| {
        let (code, out, err) = import(arguments);
        assert!(code == Some(0) && out.starts_with(report), "{arguments:?}: {out} {err}");
    };
    imported(&[&format!("{plain}/members.json")], "watches: 2 added, 0 changed, 0 removed, 0 equal\n");
    imported(&[&format!("{secure}/members.json")], "watches: 0 added, 0 changed, 0 removed, 2 equal\n");
    // A member that is gone stays without --prune, which touches watches of other sources in no case.
    db.client()
        .batch_execute("INSERT INTO watch.watches (name, kind, peer_address) VALUES ('mine', 'session', '192.0.2.9')")
        .unwrap();
    let later = format!("{secure}/later.json");
    imported(&[&later], "watches: 0 added, 0 changed, 0 removed, 1 equal\n");
    let dry = "watches: 0 added, 0 changed, 1 removed, 1 equal\n  - EX-IX AS64497 192.0.2.1\nnothing was written: --dry-run\n";
    imported(&[&later, "--prune", "--dry-run"], dry);
    assert_eq!(names(), ["EX-IX AS64497 192.0.2.1", "EX-IX AS64498 192.0.2.2", "mine"]);
    imported(&[&later, "--prune"], "watches: 0 added, 0 changed, 1 removed, 1 equal\n");
    assert_eq!(names(), ["EX-IX AS64498 192.0.2.2", "mine"]);
}
