//! `lookup`: the longest match for an address or a prefix, with all its paths, per router and table; and NLRI of other
//! families by their keys.

mod nlri;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use clap::{Args, ValueEnum};

use self::nlri::NlriArguments;
use super::command::{CommandError, connect, print};
use super::table::{self, Column, Table};
use crate::config::{Settings, value};
use crate::model::text::{printable, printable_json};
use crate::model::{Afi, Prefix, Timestamp};
use crate::store::lookup::{LookupRow, Matches, longest_match};
use crate::store::names::Names;
use crate::store::slice::Slice;

/// The target of the lookup.
#[derive(Args, Debug)]
pub(crate) struct LookupArguments {
    /// An address, or a prefix that the match has to cover
    #[arg(value_name = "ADDRESS|PREFIX", required_unless_present = "family", conflicts_with_all = ["family", "key", "router", "limit"])]
    target: Option<String>,
    #[command(flatten)]
    other: NlriArguments,
    /// Look in this RIB only
    #[arg(long, value_name = "VIEW")]
    view: Option<LookupRib>,
    /// Print an array of rows with all columns: of `current_routes`, and of `adj_rib_in` and `adj_rib_out` with their
    /// view, or of `nlri_routes`; with VRPs, `rov` is the RPKI state of each, and `rov_reason` the VRPs that decided; `names` has the names
    /// of its ASes and communities
    #[arg(long)]
    json: bool,
}

/// The RIBs of a router, named as `STORED_RIBS` names them.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LookupRib {
    LocRib,
    AdjRibInPre,
    AdjRibInPost,
    AdjRibOutPre,
    AdjRibOutPost,
}

/// Prints the matches. No match gives exit code 1, as in `grep`.
pub(super) fn run(arguments: &LookupArguments, settings: &Settings) -> Result<(), CommandError> {
    let view = arguments.view.and_then(|view| Some(view.to_possible_value()?.get_name().to_owned()));
    let Some(target) = &arguments.target else { return nlri::run(&arguments.other, view, arguments.json, settings) };
    let target = parse(target)
        .map_err(|wrong| CommandError::Configuration(vec![format!("{wrong}; allowed: an IP address or a CIDR")]))?;
    let mut client = connect(settings, "lookup")?;
    let Matches { mut rows, names, .. } = longest_match(&mut client, &target, view.as_deref(), Slice::ALL)?;
    // Everything about one router stands together, its Loc-RIB first.
    rows.sort_by(|a, b| by_router(a).cmp(&by_router(b)));
    if arguments.json {
        let rows: Vec<&str> = rows.iter().map(|row| row.json.as_str()).collect();
        print(&printable_json(&format!("[{}]\n", rows.join(",\n "))))?;
    } else if !rows.is_empty() {
        print(&text(&rows, &names, table::line_width()))?;
    }
    match rows.as_slice() {
        [] => Err(CommandError::Failed(format!("no route covers {target}"))),
        _ => Ok(()),
    }
}

/// Returns a sort key: the router, its Loc-RIB before its Adj-RIBs, table, peer and path.
fn by_router(row: &LookupRow) -> (&str, Reverse<&str>, &str, Option<IpAddr>, i64) {
    (&row.router_id, Reverse(&row.view), &row.table_name, row.peer, row.path_id)
}

fn parse(text: &str) -> Result<Prefix, String> {
    let network = value::network(text)?;
    let (afi, octets) = match network.addr() {
        IpAddr::V4(address) => (Afi::Ipv4, address.octets().to_vec()),
        IpAddr::V6(address) => (Afi::Ipv6, address.octets().to_vec()),
    };
    Prefix::truncating(afi, &octets, network.prefix_len()).map_err(|error| error.to_string())
}

/// Formats the paths of each router, table and prefix (and peer, for an Adj-RIB) below a line that names them and a
/// header.
fn text(rows: &[LookupRow], names: &Names, width: Option<usize>) -> String {
    // All groups share the column widths of one table.
    let mut blocks = table(rows).blocks(width).into_iter();
    let header = blocks.next().unwrap_or_default();
    let mut out = String::new();
    let mut last = String::new();
    for (row, block) in rows.iter().zip(blocks) {
        let of = row.peer.as_ref().map_or(String::new(), |peer| format!("  {} of {peer}", row.view));
        let (router, table) = (printable(&row.router_id), printable(&row.table_name));
        let group = format!("{}  router {router}  table {table}{of}", row.prefix);
        if group != last {
            let gap = if out.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{gap}{group}\n{header}"));
            last = group;
        }
        out.push_str(&block);
    }
    for table in [states(rows), names_table(rows, names)] {
        if !table.is_empty() {
            out.push('\n');
            out.push_str(&table.render(width));
        }
    }
    out
}

