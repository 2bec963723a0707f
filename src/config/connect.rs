//! The routers of `CONNECT`: those that listen, and that the collector connects to.

use std::fmt;

/// A router that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTarget {
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// True if the connection is TLS, with the router as the server.
    pub uses_tls: bool,
}

/// As it is written in the setting.
impl fmt::Display for ConnectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.uses_tls { TLS } else { "" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}{}:{}", self.host, self.port),
        }
    }
}

/// The prefix of a target that is connected to over TLS.
const TLS: &str = "tls://";

/// The longest name of a host (RFC 1035 section 2.3.4).
const HOST_MAX: usize = 253;

/// Parses a comma-separated list of `HOST:PORT`, each once.
///
/// # Errors
/// The part that is none, in words.
pub(super) fn targets(text: &str) -> Result<Vec<ConnectTarget>, String> {
    let mut targets: Vec<ConnectTarget> = Vec::new();
    for item in text.split(',') {
        let one = target(item.trim())?;
        if targets.contains(&one) {
            return Err(format!("{one} is named twice"));
        }
        targets.push(one);
    }
    Ok(targets)
}

fn target(text: &str) -> Result<ConnectTarget, String> {
    let wrong = || format!("{text:?} is not HOST:PORT");
    let (rest, uses_tls) = text.strip_prefix(TLS).map_or((text, false), |rest| (rest, true));
    let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_fine = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        // Digits, letters, hyphens and dots; underscores occur.
        None => {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            (1..=HOST_MAX).contains(&host.len()) && host.chars().all(is_of_name)
        }
    };
    if !is_fine {
        return Err(wrong());
    }
    Ok(ConnectTarget { host: bare.unwrap_or(host).to_ascii_lowercase(), port, uses_tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_with_ports() {
        let texts = |text| targets(text).unwrap().iter().map(ConnectTarget::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(texts("edge1.example:1790, 192.0.2.1:11019"), "edge1.example:1790 192.0.2.1:11019");
        assert_eq!(texts("tls://Edge1:1,[2001:db8::1]:65535"), "tls://edge1:1 [2001:db8::1]:65535");
        // The same router on two ports, and with and without TLS.
        assert_eq!(texts("a:1,a:2,tls://a:1"), "a:1 a:2 tls://a:1");
        for wrong in [
            "",
            "edge1",
            "edge1:",
            "edge1:0",
            "edge1:65536",
            ":1790",
            "2001:db8::1:1790",
            "[edge1]:1790",
            "[::1:1790",
            "a:1,",
            "http://a:1",
            "tls://tls://a:1",
            "a b:1",
        ] {
            assert!(targets(wrong).unwrap_err().contains("is not HOST:PORT"), "{wrong}");
        }
        assert_eq!(targets("a:1,b:1,A:1").unwrap_err(), "a:1 is named twice");
    }
}
