//! The hash function of the maps that are accessed for every route: XXH3 of a key that is one array of octets.
//!
//! Each map has its own random seed, so an attacker cannot choose prefixes that collide.

use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The seed of one map. Its keys have the same size, so their lengths are not hashed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Seeded {
        Seeded(RandomState::new().hash_one(0u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = SeededHasher;

    #[inline]
    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(self.0)
    }
}

/// The hash of the data written so far, initially the seed.
#[derive(Debug)]
pub(crate) struct SeededHasher(u64);

impl Hasher for SeededHasher {
    #[inline]
    fn write(&mut self, octets: &[u8]) {
        self.0 = xxh3_64_with_seed(octets, self.0);
    }

    /// Ignores the length of an array.
    #[inline]
    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_has_its_seed_and_every_octet_counts() {
        let (one, other) = (Seeded::default(), Seeded::default());
        let key = [10, 0, 0, 0, 0, 0, 0, 0, 8];
        assert_eq!(one.hash_one(key), one.hash_one(key));
        assert_ne!(one.hash_one(key), other.hash_one(key));
        for at in 0..key.len() {
            let mut changed = key;
            changed[at] ^= 1;
            assert_ne!(one.hash_one(key), one.hash_one(changed), "{at}");
        }
        assert_ne!(one.hash_one(1u64), one.hash_one(2u64));
    }
}
