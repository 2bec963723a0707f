//! The commands of `docs/compare.md`, run in their order, and what the page says that they print.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use super::change::scene;
use super::watch_page::{blocks, commands};

#[test]
fn the_page_says_what_they_print() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compare.md")).unwrap();
    let db = scene();
    let folder = std::env::temp_dir().join(format!("rib-ingester-{}", db.name()));
    std::fs::create_dir_all(&folder).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_rib-ingester")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut count = 0;
    let mut run = |command: &str, want: &[&str]| {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", command]).current_dir(&folder).env_clear().env("PATH", &path);
        let output = shell.env("RIB_INGESTER_DATABASE_URL", db.url()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command}: {said}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(want.is_empty() || printed.lines().eq(want.iter().copied()), "{command}: {printed}");
        assert!(!said.contains("did you mean") && !said.contains("database:"), "{command}: {said}");
        count += 1;
    };
    for (language, block) in blocks(&page) {
        match language {
            "sql" => drop(db.rows(block)),
            "console" => commands(block).iter().for_each(|(command, want)| run(command, want)),
            // The commands of an Ansible task or a CI job.
            "yaml" => {
                let lines = block.lines().filter_map(|line| Some(&line[line.find("rib-ingester ")?..]));
                lines.for_each(|command| run(command, &[]));
            }
            other => panic!("a block of {other}"),
        }
    }
    let xml = std::fs::read_to_string(folder.join("routing.xml")).unwrap();
    assert!(super::compare::elements(&xml).len() > 5, "{xml}");
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(count > 14, "{count} commands");
}
