//! One request, read within a deadline and a size.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::response::Response;

/// How long a client may take to say what it wants.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a request's head may be, bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// How many header lines it may have.
const HEADERS_MAX: usize = 64;

/// What is answered at all: this port only shows things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// The whole answer.
    Get,
    /// Its head.
    Head,
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// GET or HEAD.
    pub(super) method: Method,
    /// The path, as sent.
    pub(super) path: String,
    /// Names and values behind the question mark, decoded.
    pub(super) query: Vec<(String, String)>,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The client is gone or silent.
    Gone(io::Error),
    /// It is told so.
    Bad(Response),
}

impl Request {
    /// The value of a name in the query, without spaces around it; empty if it is not there.
    pub(super) fn value(&self, name: &str) -> &str {
        self.query.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value.trim())
    }
}

/// Reads one request's head; a body is not looked at.
pub(super) fn read(socket: &mut TcpStream) -> Result<Request, Refusal> {
    let deadline = Instant::now() + READ_TIME_MAX;
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refusal::Gone(io::ErrorKind::TimedOut.into()));
        }
        socket.set_read_timeout(Some(left)).map_err(Refusal::Gone)?;
        match socket.read(&mut piece).map_err(Refusal::Gone)? {
            0 => return Err(Refusal::Gone(io::ErrorKind::UnexpectedEof.into())),
            length => head.extend_from_slice(&piece[..length]),
        }
        if let Some(request) = parse(&head).map_err(Refusal::Bad)? {
            return Ok(request);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(Refusal::Bad(Response::text(431, "the request is too long\n")));
        }
    }
}

/// The request in these bytes; `None`: more are needed.
fn parse(head: &[u8]) -> Result<Option<Request>, Response> {
    let bad = |why: &str| Response::text(400, &format!("this is no HTTP request: {why}\n"));
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(bad(&error.to_string())),
    }
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => return Err(Response::text(405, "this port only answers GET and HEAD\n")),
    };
    let target = parsed.path.filter(|target| target.starts_with('/')).ok_or_else(|| bad("no path"))?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Ok(Some(Request { method, path: path.to_owned(), query }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let parsed = |text: &str| parse(text.as_bytes()).map_err(|response| response.status());
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        let request = parsed("HEAD /x?q=2001%3Adb8%3A%3A%2F32+&r=%ff HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().unwrap();
        assert_eq!((request.method, request.path.as_str()), (Method::Head, "/x"));
        assert_eq!((request.value("q"), request.value("r"), request.value("s")), ("2001:db8::/32", "\u{fffd}", ""));
        assert_eq!(parsed("POST / HTTP/1.1\r\n\r\n"), Err(405));
        assert_eq!(parsed("GET http://other/ HTTP/1.1\r\n\r\n"), Err(400));
        assert_eq!(parsed("\u{3}\0\0\u{6}"), Err(400));
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        assert_eq!(parsed(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Err(400));
    }
}
