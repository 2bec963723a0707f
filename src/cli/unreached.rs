//! Routers of `CONNECT` without a session, as `doctor` and `status` see it: from the database, since another process may
//! be the collector.

use std::net::{IpAddr, ToSocketAddrs};

use serde::Serialize;

use crate::config::{ConnectTarget, Settings};
use crate::store::{self, Client, sessions};

/// A router that the collector connects to and has no session of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unreached {
    /// `HOST:PORT`, as in the settings.
    pub target: String,
    /// The addresses that its name has here.
    pub addresses: Vec<IpAddr>,
    /// Why the name has none.
    pub error: Option<String>,
}

impl Unreached {
    /// Returns what is known of it, in words.
    pub(super) fn describe(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
        match &self.error {
            Some(error) => format!("{}: {error}", self.target),
            None if addresses == [host_of(&self.target)] => format!("{}: no session", self.target),
            None => format!("{}: no session from {}", self.target, addresses.join(", ")),
        }
    }
}

fn host_of(target: &str) -> &str {
    let host = target.trim_start_matches("tls://").rsplit_once(':').map_or(target, |(host, _)| host);
    host.trim_matches(['[', ']'])
}

/// Returns the routers of `CONNECT` that have no session with this collector. Names are resolved here.
///
/// # Errors
/// The database cannot be read.
pub(super) fn read(client: &mut Client, settings: &Settings) -> store::Result<Vec<Unreached>> {
    if settings.connect.is_empty() {
        return Ok(Vec::new());
    }
    let sources = sessions::live_sources(client, &settings.collector_id)?;
    Ok(settings.connect.iter().map(resolve).filter(|one| !one.addresses.iter().any(|a| sources.contains(a))).collect())
}

fn resolve(to: &ConnectTarget) -> Unreached {
    let (mut addresses, error) = match (to.host.as_str(), to.port).to_socket_addrs() {
        Ok(found) => (found.map(|address| address.ip().to_canonical()).collect::<Vec<_>>(), None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    addresses.sort_unstable();
    addresses.dedup();
    Unreached { target: to.to_string(), addresses, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_said_twice() {
        let check = |target: &str, address: &str, expected: &str| {
            let addresses = vec![address.parse().unwrap()];
            let unreached = Unreached { target: target.to_owned(), addresses, error: None };
            assert_eq!(unreached.describe(), expected);
        };
        check("tls://192.0.2.1:1790", "192.0.2.1", "tls://192.0.2.1:1790: no session");
        check("[2001:db8::1]:1790", "2001:db8::1", "[2001:db8::1]:1790: no session");
        check("edge1:1790", "192.0.2.1", "edge1:1790: no session from 192.0.2.1");
    }
}
