//! A cursor over bytes that tracks its offset in the message and never reads past the end.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::DecodeError;

/// The unread rest of a message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// The offset in the message at which `bytes` ends. It does not change while they are read, so that a read updates
    /// one field only.
    end: usize,
}

impl<'a> Reader<'a> {
    /// Returns a reader of `bytes`, whose first octet is `offset` octets into the message.
    pub fn new(bytes: &'a [u8], offset: usize) -> Reader<'a> {
        Reader { bytes, end: offset + bytes.len() }
    }

    /// The offset of the next octet in the message.
    #[inline(always)]
    pub fn offset(&self) -> usize {
        self.end - self.bytes.len()
    }

    /// The number of unread octets.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether no octet is left.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Reads all octets that are left.
    #[inline(always)]
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// Reads the next `count` octets.
    ///
    /// # Errors
    /// Fewer octets are left.
    #[inline(always)]
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.bytes.split_at_checked(count) {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(taken)
            }
            None => Err(self.short(count, field)),
        }
    }

    /// Reads the next `count` octets as a reader of their own, which keeps their offset in the message.
    ///
    /// # Errors
    /// Fewer octets are left.
    #[inline(always)]
    pub fn sub(&mut self, count: usize, field: &'static str) -> Result<Reader<'a>, DecodeError> {
        match self.try_sub(count) {
            Some(reader) => Ok(reader),
            None => Err(self.short(count, field)),
        }
    }

    /// Reads the next `N` octets as a reader of their own, whose length the compiler knows; `None` if fewer are left.
    #[inline(always)]
    pub fn known<const N: usize>(&mut self) -> Option<Reader<'a>> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(Reader { bytes: taken, end: self.offset() })
    }

    /// Reads the next `N` octets; `None` if fewer are left, for callers to whom that is not an error.
    #[inline(always)]
    pub(crate) fn try_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    /// Reads the next `count` octets as a reader of their own; `None` if fewer are left, for callers to whom that is
    /// not an error.
    #[inline(always)]
    pub(crate) fn try_sub(&mut self, count: usize) -> Option<Reader<'a>> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(Reader { bytes: taken, end: self.offset() })
    }

    /// Reads the next `N` octets.
    ///
    /// # Errors
    /// Fewer octets are left.
    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        match self.try_array() {
            Some(taken) => Ok(taken),
            None => Err(self.short(N, field)),
        }
    }

    /// Reads one octet.
    ///
    /// # Errors
    /// No octet is left.
    #[inline(always)]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(field).map(|[octet]| octet)
    }

    /// Reads two octets, big-endian.
    ///
    /// # Errors
    /// Fewer octets are left.
    #[inline(always)]
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Reads four octets, big-endian.
    ///
    /// # Errors
    /// Fewer octets are left.
    #[inline(always)]
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Reads eight octets, big-endian.
    ///
    /// # Errors
    /// Fewer octets are left.
    #[inline(always)]
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Reads an IPv4 address.
    ///
    /// # Errors
    /// Fewer than 4 octets are left.
    #[inline(always)]
    pub fn ipv4(&mut self, field: &'static str) -> Result<Ipv4Addr, DecodeError> {
        self.array::<4>(field).map(Ipv4Addr::from)
    }

    /// Reads an IPv6 address.
    ///
    /// # Errors
    /// Fewer than 16 octets are left.
    pub fn ipv6(&mut self, field: &'static str) -> Result<Ipv6Addr, DecodeError> {
        self.array::<16>(field).map(Ipv6Addr::from)
    }

    #[cold]
    fn short(&self, wanted: usize, field: &'static str) -> DecodeError {
        DecodeError::new(self.offset(), field, format!("needs {wanted} octets, {} are left", self.bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_octet_and_the_field() {
        let mut reader = Reader::new(&[1, 2, 3], 10);
        assert_eq!(reader.u16("length"), Ok(0x0102));
        let error = reader.u32("value").unwrap_err();
        assert_eq!(error.to_string(), "value at octet 12: needs 4 octets, 1 are left");
        assert_eq!((reader.u8("value"), reader.is_empty(), reader.offset()), (Ok(3), true, 13));
    }
}
