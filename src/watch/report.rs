//! The report of a round of the evaluator.

use crate::model::Timestamp;

/// The report of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Changes of the outbox that were taken.
    pub changes: usize,
    /// When the oldest of them arrived, and the time of the round.
    pub oldest: Option<(Timestamp, Timestamp)>,
    /// True if everything was evaluated.
    pub is_full: bool,
    /// Conditions that a full evaluation found changed although nobody had said so.
    pub missed: usize,
    /// Changes of incidents, as log lines.
    pub lines: Vec<String>,
    /// True if there were too many changes, or too old ones, to be looked at one by one.
    pub is_emptied: bool,
    /// True if more changes wait.
    pub has_more: bool,
}
