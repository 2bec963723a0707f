//! Checks that the scripts refuse words that they do not know.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::Path;
use std::process::Command;

#[test]
fn scripts_refuse_words_that_they_do_not_know() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (script, words) in [
        ("bench", &["nonsense"][..]),
        ("bench", &["--full", "--nonsense"]),
        ("fuzz", &["nonsense"]),
        ("fuzz", &["update", "soon"]),
        ("lab", &[]),
        ("lab-root", &["nonsense"]),
        ("outage", &["nonsense"]),
        ("outage", &["1", "2"]),
        ("package-files", &[]),
        ("pg", &["nonsense"]),
        ("run", &["nonsense"]),
        ("soak", &["--help"]),
        ("soak", &["10", "seed"]),
        ("test-deb", &["nonsense"]),
    ] {
        let output = Command::new("timeout")
            .arg("60")
            .arg(root.join("scripts").join(script))
            .args(words)
            .current_dir(root)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "scripts/{script} {words:?}: {said}");
        assert!(
            said.contains(&format!("scripts/{script}")),
            "scripts/{script} {words:?} does not show its use: {said}"
        );
    }
}
