//! The hash of the maps that every route asks: XXH3 of a key whose octets are all there at once.
//!
//! A seed of its own for each map, so that nobody can choose prefixes that collide.

use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Hashes the keys of one map. They have one size, so their lengths are left out of the hash.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(u64);

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

/// The hash of what was written so far, or the seed.
#[derive(Debug)]
pub struct SeededHasher(u64);

impl Hasher for SeededHasher {
    #[inline]
    fn write(&mut self, octets: &[u8]) {
        self.0 = xxh3_64_with_seed(octets, self.0);
    }

    /// The length of an array.
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
    fn every_map_hashes_in_its_own_way_and_every_octet_counts() {
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
