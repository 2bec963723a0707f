//! Real routers: those of `scripts/lab`.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A loopback port that is free now: a restarted collector uses it again.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The RIBs that the routers of a lab monitor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// The RIB that each router was chosen for.
    Chosen,
    /// Every RIB that they can monitor.
    All,
}

/// Routers of `scripts/lab`, in a folder that is deleted with the value.
pub struct Lab {
    folder: PathBuf,
    views: Views,
}

impl Lab {
    /// Returns whether the routers can be had here; prints a note if not.
    pub fn is_possible() -> bool {
        let is_possible = ["bookworm", "trixie"].iter().all(|suite| {
            let output = Command::new(script("lab-root")).arg(suite).output().unwrap();
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            output.status.success()
        });
        if !is_possible {
            eprintln!("SKIPPED: no routers here, see scripts/lab-root");
        }
        is_possible
    }

    /// These routers, each with a BMP session to the collector.
    pub fn start(collector: SocketAddr, routers: &[&str], views: Views) -> Lab {
        Lab::start_at(&[collector], routers, views)
    }

    /// These routers, each with a BMP session to each of the collectors; not BIRD, if they are several.
    pub fn start_at(collectors: &[SocketAddr], routers: &[&str], views: Views) -> Lab {
        let port = collectors[0].port();
        let folder = std::env::temp_dir().join(format!("rib-ingester-lab-{}-{port}", std::process::id()));
        let lab = Lab { folder, views };
        let stations = collectors.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
        let routers: Vec<String> = routers.iter().map(|router| format!("{router}={stations}")).collect();
        lab.run(&["up"], &routers.iter().map(String::as_str).collect::<Vec<_>>());
        lab
    }

    /// `scripts/lab COMMAND FOLDER ARGUMENTS`, which must succeed.
    pub fn run(&self, command: &[&str], arguments: &[&str]) {
        self.try_run(command, arguments).unwrap_or_else(|why| panic!("{why}"));
    }

    /// `scripts/lab COMMAND FOLDER ARGUMENTS`; its output, or the error.
    pub fn try_run(&self, command: &[&str], arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(script("lab"))
            .env("LAB_VIEWS", if self.views == Views::All { "all" } else { "" })
            .args(command)
            .arg(&self.folder)
            .args(arguments)
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap());
        }
        Err(format!("scripts/lab {command:?} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new(script("lab")).arg("down").arg(&self.folder).status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

/// The lines that only one side has.
pub fn difference(reported: &[String], stored: &[String]) -> String {
    let mut text = String::new();
    for line in reported.iter().filter(|line| !stored.contains(line)) {
        writeln!(text, "router   {line}").unwrap();
    }
    for line in stored.iter().filter(|line| !reported.contains(line)) {
        writeln!(text, "database {line}").unwrap();
    }
    text
}
