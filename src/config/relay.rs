//! `RELAY`: the stations that routers' sessions are relayed to.

use std::net::{IpAddr, SocketAddr};

use super::connect::{self, ConnectTarget};

/// The most stations: each reads every session's input.
const STATIONS_MAX: usize = 8;

/// Parses a comma-separated list of stations.
///
/// # Errors
/// The part that is none, in words, or too many.
pub(super) fn stations(text: &str) -> Result<Vec<ConnectTarget>, String> {
    let all = connect::targets(text)?;
    if all.len() > STATIONS_MAX {
        return Err(format!("names {} stations, and {STATIONS_MAX} are the most", all.len()));
    }
    Ok(all)
}

/// Returns whether a station is certainly this port of this machine.
pub(super) fn is_at(station: &ConnectTarget, own: SocketAddr) -> bool {
    let address = station.host.parse::<IpAddr>().ok();
    let is_local = station.host == "localhost" || address.is_some_and(|to| to.is_loopback() || to == own.ip());
    station.port == own.port() && is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_few_stations() {
        let named = |count: u16| (1..=count).map(|port| format!("a:{port}")).collect::<Vec<_>>().join(",");
        assert_eq!(stations(&named(8)).unwrap().len(), 8);
        assert_eq!(stations(&named(9)).unwrap_err(), "names 9 stations, and 8 are the most");
    }

    #[test]
    fn a_station_may_be_the_collector_itself() {
        let check = |station: &str, own: &str| is_at(&stations(station).unwrap()[0], own.parse().unwrap());
        assert!(check("localhost:1790", "[::]:1790") && check("127.0.0.2:1790", "0.0.0.0:1790"));
        assert!(check("192.0.2.1:1790", "192.0.2.1:1790") && check("[::1]:1790", "[::]:1790"));
        assert!(!check("localhost:1791", "[::]:1790") && !check("192.0.2.2:1790", "192.0.2.1:1790"));
        assert!(!check("bmp.example:1790", "[::]:1790"), "its name may be of any address");
    }
}
