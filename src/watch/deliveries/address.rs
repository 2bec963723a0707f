//! The addresses that callbacks may be sent to, judged after the name is resolved.
//!
//! The operator's callbacks may go to private addresses; those of teams only where the operator lists them. Nobody's go
//! to link-local addresses, where clouds serve credentials, or to the collector's own ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;

use ipnet::IpNet;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Not of the public Internet: the special-purpose address registries of RFC 6890, and what embeds an IPv4 address in a
/// way that cannot be judged (Teredo).
static NOT_PUBLIC: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    const NETWORKS: [&str; 21] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "240.0.0.0/4",
        "::/3",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "4000::/2",
        "8000::/2",
        "c000::/3",
        "e000::/3",
    ];
    NETWORKS.map(|network| network.parse().expect("a literal CIDR")).to_vec()
});

/// The rules for the addresses of callbacks.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    /// Networks of teams' receivers that are not public: `RIB_INGESTER_CALLBACK_ALLOW`.
    pub allowed: Vec<IpNet>,
    /// The ports that this collector listens on.
    pub listeners: Vec<SocketAddr>,
}

/// The owner of a callback, as far as its addresses are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Operator,
    Team,
}

impl AddressRules {
    /// Returns the reason why nothing may be sent to `address`; `None` if it may.
    pub(super) fn refusal(&self, owner: Owner, address: SocketAddr) -> Option<String> {
        let ip = embedded(address.ip());
        let is_link_local = match ip {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        if is_link_local || ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Some(format!("nothing is sent to the address {ip}"));
        }
        if self.listeners.iter().any(|listener| is_own(*listener, ip, address.port())) {
            return Some(format!("{ip} port {} is the collector's own", address.port()));
        }
        match owner {
            Owner::Operator => None,
            Owner::Team if self.allowed.iter().any(|network| network.contains(&ip)) => None,
            Owner::Team if NOT_PUBLIC.iter().any(|network| network.contains(&ip)) => {
                Some(format!("the address {ip} is not public, and RIB_INGESTER_CALLBACK_ALLOW does not list it"))
            }
            Owner::Team => None,
        }
    }
}

/// Returns the IPv4 address that an IPv6 address stands for: mapped, NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    let octets = v6.octets();
    let v4 =
        |from: usize| IpAddr::V4(Ipv4Addr::new(octets[from], octets[from + 1], octets[from + 2], octets[from + 3]));
    const NAT64: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
    if octets.starts_with(&NAT64) {
        v4(NAT64.len())
    } else if octets.starts_with(&[0x20, 0x02]) {
        v4(2)
    } else if octets[..12] == [0; 12] && v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED {
        v4(12)
    } else {
        ip
    }
}

fn is_own(listener: SocketAddr, ip: IpAddr, port: u16) -> bool {
    let at = listener.ip().to_canonical();
    // Only an address of this machine can be bound.
    listener.port() == port && (at == ip || (at.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()))
}

/// Resolves names as usual and drops addresses that the rules refuse.
#[derive(Debug)]
pub(super) struct JudgingResolver {
    pub(super) rules: AddressRules,
    pub(super) owner: Owner,
    pub(super) inner: DefaultResolver,
}

impl Resolver for JudgingResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        let mut refusal = None;
        for address in &found[..] {
            match self.rules.refusal(self.owner, *address) {
                None => allowed.push(*address),
                Some(why) => refusal = Some(why),
            }
        }
        match refusal {
            Some(why) if allowed.is_empty() => {
                Err(ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why)))
            }
            Some(_) | None => Ok(allowed),
        }
    }
}

/// Returns scheme and host of a URL: the rest is a secret.
pub(crate) fn target(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    format!("{scheme}://{}/…", rest.split(['/', '?', '#', ' ']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_by_owner() {
        let rules = AddressRules {
            allowed: vec!["10.1.0.0/16".parse().unwrap(), "169.254.0.0/16".parse().unwrap()],
            listeners: vec!["[::]:11019".parse().unwrap(), "127.0.0.1:11020".parse().unwrap()],
        };
        let check = |address: &str, operator: bool, team: bool| {
            let may = |owner| rules.refusal(owner, address.parse().unwrap()).is_none();
            assert_eq!((may(Owner::Operator), may(Owner::Team)), (operator, team), "{address}");
        };
        check("9.9.9.9:443", true, true);
        check("[2620:fe::fe]:443", true, true);
        for private in ["10.0.0.1:80", "192.168.1.1:80", "127.0.0.1:80", "100.64.0.1:80", "[::1]:80", "[fd00::1]:80"] {
            check(private, true, false);
        }
        check("10.1.0.1:80", true, true);
        check("[::ffff:10.1.0.1]:80", true, true);
        // The same address in other clothes.
        for private in ["[::ffff:10.0.0.1]:80", "[64:ff9b::a00:1]:80", "[2002:a00:1::]:80", "[::a00:1]:80"] {
            check(private, true, false);
        }
        check("[64:ff9b::909:909]:80", true, true);
        for never in [
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[fe80::1]:80",
            "0.0.0.0:80",
            "[::]:80",
            "224.0.0.1:80",
            "[ff02::1]:80",
            "255.255.255.255:80",
        ] {
            check(never, false, false);
        }
        check("127.0.0.1:11019", false, false);
        check("[::1]:11019", false, false);
        check("127.0.0.1:11020", false, false);
        // Another machine's port of the same number.
        check("9.9.9.9:11019", true, true);
    }
}
