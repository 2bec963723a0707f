//! Databases and connections to them that are unsuitable: the start and `doctor` refuse them and report the remedy.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use crate::common::ingester::{Ingester, eventually};
use crate::common::pg::TestDb;
use crate::common::pooler;
use crate::common::server::{Folder, Server};

fn run(arguments: &[&str], url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let command = command.env_clear().args(arguments).env("RIB_INGESTER_DATABASE_URL", url);
    command.env("RIB_INGESTER_BMP_LISTEN", "127.0.0.1:0").env("RIB_INGESTER_HTTP_LISTEN", "off").output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// The result of one check of `doctor`, and its remedy.
fn doctor(url: &str, check: &str) -> (String, String) {
    let output = run(&["doctor", "--json"], url);
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let one = checks.iter().find(|one| one["check"] == check).unwrap_or_else(|| panic!("{}", said(&output)));
    let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
    (format!("{}: {}", text("state"), text("found")), text("remedy"))
}

/// The pooler is refused by every command that would work through it, and nothing remains in its connections.
fn is_refused(url: &str) {
    for arguments in [&["migrate"][..], &["serve"], &["maintenance"]] {
        let output = run(arguments, url);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains("use session pooling or a direct connection"), "{}", said(&output));
    }
    let (found, remedy) = doctor(url, "connection");
    assert!(found.starts_with("fault: ") && found.contains("keeps no session"), "{found}");
    assert_eq!(remedy, "use session pooling or a direct connection");
}

#[test]
fn a_pooler_that_keeps_no_session_is_refused() {
    let db = TestDb::create();
    let (host, port) = db.server();
    if host.starts_with('/') {
        return eprintln!("skipped: the test database is reached by a Unix socket");
    }
    let url = db.url_at("127.0.0.1", pooler::start(&host, port, None));
    is_refused(&url);
    let mut stranger = postgres::Client::connect(&url, postgres::NoTls).unwrap();
    let shown = |name: &str, client: &mut postgres::Client| -> String {
        client.query_one(&format!("SELECT current_setting('{name}')"), &[]).unwrap().get(0)
    };
    assert_eq!(shown("default_transaction_read_only", &mut stranger), "off");
    assert_ne!(shown("statement_timeout", &mut stranger), "1min");
    assert_eq!(db.rows("SELECT to_regclass('schema_migrations') IS NULL"), ["t"]);
}

#[test]
fn a_pooler_without_a_second_place_is_found_later() {
    let db = TestDb::create();
    let (host, port) = db.server();
    if host.starts_with('/') {
        return eprintln!("skipped: the test database is reached by a Unix socket");
    }
    let url = db.url_at("127.0.0.1", pooler::start(&host, port, Some(1)));
    let first = rib_ingester::store::connect(&url, "test");
    assert!(first.is_ok(), "{:?}", first.err());
    let error = rib_ingester::store::connect(&url, "test").err().unwrap().to_string();
    assert!(error.contains("keeps no session"), "{error}");
}

/// pgbouncer in front of a test's database; ended with the value.
struct PgBouncer {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl PgBouncer {
    /// Returns `None`, and prints a note, where pgbouncer is not installed.
    fn start(db: &TestDb, mode: &str) -> Option<PgBouncer> {
        let places = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&places).chain([PathBuf::from("/usr/sbin")]);
        let Some(program) = folders.map(|folder| folder.join("pgbouncer")).find(|file| Path::exists(file)) else {
            eprintln!("skipped: no pgbouncer here, which scripts/test unpacks (Debian: pgbouncer)");
            return None;
        };
        let folder = Folder::new();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n{} = {}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\nignore_startup_parameters = extra_float_digits\nlogfile =\n",
            db.name(),
            db.url(),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        // It does not run as root, and ignores the option for other users.
        if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
            command.args(["-u", "postgres"]);
        }
        let child = command.arg(file).stderr(std::process::Stdio::null()).spawn().unwrap();
        let pooler = PgBouncer { child, port, _folder: folder };
        eventually("pgbouncer listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Some(pooler)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn pgbouncer_works_in_session_mode_and_in_no_other() {
    for mode in ["transaction", "statement"] {
        let db = TestDb::create();
        let Some(pooler) = PgBouncer::start(&db, mode) else { return };
        is_refused(&db.url_at("127.0.0.1", pooler.port));
    }
    let db = TestDb::create();
    let Some(pooler) = PgBouncer::start(&db, "session") else { return };
    let url = db.url_at("127.0.0.1", pooler.port);
    assert!(run(&["migrate"], &url).status.success());
    assert!(doctor(&url, "schema").0.starts_with("ok: "));
    assert!(Ingester::start(&url, &[]).stop().success());
}

#[test]
fn an_encoding_that_cannot_hold_all_text_is_refused() {
    let db = TestDb::create_with("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    for command in ["serve", "migrate"] {
        let output = run(&[command], &db.url());
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("LATIN1") && said(&output).contains("ENCODING 'UTF8'"), "{}", said(&output));
    }
    let (found, remedy) = doctor(&db.url(), "encoding");
    assert!(found.starts_with("fault: LATIN1") && remedy.contains("ENCODING 'UTF8'"), "{found} {remedy}");
}

