//! The router, the RIB and the table that are exported.

use std::net::{IpAddr, Ipv4Addr};

use clap::{Args, ValueEnum};

use crate::cli::command::CommandError;
use crate::model::text::printable;
use crate::mrt::destinations::RibPart;
use crate::store::Transaction;
use crate::store::compare::{self, ComparedTable};
use crate::store::mrt::{self, MrtRib, MrtRouter};

/// The table to export.
#[derive(Args, Debug)]
pub(crate) struct TableArguments {
    /// The router: its identifier, name or address
    #[arg(long, value_name = "ROUTER")]
    pub(super) router: String,
    /// The table, with those of labeled unicast and of VPNs beside it; unset: the only one there is
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The RIB; unset: the Loc-RIB, or the Adj-RIB-In of a router that sends no Loc-RIB
    #[arg(long, value_enum)]
    rib: Option<ExportedRib>,
    /// The side of the policy of an Adj-RIB-In; unset: after it where that is stored
    #[arg(long, value_enum)]
    policy: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportedRib {
    /// Routes that the router has selected
    LocRib,
    /// Routes that it has received from its peers
    AdjRibIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    /// Before the import policy
    Pre,
    /// After it
    Post,
}

/// A table, and its router as a BGP speaker.
pub(super) struct Selected {
    pub(super) rib: MrtRib,
    /// The name of the table: what the view of the file is called.
    pub(super) name: String,
    /// The tables that are exported: it, and those of labeled unicast and of VPNs beside it.
    pub(super) tables: Vec<String>,
    pub(super) bgp_id: Ipv4Addr,
    pub(super) address: IpAddr,
    pub(super) asn: u32,
}

/// Finds the table of a router whose identifier is known.
pub(super) fn select(
    transaction: &mut Transaction<'_>,
    router: &str,
    arguments: &TableArguments,
) -> Result<Selected, CommandError> {
    let tables = compare::tables(transaction, &[router.to_owned()])?;
    let has_loc_rib = tables.iter().any(|table| table.adj_rib_in.is_none());
    let default = if has_loc_rib || tables.is_empty() { ExportedRib::LocRib } else { ExportedRib::AdjRibIn };
    let rib = arguments.rib.unwrap_or(default);
    let is_post_policy = (rib == ExportedRib::AdjRibIn).then(|| {
        let has_post = tables.iter().any(|table| table.adj_rib_in.is_some_and(|(_, is_post)| is_post));
        arguments.policy.map_or(has_post, |side| side == Side::Post)
    });
    if arguments.policy.is_some() && is_post_policy.is_none() {
        return Err(CommandError::Configuration(vec!["--policy is for an Adj-RIB-In: --rib adj-rib-in".to_owned()]));
    }
    let is_of_rib = |table: &&ComparedTable| table.adj_rib_in.map(|(_, is_post)| is_post) == is_post_policy;
    let mut names: Vec<&str> = tables.iter().filter(is_of_rib).map(|table| part_of(&table.name).0).collect();
    names.sort_unstable();
    names.dedup();
    let name = match (&arguments.table, names.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => (*only).to_owned(),
        (None, []) => return Err(failed(&format!("router {router} has no such table; --table names one of the past"))),
        (None, several) => {
            return Err(failed(&format!(
                "router {router} has several tables, --table names one: {}",
                several.join(", ")
            )));
        }
    };
    let rib = MrtRib { router: router.to_owned(), is_post_policy };
    let (name, tables) = with_parts(name, mrt::tables(transaction, &rib)?);
    let MrtRouter { address, asn } = mrt::router(transaction, router)?;
    let of_address = || match address {
        Some(IpAddr::V4(address)) => address,
        Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
    };
    let bgp_id = router.parse().unwrap_or_else(|_| of_address());
    Ok(Selected { rib, name, tables, bgp_id, address: address.unwrap_or(bgp_id.into()), asn })
}

/// Returns the name of the unicast table beside a table, and which part of it this one is: as `FamilyTable::name` makes the
/// names. A `|` in a router's own name is stored as `%7C`.
pub(super) fn part_of(table: &str) -> (&str, RibPart) {
    match table.rsplit_once('|') {
        Some((base, "labelled")) => (base, RibPart::Labeled),
        Some((base, suffix)) => match suffix.strip_prefix("rd:").and_then(|rd| rd.parse().ok()) {
            Some(rd) => (base, RibPart::Vpn(rd)),
            None => (table, RibPart::Unicast),
        },
        None => (table, RibPart::Unicast),
    }
}

/// Returns the name of the unicast table, and the tables to export of all that there are: with a unicast one those beside
/// it, in the order of their names; any other alone.
fn with_parts(name: String, all: Vec<String>) -> (String, Vec<String>) {
    match part_of(&name) {
        (_, RibPart::Unicast) => {
            let mut parts: Vec<String> =
                all.into_iter().filter(|table| *table != name && part_of(table).0 == name).collect();
            parts.sort_unstable();
            (name.clone(), [vec![name], parts].concat())
        }
        (base, RibPart::Labeled | RibPart::Vpn(_)) => (base.to_owned(), vec![name]),
    }
}

fn failed(line: &str) -> CommandError {
    CommandError::Failed(printable(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_exported_with_their_table() {
        let all = || {
            ["a|rd:0:1:1", "b", "a", "a|labelled", "b|labelled", "a|as:7", "a|as:7|labelled"]
                .map(str::to_owned)
                .to_vec()
        };
        let check = |name: &str, view: &str, want: &[&str]| {
            assert_eq!(
                with_parts(name.to_owned(), all()),
                (view.to_owned(), want.iter().map(|t| (*t).to_owned()).collect())
            );
        };
        check("a", "a", &["a", "a|labelled", "a|rd:0:1:1"]);
        check("a|as:7", "a|as:7", &["a|as:7", "a|as:7|labelled"]);
        check("a|rd:0:1:1", "a", &["a|rd:0:1:1"]);
        check("gone", "gone", &["gone"]);
        assert_eq!(part_of("rd:0:1:1"), ("rd:0:1:1", RibPart::Unicast));
        assert_eq!(part_of("a|rd:x"), ("a|rd:x", RibPart::Unicast));
    }
}
