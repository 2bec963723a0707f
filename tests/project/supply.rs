//! The program's components: licenses, sources, duplicates and forbidden crates by `.deny.toml`, and the bill of
//! materials. Works without a network.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use toml::Table;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn toml(file: &str) -> Table {
    std::fs::read_to_string(root().join(file)).unwrap().parse().unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).args(["--locked", "--offline"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A crate that becomes part of the program.
struct Part {
    name: String,
    version: String,
    license: String,
    source: Option<String>,
}

/// Every crate that the program is built from, without those that only its tests use.
fn parts() -> Vec<Part> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    // Names and versions of exactly what is built; everything else about a crate is in the metadata.
    let built = cargo(&["tree", "--edges", "normal,build", "--target", TARGET, "--prefix", "none", "--format", "{p}"]);
    let built: BTreeSet<String> =
        built.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join("@")).collect();
    let all = cargo(&["metadata", "--format-version", "1", "--filter-platform", TARGET]);
    let all: Value = serde_json::from_str(&all).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is_built =
        |package: &&Value| built.contains(&format!("{}@v{}", text(&package["name"]), text(&package["version"])));
    let parts = all["packages"].as_array().unwrap().iter().filter(is_built);
    parts
        .map(|package| Part {
            name: text(&package["name"]),
            version: text(&package["version"]),
            license: text(&package["license"]),
            source: package["source"].as_str().map(str::to_owned),
        })
        .collect()
}

fn strings(table: &Table, section: &str, key: &str) -> Vec<String> {
    table[section][key].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// Names in a list of `{ name = .., version = .. }`, with the versions where there are any.
fn named(table: &Table, section: &str, key: &str) -> Vec<(String, Option<String>)> {
    let text = |value: Option<&toml::Value>| value.and_then(toml::Value::as_str).map(str::to_owned);
    let list = table[section][key].as_array().unwrap();
    list.iter().map(|item| (text(item.get("name")).unwrap(), text(item.get("version")))).collect()
}

fn is_allowed(license: &str, allowed: &[String]) -> bool {
    spdx::Expression::parse_mode(license, spdx::ParseMode::LAX).is_ok_and(|expression| {
        expression.evaluate(|asked| {
            asked.addition.is_none() && asked.license.id().is_some_and(|id| allowed.iter().any(|name| name == id.name))
        })
    })
}

#[test]
fn every_license_is_one_that_only_asks_to_be_named() {
    let allowed = strings(&toml(".deny.toml"), "licenses", "allow");
    // The rule itself can fail.
    assert!(is_allowed("GPL-3.0-only OR MIT", &allowed) && is_allowed("MIT/Apache-2.0", &allowed));
    assert!(!is_allowed("MIT AND GPL-3.0-only", &allowed) && !is_allowed("", &allowed));
    let parts = parts();
    assert!(parts.len() > 50, "{}", parts.len());
    let others = parts.iter().filter(|part| !is_allowed(&part.license, &allowed));
    let others: Vec<String> = others.map(|part| format!("{} {}: {}", part.name, part.version, part.license)).collect();
    assert!(others.is_empty(), "{others:?}");
    // An entry that no crate needs makes a list that no one reviews.
    let unused: Vec<&String> = allowed
        .iter()
        .filter(|name| {
            let without: Vec<String> = allowed.iter().filter(|other| other != name).cloned().collect();
            let mentions = parts.iter().filter(|part| part.license.contains(name.as_str()));
            mentions.count() == 0 && parts.iter().all(|part| is_allowed(&part.license, &without))
        })
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn crates_are_unique_allowed_and_of_the_registry() {
    let rules = toml(".deny.toml");
    let (denied, skipped) = (named(&rules, "bans", "deny"), named(&rules, "bans", "skip"));
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for part in parts() {
        match &part.source {
            None => assert_eq!(part.name, "rib-ingester"),
            Some(source) => assert_eq!(source, REGISTRY, "{}", part.name),
        }
        assert!(!denied.iter().any(|(name, _)| *name == part.name), "{} is denied", part.name);
        versions.entry(part.name).or_default().insert(part.version);
    }
    let is_old_half = |name: &str, version: &str| {
        skipped.iter().any(|(skipped, prefix)| {
            skipped == name && prefix.as_deref().is_some_and(|prefix| version.starts_with(&format!("{prefix}.")))
        })
    };
    for (name, versions) in &versions {
        let counted: Vec<&String> = versions.iter().filter(|version| !is_old_half(name, version)).collect();
        assert!(counted.len() <= 1, "{name} in several versions: {counted:?}");
    }
    for (name, prefix) in &skipped {
        let prefix = format!("{}.", prefix.as_deref().unwrap());
        let is_pair = versions.get(name).is_some_and(|of| of.len() > 1 && of.iter().any(|v| v.starts_with(&prefix)));
        assert!(is_pair, "{name} {prefix} is skipped for nothing");
    }
}

#[test]
fn release_builds_check_arithmetic_without_unsafe() {
    let manifest = toml("Cargo.toml");
    assert_eq!(manifest["profile"]["release"]["overflow-checks"].as_bool(), Some(true));
    assert_eq!(manifest["profile"]["release"]["panic"].as_str(), Some("unwind"));
    // `forbid` has no exceptions: the compiler refuses a module that allows what it forbids.
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn the_bill_of_materials_names_every_part() {
    let Ok(true) = Command::new("jq").arg("--version").output().map(|output| output.status.success()) else {
        eprintln!("skipped: no jq here, which scripts/sbom installs");
        return;
    };
    let sbom = || {
        let output = Command::new(root().join("scripts/sbom")).arg("x86_64-unknown-linux-gnu").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let text = sbom();
    assert!(text == sbom(), "two runs differ");
    let bill: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((bill["bomFormat"].as_str(), bill["specVersion"].as_str()), (Some("CycloneDX"), Some("1.5")));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(bill["metadata"]["component"]["purl"], format!("pkg:cargo/rib-ingester@{version}"));
    let named: BTreeSet<String> =
        bill["components"].as_array().unwrap().iter().map(|part| part["purl"].as_str().unwrap().to_owned()).collect();
    let own = |part: &&Part| part.source.is_some();
    let wanted: BTreeSet<String> =
        parts().iter().filter(own).map(|part| format!("pkg:cargo/{}@{}", part.name, part.version)).collect();
    assert_eq!(named, wanted);
    for part in bill["components"].as_array().unwrap() {
        assert_eq!(part["hashes"][0]["content"].as_str().map(str::len), Some(64), "{part}");
        assert!(part["licenses"][0]["expression"].is_string(), "{part}");
    }
    let refs: BTreeSet<&str> =
        bill["dependencies"].as_array().unwrap().iter().map(|entry| entry["ref"].as_str().unwrap()).collect();
    assert_eq!(refs.len(), named.len() + 1);
}
