//! The frame reader: however the octets arrive, the same messages come out, and none is lost or made up.

use rib_ingester::session::frame::FrameBuffer;
use rib_ingester::wire::bmp::{self, FrameError};

use super::trickle::Trickle;

/// The first octet chooses how many octets arrive at once and how long a message may be; the rest is the stream.
pub fn check(input: &[u8]) {
    let Some((control, stream)) = input.split_first() else { return };
    let step = 1 << (control & 0x0f);
    let max = 6 << (control >> 4);
    let (want, want_end) = at_once(stream, max);
    let mut trickle = Trickle { rest: stream, step };
    let mut buffer = FrameBuffer::new(max);
    let mut got: Vec<&[u8]> = Vec::new();
    let mut consumed = 0;
    let end = loop {
        match buffer.next_message() {
            Ok(Some(frame)) => {
                let length = frame.bytes.len();
                assert_eq!(frame.bytes, &stream[consumed..consumed + length], "a frame is the stream's next octets");
                assert_eq!((frame.version, frame.type_code), (frame.bytes[0], frame.bytes[5]));
                got.push(&stream[consumed..consumed + length]);
                consumed += length;
            }
            Ok(None) => match buffer.fill(&mut trickle).unwrap() {
                0 => break None,
                count => assert!(count <= step),
            },
            Err(error) => break Some(error),
        }
    };
    assert_eq!((got, end), (want, want_end));
    assert!(stream[consumed..].starts_with(buffer.rest()), "what is no whole message yet is kept as it is");
    assert_eq!(buffer.is_inside_message(), !buffer.rest().is_empty());
}

/// The messages of a stream that is here as a whole, and what ends it.
fn at_once(mut stream: &[u8], max: usize) -> (Vec<&[u8]>, Option<FrameError>) {
    let mut all = Vec::new();
    loop {
        match bmp::next_frame(stream, max) {
            Ok(Some(frame)) => {
                assert!((bmp::COMMON_HEADER_SIZE..=max).contains(&frame.bytes.len()));
                all.push(frame.bytes);
                stream = &stream[frame.bytes.len()..];
            }
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}
