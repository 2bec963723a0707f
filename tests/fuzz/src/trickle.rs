//! Octets that arrive a few at a time.

use std::io::{self, Read};

/// Gives at most so many octets at a time.
#[derive(Debug)]
pub struct Trickle<'a> {
    /// What is left.
    pub rest: &'a [u8],
    /// How many at most; 1 or more.
    pub step: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.step.min(self.rest.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest = &self.rest[count..];
        Ok(count)
    }
}
