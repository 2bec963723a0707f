//! TLS to PostgreSQL, step by step of `sslmode`, and the places where the password may and may not be.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::certificates::Authority;
use crate::common::ingester::{Ingester, eventually_equal, serve};
use crate::common::pg::TestDb;
use crate::common::server::{Folder, Server, give_to_server};
use rib_ingester::store;

/// A server that accepts nothing but TLS, with a certificate for `localhost`, and the files around it.
struct Secure {
    files: Folder,
    server: Server,
}

impl Secure {
    fn start() -> Secure {
        let files = Folder::new();
        let authority = Authority::new("authority");
        let (chain, key) = authority.issue(&["localhost"]).write(files.path(), "server");
        give_to_server(&key);
        authority.issue(&["rib"]).write(files.path(), "client");
        let trusted = authority.write(&files.path().join("authority.crt"));
        Authority::new("stranger").write(&files.path().join("stranger.crt"));
        let hba = files.path().join("hba");
        std::fs::write(
            &hba,
            "local all all trust\nhostssl certified all all cert\nhostssl all all all scram-sha-256\n",
        )
        .unwrap();
        let options = format!(
            "-c ssl=on -c ssl_cert_file={} -c ssl_key_file={} -c ssl_ca_file={} -c hba_file={}",
            chain.display(),
            key.display(),
            trusted.display(),
            hba.display(),
        );
        let server = Server::start(&options, &[]);
        Secure { files, server }
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// The TLS version of a connection with these words, or the reason why there is none.
    fn connect(&self, words: &str) -> Result<String, String> {
        let url = format!("{}?{words}", self.server.url);
        let mut client = store::connect(&url, "test").map_err(|error| error.to_string())?;
        let row = client
            .query_one("SELECT coalesce(version, 'plain') FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[])
            .unwrap();
        Ok(row.get(0))
    }
}

#[test]
fn every_sslmode_does_what_libpq_says_of_it() {
    let secure = Secure::start();
    let (trusted, stranger) = (secure.file("authority.crt"), secure.file("stranger.crt"));
    let tls = || Ok("TLSv1.3".to_owned());
    for words in ["", "sslmode=prefer", "sslmode=require", "sslmode=require&channel_binding=require"] {
        assert_eq!(secure.connect(words), tls(), "{words}");
    }
    for mode in ["require", "verify-ca"] {
        // The name is not the server's 127.0.0.1, and does not matter.
        assert_eq!(secure.connect(&format!("sslmode={mode}&sslrootcert={trusted}")), tls());
        let error = secure.connect(&format!("sslmode={mode}&sslrootcert={stranger}")).unwrap_err();
        assert!(error.contains("UnknownIssuer") || error.contains("BadSignature"), "{error}");
    }
    let error = secure.connect(&format!("sslmode=verify-full&sslrootcert={trusted}")).unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    let named = format!("hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={trusted}");
    let by_name = secure.server.url.replace("@127.0.0.1", "@localhost");
    store::connect(&format!("{by_name}?{named}"), "test").unwrap();
    let error = store::connect(&format!("{by_name}?{named}").replace("authority.crt", "stranger.crt"), "test");
    assert!(error.is_err());
    // No authority that the system trusts has signed it.
    let error = secure.connect("sslmode=verify-full").unwrap_err();
    assert!(error.contains("UnknownIssuer") || error.contains("no CA certificates"), "{error}");

    let error = secure.connect("sslmode=disable").unwrap_err();
    assert!(error.contains("no encryption") && error.contains("28000"), "{error}");
    let error = secure.connect("sslmode=require&sslrootcert=/nowhere.crt").unwrap_err();
    assert_eq!(error, "the database URL: /nowhere.crt: No such file or directory (os error 2)");
    let key = secure.file("client.key");
    let error = secure.connect(&format!("sslmode=verify-ca&sslrootcert={key}")).unwrap_err();
    assert_eq!(error, format!("the database URL: {key}: contains no certificate"));
}

#[test]
fn prefer_allows_a_server_without_tls_require_refuses() {
    let db = TestDb::create();
    let url = db.url();
    store::connect(&format!("{url} sslmode=prefer"), "test").unwrap();
    let error = store::connect(&format!("{url} sslmode=require"), "test").err().unwrap().to_string();
    assert!(error.contains("server does not support TLS"), "{error}");
}

/// A server that answers every request for TLS with `answer`, and is at the returned port.
fn answering(answer: &'static [u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.read_exact(&mut [0; 8]);
            let _ = client.write_all(answer);
            // Keeps the connection open until the client closes it.
            let _ = client.read(&mut [0]);
        }
    });
    port
}

