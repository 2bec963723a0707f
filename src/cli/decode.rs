//! `rib-ingester decode`: a stream of raw BMP octets to JSON lines, one per message.
//!
//! The same decoder and the same tracking of peers as in the collector, so what is printed here is what would be
//! stored. The stream is read piece by piece: no more than one message and one piece is in memory.

mod message;
mod open;
mod routes;

use std::io::{self, Read, Write};

use serde_json::{Map, Value, json};

use crate::session::peers::Peers;
use crate::wire::bmp::{self, COMMON_HEADER_SIZE, Frame, FrameError};

/// Octets asked of the input at once.
const PIECE: usize = 64 * 1024;

/// A JSON object that grows field by field.
type Object = Map<String, Value>;

/// Prints every message of `input` as a line of JSON. A message longer than `max_message` octets ends the stream.
///
/// Whether the stream was whole: false if its last line is the fatal one.
///
/// # Errors
/// Reading or writing fails.
pub fn run(input: impl Read, mut out: impl Write, max_message: usize) -> io::Result<bool> {
    let mut stream = Stream { input, buffer: Vec::new(), begin: 0, offset: 0, ended: false };
    let mut peers = Peers::new();
    for index in 0u64.. {
        let offset = stream.offset;
        let (mut line, length) = match stream.next(max_message)? {
            Next::End => break,
            Next::Frame(frame) => (message::line(&frame, offset, &mut peers), Some(frame.bytes.len())),
            Next::Broken(error) => {
                (Object::from_iter([("error".to_owned(), error), ("fatal".to_owned(), json!(true))]), None)
            }
        };
        line.insert("index".into(), json!(index));
        line.insert("offset".into(), json!(offset));
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
        match length {
            Some(length) => stream.skip(length),
            None => {
                out.flush()?;
                return Ok(false);
            }
        }
    }
    out.flush()?;
    Ok(true)
}

/// The input, as far as it is read and not yet printed.
struct Stream<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where the next message begins in `buffer`.
    begin: usize,
    /// Where the next message begins in the stream.
    offset: u64,
    ended: bool,
}

/// What comes next in the stream.
enum Next<'a> {
    Frame(Frame<'a>),
    /// The stream ends between two messages.
    End,
    /// No further message can be found; the error to print.
    Broken(Value),
}

impl<R: Read> Stream<R> {
    fn next(&mut self, max_message: usize) -> io::Result<Next<'_>> {
        // Asked twice, because the borrow checker does not see that a frame found ends the loop.
        while matches!(bmp::next_frame(&self.buffer[self.begin..], max_message), Ok(None)) && !self.ended {
            self.fill()?;
        }
        let unread = &self.buffer[self.begin..];
        Ok(match bmp::next_frame(unread, max_message) {
            Ok(Some(frame)) => Next::Frame(frame),
            Ok(None) if unread.is_empty() => Next::End,
            Ok(None) => Next::Broken(cut_short(unread, self.offset)),
            Err(error) => {
                let (at, field) = match error {
                    FrameError::Version(_) => (0, "version"),
                    FrameError::Length(_) => (1, "message length"),
                };
                Next::Broken(json!({ "offset": self.offset + at, "field": field, "message": error.to_string() }))
            }
        })
    }

    /// Reads one piece behind what is there.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + PIECE, 0);
        let got = loop {
            match self.input.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(old + *got.as_ref().unwrap_or(&0));
        self.ended = got? == 0;
        Ok(())
    }

    fn skip(&mut self, length: usize) {
        self.begin += length;
        self.offset += u64::try_from(length).expect("a length in memory fits into 64 bits");
    }
}

/// The error of a stream that ends inside a message, at the first octet that is missing.
fn cut_short(unread: &[u8], offset: u64) -> Value {
    let at = offset + u64::try_from(unread.len()).expect("a length in memory fits into 64 bits");
    let (field, wanted) = match unread {
        [_, a, b, c, d, _, ..] => ("message", u32::from_be_bytes([*a, *b, *c, *d]).to_string()),
        _ => ("common header", COMMON_HEADER_SIZE.to_string()),
    };
    json!({ "offset": at, "field": field, "message": format!("the stream ends after {} of {wanted} octets", unread.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (Vec<Value>, bool) {
        let mut out = Vec::new();
        let whole = run(bytes, &mut out, 1000).unwrap();
        (
            out.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect(),
            whole,
        )
    }

    #[test]
    fn a_stream_that_breaks_has_a_fatal_last_line() {
        let good = [3, 0, 0, 0, 8, 200, 1, 2];
        let check = |tail: &[u8], want: Value| {
            let (lines, whole) = decoded(&[&good[..], tail].concat());
            assert!(!whole);
            assert_eq!(lines[0]["type"], json!("unknown"));
            assert_eq!(lines[1], want);
        };
        let line = |offset: u64, field: &str, message: &str| {
            json!({ "index": 1, "offset": 8, "fatal": true,
                    "error": { "offset": offset, "field": field, "message": message } })
        };
        check(b"GET / HTTP/1.1", line(8, "version", "version 71 is not 3 or 4"));
        check(&[3, 0, 0, 0, 0, 0], line(9, "message length", "message length 0 is impossible or not accepted"));
        check(&[3, 0, 0], line(11, "common header", "the stream ends after 3 of 6 octets"));
        check(&[3, 0, 0, 0, 9, 0, 7], line(15, "message", "the stream ends after 7 of 9 octets"));
        assert!(decoded(&[&good[..], &good[..]].concat()).1);
        assert_eq!(decoded(&[]), (vec![], true));
    }

    /// An input that gives one octet at a time, interrupted before each.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = self.0.len().min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn pieces_of_any_size_make_the_same_lines() {
        let bytes = [[3, 0, 0, 0, 8, 200, 1, 2], [4, 0, 0, 0, 8, 201, 1, 2]].concat();
        let mut out = Vec::new();
        assert!(run(Slow(&bytes, false), &mut out, 1000).unwrap());
        let mut whole = Vec::new();
        assert!(run(&bytes[..], &mut whole, 1000).unwrap());
        assert_eq!(String::from_utf8(out), String::from_utf8(whole));
    }
}
