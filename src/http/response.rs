//! One answer, written within a deadline.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::request::Method;

/// How long a client may take to receive its answer.
const WRITE_TIME_MAX: Duration = Duration::from_secs(15);

/// For every answer: no script, no frame, no other site, no guessing of types, nothing kept.
const SECURITY_HEADERS: &str = "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: \
                                no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\n";

/// The content security policy of what is no page.
const NOTHING: &str = "default-src 'none'";

/// What a client gets.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    content_type: &'static str,
    policy: String,
    body: String,
}

impl Response {
    /// Plain text.
    pub(super) fn text(status: u16, body: &str) -> Response {
        let (content_type, policy) = ("text/plain; charset=utf-8", NOTHING.to_owned());
        Response { status, content_type, policy, body: body.to_owned() }
    }

    /// Metrics in Prometheus's text format.
    pub(super) fn metrics(body: String) -> Response {
        Response { status: 200, content_type: "text/plain; version=0.0.4", policy: NOTHING.to_owned(), body }
    }

    /// A page; `policy` is its content security policy.
    pub(super) fn page(status: u16, body: String, policy: &str) -> Response {
        Response { status, content_type: "text/html; charset=utf-8", policy: policy.to_owned(), body }
    }

    /// The status code.
    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Writes it and ends the connection.
    pub(super) fn write(&self, socket: &mut TcpStream, method: Method) -> io::Result<()> {
        let deadline = Instant::now() + WRITE_TIME_MAX;
        let allow = if self.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nContent-Security-Policy: \
             {}\r\n{SECURITY_HEADERS}{allow}Connection: close\r\n\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len(),
            self.policy,
        );
        write_within(socket, head.as_bytes(), deadline)?;
        if method == Method::Get {
            write_within(socket, self.body.as_bytes(), deadline)?;
        }
        Ok(())
    }
}

/// A time limit for all of it; the socket's own is for one piece.
fn write_within(socket: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_write_timeout(Some(left))?;
        match socket.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
