//! The place where the PostgreSQL client receives a stream of ours.
//!
//! The client crate hands the TCP socket to its TLS connector before the login. When configured to begin with TLS
//! immediately (`sslnegotiation=direct`), it calls our connector for every connection. Ours decides on the SSLRequest
//! of PostgreSQL's protocol and on TLS or none, and wraps the resulting stream in the watch over its waits. A Unix
//! socket replaces the TCP socket (`way.rs`).

use std::future::{Future, poll_fn};
use std::io;
use std::os::unix;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use postgres::Socket;
use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::watchdog::{ConnectionWatch, Watched};

/// SSLRequest: its length, and the code in place of a protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The moment at which TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// After the server offers it; otherwise the connection is not encrypted.
    IfOffered,
    /// After the server offers it; otherwise the connection fails.
    WhenOffered,
    /// Immediately.
    AtOnce,
}

/// Makes the streams of one client, for each address that it tries.
#[derive(Clone)]
pub(super) struct Door {
    thread: String,
    /// The longest time a login may take after the address has accepted the connection.
    login_time_max: Duration,
    tls: Option<(MakeRustlsConnect, Begin)>,
    /// The Unix socket that replaces the socket that the client connects.
    leads_to: Arc<Mutex<Option<unix::net::UnixStream>>>,
    /// The watch of the address that was tried last.
    watch: Arc<Mutex<Option<Arc<ConnectionWatch>>>>,
}

impl Door {
    pub(super) fn new(thread: &str, login_time_max: Duration, tls: Option<(ClientConfig, Begin)>) -> Door {
        let tls = tls.map(|(config, begin)| (MakeRustlsConnect::new(config), begin));
        Door { thread: thread.to_owned(), login_time_max, tls, leads_to: Arc::default(), watch: Arc::default() }
    }

    /// Gives the client this connected, non-blocking socket instead of the one that it connects.
    pub(super) fn lead_to(&self, stream: unix::net::UnixStream) {
        *self.leads_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    /// Returns the watch over the connection that was made last.
    pub(super) fn watch(&self) -> Option<Arc<ConnectionWatch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The connector for one address.
pub(super) struct Entry {
    leads_to: Option<unix::net::UnixStream>,
    tls: Option<(RustlsConnect, Begin)>,
    watch: Arc<ConnectionWatch>,
}

type RustlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type RustlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// The stream through which the client speaks.
pub(super) enum ServerStream {
    /// Without TLS: not wanted, or not offered.
    Plain(Socket),
    /// Inside TLS.
    Tls(Box<RustlsStream>),
    /// A Unix socket, which has no TLS.
    Unix(UnixStream),
}

impl MakeTlsConnect<Socket> for Door {
    type Stream = Watched<ServerStream>;
    type TlsConnect = Entry;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Entry> {
        let watch = ConnectionWatch::begin(&self.thread, self.login_time_max);
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&watch));
        let tls = match &mut self.tls {
            None => None,
            Some((connector, begin)) => {
                let connect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::make_tls_connect(connector, host);
                Some((connect.map_err(io::Error::other)?, *begin))
            }
        };
        let leads_to = self.leads_to.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Entry { leads_to, tls, watch })
    }
}

impl TlsConnect<Socket> for Entry {
    type Stream = Watched<ServerStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Watched<ServerStream>>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let Entry { leads_to, tls, watch } = self;
        Box::pin(async move {
            if let Some(stream) = leads_to {
                return Ok(Watched { stream: ServerStream::Unix(UnixStream::from_std(stream)?), watch });
            }
            let mut negotiation = pin!(negotiate(socket, tls));
            let stream = poll_fn(|context| {
                watch.check(context)?;
                negotiation.as_mut().poll(context)
            })
            .await?;
            Ok(Watched { stream, watch })
        })
    }
}

async fn negotiate(mut socket: Socket, tls: Option<(RustlsConnect, Begin)>) -> io::Result<ServerStream> {
    let Some((connect, begin)) = tls else { return Ok(ServerStream::Plain(socket)) };
    if begin != Begin::AtOnce && !is_offered(&mut socket).await? {
        return match begin {
            Begin::IfOffered => Ok(ServerStream::Plain(socket)),
            Begin::WhenOffered | Begin::AtOnce => Err(io::Error::other("server does not support TLS")),
        };
    }
    Ok(ServerStream::Tls(Box::new(connect.connect(socket).await?)))
}

/// Asks for TLS. The answer is one octet, and nothing after it may be read before TLS begins.
async fn is_offered(socket: &mut Socket) -> io::Result<bool> {
    let mut sent = 0;
    while sent < SSL_REQUEST.len() {
        match poll_fn(|context| Pin::new(&mut *socket).poll_write(context, &SSL_REQUEST[sent..])).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => sent += written,
        }
    }
    let mut answer = [0];
    let mut into = ReadBuf::new(&mut answer);
    poll_fn(|context| Pin::new(&mut *socket).poll_read(context, &mut into)).await?;
    match into.filled() {
        [b'S'] => Ok(true),
        [b'N'] => Ok(false),
        // The text of an error that comes before TLS may be anyone's, so it is not read (CVE-2024-10977).
        [b'E'] => Err(io::Error::other("the server answered the request for TLS with an error")),
        [other] => {
            let octet = other.escape_ascii();
            Err(io::Error::other(format!("not a PostgreSQL server: it answered the request for TLS with '{octet}'")))
        }
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ServerStream::Plain(stream) => Pin::new(stream).poll_read(context, into),
            ServerStream::Tls(stream) => Pin::new(stream).poll_read(context, into),
            ServerStream::Unix(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ServerStream::Plain(stream) => Pin::new(stream).poll_write(context, octets),
            ServerStream::Tls(stream) => Pin::new(stream).poll_write(context, octets),
            ServerStream::Unix(stream) => Pin::new(stream).poll_write(context, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ServerStream::Plain(stream) => Pin::new(stream).poll_flush(context),
            ServerStream::Tls(stream) => Pin::new(stream).poll_flush(context),
            ServerStream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ServerStream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            ServerStream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            ServerStream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl TlsStream for ServerStream {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            ServerStream::Plain(_) | ServerStream::Unix(_) => ChannelBinding::none(),
            ServerStream::Tls(stream) => stream.channel_binding(),
        }
    }
}
