//! The parts of a file that are not read, for people.

use std::collections::BTreeMap;
use std::fmt::Display;

/// The number of faults that are named one by one; further ones are counted.
const FAULTS_NAMED_MAX: usize = 20;

/// The number of kinds of skipped records that are told apart.
const KINDS_MAX: usize = 50;

/// Faults of a file and records that are of no use here.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    faults: Vec<String>,
    further: u64,
    skipped: BTreeMap<String, u64>,
}

impl Notes {
    /// Notes what is malformed at an octet of the (uncompressed) file.
    pub(crate) fn fault(&mut self, offset: u64, why: impl Display) {
        if self.faults.len() < FAULTS_NAMED_MAX {
            self.faults.push(format!("octet {offset}: {why}"));
        } else {
            self.further += 1;
        }
    }

    /// Counts something well-formed that is left out.
    pub(crate) fn skip(&mut self, kind: String) {
        if self.skipped.len() < KINDS_MAX || self.skipped.contains_key(&kind) {
            *self.skipped.entry(kind).or_default() += 1;
        } else {
            *self.skipped.entry("further kinds".to_owned()).or_default() += 1;
        }
    }

    /// Returns whether a part of the file is malformed.
    pub fn is_damaged(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Returns a line for each fault and each kind of skipped records.
    pub fn lines(&self) -> Vec<String> {
        let further = (self.further > 0).then(|| format!("{} further faults", self.further));
        let skipped = self.skipped.iter().map(|(kind, count)| format!("left out: {kind}, {count} times"));
        self.faults.iter().cloned().chain(further).chain(skipped).collect()
    }
}
