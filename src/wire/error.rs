//! What is wrong with a message, and where.

use std::borrow::Cow;
use std::fmt;

/// A message, or a part of one, that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Octets from the start of the bytes that were given to the decoder.
    pub offset: usize,
    /// The field, in the words of its RFC.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: Cow<'static, str>,
}

impl Error {
    /// An error at `offset`.
    pub fn new(offset: usize, field: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
        Error { offset, field, message: message.into() }
    }

    /// The same error, seen from `by` octets before.
    pub fn shifted(self, by: usize) -> Error {
        Error { offset: self.offset + by, ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {}: {}", self.field, self.offset, self.message)
    }
}

impl std::error::Error for Error {}
