//! Sets that lack too much: a validator that lost a trust anchor, or half of everything, is more often ill than right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The time for which such a set is held, unless an operator accepts it before.
pub const HOLD: Duration = Duration::from_secs(60 * 60);

/// Fewer VRPs than this are not judged.
const JUDGED_MIN: usize = 10;

/// The divisor of the number of VRPs from which a trust anchor is large.
const LARGE: usize = 20;

/// The divisor of its number of VRPs below which a trust anchor is gone.
const GONE: usize = 10;

/// VRPs by trust anchor, before SLURM.
pub type Counts = BTreeMap<Arc<str>, usize>;

/// Returns what the new set lacks against the one in force, or `None` if it can be taken. Trust anchors in `ignored`
/// count in neither.
pub fn reason(in_force: &Counts, new: &Counts, ignored: &[String]) -> Option<String> {
    let is_used = |name: &str| !ignored.iter().any(|ignored| ignored == name);
    let old = in_force.iter().filter(|(name, _)| is_used(name));
    let before: usize = old.clone().map(|(_, count)| count).sum();
    let after: usize = new.values().sum();
    if before < JUDGED_MIN {
        return None;
    }
    // A set without names of trust anchors has none that could be gone.
    let has_names = new.keys().any(|name| !name.is_empty());
    let gone = old.filter(|(name, count)| {
        let left = new.get(*name).copied().unwrap_or(0);
        has_names && !name.is_empty() && **count * LARGE >= before && **count >= JUDGED_MIN && left * GONE < **count
    });
    let gone: Vec<String> = gone
        .map(|(name, count)| format!("{name} has {} VRPs of {count}", new.get(name).copied().unwrap_or(0)))
        .collect();
    if !gone.is_empty() {
        return Some(format!("trust anchor {}", gone.join(", ")));
    }
    (after * 2 <= before).then(|| format!("{after} VRPs of {before}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(&str, usize)]) -> Counts {
        list.iter().map(|(name, count)| (Arc::from(*name), *count)).collect()
    }

    #[test]
    fn sets_are_held_that_lack_too_much() {
        let old = counts(&[("ripe", 500), ("arin", 400), ("apnic", 80), ("lacnic", 20)]);
        let check = |new: &[(&str, usize)], ignored: &[&str], want: Option<&str>| {
            let ignored: Vec<String> = ignored.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(reason(&old, &counts(new), &ignored).as_deref(), want, "{new:?}");
        };
        check(&[("ripe", 500), ("arin", 400), ("apnic", 80), ("lacnic", 20)], &[], None);
        check(&[("ripe", 300), ("arin", 200), ("apnic", 80), ("lacnic", 0)], &[], None);
        check(&[("ripe", 500), ("arin", 400), ("lacnic", 20)], &[], Some("trust anchor apnic has 0 VRPs of 80"));
        check(&[("ripe", 500), ("arin", 400), ("apnic", 7)], &[], Some("trust anchor apnic has 7 VRPs of 80"));
        check(&[("ripe", 500), ("arin", 400), ("apnic", 8)], &[], None);
        check(&[("ripe", 250), ("arin", 200), ("apnic", 40), ("lacnic", 10)], &[], Some("500 VRPs of 1000"));
        check(&[("ripe", 251), ("arin", 200), ("apnic", 40), ("lacnic", 10)], &[], None);
        // The operator wants it so.
        check(&[("arin", 400), ("apnic", 80), ("lacnic", 20)], &["ripe"], None);
        // Another format, without names.
        check(&[("", 900)], &[], None);
        check(&[("", 400)], &[], Some("400 VRPs of 1000"));
        assert_eq!(reason(&counts(&[("ripe", 9)]), &counts(&[("ripe", 1)]), &[]), None);
        assert_eq!(reason(&counts(&[]), &counts(&[("ripe", 1)]), &[]), None);
    }
}
