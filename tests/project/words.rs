//! Words that the project gave up stay out, each with its replacement; names of tests stay short.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::{Path, PathBuf};

/// A part of a word, any case, and its replacement: the field's nouns, and American spelling.
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

/// Whole words and phrases that read as translated, any case, and their replacements.
const TRANSLATED: &[(&str, &str)] = &[
    ("for ever", "forever"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("lies in its", "reports wrong"),
    ("now and then", "occasionally"),
    ("as ever", "as usual"),
];

/// The paths that have the words on purpose: this list, the settings' old names, the measurements.
const EXCEPT: &[&str] = &[
    "tests/project/words.rs",
    "src/config/problem.rs",
    "tests/bench/results",
    "tests/fuzz/RESULTS.md",
    "tests/fuzz/target",
    "tests/fuzz/corpus",
];

const FOLDERS: &[&str] =
    &[".ci", ".config", "CHANGELOG.md", "Cargo.toml", "README.md", "docs", "scripts", "sql", "src", "systemd", "tests"];

/// Adds the text files below a path, without build output.
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

/// The words of a line that were given up, with their replacements.
fn offending(line: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let line = line.to_lowercase();
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let has_whole = |line: &str, word: &str| {
        line.match_indices(word)
            .any(|(at, _)| !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next()))
    };
    let whole: Vec<_> = TRANSLATED.iter().filter(|(word, _)| has_whole(&line, word)).collect();
    GIVEN_UP.iter().filter(move |(word, _)| line.contains(word)).chain(whole)
}

#[test]
fn words_that_were_given_up_stay_out() {
    assert_eq!(offending("Each Neighbour of a router").count(), 1);
    assert_eq!(offending("Each peer of a router").count(), 0);
    assert_eq!(offending("kept for ever").count(), 1);
    assert_eq!(offending("Read for every amendment").count(), 0);
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

/// A documentation comment says what an item is or does.
#[test]
fn documentation_begins_with_its_subject() {
    let is_indirect = |line: &str| {
        let text = line.trim_start();
        let text = text.strip_prefix("/// ").or_else(|| text.strip_prefix("//! "));
        text.is_some_and(|text| ["What ", "How ", "Whether "].iter().any(|word| text.starts_with(word)))
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root, &root.join("src"), &mut files);
    let mut offences = Vec::new();
    for (name, text) in &files {
        let lines: Vec<&str> = text.lines().collect();
        // Only the first line of a comment begins it.
        let is_first = |i: usize| i == 0 || !lines[i - 1].trim_start().starts_with("//");
        let indirect = lines.iter().enumerate().filter(|(i, line)| is_first(*i) && is_indirect(line));
        offences.extend(indirect.map(|(i, line)| format!("{}:{}: {}", name.display(), i + 1, line.trim())));
    }
    assert!(is_indirect("    /// What it is.") && !is_indirect("/// Its name."));
    assert!(files.len() > 200 && offences.is_empty(), "{}", offences.join("\n"));
}

/// In characters. A longer name is a sentence, which belongs in a comment.
const TEST_NAME_MAX: usize = 50;

/// The names of test functions in a source file that are longer than [`TEST_NAME_MAX`].
fn long_test_names(text: &str) -> Vec<&str> {
    let mut is_test = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some((name, _)) = line.strip_prefix("fn ").and_then(|rest| rest.split_once('('))
            && std::mem::take(&mut is_test)
            && name.chars().count() > TEST_NAME_MAX
        {
            found.push(name);
        }
    }
    found
}

#[test]
fn names_of_tests_are_short() {
    let name = |length: usize| "a".repeat(length);
    let sample = |attribute: &str, length| format!("{attribute}\n#[cfg(unix)]\n    fn {}() {{}}\n", name(length));
    assert_eq!(long_test_names(&sample("    #[test]", TEST_NAME_MAX + 1)), [name(TEST_NAME_MAX + 1)]);
    assert!(long_test_names(&sample("    #[test]", TEST_NAME_MAX)).is_empty());
    assert!(long_test_names(&sample("", TEST_NAME_MAX + 1)).is_empty(), "no test");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ["src", "tests"].iter().for_each(|folder| collect(&root, &root.join(folder), &mut files));
    files.retain(|(name, _)| name.extension().is_some_and(|extension| extension == "rs"));
    assert!(files.iter().any(|(_, text)| text.contains("#[test]")), "no tests are where they are looked for");
    let mut long = Vec::new();
    for (name, text) in &files {
        long.extend(long_test_names(text).into_iter().map(|test| format!("{}: {test}", name.display())));
    }
    assert!(long.is_empty(), "longer than {TEST_NAME_MAX}:\n{}", long.join("\n"));
}
