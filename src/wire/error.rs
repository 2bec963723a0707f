//! What is wrong with a message, and where.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A message, or a part of one, that cannot be read. In a box, so that what can be read is not moved about at the size of
/// what can be wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Mistake>);

/// What an [`Error`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Octets from the start of the bytes that were given to the decoder.
    pub offset: usize,
    /// The field, in the words of its RFC.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: Cow<'static, str>,
}

impl Error {
    /// An error at `offset`.
    #[cold]
    pub fn new(offset: usize, field: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Mistake { offset, field, message: message.into() }))
    }

    /// The same error, seen from `by` octets before.
    pub fn shifted(mut self, by: usize) -> Error {
        self.0.offset += by;
        self
    }
}

impl Deref for Error {
    type Target = Mistake;

    fn deref(&self) -> &Mistake {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {}: {}", self.field, self.offset, self.message)
    }
}

impl std::error::Error for Error {}
