//! The ways to the servers that a connection string names: over TCP, or through a Unix socket.
//!
//! The client crate lets us put a stream of ours ([`Door`]) in place of a TCP socket, but not in place of a Unix
//! socket, and a stream that is not ours has no bound on its waits. So a Unix socket is connected here, and the client
//! is sent to a port on loopback where no thread accepts connections: the kernel completes the client's connection, the
//! door drops it and gives the client the Unix socket instead. Not an octet crosses loopback.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::config::{Host, LoadBalanceHosts, SslMode, SslNegotiation};
use postgres::{Client, Config};
use rustls::ClientConfig;
use socket2::{Domain, SockAddr, Socket, Type};

use super::door::{Begin, Door};
use super::error::{Error, Result};

/// The host name given to the client for a Unix socket; the client does not resolve it.
const UNIX_HOST: &str = "unix-socket";

/// PostgreSQL's default port.
const DEFAULT_PORT: u16 = 5432;

/// One way to connect.
pub(super) struct Way {
    config: Config,
    door: Door,
    /// The Unix socket to connect to; `None` for TCP, to any host of `config`.
    socket: Option<PathBuf>,
    time_max: Duration,
}

impl Way {
    /// Returns the ways that `config` leads to, in the order in which they are tried.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub(super) fn all(
        config: Config,
        thread: &str,
        time_max: Duration,
        tls: Option<&ClientConfig>,
    ) -> Result<Vec<Way>> {
        let hosts = config.get_hosts();
        let is_unix = |host: &Host| matches!(host, Host::Unix(_));
        if !hosts.iter().any(is_unix) {
            return Ok(vec![Way::tcp(config, thread, time_max, tls)?]);
        }
        let (given, count) = (config.get_hostaddrs().len(), hosts.len());
        if given != 0 && given != count {
            return Err(Error::Url(format!("{count} hosts and {given} addresses")));
        }
        let ports = config.get_ports().len();
        if ports > 1 && ports != count {
            return Err(Error::Url(format!("{count} hosts and {ports} ports")));
        }
        let mut ways: Vec<Way> =
            (0..count).map(|i| Way::to(&config, i, thread, time_max, tls)).collect::<Result<_>>()?;
        if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
            let places = u64::try_from(count).unwrap_or(1);
            ways.rotate_left(usize::try_from(RandomState::new().hash_one(()) % places).unwrap_or(0));
        }
        Ok(ways)
    }

    /// Returns the way to one of several hosts.
    fn to(all: &Config, i: usize, thread: &str, time_max: Duration, tls: Option<&ClientConfig>) -> Result<Way> {
        let mut config = without_hosts(all);
        let port = all.get_ports().get(i).or(all.get_ports().first()).copied().unwrap_or(DEFAULT_PORT);
        match (&all.get_hosts()[i], all.get_hostaddrs().get(i)) {
            (Host::Unix(folder), None) => {
                let socket = folder.join(format!(".s.PGSQL.{port}"));
                let door = Door::new(thread, time_max, None);
                config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct).host(UNIX_HOST);
                return Ok(Way { config, door, socket: Some(socket), time_max });
            }
            (Host::Unix(folder), Some(address)) => {
                return Err(Error::Url(format!(
                    "{} is a socket's folder and has no address {address}",
                    folder.display()
                )));
            }
            (Host::Tcp(name), address) => {
                config.host(name).port(port);
                address.map(|address| config.hostaddr(*address));
            }
        }
        Way::tcp(config, thread, time_max, tls)
    }

    fn tcp(mut config: Config, thread: &str, time_max: Duration, tls: Option<&ClientConfig>) -> Result<Way> {
        let begin = match (config.get_ssl_mode(), config.get_ssl_negotiation()) {
            (SslMode::Require, SslNegotiation::Direct) => Begin::AtOnce,
            (SslMode::Require, _) => Begin::WhenOffered,
            (_, SslNegotiation::Direct) if tls.is_some() => {
                return Err(Error::Url("sslnegotiation=direct needs sslmode=require or stronger".to_owned()));
            }
            _ => Begin::IfOffered,
        };
        let door = Door::new(thread, time_max, tls.map(|tls| (tls.clone(), begin)));
        // The client crate assumes TLS from the first octet on; the door does what was asked for.
        config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        Ok(Way { config, door, socket: None, time_max })
    }

    /// Opens the connection. The client panics if there is no file descriptor for its event loop, and many connections
    /// at the BMP port must not end the collector: it first checks that there are enough.
    pub(super) fn take(mut self) -> Result<Client> {
        /// The descriptors for the client's event loop, the socket and the files of a login, and some to spare.
        const FILE_DESCRIPTORS: usize = 12;
        let standard_error = io::stderr();
        let spare: io::Result<Vec<_>> =
            (0..FILE_DESCRIPTORS).map(|_| standard_error.as_fd().try_clone_to_owned()).collect();
        drop(spare.map_err(|error| Error::Local(format!("no file descriptors for a connection: {error}")))?);
        let nobody = match &self.socket {
            Some(socket) => Some(self.door_to(socket)?),
            None => None,
        };
        if let Some((listener, address)) = &nobody {
            let port = listener.local_addr().map_err(no_loopback)?.port();
            self.config.hostaddr(*address).port(port);
        }
        // Another thread may have taken the descriptors since.
        let opened = catch_unwind(AssertUnwindSafe(|| self.config.connect(self.door.clone())));
        match opened {
            Ok(client) => {
                let client = client?;
                if let Some(watch) = self.door.watch() {
                    watch.opened();
                }
                Ok(client)
            }
            Err(_) => Err(Error::Local("the PostgreSQL client failed to start".to_owned())),
        }
    }

    /// Connects the Unix socket and gives it to the door. Returns the listener and address to which the client is sent.
    fn door_to(&self, path: &Path) -> Result<(TcpListener, IpAddr)> {
        let stream = unix_stream(path, self.time_max)
            .map_err(|error| Error::NoAnswer(format!("error connecting to {}: {error}", path.display())))?;
        self.door.lead_to(stream);
        let bind = |address: IpAddr| Ok((TcpListener::bind((address, 0))?, address));
        bind(Ipv4Addr::LOCALHOST.into()).or_else(|_| bind(Ipv6Addr::LOCALHOST.into())).map_err(no_loopback)
    }
}

