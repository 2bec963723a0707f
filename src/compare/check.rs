//! One thing that was looked at, and what came of it.

use crate::model::Afi;
use crate::store::compare::{ComparedRouter, ComparedTable};

/// The outcome of a check, from the best to the one that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Equal, or as it should be.
    Good,
    /// Different, or worse.
    Bad,
    /// Nobody can tell.
    Unknown,
}

impl Outcome {
    /// Returns its word in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Outcome::Good => "equal",
            Outcome::Bad => "differs",
            Outcome::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Its name.
    pub name: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// The result in one line.
    pub summary: String,
    /// The differences, or the reasons why they are unknown.
    pub lines: Vec<String>,
}

/// Returns the outcome of all checks together: one that nobody can tell makes all uncertain.
pub(crate) fn outcome(checks: &[Check]) -> Outcome {
    checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::Good)
}

/// Says why nobody can tell what these tables of a router are: it is not connected, or it has not sent all of them.
pub(crate) fn why_unknown(router: &ComparedRouter, tables: &[ComparedTable]) -> Option<String> {
    let name = router.name.as_deref().unwrap_or(&router.router_id);
    if !router.state.is_connected() {
        let since = router.since.map_or(String::new(), |since| format!(" since {}", since.to_utc()));
        let reason = router.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        return Some(format!("{name}: its BMP session is not up: {}{since}{reason}", router.state.as_str()));
    }
    if tables.is_empty() {
        return Some(format!("{name}: none of its tables is stored"));
    }
    let table = tables.iter().find(|table| !table.is_synced)?;
    let family = match table.afi {
        Afi::Ipv4 => "IPv4",
        Afi::Ipv6 => "IPv6",
    };
    let of = table.adj_rib_in.map_or(String::new(), |(peer, _)| format!(" of {peer}"));
    Some(format!("{name}: the dump of table {}{of}, {family}, is not complete", table.name))
}

/// Says why nobody can tell what the Loc-RIBs of a router are, given all of its tables.
pub(crate) fn why_loc_rib_unknown(router: &ComparedRouter, tables: &[ComparedTable]) -> Option<String> {
    let loc_ribs: Vec<ComparedTable> = tables.iter().filter(|table| table.adj_rib_in.is_none()).cloned().collect();
    if router.state.is_connected() && loc_ribs.is_empty() && !tables.is_empty() {
        let name = router.name.as_deref().unwrap_or(&router.router_id);
        return Some(format!("{name}: it has no Loc-RIB; --policy compares its Adj-RIB-In before and after policy"));
    }
    why_unknown(router, &loc_ribs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_decides() {
        let check = |outcome| Check { name: String::new(), outcome, summary: String::new(), lines: Vec::new() };
        assert_eq!(outcome(&[]), Outcome::Good);
        assert_eq!(outcome(&[check(Outcome::Good), check(Outcome::Bad)]), Outcome::Bad);
        assert_eq!(outcome(&[check(Outcome::Unknown), check(Outcome::Bad)]), Outcome::Unknown);
    }
}
