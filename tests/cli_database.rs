//! The commands that need a database, from the outside.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

#[path = "common/pg.rs"]
mod pg;

use std::process::{Command, Output};

use pg::TestDb;

fn run(arguments: &[&str], url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).env("RIB_INGESTER_DATABASE_URL", url).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// What a command prints that succeeds.
fn printed(arguments: &[&str], url: &str) -> String {
    let output = run(arguments, url);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output).to_string()
}

#[test]
fn migrate_names_what_it_applied_and_then_nothing() {
    let db = TestDb::create();
    assert!(printed(&["migrate"], &db.url()).starts_with("applied 0001_init"));
    assert_eq!(printed(&["migrate"], &db.url()), "the schema is up to date\n");
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["0"]);
}

#[test]
fn an_edited_migration_is_wrong_configuration() {
    let db = TestDb::migrated();
    db.client().batch_execute("UPDATE schema_migrations SET checksum = 'x'").unwrap();
    let output = run(&["migrate"], &db.url());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("0001_init"), "{}", stderr(&output));
}

#[test]
fn a_database_that_does_not_exist_and_a_wrong_password_are_wrong_configuration() {
    let db = TestDb::create();
    let nowhere = db.url().replacen("dbname=", "dbname=no_such_", 1);
    let output = run(&["migrate"], &nowhere);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("does not exist"), "{}", stderr(&output));

    // A database that trusts its socket asks for no password, but no role has this name.
    let stranger = format!("{} user=no_such_role password=hunter2", db.url());
    let output = run(&["migrate"], &stranger);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(!stderr(&output).contains("hunter2"), "{}", stderr(&output));
}
