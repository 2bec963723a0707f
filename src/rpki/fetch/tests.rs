//! Sources that answer well and badly.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const MB: u64 = 1 << 20;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // The client may have had enough.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// Answers by path, one request for each connection.
fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim().to_ascii_lowercase());
    }
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let is_known = lines.contains(&"if-none-match: \"v1\"".to_owned())
        && lines.contains(&"if-modified-since: wed, 26 nov 2025 03:00:00 gmt".to_owned());
    let found = |location: &str| format!("Location: {location}\r\n");
    let tags = "ETag: \"v1\"\r\nLast-Modified: Wed, 26 Nov 2025 03:00:00 GMT\r\n";
    match path.as_str() {
        "/tagged" if is_known => respond(&mut stream, "304 Not Modified", tags, b""),
        "/tagged" => respond(&mut stream, "200 OK", tags, b"set"),
        "/gzip" => {
            assert!(lines.contains(&"accept-encoding: gzip".to_owned()), "{lines:?}");
            respond(&mut stream, "200 OK", "Content-Encoding: gzip\r\n", &gzip(b"compressed"));
        }
        "/bomb" => respond(&mut stream, "200 OK", "Content-Encoding: gzip\r\n", &gzip(&vec![b' '; 3 << 20])),
        "/bad-gzip" => respond(&mut stream, "200 OK", "", &gzip(b"compressed")[..15]),
        "/huge" => respond(&mut stream, "200 OK", "", &vec![b' '; 3 << 20]),
        "/endless" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b' '; 65_536]).is_ok() {}
        }
        "/cut" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nset");
        }
        "/hop/1" => respond(&mut stream, "301 Moved", &found("2"), b""),
        "/hop/2" => respond(&mut stream, "302 Found", &found("/hop/3?x=1"), b""),
        "/hop/3?x=1" => {
            let address = stream.local_addr().unwrap();
            respond(&mut stream, "307 Temporary Redirect", &found(&format!("//{address}/tagged#part")), b"");
        }
        "/loop" => respond(&mut stream, "302 Found", &found("/loop"), b""),
        "/secure" => respond(&mut stream, "302 Found", &found("https://rpki.example/vrps"), b""),
        "/file" => respond(&mut stream, "302 Found", &found("file:///etc/passwd"), b""),
        "/lost" => respond(&mut stream, "302 Found", "", b""),
        "/slow" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nset");
            // Until the client has gone.
            let _ = reader.read_line(&mut String::new());
        }
        "/not-http" => drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")),
        "/304" => respond(&mut stream, "304 Not Modified", "", b""),
        _ => respond(&mut stream, "404 Not Found", "", b"<html>"),
    }
}

fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

#[test]
fn sources_are_asked_within_bounds() {
    let address = start();
    let fetcher = Fetcher::with_bounds(Duration::from_secs(20), MB);
    let fetch = |path: &str, known: &Validators| fetcher.fetch(&format!("http://{address}{path}"), known);
    let nothing = Validators::default();
    let Ok(Fetched::Set { bytes, made, validators }) = fetch("/tagged", &nothing) else { panic!("no set") };
    assert_eq!((bytes.as_slice(), made), (b"set".as_slice(), Some(Timestamp::from_unix_micros(1_764_126_000_000_000))));
    assert_eq!(fetch("/tagged", &validators), Ok(Fetched::Unchanged));
    // Three redirects, relative ones too; the validators go along.
    assert_eq!(fetch("/hop/1", &validators), Ok(Fetched::Unchanged));
    let Ok(Fetched::Set { bytes, made: None, .. }) = fetch("/gzip", &nothing) else { panic!("no set") };
    assert_eq!(bytes, b"compressed");
    let cases = [
        ("/bomb", "gzip: is larger than 1 MB"),
        ("/bad-gzip", "gzip: "),
        ("/huge", "is larger than 1 MB"),
        ("/endless", "is larger than 1 MB"),
        ("/cut", ""),
        ("/loop", "has more than 3 redirects"),
        ("/secure", "redirects from http to another scheme"),
        ("/file", "redirects from http to another scheme"),
        ("/lost", "HTTP 302 without a location"),
        ("/not-http", "its answer is not HTTP"),
        ("/304", "HTTP 304"),
        ("/none", "HTTP 404"),
    ];
    for (path, want) in cases {
        let error = fetch(path, &nothing).expect_err(path);
        assert!(error.starts_with(want) && !error.is_empty(), "{path}: {error}");
    }
    let hasty = Fetcher::with_bounds(Duration::from_millis(300), MB);
    let error = hasty.fetch(&format!("http://{address}/slow"), &nothing).unwrap_err();
    assert_eq!(error, "no whole answer within 0 s");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(fetcher.fetch(&format!("http://{closed}/"), &nothing).unwrap_err().contains("refused"));
}

#[test]
fn files_are_read_when_they_changed() {
    let folder = std::env::temp_dir().join(format!("rib-ingester-rpki-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("vrps.json.gz");
    let fetcher = Fetcher::with_bounds(Duration::from_secs(1), MB);
    let fetch = |known: &Validators| fetcher.fetch(path.to_str().unwrap(), known);
    let nothing = Validators::default();
    assert!(fetch(&nothing).unwrap_err().contains("No such file"));
    std::fs::write(&path, gzip(b"set")).unwrap();
    let Ok(Fetched::Set { bytes, made: Some(_), validators }) = fetch(&nothing) else { panic!("no set") };
    assert_eq!(bytes, b"set");
    assert_eq!(fetch(&validators), Ok(Fetched::Unchanged));
    std::fs::write(&path, vec![b' '; 2 << 20]).unwrap();
    assert_eq!(fetch(&validators), Err("is larger than 1 MB".to_owned()));
    assert_eq!(fetcher.fetch(folder.to_str().unwrap(), &nothing), Err("is not a file".to_owned()));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn queries_are_not_shown() {
    assert_eq!(shown("https://rpki.example/vrps.json?token=secret"), "https://rpki.example/vrps.json");
    assert_eq!(shown("/var/db/rpki?"), "/var/db/rpki?");
}
