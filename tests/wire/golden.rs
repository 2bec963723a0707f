//! Octets to lines: a made-up stream with every kind of message against the reviewed output, and recordings of real
//! routers cut and damaged.
//!
//! `RIB_INGESTER_TEST_GOLDEN=write cargo test --test wire golden::` writes the output anew: review the difference.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use rib_ingester::cli::decode;

/// The longest message accepted: the collector's default.
const MESSAGE_MAX: usize = 1 << 20;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The output of `decode`, and whether the stream was whole.
fn decoded(bytes: &[u8]) -> (String, bool) {
    let mut out = Vec::new();
    let whole = decode::run(bytes, &mut out, MESSAGE_MAX).unwrap();
    (String::from_utf8(out).unwrap(), whole)
}

/// The octets of a file of hex digits with comments.
fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.trim().bytes()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn every_kind_of_message_prints_as_reviewed() {
    let golden = tests().join("golden/messages.jsonl");
    let (text, whole) = decoded(&octets(&fs::read_to_string(tests().join("golden/messages.hex")).unwrap()));
    assert!(!whole, "the stream ends inside a message");
    if std::env::var_os("RIB_INGESTER_TEST_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&golden, &text).unwrap();
    }
    let want = fs::read_to_string(&golden).unwrap();
    for (number, (got, want)) in text.lines().zip(want.lines()).enumerate() {
        assert_eq!(got, want, "line {}", number + 1);
    }
    assert_eq!(text.lines().count(), want.lines().count());
}

fn recordings() -> Vec<PathBuf> {
    let all: Vec<PathBuf> = fs::read_dir(tests().join("data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bmp"))
        .collect();
    assert!(!all.is_empty());
    all
}

#[test]
fn recordings_of_real_routers_decode_without_an_error() {
    for path in recordings() {
        let (text, whole) = decoded(&fs::read(&path).unwrap());
        let wrong = text.lines().find(|line| line.contains(r#""error":"#) || line.contains(r#""actions":"#));
        assert!(whole && wrong.is_none(), "{}: {wrong:?}", path.display());
    }
}

/// Numbers that appear random and are the same in each run.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

#[test]
fn damaged_recordings_cost_messages_and_nothing_else() {
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    for path in recordings() {
        let whole = fs::read(&path).unwrap();
        let piece = &whole[..whole.len().min(8_192)];
        for _ in 0..200 {
            let mut bytes = piece[..random.below(piece.len())].to_vec();
            for _ in 0..4 {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = u8::try_from(random.below(256)).unwrap();
                }
            }
            // Every line is printed whole, and only the last may be fatal.
            let (text, _) = decoded(&bytes);
            let fatal = text.lines().filter(|line| line.contains(r#""fatal":true"#)).count();
            assert!(fatal <= 1 && text.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
        }
    }
}
