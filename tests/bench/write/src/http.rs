//! Requests to the collector's port, each on a connection of its own, as the collector answers one for each.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::Failure;

/// What an answer brought.
#[derive(Debug, Default)]
pub struct Received {
    /// Octets of the body.
    pub bytes: u64,
    /// Its line ends.
    pub lines: u64,
}

/// Asks and reads the answer to its end, without keeping it.
///
/// # Errors
/// The status is not 200, or the answer breaks off.
pub fn get(to: SocketAddr, target: &str, accept: &str) -> Result<Received, Failure> {
    let mut stream = TcpStream::connect(to)?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let status = line(&mut reader)?;
    let mut length = None;
    loop {
        let header = line(&mut reader)?.to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = Some(value.parse::<u64>()?),
            Some(_) => {}
            None => break,
        }
    }
    let mut received = Received::default();
    match length {
        Some(length) => part(&mut reader, length, &mut received)?,
        None => chunks(&mut reader, &mut received)?,
    }
    if status.split(' ').nth(1) == Some("200") { Ok(received) } else { Err(format!("{target}: {status}").into()) }
}

fn chunks(reader: &mut impl BufRead, received: &mut Received) -> Result<(), Failure> {
    loop {
        let length = u64::from_str_radix(&line(reader)?, 16)?;
        part(reader, length, received)?;
        line(reader)?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn part(reader: &mut impl BufRead, length: u64, received: &mut Received) -> Result<(), Failure> {
    let mut left = length;
    let mut buffer = [0; 64 * 1024];
    while left > 0 {
        let room = buffer.len().min(usize::try_from(left)?);
        let count = reader.read(&mut buffer[..room])?;
        if count == 0 {
            return Err("the answer breaks off".into());
        }
        received.lines += buffer[..count].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        left -= u64::try_from(count)?;
    }
    received.bytes += length;
    Ok(())
}

fn line(reader: &mut impl BufRead) -> Result<String, Failure> {
    let mut text = String::new();
    if reader.read_line(&mut text)? == 0 {
        return Err("the answer breaks off".into());
    }
    Ok(text.trim_end().to_owned())
}
