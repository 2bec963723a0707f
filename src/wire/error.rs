//! The decoding error: the field that is malformed, its offset and the reason.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A message, or a part of one, that cannot be decoded. The content is boxed, so that a `Result` is no larger than
/// its good value requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<ErrorContent>);

/// The content of an [`DecodeError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorContent {
    /// Octets from the start of the bytes that were passed to the decoder.
    pub offset: usize,
    /// The field's name, as in its RFC.
    pub field: &'static str,
    /// The reason for which the field is malformed.
    pub message: Cow<'static, str>,
}

impl DecodeError {
    /// Returns an error at `offset`.
    #[cold]
    pub fn new(offset: usize, field: &'static str, message: impl Into<Cow<'static, str>>) -> DecodeError {
        DecodeError(Box::new(ErrorContent { offset, field, message: message.into() }))
    }

    /// Returns the same error with an offset that is counted from `by` octets earlier.
    pub fn shifted(mut self, by: usize) -> DecodeError {
        self.0.offset += by;
        self
    }
}

impl Deref for DecodeError {
    type Target = ErrorContent;

    fn deref(&self) -> &ErrorContent {
        &self.0
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {}: {}", self.field, self.offset, self.message)
    }
}

impl std::error::Error for DecodeError {}
