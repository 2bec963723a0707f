//! The checks of `doctor` on the rights that keep teams apart.

use super::check::CheckResult;
use crate::store::tenants::rights::TeamRights;

const NAME: &str = "tenants";

/// Returns the faults; none where all is well.
pub(super) fn checks(rights: &TeamRights) -> Vec<CheckResult> {
    let owner = rights.other_owner.as_ref().map(|owner| {
        CheckResult::fault(
            NAME,
            format!(
                "this role does not own the tables, {owner} does: callbacks and their deliveries are hidden from it"
            ),
            format!("let the collector connect as {owner}"),
        )
    });
    let granted = (!rights.granted.is_empty()).then(|| {
        CheckResult::warning(
            NAME,
            format!("roles of teams have rights on tables: {}", rights.granted.join(", ")),
            "REVOKE ALL ON these tables FROM these roles; tenant.grant_to() grants what a team needs",
        )
    });
    owner.into_iter().chain(granted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::CheckState;

    #[test]
    fn rights_of_teams_are_checked() {
        assert!(checks(&TeamRights::default()).is_empty());
        let rights =
            TeamRights { other_owner: Some("rib".to_owned()), granted: vec!["t1 on watch.watches".to_owned()] };
        let found = checks(&rights);
        assert_eq!(found.iter().map(|check| check.state).collect::<Vec<_>>(), [CheckState::Fault, CheckState::Warning]);
        assert!(found[1].found.ends_with("t1 on watch.watches"), "{}", found[1].found);
    }
}
