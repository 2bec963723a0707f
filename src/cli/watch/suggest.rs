//! Suggested watches: what ASes originate now, as a file that `watch import` reads.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use ipnet::IpNet;

use super::fields;
use crate::cli::command::{CommandError, connect, print, say};
use crate::config::Settings;
use crate::model::text::printable;
use crate::store::watch::suggest::{self, OriginatedRoute, OwnSession, ROUTES_MAX, StoredVrp, VrpSetState};
use crate::watch::judge::upstream;

/// The columns of the file.
const HEADER: [&str; 9] =
    ["name", "kind", "prefix", "asn", "peer_address", "expected_origins", "expected_upstreams", "max_length", "note"];

/// The ASes whose watches are suggested.
#[derive(Args, Debug)]
pub(super) struct SuggestOptions {
    /// The ASes that originate, separated by commas
    #[arg(long, value_name = "AS,..", required = true)]
    origin: String,
    /// Take prefixes and lengths from the VRPs of these ASes, and from routes what no VRP allows
    #[arg(long)]
    from_vrps: bool,
}

/// A suggested watch of kind `prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Suggestion {
    origins: BTreeSet<i64>,
    upstreams: BTreeSet<i64>,
    max_length: u8,
    /// The number of routes inside it.
    inside: usize,
    notes: Vec<String>,
}

