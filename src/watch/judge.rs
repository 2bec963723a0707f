//! Judges a watch at a vantage: pure, from routes to conditions.

use crate::model::watch::{Condition, Watch};
use crate::model::{Asn, Prefix};
use crate::store::watch::routes::RouteRow;

use super::detail::{Detail, clean};
use super::known_routers::Basis;
use super::summary;

/// The AS that originates a route (RFC 6811 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The last AS of a path that ends in an AS_SEQUENCE.
    As(Asn),
    /// The router's own AS: the path is empty, or ends in a confederation segment.
    Own,
    /// The path ends in an AS_SET: no AS is the origin.
    None,
    /// The route has no path at all.
    Unknown,
}

/// Returns the origin of a route from its columns.
pub fn origin_of(origin_asn: Option<Asn>, path: Option<&str>) -> Origin {
    match (origin_asn, path.map(|path| path.trim_end().chars().next_back())) {
        (Some(asn), _) => Origin::As(asn),
        (None, Some(None | Some(')' | ']'))) => Origin::Own,
        (None, Some(Some(_))) => Origin::None,
        (None, None) => Origin::Unknown,
    }
}

/// Returns the parts of a path without its confederation segments, which are of inside a network: AS numbers, and
/// AS_SETs as `{1,2}`.
fn hops(path: &str) -> Vec<&str> {
    let mut is_confederation = false;
    let is_hop = |word: &&str| {
        // Confederation segments are in parentheses and may have several words.
        is_confederation |= word.starts_with(['(', '[']);
        let is_hop = !is_confederation && !word.is_empty();
        is_confederation &= !word.ends_with([')', ']']);
        is_hop
    };
    path.split(' ').filter(is_hop).collect()
}

fn asn_of(hop: &str) -> Option<Asn> {
    hop.parse().ok().map(Asn)
}

/// Returns the AS before the last run of equal ASes; `None`: there is none, or an AS_SET is in the way.
fn upstream_of(hops: &[&str]) -> Option<Asn> {
    let origin = hops.last()?;
    asn_of(origin)?;
    asn_of(hops.iter().rev().find(|hop| *hop != origin)?)
}

/// Returns the AS before the origin of a path.
pub(crate) fn upstream(path: &str) -> Option<Asn> {
    upstream_of(&hops(path))
}

/// Returns the ASes that come directly behind one of `watched`.
fn downstreams_of<'a>(hops: &'a [&str], watched: &'a [Asn]) -> impl Iterator<Item = Asn> + 'a {
    let of_watched = |pair: &&[&str]| pair[0] != pair[1] && asn_of(pair[0]).is_some_and(|asn| watched.contains(&asn));
    hops.windows(2).filter(of_watched).filter_map(|pair| asn_of(pair[1]))
}

/// Something wrong: condition, subject, and what was found.
pub type Finding = (Condition, String, Detail);

/// Returns whether a route is there by the RIB that decides.
pub fn is_present(route: &RouteRow, basis: Basis) -> bool {
    match basis {
        Basis::LocRib => route.in_loc_rib,
        Basis::PostPolicy => route.after_policy,
        Basis::PrePolicy => route.before_policy,
    }
}

/// A route of which it is known who originates it.
pub struct Sender<'a> {
    /// The route.
    pub row: &'a RouteRow,
    origin: Origin,
    /// The AS that originates it; `None`: an AS_SET.
    pub asn: Option<Asn>,
    hops: Vec<&'a str>,
}

impl<'a> Sender<'a> {
    /// Returns `None` where nobody can tell the origin. `own`: the router's AS.
    pub fn of(row: &'a RouteRow, own: Option<Asn>) -> Option<Sender<'a>> {
        let origin = origin_of(row.origin, row.path.as_deref());
        let asn = match origin {
            Origin::As(asn) => Some(asn),
            Origin::Own => Some(own?),
            Origin::None => None,
            Origin::Unknown => return None,
        };
        Some(Sender { row, origin, asn, hops: row.path.as_deref().map(hops).unwrap_or_default() })
    }

    /// Returns the ASes of the path and the origin.
    pub fn asns(&self) -> impl Iterator<Item = Asn> + '_ {
        self.hops.iter().filter_map(|hop| asn_of(hop)).chain(self.asn)
    }

    fn is_from(&self, expected: &[Asn]) -> bool {
        self.asn.is_some_and(|asn| expected.contains(&asn))
    }

    /// Returns whether it is the router's own route.
    pub(super) fn is_own(&self) -> bool {
        self.origin == Origin::Own
    }

    pub(super) fn origin_text(&self) -> String {
        self.asn.map_or_else(|| "AS_SET".to_owned(), |asn| format!("AS{asn}"))
    }

