//! Column texts written straight into a buffer.
//!
//! A full table has millions of numbers in it. `write!` settles padding, signs and widths for each of them and costs
//! several times what the digits do, so the types whose texts fill the database write themselves with this trait,
//! and their `Display` is the same text.

use std::fmt::{self, Write};

/// A value that has a text in a column of the database.
pub trait WriteText {
    /// Writes that text.
    ///
    /// # Errors
    /// What `out` says; a buffer in memory has none to say.
    fn write_text(&self, out: &mut impl Write) -> fmt::Result;
}

/// Writes the decimal digits of a number.
///
/// # Errors
/// What `out` says.
pub fn write_number(out: &mut impl Write, number: u32) -> fmt::Result {
    out.write_str(itoa::Buffer::new().format(number))
}

/// Writes numbers with `between` them.
///
/// # Errors
/// What `out` says.
pub fn write_numbers(out: &mut impl Write, between: char, numbers: impl IntoIterator<Item = u32>) -> fmt::Result {
    let mut is_first = true;
    for number in numbers {
        if !is_first {
            out.write_char(between)?;
        }
        is_first = false;
        write_number(out, number)?;
    }
    Ok(())
}
