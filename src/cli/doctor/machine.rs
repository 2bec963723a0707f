//! The checks of `doctor` on this machine: the BMP port, the allow-list, file limits, the state folder.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use indicatif::HumanBytes;
use nix::sys::resource::{Resource, getrlimit};

use super::check::CheckResult;
use crate::config::Settings;
use crate::config::allow::AllowList;
use crate::config::env_file::OF_UNIT;
use crate::session;

/// Files that the collector has open besides those of sessions: writers, logs, the listener and some more.
const FILES_BESIDE_SESSIONS: u64 = 128;

/// The free space for rejected input and the journal below which a warning is given, in bytes.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Runs all checks of the machine. `is_running`: a collector currently writes into this database.
pub(super) fn checks(settings: &Settings, is_running: bool) -> Vec<CheckResult> {
    vec![
        environment(settings),
        port(settings, is_running),
        allow_list(settings),
        files(settings),
        state_folder(&settings.state_dir),
    ]
}

/// Reports the origin of the settings, on which all other results depend.
fn environment(settings: &Settings) -> CheckResult {
    const NAME: &str = "environment";
    match &settings.env_file {
        Some(file) => CheckResult::fine(NAME, format!("settings from {}", file.display())),
        None => CheckResult::fine(
            NAME,
            format!("settings from this shell, not from the unit: --env-file {OF_UNIT} reads those"),
        ),
    }
}

fn port(settings: &Settings, is_running: bool) -> CheckResult {
    const NAME: &str = "BMP port";
    let address = settings.bmp_listen;
    match TcpListener::bind(address) {
        Ok(_) if is_running => CheckResult::warning(
            NAME,
            format!("{address} is free, but a collector writes into this database"),
            "no action if it runs elsewhere or with another RIB_INGESTER_BMP_LISTEN than in these settings",
        ),
        Ok(_) => CheckResult::fine(NAME, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => {
            CheckResult::fine(NAME, format!("{address} is taken, and a collector is running"))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => CheckResult::fault(
            NAME,
            format!("{address} is taken by another program"),
            "find it with `ss -ltnp`, or choose another RIB_INGESTER_BMP_LISTEN",
        ),
        Err(error) => CheckResult::fault(
            NAME,
            format!("{address}: {error}"),
            "choose another address for RIB_INGESTER_BMP_LISTEN",
        ),
    }
}

fn allow_list(settings: &Settings) -> CheckResult {
    const NAME: &str = "allow-list";
    if let Err(problem) = AllowList::load(settings) {
        return CheckResult::fault(
            NAME,
            problem.to_string(),
            "correct the file; until then the collector does not start",
        );
    }
    let is_closed = settings.allow_file.is_none() && settings.allow.iter().all(|network| network.addr().is_loopback());
    if is_closed {
        return CheckResult::warning(NAME, "only this machine may connect", "list your routers in RIB_INGESTER_ALLOW");
    }
    CheckResult::fine(NAME, format!("{} networks in RIB_INGESTER_ALLOW", settings.allow.len()))
}

fn files(settings: &Settings) -> CheckResult {
    const NAME: &str = "file limit";
    let of_sessions = settings.max_sessions.saturating_mul(session::files_max(settings.relay.len()));
    let needed = u64::try_from(of_sessions).unwrap_or(u64::MAX).saturating_add(FILES_BESIDE_SESSIONS);
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, most)) if most < needed => CheckResult::warning(
            NAME,
            format!("{most} files, {needed} are needed for RIB_INGESTER_MAX_SESSIONS={}", settings.max_sessions),
            format!("set LimitNOFILE={needed} in the unit, or lower RIB_INGESTER_MAX_SESSIONS"),
        ),
        Ok((_, most)) => {
            CheckResult::fine(NAME, format!("{most} files, {needed} are needed; this shell's, not the unit's"))
        }
        Err(error) => CheckResult::warning(NAME, error.to_string(), "no action: the limit cannot be read here"),
    }
}

fn state_folder(path: &Path) -> CheckResult {
    const NAME: &str = "state folder";
    // The folder is created at the start; until then its closest existing parent counts.
    let Some(there) =
        path.ancestors().find(|folder| folder.is_dir()).map(|folder| match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        })
    else {
        return CheckResult::fault(
            NAME,
            format!("{}: does not exist", path.display()),
            "choose another RIB_INGESTER_STATE_DIR",
        );
    };
    let shown = path.display();
    if let Err(error) = nix::unistd::access(there, nix::unistd::AccessFlags::W_OK) {
        return CheckResult::fault(
            NAME,
            format!("{shown}: not writable for this user: {error}"),
            "run this as the user of the collector, or give that user the folder (RIB_INGESTER_STATE_DIR)",
        );
    }
    let free = match nix::sys::statvfs::statvfs(there) {
        Ok(space) => space.blocks_available().saturating_mul(space.fragment_size()),
        Err(error) => {
            return CheckResult::warning(NAME, format!("{shown}: {error}"), "no action: free space is unknown");
        }
    };
    if free < FREE_BYTES_MIN {
        return CheckResult::warning(
            NAME,
            format!("{shown}: {} free", HumanBytes(free)),
            "free up space: input is kept there while the database is down",
        );
    }
    CheckResult::fine(NAME, format!("{shown}: writable, {} free", HumanBytes(free)))
}
