//! The unit's file of settings, as read by commands that an operator types.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::PathBuf;
use std::process::{Command, Output};

/// A file of settings, removed at the end of its test.
struct EnvFile(PathBuf);

impl EnvFile {
    fn create(test: &str, text: &str) -> EnvFile {
        let path = std::env::temp_dir().join(format!("rib-ingester-env-file-{test}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        EnvFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run(arguments: &[&str], vars: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).envs(vars.iter().copied()).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

const SETTINGS: &str = "
# The unit's.
RIB_INGESTER_DATABASE_URL=\"postgresql://writer:hunter2@127.0.0.1:1/rib\"
RIB_INGESTER_ALLOW=10.0.0.0/8,\\
192.0.2.0/24
RIB_INGESTER_FLUSH_MS='50'
";

#[test]
fn a_named_file_is_read_and_the_environment_wins() {
    let file = EnvFile::create("named", SETTINGS);
    let output = run(&["config", "--env-file", file.path()], &[("RIB_INGESTER_FLUSH_MS", "70")]);
    assert!(output.status.success(), "{}", stderr(&output));
    for expected in [
        "RIB_INGESTER_DATABASE_URL=host=127.0.0.1 port=1 user=writer dbname=rib password=(hidden)  (file)\n",
        "RIB_INGESTER_ALLOW=10.0.0.0/8,192.0.2.0/24  (file)\n",
        "RIB_INGESTER_FLUSH_MS=70  (set)\n",
        "RIB_INGESTER_LOG=info  (default)\n",
    ] {
        assert!(stdout(&output).contains(expected), "{expected:?} is missing in:\n{}", stdout(&output));
    }
    assert!(!stdout(&output).contains("hunter2"));
    assert_eq!(stderr(&output), "", "the user has named it");

    // Also in front of the command, and for one that uses the database.
    let doctor = run(&["--env-file", file.path(), "doctor", "--json"], &[]);
    let checks: serde_json::Value = serde_json::from_str(stdout(&doctor)).unwrap();
    assert_eq!(
        (&checks[0]["check"], &checks[0]["found"]),
        (&"environment".into(), &format!("settings from {}", file.path()).into())
    );
    assert!(stdout(&doctor).contains("writer@127.0.0.1:1/rib"), "{}", stdout(&doctor));
}

#[test]
fn a_missing_or_invalid_file_is_wrong_configuration() {
    let check = |path: &str, expected: &str| {
        let output = run(&["status", "--env-file", path], &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    };
    check("/nonexistent/rib-ingester.env", "/nonexistent/rib-ingester.env: No such file");
    let exported = EnvFile::create("exported", "export RIB_INGESTER_DATABASE_URL=postgres://db/rib\n");
    check(exported.path(), "line 1: no NAME=VALUE of RIB_INGESTER_DATABASE_URL, systemd ignores it");
    let misspelt = EnvFile::create("misspelt", "RIB_INGESTER_RETENTION=3\n");
    check(misspelt.path(), "did you mean RIB_INGESTER_RETENTION_DAYS or RIB_INGESTER_INCIDENT_RETENTION_DAYS?");
    let prefix =
        EnvFile::create("prefix", "RIB_INGESTER_DATABASE_URL=postgres://db/rib\nRIB_INGESTOR_ALLOW=10.0.0.0/8\n");
    check(prefix.path(), "RIB_INGESTOR_ALLOW: is not a setting; did you mean RIB_INGESTER_ALLOW?");
    let keyed = EnvFile::create("keyed", "RIB_INGESTER_DATABASE_URL:postgres://rib:hunter2@db/rib?sslmode=require\n");
    check(keyed.path(), "line 1: no NAME=VALUE of RIB_INGESTER_DATABASE_URL, systemd ignores it");
    assert!(!stderr(&run(&["status", "--env-file", keyed.path()], &[])).contains("hunter2"));
    check(misspelt.path(), &format!("is required; {} does not set it", misspelt.path()));
}

/// The command in a mount namespace of its own, with this text as the unit's file. `None` where the system does not
/// allow a namespace.
fn run_with_unit_file(text: &str, arguments: &[&str], vars: &[(&str, &str)]) -> Option<Output> {
    const MOUNT: &str = "mount -t tmpfs tmpfs /etc && mkdir /etc/rib-ingester && \
                         cp \"$1\" /etc/rib-ingester/rib-ingester.env && shift && exec \"$@\"";
    let unshare = |command: &[&str], vars: &[(&str, &str)]| {
        let mut unshare = Command::new("unshare");
        unshare.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(vars.iter().copied());
        unshare.args(["--mount", "--map-root-user"]).args(command).output()
    };
    let is_allowed =
        unshare(&["sh", "-c", "mount -t tmpfs tmpfs /etc"], &[]).is_ok_and(|output| output.status.success());
    if !is_allowed {
        return None;
    }
    let file = EnvFile::create(arguments[0], text);
    let command = [&["sh", "-c", MOUNT, "sh", file.path(), env!("CARGO_BIN_EXE_rib-ingester")], arguments].concat();
    Some(unshare(&command, vars).unwrap())
}

#[test]
fn the_units_file_is_the_default_and_is_named() {
    const FROM: &str = "rib-ingester: settings from /etc/rib-ingester/rib-ingester.env\n";
    let Some(output) = run_with_unit_file(SETTINGS, &["config"], &[]) else {
        return println!("skipped: no mount namespace on this machine");
    };
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), FROM);
    assert!(stdout(&output).contains("RIB_INGESTER_FLUSH_MS=50  (file)\n"), "{}", stdout(&output));

    let status = run_with_unit_file(SETTINGS, &["status"], &[]).unwrap();
    assert!(
        stderr(&status).starts_with(FROM) && stderr(&status).contains("writer@127.0.0.1:1/rib: "),
        "{}",
        stderr(&status)
    );
    assert_eq!(status.status.code(), Some(1));

    // A caller who gives one setting gives all of them.
    let own = run_with_unit_file(SETTINGS, &["config"], &[("RIB_INGESTER_LOG", "warn")]).unwrap();
    assert!(stdout(&own).contains("RIB_INGESTER_FLUSH_MS=200  (default)\n") && stderr(&own).is_empty());

    // systemd has read it for the collector.
    let serve = run_with_unit_file(SETTINGS, &["serve"], &[]).unwrap();
    assert_eq!(serve.status.code(), Some(2));
    assert!(
        stderr(&serve).contains("this command with --env-file /etc/rib-ingester/rib-ingester.env"),
        "{}",
        stderr(&serve)
    );
}
