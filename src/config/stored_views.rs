//! `STORED_RIBS`: the RIBs that are stored, for all routers or by source address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::value;

/// The views of a router that are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredViews {
    /// `loc-rib`.
    pub loc_rib: bool,
    /// `adj-rib-in-pre`.
    pub adj_rib_in_pre: bool,
    /// `adj-rib-in-post`.
    pub adj_rib_in_post: bool,
    /// `adj-rib-out-pre`.
    pub adj_rib_out_pre: bool,
    /// `adj-rib-out-post`.
    pub adj_rib_out_post: bool,
}

/// One rule of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredViewsRule {
    /// The network of source addresses to which it applies; `None` for all others.
    pub network: Option<IpNet>,
    /// The views that the rule chooses.
    pub views: StoredViews,
}

/// Parses `loc-rib,adj-rib-in-post`, with `10.0.0.0/8=adj-rib-in-pre+adj-rib-in-post` for the routers of a network.
pub fn rules(text: &str) -> Result<Vec<StoredViewsRule>, String> {
    let mut rules: Vec<StoredViewsRule> = Vec::new();
    for item in text.split(',').map(str::trim) {
        let (network, names) = match item.split_once('=') {
            Some((network, names)) => (Some(value::network(network.trim())?), names),
            None => (None, item),
        };
        let index = rules.iter().position(|rule| rule.network == network).unwrap_or_else(|| {
            rules.push(StoredViewsRule { network, views: StoredViews::default() });
            rules.len() - 1
        });
        for name in names.split('+').map(str::trim) {
            rules[index].views.add(name)?;
        }
    }
    Ok(rules)
}

impl StoredViews {
    fn add(&mut self, name: &str) -> Result<(), String> {
        let view = match name {
            "loc-rib" => &mut self.loc_rib,
            "adj-rib-in-pre" => &mut self.adj_rib_in_pre,
            "adj-rib-in-post" => &mut self.adj_rib_in_post,
            "adj-rib-out-pre" => &mut self.adj_rib_out_pre,
            "adj-rib-out-post" => &mut self.adj_rib_out_post,
            _ => return Err(format!("{} is not a RIB", value::quoted(name))),
        };
        *view = true;
        Ok(())
    }
}

/// Returns the views of the longest matching network's rule, else of the bare one, else none.
pub fn choose(rules: &[StoredViewsRule], source: IpAddr) -> StoredViews {
    let source = source.to_canonical();
    rules
        .iter()
        .filter(|rule| rule.network.is_none_or(|network| network.contains(&source)))
        .max_by_key(|rule| rule.network.map(|network| network.prefix_len()))
        .map_or(StoredViews::default(), |rule| rule.views)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_network_decides() {
        let rules =
            rules("loc-rib, adj-rib-in-post, 10.0.0.0/8=adj-rib-in-pre+adj-rib-out-post,10.1.0.0/16=loc-rib").unwrap();
        let check = |source: &str, views| assert_eq!(choose(&rules, source.parse().unwrap()), views, "{source}");
        check("192.0.2.1", StoredViews { loc_rib: true, adj_rib_in_post: true, ..StoredViews::default() });
        check("10.2.0.1", StoredViews { adj_rib_in_pre: true, adj_rib_out_post: true, ..StoredViews::default() });
        check("::ffff:10.1.0.1", StoredViews { loc_rib: true, ..StoredViews::default() });
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text, wrong: &str| assert_eq!(rules(text).unwrap_err(), wrong);
        check("adj-rib-in", "\"adj-rib-in\" is not a RIB");
        check("", "\"\" is not a RIB");
        check("10.0.0.0/8=", "\"\" is not a RIB");
        check("10.0.0.0/99=loc-rib", "\"10.0.0.0/99\" is not a CIDR");
    }
}
