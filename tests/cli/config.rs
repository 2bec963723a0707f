//! The binary's settings, from the outside.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str], vars: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).envs(vars.iter().copied());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn every_mistake_is_said_at_once_and_ends_with_2() {
    let output = run(
        &["config"],
        &[
            ("RIB_INGESTER_BMP_LISTEN", "11019"),
            ("RIB_INGESTER_ALLOW", "10.0.0.1/8"),
            ("RIB_INGESTER_RETENTION_DAY", "3"),
            ("RIB_INGESTER_DATABASE_URL", "postgresql://u:hunter2@db:x/rib"),
            ("RIB_INGESTER_TEST_ANYTHING", "is left to the tests"),
        ],
    );
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty());
    assert_eq!(said.lines().count(), 4, "{said}");
    for expected in [
        "RIB_INGESTER_RETENTION_DAY: is not a setting; did you mean RIB_INGESTER_RETENTION_DAYS?",
        "RIB_INGESTER_BMP_LISTEN=11019: is not an address and port; allowed: `ADDRESS:PORT`",
        "RIB_INGESTER_ALLOW=10.0.0.1/8: 10.0.0.1/8 has host bits; did you mean 10.0.0.0/8?; allowed: ",
        "RIB_INGESTER_DATABASE_URL=(hidden): ",
    ] {
        assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn config_shows_values_in_force_without_secrets() {
    let output = run(
        &["config"],
        &[
            ("RIB_INGESTER_DATABASE_URL", "postgresql://writer:hunter2@db.example:5433/rib"),
            ("RIB_INGESTER_FLUSH_MS", "50"),
            ("STATE_DIRECTORY", "/var/lib/rib-ingester"),
        ],
    );
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for expected in [
        "RIB_INGESTER_DATABASE_URL=host=db.example port=5433 user=writer dbname=rib password=(hidden)  (set)\n",
        "RIB_INGESTER_FLUSH_MS=50  (set)\n",
        "RIB_INGESTER_STALE_ROUTES_SECS=900  (default)\n",
        "RIB_INGESTER_STATE_DIR=/var/lib/rib-ingester  (default)\n",
    ] {
        assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100 || line.starts_with("RIB_INGESTER_")), "{said}");
}

