//! The bytes of one session, cut into BMP messages.

use std::io::{self, Read};

use crate::wire::bmp::{self, Frame, FrameError};

/// Size of one read from the socket, bytes.
const READ_SIZE: usize = 64 * 1024;

/// The largest window that is kept after a long message, bytes; a larger one shrinks to one read.
const KEPT_MAX: usize = 256 * 1024;

/// A growing window over a byte stream: filled at its end, emptied by whole messages at its front.
///
/// It has the size of one read unless a message is longer, and is never larger than one read plus the longest message
/// allowed.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    message_max: usize,
}

impl FrameBuffer {
    /// Creates an empty window; `message_max` is the longest BMP message accepted, bytes.
    pub fn new(message_max: usize) -> FrameBuffer {
        FrameBuffer { bytes: vec![0; READ_SIZE], start: 0, end: 0, message_max }
    }

    /// Reads once from the stream; returns 0 at its end.
    ///
    /// # Errors
    /// The error of `read`; `WouldBlock` and `TimedOut` mean that nothing arrived in time.
    pub fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == 0 && self.bytes.len() > KEPT_MAX {
            self.bytes.truncate(READ_SIZE);
            self.bytes.shrink_to_fit();
        }
        if self.bytes.len() - self.end < READ_SIZE / 2 {
            // Only a message longer than half a read gets here; `next_message` has checked its length.
            let larger = (self.bytes.len() * 2).min(self.message_max + READ_SIZE);
            self.bytes.resize(larger.max(self.bytes.len()), 0);
        }
        let count = stream.read(&mut self.bytes[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Returns the next whole message, if one has arrived.
    ///
    /// # Errors
    /// A wrong version or an impossible length: the next message boundary cannot be found.
    pub fn next_message(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        match bmp::next_frame(&self.bytes[self.start..self.end], self.message_max)? {
            None => Ok(None),
            Some(frame) => {
                self.start += frame.bytes.len();
                Ok(Some(frame))
            }
        }
    }

    /// Removes all whole messages and returns their bytes and their number.
    ///
    /// # Errors
    /// As [`FrameBuffer::next_message`], once the whole messages before the faulty one are taken.
    pub(crate) fn take_whole(&mut self) -> Result<(Box<[u8]>, usize), FrameError> {
        let (start, mut messages) = (self.start, 0);
        loop {
            match self.next_message() {
                Ok(Some(_)) => messages += 1,
                Err(error) if messages == 0 => return Err(error),
                Ok(None) | Err(_) => return Ok((self.bytes[start..self.start].into(), messages)),
            }
        }
    }

    /// Returns true if the beginning of a message has arrived without its end.
    pub fn is_inside_message(&self) -> bool {
        self.end > self.start
    }

    /// Returns the memory that it uses beyond one read, which every session has, bytes.
    pub(super) fn extra(&self) -> usize {
        self.bytes.capacity().saturating_sub(READ_SIZE)
    }

    /// Returns the bytes that do not form a whole message yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![3];
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.push(5);
        bytes.resize(length, 0xab);
        bytes
    }

    #[test]
    fn messages_come_whole_however_the_bytes_arrive() {
        let lengths = [6, 7, 100, 400_000, 6, 900_000, 48];
        let stream: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
        for step in [1_000, 65_536, usize::MAX] {
            let mut reader = Trickle(&stream, step);
            let mut buffer = FrameBuffer::new(1 << 20);
            let mut got = Vec::new();
            while buffer.fill(&mut reader).unwrap() > 0 {
                while let Some(frame) = buffer.next_message().unwrap() {
                    got.push(frame.bytes.len());
                }
            }
            assert_eq!((got.as_slice(), buffer.is_inside_message()), (lengths.as_slice(), false));
        }
    }

    #[test]
    fn a_long_message_does_not_leave_a_large_window() {
        let stream = [message(900_000), message(6)].concat();
        let mut reader = Trickle(&stream, 65_536);
        let mut buffer = FrameBuffer::new(1 << 20);
        let mut largest = 0;
        while buffer.fill(&mut reader).unwrap() > 0 {
            while buffer.next_message().unwrap().is_some() {}
            largest = largest.max(buffer.extra());
        }
        assert!(largest >= 900_000 - READ_SIZE, "{largest}");
        assert_eq!(buffer.extra(), 0);
    }

    #[test]
    fn a_length_of_4_gib_fails_before_more_is_read() {
        let mut buffer = FrameBuffer::new(1 << 20);
        buffer.fill(&mut &[3, 0xff, 0xff, 0xff, 0xff, 0, 1, 2][..]).unwrap();
        assert_eq!(buffer.next_message(), Err(FrameError::Length(u32::MAX)));
    }
}
