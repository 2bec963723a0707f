//! The ports for routers: plain BMP, BMP over TLS, and the access files that SIGHUP reads again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use log::{error, info, warn};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use super::begin::{StartError, spawn};
use super::dialers;
use crate::config::allow::AllowList;
use crate::config::md5::{self, Md5Key};
use crate::config::{Problem, Settings};
use crate::session::balancer::Balancers;
use crate::session::dialer::KeyOf;
use crate::session::listener::{Limits, Listener};
use crate::session::registry::ConnectionLimits;
use crate::session::{self, Shared};
use crate::tls::{Acceptor, Files};

/// The bound ports and their access rules.
pub(super) struct Listeners {
    allow: Arc<AllowList>,
    plain: Arc<Listener>,
    secure: Option<Secure>,
    keys: Option<Arc<Keys>>,
}

/// The port with TLS.
struct Secure {
    listener: Arc<Listener>,
    acceptor: Arc<Acceptor>,
}

/// The keys for TCP MD5 signatures.
struct Keys {
    file: PathBuf,
    /// The keys that are installed on the listeners.
    in_force: Mutex<Vec<Md5Key>>,
}

/// The contents of all access files, read before any port is bound.
pub(super) struct AccessFiles {
    allow: Arc<AllowList>,
    acceptor: Option<Arc<Acceptor>>,
    keys: Vec<Md5Key>,
}

impl AccessFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or is invalid.
    pub(super) fn load(settings: &Settings) -> Result<AccessFiles, StartError> {
        let wrong = |problem: Problem| StartError::Configuration(problem.to_string());
        let allow = Arc::new(AllowList::load(settings).map_err(wrong)?);
        let acceptor = match (&settings.bmp_tls_listen, tls_files(settings)) {
            (Some(_), Some(files)) => {
                let acceptor = Acceptor::load(files).map_err(|why| {
                    StartError::Configuration(format!("TLS for routers (RIB_INGESTER_BMP_TLS_*): {why}"))
                })?;
                Some(Arc::new(acceptor))
            }
            (Some(_) | None, _) => None,
        };
        let keys = settings.md5_file.as_deref().map_or(Ok(Vec::new()), read_keys).map_err(wrong)?;
        dialers::check_files(settings)?;
        Ok(AccessFiles { allow, acceptor, keys })
    }
}

impl Listeners {
    /// Binds the ports.
    ///
    /// # Errors
    /// A port cannot be bound, or the kernel rejects a key.
    pub(super) fn open(settings: &Settings, admission: AccessFiles) -> Result<Listeners, StartError> {
        let bind = |address, name: &str| {
            Listener::bind(address).map(Arc::new).map_err(|error| {
                StartError::Failed(format!("cannot listen on {address} (RIB_INGESTER_{name}): {error}"))
            })
        };
        let AccessFiles { allow, acceptor, keys } = admission;
        let plain = bind(settings.bmp_listen, "BMP_LISTEN")?;
        let secure = match (settings.bmp_tls_listen, acceptor) {
            (Some(address), Some(acceptor)) => Some(Secure { listener: bind(address, "BMP_TLS_LISTEN")?, acceptor }),
            (Some(_) | None, _) => None,
        };
        let with_keys = settings.md5_file.clone().map(|file| Arc::new(Keys { file, in_force: Mutex::default() }));
        let doors = Listeners { allow, plain, secure, keys: with_keys };
        doors
            .ask_for(keys)
            .map_err(|why| StartError::Failed(format!("TCP MD5 keys (RIB_INGESTER_MD5_FILE): {why}")))?;
        Ok(doors)
    }

