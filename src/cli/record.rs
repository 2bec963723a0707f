//! `record`: stores the bytes that one router sends until its session ends or the user stops it.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::SIGTERM;

use super::command::{CommandError, counted, print, say};
use crate::config::Settings;
use crate::session::frame::FrameBuffer;
use crate::session::other_protocol::{NotBmp, OtherProtocol};

/// The interval at which Ctrl-C is checked.
const TICK: Duration = Duration::from_millis(100);

/// The address to listen on and the file to write.
#[derive(Args, Debug)]
pub(crate) struct RecordArguments {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Stop after this many bytes
    #[arg(long, value_name = "N", default_value_t = 1 << 30)]
    max_bytes: u64,
}

/// Waits for one router, stores its bytes, and prints how many there were.
pub(super) fn run(arguments: &RecordArguments, settings: &Settings) -> Result<(), CommandError> {
    let failed = |error: io::Error| CommandError::Failed(format!("{}: {error}", arguments.out.display()));
    let stop = Arc::new(AtomicBool::new(false));
    let interrupted = Arc::clone(&stop);
    ctrlc::set_handler(move || interrupted.store(true, Ordering::Relaxed))
        .map_err(|error| CommandError::Failed(format!("Ctrl-C: {error}")))?;
    signal_hook::flag::register(SIGTERM, Arc::clone(&stop))
        .map_err(|error| CommandError::Failed(format!("SIGTERM: {error}")))?;
    let listener = TcpListener::bind(arguments.listen)
        .map_err(|error| CommandError::Failed(format!("--listen {}: {error}", arguments.listen)))?;
    // The file is created only now, so that a port in use leaves no empty file.
    let file = File::create_new(&arguments.out).map_err(failed)?;

    let Some((stream, source)) = accept(&listener, &stop).map_err(failed)? else {
        return print("recorded nothing: no router connected\n");
    };
    drop(listener);
    say(format_args!("recording {source}"));
    let mut recording = Recording { stream, out: BufWriter::new(file), bytes: 0, bytes_max: arguments.max_bytes };
    let (messages, end) = store(&mut recording, settings.max_message_bytes, &stop);
    // Regardless of the reason for the end, the received bytes are kept.
    recording.out.flush().and_then(|()| recording.out.get_ref().sync_all()).map_err(failed)?;
    let said = format!(
        "recorded {}, {} from {source} in {}",
        counted(recording.bytes, "byte"),
        counted(messages, "message"),
        arguments.out.display()
    );
    match end {
        End::Closed => print(&format!("{said}\n")),
        End::Stopped => print(&format!("{said}; stopped before the router closed its session\n")),
        End::Full => print(&format!("{said}; stopped at --max-bytes\n")),
        End::Failed(error) => Err(CommandError::Failed(format!("{said}; then: {error}"))),
    }
}

/// Returns the first router that connects; `None` if the user stops the command.
fn accept(listener: &TcpListener, stop: &AtomicBool) -> io::Result<Option<(TcpStream, IpAddr)>> {
    say(format_args!("waiting for a router on {}", listener.local_addr()?));
    listener.set_nonblocking(true)?;
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, source)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(TICK))?;
                return Ok(Some((stream, source.ip().to_canonical())));
            }
            Err(error) if is_nothing_yet(&error) => thread::sleep(TICK),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A stream whose bytes are also written to the file as they are read.
struct Recording {
    stream: TcpStream,
    out: BufWriter<File>,
    bytes: u64,
    bytes_max: u64,
}

impl Read for Recording {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.bytes_max - self.bytes).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.stream.read(&mut buffer[..wanted])?;
        self.out.write_all(&buffer[..count])?;
        self.bytes += u64::try_from(count).expect("a slice's length fits 64 bits");
        Ok(count)
    }
}

enum End {
    Closed,
    Stopped,
    Full,
    Failed(io::Error),
}

/// Reads to the end and counts complete messages, as long as the stream is BMP.
fn store(recording: &mut Recording, message_max: usize, stop: &AtomicBool) -> (u64, End) {
    let mut frames = FrameBuffer::new(message_max);
    let mut ignored = vec![0; 64 * 1024];
    let (mut messages, mut is_bmp) = (0, true);
    loop {
        if recording.bytes >= recording.bytes_max {
            return (messages, End::Full);
        }
        if stop.load(Ordering::Relaxed) {
            return (messages, End::Stopped);
        }
        let read = if is_bmp { frames.fill(recording) } else { recording.read(&mut ignored) };
        match read {
            Ok(0) => return (messages, End::Closed),
            Ok(_) => {}
            // In a pause the file is flushed, for readers of the file and in case of a kill.
            Err(error) if is_nothing_yet(&error) => {
                if let Err(error) = recording.out.flush() {
                    return (messages, End::Failed(error));
                }
            }
            // Some routers end a session this way.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return (messages, End::Closed),
            Err(error) => return (messages, End::Failed(error)),
        }
        while is_bmp {
            match frames.next_message() {
                Ok(Some(_)) => messages += 1,
                Ok(None) => break,
                Err(error) => {
                    let protocol = (messages == 0).then(|| OtherProtocol::of(frames.rest())).flatten();
                    let why = NotBmp { error, protocol };
                    say(format_args!("not BMP after {}: {why}; still recording", counted(messages, "message")));
                    is_bmp = false;
                }
            }
        }
    }
}

fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
