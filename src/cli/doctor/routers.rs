//! The checks of `doctor` on routers and their collectors.

use super::check::CheckResult;
use crate::cli::unreached::Unreached;
use crate::store::diagnostics::{AddPathDeviation, Facts};
use crate::store::orphans::{self, Orphans};
use crate::store::router_state::RouterState;

/// Checks which routers are connected, by `router_states`.
pub(super) fn routers(facts: &Facts) -> CheckResult {
    const NAME: &str = "routers";
    let count = |wanted: fn(RouterState) -> bool| -> i64 {
        facts.routers.iter().filter(|(state, _)| wanted(*state)).map(|(_, count)| count).sum()
    };
    let (all, lost) = (count(|_| true), count(|state| !state.is_connected()));
    if all == 0 {
        return CheckResult::fine(NAME, "none has connected yet");
    }
    if lost == 0 {
        return CheckResult::fine(NAME, format!("{all} known, all of them are connected"));
    }
    let lost_ones = facts.routers.iter().filter(|(state, _)| !state.is_connected());
    let by_state: Vec<String> = lost_ones.map(|(state, count)| format!("{count} {}", state.as_str())).collect();
    CheckResult::warning(
        NAME,
        format!("{lost} of {all} are not connected: {}", by_state.join(", ")),
        "`rib-ingester status --down` lists them and when their routes expire",
    )
}

/// Reports routers whose collector is not alive: one line for each such collector.
pub(super) fn collectors(facts: &Facts) -> Vec<CheckResult> {
    let check = |one: &Orphans| CheckResult::warning("collectors", one.describe(), orphans::remedy(&one.collector));
    facts.orphans.iter().map(check).collect()
}

/// Checks the routers that this collector, which `is_running`, connects to: one line for each without a session.
pub(super) fn connect(count: usize, unreached: &[Unreached], is_running: bool) -> Vec<CheckResult> {
    const NAME: &str = "connect";
    if count == 0 || !is_running {
        return Vec::new();
    }
    if unreached.is_empty() {
        return vec![CheckResult::fine(NAME, format!("{count} in RIB_INGESTER_CONNECT, all of them have a session"))];
    }
    let remedy = "the log and /readyz say why; the router has to listen there and to admit this address";
    unreached.iter().map(|one| CheckResult::warning(NAME, one.describe(), remedy)).collect()
}

/// Reports routers whose path identifiers do not match what they announced: one line each, for the first ones.
pub(super) fn add_path(facts: &Facts) -> Vec<CheckResult> {
    const NAME: &str = "add-path";
    const ROUTERS_MAX: usize = 5;
    let all = &facts.add_path;
    let mut checks: Vec<CheckResult> = all
        .iter()
        .take(ROUTERS_MAX)
        .map(|AddPathDeviation { router, is_sent, places, count }| {
            let does = match is_sent {
                true => "sends path identifiers that it did not announce",
                false => "announces Add-Path and sends no path identifiers",
            };
            let more = if *count > 3 { format!(" and {} more", count - 3) } else { String::new() };
            CheckResult::warning(
                NAME,
                format!("router {router} {does}: {places}{more}"),
                "nothing to do here: its routes are decoded as sent; report it to the router's vendor (RFC 7911)",
            )
        })
        .collect();
    if all.len() > ROUTERS_MAX {
        let more = all.len() - ROUTERS_MAX;
        checks.push(CheckResult::warning(NAME, format!("{more} more such routers"), "see table add_path_evidence"));
    }
    checks
}