    pub(super) fn detail(&self) -> Detail {
        Detail::of_route(self.row, self.origin_text())
    }

    fn unexpected(&self, watch: &Watch) -> Detail {
        Detail { expected: Some(summary::list(&watch.expected_origins)), ..self.detail() }
    }

    fn detail_with(&self, value: String, expected: String) -> Detail {
        Detail { value: Some(value), expected: Some(expected), ..self.detail() }
    }

    /// Returns what drops, drains or diverts the route on purpose.
    pub(super) fn mitigation(&self, watch: &Watch) -> Option<String> {
        let via = || self.hops.iter().filter_map(|hop| asn_of(hop)).find(|asn| watch.expected_via.contains(asn));
        self.row.mitigation.as_deref().map(mitigation_text).or_else(|| via().map(|asn| format!("via AS{asn}")))
    }

    /// Judges the ASes beside the watched ones in the path of a route with an expected origin.
    fn judge_adjacent(&self, watch: &Watch, watched: &[Asn], is_mitigated: bool) -> Vec<(Condition, Detail)> {
        let mut found = Vec::new();
        let upstream = upstream_of(&self.hops).filter(|asn| is_other(*asn, &watch.expected_upstreams));
        if let Some(asn) = upstream.filter(|_| !is_mitigated && self.is_from(watched)) {
            found.push((
                Condition::Upstream,
                self.detail_with(format!("AS{asn}"), summary::list(&watch.expected_upstreams)),
            ));
        }
        if let Some(asn) = downstreams_of(&self.hops, watched).find(|asn| is_other(*asn, &watch.expected_downstreams)) {
            found.push((
                Condition::Downstream,
                self.detail_with(format!("AS{asn}"), summary::list(&watch.expected_downstreams)),
            ));
        }
        found
    }

    /// Judges the whole path. A route of the router itself has none.
    fn judge_path(&self, watch: &Watch) -> Option<(Condition, Detail)> {
        let expression = watch.path_match.as_ref()?;
        let path = self.hops.join(" ");
        if path.is_empty() || expression.is_met(&path) {
            return None;
        }
        let must = if expression.is_forbidden() { "must not match" } else { "must match" };
        let expected = format!("{must} {}", expression.pattern());
        Some((Condition::Path, self.detail_with(clean(&path), expected)))
    }
}

/// Returns whether an AS is none of those that are expected, where any are.
fn is_other(asn: Asn, expected: &[Asn]) -> bool {
    !expected.is_empty() && !expected.contains(&asn)
}

/// Returns the names of well-known communities (RFC 7999, RFC 8326), and others as they are.
fn mitigation_text(communities: &str) -> String {
    let name = |community| match community {
        "65535:666" => "BLACKHOLE",
        "65535:0" => "GRACEFUL_SHUTDOWN",
        other => other,
    };
    communities.split(' ').map(name).collect::<Vec<_>>().join(" ")
}

/// Judges routes of one prefix in one table by the watch of that prefix, or of one that covers it. `own`: the router's
/// AS.
pub fn judge(watch: &Watch, prefix: &Prefix, routes: &[&RouteRow], own: Option<Asn>) -> Vec<Finding> {
    let Some(watched) = watch.prefix else { return Vec::new() };
    let is_longer = prefix.length() > watch.max_length.unwrap_or(watched.length());
    let place = if *prefix == watched { String::new() } else { prefix.to_string() };
    let mut found: Vec<Finding> = Vec::new();
    for route in routes.iter().filter_map(|route| Sender::of(route, own)) {
        for (condition, detail) in judge_one(watch, &route, is_longer) {
            if watch.judges(condition) {
                let subject = match condition {
                    Condition::Origin | Condition::MoreSpecific | Condition::MoreSpecificOwn => {
                        format!("{prefix} {}", route.origin_text())
                    }
                    _ => place.clone(),
                };
                add(&mut found, condition, subject, detail);
            }
        }
    }
    found
}

