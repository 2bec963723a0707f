//! A router's bytes as they were meant: from the socket as they are, or out of TLS.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ConnectionCommon, ServerConnection};

use super::intake::Source;
use super::registry::Connection;

/// How long our half of a TLS handshake may wait for the router to take it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a session reads from. One read waits for the socket once at most, so that a session sees its timers.
pub struct RouterStream {
    connection: Arc<Connection>,
    tls: Option<Box<ServerConnection>>,
}

impl RouterStream {
    /// `tls`: the server's side of a handshake that has not begun; `None` takes the bytes as they are. A read waits for
    /// `tick` at most.
    ///
    /// # Errors
    /// The socket takes no time-out.
    pub fn new(
        connection: &Arc<Connection>,
        tick: Duration,
        tls: Option<ServerConnection>,
    ) -> io::Result<RouterStream> {
        let stream = RouterStream { connection: Arc::clone(connection), tls: tls.map(Box::new) };
        stream.socket()?.set_read_timeout(Some(tick))?;
        stream.socket()?.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(stream)
    }

    fn socket(&self) -> io::Result<&TcpStream> {
        self.connection.socket().ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl Read for RouterStream {
    /// 0 is the end; `WouldBlock` means that nothing came, or nothing but TLS's own.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.connection.socket().ok_or(ErrorKind::NotConnected)?;
        let count = match &mut self.tls {
            None => socket.read(buffer),
            Some(tls) => read_tls(socket, tls, buffer, &self.connection),
        }?;
        if count > 0 {
            self.connection.touch();
        }
        Ok(count)
    }
}

impl Source for RouterStream {
    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.socket()?.set_nonblocking(on)
    }

    fn close(&self) {
        // It may be closed already.
        let _ = self.socket().and_then(|socket| socket.shutdown(Shutdown::Both));
    }
}

fn read_tls(
    mut socket: &TcpStream,
    tls: &mut ConnectionCommon<rustls::server::ServerConnectionData>,
    buffer: &mut [u8],
    connection: &Connection,
) -> io::Result<usize> {
    match tls.reader().read(buffer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        // What is left of the last record, or the router's orderly end.
        result => return result,
    }
    if tls.read_tls(&mut socket)? == 0 {
        return Ok(0);
    }
    connection.touch();
    let state = tls.process_new_packets();
    // The router shall hear why, if it can still be told.
    while tls.wants_write() {
        match tls.write_tls(&mut socket) {
            Ok(_) => {}
            Err(_) if state.is_err() => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The spooler does not wait: the next read goes on.
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(io::Error::other(format!("TLS: {error}"))),
        }
    }
    state.map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("TLS: {}", describe(&error))))?;
    tls.reader().read(buffer)
}

fn describe(error: &rustls::Error) -> String {
    match error {
        // The first octet is none that a TLS record begins with.
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            "not TLS: plain BMP goes to RIB_INGESTER_BMP_LISTEN, or TLS is turned on at the router".to_owned()
        }
        error => error.to_string(),
    }
}
