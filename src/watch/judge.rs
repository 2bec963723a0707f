//! What is wrong with a watch at a vantage: pure, from routes to conditions.

use crate::model::watch::{Condition, Watch};
use crate::model::{Asn, Prefix};
use crate::store::watch::evaluate::RouteRow;

use super::detail::Detail;
use super::known_routers::Basis;

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

/// Returns the AS before the last run of equal ASes of a path, confederations skipped; `None`: there is none, or an
/// AS_SET is in the way.
pub fn upstream_of(path: &str) -> Option<Asn> {
    let mut is_confederation = false;
    let mut origin = None;
    for word in path.rsplit(' ') {
        // Confederation segments are in parentheses and may have several words.
        is_confederation |= word.ends_with(')') || word.ends_with(']');
        let skipped = is_confederation;
        is_confederation &= !(word.starts_with('(') || word.starts_with('['));
        if skipped {
            continue;
        }
        let asn: u32 = word.parse().ok()?;
        match origin {
            None => origin = Some(asn),
            Some(origin) if origin == asn => {}
            Some(_) => return Some(Asn(asn)),
        }
    }
    None
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

/// Judges routes of one prefix in one table by the watch of that prefix, or of one that covers it. `own`: the router's
/// AS.
pub fn judge(watch: &Watch, prefix: &Prefix, routes: &[&RouteRow], own: Option<Asn>) -> Vec<Finding> {
    let Some(watched) = watch.prefix else { return Vec::new() };
    let is_longer = prefix.length() > watch.max_length.unwrap_or(watched.length());
    let mut found: Vec<Finding> = Vec::new();
    for route in routes {
        let origin = origin_of(route.origin, route.path.as_deref());
        let asn = match origin {
            Origin::As(asn) => Some(asn),
            Origin::Own => match own {
                Some(own) => Some(own),
                None => continue,
            },
            Origin::None => None,
            Origin::Unknown => continue,
        };
        let is_expected = asn.is_some_and(|asn| watch.expected_origins.contains(&asn));
        let condition = match (is_longer, is_expected || watch.expected_origins.is_empty()) {
            (false, false) => Condition::Origin,
            // A router's own route is configured there: it is no hijack.
            (true, false) if origin == Origin::Own => continue,
            (true, false) => Condition::MoreSpecific,
            (true, true) if origin == Origin::Own || route.is_mitigated || !is_expected => continue,
            (true, true) => Condition::MoreSpecificOwn,
            (false, true) => {
                let upstream = route.path.as_deref().and_then(upstream_of);
                match upstream.filter(|asn| !watch.expected_upstreams.contains(asn)) {
                    Some(_) if !watch.expected_upstreams.is_empty() && !route.is_mitigated => Condition::Upstream,
                    Some(_) | None => continue,
                }
            }
        };
        if watch.judges(condition) {
            let origin = asn.map_or_else(|| "AS_SET".to_owned(), |asn| format!("AS{asn}"));
            let has_subject = condition != Condition::Upstream;
            let subject = if has_subject { format!("{prefix} {origin}") } else { String::new() };
            add(&mut found, condition, subject, Detail::of_route(route, origin));
        }
    }
    found
}

/// Adds a finding, or merges it into the one with the same subject.
fn add(found: &mut Vec<Finding>, condition: Condition, subject: String, detail: Detail) {
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
                add(&mut found, Condition::Origin, subject, Detail::of_route(route, origin));
            }
        }
    }
    (if longest == 0 { Cover::Default } else { Cover::Specific }, found)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
pub(super) mod tests;
