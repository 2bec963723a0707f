//! `replay`: plays raw BMP bytes to a collector as a router would.
//!
//! The bytes are sent unchanged, BMP or not; they are cut into messages only to count and to pace them. From a packet
//! capture, one stream with its whole messages is played; an MRT file is played as the messages of the collector that
//! wrote it. At the end the sending side is closed and the collector is given time to read up to it, so that nothing is
//! lost to a reset.

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::capture::{self, Input, OneStream, Port};
use super::command::{CommandError, counted, nothing_in, print, say};
use super::mrt_input::{self, Told};
use crate::config::Settings;
use crate::session::frame::FrameBuffer;

/// The time for which a collector that does not listen yet is retried.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two tries to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The number of bytes that are sent at a time at full speed.
const SEND_SIZE: usize = 256 * 1024;

/// The time that a collector may take to read up to the end after the last byte was sent.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

/// The time that a collector that refuses the session has to close it, before the sending side is closed: afterwards a
/// refusal cannot be distinguished from a collector that has read everything. A collector that does not allow the
/// address closes as soon as it accepts.
const VERDICT_PATIENCE: Duration = Duration::from_millis(200);

/// The file to play, the collector, and the speed.
#[derive(Args, Debug)]
pub(crate) struct ReplayArguments {
    /// The file, raw BMP, pcap, pcapng or MRT, compressed with gzip or bzip2 or not, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    port: Port,
    /// Of an MRT file: the router's BGP identifier; unset: the collector's in the file
    #[arg(long, value_name = "ADDRESS")]
    router_id: Option<Ipv4Addr>,
    /// In a pcap or pcapng capture: the TCP stream's number, from 1; other streams are listed at the end
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    stream: u64,
    /// The collector
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// Messages per second; unset: as fast as the collector reads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    speed: Option<u32>,
    /// Keep the session open for this many seconds after the last byte
    #[arg(long, value_name = "SECS", default_value_t = 0)]
    hold: u32,
}

/// Plays the file and prints how much was sent.
pub(super) fn run(arguments: &ReplayArguments, settings: &Settings) -> Result<(), CommandError> {
    let subject = arguments.file.display().to_string();
    let to = addresses(&arguments.to)?;
    let (input, length) = match mrt_input::tell(&arguments.file)? {
        Told::Mrt(input) => {
            let mut stream = input.survey(&arguments.file, arguments.router_id)?;
            play(arguments, &to, settings, &mut stream, None)?;
            return mrt_input::finish(&stream, &subject);
        }
        Told::Other(input, length) => (input, length),
    };
    let told = capture::tell(input, &arguments.port, settings.max_message_bytes);
    match told.map_err(|error| failed(&subject, &error))? {
        Input::Empty => Err(nothing_in(&arguments.file)),
        Input::Raw(_) if arguments.stream > 1 => {
            let line = format!("--stream {}: {subject} is not a capture: it has one stream", arguments.stream);
            Err(CommandError::Configuration(vec![line]))
        }
        Input::Raw(mut input) => play(arguments, &to, settings, &mut *input, length),
        Input::Capture(capture) => {
            let mut stream = OneStream::open(*capture, arguments.stream, &subject, &arguments.port)?;
            play(arguments, &to, settings, &mut stream, None)?;
            stream.finish(&subject)
        }
    }
}

/// Plays `input`, whose length may be unknown.
fn play(
    arguments: &ReplayArguments,
    to: &[SocketAddr],
    settings: &Settings,
    input: &mut dyn Read,
    length: Option<u64>,
) -> Result<(), CommandError> {
    let stream = connect(&arguments.to, to)?;
    let mut player = Player {
        out: BufWriter::with_capacity(SEND_SIZE, &stream),
        frames: FrameBuffer::new(settings.max_message_bytes),
        pace: arguments.speed.map(Pace::new),
        bar: progress_bar(length),
        bytes: 0,
        messages: 0,
    };
    let played = player.play(input);
    player.bar.finish_and_clear();
    let sent = format!("{}, {}", counted(player.bytes, "byte"), counted(player.messages, "message"));
    match played {
        Ok(()) => {}
        Err(PlayError::Read(error)) => return Err(failed(&arguments.file.display(), &error)),
        Err(PlayError::Send(error)) => {
            return Err(CommandError::Failed(format!(
                "{}: {error} after {sent}: the collector closed the session, its log says why",
                arguments.to
            )));
        }
    }
    let hold = Duration::from_secs(arguments.hold.into()).max(VERDICT_PATIENCE);
    finish(&stream, hold).map_err(|error| failed(&arguments.to, &format!("{error} (sent {sent})")))?;
    if player.messages == 0 {
        let line = format!("no BMP message in it; sent {sent} to {} unchanged", arguments.to);
        return Err(failed(&arguments.file.display(), &line));
    }
    print(&format!("sent {sent} to {}\n", arguments.to))
}

fn failed(subject: &dyn std::fmt::Display, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::Failed(format!("{subject}: {error}"))
}

fn addresses(to: &str) -> Result<Vec<SocketAddr>, CommandError> {
    match to.to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            Err(CommandError::Configuration(vec![format!("--to {to}: {error}; allowed: HOST:PORT")]))
        }
        Err(error) => Err(failed(&to, &error)),
    }
}

