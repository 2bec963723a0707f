//! The checks of `doctor` on callbacks: whether they take what they are told, and who could read their secrets.

use super::check::CheckResult;
use crate::store::watch::callbacks::CallbackHealth;

const NAME: &str = "callbacks";

/// Returns the checks; none where there are no callbacks and nothing is wrong.
pub(super) fn checks(health: &CallbackHealth) -> Vec<CheckResult> {
    let mut checks = Vec::new();
    for (name, since, error) in &health.failing {
        checks.push(CheckResult::warning(
            NAME,
            format!("{name} has accepted nothing since {}: {error}", since.to_utc()),
            format!("`rib-ingester callbacks test {name}` shows its answer; what waits is sent once it answers"),
        ));
    }
    if health.dead > 0 {
        checks.push(CheckResult::warning(
            NAME,
            format!("{} deliveries were given up", health.dead),
            "`rib-ingester callbacks list` names the callbacks, `callbacks retry NAME` sends them again",
        ));
    }
    if let Some(tables) = &health.unprotected {
        checks.push(CheckResult::fault(
            NAME,
            format!("without row-level security, which keeps readers from secrets: {tables}"),
            "ENABLE ROW LEVEL SECURITY for each of them by an ALTER statement of its owner",
        ));
    }
    if let Some(roles) = &health.grantees {
        checks.push(CheckResult::warning(
            NAME,
            format!("other roles have rights on the tables with their secrets: {roles}"),
            "REVOKE ALL ON watch.callbacks, watch.callback_secrets, watch.deliveries FROM them; readers have \
             watch.callbacks_public",
        ));
    }
    if checks.is_empty() && health.enabled > 0 {
        checks.push(CheckResult::fine(NAME, format!("{} enabled, none fails", health.enabled)));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::CheckState;
    use crate::model::Timestamp;

    #[test]
    fn each_trouble_of_callbacks_has_a_remedy() {
        assert!(checks(&CallbackHealth::default()).is_empty());
        let fine = CallbackHealth { enabled: 2, ..CallbackHealth::default() };
        assert_eq!(checks(&fine), [CheckResult::fine(NAME, "2 enabled, none fails")]);
        let bad = CallbackHealth {
            enabled: 1,
            failing: vec![("noc".to_owned(), Timestamp::from_unix_micros(0), "HTTP 503".to_owned())],
            dead: 3,
            grantees: Some("reader".to_owned()),
            unprotected: Some("watch.callbacks".to_owned()),
        };
        let found = checks(&bad);
        assert_eq!(found[0].found, "noc has accepted nothing since 1970-01-01 00:00:00 UTC: HTTP 503");
        assert!(found.len() == 4 && found.iter().all(|check| check.remedy.is_some()));
        assert_eq!(found.iter().filter(|check| check.state == CheckState::Fault).count(), 1);
    }
}
