//! Writes the texts of database columns directly into a buffer.
//!
//! A full table has millions of numbers in it. `write!` handles padding, signs and widths for each of them and costs
//! several times as much as the digits, so the types whose texts fill the database write themselves with this trait,
//! and their `Display` is the same text.

use std::fmt;
use std::net::Ipv4Addr;

/// A value that has a text in a column of the database.
pub(crate) trait WriteText {
    /// Appends that text, UTF-8.
    fn write_text(&self, out: &mut Vec<u8>);
}

/// Writes the same text to a formatter, for [`fmt::Display`].
///
/// # Errors
/// Writing to `f` fails.
pub fn display(value: &impl WriteText, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut out = Vec::new();
    value.write_text(&mut out);
    f.write_str(&String::from_utf8_lossy(&out))
}

/// Writes the decimal digits of a number.
#[inline]
pub(crate) fn write_number(out: &mut Vec<u8>, number: u32) {
    const EIGHT_DIGITS: u32 = 100_000_000;
    if number < EIGHT_DIGITS {
        write_digits(out, eight_digits(number));
    } else {
        write_digits(out, eight_digits(number / EIGHT_DIGITS));
        out.extend_from_slice(&(eight_digits(number % EIGHT_DIGITS) | ASCII).to_be_bytes());
    }
}

/// The bits that turn eight digits into ASCII.
const ASCII: u64 = 0x3030_3030_3030_3030;

/// Writes the digits without leading zeros. Eight octets are copied whatever the number of digits: a copy of a known
/// length is one store, and numbers of all lengths alternate in a column, so a branch would not be predicted.
#[inline]
fn write_digits(out: &mut Vec<u8>, digits: u64) {
    // The last digit is not a leading zero.
    let zeros = (digits | 1).leading_zeros() / 8;
    out.extend_from_slice(&((digits | ASCII) << (8 * zeros)).to_be_bytes());
    out.truncate(out.len() - zeros as usize);
}

/// Returns the eight decimal digits of a number below 10^8 as an octet each, the first in the top octet.
///
/// Halves of four digits are split into halves of two and those into digits, all lanes of the word at once. Divisions
/// by 100 and 10 are multiplications by 10486/2^20 and 103/2^10, exact for dividends below 10,000 and 100.
#[inline]
fn eight_digits(number: u32) -> u64 {
    let number = u64::from(number);
    let fours = (number / 10_000) << 32 | (number % 10_000);
    let hundreds = (fours * 10_486) >> 20 & 0x0000_007f_0000_007f;
    let twos = hundreds << 16 | (fours - 100 * hundreds);
    let tens = (twos * 103) >> 10 & 0x000f_000f_000f_000f;
    tens << 8 | (twos - 10 * tens)
}

/// Writes numbers separated by `between`.
#[inline]
pub(crate) fn write_numbers(out: &mut Vec<u8>, between: u8, numbers: impl IntoIterator<Item = u32>) {
    let start = out.len();
    for number in numbers {
        if out.len() > start {
            out.push(between);
        }
        write_number(out, number);
    }
}

/// Writes an address in dotted form.
pub(crate) fn write_ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    write_numbers(out, b'.', address.octets().map(u32::from));
}

/// Writes octets as lower-case hex, two digits each.
pub(crate) fn write_hex(out: &mut Vec<u8>, octets: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(octets.iter().flat_map(|octet| [octet >> 4, octet & 0xf]).map(|digit| DIGITS[usize::from(digit)]));
}

/// Returns lower-case hex, two digits per octet.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(2 * bytes.len());
    write_hex(&mut out, bytes);
    String::from_utf8(out).expect("digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_digits_and_no_others() {
        let powers = (0..10).map(|power| 10u32.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1]);
        // 9,973 is prime: every combination of low digits occurs.
        let spread = (0..u32::MAX).step_by(9_973);
        for number in near.chain(spread).chain([u32::MAX]) {
            let mut out = b"x".to_vec();
            write_number(&mut out, number);
            assert_eq!(out, format!("x{number}").as_bytes());
        }
    }

    #[test]
    fn lists_addresses_and_hex() {
        let mut out = Vec::new();
        write_numbers(&mut out, b':', []);
        write_numbers(&mut out, b':', [0]);
        write_numbers(&mut out, b':', [1, 65_536, 4_200_000_000]);
        write_ipv4(&mut out, Ipv4Addr::new(192, 0, 2, 255));
        write_hex(&mut out, &[0, 0xaf]);
        assert_eq!(out, b"01:65536:4200000000192.0.2.25500af");
    }
}