/// Connects, with retries: a collector that was started a moment ago may not listen yet.
fn connect(to: &str, addresses: &[SocketAddr]) -> Result<TcpStream, CommandError> {
    let deadline = Instant::now() + CONNECT_PATIENCE;
    loop {
        match TcpStream::connect(addresses) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| failed(&to, &error))?;
                return Ok(stream);
            }
            Err(error) if Instant::now() >= deadline => return Err(failed(&to, &error)),
            Err(_) => thread::sleep(CONNECT_PAUSE),
        }
    }
}

fn progress_bar(length: Option<u64>) -> ProgressBar {
    // The progress bar is drawn on standard error; a pipe or a file gets none.
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template).expect("the template is a constant that works");
    match length {
        Some(length) => ProgressBar::with_draw_target(Some(length), target).with_style(style),
        None => ProgressBar::with_draw_target(None, target),
    }
}

/// The transfer of the bytes from the file to the socket.
struct Player<'a> {
    /// Many small messages are sent in one call, unless they are paced.
    out: BufWriter<&'a TcpStream>,
    frames: FrameBuffer,
    pace: Option<Pace>,
    bar: ProgressBar,
    bytes: u64,
    messages: u64,
}

enum PlayError {
    Read(io::Error),
    Send(io::Error),
}

impl Player<'_> {
    fn play(&mut self, input: &mut dyn Read) -> Result<(), PlayError> {
        let mut input = input;
        while self.frames.fill(&mut input).map_err(PlayError::Read)? > 0 {
            if self.send_messages().map_err(PlayError::Send)? == Framing::OutOfStep {
                return self.play_unframed(input);
            }
        }
        // A message that is cut short at the end of the file is sent too: the collector decides about it.
        let rest = self.frames.rest().to_vec();
        self.send(&rest).map_err(PlayError::Send)
    }

    fn send_messages(&mut self) -> io::Result<Framing> {
        loop {
            let message = match self.frames.next_message() {
                Ok(Some(frame)) => frame.bytes,
                Ok(None) => {
                    self.out.flush()?;
                    return Ok(Framing::InStep);
                }
                Err(_) => return Ok(Framing::OutOfStep),
            };
            if let Some(pace) = &self.pace {
                pace.wait_for(self.messages);
            }
            self.out.write_all(message)?;
            if self.pace.is_some() {
                self.out.flush()?;
            }
            self.messages += 1;
            self.bytes += length(message);
            self.bar.set_position(self.bytes);
        }
    }

    /// Sends the rest without pacing, because it cannot be cut into messages.
    fn play_unframed(&mut self, input: &mut dyn Read) -> Result<(), PlayError> {
        say(format_args!("byte {} begins no BMP message; sending the rest unchanged", self.bytes));
        let rest = self.frames.rest().to_vec();
        self.send(&rest).map_err(PlayError::Send)?;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match input.read(&mut chunk).map_err(PlayError::Read)? {
                0 => return Ok(()),
                count => self.send(&chunk[..count]).map_err(PlayError::Send)?,
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()?;
        self.bytes += length(bytes);
        self.bar.set_position(self.bytes);
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Framing {
    InStep,
    OutOfStep,
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a slice's length fits 64 bits")
}

/// Message n is due n / speed seconds after the start: a late one does not delay those after it.
struct Pace {
    start: Instant,
    per_second: u32,
}

impl Pace {
    fn new(per_second: u32) -> Pace {
        Pace { start: Instant::now(), per_second }
    }

    fn wait_for(&self, message: u64) {
        let per_second = u64::from(self.per_second);
        let part = Duration::from_secs(message % per_second) / self.per_second;
        let due = self.start + Duration::from_secs(message / per_second) + part;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Keeps the session open, closes the sending side, and waits until the collector has closed its own.
fn finish(stream: &TcpStream, hold: Duration) -> io::Result<()> {
    if wait_for_close(stream, hold)? == Close::Seen {
        return Err(io::Error::other("the collector closed the session, its log says why"));
    }
    match stream.shutdown(Shutdown::Write) {
        // The collector has closed the session a moment earlier.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            return Err(io::Error::other("the collector closed the session, its log says why"));
        }
        result => result?,
    }
    match wait_for_close(stream, DRAIN_PATIENCE)? {
        Close::Seen => Ok(()),
        Close::NotSeen => {
            say(format_args!("everything is sent, but the collector has not read to the end yet"));
            Ok(())
        }
    }
}

#[derive(PartialEq, Eq)]
enum Close {
    Seen,
    NotSeen,
}

fn wait_for_close(mut stream: &TcpStream, patience: Duration) -> io::Result<Close> {
    let deadline = Instant::now() + patience;
    let mut ignored = [0; 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Close::NotSeen);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut ignored) {
            Ok(0) => return Ok(Close::Seen),
            // BMP sends nothing to a router (RFC 7854 section 3.2), but reading it costs nothing.
            Ok(_) => {}
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                io::ErrorKind::ConnectionReset => {
                    return Err(io::Error::other(
                        "the collector reset the session before it had read all; its log says why",
                    ));
                }
                _ => return Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_spreads_messages_over_the_second() {
        let pace = Pace::new(100);
        pace.wait_for(5);
        assert!(pace.start.elapsed() >= Duration::from_millis(50));
    }
}
