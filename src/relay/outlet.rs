//! A connection to a station, in TCP or TLS. Nothing here waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// The longest time until the station has accepted the connection, and the TLS handshake is over.
const READY_TIME_MAX: Duration = Duration::from_secs(10);

/// A station that is dead is detected after 60 s + 6 times 10 s of silence on the wire, or when it has not acknowledged
/// octets for as long.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 6);

/// A connection to a station.
#[derive(Debug)]
pub(super) struct Outlet {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    is_connected: bool,
    began: Instant,
}

impl Outlet {
    /// Begins to connect.
    ///
    /// # Errors
    /// The system refuses at once.
    pub(super) fn begin(
        address: SocketAddr,
        tls: Option<&(Arc<ClientConfig>, ServerName<'static>)>,
    ) -> io::Result<Outlet> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let (idle, interval, probes) = KEEPALIVE;
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(idle + interval * probes))?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let tls = match tls {
            None => None,
            Some((config, name)) => {
                let connection = ClientConnection::new(Arc::clone(config), name.clone()).map_err(of_tls)?;
                Some(Box::new(connection))
            }
        };
        Ok(Outlet { socket: socket.into(), tls, is_connected: false, began: Instant::now() })
    }

    /// Goes on with connecting. Returns whether that is over.
    ///
    /// # Errors
    /// The station does not accept the connection, or not in time.
    pub(super) fn is_ready(&mut self) -> io::Result<bool> {
        if !self.is_connected {
            if let Some(error) = SockRef::from(&self.socket).take_error()? {
                return Err(error);
            }
            self.is_connected = self.socket.peer_addr().is_ok();
        }
        let is_ready = self.is_connected && {
            self.shake_hands()?;
            self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
        };
        if !is_ready && self.began.elapsed() > READY_TIME_MAX {
            return Err(io::Error::new(ErrorKind::TimedOut, "no answer within 10 s"));
        }
        Ok(is_ready)
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        if self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking()) {
            return Ok(());
        }
        self.flush()?;
        self.listen()?;
        self.flush().map(|_| ())
    }

    /// Takes in what the station sends, which is TLS's own or nothing: BMP has no messages to routers.
    ///
    /// # Errors
    /// The station has closed the connection, or it broke.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        loop {
            let count = match &mut self.tls {
                None => self.socket.read(&mut [0; 1024]),
                Some(tls) => tls.read_tls(&mut self.socket),
            };
            match count {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed by the station")),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if let Some(tls) = &mut self.tls {
                let state = tls.process_new_packets().map_err(of_tls)?;
                if state.peer_has_closed() {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed by the station"));
                }
                // Plain text has no meaning, and must not fill the memory.
                let _ = tls.reader().read(&mut [0; 16 << 10]);
            }
        }
    }

    /// Sends a beginning of these octets. Returns how many; 0 when the station takes no more now.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn send(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return write(&mut self.socket, octets) };
        // What is encrypted goes out before more is.
        if tls.wants_write() && !self.flush()? {
            return Ok(0);
        }
        let Some(tls) = &mut self.tls else { return Ok(0) };
        let count = tls.writer().write(octets)?;
        self.flush()?;
        Ok(count)
    }

    /// Sends what is encrypted and has not gone out. Returns whether all has.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Closes the connection after everything that was sent.
    pub(super) fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // It is the end in any case.
            let _ = self.flush();
        }
        // Octets of the station that were not read would turn the close into a reset, which may overtake the last ones.
        let _ = self.listen();
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

fn write(socket: &mut TcpStream, octets: &[u8]) -> io::Result<usize> {
    loop {
        match socket.write(octets) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn of_tls(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}"))
}
