//! The checks of `doctor` on watches.

use super::check::CheckResult;
use crate::store::diagnostics::Facts;
use crate::store::suitable::identifier;

/// Checks the schema of watches, and what watches cannot see.
pub(super) fn watches(facts: &Facts) -> Vec<CheckResult> {
    const NAME: &str = "watches";
    let role = &facts.role;
    match facts.may_create_in_watch {
        None if !facts.may_create_in_database => {
            return vec![CheckResult::fault(
                NAME,
                format!("there is no schema watch, and {role} may not create one"),
                format!("CREATE SCHEMA watch AUTHORIZATION {}", identifier(role)),
            )];
        }
        Some(false) => {
            return vec![CheckResult::fault(
                NAME,
                format!("{role} may not create tables in schema watch"),
                format!("GRANT CREATE, USAGE ON SCHEMA watch TO {}", identifier(role)),
            )];
        }
        Some(true) | None => {}
    }
    let Some(coverage) = &facts.watch_coverage else { return Vec::new() };
    let spots = coverage.blind_spots();
    if spots.is_empty() && facts.unusable_watches.is_empty() {
        return vec![CheckResult::fine(NAME, format!("{} enabled", coverage.enabled))];
    }
    let unusable = facts.unusable_watches.iter().map(|found| {
        CheckResult::warning(
            NAME,
            found.as_str(),
            "`rib-ingester watch show NAME` shows it; docs/watch.md says what it may be",
        )
    });
    spots.into_iter().map(|(found, remedy)| CheckResult::warning(NAME, found, remedy)).chain(unusable).collect()
}
