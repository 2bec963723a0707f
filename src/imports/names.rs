//! The comparison of names across systems that write them in different cases.

use super::{Schema, Table};

/// Returns whether two names have the same letters and digits, whatever their case.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let plain =
        |name: &str| -> String { name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    plain(one) == plain(other)
}

fn is_any(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| is_same(known, name))
}

impl Schema {
    /// Returns the table that a source calls `name`.
    pub(super) fn table(&self, name: &str) -> Option<&'static Table> {
        self.tables.iter().find(|table| is_same(table.name, name) || is_any(name, table.sources))
    }

    /// Returns whether rows of the source's table `name` are left out.
    pub(super) fn leaves_out(&self, name: &str) -> bool {
        is_any(name, self.left_out)
    }

    /// Returns all names under which a source may have tables of this schema.
    pub(super) fn source_names(&self) -> Vec<&'static str> {
        self.tables.iter().flat_map(|table| std::iter::once(table.name).chain(table.sources.iter().copied())).collect()
    }
}

impl Table {
    /// Returns whether the source's column `name` is left out.
    pub(super) fn leaves_out(&self, name: &str) -> bool {
        is_any(name, self.left_out)
    }

    /// Returns the name that the source's column has here.
    pub(super) fn own_name<'a>(&self, name: &'a str) -> &'a str {
        self.renamed.iter().find(|(theirs, _)| is_same(theirs, name)).map_or(name, |(_, ours)| ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_by_letters_and_digits() {
        let check = |one, other, want| assert_eq!(is_same(one, other), want, "{one} {other}");
        check("externalIp", "external_ip", true);
        check("HTTPServices", "http_services", true);
        check("dns-records", "dns_records", true);
        check("ipv4", "ipv6", false);
        check("router", "routers", false);
    }
}
