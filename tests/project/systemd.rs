//! The unit, its environment file and the install script.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rib_ingester::config::{DefaultValue, TABLE, print};

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_environment_file_is_the_table() {
    let file = read(&project().join("systemd/rib-ingester.env"));
    assert!(
        file == print::env_file(),
        "systemd/rib-ingester.env is not up to date: cargo run -- config --env-template > systemd/rib-ingester.env"
    );
    for setting in TABLE {
        let line = match setting.default {
            DefaultValue::Text(text) => format!("\n#{}={text}\n", setting.variable()),
            DefaultValue::Unset | DefaultValue::HostName | DefaultValue::StateDirectory => {
                format!("\n#{}=\n", setting.variable())
            }
        };
        assert!(file.contains(&line), "{line:?} is missing");
    }
    assert!(file.lines().all(|line| line.is_empty() || line.starts_with('#')), "nothing is set by a new install");
}

#[test]
fn the_unit_stays_down_on_configuration_errors() {
    let unit = read(&project().join("systemd/rib-ingester.service"));
    for line in ["RestartPreventExitStatus=2", "Restart=on-failure", "User=rib-ingester", "StateDirectory=rib-ingester"]
    {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
    let value = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_string();
    let stop_seconds: u32 = value("TimeoutStopSec=").strip_suffix('s').unwrap().parse().unwrap();
    let default = |name: &str| match TABLE.iter().find(|setting| setting.name == name).unwrap().default {
        DefaultValue::Text(text) => text.parse::<u32>().unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(stop_seconds > default("SHUTDOWN_TIMEOUT_SECS"));
    assert!(value("LimitNOFILE=").parse::<u32>().unwrap() > 4 * default("MAX_SESSIONS"));
}

/// A scratch root, removed at the end of its test.
struct Root(PathBuf);

impl Root {
    fn create(test: &str) -> Root {
        let path = std::env::temp_dir().join(format!("rib-ingester-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Root(path)
    }

    fn install(&self, vars: &[(&str, &str)]) -> Output {
        let mut command = Command::new(project().join("scripts/install"));
        command.arg(env!("CARGO_BIN_EXE_rib-ingester")).env("DESTDIR", &self.0).envs(vars.iter().copied());
        command.output().unwrap()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn install_is_complete_and_an_upgrade_keeps_settings() {
    let root = Root::create("install");
    let first = root.install(&[]);
    assert!(first.status.success(), "{}", said(&first));
    for expected in ["RIB_INGESTER_DATABASE_URL", "RIB_INGESTER_ALLOW", "systemctl enable --now rib-ingester"] {
        assert!(said(&first).contains(expected), "{}", said(&first));
    }
    let env = root.path("etc/rib-ingester/rib-ingester.env");
    assert_eq!(read(&env), print::env_file());
    // It may contain a password.
    assert_eq!((mode(&env), mode(env.parent().unwrap())), (0o600, 0o750));
    let binary = root.path("usr/local/bin/rib-ingester");
    assert_eq!(mode(&binary), 0o755);
    for (file, holds) in [
        ("man/man1/rib-ingester.1", ".TH rib-ingester 1"),
        ("bash-completion/completions/rib-ingester", "complete -F _rib"),
        ("zsh/site-functions/_rib-ingester", "#compdef rib-ingester"),
        ("fish/vendor_completions.d/rib-ingester.fish", "complete -c rib-ingester"),
    ] {
        let path = root.path("usr/local/share").join(file);
        assert!(read(&path).contains(holds) && mode(&path) == 0o644, "{file}");
    }
    assert!(Command::new(&binary).arg("--version").output().unwrap().status.success());

    // An unchanged file needs no `.new` beside it, and the one that an earlier upgrade left is out of date.
    let new = root.path("etc/rib-ingester/rib-ingester.env.new");
    std::fs::write(&new, "RIB_INGESTER_OF_AN_OLD_VERSION=1\n").unwrap();
    let same = root.install(&[]);
    assert!(same.status.success() && !said(&same).contains("kept ") && !new.exists(), "{}", said(&same));

    std::fs::write(&env, "RIB_INGESTER_FLUSH_MS=50\n").unwrap();
    let second = root.install(&[]);
    assert!(second.status.success() && said(&second).contains("kept "), "{}", said(&second));
    assert_eq!(read(&env), "RIB_INGESTER_FLUSH_MS=50\n");
    assert_eq!(read(&new), print::env_file());
}

/// `scripts/install` on a machine with systemd, with the unit running or not. `None`: no mount namespaces here.
fn installed_over_a_unit(is_running: bool) -> Option<String> {
    // systemctl and the command that makes a user are stand-ins here; so are the folders that are written.
    const MACHINE: &str = r#"
        set -e
        for folder in /etc /run /usr/local; do mount -t tmpfs tmpfs "$folder"; done
        mkdir -p /run/systemd/system /run/bin
        for name in useradd chgrp; do printf '#!/bin/sh\n' >/run/bin/$name; done
        printf '#!/bin/sh\n[ "$1" != -u ] || echo 0\n' >/run/bin/id
        printf '#!/bin/sh\necho "systemctl $*" >>/run/asked\n[ "$1" != is-active ] || exit %s\n' "$3" >/run/bin/systemctl
        chmod 755 /run/bin/*
        PATH=/run/bin:$PATH "$1" "$2"
        cat /run/asked"#;
    let unshare = |arguments: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        unshare.args(["--mount", "--map-root-user", "sh", "-c"]).args(arguments).output()
    };
    if !unshare(&["mount -t tmpfs tmpfs /etc"]).is_ok_and(|output| output.status.success()) {
        return None;
    }
    let script = project().join("scripts/install");
    let code = if is_running { "0" } else { "3" };
    let arguments = [MACHINE, "sh", script.to_str().unwrap(), env!("CARGO_BIN_EXE_rib-ingester"), code];
    let output = unshare(&arguments).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    Some(said(&output))
}

#[test]
fn install_over_a_running_unit_names_the_next_step() {
    let (Some(running), Some(stopped)) = (installed_over_a_unit(true), installed_over_a_unit(false)) else {
        return println!("skipped: no mount namespace on this machine");
    };
    assert!(running.contains("  systemctl restart rib-ingester\n"), "{running}");
    assert!(!running.contains("enable --now"), "{running}");
    assert!(stopped.contains("  2. systemctl enable --now rib-ingester\n"), "{stopped}");
    for text in [&running, &stopped] {
        // It restarts nothing by itself.
        let asked: Vec<&str> = text.lines().filter(|line| line.starts_with("systemctl ")).collect();
        assert_eq!(asked, ["systemctl daemon-reload", "systemctl is-active --quiet rib-ingester"]);
    }
}

/// The last lines of `scripts/run`.
fn how_to_reach(bmp: &str, http: &str, allow: &str) -> String {
    const ASK: &str = r#". "$1/install.sh"; . "$1/reach.sh"; shift; say_how_to_reach "$@""#;
    let lib = project().join("scripts/lib");
    let output = Command::new("bash").args(["-euc", ASK, "bash"]).arg(lib).args([bmp, http, allow]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[test]
fn run_ends_with_the_page_the_port_and_the_allow_list() {
    let closed = how_to_reach("[::]:11019", "127.0.0.1:11020", "");
    for expected in [
        "==> status page: http://127.0.0.1:11020/\n",
        "==> routers: send BMP to port 11019 of this machine\n",
        "start with RIB_INGESTER_ALLOW=127.0.0.0/8,192.0.2.0/24, their addresses in place of 192.0.2.0/24\n",
    ] {
        assert!(closed.contains(expected), "{expected:?} is missing in:\n{closed}");
    }
    let open = how_to_reach("0.0.0.0:2000", "off", "127.0.0.0/8,10.0.0.0/8");
    assert!(open.contains("port 2000 ") && open.contains("==> status page: off"), "{open}");
    assert!(open.contains("==> allowed: RIB_INGESTER_ALLOW=127.0.0.0/8,10.0.0.0/8\n"), "{open}");
    assert!(how_to_reach("[::1]:2000", "off", "").contains("only on this machine"));
    // They are the last lines that the script prints.
    let script = read(&project().join("scripts/run"));
    let (_, end) = script.split_once("    say_how_to_reach ").unwrap();
    assert!(end.lines().nth(1).unwrap().trim().starts_with("while is_up"), "{end}");
}

#[test]
fn install_follows_prefix() {
    let root = Root::create("prefix");
    let output = root.install(&[("PREFIX", "/opt/rib")]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(root.path("opt/rib/bin/rib-ingester").is_file());
    let unit = read(&root.path("etc/systemd/system/rib-ingester.service"));
    assert!(unit.contains("\nExecStart=/opt/rib/bin/rib-ingester serve\n"), "{unit}");
    assert_eq!(root.install(&[("PREFIX", "relative")]).status.code(), Some(2));
}

#[test]
fn systemd_accepts_the_unit_and_rates_its_exposure() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: no systemd-analyze on this machine");
        return;
    }
    // `verify` wants every program that the unit starts to exist in the root.
    let root = Root::create("verify");
    assert!(root.install(&[]).status.success());
    std::fs::create_dir_all(root.path("bin")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_rib-ingester"), root.path("bin/kill")).unwrap();
    let unit = root.path("etc/systemd/system/rib-ingester.service");
    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--threshold=20", "--no-pager"])
        .arg(&unit)
        .output()
        .unwrap();
    assert!(security.status.success(), "exposed above 2.0:\n{}", said(&security));

    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(format!("--root={}", root.0.display()))
        .arg("rib-ingester.service")
        .output()
        .unwrap();
    // Units that are not in the scratch root are not an error here; a word that systemd does not know is.
    for wrong in ["Unknown key", "Unknown lvalue", "Failed to parse", "Invalid", "not executable", "bad-setting"] {
        assert!(!said(&verify).contains(wrong), "{}", said(&verify));
    }
}
