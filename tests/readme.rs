//! What the README says of the settings, the commands and the files is so.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- settings: rib-ingester config --markdown -->\n";
const END: &str = "<!-- end of settings -->";

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// To mend it: put the output of `rib-ingester config --markdown` between the two comments.
#[test]
fn the_settings_table_is_the_one_of_config() {
    let readme = readme();
    let (_, rest) = readme.split_once(BEGIN).expect("the README marks where the settings begin");
    let (table, _) = rest.split_once(END).expect("the README marks where the settings end");
    assert_eq!(table, output(&["config", "--markdown"]));
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
    let readme = readme();
    let mut documented: Vec<&str> = readme
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
