//! The router configurations of `docs/routers.md`, as the routers themselves read them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::lab::Lab;

/// The blocks of the page under a heading, in their order.
fn blocks(heading: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/routers.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let parts = section.split("```").skip(1).step_by(2);
    parts.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect()
}

/// An unpacked Debian with routers.
struct Root(PathBuf);

impl Root {
    fn of(suite: &str) -> Root {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab-root");
        let output = Command::new(script).arg(suite).output().unwrap();
        Root(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
    }

    /// A program of it, with its own libraries.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
        let libraries = [format!("usr/lib/{machine}"), format!("usr/lib/{machine}/frr"), format!("lib/{machine}")];
        let libraries = libraries.map(|folder| self.0.join(folder));
        let loader = libraries.iter().find_map(|folder| {
            let mut names = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
            names.find(|path| path.file_name().unwrap().to_str().is_some_and(|name| name.starts_with("ld-linux-")))
        });
        Command::new(loader.expect("the root has a loader"))
            .arg("--library-path")
            .arg(libraries.map(|folder| folder.display().to_string()).join(":"))
            .arg(self.0.join(program))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// FRR's bgpd prints this about lines that it does not know.
    fn frr_complaints(&self, folder: &Path, config: &str) -> Vec<String> {
        let file = folder.join("bgpd.conf");
        std::fs::write(&file, config).unwrap();
        let modules = self.0.join(format!("usr/lib/{}-linux-gnu/frr/modules", std::env::consts::ARCH));
        let pid = folder.join("pid");
        let [modules, file, pid, folder] = [&modules, &file, &pid, folder].map(|path| path.to_str().unwrap());
        let output = self.run(
            "usr/lib/frr/bgpd",
            &[
                "--moduledir",
                modules,
                "-M",
                "bmp",
                "-C",
                "-S",
                "-Z",
                "-n",
                "-P",
                "0",
                "-f",
                file,
                "-i",
                pid,
                "--vty_socket",
                folder,
            ],
        );
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "{said}");
        said.lines().filter(|line| line.contains("command on config line")).map(str::to_owned).collect()
    }

    fn does_bird_accept(&self, folder: &Path, config: &str) -> bool {
        let file = folder.join("bird.conf");
        std::fs::write(&file, format!("router id 10.0.0.4;\nprotocol device {{}}\n{config}")).unwrap();
        self.run("usr/sbin/bird", &["-p", "-c", file.to_str().unwrap()]).status.success()
    }
}

#[test]
fn routers_accept_the_documented_configurations() {
    if !Lab::is_possible() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("rib-ingester-documented-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (bookworm, trixie) = (Root::of("bookworm"), Root::of("trixie"));

    let frr: Vec<String> = blocks("FRR").into_iter().filter(|block| block.starts_with("router bgp")).collect();
    let [frr10, frr8] = frr.as_slice() else { panic!("one for FRR 10 and one for FRR 8.4: {frr:?}") };
    assert_eq!(trixie.frr_complaints(&folder, frr10), Vec::<String>::new());
    assert_eq!(bookworm.frr_complaints(&folder, frr8), Vec::<String>::new());
    // FRR 8.4 has no Loc-RIB, as the page says.
    assert_eq!(bookworm.frr_complaints(&folder, frr10).len(), 2);

    let bird = &blocks("BIRD")[0];
    assert!(trixie.does_bird_accept(&folder, bird), "{bird}");
    assert!(!trixie.does_bird_accept(&folder, &bird.replace("monitoring rib", "monitoring")));

    let config = format!("[global.config]\n  as = 65001\n  router-id = \"10.0.0.9\"\n{}", blocks("GoBGP")[0]);
    let does_gobgp_accept = |config: &str| {
        let file = folder.join("gobgp.toml");
        std::fs::write(&file, config).unwrap();
        let output =
            Command::new(bookworm.0.join("usr/bin/gobgpd")).arg("-f").arg(file).arg("--dry-run").output().unwrap();
        output.status.success()
    };
    assert!(does_gobgp_accept(&config), "{config}");
    assert!(!does_gobgp_accept(&config.replace("monitoring-policy", "no-such-key")));
    let _ = std::fs::remove_dir_all(&folder);
}
