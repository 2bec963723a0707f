//! Decodes the bytes of the wire into messages. No I/O, no clock, no log, no SQL.
//!
//! [`bmp`] frames and decodes the BGP Monitoring Protocol (RFC 7854, 8671, 9069), [`bgp`] the OPEN and UPDATE
//! inside it. Nothing is allocated by a length from the wire before it is checked against the bytes available.

pub mod bgp;
pub mod bmp;
pub mod error;
pub mod reader;

pub(crate) use error::DecodeError;
