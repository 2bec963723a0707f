//! The container image is laid out as the specification of OCI says, and the compose file fits it. Whether the image runs
//! is checked by `scripts/check-image`, which `scripts/test` calls with a static binary.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use rib_ingester::config::TABLE;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for octet in Sha256::digest(bytes) {
        write!(text, "{octet:02x}").unwrap();
    }
    text
}

/// A folder that is deleted with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = std::env::temp_dir().join(format!("rib-ingester-image-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A static program that stands for the collector, whose static build takes minutes.
fn static_program(folder: &Path) -> PathBuf {
    let (source, program) = (folder.join("stub.c"), folder.join("stub"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    run(Command::new("cc").arg("-static").arg("-o").arg(&program).arg(&source));
    program
}

/// Builds an image in a folder of its own. Returns the octets of its archive.
fn build(folder: &Path, binary: &Path) -> Vec<u8> {
    let archive = folder.join("image.tar");
    let mut command = Command::new(project().join("scripts/build-image"));
    let printed = run(command.arg(binary).arg(&archive).env("CA_BUNDLE", folder.join("bundle.pem")));
    assert_eq!(printed.trim(), archive.to_str().unwrap());
    std::fs::read(archive).unwrap()
}

#[test]
fn the_image_is_a_layout_of_oci() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("bundle.pem"), "certificates\n").unwrap();
    let program = static_program(&folder.0);
    let archive = build(&folder.0, &program);
    assert_eq!(archive, build(&folder.0, &program), "the same input gives the same octets");

    run(Command::new("tar").current_dir(&folder.0).args(["-xf", "image.tar"]));
    let read = |path: &str| std::fs::read(folder.0.join(path)).unwrap();
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let blob = |descriptor: &Value| {
        let bytes = read(&format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/")));
        assert_eq!(json!(digest(&bytes)), descriptor["digest"]);
        assert_eq!(json!(bytes.len()), descriptor["size"]);
        bytes
    };
    assert_eq!(parse(&read("oci-layout")), json!({ "imageLayoutVersion": "1.0.0" }));
    let index = parse(&read("index.json"));
    let manifest = parse(&blob(&index["manifests"][0]));
    let config = parse(&blob(&manifest["config"]));
    let layer = blob(&manifest["layers"][0]);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&layer[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&unpacked)]));
    let name = format!("rib-ingester:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], json!(name));
    let of_docker = &parse(&read("manifest.json"))[0];
    assert_eq!(of_docker["RepoTags"], json!([name]));
    for (file, descriptor) in
        [(&of_docker["Config"], &manifest["config"]), (&of_docker["Layers"][0], &manifest["layers"][0])]
    {
        assert_eq!(file.as_str().unwrap().replace("blobs/sha256/", "sha256:"), descriptor["digest"].as_str().unwrap());
    }
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Healthcheck"]["Test"], json!(["CMD", "/usr/bin/rib-ingester", "health"]));

    std::fs::write(folder.0.join("layer.tar"), unpacked).unwrap();
    let listed = run(Command::new("tar").current_dir(&folder.0).args(["--numeric-owner", "-tvf", "layer.tar"]));
    let files: BTreeMap<&str, (&str, &str)> = listed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .map(|words| (words[5], (words[0], words[1])))
        .collect();
    assert_eq!(files["usr/bin/rib-ingester"], ("-rwxr-xr-x", "0/0"));
    assert_eq!(files["etc/ssl/certs/ca-certificates.crt"], ("-rw-r--r--", "0/0"));
    assert_eq!(files["var/lib/rib-ingester/"], ("drwxr-x---", "65532/65532"));
    assert_eq!(files["tmp/"], ("drwxrwxrwt", "0/0"));
    let is_writable = |(path, (mode, _)): &(&&str, &(&str, &str))| **path != "tmp/" && mode.as_bytes()[8] == b'w';
    assert_eq!(files.iter().find(is_writable), None, "nothing else is writable for everyone");
}

#[test]
fn a_program_that_needs_libraries_is_refused() {
    let mut command = Command::new(project().join("scripts/build-image"));
    let output = command.arg(env!("CARGO_BIN_EXE_rib-ingester")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("is not static"), "{said}");
}

#[test]
fn the_compose_file_fits_image_and_settings() {
    let compose = std::fs::read_to_string(project().join("docs/container/compose.yaml")).unwrap();
    assert!(compose.contains(&format!("    image: rib-ingester:{}\n", env!("CARGO_PKG_VERSION"))));
    assert!(compose.contains("test: [\"CMD\", \"/usr/bin/rib-ingester\", \"health\"]"));
    let names = compose.lines().filter_map(|line| line.trim().strip_prefix("RIB_INGESTER_")?.split_once(':'));
    let mut settings = 0;
    for (name, _) in names {
        assert!(TABLE.iter().any(|setting| setting.name == name), "{name}");
        settings += 1;
    }
    assert_eq!(settings, 3);
    let grace = compose.lines().find_map(|line| line.trim().strip_prefix("stop_grace_period: ")?.strip_suffix('s'));
    let timeout = TABLE.iter().find(|setting| setting.name == "SHUTDOWN_TIMEOUT_SECS").unwrap().default.describe();
    assert!(grace.unwrap().parse::<u32>().unwrap() > timeout.parse().unwrap());
    // The schemas that readers get are those of the page.
    let page = std::fs::read_to_string(project().join("docs/install.md")).unwrap();
    let roles = std::fs::read_to_string(project().join("docs/container/roles.sh")).unwrap();
    let list = roles.split_once("unnest('{").unwrap().1.split_once('}').unwrap().0;
    let mut of_roles: Vec<&str> = list.split(',').collect();
    let of_page = page.lines().filter_map(|line| line.strip_prefix("CREATE SCHEMA ")?.split(' ').next());
    let mut of_page: Vec<&str> = of_page.collect();
    of_roles.sort_unstable();
    of_page.sort_unstable();
    assert_eq!(of_roles, of_page);
}
