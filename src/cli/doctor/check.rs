//! One check of `doctor` and its result.

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckState {
    /// No problem.
    Fine,
    /// It works, but works better or for longer with the remedy.
    Warning,
    /// It does not work, or data is at risk.
    Fault,
}

/// One check and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckResult {
    pub(super) name: &'static str,
    pub(super) state: CheckState,
    pub(super) found: String,
    /// The remedy; `None` if there is no problem.
    pub(super) remedy: Option<String>,
}

impl CheckResult {
    pub(super) fn fine(name: &'static str, found: impl Into<String>) -> CheckResult {
        CheckResult { name, state: CheckState::Fine, found: found.into(), remedy: None }
    }

    pub(super) fn warning(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> CheckResult {
        CheckResult { name, state: CheckState::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fault(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> CheckResult {
        CheckResult { name, state: CheckState::Fault, found: found.into(), remedy: Some(remedy.into()) }
    }
}
