//! The checks of `doctor` on RPKI: whether there are VRPs, and how old they are.

use super::check::CheckResult;
use crate::store::rpki::SetState;

const NAME: &str = "rpki";

/// Returns the checks; none where routes are not validated.
pub(super) fn checks(is_wanted: bool, state: &SetState) -> Vec<CheckResult> {
    let mut checks = Vec::new();
    if !is_wanted && !state.is_usable {
        return checks;
    }
    if !state.is_usable {
        let found = match state.generated {
            None => "there is no set of VRPs: the state of every route is unknown".to_owned(),
            Some(generated) => {
                format!("the VRPs of {} are too old: the state of every route is unknown", generated.to_utc())
            }
        };
        let remedy = "start a collector with RIB_INGESTER_VRPS; `rib-ingester rpki show` says what the sources answer";
        checks.push(CheckResult::fault(NAME, found, remedy));
    }
    if let Some(since) = state.failing_since {
        let why = state.last_error.as_deref().unwrap_or_default();
        let found = format!("no source has given a set of VRPs since {}: {why}", since.to_utc());
        checks.push(CheckResult::warning(NAME, found, "correct RIB_INGESTER_VRPS, or repair the validator"));
    }
    if let Some(held) = &state.held {
        checks.push(CheckResult::warning(
            NAME,
            format!("a set of VRPs is held since {}: {}", held.since.to_utc(), held.reason),
            "look at the validator; if it is right, `rib-ingester rpki accept` takes the set",
        ));
    }
    if let Some((at, why)) = &state.taken_after_hold {
        checks.push(CheckResult::warning(
            NAME,
            format!("a set of VRPs was taken after its hold at {}: {why}", at.to_utc()),
            "look at the validator; `rib-ingester rpki accept` ends this warning",
        ));
    }
    if checks.is_empty() {
        let source = state.source.as_deref().unwrap_or_default();
        checks.push(CheckResult::fine(NAME, format!("{} VRPs of {source}", state.vrps)));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::CheckState;
    use crate::model::Timestamp;
    use crate::store::rpki::HeldState;

    #[test]
    fn each_trouble_of_vrps_has_a_remedy() {
        let at = Timestamp::from_unix_micros(0);
        let fine =
            SetState { version: 1, is_usable: true, vrps: 7, source: Some("/vrps".to_owned()), ..SetState::none(at) };
        assert_eq!(checks(true, &fine), [CheckResult::fine(NAME, "7 VRPs of /vrps")]);
        assert_eq!(checks(true, &SetState::none(at))[0].state, CheckState::Fault);
        let held =
            HeldState { since: at, until: at, reason: "4 VRPs of 9".to_owned(), source: "/vrps".to_owned(), vrps: 4 };
        let bad = SetState {
            failing_since: Some(at),
            last_error: Some("/vrps: is empty".to_owned()),
            held: Some(held),
            taken_after_hold: Some((at, "3 VRPs of 9".to_owned())),
            ..fine
        };
        let found = checks(true, &bad);
        assert!(found.len() == 3 && found.iter().all(|check| check.state == CheckState::Warning));
        assert_eq!(found[0].found, "no source has given a set of VRPs since 1970-01-01 00:00:00 UTC: /vrps: is empty");
    }
}
