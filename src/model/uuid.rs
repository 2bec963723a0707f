//! Random keys that are made outside of the database.

use std::hash::{BuildHasher, RandomState};

/// Returns a random UUID (RFC 9562 section 5.4): made here, a retried transaction stores one row.
pub fn new_uuid() -> String {
    // Each `RandomState` has its own keys from the system's random numbers.
    let [high, low] = [(); 2].map(|()| RandomState::new().hash_one(()));
    let (high, low) = (high & !0xf000 | 0x4000, low & !(0b11 << 62) | 0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_random_uuids_of_version_4() {
        let keys: std::collections::BTreeSet<String> = (0..1000).map(|_| new_uuid()).collect();
        assert_eq!(keys.len(), 1000);
        for key in keys {
            let parts: Vec<&str> = key.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{key}");
            assert!(parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]), "{key}");
        }
    }
}
