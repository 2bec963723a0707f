//! `rib-ingester decode`: a stream of raw BMP octets to JSON lines, one per message.
//!
//! It uses the same decoder and the same tracking of peers as the collector, so the output matches what would be
//! stored. The stream is read in pieces: at most one message and one piece are in memory.

mod message;
mod routes;

use std::io::{self, Read, Write};

use serde_json::{Value, json};

use self::routes::{Object, StreamState};
use crate::model::text::printable_json;
use crate::wire::bmp::{self, COMMON_HEADER_SIZE, FrameError};

/// The number of octets that are read from the input at a time.
const PIECE: usize = 64 * 1024;

/// Prints every message of `input` as a line of JSON. A message longer than `max_message` octets ends the stream.
///
/// Returns whether the stream was whole: false if its last line is the fatal one.
///
/// # Errors
/// Reading or writing fails.
pub fn run(mut input: impl Read, mut out: impl Write, max_message: usize) -> io::Result<bool> {
    let mut lines = Lines::new(max_message, None);
    let mut piece = vec![0; PIECE];
    while !lines.is_broken() {
        match input.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => lines.push(&piece[..count], &mut out)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    lines.finish(&mut out)?;
    out.flush()?;
    Ok(!lines.is_broken())
}

/// The lines of one stream, printed as its octets arrive.
pub struct Lines {
    max_message: usize,
    /// The value of the field `stream`.
    name: Option<String>,
    heard: StreamState,
    /// Octets that are not printed yet: less than a message.
    buffer: Vec<u8>,
    /// The offset of the next message in the stream.
    offset: u64,
    index: u64,
    is_broken: bool,
}

impl Lines {
    /// Creates the lines of a stream from its beginning; a `name` is added to each of them.
    pub fn new(max_message: usize, name: Option<String>) -> Lines {
        Lines {
            max_message,
            name,
            heard: StreamState::default(),
            buffer: Vec::new(),
            offset: 0,
            index: 0,
            is_broken: false,
        }
    }

    /// Returns whether the fatal line is printed. Nothing follows it.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Returns the number of printed lines.
    pub fn count(&self) -> u64 {
        self.index
    }

    /// Continues at a later offset of the stream. Octets before it that are not printed are discarded.
    pub(crate) fn skip_to(&mut self, offset: u64) {
        if offset != self.offset + length(&self.buffer) {
            self.buffer.clear();
            self.offset = offset;
        }
    }

    /// Adds the next octets and prints the messages that are complete.
    ///
    /// # Errors
    /// Writing fails.
    pub fn push(&mut self, octets: &[u8], out: &mut impl Write) -> io::Result<()> {
        if self.is_broken {
            return Ok(());
        }
        self.buffer.extend_from_slice(octets);
        let buffer = std::mem::take(&mut self.buffer);
        let mut unread = &buffer[..];
        loop {
            match bmp::next_frame(unread, self.max_message) {
                Ok(Some(frame)) => {
                    let line = message::line(&frame, self.offset, &mut self.heard);
                    self.print(line, out)?;
                    self.offset += length(frame.bytes);
                    unread = &unread[frame.bytes.len()..];
                }
                Ok(None) => break,
                Err(error) => {
                    let (at, field) = match error {
                        FrameError::Version(_) => (0, "version"),
                        FrameError::Length(_) => (1, "message length"),
                    };
                    let at = self.offset + at;
                    return self.break_off(&json!({ "offset": at, "field": field, "message": error.to_string() }), out);
                }
            }
        }
        let printed = buffer.len() - unread.len();
        self.buffer = buffer;
        self.buffer.drain(..printed);
        Ok(())
    }

    /// Ends the stream; if it ends inside a message, prints that as the last line.
    ///
    /// # Errors
    /// Writing fails.
    pub fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.is_broken || self.buffer.is_empty() {
            return Ok(());
        }
        self.break_off(&cut_short(&self.buffer, self.offset), out)
    }

    fn break_off(&mut self, error: &Value, out: &mut impl Write) -> io::Result<()> {
        self.is_broken = true;
        self.print(Object::from_iter([("error".into(), error.clone()), ("fatal".into(), json!(true))]), out)
    }

    fn print(&mut self, mut line: Object, out: &mut impl Write) -> io::Result<()> {
        line.insert("index".into(), json!(self.index));
        line.insert("offset".into(), json!(self.offset));
        if let Some(name) = &self.name {
            line.insert("stream".into(), json!(name));
        }
        self.index += 1;
        let line = serde_json::to_string(&line)?;
        out.write_all(printable_json(&line).as_bytes())?;
        out.write_all(b"\n")
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory fits into 64 bits")
}

/// Returns the error of a stream that ends inside a message, at the first octet that is missing.
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

    /// An input that returns one octet at a time, interrupted before each.
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
