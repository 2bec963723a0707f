//! A PostgreSQL server of a test's own, for what a database on a shared one cannot show: TLS, roles, clocks.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that everybody may enter, gone with the value.
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
}

impl Server {
    /// Starts one with more options (`-c name=value`) and more of an environment.
    pub fn start(options: &str, environment: &[(&str, &str)]) -> Server {
        let folder = Folder::new();
        let mut server = Server { folder, url: String::new() };
        let options = format!("-c fsync=off -c full_page_writes=off -c shared_buffers=32MB {options}");
        let output = server
            .script("start")
            .env("RIB_INGESTER_PG_OPTIONS", options)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let url = text.lines().find_map(|line| line.strip_prefix("RIB_INGESTER_DATABASE_URL="));
        server.url = url.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))).to_owned();
        server
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.url.parse::<postgres::Config>().unwrap().get_ports()[0]
    }

    /// What the superuser's psql answers.
    pub fn super_sql(&self, database: &str, sql: &str) -> String {
        let output = self.script("super").args(["-d", database, "-c", sql]).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Gives the superuser's psql a script to read.
    pub fn super_script(&self, database: &str, script: &str) {
        let mut psql = self.script("super").args(["-d", database, "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(psql.wait().unwrap().success(), "{script}");
    }

    fn script(&self, command: &str) -> Command {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/pg"));
        script.arg(command).arg(self.folder.path().join("pg"));
        script
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.script("stop").output();
    }
}

/// Gives a file to the user that the server runs as, for nobody else to read.
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
