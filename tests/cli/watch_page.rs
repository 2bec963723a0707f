//! The commands of `docs/watch.md`, run in their order, and what the page says that they print.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::pg::TestDb;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/watch.md")).unwrap()
}

/// The blocks of the page with their languages.
pub fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// Commands of a block, each with the lines that follow it.
pub fn commands(block: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command, Vec::new())),
            None => commands.last_mut().unwrap().1.push(line),
        }
    }
    commands
}

fn folder(db: &TestDb) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rib-ingester-{}", db.name()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_page_says_what_the_commands_print() {
    let db = TestDb::migrated();
    let folder = folder(&db);
    let program = Path::new(env!("CARGO_BIN_EXE_rib-ingester")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let page = page();
    let mut count = 0;
    for (language, block) in blocks(&page) {
        match language {
            "csv" => std::fs::write(folder.join("ours.csv"), block).unwrap(),
            "yaml" => std::fs::write(folder.join("prefixes.yml"), block).unwrap(),
            "sql" => drop(db.rows(block)),
            "console" => {
                if block.contains("incidents ack 1") {
                    incidents(&db);
                }
                for (command, want) in commands(block) {
                    let mut shell = Command::new("sh");
                    let shell = shell.args(["-c", command]).current_dir(&folder).env_clear().env("PATH", &path);
                    let output = shell.env("RIB_INGESTER_DATABASE_URL", db.url()).output().unwrap();
                    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
                    let printed = String::from_utf8(output.stdout).unwrap();
                    assert!(want.is_empty() || printed.lines().eq(want.iter().copied()), "{command}: {printed}");
                    count += 1;
                }
            }
            other => panic!("a block of {other}"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(count > 20, "{count} commands");
    assert_eq!(db.rows("SELECT expected_origins FROM watch.watches WHERE name = 'web'"), ["{64496,64511,64512}"]);
}

/// What the evaluator would have found.
fn incidents(db: &TestDb) {
    db.client()
        .batch_execute(
            "INSERT INTO watch.incidents (cause_key, watch_id, condition, subject, severity, state, opened_at, cause_at, affected,
                                          known, summary)
             SELECT 'rib-ingester/web/' || condition, id, condition, subject, 'critical', 'open', now(), now(), 3, 4, 'HIJACK?'
             FROM watch.watches, (VALUES (1, 'origin', '192.0.2.0/24 AS64512'), (2, 'missing', ''), (3, 'session_down', ''))
                  AS c (place, condition, subject)
             WHERE name = 'web' ORDER BY place",
        )
        .unwrap();
}

/// The names in the first column of the table under a heading.
fn first_column<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, section) = page.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[test]
fn the_page_names_every_kind_and_judged_condition() {
    use rib_ingester::model::watch::{Condition, Kind};
    let page = page();
    let mut kinds: Vec<&str> = Kind::ALL.map(Kind::as_str).to_vec();
    let mut named = first_column(&page, "## Add watches");
    kinds.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, kinds);
    let mut judged: Vec<&str> = Condition::ALL.into_iter().map(Condition::as_str).collect();
    let mut named = first_column(&page, "\n## Conditions");
    judged.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, judged);
    for condition in Condition::ALL.into_iter() {
        let after = match condition.default_open_after().as_secs() {
            0 => "at once".to_owned(),
            seconds => format!("{seconds} s"),
        };
        let (_, conditions) = page.split_once("\n## Conditions").unwrap();
        let line = conditions.lines().find(|line| line.starts_with(&format!("| `{condition}` |"))).unwrap();
        assert!(line.ends_with(&format!("| {after} |")), "{line}");
    }
}
