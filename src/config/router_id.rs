//! `ROUTER_ID_FROM`: the source of a router's `router_id`, for all routers or by source address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::value;

/// The source of a `router_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterIdFrom {
    /// The router's BGP identifier, else its source address.
    BgpId,
    /// The source address of the TCP connection.
    Address,
    /// sysName of the Initiation message.
    SysName,
}

/// One rule of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterIdRule {
    /// The network of source addresses to which it applies; `None` for all others.
    pub network: Option<IpNet>,
    /// The source that the rule chooses.
    pub from: RouterIdFrom,
}

/// Parses `bgp-id`, or `10.0.0.0/8=address,2001:db8::/32=sysname,bgp-id`.
pub fn rules(text: &str) -> Result<Vec<RouterIdRule>, String> {
    let mut rules: Vec<RouterIdRule> = Vec::new();
    for item in text.split(',').map(str::trim) {
        let rule = match item.split_once('=') {
            Some((network, from)) => {
                RouterIdRule { network: Some(value::network(network.trim())?), from: word(from.trim())? }
            }
            None => RouterIdRule { network: None, from: word(item)? },
        };
        if rules.iter().any(|earlier| earlier.network == rule.network) {
            return Err(match rule.network {
                Some(network) => format!("has two rules for {network}"),
                None => "has two rules without a CIDR".to_string(),
            });
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn word(text: &str) -> Result<RouterIdFrom, String> {
    match text {
        "bgp-id" => Ok(RouterIdFrom::BgpId),
        "address" => Ok(RouterIdFrom::Address),
        "sysname" => Ok(RouterIdFrom::SysName),
        _ => Err(format!("{} is not a rule", value::quoted(text))),
    }
}

/// Returns the rule of the longest matching network, else the bare one, else the BGP identifier.
pub fn choose(rules: &[RouterIdRule], source: IpAddr) -> RouterIdFrom {
    let source = source.to_canonical();
    rules
        .iter()
        .filter(|rule| rule.network.is_none_or(|network| network.contains(&source)))
        .max_by_key(|rule| rule.network.map(|network| network.prefix_len()))
        .map_or(RouterIdFrom::BgpId, |rule| rule.from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_network_decides() {
        let rules = rules("10.0.0.0/8=address, 10.1.0.0/16=sysname,0.0.0.0/0=sysname,bgp-id").unwrap();
        let check = |source: &str, from| assert_eq!(choose(&rules, source.parse().unwrap()), from, "{source}");
        check("10.2.0.1", RouterIdFrom::Address);
        check("::ffff:10.2.0.1", RouterIdFrom::Address);
        check("10.1.0.1", RouterIdFrom::SysName);
        check("192.0.2.1", RouterIdFrom::SysName);
        check("2001:db8::1", RouterIdFrom::BgpId);
        assert_eq!(choose(&[], "192.0.2.1".parse().unwrap()), RouterIdFrom::BgpId);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text, wrong: &str| assert_eq!(rules(text).unwrap_err(), wrong);
        check("bgpid", "\"bgpid\" is not a rule");
        check("", "\"\" is not a rule");
        check("bgp-id,address", "has two rules without a CIDR");
        check("10.0.0.0/8=address,10.0.0.0/8=bgp-id", "has two rules for 10.0.0.0/8");
        check("10.0.0.0/99=address", "\"10.0.0.0/99\" is not a CIDR");
    }
}