    /// Starts a thread for each port, after raising the limit of open files.
    pub(super) fn spawn(&self, shared: &Arc<Shared>, settings: &Settings) -> Vec<JoinHandle<()>> {
        make_room_for(settings.max_sessions, settings.relay.len());
        let most = ConnectionLimits { sessions: settings.max_sessions, per_address: settings.max_sessions_per_address };
        let balancers = Arc::new(Balancers::new(settings.proxy_from.clone()));
        let start = |name: &'static str, listener: &Arc<Listener>, tls: Option<Arc<Acceptor>>| {
            let (listener, shared, allow) = (Arc::clone(listener), Arc::clone(shared), Arc::clone(&self.allow));
            let allows = Box::new(move |source| allow.allows(source));
            let limits = Arc::new(Limits { allows, most, balancers: Arc::clone(&balancers), tls });
            spawn(name, move || listener.run(name, &shared, &limits))
        };
        let mut threads = vec![start("listener", &self.plain, None)];
        threads.extend(
            self.secure
                .as_ref()
                .map(|secure| start("listener-tls", &secure.listener, Some(Arc::clone(&secure.acceptor)))),
        );
        threads
    }

    /// Returns the key in force for a router at an address that the collector connects to: that of the longest network.
    pub(super) fn key_of(&self) -> KeyOf {
        let keys = self.keys.clone();
        Arc::new(move |address| {
            let in_force = keys.as_ref()?.in_force.lock().unwrap_or_else(PoisonError::into_inner);
            let of_router = in_force.iter().filter(|key| key.network.contains(&address.to_canonical()));
            of_router.max_by_key(|key| key.network.prefix_len()).map(|key| key.key.clone())
        })
    }

    /// Reads the access files again; an invalid file keeps the previous contents.
    pub(super) fn reload(&self) {
        match self.allow.reload() {
            Ok(count) => info!("allow-list: read again, {count} networks in RIB_INGESTER_ALLOW_FILE"),
            Err(problem) => error!("allow-list: old values kept: {problem}"),
        }
        match self.secure.as_ref().map(|secure| secure.acceptor.reload()) {
            None => {}
            Some(Ok(())) => info!("TLS for routers: certificate read again"),
            Some(Err(why)) => error!("TLS for routers: old certificate kept: {why}"),
        }
        let Some(keys) = &self.keys else { return };
        match read_keys(&keys.file) {
            Ok(read) => {
                let count = read.len();
                match self.ask_for(read) {
                    Ok(()) => info!("TCP MD5 keys: read again, {count} networks"),
                    Err(why) => error!("TCP MD5 keys: not all in force: {why}"),
                }
            }
            Err(problem) => error!("TCP MD5 keys: old ones kept: {problem}"),
        }
    }

    /// Installs these keys: removed ones are deleted first, so that a network is never without a key that it keeps.
    fn ask_for(&self, wanted: Vec<Md5Key>) -> Result<(), String> {
        let Some(keys) = &self.keys else { return Ok(()) };
        let mut in_force = keys.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = in_force.iter().filter(|old| !wanted.iter().any(|new| new.network == old.network));
        let changes = gone.map(|old| (old.network, [].as_slice()));
        let changes = changes.chain(wanted.iter().map(|new| (new.network, new.key.as_slice())));
        for (network, key) in changes {
            for listener in
                [Some(&self.plain), self.secure.as_ref().map(|secure| &secure.listener)].into_iter().flatten()
            {
                listener.ask_for_signatures(network, key).map_err(|why| format!("{network}: {why}"))?;
            }
        }
        *in_force = wanted;
        Ok(())
    }
}

/// Raises this process's limit of open files to what `sessions` sessions need, as far as the system permits: the usual
/// 1024 are too few.
fn make_room_for(sessions: usize, stations: usize) {
    /// Database connections, their event loops, other files of the state folder, HTTP.
    const OTHERS: usize = 512;
    let needed = sessions.saturating_mul(session::files_max(stations)).saturating_add(OTHERS);
    let needed = rlim_t::try_from(needed).unwrap_or(rlim_t::MAX);
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if now < needed && setrlimit(Resource::RLIMIT_NOFILE, needed.min(most), most).is_err() || most < needed {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(now, |(now, _)| now);
        warn!("listener: this process may open {limit} files, RIB_INGESTER_MAX_SESSIONS={sessions} may need {needed}");
    }
}

fn tls_files(settings: &Settings) -> Option<Files> {
    let chain = settings.bmp_tls_certificate_file.clone()?;
    let key = settings.bmp_tls_key_file.clone()?;
    Some(Files { chain, key, client_authorities: settings.bmp_tls_client_ca_file.clone() })
}

/// Returns the keys in the file; warns if other users may read it.
fn read_keys(file: &Path) -> Result<Vec<Md5Key>, Problem> {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS: u32 = 0o007;
    let keys = md5::read(file)?;
    if std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS != 0) {
        warn!("TCP MD5 keys: every user of this machine may read or write {}", file.display());
    }
    Ok(keys)
}
