//! `decode` and `replay` of packet captures: the choice of the stream, reports about gaps, and hints if there is no
//! BMP.

use std::collections::HashMap;
use std::io::{self, Cursor, Read, Write};

use clap::Args;

use super::command::{CommandError, counted, say};
use super::decode;
use crate::capture::{self, Capture, Cut, Event, StreamId, Tally, streams};

/// The maximum number of gaps that are reported one by one; further ones are counted.
const GAPS_NAMED_MAX: u64 = 20;

/// The maximum number of streams that are listed; further ones are counted.
const LISTED_MAX: usize = 100;

/// The maximum number of ports that are suggested.
const GUESSES_MAX: usize = 10;

/// The TCP port of BMP in a capture.
#[derive(Args, Debug)]
pub struct Port {
    /// In a pcap or pcapng capture: the collector's TCP port
    #[arg(long, value_name = "PORT", default_value_t = 11019, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

/// An input whose first octets were read to detect its format.
pub(super) enum Input {
    /// An empty input.
    Empty,
    /// Raw BMP, or anything else that is not a capture.
    Raw(Box<dyn Read>),
    /// pcap or pcapng.
    Capture(Box<Capture<Box<dyn Read>>>),
}

/// Detects whether the input is a capture or raw BMP, without losing an octet of either.
pub(super) fn tell(mut input: Box<dyn Read>, port: &Port, message_max: usize) -> io::Result<Input> {
    let mut magic = Vec::new();
    (&mut input).take(4).read_to_end(&mut magic)?;
    let is_capture = magic.first_chunk().is_some_and(|magic| capture::is_capture(*magic));
    if magic.is_empty() {
        return Ok(Input::Empty);
    }
    let input: Box<dyn Read> = Box::new(Cursor::new(magic).chain(input));
    Ok(if is_capture {
        Input::Capture(Box::new(Capture::new(input, port.port, message_max)))
    } else {
        Input::Raw(input)
    })
}

/// Prints the messages of all streams. Returns whether all streams were whole, as far as the capture contains them.
pub(super) fn decode<R: Read>(
    mut capture: Capture<R>,
    subject: &str,
    port: &Port,
    message_max: usize,
    mut out: impl Write,
) -> Result<bool, CommandError> {
    let mut open: HashMap<StreamId, decode::Lines> = HashMap::new();
    let (mut notes, mut is_whole, mut count) = (Notes::default(), true, 0);
    let failed = |error: io::Error| CommandError::Failed(format!("standard output: {error}"));
    let end = loop {
        let written = match capture.next_event() {
            Ok(Some(Event::Cut(id, Cut::Messages { offset, bytes }))) => {
                let lines = open.entry(id).or_insert_with(|| decode::Lines::new(message_max, Some(id.to_string())));
                lines.skip_to(offset);
                lines.push(&bytes, &mut out)
            }
            Ok(Some(Event::Cut(id, Cut::Lost { from, to, missing }))) => {
                notes.gap(&id, from, to, missing);
                Ok(())
            }
            Ok(Some(Event::End(id, _))) => open.remove(&id).map_or(Ok(()), |mut lines| {
                let written = lines.finish(&mut out);
                is_whole &= !lines.is_broken();
                count += lines.count();
                written
            }),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
            result => result.map_err(failed)?,
        }
    };
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
        result => result.map_err(failed)?,
    }
    notes.finish();
    say_tally(&capture.tally());
    finish(end, subject)?;
    if count == 0 {
        return Err(nothing(subject, port, &capture.tally()));
    }
    Ok(is_whole)
}

/// Accepts a capture that ends inside a packet, which happens when the capture is stopped; a damaged one is a failure.
fn finish(end: Result<(), capture::CaptureError>, subject: &str) -> Result<(), CommandError> {
    match end {
        Ok(()) => Ok(()),
        Err(error @ capture::CaptureError::CutShort { .. }) => {
            say(format_args!("{subject}: {error}"));
            Ok(())
        }
        Err(error @ (capture::CaptureError::Read(_) | capture::CaptureError::Damaged { .. })) => {
            Err(CommandError::Failed(format!("{subject}: {error}")))
        }
    }
}

fn nothing(subject: &str, port: &Port, tally: &Tally) -> CommandError {
    let streams = match tally.streams {
        0 => "no data".to_string(),
        count => format!("no BMP message in {}", counted(count, "stream")),
    };
    let mut line = format!("{subject}: {streams} to TCP port {} in {}", port.port, counted(tally.packets, "packet"));
    let mut guesses: Vec<(u16, u64)> = tally.elsewhere.iter().map(|(port, count)| (*port, *count)).collect();
    guesses.sort_by_key(|(port, count)| (std::cmp::Reverse(*count), *port));
    if !guesses.is_empty() {
        let guesses: Vec<String> = (guesses.iter().take(GUESSES_MAX))
            .map(|(port, count)| format!("--port {port} ({})", counted(*count, "segment")))
            .collect();
        line.push_str(&format!("; what looks like BMP goes to other ports, try {}", guesses.join(", ")));
    }
    CommandError::Failed(line)
}

