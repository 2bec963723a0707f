//! Recordings of real routers that lie beside a checkout of ours, never in it.

use std::path::{Path, PathBuf};

/// The folder of recordings; `None`, said aloud, in a plain clone.
pub fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let folder = std::env::var_os("RIB_INGESTER_TEST_CORPUS").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no recordings in {} (RIB_INGESTER_TEST_CORPUS names another folder)", folder.display());
    None
}

/// Every recording's name, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".bmp").map(str::to_owned))
        .collect();
    names.sort();
    names
}
