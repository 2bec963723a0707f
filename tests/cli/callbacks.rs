//! `callbacks`: added from files, tried, listed and printed without their secrets.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::{Path, PathBuf};
use std::process::Command;

use super::watch::{done, refused};
use super::watch_page::{blocks, commands};
use crate::common::incidents::event;
use crate::common::pg::TestDb;
use crate::common::receiver::{Receiver, Reply};
use crate::common::server::Folder;

fn file(folder: &Folder, name: &str, text: &str) -> String {
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_callback_is_added_tried_and_removed() {
    let (db, folder, receiver) = (TestDb::migrated(), Folder::new(), Receiver::start());
    assert_eq!(done(&db, &["callbacks", "list"]), "there are no callbacks: `rib-ingester callbacks add` adds one\n");
    let url = file(&folder, "url", &format!("{}\n", receiver.url("/hunter2?x=1")));
    let secret = file(&folder, "secret", "sé\"c're\tt\\{}%s 🔑\n");
    let headers = file(&folder, "headers", "Authorization: Bearer hunter2:x\n\nX-Other: 1\n");
    let add = ["callbacks", "add", "noc", "--format", "generic", "--url-file", &url, "--secret-file", &secret];
    let more = ["--headers-file", &headers, "--condition", "missing", "--min-severity", "error", "--time-zone", "UTC"];
    let said = done(&db, &[&add[..], &more].concat());
    assert_eq!(said, "callback noc: added; `rib-ingester callbacks test noc` sends it a TEST\n");
    let (status, said) = refused(&db, &[&add[..], &more].concat());
    assert!(status == Some(2) && said.contains("exists already"), "{said}");

    let said = done(&db, &["callbacks", "test", "noc"]);
    let target = receiver.url("/…");
    assert_eq!(said, format!("opened to {target}: accepted: HTTP 200 ok\nclosed to {target}: accepted: HTTP 200 ok\n"));
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert!(received[0].is_signed_with("sé\"c're\tt\\{}%s 🔑"));
    assert_eq!(
        (received[0].header("authorization"), received[0].header("x-other")),
        (Some("Bearer hunter2:x"), Some("1"))
    );
    assert!(received[0].json()["incident"]["summary"].as_str().unwrap().starts_with("TEST: "));
    assert_eq!(
        (received[0].json()["test"].as_bool(), received[1].json()["event"].as_str()),
        (Some(true), Some("closed"))
    );
    // Nothing of it is stored.
    assert_eq!(db.rows("SELECT count(*) FROM watch.deliveries"), ["0"]);

    let list = done(&db, &["callbacks", "list"]);
    assert!(list.contains("noc") && list.contains("not used yet"), "{list}");
    let json = done(&db, &["callbacks", "list", "--json"]);
    for text in [list, json] {
        assert!(!text.contains("hunter2") && !text.contains("sé"), "{text}");
    }
    assert_eq!(done(&db, &["callbacks", "remove", "noc"]), "callback noc: removed\n");
    assert_eq!(refused(&db, &["callbacks", "remove", "noc"]).0, Some(1));
}

#[test]
fn a_test_that_fails_prints_the_answer() {
    let (db, receiver) = (TestDb::migrated(), Receiver::start());
    done(&db, &["callbacks", "add", "a", "--format", "slack", "--url", &receiver.url("/hunter2")]);
    receiver.answer(Reply::With(307, "Location: /elsewhere\r\n"));
    let (status, said) = refused(&db, &["callbacks", "test", "a"]);
    assert!(status == Some(1) && said.contains("2 messages not accepted") && !said.contains("hunter2"), "{said}");
    assert_eq!(receiver.received().len(), 2, "a redirect was followed");
    assert_eq!(refused(&db, &["callbacks", "test", "b"]).0, Some(1));
}

#[test]
fn wrong_callbacks_name_no_secret() {
    let (db, folder) = (TestDb::migrated(), Folder::new());
    let headers = file(&folder, "headers", "hunter2\n");
    let empty = file(&folder, "empty", "\n");
    let check = |arguments: &[&str], why: &str| {
        let (status, said) = refused(&db, &[&["callbacks", "add", "a"], arguments].concat());
        assert!(status == Some(2) && said.contains(why) && !said.contains("hunter2"), "{why}: {said}");
    };
    check(
        &["--format", "generic", "--url", "https://a.example/hunter2 https://b.example/hunter2"],
        "only the format alertmanager",
    );
    check(&["--format", "odd", "--url", "https://a.example/hunter2"], "the format must be generic");
    check(&["--format", "generic", "--url", "https://me:hunter2@a.example/"], "without a user");
    check(
        &["--format", "generic", "--url", "https://a.example/", "--condition", "sad"],
        "condition \"sad\" is unknown",
    );
    check(&["--format", "generic", "--url", "https://a.example/", "--fallback", "b"], "its fallback does not exist");
    check(&["--format", "generic", "--url", "https://a.example/", "--headers-file", &headers], "line 1 of the headers");
    check(&["--format", "generic", "--url", "https://a.example/", "--secret-file", &empty], "is empty");
}

#[test]
fn what_was_given_up_is_sent_again() {
    let db = TestDb::migrated();
    done(&db, &["callbacks", "add", "a", "--format", "generic", "--url", "https://a.example/"]);
    event(&mut db.client(), "lab/w/missing", "opened", "critical");
    db.client().batch_execute("UPDATE watch.deliveries SET state = 'dead', attempts = 9").unwrap();
    assert_eq!(done(&db, &["callbacks", "retry", "a"]), "callback a: 1 delivery is sent by the collector now\n");
    assert_eq!(db.rows("SELECT state, attempts FROM watch.deliveries"), ["pending|0"]);
}

#[test]
fn the_page_says_what_the_commands_print() {
    let (db, folder, receiver) = (TestDb::migrated(), Folder::new(), Receiver::start());
    file(&folder, "noc.url", &receiver.url("/"));
    file(&folder, "noc.key", "sé cret\n");
    let program = Path::new(env!("CARGO_BIN_EXE_rib-ingester")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/callbacks.md")).unwrap();
    let (mut count, mut python) = (0, "");
    for (language, block) in blocks(&page) {
        if language == "python" {
            python = block;
        }
        for (command, want) in if language == "console" { commands(block) } else { Vec::new() } {
            let mut shell = Command::new("sh");
            let shell = shell.args(["-c", command]).current_dir(folder.path()).env_clear().env("PATH", &path);
            let output = shell.env("RIB_INGESTER_DATABASE_URL", db.url()).output().unwrap();
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            let printed = String::from_utf8(output.stdout).unwrap();
            assert!(want.is_empty() || printed.lines().eq(want.iter().copied()), "{command}: {printed}");
            count += 1;
        }
    }
    assert_eq!(count, 5);
    // The page's way to check a signature, on a message that was received.
    let received = &receiver.received()[0];
    let header = |name: &str| received.header(name).unwrap().to_owned();
    let call = format!(
        "{python}\nimport sys\nheaders = {{'X-RIB-Timestamp': '{}', 'X-RIB-Signature': '{}'}}\nbody = sys.argv[1].encode()\n\
         print(is_genuine(headers, body, 'sé cret'), is_genuine(headers, body, 'other'))",
        header("x-rib-timestamp"),
        header("x-rib-signature")
    );
    let body = String::from_utf8(received.body.clone()).unwrap();
    match Command::new("python3").args(["-c", &call, &body]).output() {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "True False\n", "{output:?}"),
        Err(_) => println!("skipped: no python3 on this machine"),
    }
}