#[test]
fn wrong_use_ends_with_2_and_help_with_0() {
    for arguments in [&["nonsense"][..], &[], &["config", "--nonsense"], &["replay"], &["record", "--listen", "x"]] {
        assert_eq!(run(arguments, &[]).status.code(), Some(2), "{arguments:?}");
    }
    let help = run(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    assert!(
        text(&help.stdout).contains("Exit codes: 0 done, 1 failed or nothing found, 2 wrong usage or configuration")
    );
}

#[test]
fn markdown_lists_all_settings_whatever_is_set() {
    let output = run(&["config", "--markdown"], &[("RIB_INGESTER_NONSENSE", "1")]);
    assert!(output.status.success());
    let rows: Vec<&str> = text(&output.stdout).lines().filter(|line| line.starts_with("| `RIB_INGESTER_")).collect();
    assert_eq!(rows.len(), rib_ingester::config::TABLE.len());
    // Four cells, so five bars that are not escaped.
    assert!(rows.iter().all(|row| row.replace("\\|", "").matches('|').count() == 5));
}

#[test]
fn a_command_that_needs_the_database_says_so() {
    let without = run(&["migrate"], &[]);
    assert_eq!(without.status.code(), Some(2));
    assert!(text(&without.stderr).contains("RIB_INGESTER_DATABASE_URL: is required"), "{}", text(&without.stderr));
    // Port 1 (tcpmux) is closed on every machine that runs these tests.
    let url = "postgresql://writer:hunter2@127.0.0.1:1/rib";
    let unreachable = run(&["migrate"], &[("RIB_INGESTER_DATABASE_URL", url)]);
    assert_eq!(unreachable.status.code(), Some(1));
    let said = text(&unreachable.stderr);
    assert!(
        said.contains("writer@127.0.0.1:1/rib: ") && said.contains("refused") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn decode_ends_with_1_when_the_stream_breaks() {
    let path = std::env::temp_dir().join(format!("rib-ingester-decode-{}", std::process::id()));
    let check = |bytes: &[u8], code: i32, lines: usize| {
        std::fs::write(&path, bytes).unwrap();
        let output = run(&["decode", path.to_str().unwrap()], &[]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().count(), lines);
    };
    // An empty Initiation, RFC 7854 section 4.3.
    check(&[3, 0, 0, 0, 6, 4], 0, 1);
    check(&[3, 0, 0, 0, 6, 4, b'G', b'E', b'T'], 1, 2);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_holds_no_message_is_a_failure() {
    let output = run(&["decode", "/dev/null"], &[]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    assert_eq!(text(&output.stderr), "rib-ingester: /dev/null: is empty\n");
}

#[test]
fn another_programs_database_is_pointed_out() {
    let said = |vars: &[(&str, &str)]| {
        let output = run(&["status"], vars);
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).to_owned()
    };
    let url = said(&[("DATABASE_URL", "postgres://u:hunter2@db/x"), ("PATH", "/bin")]);
    assert!(url.contains("is required; DATABASE_URL is set, but the setting is RIB_INGESTER_DATABASE_URL; "), "{url}");
    assert!(!url.contains("hunter2"), "{url}");
    let libpq = said(&[("PGHOST", "db"), ("PGPASSWORD", "hunter2")]);
    assert!(libpq.contains("is required; PGHOST is set, but only psql reads it; "), "{libpq}");
}

#[test]
fn help_says_which_command_needs_the_database() {
    for command in ["serve", "migrate", "maintenance", "status", "doctor", "lookup"] {
        let help = run(&[command, "--help"], &[]);
        assert!(text(&help.stdout).contains("Needs RIB_INGESTER_DATABASE_URL; see `rib-ingester config`"), "{command}");
    }
    assert!(!text(&run(&["decode", "--help"], &[]).stdout).contains("DATABASE_URL"));
}

/// The exit status of a command whose standard error accepts nothing.
fn code_without_stderr(arguments: &[&str], vars: &[(&str, &str)], stderr: Stdio) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).envs(vars.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(stderr).status().unwrap().code()
}

/// Arguments and environment.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn a_full_or_closed_standard_error_changes_nothing() {
    let garbage = std::env::temp_dir().join(format!("rib-ingester-garbage-{}", std::process::id()));
    std::fs::write(&garbage, "GET / HTTP/1.1\r\n\r\n").unwrap();
    let garbage_path = garbage.to_str().unwrap();
    // Port 1 (tcpmux) is closed on every machine that runs these tests.
    let away = ("RIB_INGESTER_DATABASE_URL", "postgresql://writer@127.0.0.1:1/rib");
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/frr10-locrib.bmp");
    let cases: [Case<'_>; 8] = [
        (&["doctor"], &[away]),
        (&["status"], &[away]),
        (&["status"], &[]),
        (&["serve"], &[]),
        (&["serve", "--nonsense"], &[]),
        (&["decode", garbage_path], &[]),
        (&["decode", recording], &[]),
        (&["record", "--listen", "127.0.0.1:0", "--out", "/nonexistent/file"], &[]),
    ];
    for (arguments, vars) in cases {
        let expected = run(arguments, vars).status.code();
        assert!(expected.is_some_and(|code| code <= 2), "{arguments:?}: {expected:?}");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(code_without_stderr(arguments, vars, full.into()), expected, "{arguments:?} 2>/dev/full");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(code_without_stderr(arguments, vars, writer.into()), expected, "{arguments:?} 2>&1 | true");
    }
    std::fs::remove_file(garbage).unwrap();
}

#[test]
fn completions_and_manual_know_commands_and_settings() {
    let shown = |arguments: &[&str]| {
        let output = run(arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    let commands =
        ["serve", "migrate", "maintenance", "status", "doctor", "lookup", "decode", "replay", "record", "config"];
    for shell in ["bash", "zsh", "fish"] {
        let completions = shown(&["completions", shell]);
        let missing: Vec<_> = commands.iter().filter(|command| !completions.contains(**command)).collect();
        assert!(missing.is_empty() && completions.contains("json"), "{shell}: {missing:?}");
    }
    let page = shown(&["man"]);
    for command in commands {
        assert!(page.contains(&format!("\n.SS {command}\n")), "{command}");
    }
    for section in ["EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"] {
        assert!(
            page.contains(&format!("\n.SH \"{section}\"\n")) || page.contains(&format!("\n.SH {section}\n")),
            "{section}"
        );
    }
    for setting in rib_ingester::config::TABLE {
        assert!(page.contains(&format!("\\fB{}\\fR", setting.variable())), "{}", setting.name);
    }
    assert_eq!(run(&["completions", "cobol"], &[]).status.code(), Some(2));
    // groff reports requests that it cannot read.
    let groff = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-z", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut groff) = groff else { return println!("skipped: no groff on this machine") };
    groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let said = groff.wait_with_output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{}", text(&said.stderr));
}

/// The words that bash offers for these words of a command line, the last of which is being typed.
fn bash_offers(script: &str, words: &[&str]) -> Vec<String> {
    // As bash calls it: the function that `complete` names, with the command, the word and the word in front of it.
    const ASK: &str = r#"
        source /dev/stdin
        function=$(complete -p rib-ingester | sed 's/.*-F \([^ ]*\) .*/\1/')
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        $function "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", ASK, "bash"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_the_arguments_of_every_command() {
    let script = text(&run(&["completions", "bash"], &[]).stdout).to_owned();
    assert_eq!(bash_offers(&script, &["rib-ingester", "lo"]), ["lookup"]);
    assert_eq!(bash_offers(&script, &["rib-ingester", "lookup", "--v"]), ["--view"]);
    assert_eq!(
        bash_offers(&script, &["rib-ingester", "lookup", "--view", "adj-rib-in"]),
        ["adj-rib-in-pre", "adj-rib-in-post"]
    );
    assert_eq!(bash_offers(&script, &["rib-ingester", "replay", "x.bmp", "--to", "db:1", "--sp"]), ["--speed"]);
    // Called by its path, as from a build.
    assert_eq!(bash_offers(&script, &["target/debug/rib-ingester", "lookup", "--v"]), ["--view"]);
    let help = run(&["--help"], &[]);
    let commands = text(&help.stdout).split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut options = 0;
    for command in commands.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        let help = run(&[command, "--help"], &[]);
        let words = text(&help.stdout).lines().filter(|line| line.trim_start().starts_with('-'));
        let words = words.flat_map(|line| line.split_whitespace()).filter(|word| word.starts_with("--"));
        let offered = bash_offers(&script, &["rib-ingester", command, "--"]);
        for word in words.map(|word| word.split(['[', '=', ',', ':']).next().unwrap()) {
            assert!(offered.iter().any(|one| one == word), "{command} {word}: {offered:?}");
            options += 1;
        }
    }
    assert!(options > 20, "{options}");
}

#[test]
fn what_stands_around_a_value_is_named() {
    let check = |name: &str, value: &str, why: &str| {
        let output = run(&["config"], &[(name, value)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
    };
    check("RIB_INGESTER_DATABASE_URL", "\"postgres://rib:hunter2@db/rib\"", "has quotes around it");
    check("RIB_INGESTER_DATABASE_URL", "\u{feff}postgres://rib:hunter2@db/rib", "byte-order mark");
    check("RIB_INGESTER_DATABASE_URL", "postgres://rib:hunter2@db/rib\r", "carriage return");
    check("RIB_INGESTER_DATABASE_URL", "postgres://rib:pa@hunter2@db/rib", "%40");
    check("RIB_INGESTER_ALLOW", "'10.0.0.0/8'", "has quotes around it");
    check("RIB_INGESTER_STATE_DIR", "/var/lib/rib ", "has whitespace around it");
}
