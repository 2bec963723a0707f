//! Checks that the README and the page of the settings are right about settings, commands and files.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- settings: rib-ingester config --markdown -->\n";
const END: &str = "<!-- end of settings -->";

fn readme() -> String {
    page("README.md")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `RIB_INGESTER_TEST_GOLDEN=write cargo test --test project readme::` writes the table anew.
#[test]
fn the_settings_page_has_the_table_of_config() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page marks where the settings begin");
    let (table, after) = rest.split_once(END).expect("the page marks where the settings end");
    let want = output(&["config", "--markdown"]);
    if std::env::var_os("RIB_INGESTER_TEST_GOLDEN").is_some_and(|value| value == "write") {
        return std::fs::write(&path, [before, BEGIN, &want, END, after].concat()).unwrap();
    }
    assert_eq!(table, want, "RIB_INGESTER_TEST_GOLDEN=write cargo test --test project readme::");
}

/// Its reader has not decided yet whether to read on.
#[test]
fn it_is_short() {
    let lines = readme().lines().count();
    assert!((50..=120).contains(&lines), "{lines} lines: what is more belongs to a page in docs");
}

#[test]
fn the_commands_are_those_of_the_binary() {
    let help = output(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"serve"));
    let page = page("docs/commands.md");
    let mut documented: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `rib-ingester "))
        .filter_map(|rest| rest.split([' ', '`']).next())
        .collect();
    let mut commands: Vec<&str> = commands.into_iter().filter(|command| *command != "help").collect();
    documented.sort_unstable();
    commands.sort_unstable();
    assert_eq!(documented, commands);
}

#[test]
fn the_files_that_it_names_exist() {
    let readme = readme();
    let named: Vec<&str> = readme
        .split(['`', ' ', '\n', '(', ')', ','])
        .filter(|word| ["scripts/", "src/", "docs/", "tests/"].iter().any(|folder| word.starts_with(folder)))
        .collect();
    assert!(named.len() > 5, "found {named:?}");
    for name in named {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists(), "{name}");
    }
}

#[test]
fn the_names_on_the_security_page_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let entries =
        |folder: &Path| -> Vec<_> { std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let rooms = entries(&root.join("tests"))
        .into_iter()
        .flat_map(|path| if path.is_dir() { entries(&path) } else { vec![path] });
    let tests: String = rooms
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let is_test = |word: &&str| word.matches('_').count() > 3 && !word.starts_with("RIB_") && !word.contains('.');
    let named: Vec<&str> = page.split('`').filter(|word| !word.contains(char::is_whitespace)).collect();
    let of_tests: Vec<&str> = named.iter().copied().filter(is_test).collect();
    assert!(of_tests.len() > 5, "{of_tests:?}");
    for name in of_tests {
        assert!(tests.contains(&format!("fn {name}()")), "{name}");
    }
    let settings: Vec<&str> = named.into_iter().filter(|word| word.starts_with("RIB_INGESTER_")).collect();
    assert!(settings.len() > 10, "{settings:?}");
    for name in settings {
        assert!(rib_ingester::config::TABLE.iter().any(|setting| setting.variable() == name), "{name}");
    }
    for file in page.split(['[', ']', ',', ' ']).filter(|word| word.starts_with("tests/")) {
        assert!(root.join(file).exists(), "{file}");
    }
}
