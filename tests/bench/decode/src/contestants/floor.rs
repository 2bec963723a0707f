//! Floors: what the bytes alone cost.

use std::hint::black_box;

use bytes::Bytes;
use rib_ingester::wire::bmp;

use super::Done;

/// Octets of one read.
const READ: usize = 1 << 16;

/// Octets of BMP common header, per-peer header, BGP header.
const BEFORE_UPDATE: usize = 6 + 42 + 19;

/// Copies everything, piece by piece into one buffer, as reads from a socket would.
pub fn copy(stream: &Bytes) -> Done {
    let mut buffer = vec![0; READ];
    for piece in stream.chunks(READ) {
        black_box(&mut buffer)[..piece.len()].copy_from_slice(piece);
    }
    Done::Floor(stream.len() as u64)
}

/// Cuts the messages.
pub fn frame(stream: &Bytes) -> Done {
    let mut rest = &stream[..];
    let mut count = 0;
    while let Ok(Some(frame)) = bmp::next_frame(rest, 1 << 20) {
        rest = &rest[frame.bytes.len()..];
        count += u64::from(black_box(frame).version == 3);
    }
    Done::Floor(count)
}

/// Adds up every announced prefix, and does nothing else; made for well-formed messages.
pub fn walk(stream: &Bytes) -> Done {
    let mut rest = &stream[..];
    let mut sum = 0u64;
    let mut count = 0u64;
    while let [_, a, b, c, d, kind, ..] = *rest {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let (message, tail) = rest.split_at(length);
        rest = tail;
        if kind == 0 {
            let body = &message[BEFORE_UPDATE..];
            let size = usize::from(u16::from_be_bytes([body[2], body[3]]));
            let (attributes, nlri) = body[4..].split_at(size);
            add(nlri, &mut sum, &mut count);
            let mut rest = attributes;
            while let [flags, code, ..] = *rest {
                let (begin, length) = match flags & 0x10 {
                    0 => (3, usize::from(rest[2])),
                    _ => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                };
                let value = &rest[begin..begin + length];
                if code == 14 {
                    add(&value[5 + usize::from(value[3])..], &mut sum, &mut count);
                }
                rest = &rest[begin + length..];
            }
        }
    }
    black_box(sum);
    Done::Floor(count)
}

fn add(mut nlri: &[u8], sum: &mut u64, count: &mut u64) {
    while let [bits, rest @ ..] = nlri {
        let (octets, tail) = rest.split_at(usize::from(bits.div_ceil(8)));
        *sum = sum.wrapping_add(octets.iter().fold(u64::from(*bits), |sum, octet| sum << 8 | u64::from(*octet)));
        *count += 1;
        nlri = tail;
    }
}
