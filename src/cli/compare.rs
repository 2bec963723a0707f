//! `compare`: what is different between two routers, before and after a policy, or between two times; its exit code
//! says whether anything is.

mod report;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde_json::json;

use self::report::{Listing, as_json, head, summary, text};
use super::command::{CommandError, connect, did_you_mean, print};
use super::when;
use crate::compare::{Check, Outcome, junit, outcome, why_loc_rib_unknown, why_unknown};
use crate::config::{Settings, value};
use crate::model::text::{printable, printable_json};
use crate::model::{RouterId, Timestamp};
use crate::store::compare::{self, Compared, ComparedRouter, ComparedTable, Selection, Sides};
use crate::store::{Client, Transaction, change_windows, events, forget, status};

/// The sides to compare, and the output.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["routers", "policy", "since"]))]
pub struct CompareArguments {
    /// Compare the Loc-RIBs of two routers, or what they receive from peers if they have none: identifiers, names or
    /// addresses
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    routers: Option<Vec<String>>,
    /// Compare what a router received from a peer before and after its import policy
    #[arg(long, num_args = 2, value_names = ["ROUTER", "PEER"])]
    policy: Option<Vec<String>>,
    /// Compare Loc-RIBs with what they were then; with a time zone, as '2026-11-26 01:00 Europe/Berlin'
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// With --since: compare with this time. Unset: with now
    #[arg(long, value_name = "TIME", requires = "since")]
    until: Option<String>,
    /// With --since: this router only
    #[arg(value_name = "ROUTER", requires = "since")]
    router: Option<String>,
    /// Compare this Loc-RIB table only
    #[arg(long, value_name = "NAME", conflicts_with = "policy")]
    table: Option<String>,
    /// With --routers and --table: the name of the table at the second router, if it is another one
    #[arg(long, value_name = "NAME", requires_all = ["routers", "table"])]
    other_table: Option<String>,
    /// Compare this prefix only
    #[arg(long)]
    prefix: Option<String>,
    /// With --prefix: and what it covers
    #[arg(long, requires = "prefix")]
    longer: bool,
    /// Attributes not to compare: nexthop, as_path, origin, localpref, med, communities, attrs, or one of those in attrs
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    ignore: Vec<String>,
    /// The largest number of prefixes to list of each comparison; all are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write the result to this file too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Two sides that are to be compared, or why that is not possible.
struct Comparison {
    name: String,
    /// The names of both sides.
    ends: [String; 2],
    sides: Result<Sides, Vec<String>>,
}

/// The largest number of differences of a comparison in a JUnit file.
const JUNIT_LINES_MAX: usize = 100;

/// The columns that `--ignore` may name.
const IGNORABLE: [&str; 10] = [
    "nexthop",
    "as_path",
    "origin",
    "localpref",
    "med",
    "communities",
    "communities_std",
    "communities_ext",
    "communities_large",
    "attrs",
];

/// Compares, prints and fails if there is a difference.
pub(super) fn run(arguments: &CompareArguments, settings: &Settings) -> Result<(), CommandError> {
    let selection = selection(arguments)?;
    let since = arguments.since.as_deref().map(when::time).transpose().map_err(usage)?;
    let until = arguments.until.as_deref().map(when::time).transpose().map_err(usage)?;
    let peer = match arguments.policy.as_deref() {
        Some([_, peer]) => {
            Some(peer.parse::<IpAddr>().map_err(|_| usage(format!("{} is not an IP address", value::quoted(peer))))?)
        }
        Some(_) | None => None,
    };
    let mut client = connect(settings, "compare")?;
    let now = events::clock(&mut client)?;
    let until_or_now = until.unwrap_or(now);
    if let Some(since) = since
        && (since >= until_or_now || until_or_now > now)
    {
        return Err(usage("--since must be before --until, and both in the past".to_owned()));
    }
    let named = match (&arguments.routers, &arguments.policy, &arguments.router) {
        (Some(routers), ..) => known_routers(&mut client, routers)?,
        (None, Some(policy), _) => known_routers(&mut client, &policy[..1])?,
        (None, None, Some(router)) => known_routers(&mut client, std::slice::from_ref(router))?,
        (None, None, None) => Vec::new(),
    };
    let mut transaction = compare::begin(&mut client)?;
    let comparisons = match (peer, since) {
        (Some(peer), _) => vec![of_policy(&mut transaction, &named, peer)?],
        (None, Some(since)) => {
            let times = Times { since, until: until_or_now, is_now: until.is_none() };
            of_times(&mut transaction, &named, &times, arguments, &selection)?
        }
        (None, None) => of_routers(&mut transaction, &named, arguments)?,
    };
    let mut checks = Vec::new();
    if arguments.json {
        print("{\"comparisons\": [")?;
    }
    for comparison in &comparisons {
        let separator = if checks.is_empty() { "\n" } else { ",\n" };
        if arguments.json {
            print(separator)?;
        }
        checks.push(compare_one(&mut transaction, comparison, &selection, arguments)?);
    }
    if arguments.json {
        print(&format!("\n], \"result\": \"{}\"}}\n", outcome(&checks).as_str()))?;
    }
    finish("compare", &checks, arguments.junit.as_deref(), now)
}

fn usage(why: String) -> CommandError {
    CommandError::Configuration(vec![why])
}

fn selection(arguments: &CompareArguments) -> Result<Selection, CommandError> {
    let mut wrong = Vec::new();
    let prefix = match arguments.prefix.as_deref().map(value::network) {
        Some(Ok(prefix)) => Some(prefix.to_string()),
        Some(Err(why)) => {
            wrong.push(format!("--prefix: {why}"));
            None
        }
        None => None,
    };
    for name in &arguments.ignore {
        let hint = did_you_mean(name, IGNORABLE);
        let is_word =
            !name.is_empty() && name.bytes().all(|c| c == b'_' || c.is_ascii_lowercase() || c.is_ascii_digit());
        if !IGNORABLE.contains(&name.as_str()) && (!hint.is_empty() || !is_word) {
            wrong.push(format!("--ignore: {} is not an attribute{hint}", value::quoted(name)));
        }
    }
    if !wrong.is_empty() {
        return Err(CommandError::Configuration(wrong));
    }
    Ok(Selection { ignored: arguments.ignore.clone(), prefix, is_longer: arguments.longer })
}

/// Writes the JUnit file, and returns the command's result.
pub(super) fn finish(suite: &str, checks: &[Check], file: Option<&Path>, now: Timestamp) -> Result<(), CommandError> {
    if let Some(file) = file {
        std::fs::write(file, junit(suite, checks, now))
            .map_err(|error| CommandError::Failed(format!("{}: {error}", file.display())))?;
    }
    match outcome(checks) {
        Outcome::Good => Ok(()),
        Outcome::Bad => Err(CommandError::Differs),
        Outcome::Unknown => {
            let unknown = checks.iter().filter(|check| check.outcome == Outcome::Unknown);
            let lines = unknown.flat_map(|check| &check.lines);
            Err(CommandError::CannotTell(
                lines.map(|line| printable(&format!("cannot tell: {line}")).into_owned()).collect(),
            ))
        }
    }
}

/// Returns the identifiers of routers by what they are called.
pub(super) fn known_routers(client: &mut Client, words: &[String]) -> Result<Vec<String>, CommandError> {
    let list = |routers: Vec<(RouterId, Option<String>)>| {
        let one = |(router, name): (RouterId, Option<String>)| match name {
            Some(name) => format!("{router} ({name})"),
            None => router.to_string(),
        };
        routers.into_iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let mut found = Vec::new();
    for word in words {
        let mut meant = status::named(client, word)?;
        let line = match meant.len() {
            1 => {
                found.push(meant.remove(0).0.to_string());
                continue;
            }
            0 => {
                let like = forget::like(client, word)?;
                if like.is_empty() {
                    format!("no router {word} is stored: `rib-ingester status` lists them")
                } else {
                    format!("no router {word} is stored: did you mean {}?", list(like))
                }
            }
            _ => format!("several routers are called {word}, name one by its identifier: {}", list(meant)),
        };
        return Err(CommandError::Failed(printable(&line).into_owned()));
    }
    Ok(found)
}

fn label(router: &ComparedRouter) -> String {
    router.name.clone().unwrap_or_else(|| router.router_id.clone())
}

/// Returns routers in the order of `ids`, with their tables.
fn with_tables(
    transaction: &mut Transaction<'_>,
    ids: &[String],
) -> Result<Vec<(ComparedRouter, Vec<ComparedTable>)>, CommandError> {
    let tables = compare::tables(transaction, ids)?;
    let mut routers = compare::routers(transaction, Some(ids))?;
    routers.sort_by_key(|router| ids.iter().position(|id| *id == router.router_id));
    let of =
        |router: &ComparedRouter| tables.iter().filter(|table| table.router_id == router.router_id).cloned().collect();
    let with = |router: ComparedRouter| {
        let tables = of(&router);
        (router, tables)
    };
    Ok(routers.into_iter().map(with).collect())
}

fn of_routers(
    transaction: &mut Transaction<'_>,
    named: &[String],
    arguments: &CompareArguments,
) -> Result<Vec<Comparison>, CommandError> {
    let mut found = with_tables(transaction, named)?;
    if let [(a, tables_a), (b, tables_b)] = found.as_slice()
        && arguments.table.is_none()
        && let Some(comparison) = of_peers([a, b], [tables_a, tables_b])
    {
        return Ok(vec![comparison]);
    }
    let unknown: Vec<String> =
        found.iter().filter_map(|(router, tables)| why_loc_rib_unknown(router, tables)).collect();
    for (_, tables) in &mut found {
        tables.retain(|table| table.adj_rib_in.is_none());
    }
    let [a, b] = match found.as_slice() {
        [(a, tables_a), (b, tables_b)] => [(a, tables_a), (b, tables_b)],
        _ => return Err(usage("--routers: name two routers".to_owned())),
    };
    let ends = [label(a.0), label(b.0)];
    let names = |tables: &[ComparedTable]| {
        let mut names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        names.dedup();
        names
    };
    let (names_a, names_b) = (names(a.1), names(b.1));
    let pairs: Vec<[String; 2]> = match (&arguments.table, names_a.as_slice(), names_b.as_slice()) {
        (Some(table), ..) => {
            let other = arguments.other_table.as_ref().unwrap_or(table);
            for (name, known, end) in [(table, &names_a, &ends[0]), (other, &names_b, &ends[1])] {
                if !known.is_empty() && !known.contains(name) {
                    let hint = did_you_mean(name, known.iter().map(String::as_str));
                    let line = format!("{end} has no table {name}{hint}; it has {}", known.join(", "));
                    return Err(CommandError::Failed(printable(&line).into_owned()));
                }
            }
            vec![[table.clone(), other.clone()]]
        }
        // What each router calls its only table is no difference.
        (None, [one], [other]) => vec![[one.clone(), other.clone()]],
        (None, ..) => {
            let mut all: Vec<String> = names_a.iter().chain(&names_b).cloned().collect();
            all.sort();
            all.dedup();
            all.into_iter().map(|name| [name.clone(), name]).collect()
        }
    };
    if !unknown.is_empty() {
        return Ok(vec![Comparison { name: format!("{} and {}", ends[0], ends[1]), ends, sides: Err(unknown) }]);
    }
    let comparison = |[one, other]: [String; 2]| Comparison {
        name: match one == other {
            true => format!("{} and {}, table {one}", ends[0], ends[1]),
            false => format!("{} table {one} and {} table {other}", ends[0], ends[1]),
        },
        ends: ends.clone(),
        sides: Ok(Sides::Routers([a.0.router_id.clone(), one, b.0.router_id.clone(), other])),
    };
    Ok(pairs.into_iter().map(comparison).collect())
}

/// Compares what two routers receive; `None`: one of them is not connected, or has a Loc-RIB. After policy, if
/// that is stored of both, else before it.
fn of_peers(routers: [&ComparedRouter; 2], tables: [&Vec<ComparedTable>; 2]) -> Option<Comparison> {
    let has_peers_only =
        |tables: &Vec<ComparedTable>| !tables.is_empty() && tables.iter().all(|table| table.adj_rib_in.is_some());
    if !routers.iter().all(|router| router.state.is_connected()) || !tables.into_iter().all(has_peers_only) {
        return None;
    }
    let of_view = |tables: &Vec<ComparedTable>, is_post: bool| {
        let is_its = |table: &&ComparedTable| table.adj_rib_in.is_some_and(|(_, of)| of == is_post);
        tables.iter().filter(is_its).cloned().collect::<Vec<_>>()
    };
    let ends = routers.map(label);
    let view = [true, false].into_iter().find(|is_post| tables.iter().all(|of| !of_view(of, *is_post).is_empty()));
    let sides = match view {
        None => Err(vec![format!("{} and {}: the same view of Adj-RIB-In is not stored of both", ends[0], ends[1])]),
        Some(is_post) => {
            let why = |(router, tables): (&ComparedRouter, &Vec<ComparedTable>)| {
                why_unknown(router, &of_view(tables, is_post))
            };
            let unknown: Vec<String> = routers.into_iter().zip(tables).filter_map(why).collect();
            let ids = routers.map(|router| router.router_id.clone());
            if unknown.is_empty() { Ok(Sides::Peers(ids, is_post)) } else { Err(unknown) }
        }
    };
    let side = if view == Some(false) { "before policy" } else { "after policy" };
    Some(Comparison { name: format!("{} and {}, from peers {side}", ends[0], ends[1]), ends, sides })
}

fn of_policy(transaction: &mut Transaction<'_>, named: &[String], peer: IpAddr) -> Result<Comparison, CommandError> {
    let mut found = with_tables(transaction, named)?;
    let (router, mut tables) = found.pop().ok_or_else(|| usage("--policy: name a router".to_owned()))?;
    let name = label(&router);
    let peers = change_windows::peers(transaction, named)?;
    let states: Vec<bool> = peers.iter().filter(|one| one.address == peer).map(|one| one.is_up).collect();
    tables.retain(|table| table.adj_rib_in.is_some_and(|(address, _)| address == peer));
    if states.is_empty() && tables.is_empty() {
        let known: Vec<String> = peers.iter().map(|one| one.address.to_string()).collect();
        let hint = did_you_mean(&peer.to_string(), known.iter().map(String::as_str));
        return Err(CommandError::Failed(printable(&format!("{name} has no peer {peer}{hint}")).into_owned()));
    }
    let mut unknown: Vec<String> = Vec::new();
    if router.state.is_connected() && !states.contains(&true) {
        unknown.push(format!("{name}: its peer {peer} is not up"));
    } else if router.state.is_connected() {
        for (is_post, view) in [(false, "adj-rib-in-pre"), (true, "adj-rib-in-post")] {
            if !tables.iter().any(|table| table.adj_rib_in == Some((peer, is_post))) {
                unknown.push(format!("{name}: {view} of {peer} is not stored (RIB_INGESTER_STORED_RIBS), or not sent"));
            }
        }
    }
    if unknown.is_empty() {
        unknown.extend(why_unknown(&router, &tables));
    }
    let sides = if unknown.is_empty() { Ok(Sides::Policy(router.router_id, peer)) } else { Err(unknown) };
    Ok(Comparison {
        name: format!("{name}, policy for {peer}"),
        ends: ["before policy".to_owned(), "after policy".to_owned()],
        sides,
    })
}

struct Times {
    since: Timestamp,
    until: Timestamp,
    /// True if the end is the present.
    is_now: bool,
}

fn of_times(
    transaction: &mut Transaction<'_>,
    named: &[String],
    times: &Times,
    arguments: &CompareArguments,
    selection: &Selection,
) -> Result<Vec<Comparison>, CommandError> {
    let all: Vec<String> = match named {
        [] => compare::routers(transaction, None)?.into_iter().map(|router| router.router_id).collect(),
        named => named.to_vec(),
    };
    let ends = [times.since.to_utc(), if times.is_now { "now".to_owned() } else { times.until.to_utc() }];
    let mut comparisons = Vec::new();
    for (router, tables) in with_tables(transaction, &all)? {
        let (name, ends) = (label(&router), ends.clone());
        if let Some(why) = why_loc_rib_unknown(&router, &tables).filter(|_| times.is_now) {
            let has_peers_only = !tables.is_empty() && tables.iter().all(|table| table.adj_rib_in.is_some());
            let of_time = if has_peers_only { "; of Adj-RIBs nothing tells what they were" } else { "" };
            comparisons.push(Comparison { name, ends, sides: Err(vec![format!("{why}{of_time}")]) });
            continue;
        }
        let history =
            compare::history(transaction, &router.router_id, (times.since, times.until), selection.prefix.as_deref())?;
        if let Some(table) = arguments.table.as_ref().filter(|_| !named.is_empty())
            && !history.iter().any(|known| known.name == *table)
        {
            let hint = did_you_mean(table, history.iter().map(|known| known.name.as_str()));
            return Err(CommandError::Failed(printable(&format!("{name} has no table {table}{hint}")).into_owned()));
        }
        for table in history {
            if arguments.table.as_ref().is_some_and(|wanted| *wanted != table.name) {
                continue;
            }
            let at = |time: Timestamp| time.to_utc();
            let why = match &table {
                known if known.down_at.is_some() => {
                    known.down_at.map(|time| format!("its BMP session was down at {}", at(time)))
                }
                known if known.dumping_at.is_some() => {
                    known.dumping_at.map(|time| format!("its dump was not complete at {}", at(time)))
                }
                known if !known.knows_before => Some(format!("the history does not tell all of {}", at(times.since))),
                known if !known.knows_after => Some(format!("the history does not tell all of {}", at(times.until))),
                _ => None,
            };
            let sides = match why {
                Some(why) => Err(vec![format!("{name} table {}: {why}", table.name)]),
                None => Ok(Sides::Times(router.router_id.clone(), table.name.clone(), times.since, times.until)),
            };
            comparisons.push(Comparison { name: format!("{name} table {}", table.name), ends: ends.clone(), sides });
        }
    }
    if comparisons.is_empty() {
        let why = "no Loc-RIB is stored".to_owned();
        comparisons.push(Comparison { name: "all routers".to_owned(), ends, sides: Err(vec![why]) });
    }
    Ok(comparisons)
}

/// Compares two sides and prints what differs.
fn compare_one(
    transaction: &mut Transaction<'_>,
    comparison: &Comparison,
    selection: &Selection,
    arguments: &CompareArguments,
) -> Result<Check, CommandError> {
    let name = comparison.name.clone();
    let sides = match &comparison.sides {
        Ok(sides) => sides,
        Err(reasons) => {
            if arguments.json {
                let text = json!({"name": name, "result": Outcome::Unknown.as_str(), "reasons": reasons}).to_string();
                print(&printable_json(&text))?;
            }
            return Ok(Check {
                name,
                outcome: Outcome::Unknown,
                summary: "cannot tell".to_owned(),
                lines: reasons.clone(),
            });
        }
    };
    let limit = i64::from(arguments.limit);
    let listing = Listing { is_json: arguments.json, limit };
    let mut check = Check { name, outcome: Outcome::Good, summary: String::new(), lines: Vec::new() };
    let (mut total, mut is_first) = (0, true);
    compare::differences(transaction, sides, selection, limit, |found| {
        let found = match found {
            Compared::Counts(counts) => {
                total = counts.iter().map(|(_, count)| count).sum();
                check.outcome = if total == 0 { Outcome::Good } else { Outcome::Bad };
                check.summary = summary(&comparison.ends, &counts);
                return print(&head(&check, &comparison.ends, &counts, listing));
            }
            Compared::Difference(found) => found,
        };
        let line = text(&comparison.ends, &found);
        if arguments.json {
            let separator = if std::mem::take(&mut is_first) { "\n  " } else { ",\n  " };
            print(&printable_json(&format!("{separator}{}", as_json(&found))))?;
        } else {
            print(&format!("  {}\n", printable(&line)))?;
        }
        if check.lines.len() < JUNIT_LINES_MAX {
            check.lines.push(line);
        }
        Ok::<(), CommandError>(())
    })?;
    match (arguments.json, total > limit) {
        (true, _) => print("]}")?,
        (false, true) => print(&format!("  and {} more; --limit lists more\n", total - limit))?,
        (false, false) => {}
    }
    Ok(check)
}
