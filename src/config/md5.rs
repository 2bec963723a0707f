//! The keys of `MD5_FILE`: the source addresses that sign their segments, and their keys.

use std::fmt;
use std::path::Path;

use ipnet::IpNet;

use super::problem::Problem;
use super::{allow, value};

/// The maximum size of `MD5_FILE`, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The maximum length of a key in the kernel, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 80;

/// A key for the routers in a network. The longest matching network counts.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Key {
    /// The network of the routers' source addresses.
    pub network: IpNet,
    /// The key with which they sign.
    pub key: Vec<u8>,
}

/// Hides the key.
impl fmt::Debug for Md5Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (hidden)", self.network)
    }
}

/// Reads a file of lines `CIDR KEY`; the key is the rest of the line, a `#` begins a comment only at the start of a
/// line.
///
/// # Errors
/// The file cannot be read, or a line is invalid; the error names its number only, because it may contain a key.
pub fn read(path: &Path) -> Result<Vec<Md5Key>, Problem> {
    let problem = |wrong: String| {
        Problem::bad_file("MD5_FILE", path, &wrong, "allowed: lines of a CIDR or address, a space and a key")
    };
    let text = allow::read_bounded(path, FILE_BYTES_MAX).map_err(|error| problem(error.to_string()))?;
    parse(&text).map_err(problem)
}

fn parse(text: &str) -> Result<Vec<Md5Key>, String> {
    let mut keys: Vec<Md5Key> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", i + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (network, key) = line.split_once(char::is_whitespace).ok_or_else(|| wrong("has no key"))?;
        let network = value::network(network).map_err(|_| wrong("does not begin with a CIDR without host bits"))?;
        let key = key.trim_start().as_bytes().to_vec();
        if key.len() > KEY_BYTES_MAX {
            return Err(wrong("has a key of more than 80 bytes"));
        }
        if keys.iter().any(|other| other.network == network) {
            return Err(wrong("repeats a network that has a key already"));
        }
        keys.push(Md5Key { network, key });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_by_network() {
        let keys = parse("# routers\n\n192.0.2.0/24 a key # of one\n  2001:db8::1\thunter2  \n").unwrap();
        let shown: Vec<(String, &[u8])> = keys.iter().map(|key| (format!("{key:?}"), key.key.as_slice())).collect();
        assert_eq!(shown[0], ("192.0.2.0/24 (hidden)".to_owned(), b"a key # of one".as_slice()));
        assert_eq!(shown[1], ("2001:db8::1/128 (hidden)".to_owned(), b"hunter2".as_slice()));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        let check = |line: &str, wrong: &str| {
            let said = parse(&format!("192.0.2.1 key\n{line}\n")).unwrap_err();
            assert_eq!(said, format!("line 2: {wrong}"));
        };
        check("hunter2", "has no key");
        check("hunter2 192.0.2.2", "does not begin with a CIDR without host bits");
        check("192.0.2.0/8 hunter2", "does not begin with a CIDR without host bits");
        check("192.0.2.1/32 hunter2", "repeats a network that has a key already");
        check(&format!("192.0.2.2 {}", "x".repeat(81)), "has a key of more than 80 bytes");
    }
}