#[test]
fn only_s_and_n_answer_a_request_for_tls() {
    let check = |answer, want: &str| {
        for mode in ["prefer", "require"] {
            let url = format!("postgresql://rib:secret@127.0.0.1:{}/rib?sslmode={mode}", answering(answer));
            let error = store::connect(&url, "test").err().unwrap().to_string();
            assert!(error.contains(want), "{mode}: {error}");
        }
    };
    check(b"ESFATAL\0Mnothing to be trusted\0\0", "the server answered the request for TLS with an error");
    check(b"HTTP/1.1 400 Bad Request\r\n\r\n", "answered the request for TLS with 'H'");
    check(&[21], "answered the request for TLS with '\\x15'");
}

#[test]
fn a_client_certificate_takes_the_place_of_a_password() {
    let secure = Secure::start();
    secure.server.super_sql("postgres", "CREATE DATABASE certified OWNER rib");
    let certificate = format!(
        "host=127.0.0.1 port={} user=rib dbname=certified sslmode=require sslcert={} sslkey={}",
        secure.server.port(),
        secure.file("client.crt"),
        secure.file("client.key"),
    );
    let hba = secure.file("hba");
    std::fs::write(&hba, "local all all trust\nhostssl certified all all cert\n").unwrap();
    secure.server.super_sql("postgres", "SELECT pg_reload_conf()");
    let mut client = crate::common::ingester::eventually("the server has read its rules", || {
        store::connect(&certificate, "test").ok()
    });
    assert_eq!(client.query_one("SELECT current_user::text", &[]).unwrap().get::<_, String>(0), "rib");
    let without = certificate.split(" sslcert").next().unwrap().to_owned();
    let error = store::connect(&without, "test").err().unwrap().to_string();
    assert!(error.contains("certificate"), "{error}");
}

/// The connection string without its password, and the password.
fn without_password(url: &str) -> (String, String) {
    let password = url.split_once("://rib:").unwrap().1.split_once('@').unwrap().0;
    (url.replace(&format!(":{password}@"), "@"), password.to_owned())
}

