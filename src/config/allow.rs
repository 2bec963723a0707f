//! The source addresses that may connect: `ALLOW` and `ALLOW_FILE`, which SIGHUP reads again.

use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use ipnet::IpNet;

use super::problem::Problem;
use super::table::Settings;
use super::value;

/// The maximum size of `ALLOW_FILE`, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The active allow-list, shared between the listener and the thread that reloads it.
#[derive(Debug)]
pub(crate) struct AllowList {
    fixed: Vec<IpNet>,
    file: Option<PathBuf>,
    from_file: RwLock<Vec<IpNet>>,
}

impl AllowList {
    /// Loads `ALLOW` and `ALLOW_FILE`. An invalid file is a mistake in the configuration.
    pub fn load(settings: &Settings) -> Result<AllowList, Problem> {
        let list = AllowList { file: settings.allow_file.clone(), ..AllowList::fixed(settings.allow.clone()) };
        list.reload()?;
        Ok(list)
    }

    /// Creates a list without a file.
    pub fn fixed(networks: Vec<IpNet>) -> AllowList {
        AllowList { fixed: networks, file: None, from_file: RwLock::default() }
    }

    /// Returns whether a router may connect from this address. IPv4-mapped addresses are unmapped first.
    pub fn allows(&self, source: IpAddr) -> bool {
        contains(&self.fixed, source)
            || contains(&self.from_file.read().unwrap_or_else(PoisonError::into_inner), source)
    }

    /// Reads `ALLOW_FILE` again and returns the number of its networks. An invalid file keeps the previous contents.
    pub fn reload(&self) -> Result<usize, Problem> {
        let Some(path) = &self.file else { return Ok(0) };
        let networks = read(path).map_err(|wrong| {
            Problem::bad_file("ALLOW_FILE", path, &wrong, "allowed: one CIDR or address per line, # begins a comment")
        })?;
        let count = networks.len();
        *self.from_file.write().unwrap_or_else(PoisonError::into_inner) = networks;
        Ok(count)
    }
}

/// Returns whether one of the networks contains the address; IPv4-mapped addresses are unmapped first.
pub fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

fn read(path: &Path) -> Result<Vec<IpNet>, String> {
    let text = read_bounded(path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, without_comment(line)));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| value::network(line).map_err(|wrong| format!("line {number}: {wrong}")))
        .collect()
}

/// Returns the text of a file that an operator wrote, of at most `bytes_max` bytes.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > bytes_max) {
        return Err(io::Error::other(format!("is longer than {bytes_max} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("is not valid UTF-8"))
}

/// Returns a line up to its `#`, trimmed.
pub(crate) fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_keeps_the_old_list() {
        let folder = std::env::temp_dir().join(format!("rib-ingester-allow-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("allow");
        let list = AllowList { file: Some(file.clone()), ..AllowList::fixed(value::networks("127.0.0.0/8").unwrap()) };
        let allows = |text: &str| list.allows(text.parse().unwrap());

        assert!(list.reload().unwrap_err().to_string().contains("No such file"));
        assert_eq!((allows("127.0.0.1"), allows("::ffff:127.0.0.1"), allows("10.0.0.1")), (true, true, false));

        std::fs::write(&file, "# routers\n\n10.0.0.0/8 # lab\n 2001:db8::1\n").unwrap();
        assert_eq!(list.reload().unwrap(), 2);
        assert_eq!((allows("10.0.0.1"), allows("2001:db8::1"), allows("2001:db8::2")), (true, true, false));

        std::fs::write(&file, "192.0.2.0/24\n10.0.0.1/8\n").unwrap();
        assert_eq!(list.reload().unwrap_err().wrong, "line 2: 10.0.0.1/8 has host bits; did you mean 10.0.0.0/8?");
        assert_eq!((allows("10.0.0.1"), allows("192.0.2.1")), (true, false));

        std::fs::write(&file, "192.0.2.0/24\n").unwrap();
        assert_eq!(list.reload().unwrap(), 1);
        assert_eq!((allows("10.0.0.1"), allows("192.0.2.1")), (false, true));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
