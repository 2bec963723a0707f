//! The plaintext bytes from a router: read directly from the socket, or through TLS.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;

/// The time that a write of TLS data may wait for the router to accept it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The source that a session reads from. A read waits for the socket once at most, so that the session can check its
/// timers.
pub(crate) struct RouterStream {
    connection: Arc<Connection>,
    tls: Option<Box<rustls::Connection>>,
}

impl RouterStream {
    /// Returns the stream of a connection. `tls` is our side of a handshake that has not begun; `None` reads
    /// the bytes directly. A read waits for `tick` at most.
    ///
    /// # Errors
    /// The socket is not connected, or its timeouts cannot be set.
    pub fn new(
        connection: &Arc<Connection>,
        tick: Duration,
        tls: Option<rustls::Connection>,
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
    /// Returns 0 at the end; `WouldBlock` means that no data arrived, or only TLS's own.
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

fn read_tls(
    mut socket: &TcpStream,
    tls: &mut rustls::Connection,
    buffer: &mut [u8],
    connection: &Connection,
) -> io::Result<usize> {
    match tls.reader().read(buffer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        // The rest of the last record, or the router's orderly close.
        result => return result,
    }
    // A client speaks first.
    write_tls(socket, tls)?;
    if tls.read_tls(&mut socket)? == 0 {
        return Ok(0);
    }
    connection.touch();
    let state = tls.process_new_packets();
    // Send the router an alert with the reason, if it can still receive it.
    let written = write_tls(socket, tls);
    let is_client = crate::tls::is_client(tls);
    state.map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("TLS: {}", describe(&error, is_client))))?;
    written?;
    tls.reader().read(buffer)
}

fn write_tls(mut socket: &TcpStream, tls: &mut rustls::Connection) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(&mut socket) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(io::Error::other(format!("TLS: {error}"))),
        }
    }
    Ok(())
}

fn describe(error: &rustls::Error, is_client: bool) -> String {
    match error {
        // No TLS record begins with the first octet.
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => match is_client {
            true => "not TLS: remove tls:// from RIB_INGESTER_CONNECT, or enable TLS on the router".to_owned(),
            false => "not TLS: send plain BMP to RIB_INGESTER_BMP_LISTEN, or enable TLS on the router".to_owned(),
        },
        error => error.to_string(),
    }
}
