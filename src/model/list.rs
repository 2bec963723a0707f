//! Lists of values of one size, kept as the octets of the message.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::net::Ipv4Addr;

/// A value that always has the same number of octets on the wire.
pub trait Fixed: Copy {
    /// The value's size, octets.
    const SIZE: usize;

    /// Returns the value of exactly [`Fixed::SIZE`] octets.
    fn read(octets: &[u8]) -> Self;

    /// Appends the value's octets.
    fn write(self, out: &mut Vec<u8>);
}

/// A list of values, in the order of the message.
///
/// It borrows the octets it was decoded from, so an UPDATE with a hundred communities needs no more allocations than
/// one without any. A list that is built, not decoded, owns its octets.
pub struct List<'a, T> {
    octets: Cow<'a, [u8]>,
    values: PhantomData<T>,
}

impl<'a, T: Fixed> List<'a, T> {
    /// Returns the list in an attribute's value; `None` if its length is not a multiple of the values' size.
    pub fn from_wire(octets: &'a [u8]) -> Option<List<'a, T>> {
        octets.len().is_multiple_of(T::SIZE).then_some(List { octets: Cow::Borrowed(octets), values: PhantomData })
    }

    /// Iterates over the values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + '_ {
        self.octets.chunks_exact(T::SIZE).map(T::read)
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.octets.len() / T::SIZE
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }
}

impl<T: Fixed> FromIterator<T> for List<'_, T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut octets = Vec::new();
        values.into_iter().for_each(|value| value.write(&mut octets));
        List { octets: octets.into(), values: PhantomData }
    }
}

impl<T: Fixed> From<Vec<T>> for List<'_, T> {
    fn from(values: Vec<T>) -> Self {
        values.into_iter().collect()
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        List { octets: self.octets.clone(), values: PhantomData }
    }
}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
    }
}

impl<T> Eq for List<'_, T> {}

impl<T> Hash for List<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets.hash(state);
    }
}

impl<T: Fixed + fmt::Debug> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// An array of octets is its own encoding.
impl<const N: usize> Fixed for [u8; N] {
    const SIZE: usize = N;

    #[inline]
    fn read(octets: &[u8]) -> [u8; N] {
        octets.try_into().expect("a list is cut into values of its size")
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self);
    }
}

impl Fixed for u32 {
    const SIZE: usize = 4;

    #[inline]
    fn read(octets: &[u8]) -> u32 {
        u32::from_be_bytes(Fixed::read(octets))
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.to_be_bytes());
    }
}

impl Fixed for Ipv4Addr {
    const SIZE: usize = 4;

    #[inline]
    fn read(octets: &[u8]) -> Ipv4Addr {
        <[u8; 4]>::read(octets).into()
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_read_and_a_list_made_are_the_same() {
        let octets = [0, 0, 0, 1, 0xff, 0, 0, 2];
        let read = List::<u32>::from_wire(&octets).unwrap();
        let made: List<'_, u32> = [1, 0xff00_0002].into_iter().collect();
        assert_eq!((&read, read.len(), read.is_empty()), (&made, 2, false));
        assert_eq!(format!("{read:?}"), "[1, 4278190082]");
        assert!(List::<u32>::from_wire(&octets[..7]).is_none());
        assert!(List::<u32>::from_wire(&[]).unwrap().is_empty());
    }
}
