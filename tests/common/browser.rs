//! Headless Chromium.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Names of the browser on Linux systems.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome-headless-shell"];

/// The flag that makes it prefer dark colors.
pub const DARK: &str = "--blink-settings=preferredColorScheme=0";

/// A browser with a profile of its own, which is deleted with the value.
pub struct Browser {
    name: &'static str,
    pub profile: PathBuf,
}

impl Browser {
    /// Returns `None` if there is none on this machine.
    pub fn find() -> Option<Browser> {
        let runs = |name: &&str| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let name = BROWSERS.into_iter().find(runs)?;
        // Tests of one process run at the same time.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let profile = std::env::temp_dir().join(format!("rib-ingester-browser-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&profile).unwrap();
        Some(Browser { name, profile })
    }

    /// Returns its output. A browser that hangs is killed after five minutes.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(&[], arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns the command that runs it, with the words `before` in front of it.
    pub fn command(&self, before: &[&str], arguments: &[&str]) -> Command {
        const FLAGS: [&str; 6] = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--hide-scrollbars",
        ];
        let words = [before, &["timeout", "300", self.name], &FLAGS].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(format!("--user-data-dir={}", self.profile.display())).args(arguments);
        command
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
