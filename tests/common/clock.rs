//! A clock that a test sets, for a process of its own: libfaketime shifts the system's clock by a number of seconds.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::path::{Path, PathBuf};

use super::server::Folder;

/// The shift of one process or server and its children, changed while it runs.
pub struct Clock {
    folder: Folder,
    library: PathBuf,
}

impl Clock {
    /// A clock that is right so far. `None`, and a note on standard error, where libfaketime is not installed.
    pub fn new() -> Option<Clock> {
        let Some(library) = library() else {
            eprintln!("skipped: no libfaketime here, which scripts/test installs (Debian: faketime)");
            return None;
        };
        remove_leftovers();
        let clock = Clock { folder: Folder::new(), library };
        clock.shift(0);
        Some(clock)
    }

    /// Sets it to the system's time plus this many seconds.
    pub fn shift(&self, seconds: i64) {
        let (file, new) = (self.file(), self.folder.path().join("new"));
        // In one step: it is read each time the clock is.
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The environment that a process needs. Only the time of day is shifted, not the clock that measures waits.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_RESET", "1".to_owned()),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("shift")
    }
}

fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let candidates = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    candidates.into_iter().find(|file: &PathBuf| Path::exists(file))
}

/// The library names its shared memory after the process. A killed one's leftovers would stop another user's process
/// that gets the same number.
fn remove_leftovers() {
    let is_alive = |process: &str| Path::new("/proc").join(process).exists();
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().into_string().unwrap_or_default();
        let process = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
        if process.is_some_and(|process| !is_alive(process)) {
            // Another user's file stays.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
