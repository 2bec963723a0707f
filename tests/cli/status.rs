//! `status` and `lookup` on terminals, and `status` of many routers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs::File;
use std::io::Read;
use std::process::{Command, Output};

use crate::common::pg::TestDb;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

fn command(db: &TestDb, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).env("RIB_INGESTER_DATABASE_URL", db.url());
    command
}

fn output(db: &TestDb, arguments: &[&str]) -> Output {
    command(db, arguments).output().unwrap()
}

/// What a command prints into a pipe, when it succeeds.
fn printed(db: &TestDb, arguments: &[&str]) -> String {
    let output = output(db, arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command prints on a terminal of so many columns.
fn on_terminal(mut command: Command, columns: u16) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 25, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let inner = ptsname(&terminal, Vec::new()).unwrap();
    let inner = File::options().read(true).write(true).open(inner.to_str().unwrap()).unwrap();
    let mut child = command.stdout(inner).spawn().unwrap();
    // This process's own handle of the inner end goes with the command, so that the end can be read.
    drop(command);
    let mut out = Vec::new();
    // Linux says EIO when nobody has the inner end any more.
    let end = File::from(terminal).read_to_end(&mut out);
    assert!(child.wait().unwrap().success(), "{end:?}");
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

#[test]
fn a_terminals_width_is_used_and_what_is_piped_is_never_cut() {
    let db = TestDb::migrated();
    let (name, path) = ("edge-of-the-network-".repeat(12), vec!["4200000001"; 30].join(" "));
    db.client()
        .batch_execute(&format!(
            "INSERT INTO routers (router_id, hostname, router_ip) VALUES ('10.255.0.1', '{name}', '192.0.2.1');
             INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path) VALUES ('10.255.0.1', 'global', 4, '10.0.0.0/8', '{path}')"
        ))
        .unwrap();
    for (columns, want) in [(80, 80), (132, 132), (0, 240)] {
        let text = on_terminal(command(&db, &["status"]), columns);
        assert!(widest(&text) == want || columns == 0 && widest(&text) > want, "{columns}: {}\n{text}", widest(&text));
    }
    let mut told = command(&db, &["status"]);
    told.env("COLUMNS", "120");
    assert_eq!(widest(&on_terminal(told, 80)), 120);
    let piped = String::from_utf8(command(&db, &["status"]).env("COLUMNS", "80").output().unwrap().stdout).unwrap();
    assert!(piped.contains(&name) && !piped.contains('…'), "{piped}");

    let text = on_terminal(command(&db, &["lookup", "10.1.2.3"]), 80);
    assert!(widest(&text) <= 80 && !text.contains('…'), "{text}");
    assert_eq!(text.split_whitespace().filter(|word| *word == "4200000001").count(), 30, "{text}");
    assert!(printed(&db, &["lookup", "10.1.2.3"]).contains(&path));
}
