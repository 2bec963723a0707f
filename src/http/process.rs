//! The resource usage of this process, as Linux reports it.

use std::fs;

/// Values from `/proc/self`; those that cannot be read are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProcessUsage {
    /// Resident memory, in bytes.
    pub(super) resident_bytes: Option<u64>,
    /// The number of threads.
    pub(super) threads: Option<u64>,
    /// The number of open files and sockets.
    pub(super) open_files: Option<u64>,
    /// The maximum number of open files and sockets.
    pub(super) open_files_max: Option<u64>,
}

/// Reads the current values.
pub(super) fn read() -> ProcessUsage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open = fs::read_dir("/proc/self/fd").ok().and_then(|files| u64::try_from(files.count()).ok());
    ProcessUsage {
        resident_bytes: number_behind(&status, "VmRSS:").map(|kib| kib * 1024),
        threads: number_behind(&status, "Threads:"),
        open_files: open,
        open_files_max: number_behind(&limits, "Max open files"),
    }
}

fn number_behind(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read() {
        let process = read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{process:?}");
        assert!(process.threads.is_some_and(|threads| threads > 0), "{process:?}");
        assert!(process.open_files.is_some() && process.open_files_max.is_some(), "{process:?}");
        assert_eq!(
            number_behind("Max open files            1024                 4096 files\n", "Max open files"),
            Some(1024)
        );
        assert_eq!(number_behind("VmRSS:\tmuch kB\n", "VmRSS:"), None);
    }
}