/// Lists the ASes and communities that have names, each with the number of paths that have it. Empty without any.
fn names_table(rows: &[LookupRow], names: &Names) -> Table {
    let mut table = Table::new(&[("AS or community", Column::Word), ("paths", Column::Number), ("name", Column::Text)]);
    let mut paths: BTreeMap<(bool, String), (usize, String)> = BTreeMap::new();
    for row in rows {
        for (key, name) in names.within(row.as_path.as_deref(), &row.communities) {
            paths.entry((!key.starts_with("AS"), key)).or_insert((0, name)).0 += 1;
        }
    }
    for ((_, key), (count, name)) in paths {
        table.push([key, count.to_string(), name]);
    }
    table
}

/// Lists each prefix and origin once, with its RPKI state and the VRPs that decided. Empty where there are none.
fn states(rows: &[LookupRow]) -> Table {
    let mut table = Table::new(&[
        ("prefix", Column::Word),
        ("origin", Column::Word),
        ("RPKI", Column::Word),
        ("VRP", Column::Word),
        ("trust anchor", Column::Word),
        ("reason", Column::Text),
    ]);
    let distinct: BTreeMap<_, _> =
        rows.iter().filter_map(|row| Some(((&row.prefix, row.route_origin), row.rpki.as_ref()?))).collect();
    for ((prefix, origin), rpki) in distinct {
        let origin = match origin {
            Some(0) => "AS_SET".to_owned(),
            Some(asn) => format!("AS{asn}"),
            None => "-".to_owned(),
        };
        let first = [prefix.clone(), origin, rpki.state.clone()];
        if rpki.vrps.is_empty() {
            let reason = if rpki.state == "unknown" { "the set of VRPs is too old" } else { "" };
            table.push(first.clone().into_iter().chain([String::new(), String::new(), reason.to_owned()]));
        }
        for (number, vrp) in rpki.vrps.iter().enumerate() {
            let first = if number == 0 { first.clone() } else { Default::default() };
            let reason: Vec<String> = vrp.objection().into_iter().chain(vrp.comment.clone()).collect();
            table.push(first.into_iter().chain([vrp.to_string(), vrp.trust_anchor.clone(), reason.join(": ")]));
        }
    }
    table
}

fn table(rows: &[LookupRow]) -> Table {
    let mut columns = vec![
        ("  path", Column::Number),
        ("next hop", Column::Word),
        ("AS path", Column::List),
        ("origin", Column::Word),
        ("pref", Column::Number),
        ("MED", Column::Number),
        ("updated (UTC)", Column::Word),
    ];
    if rows.iter().any(|row| row.rpki.is_some()) {
        columns.push(("RPKI", Column::Word));
    }
    let mut table = Table::new(&columns);
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_string());
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_string(), |number| number.to_string());
    for row in rows {
        table.push([
            row.path_id.to_string(),
            text(&row.nexthop),
            text(&row.as_path),
            text(&row.origin),
            number(row.localpref),
            number(row.med),
            minute(row.updated_at),
            row.rpki.as_ref().map_or_else(String::new, |rpki| rpki.state.clone()),
        ]);
    }
    table
}

/// Formats a time as `2026-11-21 07:45`.
fn minute(time: Timestamp) -> String {
    const MINUTE_LENGTH: usize = "2026-11-21T07:45".len();
    time.to_string().chars().take(MINUTE_LENGTH).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_addresses_or_prefixes() {
        let check = |text, expected: Result<&str, &str>| {
            assert_eq!(
                parse(text).map(|prefix| prefix.to_string()),
                expected.map(str::to_string).map_err(str::to_string)
            );
        };
        check("10.1.2.3", Ok("10.1.2.3/32"));
        check("::ffff:10.1.2.3", Ok("10.1.2.3/32"));
        check("2001:db8::/32", Ok("2001:db8::/32"));
        check("0.0.0.0/0", Ok("0.0.0.0/0"));
        check("10.1.2.3/8", Err("10.1.2.3/8 has host bits; did you mean 10.0.0.0/8?"));
        check("edge1", Err("\"edge1\" is not a CIDR"));
    }

    #[test]
    fn times_are_shown_to_the_minute() {
        assert_eq!(minute(Timestamp::from_unix_micros(1_700_000_000_123_456)), "2023-11-14 22:13");
    }
}
