//! Words that the project gave up stay out, and each says what to write instead.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::{Path, PathBuf};

/// A part of a word, any case, and what to write instead. The field's nouns, and American spelling.
const GIVEN_UP: &[(&str, &str)] = &[
    ("neighbour", "peer"),
    ("oddit", "anomaly"),
    ("behaviour", "behavior"),
    ("synchronis", "synchroniz"),
    ("recognis", "recogniz"),
    ("optimis", "optimiz"),
    ("serialis", "serializ"),
    ("licence", "license"),
    ("colour", "color"),
    ("hold_expired", "stale_expired"),
    ("resync_quiet", "eor_timeout"),
    ("session_hold", "stale_routes"),
    ("isolation_hold", "mass_loss_stale"),
    ("single_path", "ignore_path_id"),
    ("standsstill", "stalled"),
];

/// Where the words stand on purpose: this list, the settings' old names, the migrations that were applied, what was measured, the
/// recordings.
const EXCEPT: &[&str] = &[
    "tests/project/words.rs",
    "src/config/problem.rs",
    "sql/migrations",
    "tests/bench/results",
    "tests/data",
    "tests/fuzz/RESULTS.md",
    "tests/fuzz/target",
    "tests/fuzz/corpus",
];

const FOLDERS: &[&str] = &["README.md", "CHANGELOG.md", "docs", "scripts", "sql", "src", "systemd", "tests"];

/// Text files below a path, those of builds left out.
fn collect(root: &Path, path: &Path, found: &mut Vec<(PathBuf, String)>) {
    let name = path.strip_prefix(root).unwrap();
    if EXCEPT.iter().any(|except| name.starts_with(except)) || path.file_name().is_some_and(|name| name == "target") {
        return;
    }
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| collect(root, &entry.unwrap().path(), found));
    } else if let Ok(text) = std::fs::read_to_string(path) {
        found.push((name.to_owned(), text));
    }
}

/// The words of a line that were given up, with what to write instead.
fn offending(line: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let line = line.to_lowercase();
    GIVEN_UP.iter().filter(move |(word, _)| line.contains(word))
}

#[test]
fn words_that_were_given_up_stay_out() {
    assert_eq!(offending("Each Neighbour of a router").count(), 1);
    assert_eq!(offending("Each peer of a router").count(), 0);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| collect(&root, &root.join(folder), &mut files));
    assert!(files.len() > 200, "the files are not where they are looked for: {}", files.len());
    let mut offences = Vec::new();
    for (name, text) in &files {
        for (number, line) in text.lines().enumerate() {
            offences.extend(
                offending(line).map(|(word, instead)| format!("{}:{}: {word}: {instead}", name.display(), number + 1)),
            );
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}