/// The answer of the collector's HTTP server.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn routes_are_stored_over_tls_and_no_password_leaks() {
    let secure = Secure::start();
    let (url, password) = without_password(&secure.server.url);
    let file = secure.files.path().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let url = format!("{url}?sslmode=verify-ca&sslrootcert={}&channel_binding=require", secure.file("authority.crt"));
    let settings = [("DATABASE_PASSWORD_FILE", file.to_str().unwrap()), ("LOG", "trace")];
    let mut ingester = Ingester::start(&url, &settings);

    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(
        peer,
        &Open::of(64_500, "10.255.0.1"),
        Some("global"),
    ));
    router.send(&bmp::route_monitoring(
        peer,
        &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &["10.1.0.0/16"]),
    ));
    eventually_equal("10.1.0.0/16".to_owned(), || secure.server.super_sql("rib", "SELECT prefix FROM current_routes"));
    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name LIKE 'rib-ingester/%' AND NOT ssl";
    assert_eq!(secure.server.super_sql("rib", plain), "0");

    // A new password needs no restart.
    secure.server.super_sql("rib", "ALTER ROLE rib PASSWORD 'a new password'");
    std::fs::write(&file, "a new password").unwrap();
    secure.server.super_sql("rib", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rib'");
    router.send(&bmp::route_monitoring(peer, &bmp::withdraw(&["10.1.0.0/16"])));
    eventually_equal(String::new(), || secure.server.super_sql("rib", "SELECT prefix FROM current_routes"));

    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", ingester.id())).unwrap();
    let environment = std::fs::read_to_string(format!("/proc/{}/environ", ingester.id())).unwrap();
    assert!(ingester.count_logged("database") > 0);
    let http = ingester.address_logged("metrics and health on ");
    let shown = ["/metrics", "/", "/health"].map(|path| get(http, path)).concat();
    assert!(shown.contains("rib_ingester_"), "{shown}");
    for secret in [password.as_str(), "a new password"] {
        assert!(!arguments.contains(secret) && !environment.contains(secret));
        assert!(!shown.contains(secret), "{shown}");
        assert_eq!(ingester.count_logged(secret), 0);
    }
    assert!(ingester.stop().success());
}

fn config(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.arg("config").env_clear().envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn no_output_of_a_command_shows_a_password() {
    let folder = Folder::new();
    let file = folder.path().join("database_password");
    std::fs::write(&file, "hunter3\n").unwrap();
    let said = |output: Output| [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();

    let url = ("RIB_INGESTER_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/rib?sslmode=verify-full");
    let shown = said(config(&[url, ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())]));
    assert!(shown.contains("password=(hidden) sslmode=verify-full"), "{shown}");
    assert!(
        shown.contains(&format!("RIB_INGESTER_DATABASE_PASSWORD_FILE={}  (credential)", file.display())),
        "{shown}"
    );
    assert!(!shown.contains("hunter"), "{shown}");

    let wrong = [
        "postgresql://me:hunter2@127.0.0.1:1/rib?sslmode=hunter",
        "postgresql://me:hunter2@127.0.0.1:1/rib?sslrootcert=/nowhere&sslmode=verify-ca",
        "host=127.0.0.1 port=1 password='hunter2",
        "host=127.0.0.1 port=1 password=hunter2",
        "postgres://rib:pa@hunter2@127.0.0.1:1/rib",
        "postgres://rib:pa@ss/hunter2@127.0.0.1:1/rib",
        "\"postgres://rib:hunter2@127.0.0.1:1/rib?sslmode=require\"",
        "host=127.0.0.1 port=1 password=pa hunter2=x",
    ];
    for url in wrong {
        for command in ["status", "migrate", "config", "doctor"] {
            let mut run = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
            run.arg(command).env_clear().env("RIB_INGESTER_DATABASE_URL", url);
            let said = said(run.output().unwrap());
            assert!(!said.contains("hunter2"), "{command} {url}: {said}");
        }
    }
}

#[test]
fn a_start_between_two_passwords_waits_for_the_file() {
    let server = Server::start("", &[]);
    let (url, password) = without_password(&server.url);
    let folder = Folder::new();
    let file = folder.path().join("password");
    std::fs::write(&file, "the old one\n").unwrap();
    let mut ingester = Ingester::spawn(&url, &[("DATABASE_PASSWORD_FILE", file.to_str().unwrap())]);
    let line = ingester.logged("password authentication failed");
    assert!(line.contains("28P01"), "{line}");
    std::fs::write(&file, password).unwrap();
    ingester.logged("waiting for routers on ");
    assert!(ingester.stop().success());
}

#[test]
fn a_password_file_that_is_not_there_stops_the_start() {
    let missing = Path::new("/nowhere/password");
    let mut command = serve("host=127.0.0.1 port=1");
    let output = command.env("RIB_INGESTER_DATABASE_PASSWORD_FILE", missing).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("password file /nowhere/password: No such file"), "{said}");
}
