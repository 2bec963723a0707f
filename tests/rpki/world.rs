//! A database, a file of VRPs, and a collector that reads it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::ingester::Ingester;
use crate::common::pg::TestDb;

/// One VRP: prefix, maxLength, AS, trust anchor.
pub type Entry = (&'static str, u8, u32, &'static str);

/// A set as rpki-client writes it, made this long ago.
pub fn json(entries: &[Entry], age_secs: i64) -> String {
    let made = jiff::Timestamp::now().as_second() - age_secs;
    let entries: Vec<String> = entries
        .iter()
        .map(|(prefix, max, asn, ta)| {
            format!(r#"{{"prefix": "{prefix}", "maxLength": {max}, "asn": {asn}, "ta": "{ta}"}}"#)
        })
        .collect();
    format!(r#"{{"metadata": {{"generated": {made}}}, "roas": [{}]}}"#, entries.join(",\n"))
}

/// A folder of its own, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rib-ingester-rpki-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Replaces a file as a validator does: at once.
    pub fn write(&self, name: &str, content: &str) {
        let new = self.0.join(format!("{name}.new"));
        fs::write(&new, content).unwrap();
        fs::rename(&new, self.path(name)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts a collector that looks at these sources each second.
pub fn start(db: &TestDb, sources: &str, more: &[(&str, &str)]) -> Ingester {
    let settings = [("VRPS", sources), ("VRPS_REFRESH_SECS", "1"), ("RPKI_SCAN_SECS", "1")];
    Ingester::start(&db.url(), &[settings.as_slice(), more].concat())
}

/// Runs `rib-ingester rpki`.
pub fn rpki(db: &TestDb, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
        .env_clear()
        .env("RIB_INGESTER_DATABASE_URL", db.url())
        .arg("rpki")
        .args(arguments)
        .output()
        .unwrap()
}

/// The VRPs in force.
pub fn vrps(db: &TestDb) -> Vec<String> {
    db.rows(
        "SELECT prefix || '-' || max_length || ' AS' || asn || ' ' || trust_anchor FROM rpki.vrps ORDER BY prefix, asn",
    )
}

/// The path of a file as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