fn no_loopback(error: io::Error) -> Error {
    Error::Local(format!("no port on loopback, which a connection through a Unix socket uses briefly: {error}"))
}

fn unix_stream(path: &Path, time_max: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server that accepts no connections any more has a queue; this is how long it may be full.
    socket.set_write_timeout(Some(time_max))?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_write_timeout(None)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Returns all settings of a connection string except the server's location.
fn without_hosts(all: &Config) -> Config {
    let mut config = Config::new();
    all.get_user().map(|user| config.user(user));
    all.get_password().map(|password| config.password(password));
    all.get_dbname().map(|name| config.dbname(name));
    all.get_options().map(|options| config.options(options));
    all.get_application_name().map(|name| config.application_name(name));
    all.get_connect_timeout().map(|time| config.connect_timeout(*time));
    all.get_tcp_user_timeout().map(|time| config.tcp_user_timeout(*time));
    all.get_keepalives_interval().map(|time| config.keepalives_interval(time));
    all.get_keepalives_retries().map(|retries| config.keepalives_retries(retries));
    config
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .target_session_attrs(all.get_target_session_attrs())
        .channel_binding(all.get_channel_binding());
    quieten(&mut config);
    config
}

/// Logs notices (of CREATE IF NOT EXISTS, say) at debug level only: no one has to act on them.
pub(super) fn quieten(config: &mut Config) {
    config.notice_callback(|notice| log::debug!("postgresql: {notice}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(text: &str) -> Result<Vec<Way>> {
        Way::all(text.parse().unwrap(), "test", Duration::from_secs(1), None)
    }

    #[test]
    fn each_host_is_a_way_where_one_is_a_socket() {
        let text = "host=db1,/run/postgresql,db2 port=1,2,3 user=me password=secret dbname=rib connect_timeout=7 \
                    options='-c a=b' application_name=x target_session_attrs=read-write keepalives_idle=9 channel_binding=disable";
        let ways = ways(text).unwrap();
        let sockets: Vec<_> = ways.iter().map(|way| way.socket.clone()).collect();
        assert_eq!(sockets, [None, Some("/run/postgresql/.s.PGSQL.2".into()), None]);
        let hosts: Vec<_> = ways.iter().map(|way| way.config.get_hosts().to_vec()).collect();
        let tcp = |name: &str| vec![Host::Tcp(name.to_owned())];
        assert_eq!(hosts, [tcp("db1"), tcp(UNIX_HOST), tcp("db2")]);
        assert_eq!((ways[0].config.get_ports(), ways[2].config.get_ports()), ([1].as_slice(), [3].as_slice()));
        // All other settings are the same for each way.
        let mut whole: Config = text.replace("host=db1,/run/postgresql,db2 port=1,2,3", "").parse().unwrap();
        whole.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct).host("db1").port(1);
        assert_eq!(format!("{:?}", ways[0].config), format!("{whole:?}"));
        assert_eq!(ways[0].config.get_password(), Some(b"secret".as_slice()));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for text in ["host=/a,b port=1,2,3", "host=/a,b hostaddr=127.0.0.1", "host=/a hostaddr=127.0.0.1"] {
            assert!(matches!(ways(text), Err(Error::Url(_))), "{text}");
        }
    }
}