/// Reports the packets that were left out.
fn say_tally(tally: &Tally) {
    let left_out = [
        (tally.fragments, "IP fragment", "skipped: fragments are not reassembled"),
        (tally.unknown_link, "packet", "skipped: unknown link layer"),
    ];
    for (count, noun, why) in left_out.iter().filter(|(count, _, _)| *count > 0) {
        say(format_args!("{} {why}", counted(*count, noun)));
    }
    if tally.cut_off > 0 {
        let max = streams::STREAMS_MAX;
        say(format_args!("more than {max} streams at a time: {} cut off", counted(tally.cut_off, "idle stream")));
    }
}

/// The gaps, as reported on standard error.
#[derive(Default)]
struct Notes {
    gaps: u64,
}

impl Notes {
    fn gap(&mut self, stream: &StreamId, from: u64, to: u64, missing: u64) {
        self.gaps += 1;
        if self.gaps > GAPS_NAMED_MAX {
            return;
        }
        let what = match (missing, from) {
            (0, 0) => "begins in the middle of a message, which is skipped".to_string(),
            (0, _) => "no message found in them".to_string(),
            (missing, _) => {
                format!("{} not in the capture, the messages around them skipped", counted(missing, "byte"))
            }
        };
        say(format_args!("stream {stream}: bytes {from} to {}: {what}", to - 1));
    }

    fn finish(&self) {
        if self.gaps > GAPS_NAMED_MAX {
            say(format_args!("{} in all, {GAPS_NAMED_MAX} of them named above", counted(self.gaps, "gap")));
        }
    }
}

/// The octets of one stream of a capture, for `replay`.
///
/// At its end the whole capture has been read, so that its streams can be listed.
pub(super) struct OneStream<R> {
    capture: Capture<R>,
    number: u64,
    /// Octets that are read from the capture but not yet by the caller.
    ready: Cursor<Vec<u8>>,
    notes: Notes,
    /// The octets of every stream that is listed.
    others: Vec<(StreamId, u64)>,
    has_ended: bool,
    error: Option<capture::CaptureError>,
    has_octets: bool,
}

impl<R: Read> OneStream<R> {
    /// Opens the stream with this number, from 1. Reads up to its first octets, so that a wrong number is detected
    /// before anything is sent.
    pub(super) fn open(
        capture: Capture<R>,
        number: u64,
        subject: &str,
        port: &Port,
    ) -> Result<OneStream<R>, CommandError> {
        let mut stream = OneStream {
            capture,
            number,
            ready: Cursor::default(),
            notes: Notes::default(),
            others: Vec::new(),
            has_ended: false,
            error: None,
            has_octets: false,
        };
        stream.go_on();
        if stream.has_octets {
            return Ok(stream);
        }
        stream.finish(subject)?;
        let tally = stream.capture.tally();
        if number <= tally.streams || tally.streams == 0 {
            return Err(nothing(subject, port, &tally));
        }
        let streams = counted(tally.streams, "stream");
        Err(CommandError::Failed(format!("{subject}: no stream {number}; {streams} to TCP port {}", port.port)))
    }

    /// Reads the capture up to the next octets of the stream.
    fn go_on(&mut self) {
        while !self.has_ended {
            match self.capture.next_event() {
                Ok(Some(Event::Cut(id, cut))) if id.number == self.number => match cut {
                    Cut::Messages { bytes, .. } => {
                        self.ready = Cursor::new(bytes);
                        self.has_octets = true;
                        return;
                    }
                    Cut::Lost { from, to, missing } => self.notes.gap(&id, from, to, missing),
                },
                Ok(Some(Event::Cut(..))) => {}
                Ok(Some(Event::End(id, octets))) => {
                    if self.others.len() < LISTED_MAX {
                        self.others.push((id, octets));
                    }
                }
                Ok(None) => self.has_ended = true,
                Err(error) => (self.has_ended, self.error) = (true, Some(error)),
            }
        }
    }

    /// Lists the streams, if there are several, and reports what else the capture contains.
    pub(super) fn finish(&mut self, subject: &str) -> Result<(), CommandError> {
        self.notes.finish();
        let tally = self.capture.tally();
        self.others.sort_by_key(|(id, _)| id.number);
        if tally.streams > 1 || self.number > tally.streams {
            for (id, octets) in &self.others {
                let this = if id.number == self.number { " (this one)" } else { "" };
                say(format_args!("--stream {}: {id}, {}{this}", id.number, counted(*octets, "byte")));
            }
        }
        if tally.streams > u64::try_from(self.others.len()).unwrap_or(u64::MAX) {
            say(format_args!("{} in all", counted(tally.streams, "stream")));
        }
        say_tally(&tally);
        finish(self.error.take().map_or(Ok(()), Err), subject)
    }
}

impl<R: Read> Read for OneStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.ready.read(buffer)? {
                0 if !self.has_ended && !buffer.is_empty() => self.go_on(),
                count => return Ok(count),
            }
        }
    }
}
