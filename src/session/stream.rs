//! A router's bytes as they were meant: from the socket as they are, or out of TLS.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use rustls::{ConnectionCommon, ServerConnection};

/// How long our half of a TLS handshake may wait for the router to take it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a session reads from. One read waits for the socket once at most, so that a session sees its timers.
pub struct RouterStream<'a> {
    socket: &'a TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl RouterStream<'_> {
    /// `tls`: the server's side of a handshake that has not begun; `None` takes the bytes as they are.
    ///
    /// # Errors
    /// The socket takes no time-out.
    pub fn new(socket: &TcpStream, tls: Option<ServerConnection>) -> io::Result<RouterStream<'_>> {
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(RouterStream { socket, tls: tls.map(Box::new) })
    }
}

impl Read for RouterStream<'_> {
    /// 0 is the end; `WouldBlock` means that nothing came, or nothing but TLS's own.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => read_tls(self.socket, tls, buffer),
        }
    }
}

fn read_tls(
    mut socket: &TcpStream,
    tls: &mut ConnectionCommon<rustls::server::ServerConnectionData>,
    buffer: &mut [u8],
) -> io::Result<usize> {
    match tls.reader().read(buffer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        // What is left of the last record, or the router's orderly end.
        result => return result,
    }
    if tls.read_tls(&mut socket)? == 0 {
        return Ok(0);
    }
    let state = tls.process_new_packets();
    // The router shall hear why, if it can still be told.
    while tls.wants_write() {
        match tls.write_tls(&mut socket) {
            Ok(_) => {}
            Err(_) if state.is_err() => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(io::Error::other(format!("TLS: {error}"))),
        }
    }
    state.map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}")))?;
    tls.reader().read(buffer)
}
