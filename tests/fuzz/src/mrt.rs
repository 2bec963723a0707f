//! The MRT reader: any octets as a file. Whole BMP messages come of it, not many more octets than the file has, and the
//! same however the file arrives.

use std::io::Read;

use rib_ingester::mrt::replay::BmpStream;
use rib_ingester::mrt::survey::Survey;
use rib_ingester::wire::bmp;

use super::trickle::Trickle;

/// The largest number of octets that come of one octet: a route without attributes has eight in the file, and in its
/// message those of its prefix, of which there are at most 4,096, too.
const GROWTH_MAX: usize = 600;

/// The first octet chooses how many octets come at once.
pub fn check(input: &[u8]) {
    let Some((control, file)) = input.split_first() else { return };
    let whole = read(file, usize::MAX);
    assert_eq!(read(file, 1 << (control & 0x0f)), whole);
    let mut rest = &whole[..];
    while let Some(frame) = bmp::next_frame(rest, super::MESSAGE_MAX).unwrap() {
        bmp::decode(&frame).unwrap();
        rest = &rest[frame.bytes.len()..];
    }
    assert!(rest.is_empty(), "a message is cut short");
    assert!(whole.len() <= 4096 + GROWTH_MAX * file.len(), "{} of {}", whole.len(), file.len());
}

fn read(file: &[u8], step: usize) -> Vec<u8> {
    let mut stream = BmpStream::new(Trickle { rest: file, step }, Survey::of(file), "file");
    let mut out = Vec::new();
    stream.read_to_end(&mut out).unwrap();
    out
}
