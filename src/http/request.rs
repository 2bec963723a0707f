//! One request: its head, of a bounded size. A body is ignored.

use std::net::IpAddr;

use super::response::Response;

/// The maximum length of a request's head, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The maximum number of header lines.
const HEADERS_MAX: usize = 64;

/// The supported methods: this port is read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// GET: the whole answer.
    Get,
    /// HEAD: the head of the answer.
    Head,
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// GET or HEAD.
    pub(super) method: Method,
    /// The path, as sent.
    pub(super) path: String,
    /// Names and values of the query string, decoded.
    pub(super) query: Vec<(String, String)>,
    /// The host that the client addresses.
    pub(super) host: Option<String>,
    /// True if the client accepts HTML, as browsers do.
    pub(super) takes_html: bool,
}

impl Request {
    /// Returns the value of a name in the query, trimmed; empty if the name is absent.
    pub(super) fn value(&self, name: &str) -> &str {
        self.query.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value.trim())
    }
}

/// Parses the request in these bytes; `None` if more are needed.
pub(super) fn parse(head: &[u8]) -> Result<Option<Request>, Response> {
    let bad = |why: &str| Response::text(400, &format!("not an HTTP request: {why}\n"));
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
    let host = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
    let host = host.map(|header| String::from_utf8_lossy(header.value).trim().to_owned());
    let mut accepted = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("accept"));
    let takes_html =
        accepted.any(|header| header.value.to_ascii_lowercase().windows(9).any(|part| part == b"text/html"));
    Ok(Some(Request { method, path: path.to_owned(), query, host, takes_html }))
}

/// Returns whether a Host header names this machine's loopback, or this machine by its `own` name. A browser that
/// addresses another name that resolves to loopback (DNS rebinding) must not be shown anything.
pub(super) fn is_loopback_name(host: &str, own: Option<&str>) -> bool {
    // Some resolvers know these from /etc/hosts.
    const NAMES: [&str; 4] = ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"];
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or_default(),
        None => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    NAMES.contains(&name.as_str())
        || name.ends_with(".localhost")
        || own.is_some_and(|own| !own.is_empty() && own.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_loopback() {
        for name in [
            "localhost",
            "LOCALHOST:11020",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1:11020",
            "127.8.9.1",
            "[::1]:11020",
            "::1",
            "[::ffff:127.0.0.1]:1",
            "ip6-localhost",
            "box",
            "BOX:11020",
        ] {
            assert!(is_loopback_name(name, Some("box")), "{name}");
        }
        for name in [
            "",
            "evil.example:11020",
            "localhost.evil.example",
            "192.0.2.1",
            "0.0.0.0:1",
            "box.evil.example",
            "[2001:db8::1]",
        ] {
            assert!(!is_loopback_name(name, Some("box")), "{name}");
        }
        assert!(!is_loopback_name("", Some("")) && !is_loopback_name("box", None));
    }

    #[test]
    fn requests() {
        let parsed = |text: &str| parse(text.as_bytes()).map_err(|response| response.status());
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        let request = parsed("HEAD /x?q=2001%3Adb8%3A%3A%2F32+&r=%ff HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().unwrap();
        assert_eq!((request.method, request.path.as_str()), (Method::Head, "/x"));
        assert_eq!((request.host.as_deref(), request.takes_html), (Some("a"), false));
        let browser = "GET / HTTP/1.1\r\nACCEPT: application/xml;q=0.9, Text/HTML\r\n\r\n";
        assert!(parsed(browser).unwrap().unwrap().takes_html);
        assert_eq!((request.value("q"), request.value("r"), request.value("s")), ("2001:db8::/32", "\u{fffd}", ""));
        assert_eq!(parsed("POST / HTTP/1.1\r\n\r\n"), Err(405));
        assert_eq!(parsed("GET http://other/ HTTP/1.1\r\n\r\n"), Err(400));
        assert_eq!(parsed("\u{3}\0\0\u{6}"), Err(400));
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        assert_eq!(parsed(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Err(400));
    }
}
