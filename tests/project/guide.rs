//! Checks README and the pages: what they tell readers to do works, and what they name exists.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::pg::TestDb;

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap()
}

/// The blocks of one kind.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let begin = format!("```{kind}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn its_commands_and_queries_can_be_run() {
    let page = read("docs/operations.md");
    let db = TestDb::migrated();
    let state = std::env::temp_dir();
    let mut commands = 0;
    for line in blocks(&page, "console").iter().flat_map(|block| block.lines()) {
        let words: Vec<&str> = line.strip_prefix("$ rib-ingester ").expect("a command of ours").split(' ').collect();
        let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
            .env_clear()
            .args(&words)
            .env("RIB_INGESTER_DATABASE_URL", db.url())
            .env("RIB_INGESTER_BMP_LISTEN", "127.0.0.1:0")
            .env("RIB_INGESTER_STATE_DIR", &state)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // The PostgreSQL of the tests may run without fsync, which doctor reports.
        let is_done = output.status.success() || words == ["doctor"] && said.contains("doctor: one fault");
        assert!(is_done && !output.stdout.is_empty(), "{line}: {said}");
        commands += 1;
    }
    let queries = blocks(&page, "sql");
    for query in &queries {
        db.client().batch_execute(query).unwrap_or_else(|error| panic!("{query}\n{error}"));
    }
    assert!(commands >= 5 && queries.len() >= 3, "{commands} commands, {} queries", queries.len());
}

#[test]
fn every_alert_has_its_heading_and_links_to_it() {
    /// The folder in which the Debian package puts the page.
    const PAGE: &str = "file:///usr/share/doc/rib-ingester/docs/alerts.md#";
    let rules = read("docs/monitoring/alerts.yml");
    let mut alerts = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let runbook = format!("runbook_url: \"{PAGE}{}\"", name.to_lowercase());
        assert!(rule.contains(&runbook), "{name}: no {runbook}");
        alerts.insert(name);
    }
    let page = read("docs/alerts.md");
    let explained: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(alerts.len() > 5);
    assert_eq!(explained, alerts);
    let links: BTreeSet<String> = alerts.iter().map(|name| name.to_lowercase()).collect();
    assert!(links.is_subset(&anchors(&page)));
}

/// The README and every page, relative to the project.
fn pages() -> Vec<String> {
    let names = std::fs::read_dir(project().join("docs")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> =
        names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.push("README.md".to_owned());
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

#[test]
fn what_the_pages_name_exists() {
    let sources = ["setting", "table"].map(|name| read(&format!("src/config/{name}.rs"))).concat();
    for page in pages() {
        let text = read(&page);
        let words: Vec<&str> = text.split(['`', ' ', '\n', '(', ')', ',', ';']).collect();
        for file in words.iter().filter(|word| {
            ["scripts/", "tests/", "docs/", "sql/"].iter().any(|folder| word.starts_with(folder)) && !word.contains('N')
        }) {
            let file = file.trim_end_matches(['.', ':']).split('#').next().unwrap();
            assert!(project().join(file).exists(), "{page}: {file}");
        }
        for file in
            words.iter().filter(|word| word.ends_with(".rs") && !word.starts_with("tests/") && word.contains('/'))
        {
            let below_src = Path::new("src").join(file.trim_start_matches("src/"));
            assert!(project().join(&below_src).exists(), "{page}: {}", below_src.display());
        }
        let settings = words.iter().filter_map(|word| word.strip_prefix("RIB_INGESTER_"));
        for name in settings.filter(|name| !name.starts_with("TEST_")) {
            let name = name.split(['=', '.', ':']).next().unwrap();
            // A family of settings ends in `_*`.
            let known = format!("\"{}", name.trim_end_matches('*'));
            assert!(
                sources.contains(&known) && (name.ends_with('*') || sources.contains(&format!("{known}\""))),
                "{page}: RIB_INGESTER_{name}"
            );
        }
    }
}

/// The anchors that a page's headings have.
fn anchors(page: &str) -> BTreeSet<String> {
    let letters = |heading: &str| -> String {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|line| letters(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    assert!(anchors("## `forget`: one router, gone\n").contains("forget-one-router-gone"));
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { PathBuf::from(&page) } else { folder.join(file) };
            assert!(project().join(&target).exists(), "{page}: {link}");
            let is_there = anchor.is_empty() || anchors(&read(target.to_str().unwrap())).contains(anchor);
            assert!(is_there, "{page}: no such heading: {link}");
            count += 1;
        }
    }
    assert!(count > 10, "{count} links");
}
