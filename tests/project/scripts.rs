//! Checks that the scripts refuse words that they do not know, and a server that is none.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[test]
fn scripts_refuse_words_that_they_do_not_know() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (script, words) in [
        ("bench", &["nonsense"][..]),
        ("build-image", &["--nonsense"]),
        ("check-image", &[]),
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

#[test]
fn a_chosen_server_is_checked() {
    let scratch = std::env::temp_dir().join(format!("rib-ingester-servers-{}", std::process::id()));
    let found = |folder: &str| {
        let find = format!(". scripts/lib/install.sh; . scripts/lib/pg.sh; PG_BIN={folder}; pg_find; command -v psql");
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &find])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let folder = scratch.join("bin");
    let name = folder.to_str().unwrap();
    std::fs::create_dir_all(scratch.join("share/extension")).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let program = |name: &str, line: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let is_refused = || {
        let (status, _, said) = found(name);
        assert!(status == Some(1) && said.contains(&format!("PG_BIN={name} has no PostgreSQL >= 15")), "{said}");
    };
    is_refused();
    program("postgres", "echo 'postgres (PostgreSQL) 17.2'");
    is_refused();
    std::fs::write(scratch.join("share/extension/btree_gist.control"), "").unwrap();
    program("psql", "");
    assert_eq!(found(name), (Some(0), format!("{name}/psql\n"), String::new()));
    program("postgres", "echo 'postgres (PostgreSQL) 14.9 (Debian 14.9-1)'");
    is_refused();
    std::fs::remove_dir_all(scratch).unwrap();
}
