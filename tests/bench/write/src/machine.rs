//! What the machine spends: wall time, and CPU time of the collector and of all of PostgreSQL's processes.

use std::fs;
use std::time::{Duration, Instant};

/// `/proc` counts in hundredths of a second on every Linux that matters.
const TICK: Duration = Duration::from_millis(10);

/// Time spent on something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// From the first byte to the last commit.
    pub wall: Duration,
    /// By PostgreSQL, its helpers included.
    pub server: Duration,
    /// The kernel's part of it.
    pub kernel: Duration,
    /// By the collector.
    pub collector: Duration,
    /// Bytes that PostgreSQL read from the disk.
    pub read: u64,
}

impl Spent {
    /// Each figure the lower of the two: what disturbs a measurement only ever adds.
    pub fn best(self, other: Spent) -> Spent {
        Spent {
            wall: self.wall.min(other.wall),
            server: self.server.min(other.server),
            kernel: self.kernel.min(other.kernel),
            collector: self.collector.min(other.collector),
            read: self.read.min(other.read),
        }
    }

    /// CPU time of both.
    pub fn cpu(&self) -> Duration {
        self.server + self.collector
    }
}

/// Whose time counts.
#[derive(Clone, Copy)]
pub struct Meter {
    /// The server's first process.
    pub postmaster: u32,
    /// The collector, where one runs.
    pub collector: Option<u32>,
}

impl Meter {
    /// Runs `work` and says what it took.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> (Spent, T) {
        let (read, (server, kernel)) = (bytes_read(self.postmaster), tree(self.postmaster));
        let (collector, begin) = (self.collector_time(), Instant::now());
        let value = work();
        let wall = begin.elapsed();
        let (server_after, kernel_after) = tree(self.postmaster);
        let spent = Spent {
            wall,
            server: server_after.saturating_sub(server),
            kernel: kernel_after.saturating_sub(kernel),
            collector: self.collector_time().saturating_sub(collector),
            read: bytes_read(self.postmaster).saturating_sub(read),
        };
        (spent, value)
    }

    /// What the collector has used since it began.
    pub fn collector_time(&self) -> Duration {
        self.collector.and_then(stat).map_or(Duration::ZERO, |stat| stat.own)
    }
}

struct Stat {
    parent: u32,
    own: Duration,
    /// The kernel's part of `own`.
    own_kernel: Duration,
    /// Of children that ended.
    children: Duration,
    children_kernel: Duration,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let fields: Vec<u64> =
        text.rsplit_once(") ")?.1.split(' ').skip(1).map(|field| field.parse().unwrap_or(0)).collect();
    let ticks = |i: usize| TICK * u32::try_from(fields.get(i).copied().unwrap_or(0)).unwrap_or(u32::MAX);
    Some(Stat {
        parent: u32::try_from(*fields.first()?).ok()?,
        own: ticks(10) + ticks(11),
        own_kernel: ticks(11),
        children: ticks(12) + ticks(13),
        children_kernel: ticks(13),
    })
}

/// CPU time of a process, its living children, and those that it has outlived; and the kernel's part of it.
fn tree(pid: u32) -> (Duration, Duration) {
    let Some(root) = stat(pid) else { return Default::default() };
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = pids.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?));
    let of_root = (root.own + root.children, root.own_kernel + root.children_kernel);
    children
        .filter(|stat| stat.parent == pid)
        .fold(of_root, |(all, kernel), stat| (all + stat.own, kernel + stat.own_kernel))
}

/// Bytes that a process, its living children and those that it has outlived have read from the disk.
fn bytes_read(pid: u32) -> u64 {
    let of = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
        line.and_then(|line| line.parse::<u64>().ok()).unwrap_or(0)
    };
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    of(pid) + pids.filter(|child| parent(*child) == Some(pid)).map(of).sum::<u64>()
}

/// CPU time of one process.
pub fn used(pid: u32) -> Duration {
    stat(pid).map_or(Duration::ZERO, |stat| stat.own)
}

/// The parent of a process.
pub fn parent(pid: u32) -> Option<u32> {
    stat(pid).map(|stat| stat.parent)
}

/// Resident memory of a process in bytes.
pub fn resident(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// The most that `resident` has been since the process began, in bytes.
pub fn resident_peak(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Kind of processor and how many, for the report.
pub fn describe() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {}, load {load} at the start", name.trim_start_matches([' ', '\t', ':']))
}
