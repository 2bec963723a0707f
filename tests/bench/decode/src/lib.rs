//! Measures how fast and with how many allocations a full table is decoded, by ours and by other decoders.
//!
//! Every contestant gets the same bytes and has to show the same [`Tally`] of what it found in them, so none can be
//! quick by leaving something out. Time is the CPU time of the one thread that works.

pub mod clock;
pub mod contestants;
#[path = "../../../common/generate.rs"]
pub mod generate;
pub mod tally;
pub mod worst;

use std::io;

use bytes::Bytes;
use generate::{Options, Written};

/// A generated table in memory, in the form that costs none of the contestants a copy.
///
/// # Errors
/// None that memory can give.
pub fn table(options: &Options) -> io::Result<(Bytes, Written)> {
    let mut bytes = Vec::new();
    let written = generate::write_table(&mut bytes, options)?;
    Ok((bytes.into(), written))
}