#[test]
fn a_database_without_an_encoding_works() {
    let db = TestDb::create_with("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'");
    let ingester = Ingester::start(&db.url(), &[]);
    assert_eq!(doctor(&db.url(), "encoding").0, "ok: SQL_ASCII");
    assert!(ingester.stop().success());
}

#[test]
fn doctor_names_the_schema_that_is_meant() {
    let db = TestDb::create();
    let url = format!("{} options='-c search_path=bmp'", db.url());
    let (found, remedy) = doctor(&url, "role");
    assert!(found.starts_with("fault: ") && found.contains("no schema bmp"), "{found}");
    assert!(remedy.starts_with("CREATE SCHEMA bmp AUTHORIZATION "), "{remedy}");
    db.client().batch_execute("CREATE SCHEMA bmp").unwrap();
    assert!(run(&["migrate"], &url).status.success());
    assert!(doctor(&url, "schema").0.starts_with("ok: "));
    let (found, remedy) = doctor(&db.url(), "schema");
    assert!(
        found.contains("our tables are in schema bmp") && remedy.ends_with("SET search_path = bmp"),
        "{found} {remedy}"
    );
}

#[test]
fn doctor_gets_through_a_restore_by_a_superuser() {
    let server = Server::start("-c max_wal_senders=0", &[]);
    assert!(run(&["migrate"], &server.url).status.success());
    let give = "SELECT format('ALTER TABLE %s OWNER TO postgres', oid::regclass) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')";
    server.super_script("rib", &server.super_sql("rib", give).replace('\n', ";\n"));
    let (found, remedy) = doctor(&server.url, "role");
    assert!(found.starts_with("fault: ") && found.contains("in schema public, but postgres does"), "{found}");
    assert!(remedy.contains("--no-owner --role=rib"), "{remedy}");
    assert!(doctor(&server.url, "schema").0.contains("may not read"), "{:?}", doctor(&server.url, "schema"));
    // The printed remedy repairs it.
    server.super_script("rib", remedy.split_once("in psql as a superuser: ").unwrap().1);
    assert!(doctor(&server.url, "role").0.starts_with("ok: "), "{:?}", doctor(&server.url, "role"));
    assert!(doctor(&server.url, "schema").0.starts_with("ok: "));
    // The server's five processes of its own, with places of their own, are not counted.
    let (found, _) = doctor(&server.url, "connections");
    let numbers: Vec<i64> = found.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(matches!(numbers[..], [free, of] if (1..=5).contains(&(of - free))), "{found}");

    // It does so for names that SQL reads only in quotes. The schema of watches is one per database.
    server.super_script("rib", "CREATE SCHEMA moved AUTHORIZATION rib");
    let url = |database: &str, schema: &str| {
        format!("{}{database}?options=-c%20search_path%3D{schema}", server.url.strip_suffix("rib").unwrap())
    };
    let second = run(&["migrate"], &url("rib", "moved"));
    let told = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && told.contains("use another database"), "{told}");
    server.super_sql("postgres", "CREATE DATABASE other OWNER rib");
    server.super_script("other", "CREATE SCHEMA moved AUTHORIZATION rib");
    assert!(run(&["migrate"], &url("other", "moved")).status.success());
    server.super_script("other", "ALTER SCHEMA moved RENAME TO \"My'Schema\"");
    let url = url("other", "%22My%27Schema%22");
    let give = give.replace("'public'::regnamespace", "'\"My''Schema\"'::regnamespace");
    server.super_script("other", &server.super_sql("other", &give).replace('\n', ";\n"));
    let (found, remedy) = doctor(&url, "role");
    assert!(found.contains("in schema My'Schema, but postgres does"), "{found}");
    server.super_script("other", remedy.split_once("in psql as a superuser: ").unwrap().1);
    assert!(doctor(&url, "role").0.starts_with("ok: "), "{:?}", doctor(&url, "role"));
}
