//! The paths of files: Hive keys, so that DuckDB, Spark and others read only the days and routers that a query names.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::model::RouterId;
use crate::model::write_text::hex;
use crate::store::archive::History;

/// The only file of a day and router.
const FILE: &str = "part-0.parquet";

/// The ending of the name of a file that is being written. No pattern for `*.parquet` finds it.
const DRAFT: &str = "draft";

/// The characters that a router's identifier keeps; every other octet becomes `%` and two hex digits. No identifier
/// becomes a path of its own: `/` is none of them, and the name begins with `router=`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The longest name that most file systems allow is 255 octets.
const NAME_OCTETS_MAX: usize = 255;

/// The hex digits that end a name that was cut.
const MARK_DIGITS: usize = 32;

/// Returns the beginning of the paths of all files of a history.
pub(super) fn prefix(folder: &Path, history: History) -> String {
    format!("{}/", folder.join(history.name()).display())
}

/// Returns the path of the file of a router's day.
pub(super) fn file(folder: &Path, history: History, router: &RouterId, day: Date) -> PathBuf {
    folder.join(history.name()).join(format!("date={day}")).join(router_key(router)).join(FILE)
}

/// Returns the path under which a file is written.
pub(super) fn draft(path: &Path) -> PathBuf {
    path.with_extension(DRAFT)
}

/// Returns the name of a router's folder. Decoding the escaped octets returns the identifier, unless the name would be too
/// long: then it ends in `~` and a hash, and only the column `router_id` has all of it.
fn router_key(router: &RouterId) -> String {
    let key = format!("router={}", utf8_percent_encode(router.as_str(), ESCAPED));
    if key.len() <= NAME_OCTETS_MAX {
        return key;
    }
    let hash = Sha256::digest(router.as_str());
    let mark = hex(&hash[..MARK_DIGITS / 2]);
    let mut end = NAME_OCTETS_MAX - MARK_DIGITS - 1;
    // An escaped octet stays whole.
    while key[end - 2..end].contains('%') {
        end -= 1;
    }
    format!("{}~{mark}", &key[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_folder_and_are_read_back() {
        let check = |router: &str, name: &str| {
            let path = file(Path::new("/a"), History::Routes, &RouterId::new(router), jiff::civil::date(2026, 11, 25));
            assert_eq!(path, PathBuf::from(format!("/a/route_events/date=2026-11-25/router={name}/part-0.parquet")));
            let decoded = percent_encoding::percent_decode_str(name).decode_utf8().unwrap();
            assert_eq!(decoded, router);
        };
        check("10.0.0.1", "10.0.0.1");
        check("2001:db8::1", "2001%3Adb8%3A%3A1");
        check("..", "..");
        check("../../etc/x", "..%2F..%2Fetc%2Fx");
        check("a=b&c d~%41", "a%3Db%26c%20d%7E%2541");
        check("Zürich", "Z%C3%BCrich");
        check("\u{1}\\", "%01%5C");
        check(&"x".repeat(248), &"x".repeat(248));
        let long = |text: &str| router_key(&RouterId::new(text));
        let names = [long(&"/".repeat(83)), long(&"/".repeat(84)), long(&format!("x{}", "/".repeat(83)))];
        for name in &names {
            assert!(name.len() <= 255, "{name}");
            let body = name.split('~').next().unwrap();
            assert!(body.split('%').skip(1).all(|octet| octet.len() == 2), "{name}");
        }
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 3);
        let path = Path::new("/a/part-0.parquet");
        assert_eq!(draft(path), Path::new("/a/part-0.draft"));
        assert_eq!(History::ALL.map(|of| prefix(Path::new("/a"), of)), ["/a/route_events/", "/a/nlri_events/"]);
    }
}
