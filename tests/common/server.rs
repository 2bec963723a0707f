//! A PostgreSQL server of a test's own, for what a database on a shared server cannot show: TLS, roles, clocks.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A folder that every user may enter, deleted with the value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rib-ingester-server-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server; stopped and removed with the value.
pub struct Server {
    folder: Folder,
    /// The URL of the role that owns the database `rib`.
    pub url: String,
    options: String,
    environment: Vec<(String, String)>,
}

/// The way that a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are ended, everything is written.
    Fast,
    /// Immediately: the next start begins with a recovery.
    Immediate,
}

impl Server {
    /// Starts one with further options (`-c name=value`) and environment variables.
    pub fn start(options: &str, environment: &[(&str, &str)]) -> Server {
        Server::start_in(Folder::new(), options, environment)
    }

    /// As [`Server::start`], with its files in this folder.
    pub fn start_in(folder: Folder, options: &str, environment: &[(&str, &str)]) -> Server {
        let options = format!("-c fsync=off -c full_page_writes=off -c shared_buffers=32MB {options}");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = Server { folder, url: String::new(), options, environment };
        server.launch("");
        server
    }

    /// A streaming replica of this one.
    pub fn standby(&self) -> Server {
        let (folder, options, environment) = (Folder::new(), self.options.clone(), self.environment.clone());
        let mut server = Server { folder, url: String::new(), options, environment };
        let output = server.script("copy").arg(self.folder()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.launch("");
        server
    }

    fn launch(&mut self, more: &str) {
        let mut script = self.script("start");
        script.env("RIB_INGESTER_PG_OPTIONS", format!("{} {more}", self.options));
        script.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = script.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let url = text.lines().find_map(|line| line.strip_prefix("RIB_INGESTER_DATABASE_URL="));
        self.url = url.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))).to_owned();
    }

    /// Ends it and waits until it is gone.
    pub fn shut_down(&self, how: Shutdown) {
        let signal = match how {
            Shutdown::Fast => "INT",
            Shutdown::Immediate => "QUIT",
        };
        let id = self.process().expect("it runs");
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let until = Instant::now() + Duration::from_secs(60);
        while self.is_running() {
            assert!(Instant::now() < until, "the server does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns whether its main process exists.
    pub fn is_running(&self) -> bool {
        self.process().is_some_and(|id| Path::new("/proc").join(id).exists())
    }

    /// The same role and database through the server's Unix socket.
    pub fn socket_url(&self) -> String {
        let folder = self.folder().join("socket").display().to_string().replace('/', "%2F");
        format!("postgresql://rib@{folder}:{}/rib", self.port())
    }

    /// Starts it at the address that it had.
    pub fn start_again(&mut self) {
        let port = self.port();
        self.launch(&format!("-c port={port}"));
    }

    /// Starts it at another address.
    pub fn start_elsewhere(&mut self) {
        let old = self.port();
        while self.port() == old {
            if self.is_running() {
                self.shut_down(Shutdown::Fast);
            }
            self.launch("");
        }
    }

    /// The folder of its files.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("pg")
    }

    fn process(&self) -> Option<String> {
        let file = self.folder().join("data/postmaster.pid");
        Some(std::fs::read_to_string(file).ok()?.lines().next()?.to_owned())
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.url.parse::<postgres::Config>().unwrap().get_ports()[0]
    }

    /// The output of the superuser's psql.
    pub fn super_sql(&self, database: &str, sql: &str) -> String {
        loop {
            let output = self.script("super").args(["-d", database, "-c", sql]).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            // GRANT and REVOKE do not wait for an ANALYZE or a REFRESH of the collector; then nothing is done.
            if !error.contains("tuple concurrently updated") {
                assert!(output.status.success(), "{sql}: {error}");
                return String::from_utf8(output.stdout).unwrap().trim().to_owned();
            }
        }
    }

    /// Gives the superuser's psql a script to read.
    pub fn super_script(&self, database: &str, script: &str) {
        let mut psql = self.script("super").args(["-d", database, "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(psql.wait().unwrap().success(), "{script}");
    }

    fn script(&self, command: &str) -> Command {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/pg"));
        script.arg(command).arg(self.folder());
        script
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.script("stop").output();
    }
}

/// Gives a file to the user that the server runs as, readable by that user only.
pub fn give_to_server(file: &Path) {
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
    let ask = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    if ask(&["-u"]) == 0 {
        std::os::unix::fs::chown(file, Some(ask(&["-u", "postgres"])), None).unwrap();
    }
}