fn judge_one(watch: &Watch, route: &Sender<'_>, is_longer: bool) -> Vec<(Condition, Detail)> {
    let is_expected = route.is_from(&watch.expected_origins);
    let is_fine = is_expected || watch.expected_origins.is_empty();
    let mitigation = if is_fine { route.mitigation(watch) } else { None };
    let mut found = Vec::new();
    match (is_longer, is_fine) {
        // One alarm is enough for a hijack.
        (false, false) if watch.judges(Condition::Origin) => return vec![(Condition::Origin, route.unexpected(watch))],
        (false, false) => {}
        // A router's own route is configured there: it is no hijack.
        (true, false) if route.origin == Origin::Own => {}
        (true, false) => found.push((Condition::MoreSpecific, route.unexpected(watch))),
        (true, true) if route.origin == Origin::Own || mitigation.is_some() || !is_expected => {}
        (true, true) => found.push((Condition::MoreSpecificOwn, route.detail())),
        (false, true) if watch.expected_origins.is_empty() => {
            // Nobody said who originates it: whoever does has upstreams.
            found.extend(route.judge_adjacent(watch, route.asn.as_slice(), mitigation.is_some()));
        }
        (false, true) => found.extend(route.judge_adjacent(watch, &watch.expected_origins, mitigation.is_some())),
    }
    if !is_longer {
        found.extend(route.judge_path(watch));
    }
    if let Some(by) = mitigation {
        found.push((Condition::Mitigated, Detail { value: Some(by), ..route.detail() }));
    }
    found
}

/// The state of a prefix at a vantage for an origin watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfOrigin {
    /// True if the prefix was accepted.
    pub is_accepted: bool,
    /// True if what the AS originated there when the watch was made was accepted.
    pub has_baseline: bool,
}

/// Judges a route by a watch of an AS. Each condition is one of the prefix.
pub fn judge_origin(watch: &Watch, route: &Sender<'_>, known: OfOrigin) -> Vec<Finding> {
    let Some(asn) = watch.asn else { return Vec::new() };
    let is_watched = route.asn == Some(asn);
    let mitigation = if is_watched { route.mitigation(watch) } else { None };
    let mut found = route.judge_adjacent(watch, &[asn], mitigation.is_some());
    if is_watched && !known.is_accepted && known.has_baseline && mitigation.is_none() {
        found.push((Condition::NewOriginPrefix, route.detail()));
    }
    if !is_watched && known.is_accepted && !route.is_from(&watch.expected_origins) {
        let expected = summary::list(&[&[asn], &watch.expected_origins[..]].concat());
        found.push((Condition::Origin, Detail { expected: Some(expected), ..route.detail() }));
    }
    if let Some(by) = mitigation {
        found.push((Condition::Mitigated, Detail { value: Some(by), ..route.detail() }));
    }
    let prefix = route.row.prefix;
    let subject = |condition| match condition {
        Condition::Origin | Condition::NewOriginPrefix => format!("{prefix} {}", route.origin_text()),
        _ => prefix.to_string(),
    };
    found.retain(|(condition, _)| watch.judges(*condition));
    found.into_iter().map(|(condition, detail)| (condition, subject(condition), detail)).collect()
}

/// Adds a finding, or merges it into the one with the same subject.
pub fn add(found: &mut Vec<Finding>, condition: Condition, subject: String, detail: Detail) {
    match found.iter_mut().find(|(other, name, _)| *other == condition && *name == subject) {
        Some((.., known)) => known.merge(detail),
        None => found.push((condition, subject, detail)),
    }
}

/// The routes that cover an address in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// None does.
    Nothing,
    /// Only the default route does.
    Default,
    /// A more specific one does.
    Specific,
}

/// Judges the routes that cover an address in one table by the longest of them. `was_specific`: a more specific route
/// than the default covered it once.
pub fn judge_address(
    watch: &Watch,
    routes: &[&RouteRow],
    basis: Basis,
    own: Option<Asn>,
    was_specific: bool,
) -> (Cover, Vec<Finding>) {
    let present = || routes.iter().copied().filter(|route| is_present(route, basis));
    let Some(longest) = present().map(|route| route.prefix.length()).max() else {
        return (Cover::Nothing, Vec::new());
    };
    let mut found = Vec::new();
    if longest == 0 && was_specific && watch.judges(Condition::DefaultOnly) {
        found.push((Condition::DefaultOnly, String::new(), Detail::default()));
    }
    if watch.judges(Condition::Origin) && !watch.expected_origins.is_empty() && longest > 0 {
        for route in present().filter(|route| route.prefix.length() == longest) {
            let asn = match origin_of(route.origin, route.path.as_deref()) {
                Origin::As(asn) => Some(asn),
                Origin::Own if own.is_some() => own,
                Origin::None => None,
                Origin::Own | Origin::Unknown => continue,
            };
            if !asn.is_some_and(|asn| watch.expected_origins.contains(&asn)) {
                let origin = asn.map_or_else(|| "AS_SET".to_owned(), |asn| format!("AS{asn}"));
                let subject = format!("{} {origin}", route.prefix);
                let expected = Some(summary::list(&watch.expected_origins));
                let detail = Detail { expected, ..Detail::of_route(route, origin) };
                add(&mut found, Condition::Origin, subject, detail);
            }
        }
    }
    (if longest == 0 { Cover::Default } else { Cover::Specific }, found)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
pub(super) mod tests;
