//! The routers that the collector connects to.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::number::lock;

/// The state of each such router, by its `HOST:PORT`.
#[derive(Debug, Default)]
pub struct ConnectMeter {
    targets: Mutex<BTreeMap<String, TargetMeter>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct TargetMeter {
    is_reached: bool,
    tries: u64,
}

impl ConnectMeter {
    /// Counts a try.
    pub(crate) fn count_try(&self, target: &str) {
        lock(&self.targets).entry(target.to_owned()).or_default().tries += 1;
    }

    /// Records whether there is a session.
    pub(crate) fn set_reached(&self, target: &str, is_reached: bool) {
        lock(&self.targets).entry(target.to_owned()).or_default().is_reached = is_reached;
    }

    /// Returns each `HOST:PORT` with whether it is reached and the number of tries.
    pub(crate) fn targets(&self) -> Vec<(String, bool, u64)> {
        lock(&self.targets).iter().map(|(name, meter)| (name.clone(), meter.is_reached, meter.tries)).collect()
    }
}