/// Prints the file.
pub(super) fn run(options: &SuggestOptions, settings: &Settings) -> Result<(), CommandError> {
    let words = options.origin.split([',', ' ']).filter(|word| !word.is_empty());
    let ases: Result<Vec<i64>, String> = words.map(|word| fields::asn(word).map(i64::from)).collect();
    let ases = ases.map_err(|why| CommandError::Configuration(vec![format!("--origin: {why}")]))?;
    let mut client = connect(settings, "watch")?;
    let mut allowed = Vec::new();
    if options.from_vrps {
        let (set, vrps) = suggest::vrps(&mut client, &ases)?;
        match set {
            VrpSetState::Empty => say("there are no VRPs (RIB_INGESTER_VRPS): suggested from routes only"),
            VrpSetState::Stale => say("the VRPs are too old: suggested from routes only"),
            VrpSetState::Fresh if vrps.is_empty() => say("no VRP is of these ASes: suggested from routes only"),
            VrpSetState::Fresh => allowed = vrps,
        }
    }
    let routes = suggest::routes(&mut client, &ases)?;
    if routes.len() as i64 == ROUTES_MAX {
        say(format_args!("only the first {ROUTES_MAX} routes are looked at"));
    }
    if routes.is_empty() {
        say("no router has a route of these ASes now");
    }
    let mut suggested = merge(&allowed, &routes);
    let texts: Vec<String> = suggested.keys().map(IpNet::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (prefix, origins) in suggest::other_origins(&mut client, &texts, &ases)? {
        if let Some(watch) = prefix.parse().ok().and_then(|prefix: IpNet| suggested.get_mut(&prefix)) {
            let origins: Vec<String> = origins.iter().map(|asn| format!("AS{asn}")).collect();
            watch.notes.push(format!("another origin is seen now: {}", origins.join(" ")));
        }
    }
    print(&csv(&ases, &suggested, &suggest::sessions(&mut client, &ases)?)?)
}

/// Makes watches of VRPs and routes. A prefix inside another one with the same origins needs no watch of its own: the
/// outer one allows its length.
fn merge(vrps: &[StoredVrp], routes: &[OriginatedRoute]) -> BTreeMap<IpNet, Suggestion> {
    let mut watches: BTreeMap<IpNet, Suggestion> = BTreeMap::new();
    for vrp in vrps {
        let Ok(prefix) = vrp.prefix.parse::<IpNet>() else { continue };
        let watch = watches.entry(prefix).or_default();
        watch.origins.insert(vrp.asn);
        watch.max_length = watch.max_length.max(u8::try_from(vrp.max_length).unwrap_or(0));
    }
    let mut originated: BTreeMap<IpNet, Suggestion> = BTreeMap::new();
    for route in routes {
        let Ok(prefix) = route.prefix.parse::<IpNet>() else { continue };
        let one = originated.entry(prefix).or_default();
        one.origins.insert(route.origin);
        one.upstreams.extend(upstream(&route.path).map(|asn| i64::from(asn.0)));
    }
    // Shorter prefixes come first, so that what covers one is there.
    let mut by_length: Vec<(IpNet, Suggestion)> = originated.into_iter().collect();
    by_length.sort_by_key(|(prefix, _)| (prefix.prefix_len(), *prefix));
    for (prefix, one) in by_length {
        let length = prefix.prefix_len();
        let covers = |watch: &Suggestion| match vrps {
            [] => watch.origins == one.origins,
            _ => watch.origins.is_superset(&one.origins) && watch.max_length >= length,
        };
        let around = (0..=length).rev().find_map(|length| {
            let around = IpNet::new(prefix.addr(), length).ok()?.trunc();
            watches.contains_key(&around).then_some(around)
        });
        match around.and_then(|around| watches.get_mut(&around)).filter(|watch| covers(watch)) {
            Some(watch) => {
                watch.max_length = watch.max_length.max(length);
                watch.inside += 1;
                watch.upstreams.extend(one.upstreams);
            }
            None => {
                let notes = if vrps.is_empty() { Vec::new() } else { vec!["no VRP allows it".to_owned()] };
                watches.insert(prefix, Suggestion { max_length: length, notes, ..one });
            }
        }
    }
    watches
}

fn csv(ases: &[i64], watches: &BTreeMap<IpNet, Suggestion>, sessions: &[OwnSession]) -> Result<String, CommandError> {
    let failed = |error: String| CommandError::Failed(format!("CSV cannot be written: {error}"));
    let list = |ases: &BTreeSet<i64>| ases.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    let mut rows: Vec<[String; 9]> = Vec::new();
    let row = |name: String, kind: &str| {
        let mut row: [String; 9] = Default::default();
        (row[0], row[1]) = (name, kind.to_owned());
        row
    };
    for (prefix, watch) in watches {
        let mut row = row(prefix.to_string().replace('/', "-"), "prefix");
        row[2] = prefix.to_string();
        row[5] = list(&watch.origins);
        row[6] = list(&watch.upstreams);
        if watch.max_length > prefix.prefix_len() {
            row[7] = watch.max_length.to_string();
        }
        let inside = (watch.inside > 0).then(|| format!("with {} of its prefixes", watch.inside));
        row[8] = watch.notes.iter().cloned().chain(inside).collect::<Vec<_>>().join("; ");
        rows.push(row);
    }
    for asn in ases.iter().collect::<BTreeSet<_>>() {
        let mut row = row(format!("AS{asn}"), "origin");
        row[3] = asn.to_string();
        rows.push(row);
    }
    for session in sessions {
        let mut row = row(format!("AS{} {}", session.asn, session.address), "session");
        row[4] = session.address.clone();
        row[8] = session.description.as_deref().map(|text| printable(text).into_owned()).unwrap_or_default();
        rows.push(row);
    }
    rows.dedup_by(|one, other| one[0] == other[0]);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER).map_err(|error| failed(error.to_string()))?;
    for row in rows {
        writer.write_record(row).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(vrps: &[(&str, i16, i64)], routes: &[(&str, i64, &str)]) -> Vec<String> {
        let vrp = |(prefix, max_length, asn): &(&str, i16, i64)| StoredVrp {
            prefix: (*prefix).to_owned(),
            max_length: *max_length,
            asn: *asn,
        };
        let route = |(prefix, origin, path): &(&str, i64, &str)| OriginatedRoute {
            prefix: (*prefix).to_owned(),
            origin: *origin,
            path: (*path).to_owned(),
        };
        let vrps: Vec<StoredVrp> = vrps.iter().map(vrp).collect();
        let routes: Vec<OriginatedRoute> = routes.iter().map(route).collect();
        let text = csv(&[64_496], &merge(&vrps, &routes), &[]).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn routes_are_merged() {
        let routes = [
            ("10.0.0.0/8", 64_496, "64500 64496"),
            ("10.0.0.0/8", 64_496, "64501 64496 64496"),
            ("10.1.0.0/16", 64_496, ""),
            ("10.2.0.0/16", 64_497, "64496 64497"),
            ("10.2.1.0/24", 64_497, "64497"),
            ("2001:db8::/32", 64_496, "64500 64496"),
        ];
        assert_eq!(
            lines(&[], &routes),
            [
                "10.0.0.0-8,prefix,10.0.0.0/8,,,64496,64500 64501,16,with 1 of its prefixes",
                "10.2.0.0-16,prefix,10.2.0.0/16,,,64497,64496,24,with 1 of its prefixes",
                "2001:db8::-32,prefix,2001:db8::/32,,,64496,64500,,",
                "AS64496,origin,,64496,,,,,",
            ]
        );
    }

    #[test]
    fn vrps_say_what_may_be_originated() {
        let vrps = [("10.0.0.0/8", 16, 64_496), ("192.0.2.0/24", 24, 64_496)];
        let routes = [("10.1.0.0/16", 64_496, "64500 64496"), ("10.1.2.0/24", 64_496, "64500 64496")];
        assert_eq!(
            lines(&vrps, &routes),
            [
                "10.0.0.0-8,prefix,10.0.0.0/8,,,64496,64500,16,with 1 of its prefixes",
                "10.1.2.0-24,prefix,10.1.2.0/24,,,64496,64500,,no VRP allows it",
                "192.0.2.0-24,prefix,192.0.2.0/24,,,64496,,,",
                "AS64496,origin,,64496,,,,,",
            ]
        );
    }
}
