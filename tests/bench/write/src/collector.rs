//! The collector's binary as a child process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Failure;

/// A running `serve`.
pub struct Collector {
    child: Child,
    /// Where routers connect.
    pub address: SocketAddr,
    /// Where programs ask.
    pub http: SocketAddr,
    state_dir: PathBuf,
}

impl Collector {
    /// Starts it and waits until it listens.
    pub fn start(binary: &Path, url: &str, settings: &[(&str, &str)]) -> Result<Collector, Failure> {
        let state_dir = std::env::temp_dir().join(format!("rib-ingester-bench-{}", std::process::id()));
        let mut child = Command::new(binary)
            .arg("serve")
            // The server's, which the collector does not know.
            .env_remove("RIB_INGESTER_PG_OPTIONS")
            .env("RIB_INGESTER_DATABASE_URL", url)
            .env("RIB_INGESTER_BMP_LISTEN", "127.0.0.1:0")
            .env("RIB_INGESTER_HTTP_LISTEN", "127.0.0.1:0")
            .env("RIB_INGESTER_STATE_DIR", &state_dir)
            .env("RIB_INGESTER_COLLECTOR_ID", "bench")
            .env("RIB_INGESTER_LOG", "info")
            .envs(settings.iter().map(|(name, value)| (format!("RIB_INGESTER_{name}"), value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let (found, address) = mpsc::channel();
        let (found_http, http) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains(" warn ") || line.contains(" error ") {
                    eprintln!("collector: {line}");
                }
                if let Some((_, address)) = line.split_once("waiting for routers on ") {
                    let _ = found.send(address.trim().to_owned());
                }
                if let Some((_, rest)) = line.split_once("http: ") {
                    let _ = found_http.send(rest.rsplit(' ').next().unwrap_or_default().to_owned());
                }
            }
        });
        let wait = |of: mpsc::Receiver<String>| {
            of.recv_timeout(Duration::from_secs(60)).map_err(|_| "the collector does not start")
        };
        let (address, http) = (wait(address)?.parse()?, wait(http)?.parse()?);
        Ok(Collector { child, address, http, state_dir })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> Result<(), Failure> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the collector ended with {status}").into()) }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}
